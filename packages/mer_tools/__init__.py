"""The command `mer`.

In: words of a command line. Out: what the other sub-packages make, tables, one sentence per error.
"""
