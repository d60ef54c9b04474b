"""Checks of the students' answers, one file a notebook: each prints "Right" or a hint."""
