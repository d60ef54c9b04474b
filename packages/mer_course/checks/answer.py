"""What all checks share: read an answer, print "Right" or one hint."""

from functools import wraps

import numpy as np


class Verdict(Exception):
    """What a check says of an answer that is not right."""


def judge(function):
    """Make a check of a function that returns the praise of a right answer.

    The function's docstring says what an answer must be: it is the hint where the function fails.
    """

    @wraps(function)
    def check(*args):
        try:
            praise = function(*args)
        except Verdict as verdict:
            return print(verdict)
        except Exception as error:  # an answer may be anything, also a function that fails
            return print(f"Not yet: {function.__doc__} ({type(error).__name__}: {error})")
        print(f"Right: {praise}")

    return check


def need(right, hint):
    """Stop with a hint unless the answer is right."""
    if not right:
        raise Verdict(f"Not yet: {hint}")


def skip(without, reason):
    """Stop without a verdict where these data give the exercise no answer."""
    if without:
        raise Verdict(f"{reason}, so this exercise has no answer here.")


def compare(answer, expected, hint, atol=1e-9, rtol=0.0):
    """Stop with a hint unless an answer holds the ``expected`` numbers, within the tolerance.
    Raises ValueError for an answer of another shape.
    """
    numbers = np.asarray(answer.detach() if hasattr(answer, "detach") else answer, float)
    if numbers.shape != np.shape(expected):
        raise ValueError(f"the shape must be {np.shape(expected)}")
    wrong = ~np.isclose(numbers, np.asarray(expected, float), rtol, atol)
    count = f"{wrong.sum()} of {wrong.size} numbers are wrong. " if wrong.size > 1 else ""
    need(not wrong.any(), count + hint)
