from dataclasses import replace

import mer_utils.dataset as dataset_module
from faces4d.cameras import cameras
from faces4d.motion import read_truth
from faces4d.rendering import true_flow
from mer_tools.boxes import FaceFinder, fill_boxes
from mer_utils import MerError
from mer_utils.dataset import Clip, open_dataset, read_frames
from mer_utils.preprocessing import (
    crop,
    crop_flow,
    crop_places,
    face_mask,
    find_box,
    load_crops,
    locate,
    silhouette,
    split_views,
)

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from yunet import write_model


def disc(height=120, width=90, centre=(60, 45), radius=25, background=200):
    y, x = np.mgrid[:height, :width]
    frame = np.full((height, width), background, np.uint8)
    frame[np.hypot(y - centre[0], x - centre[1]) < radius] = 90
    return frame


def test_views_are_cut_at_half_and_an_odd_column_is_dropped():
    raw = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    np.testing.assert_array_equal(split_views(raw), [raw[..., :4], raw[..., 4:]])
    assert split_views(raw[..., :7]).shape == (2, 2, 3, 3)
    assert split_views(raw, 1).shape == (1, 2, 3, 8)
    with pytest.raises(MerError, match="cannot hold"):
        split_views(raw[..., :1])


def test_the_silhouette_is_the_largest_thing_on_a_plain_background():
    frame = disc()
    frame[2:5, 2:5] = 90  # a speck
    np.testing.assert_array_equal(silhouette(frame), disc() == 90)
    assert silhouette(np.random.default_rng(0).integers(0, 255, (80, 80)).astype(np.uint8)) is None
    assert silhouette(np.full((80, 80), 120, np.uint8)) is None


def test_the_box_follows_the_head_and_falls_back_without_one():
    x0, y0, x1, y1 = find_box(disc())
    # wide as the disc (50 px, give or take its outermost pixels), centred on it from left to right
    assert abs((x1 - x0) - 50) <= 4 and abs((x0 + x1) / 2 - 45) <= 1 and x1 - x0 == y1 - y0
    moved = find_box(disc(centre=(60, 52)))
    assert abs(moved[0] - x0 - 7) <= 1 and moved[1] == y0
    assert find_box(np.full((1600, 1200), 120, np.uint8)) == (0, 400, 1200, 1600)
    wide = np.tile(np.uint8([0, 255]), (100, 150))
    assert find_box(wide) == (100, 0, 200, 100)  # the fallback of a wide view is square, too
    # one view without a head is enough to say so
    assert locate([disc(), disc()])[1] == "silhouette"
    assert locate([disc(), np.zeros_like(disc())])[1] == "fallback"
    # the front of a scan, without hair and neck, is framed whole
    y, x = np.mgrid[:300, :240]
    face = ((x - 118) / 70) ** 2 + ((y - 150) / 95) ** 2 < 1
    x0, y0, x1, y1 = find_box(np.where(face, 120, 30).astype(np.uint8))
    assert x1 - x0 == y1 - y0 < 200 and face[y0:y1, x0:x1].sum() == face.sum()


@pytest.mark.parametrize(("centre", "enlarge"), [((60, 26), 1.5), ((60, 45), 9.0), ((34, 64), 2.0)])
def test_a_box_that_is_cut_stays_square(centre, enlarge):
    """A head at the rim, and a box larger than the view: moved or made smaller, never stretched."""
    x0, y0, x1, y1 = find_box(disc(centre=centre), enlarge)
    assert x1 - x0 == y1 - y0 and min(x0, y0) >= 0 and x1 <= 90 and y1 <= 120
    assert x0 < centre[1] < x1 and y0 < centre[0] < y1


def test_one_box_a_view_holds_the_face_in_every_clip(data):
    for clip in data.clips:
        crops, boxes = load_crops(clip, size=96)
        assert crops.shape == (2, len(clip.frames), 96, 96) and crops.dtype == np.uint8
        for view, (x0, y0, x1, y1) in enumerate(boxes):
            # the skin of the face, known exactly, lies in the box but for chin or temples that are
            # cut off
            seen = true_flow(read_truth(data, clip), cameras(data.info["size"]), view, 0, 0)[1]
            assert seen[y0:y1, x0:x1].mean() > 0.6


def test_crops_keep_pictures_scale_flow_and_refuse_boxes_outside():
    frames = np.stack([disc()] * 2)
    np.testing.assert_array_equal(crop(frames, (10, 20, 60, 70), 50), frames[:, 20:70, 10:60])
    assert crop(frames[None], (10, 20, 60, 70), 25).shape == (1, 2, 25, 25)
    for box in ((-1, 0, 10, 10), (0, 0, 91, 10), (5, 5, 5, 10)):
        with pytest.raises(MerError, match="crop box"):
            crop(frames, box, 50)
    flow = np.stack([np.full((100, 80), 1.0), np.full((100, 80), -2.0)]).astype(np.float32)
    scaled = crop_flow(flow, (20, 10, 60, 90), 40)
    assert scaled.shape == (2, 40, 40)
    np.testing.assert_allclose(scaled[0], 1.0)
    np.testing.assert_allclose(scaled[1], -1.0)


