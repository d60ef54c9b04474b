from dataclasses import replace

from faces4d.cameras import cameras
from faces4d.film_again import (
    Condition,
    _move_boxes,
    change_motion,
    film_again,
    film_front,
    measure_motion,
    turn_knobs,
)
from faces4d.generate import write_synthetic
from faces4d.motion import read_truth, simulate, true_motion
from faces4d.rendering import find_head, render_clip
from faces4d.scenario import plan_clips
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import macro_uf1
from mer_utils.features import FrontEnd, extract
from mer_utils.preprocessing import square_box
from mer_utils.training import Recipe

import numpy as np
import pytest

FRONT = FrontEnd(crop=64, size=12)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two clips and their features."""
    dataset = open_dataset(write_synthetic(tmp_path_factory.mktemp("film") / "a", 2, 2, 3, size=96))
    return dataset, extract(dataset, FRONT)


@pytest.mark.slow
def test_films_are_those_of_the_set_and_are_kept(small, tmp_path, capsys):
    dataset, features = small
    rows, conditions = np.array([1]), [Condition(), Condition(motion=2.0)]
    (maps, apex), (doubled, _) = film_again(dataset, rows, conditions, FRONT, tmp_path)
    np.testing.assert_array_equal(maps, features.x[rows])
    np.testing.assert_array_equal(apex, features.apex[rows])
    # more motion is seen
    assert (doubled[:, :, 0, 2].mean((1, 2, 3)) > maps[:, :, 0, 2].mean((1, 2, 3))).all()
    first, second = tmp_path.glob("filmed/*.safetensors")
    whole, time = first.read_bytes(), second.stat().st_mtime_ns
    first.write_bytes(whole[:-9])
    film_again(dataset, rows, conditions, FRONT, tmp_path)
    assert first.read_bytes() == whole and "made again" in capsys.readouterr().err
    assert second.stat().st_mtime_ns == time


def test_each_condition_changes_one_thing(small):
    dataset, _ = small
    motion = read_truth(dataset, dataset.clips[0])
    halved = change_motion(motion, Condition(motion=0.5))
    np.testing.assert_allclose(true_motion(halved), true_motion(motion) / 2, rtol=1e-5)
    still = change_motion(motion, Condition(head=0.0))
    assert (still.rotation == motion.rotation[0]).all()
    np.testing.assert_array_equal(still.weights, motion.weights)
    clips = [change_motion(motion, Condition(noise=noise)) for noise in (0.0, 6.0)]
    clean, noisy = (render_clip(clip, cameras(96))[0, 0].astype(float) for clip in clips)
    # what is cut off at white is little
    assert (clean - noisy).std() == pytest.approx(6.0, rel=0.1)
    sizes = measure_motion(dataset, range(2))
    assert sizes.shape == (2,) and (0.005 < sizes).all() and (sizes < 2).all()  # px


def test_a_knob_is_measured_by_the_folds_that_left_subjects_out(data, trained, monkeypatch):
    _, features, outcome = trained
    rows = np.arange(len(features.y))[1:]
    true = np.array([data.clips[row].apex for row in rows])

    def film(dataset, rows, conditions, options, cache, jobs):
        assert conditions == [Condition(), Condition(noise=4.0)]  # none is filmed twice
        return [(features.x[rows], true + off) for off in (0, 3)]

    monkeypatch.setattr("faces4d.film_again.film_again", film)
    noise = {1.75: Condition(), 4.0: Condition(noise=4.0)}
    knobs = {"noise": noise, "head": {1.0: Condition()}}
    recipe = Recipe(epochs=2, inner=2, width=4)  # that of ``trained``
    found = turn_knobs(data, features, outcome, recipe, rows, knobs)
    assert found["noise"]["settings"] == [1.75, 4.0]
    assert found["noise"]["apex_error_frames"] == [(0, 0, 0), (3, 3, 3)]
    scores = found["noise"]["macro_uf1"]
    assert scores[0] == scores[1] == found["head"]["macro_uf1"][0]
    assert scores[0][0] == macro_uf1(features.y[rows], outcome.answers[rows])
    assert scores[0][1] <= scores[0][0] <= scores[0][2]


def test_a_camera_in_front_is_one_view_of_the_same_clips(small, tmp_path):
    dataset, features = small
    front = film_front(dataset, features, FRONT, tmp_path)
    count, _, *shape = features.x.shape
    assert front.x.shape == (count, 1, *shape)
    assert np.abs(front.x - features.x[:, :1]).max() > 0.1  # px: another picture


def test_boxes_go_where_other_cameras_see_the_face():
    motion = simulate(plan_clips(3, 3, seed=1002, preset="bench-v2")[0])
    sides, front = cameras(), cameras(yaw=0.0)
    boxes = []
    for camera in sides:  # 6 px beside and 4 above where the face is
        x, y, side = find_head(motion, camera)
        boxes.append(square_box(x + 6, y - 4, side, camera.width, camera.height))
    x0, y0, x1, y1 = np.transpose(_move_boxes(boxes, motion, sides, front))
    x, y, side = np.transpose([find_head(motion, camera) for camera in front])
    np.testing.assert_allclose([(x0 + x1) / 2 - x, (y0 + y1) / 2 - y], [[6, 6], [-4, -4]], atol=2)
    np.testing.assert_allclose(x1 - x0, side, atol=2)


def test_one_camera_alone_films_what_it_films_beside_another():
    """The left one's noise, light and cover; what stands before the right one is not there."""
    motions = map(simulate, plan_clips(8, 40, seed=1002, preset="bench-v2")[36:])
    covered = {motion.degraded: motion for motion in motions if motion.cover_seed}
    for side, motion in covered.items():
        courses = ("weights", "rotation", "translation", "gain", "key")
        short = replace(motion, **{name: getattr(motion, name)[:3] for name in courses})
        alone = change_motion(short, Condition(views=1))
        both, left = (render_clip(m, cameras(96)[:n]) for m, n in ((short, 2), (alone, 1)))
        np.testing.assert_array_equal(left[0], both[0])
        assert (alone.cover_seed == 0) == (side == 1)
    assert set(covered) == {0, 1}
