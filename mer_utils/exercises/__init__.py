"""What checks a student's answer, a file a notebook: ``check_1(answer)`` says "Right" or what to
look at, and never raises for an answer that is merely wrong.
"""


def tell(right, praise, hint):
    """Print the verdict on an answer: ``praise`` where it is right, else ``hint``."""
    print(f"Right: {praise}" if right else f"Not yet: {hint}")
