"""What the networks say of one clip that may have no labels, as numbers and as a picture, and which
networks are asked.
"""

from dataclasses import dataclass
from pathlib import Path

from mer_utils import STREAMS, MerError, plots
from mer_utils.apex import joint_curve
from mer_utils.evaluation import decide
from mer_utils.features import measure_crops
from mer_utils.prediction import WEIGHTS, Ensemble
from mer_utils.study import to_plain

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

STILL = 1e-3  # px, or that share of what ready-made maps can show: below it nothing moves


@dataclass(frozen=True)
class OwnClip:
    """One clip as it was read: what the ensemble needs to answer it."""

    name: str
    first: tuple[np.ndarray, ...]  # the first frame (H, W) of each view
    crops: np.ndarray  # (V, T, S, S)
    boxes: tuple[tuple[int, int, int, int], ...]  # px
    found: str  # how the boxes were found: manifest (given), mesh, silhouette, face model, fallback
    onset: int
    offset: int
    fps: float | None  # frames a second, where something says so


@dataclass(frozen=True)
class Prediction(OwnClip):
    """What an ensemble says of one clip, with everything that led there."""

    ensemble: Ensemble
    scores: np.ndarray  # (M, L) each member's probabilities
    attention: np.ndarray  # (3,) mean weight of u, v, magnitude
    apex: int
    curve: np.ndarray  # (V, T) px
    joint: np.ndarray  # (T,) px, the curve of all views in which the apex was sought
    maps: np.ndarray  # (V, P, 3, S, S) px

    labels = property(lambda self: self.ensemble.labels)
    thresholds = property(lambda self: self.ensemble.thresholds)
    exclusive = property(lambda self: self.ensemble.exclusive)

    @property
    def answers(self):
        """Yes or no to each label, (L,), by the mean probability."""
        return decide(self.scores.mean(0)[None], self.thresholds, self.exclusive)[0].astype(bool)

    def table(self):
        """Return {label: {probability, spread (sd over members), threshold, answer}}; the threshold
        is None of exclusive labels and of a label that no inner subject showed.
        """
        limits = [limit if np.isfinite(limit) else None for limit in self.thresholds]
        columns = (self.scores.mean(0), self.scores.std(0), limits, self.answers)
        names = ("probability", "spread", "threshold", "answer")
        rows = zip(self.labels, *columns, strict=True)
        return {label: to_plain(dict(zip(names, row, strict=True))) for label, *row in rows}

    def to_json(self):
        """Return everything but the pictures as JSON values."""
        about = {"clip": self.name, "trained_on": self.ensemble.trained_on}
        about |= {"networks": len(self.scores), "labels": self.table()}
        about["attention"] = dict(zip(STREAMS, self.attention, strict=True))
        about |= {"onset": self.onset, "apex": self.apex, "offset": self.offset}
        about |= {"boxes": np.array(self.boxes, int), "boxes_found_by": self.found}
        return to_plain(about | {"motion_curve_px": self.curve})


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


def predict_crops(clip, ensemble):
    """Return the ensemble's Prediction of an OwnClip; MerError where nothing moves."""
    options = ensemble.front_end
    maps, apex, curve = measure_crops(clip.crops, clip.onset, clip.offset, options)
    check_motion(f"clip {clip.name}", maps)
    scores, attention = ensemble.score(maps)
    motion = apex, curve, joint_curve(curve, options.rule, options.smoothing), maps
    return Prediction(*vars(clip).values(), ensemble, scores, attention.mean(0), *motion)


def draw_prediction(prediction):
    """Show how one clip was answered, from a Prediction: first frames with their boxes, crops of
    onset and apex, each phase's flow over the crop in which it starts, motion curve, probabilities
    of all networks with their thresholds, and the streams' weights.
    """
    p, (views, phases) = prediction, prediction.maps.shape[:2]
    figure = Figure(figsize=(10.4, 2.0 * views + 3.3), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[2.0 * views + 0.3, 3.0])
    limit = plots.find_maximum([p.maps[:, :, :2]])
    titles = ("first frame, crop box", f"onset: frame {p.onset}", f"apex found: frame {p.apex}")
    titles += tuple(f"flow {name}" for name in plots.PHASE_NAMES[:phases])
    wide = [p.first[0].shape[1] / p.first[0].shape[0], *[1] * (2 + phases), 0.4]
    for k, axes in enumerate(top.subplots(views, 4 + phases, squeeze=False, width_ratios=wide)):
        starts = (p.crops[k, p.onset], p.crops[k, p.apex])
        flows = zip(starts, p.maps[k, :, :2], strict=False)
        pictures = [
            p.first[k],
            *starts,
            *(plots.lay_over(face, flow, limit) for face, flow in flows),
        ]
        for axis, picture in zip(axes, pictures, strict=False):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        for axis, title in zip(axes, (*titles, ""), strict=True):
            axis.set(xticks=[], yticks=[], title="" if k else title)
            axis.spines[:].set_visible(False)
        x0, y0, x1, y1 = p.boxes[k]
        style = {"fill": False, "edgecolor": plots.ORANGE, "linewidth": 2}
        axes[0].add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **style))
        axes[0].set_ylabel(plots.name_views(views)[k])
        axes[-1].axis("off")
        if k == 0:
            plots.add_wheel(axes[-1], limit)
    left, middle, right = bottom.subplots(1, 3, width_ratios=[1.3, 1.25, 0.45])
    plots.draw_motion_curve(p.curve, p.joint, p.onset, p.apex, p.offset, axis=left)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, fontsize=7)
    left.xaxis.get_major_locator().set_params(integer=True)
    plots.add_answers(middle, p)
    right.bar(STREAMS, p.attention, color=plots.GREY, width=0.6)
    right.axhline(1 / 3, color="black", linestyle=":", linewidth=1)
    right.set(ylim=(0, max(0.5, float(p.attention.max()) * 1.1)), title="attention")
    right.set_xticks(range(3), ["u", "v", "magn."])
    right.set_xlabel("dotted: equal shares")
    return figure
