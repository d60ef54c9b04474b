"""Which kernels the maths libraries compute with: equal ones give equal bits.

NumPy, OpenBLAS, OpenCV, torch, oneDNN and MKL choose code that rounds differently by the processor,
and a last digit is enough to make a training end elsewhere. They read environment variables once,
when they load: importing any part of ``mer_utils`` calls ``pin`` first.
"""

import os
import platform
import sys
import warnings
from pathlib import Path

# those that choose when they load
LIBRARIES = ("numpy", "cv2", "torch", "scipy", "sklearn", "skimage")
# environment variable: "native" leaves the choice to the processor, here and in child processes
CHOICE = "MER_KERNELS"
# one thread each: sums then have one order, and work is spread over processes instead
COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
THREADS = dict.fromkeys(COUNTS, "1")
# AVX2 is what every x86-64 processor since about 2015 has; MKL's AVX2 code still differs between
# makers
PINS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # torch: convolutions
    "MKL_CBWR": "COMPATIBLE",  # torch: matrix products, a little slower
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",  # NumPy 2.4 or newer
    # the matrix products of NumPy and SciPy, and scikit-learn through them
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENCV_IPP": "avx2",  # the parts of OpenCV that Intel wrote
}
# only where the processor has it: elsewhere OpenCV would complain
NOT_IN_OPENCV = {"OPENCV_CPU_DISABLE": "AVX512-SKX"}
AVX512 = {"avx512bw", "avx512cd", "avx512dq", "avx512vl"}
PINNED = "x86-64 AVX2"


def pin():
    """Fix the kernels of all maths libraries, and one thread each; return the family by which
    results are named: "x86-64 AVX2", or one that names the processor (another architecture, no
    AVX2, libraries loaded before this package, or MER_KERNELS=native).
    """
    os.environ.update(THREADS)
    early = [name for name in LIBRARIES if name in sys.modules]
    if early:
        import threadpoolctl

        threadpoolctl.threadpool_limits(1)
    if "cv2" in early:
        sys.modules["cv2"].setNumThreads(1)
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"{platform.machine().lower()} native, {name_processor()}"
    flags = set(_read_cpuinfo().get("flags", "").split())
    able = not flags or {"avx2", "fma"} <= flags  # no Linux, no flags: new processors have AVX2
    pins = PINS | (NOT_IN_OPENCV if not flags or flags >= AVX512 else {})
    native = os.environ.get(CHOICE) == "native"
    inherited = all(os.environ.get(name) == value for name, value in pins.items())
    if able and not native and (inherited or not early):
        os.environ.update(pins)
        return PINNED
    if early and not native:
        what = "so results are kept apart from those of other machines; import mer_utils first"
        warnings.warn(f"{' and '.join(early)} loaded before mer_utils, {what}", stacklevel=3)
    os.environ[CHOICE] = "native"  # workers that start from here do the same
    for name, value in (PINS | NOT_IN_OPENCV).items():
        if os.environ.get(name) == value:
            del os.environ[name]
    return f"x86-64 native, {name_processor()}"


def name_processor():
    """Return the processor's name and its widest vectors: what its own kernels depend on."""
    entries = _read_cpuinfo()
    flags = entries.get("flags", "").split()
    widest = [name for name in ("avx512f", "avx2", "avx") if name in flags][:1]
    names = ("model name",) if "model name" in entries else ("CPU implementer", "CPU part")  # ARM
    known = [entries[name] for name in names if name in entries] or [platform.processor()]
    return " ".join(known + widest)


def _read_cpuinfo():
    """Return the first processor's entries of /proc/cpuinfo, {} where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