@pytest.fixture
def photographed(data, tmp_path):
    """A clip of three JPEGs of 2688 x 1792 px."""
    for number, raw in enumerate(read_frames(data.clips[0])[:3]):
        large = cv2.resize(raw, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), large, [cv2.IMWRITE_JPEG_QUALITY, 98])
    names = tuple(f"{number}.jpg" for number in range(3))
    return Clip("large", "S01", (1,), tmp_path, names, 0, 1, 2)


def test_large_jpegs_are_decoded_smaller_and_give_the_same_crops(photographed, monkeypatch):
    shrinks, read = [], dataset_module.read_image

    def spy(path, shrink=1):
        shrinks.append(shrink)
        return read(path, shrink=shrink)

    monkeypatch.setattr(dataset_module, "read_image", spy)
    places = [(64, 1.0), (256, 1.0), (700, 1.0), (64, 1.2)]
    together = crop_places(photographed, 2, places)
    assert set(shrinks) == {1, 2, 8}
    whole = split_views(read_frames(photographed))
    for (crops, boxes), place, step in zip(together, places, (8, 2, 1, 8), strict=True):
        # boxes are in px of the whole frames
        assert boxes == locate([view[0] for view in whole], enlarge=place[1])[0]
        near = [[step * round(side / step) for side in box] for box in boxes]
        pairs = zip(whole, near, strict=True)
        expected = np.stack([crop(view, box, place[0]) for view, box in pairs])
        assert np.abs(crops.astype(int) - expected).mean() < 1
        # what else is asked for changes no bit
        np.testing.assert_array_equal(load_crops(photographed, 2, *place)[0], crops)


def test_a_box_or_a_frame_that_does_not_fit_is_told_in_px_of_the_file(photographed):
    outside = replace(photographed, boxes=((0, 0, 1345, 1345), (0, 0, 1000, 1000)))
    with pytest.raises(MerError, match=r"clip large: the crop box .*1345\) .* 1344 x 1792 px"):
        load_crops(outside, 2)
    path = photographed.frames[1]
    cv2.imwrite(str(path), cv2.imread(str(path))[:-1])  # a row less: equal when 8 times smaller
    with pytest.raises(MerError, match=r"1.jpg: 2688 x 1791 px, .* 2688 x 1792 px"):
        load_crops(photographed, 2, 64)


def test_yunet_fills_the_boxes_that_are_needed(copy, tmp_path):
    """Those of the first clip, put before a busy background, with one bright cell in each view."""
    model, clips = write_model(tmp_path / "stand-in.onnx"), open_dataset(copy).clips
    frame = np.random.default_rng(1).integers(0, 120, (224, 336)).astype(np.uint8)
    frame[96:128, 64:96] = frame[96:128, 168 + 32 : 168 + 64] = 255
    for path in clips[0].frames:
        cv2.imwrite(str(path), frame)
    names = [clip.name for clip in clips]
    assert fill_boxes(copy, model) == {names[0]: "found", **dict.fromkeys(names[1:], "silhouette")}
    clips = open_dataset(copy).clips
    # the stand-in's box is 64 px about the bright cell; x1.5 that is 96 px, clipped to the view
    assert clips[0].boxes == ((32, 64, 128, 160), (0, 64, 96, 160))
    assert all(clip.boxes is None for clip in clips[1:])
    assert fill_boxes(copy, model)[names[0]] == "manifest"


def test_a_model_that_is_none_is_refused(tmp_path, capfd):
    with pytest.raises(MerError, match="no such model file"):
        FaceFinder(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(MerError, match=r"text\.onnx: OpenCV cannot use it"):
        FaceFinder(tmp_path / "text.onnx")
    assert capfd.readouterr() == ("", "")


def test_the_mask_leaves_plain_background_out_whatever_its_grey():
    rng = np.random.default_rng(0)
    skin = 110 + 25 * gaussian_filter(rng.standard_normal((128, 128)), 1.0) * 3
    y, x = np.mgrid[:128, :128]
    head = np.hypot((x - 60) / 0.8, y - 62) < 55
    for grey in (20, 120, 240):
        film = np.where(head, skin, grey) + rng.standard_normal((1, 12, 128, 128))
        mask = face_mask(np.clip(film, 0, 255).astype(np.uint8))[0]
        inside = np.hypot((x - 60) / 0.8, y - 62) < 48
        outside = np.hypot((x - 60) / 0.8, y - 62) > 64
        assert mask[inside].mean() > 0.9 and mask[outside].mean() < 0.05
    rough = np.tile(skin, (2, 3, 1, 1)).astype(np.uint8)  # texture everywhere: the oval alone
    corners = face_mask(rough)[0][[0, 0, -1, -1], [0, -1, 0, -1]]
    assert not corners.any() and face_mask(rough)[0].mean() > 0.7
