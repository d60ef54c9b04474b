"""A student's answer: read it, and say what it is worth."""

import numpy as np


def read_numbers(answer, shape):
    """Return an answer as an array of finite numbers of this shape, or None."""
    try:
        found = np.asarray(answer, float)
    except (TypeError, ValueError):
        return None
    return found if found.shape == shape and np.isfinite(found).all() else None


def tell(right, praise, hint):
    """Print the verdict on an answer: ``praise`` where it is right, else ``hint``."""
    print(f"Right: {praise}" if right else f"Not yet: {hint}")
