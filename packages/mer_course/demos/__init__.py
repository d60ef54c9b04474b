"""The demos of the notebooks: each draws a Figure from the values of a few controls."""
