"""The same kernels everywhere: in this process, in workers, in kernels of notebooks, and as
recorded elsewhere.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mer_utils
from mer_utils import kernels
from mer_utils.kernels import PINNED, PINS, THREADS

import matplotlib
import nbformat
import pytest
from toys import load_benchmark

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "processors.json"
pinned = pytest.mark.skipif(
    mer_utils.KERNELS != PINNED, reason=f"kernels here: {mer_utils.KERNELS}"
)
REPORT = """
import json, threadpoolctl, cv2, scipy.linalg, torch, numpy
from numpy._core import _multiarray_umath as umath
pools = threadpoolctl.threadpool_info()
print(json.dumps({
    "family": mer_utils.KERNELS,
    "torch": torch.backends.cpu.get_cpu_capability(),
    "numpy": umath.__cpu_features__["X86_V4"],
    "blas": sorted({pool["architecture"] for pool in pools if pool["internal_api"] == "openblas"}),
    "threads": [
        *sorted({pool["num_threads"] for pool in pools}),
        cv2.getNumThreads(), torch.get_num_threads(),
    ],
    "opencv": "*AVX512-SKX" in cv2.getCPUFeaturesLine().replace("*AVX512-SKX?", ""),
    "ipp": cv2.ipp.getIppVersion().split("(")[0].strip(),
}))
"""
SAME = {
    "family": PINNED,
    "torch": "AVX2",
    "numpy": False,
    "blas": ["Haswell"],
    "threads": [1, 1, 1],
    "opencv": False,
    "ipp": "ippIP AVX2",
}


def clean():
    """Return the environment as a shell has it that knows nothing of this package."""
    fixed = {*PINS, *THREADS, "OPENCV_CPU_DISABLE"}
    return {name: value for name, value in os.environ.items() if name not in fixed}


def run_clean(code, **more):
    ended = subprocess.run(
        [sys.executable, "-c", code], env=clean() | more, capture_output=True, text=True, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


@pytest.mark.slow
@pinned
def test_every_library_computes_with_the_pinned_kernels_on_one_thread():
    assert json.loads(run_clean("import mer_utils.model\n" + REPORT)[0]) == SAME


def test_every_notebook_imports_the_package_before_any_other_library():
    for path in (ROOT / "notebooks").rglob("[0-9]*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        first = re.findall(r"^(?:import|from) (\w+)", code, re.M)
        other = next(name for name in first if name not in sys.stdlib_module_names)
        # all import mer_utils first
        assert other in ("mer_utils", "faces4d", "mer_course", "mer_tools"), path.stem


@pytest.mark.slow
@pinned
def test_workers_compute_like_the_process_that_asks_also_where_libraries_came_first():
    """Pinned in a clean start; kept apart, with one warning, where NumPy and OpenCV came first."""
    code = """
import mer_utils, cv2, threadpoolctl
from mer_utils.cache import describe_process
from mer_utils.jobs import run_jobs
workers = run_jobs(describe_process, [()] * 2, 2)
threads = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
assert threads == {1} and cv2.getNumThreads() == 1
print(mer_utils.KERNELS, *(worker["kernels"] for worker in workers), sep="|")
"""
    assert set(run_clean(code)[0].strip().split("|")) == {PINNED}
    said, errors = run_clean("import cv2, numpy" + code)
    (family,) = set(said.strip().split("|"))
    assert family.startswith("x86-64 native, ")
    assert errors.count("numpy and cv2 loaded before mer_utils") == 1


def test_a_choice_of_native_kernels_holds_also_below_a_pinned_process():
    report = "import mer_utils, os; print(mer_utils.KERNELS, sorted(os.environ))"
    said, _ = run_clean(report, **PINS, MER_KERNELS="native")
    assert " native, " in said and not any(repr(name) in said for name in PINS)


def test_other_processors_are_named_and_left_alone(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in PINS:
        os.environ.pop(name, None)
    monkeypatch.setattr(kernels.platform, "machine", lambda: "arm64")
    info = {"CPU implementer": "0x41", "CPU part": "0xd0c"}
    monkeypatch.setattr(kernels, "_read_cpuinfo", lambda: info)
    assert kernels.pin() == "arm64 native, 0x41 0xd0c" and not PINS.keys() & os.environ.keys()
    monkeypatch.setattr(kernels.platform, "machine", lambda: "x86_64")
    info = {"flags": "sse2 avx", "model name": "Old One"}
    monkeypatch.setattr(kernels, "_read_cpuinfo", lambda: info)
    monkeypatch.setattr(kernels, "LIBRARIES", ())
    assert kernels.pin() == "x86-64 native, Old One avx" and not PINS.keys() & os.environ.keys()


@pytest.mark.slow
@pinned
def test_each_step_gives_the_bits_that_were_recorded():
    processors = load_benchmark("processors")
    with matplotlib.rc_context():
        made = processors.hash_steps(processors.take_steps())
    assert made == json.loads(RECORD.read_text())["hashes"]


def test_emulated_processors_gave_equal_bits_and_pins_were_needed():
    table = json.loads(RECORD.read_text())["against_here"]
    assert {"Haswell", "Skylake-Server", "EPYC"} <= set(next(iter(table.values())))
    for step, row in table.items():
        assert {text for name, text in row.items() if name != "unpinned"} == {"equal"}, step
    assert table["MicroAttNet, two epochs"]["unpinned"] != "equal"
