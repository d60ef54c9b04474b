"""Synthetic 4D people whose true motion is known.

In: a seed and a preset. Out: a dataset folder (frames, manifest, truth), true optical flow, OBJ
files.
"""

from mer_utils.cache import remember_sources

remember_sources(__file__)
