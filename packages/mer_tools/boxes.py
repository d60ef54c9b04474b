"""Face boxes by YuNet, for clips without a plain background."""

from pathlib import Path

from mer_tools.importing.tables import read_table, write_table
from mer_utils import MerError
from mer_utils.dataset import iterate_frames, open_dataset
from mer_utils.preprocessing import format_boxes, locate, split_views, square_box

import cv2
import numpy as np

ENLARGE = 1.5  # of a found face's box about its centre: read in public code for the challenge


class FaceFinder:
    """OpenCV's YuNet with a model file that the user names: finds faces before any background."""

    def __init__(self, model):
        """Load ``model`` (.onnx); MerError if it is not there or is no such model."""
        if not Path(model).is_file():
            raise MerError(model, "no such model file; data/README.md says where YuNet's is")
        try:
            self.net = cv2.FaceDetectorYN.create(str(model), "", (320, 320))
            self.net.detect(np.zeros((320, 320, 3), np.uint8))
        except cv2.error:
            raise MerError(model, "OpenCV cannot use it as a YuNet model (.onnx)") from None

    def find(self, frame):
        """Return the box (x0, y0, x1, y1) px of the largest face on one frame (H, W) of one view,
        square and enlarged as the challenge's entry enlarges its own; None for no face.
        """
        self.net.setInputSize(frame.shape[::-1])
        faces = self.net.detect(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))[1]
        if faces is None:
            return None
        x, y, width, height = max(faces, key=lambda face: face[2] * face[3])[:4]
        return square_box(x + width / 2, y + height / 2, ENLARGE * width, *frame.shape[::-1])


def fill_boxes(root, model):
    """Write the column ``box`` of a dataset's manifest for the clips that have none and no plain
    background, found by YuNet on their first frames; return {clip: "manifest", "silhouette",
    "found", or "not found"}.
    """
    dataset, finder, done = open_dataset(root), FaceFinder(model), {}
    rows = [row.cells for row in read_table(dataset.root / "manifest.csv")]
    for clip, cells in zip(dataset.clips, rows, strict=True):
        first = split_views(next(iterate_frames(clip)), dataset.views)
        _, how = locate(first, clip)
        if how == "fallback":
            boxes = [finder.find(view) for view in first]
            how = "not found" if None in boxes else "found"
            if how == "found":
                cells["box"] = format_boxes(boxes)
        done[clip.name] = how
    if "found" in done.values():
        write_table(dataset.root / "manifest.csv", [{"box": "", **cells} for cells in rows])
    return done
