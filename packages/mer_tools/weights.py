"""Which trained weights answer, and what they cannot answer."""

from pathlib import Path

from mer_utils import MerError
from mer_utils.prediction import WEIGHTS

import numpy as np

STILL = 1e-3  # px, or that share of what ready-made maps can show: below it nothing moves


def find_weights(root):
    """Return the weights that notebook 05 kept under ``root``: of your own dataset, else of
    synthetic faces; of the profile paper first, then full, then course. Raises MerError where
    several datasets have some.
    """
    kept = Path(root) / "artifacts"
    for place in ("paper-*", "full-*", "course-*", "paper", "full", "course"):
        paths = sorted(kept.glob(f"{place}/05/{WEIGHTS}"))
        if len(paths) > 1:
            what = f"has weights of {len(paths)} datasets; choose with --weights: "
            raise MerError(kept, what + ", ".join(map(str, paths)))
        if paths:
            return paths[0]
    return kept / "course" / "05" / WEIGHTS


def check_kind(where, ensemble, channels):
    """Raise MerError unless maps that come from ``channels`` (of flow images; None: from frames)
    are of the kind that the Ensemble learnt: px and the units of pictures are no match.
    """
    kinds = [", ".join(sorted(names or ())) for names in (ensemble.channels, channels)]
    if kinds[0] != kinds[1]:
        kinds = [f"ready-made flow images ({kind})" if kind else "frames" for kind in kinds]
        what = "the weights learnt from {} and cannot answer {}".format(*kinds)
        raise MerError(where, f"{what}; train on data of the same kind")


def check_motion(where, maps):
    """Raise MerError where maps (V, P, 3, S, S) show no motion: there is nothing to answer from."""
    if not np.ptp(maps, axis=(-2, -1)).max() > STILL:
        what = "nothing moves in the face box from onset to offset, so there is no answer"
        raise MerError(where, f"{what}; look at the frames and the box")
