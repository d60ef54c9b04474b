"""What a laboratory needs around the paper: the command `mer`, the runner, imports, the doctor."""

from contextlib import suppress

import mer_utils  # noqa: F401 (before NumPy: it chooses the kernels)

import psutil


def end_children():
    """End all processes that this one has started, and theirs."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it may have ended; the tracker tidies up behind the others
            if not any("resource_tracker" in word for word in child.cmdline()):
                child.kill()
