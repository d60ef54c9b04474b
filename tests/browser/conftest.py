"""A real JupyterLab on a copy of the notebooks, and the system's Chromium to look at it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from lab import Watch, write_settings
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --disable-quic"
).split()
# no name but this machine's leads anywhere
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


# MER_CHROMIUM, or the first that is installed
CHROMIUM = os.environ.get("MER_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), "none")


def pytest_sessionstart():
    if not shutil.which(CHROMIUM):
        pytest.exit(
            "No Chromium found: `apt-get install -y chromium` installs it (Debian, Ubuntu: as "
            "root), or set MER_CHROMIUM to the path of a Chromium or Chrome.",
            returncode=2,
        )


@pytest.fixture(scope="session")
def copy(tmp_path_factory):
    """A root of its own: notebooks, the figures they show and outputs are copies, all else (data,
    cache, benchmarks) leads to the repository.
    """
    root, copied = tmp_path_factory.mktemp("lab"), ("notebooks", "figures")
    for name in copied:  # Jupyter serves no picture from outside its root
        shutil.copytree(ROOT / name, root / name)
    (root / "artifacts").mkdir()
    (ROOT / "artifacts" / "cache").mkdir(parents=True, exist_ok=True)
    (root / "artifacts" / "cache").symlink_to(ROOT / "artifacts" / "cache")
    for path in ROOT.iterdir():
        if path.name not in (*copied, "artifacts") and not path.name.startswith("."):
            (root / path.name).symlink_to(path)
    return root


@pytest.fixture(scope="session")
def lab(copy, tmp_path_factory):
    """The address of a JupyterLab in the copy, with nobody's settings but ours."""
    home = tmp_path_factory.mktemp("jupyter")
    write_settings(home / "settings")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    options = {
        "IdentityProvider.token": "",
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "LabApp.expose_app_in_browser": True,
        "LabApp.user_settings_dir": home / "settings",
        "LabApp.workspaces_dir": home / "workspaces",
        "LabApp.extension_manager": "readonly",
    }
    folders = {f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    log = home / "log.txt"
    with log.open("w") as out:
        server = subprocess.Popen(
            command + [f"--{name}={value}" for name, value in options.items()],
            cwd=copy,
            env=os.environ | folders | {"IPYTHONDIR": str(home / "ipython")},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urlopen(f"{url}/api", timeout=10).close()
                break
            except URLError:
                assert server.poll() is None, log.read_text()
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium with an empty profile."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("chromium"),
            executable_path=CHROMIUM,
            args=[*FLAGS, OFFLINE],
            viewport={"width": 1400, "height": 1000},
        )
        context.set_default_timeout(60_000)
        yield context
        context.close()


@pytest.fixture(scope="session")
def watch(browser):
    """What went wrong in the pages of this browser."""
    return Watch(browser)


@pytest.fixture(autouse=True)
def quiet(watch):
    """No test passes that asks other machines or fills the console with errors."""
    yield
    faults, watch.faults = watch.faults, []
    assert not faults, "\n".join(faults)
