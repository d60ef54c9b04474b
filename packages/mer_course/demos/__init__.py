"""Pictures, charts and sliders as pure functions.

In: arrays. Out: matplotlib Figures in one style.
"""
