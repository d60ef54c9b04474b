"""Ask the checks of exercises, and read what they say."""

from contextlib import redirect_stdout
from io import StringIO
from unittest.mock import patch


def ask(check, *answer):
    """Return what a check prints, and the figures that it shows."""
    figures = []
    with (
        patch("mer_course.checks.answer.display", figures.append),
        redirect_stdout(StringIO()) as text,
    ):
        assert check(*answer) is None  # a notebook would print what it returns
    return text.getvalue(), figures


def accept(check, *answer, figures=0, says=""):
    """Assert that a check finds an answer right, shows so many figures and says these words."""
    text, shown = ask(check, *answer)
    assert text.startswith("Right: ") and says in text, text
    assert len(shown) == figures


def reject(check, wrong, *rest):
    """Assert that a check has a hint, and shows nothing, for each wrong answer and for what is no
    answer at all. A tuple holds all that is answered, anything else is the only answer.
    """
    wrong = [answer if isinstance(answer, tuple) else (answer,) for answer in wrong]
    width = len(wrong[0])
    for answer in [*wrong, (None,) * width, ("words",) * width]:
        text, shown = ask(check, *answer, *rest)
        assert text.startswith("Not yet: ") and not shown, (answer, text)


def skips(check, *answer):
    """Return whether a check says that these data give the exercise no answer."""
    return "so this exercise has no answer here." in ask(check, *answer)[0]
