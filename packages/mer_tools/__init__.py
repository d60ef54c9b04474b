"""What a laboratory needs around the paper: the command `mer`, the runner, imports, the doctor."""

import mer_utils  # noqa: F401 (before NumPy: it chooses the kernels)
