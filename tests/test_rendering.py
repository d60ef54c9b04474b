"""Pictures and true flow, against projections and warped frames; what bench-v2 adds to them."""

from dataclasses import replace

from faces4d import rendering
from faces4d.cameras import AIM, BACKGROUND, Camera, cameras
from faces4d.head import AUS, STEADY, make_face
from faces4d.motion import Motion
from faces4d.rendering import place, render_clip, render_frame, true_flow
from faces4d.scenario import PRESETS
from mer_utils import MerError

import cv2
import numpy as np
import pytest
import trimesh

LEVELS = PRESETS["bench-v2"]
VIEWS = cameras()


def acting(frames=2, rotation=0, translation=0, face_seed=1, **activations):
    """A noise-free clip: at rest at frame 0, with AUs au12=0.3, ... and a pose from frame 1 on."""
    weights = np.zeros((frames, len(AUS), 2), np.float32)
    for name, value in activations.items():
        weights[1:, AUS.index(int(name[2:]))] = value
    turned, moved = np.zeros((2, frames, 3), np.float32)
    turned[1:], moved[1:] = rotation, translation
    gain = np.ones(frames, np.float32)
    return Motion(face_seed, weights, turned, moved, gain, 7, 0.0, 0, 1, frames - 1, 60, (12,))


# a smile and raised brows with a turning, shifting head: ~2 px in all
POSE = {"rotation": [0.004, 0.01, -0.003], "translation": [0.01, -0.008, 0.01]}
MOVING = acting(au12=0.2, au1=0.15, au2=0.15, **POSE)


def in_a_room(**activations):
    """A clip with a still head as bench-v2 films it, before anything spoils a view."""
    levels = {name: getattr(LEVELS, name) for name in ("variation", "background", "furrows")}
    return replace(acting(**activations), **levels)


