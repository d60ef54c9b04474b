"""The command `mer`.

In: words of a command line. Out: the work of the other sub-packages, tables, and one sentence per error.
"""
