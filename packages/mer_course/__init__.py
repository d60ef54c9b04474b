"""The course around the paper: demos, and the checks of the exercises."""

import mer_utils  # noqa: F401 (before NumPy: it chooses the kernels)