def front_mask(motion, camera, border=4):
    """Pixels (H, W) of the face's front, ``border`` px inside its outline."""
    points = camera.project(place(motion, 0)[make_face(1).front])
    mask = np.zeros((camera.height, camera.width), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return cv2.erode(mask, np.ones((2 * border + 1,) * 2)) > 0


def test_cameras_stand_left_and_right_and_project_by_hand():
    left, right = VIEWS
    assert (left.height, left.width, left.yaw, right.yaw) == (224, 168, -25, 25)
    middle = np.array([left.width - 1, left.height - 1]) / 2
    np.testing.assert_allclose(left.project(AIM), middle)
    front = Camera(0, 224, 168)
    one = front.focal / (front.distance - 1)  # px a unit at z = 1
    place = front.project([0.5, AIM[1] + 0.25, 1])
    np.testing.assert_allclose(place - middle, [0.5 * one, -0.25 * one])
    nose = np.array([0, -0.2, 1.1])
    # from x < 0 a nose points to the right
    assert left.project(nose)[0] > middle[0] > right.project(nose)[0]
    for bad in ({"size": 8}, {"yaw": 90}):
        with pytest.raises(MerError, match="cannot be filmed"):
            cameras(**bad)


def test_frames_have_shape_background_and_a_head_of_the_right_size():
    frames = render_clip(MOVING, VIEWS)
    assert frames.shape == (2, 2, 224, 168) and frames.dtype == np.uint8
    assert (frames[:, :, :5] == BACKGROUND).all()  # nothing above the hair
    chin = VIEWS[0].project(np.array([0, -1.03, 0.6]))[1]
    for first in frames[:, 0]:
        head = np.abs(first.astype(int) - BACKGROUND) > 10
        assert not head[:, :2].any() and not head[:, 166:].any()  # both sides free
        assert 0.72 < (chin - head.any(1).argmax()) / 224 < 0.88  # about 80 % of the height
        assert np.ptp(first[head]) > 100  # a picture, not a silhouette


def test_noise_and_gain_are_as_told():
    still = acting(frames=4)
    clean = render_clip(still, VIEWS)
    assert (clean[:, 1:] == clean[:, :-1]).all()
    noisy = render_clip(replace(still, noise_sigma=1.8), VIEWS).astype(float) - clean
    # 1/12: variance of rounding
    assert noisy.std() == pytest.approx(np.sqrt(1.8**2 + 1 / 12), rel=0.05)
    assert abs(noisy.mean()) < 0.05
    dim = render_clip(replace(still, gain=np.full(4, 0.9, np.float32)), VIEWS)
    assert dim[0, 0, 0, 0] == round(0.9 * BACKGROUND)


@pytest.mark.parametrize("variation", [STEADY, LEVELS.variation])
@pytest.mark.parametrize("view", [0, 1])
def test_flow_equals_the_projected_motion_of_visible_vertices(view, variation):
    """Independent of the rasteriser: vertices seen in frame 0, projected at both frames."""
    camera, face, varied = VIEWS[view], make_face(1), replace(MOVING, variation=variation)
    flow, visible = true_flow(varied, VIEWS, view, 0, 1)
    start, end = place(varied, 0), place(varied, 1)
    normals = trimesh.Trimesh(start, face.triangles, process=False).vertex_normals
    towards = np.linalg.inv(camera.pose)[:3, 3] - start
    facing = (normals * towards).sum(1) / np.linalg.norm(towards, axis=1)
    chosen = np.flatnonzero(face.front & (facing > 0.6))[::7]
    at = camera.project(start[chosen])
    x, y = at.T.astype(np.float32)[:, None]
    u, v, whole = (cv2.remap(m.astype(np.float32), x, y, 1)[0] for m in (*flow, visible))
    error = np.hypot(*(np.c_[u, v] - (camera.project(end[chosen]) - at)).T)[whole == 1]
    assert len(error) > 500
    # bilinear sampling across a mesh of ~0.6 px
    assert np.median(error) < 0.005 and np.percentile(error, 95) < 0.05


def test_no_motion_no_flow_and_the_background_is_invisible():
    flow, visible = true_flow(MOVING, VIEWS, 0, 1, 1)
    assert flow.shape == (2, 224, 168) and flow.dtype == np.float32 and visible.dtype == bool
    assert not flow.any() and not visible[:10].any()
    assert visible[front_mask(MOVING, VIEWS[0], 8)].mean() > 0.99
    for frames in ((2, 0), (0, -1)):
        with pytest.raises(MerError, match=r"no frame (2|-1); it has frames 0 to 1"):
            true_flow(MOVING, VIEWS, 0, *frames)


def test_what_turns_away_behind_the_nose_is_not_visible():
    turned = acting(rotation=[0, -0.35, 0])
    mask = front_mask(turned, VIEWS[1], 6)
    hidden = [1 - true_flow(turned, VIEWS, 1, 0, j)[1][mask].mean() for j in (0, 1)]
    assert hidden[0] < 0.01 < hidden[1]


@pytest.mark.parametrize("face_seed", [1, 13, 29])  # eye corners of wide faces once leaked
def test_there_are_no_holes_in_the_head(face_seed):
    """With eyes wide open nothing shines through lids, corners of eyes or lips."""
    vertices = place(acting(face_seed=face_seed, au5=1, au12=1), 1)
    blank, triangles = np.zeros_like(vertices), make_face(face_seed).triangles
    for camera in (*VIEWS, Camera(0, 224, 168)):
        _, depth = rendering.rasterise(camera, vertices, triangles, blank, 2)
        behind = (depth == rendering.FAR).astype(np.uint8)
        areas = cv2.connectedComponentsWithStats(behind)[2][1:, cv2.CC_STAT_AREA]
        # a lone pixel may lie between ear and hair, none is seen at half size
        assert (np.sort(areas)[:-1] <= 1).all()


def test_furrows_darken_skin_in_proportion_and_nothing_else():
    raised = in_a_room(au1=0.5, au2=0.5)
    shade_furrows = rendering.shade_furrows
    assert (shade_furrows(raised, 0) == 1).all()
    half, whole = 1 - shade_furrows(in_a_room(au1=0.25, au2=0.25), 1), 1 - shade_furrows(raised, 1)
    assert 0.05 < whole.max() < 0.6
    np.testing.assert_allclose(2 * half, whole, atol=1e-6)
    flat = replace(raised, furrows=(0.0, 0.0))
    change = render_frame(raised, VIEWS[1], 1) - render_frame(flat, VIEWS[1], 1)
    assert change.max() < 1e-3 and change.min() < -5  # grey levels, darker only
    eyes = VIEWS[1].project(np.array([0.31, 0.2, 0.75]))[1]
    assert np.flatnonzero((change < -1).any(1)).max() < eyes  # on the forehead


def test_what_spoils_a_view_spoils_that_view_only():
    still = in_a_room()
    clean = render_clip(still, VIEWS).astype(int)
    assert np.array_equal(clean[:, 0], clean[:, 1])  # the room and the person are still
    for seed in range(1, 5):
        cover = {"degraded": 1, "cover_seed": seed, "cover_drift": (0.5, 0.0)}
        covered = render_clip(replace(still, **cover), VIEWS)
        assert np.array_equal(covered[0], clean[0])
        assert 0.01 < (np.abs(covered[1, 0] - clean[1, 0]) > 10).mean() < 0.35, seed
        assert not np.array_equal(*covered[1])  # it moves
    sharp, soft = render_clip(replace(still, blur=(0.5, 4.0)), VIEWS)[:, 0]
    assert cv2.Laplacian(soft, cv2.CV_32F).std() < 0.3 * cv2.Laplacian(sharp, cv2.CV_32F).std()
    coarse, fine = np.abs(render_clip(replace(still, jpeg=(40, 95)), VIEWS) - clean)
    assert coarse.mean() > 1.5 * fine.mean() > 0
