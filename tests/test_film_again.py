from dataclasses import replace

from faces4d.cameras import cameras
from faces4d.film_again import (
    Condition,
    _move_boxes,
    answer_again,
    change_motion,
    drop_cameras,
    film_again,
    film_front,
    measure_motion,
)
from faces4d.motion import read_truth, simulate, true_motion
from faces4d.rendering import find_head, render_clip
from faces4d.scenario import plan_clips
from mer_utils.evaluation import run_loso
from mer_utils.features import FrontEnd, extract
from mer_utils.preprocessing import square_box
from mer_utils.training import Recipe

import numpy as np
import pytest

SMALL = FrontEnd(crop=64, size=12)


@pytest.mark.slow
def test_filming_again_as_it_was_gives_the_same_maps(data, tmp_path, capsys):
    features = extract(data, SMALL)
    rows = np.array([1, 4])
    conditions = [Condition(), Condition(motion=2.0)]
    (maps, apex), (doubled, _) = film_again(data, rows, conditions, SMALL, tmp_path, jobs=2)
    np.testing.assert_array_equal(maps, features.x[rows])
    np.testing.assert_array_equal(apex, features.apex[rows])
    # more motion is seen
    assert (doubled[:, :, 0, 2].mean((1, 2, 3)) > maps[:, :, 0, 2].mean((1, 2, 3))).all()
    files = list(tmp_path.glob("filmed/*.safetensors"))
    assert len(files) == 2
    before = [path.stat().st_mtime_ns for path in files]
    again = film_again(data, rows, conditions, SMALL, tmp_path)
    np.testing.assert_array_equal(again[1][0], doubled)
    assert [path.stat().st_mtime_ns for path in files] == before
    whole = [path.read_bytes() for path in files]
    files[0].write_bytes(whole[0][: len(whole[0]) // 2])
    files[1].write_bytes(whole[1][:-1] + bytes([whole[1][-1] ^ 1]))
    np.testing.assert_array_equal(
        film_again(data, rows, conditions, SMALL, tmp_path)[1][0], doubled
    )
    assert [path.read_bytes() for path in files] == whole and capsys.readouterr().err.count(
        "made again"
    ) == 2


def test_each_condition_changes_one_thing(data):
    motion = read_truth(data, data.clips[0])
    small = change_motion(motion, Condition(motion=0.5))
    np.testing.assert_allclose(true_motion(small), true_motion(motion) / 2, rtol=1e-5)
    still = change_motion(motion, Condition(head=0.0))
    assert (
        np.ptp(still.rotation, axis=0).max() == 0
        and (still.rotation[0] == motion.rotation[0]).all()
    )
    np.testing.assert_array_equal(still.weights, motion.weights)
    views = cameras(data.info["size"])
    clean, noisy = (
        render_clip(change_motion(motion, Condition(noise=n)), views)[0, 0] for n in (0.0, 6.0)
    )
    # what is cut off at white is little
    assert (clean.astype(float) - noisy).std() == pytest.approx(6.0, rel=0.1)
    assert change_motion(motion, Condition()).noise_sigma == motion.noise_sigma


def test_motion_is_measured_in_px_of_the_crop(data):
    sizes = measure_motion(data, range(len(data)))
    assert sizes.shape == (6,) and (0.005 < sizes).all() and (sizes < 2).all()


def test_answers_come_from_the_fold_that_left_the_subject_out(data):
    features = extract(data, SMALL)
    features = replace(features, subjects=np.array([f"P{n % 4}" for n in range(6)]))
    recipe = Recipe(epochs=2, inner=2, width=4)
    features.y[0] = 1  # every label occurs
    outcome = run_loso(features, recipe)
    rows = np.arange(6)
    np.testing.assert_array_equal(
        answer_again(outcome, features, recipe, rows, features.x), outcome.answers
    )
    np.testing.assert_array_equal(
        answer_again(outcome, features, recipe, rows[3:], features.x[3:]), outcome.answers[3:]
    )


def test_boxes_go_where_other_cameras_see_the_face():
    motion = simulate(plan_clips(3, 3, seed=1002, preset="bench-v2")[0])
    sides, front = cameras(), cameras(yaw=0.0)
    off = 6  # px beside and 4 above where the face is
    boxes = []
    for camera in sides:
        x, y, side = find_head(motion, camera)
        boxes.append(square_box(x + off, y - 4, side, camera.width, camera.height))
    assert _move_boxes(boxes, motion, sides, sides) == tuple(boxes)
    for (x0, y0, x1, y1), camera in zip(_move_boxes(boxes, motion, sides, front), front,
                                        strict=True):  # fmt: skip
        x, y, side = find_head(motion, camera)
        assert (x0 + x1) / 2 - x == pytest.approx(off, abs=2) and x1 - x0 == y1 - y0
        assert (y0 + y1) / 2 - y == pytest.approx(-4, abs=2)
        assert x1 - x0 == pytest.approx(side, abs=2)
    assert _move_boxes(None, motion, sides, front) is None


@pytest.mark.slow
def test_a_camera_in_front_is_one_view_of_the_same_clips(data, tmp_path):
    features = extract(data, SMALL)
    front = film_front(data, features, SMALL, tmp_path, jobs=2)
    count, _, *shape = features.x.shape
    assert front.x.shape == (count, 1, *shape)
    assert (front.clips == features.clips).all() and (front.y == features.y).all()
    again, apex = film_again(data, [1], [Condition(yaw=0.0, views=1)], SMALL)[0]
    np.testing.assert_array_equal(front.x[1], again[0])
    assert front.apex[1] == apex[0]
    assert np.abs(front.x - features.x[:, :1]).max() > 0.1  # px: another picture


def test_one_camera_alone_films_what_it_films_beside_another():
    """The left one's noise, light and cover; what stands before the right one is not there."""
    plans = plan_clips(8, 40, seed=1002, preset="bench-v2")
    motions = [m for m in map(simulate, plans) if m.cover_seed]
    sides = cameras(size=96)
    for side in (0, 1):
        motion = next(m for m in motions if m.degraded == side)
        motion = replace(motion, weights=motion.weights[:3], rotation=motion.rotation[:3],
                         translation=motion.translation[:3], gain=motion.gain[:3])  # fmt: skip
        alone = drop_cameras(motion, 1)
        both, left = render_clip(motion, sides), render_clip(alone, sides[:1])
        np.testing.assert_array_equal(left[0], both[0])
        assert (alone.cover_seed == 0) == (side == 1)
