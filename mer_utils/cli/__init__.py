"""The command `mer`.

In: words of a command line. Out: the rooms' work, tables, and one sentence per error.
"""
