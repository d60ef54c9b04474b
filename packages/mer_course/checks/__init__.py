"""What checks a student's answer, a file a notebook.

In: an answer to an exercise, and what the notebook has made. Out: "Right" or what to look at.
"""
