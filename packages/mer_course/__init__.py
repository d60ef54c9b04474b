"""The suite as a whole: notebooks and what they hand on, trained weights on a clip or a set, the
doctor.

In: notebooks, a profile, a dataset. Out: figures/, results.json, predictions, reports.
"""
