"""The verdict on a student's answer."""


def tell(right, praise, hint):
    """Print the verdict on an answer: ``praise`` where it is right, else ``hint``."""
    print(f"Right: {praise}" if right else f"Not yet: {hint}")
