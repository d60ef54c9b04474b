"""Pictures and true flow: checked against projections, known translations, and warping one frame
into the other.
"""

import dataclasses

from faces4d import anatomy, head, rendering
from faces4d.cameras import BACKGROUND, Camera, cameras
from faces4d.motion import Motion
from faces4d.rendering import place, render_clip, true_flow, write_obj
from mer_utils import MerError

import cv2
import numpy as np
import pytest

FACE = 1
VIEWS = cameras()


def a_motion(weights=None, rotation=None, translation=None, frames=2, sigma=0.0, gain=1.0):
    """A noise-free clip: at rest at frame 0, as given from frame 1 on."""

    def later(value, shape):
        array = np.zeros((frames, *shape), np.float32)
        if value is not None:
            array[1:] = value
        return array

    return Motion(
        FACE, later(weights, (len(head.AUS), 2)), later(rotation, (3,)), later(translation, (3,)),
        np.full(frames, gain, np.float32), 7, sigma, 0, 1, frames - 1, 60, (12,),
    )  # fmt: skip


def acting(**activations):
    """AU weights (A, 2) from au12=0.3, ..."""
    weights = np.zeros((len(head.AUS), 2))
    for name, value in activations.items():
        weights[head.AUS.index(int(name[2:]))] = value
    return weights


@pytest.fixture(scope="module")
def moving():
    """A smile and raised brows with a turning, shifting head: everything the flow has to follow, ~2
    px in all.
    """
    return a_motion(
        acting(au12=0.2, au1=0.15, au2=0.15),
        rotation=[0.004, 0.01, -0.003],
        translation=[0.01, -0.008, 0.01],
    )


def front_mask(motion, camera, border=4):
    """Pixels (H, W) of the face's front, ``border`` px inside its outline."""
    points = camera.project(place(motion, 0)[head.make_face(FACE).front])
    mask = np.zeros((camera.height, camera.width), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return cv2.erode(mask, np.ones((2 * border + 1,) * 2)) > 0


def test_cameras_stand_left_and_right_and_project_by_hand():
    left, right = VIEWS
    assert (left.height, left.width, left.yaw, right.yaw) == (224, 168, -25, 25)
    assert cameras(100)[0].width == 76  # 75, rounded to even
    middle = np.array([(left.width - 1) / 2, (left.height - 1) / 2])
    np.testing.assert_allclose(left.project(rendering.AIM), middle)
    front = Camera(0, 224, 168)
    one = front.focal / (front.distance - 1)  # px a unit at z = 1
    np.testing.assert_allclose(
        front.project(rendering.AIM + np.array([0.5, 0.25, 1])),
        middle + np.array([0.5, -0.25]) * one,
    )
    nose = np.array([0, -0.2, 1.1])
    # from x < 0 a nose points to the right
    assert left.project(nose)[0] > middle[0] > right.project(nose)[0]
    for bad in ({"size": 8}, {"yaw": 90}):
        with pytest.raises(MerError):
            cameras(**bad)


def test_frames_have_shape_background_and_a_head_of_the_right_size(moving):
    frames = render_clip(moving, VIEWS)
    assert frames.shape == (2, 2, 224, 168) and frames.dtype == np.uint8
    assert (frames[:, :, :5] == BACKGROUND).all()  # nothing above the hair
    for first in frames[:, 0]:
        head = np.abs(first.astype(int) - BACKGROUND) > 10
        rows, columns = np.flatnonzero(head.any(1)), np.flatnonzero(head.any(0))
        assert columns[0] > 2 and columns[-1] < 165  # both sides free
        chin = VIEWS[0].project(np.array([0, -1.03, 0.6]))[1]
        assert 0.72 < (chin - rows[0]) / 224 < 0.88  # the brief: about 80 % of the height
        assert np.ptp(first[head]) > 100  # a picture, not a silhouette


def test_rendering_is_deterministic_and_noise_and_gain_are_as_told():
    still = a_motion(frames=12)
    clean = render_clip(still, VIEWS)
    assert np.array_equal(clean, render_clip(still, VIEWS))
    assert (clean[:, 1:] == clean[:, :-1]).all()
    noisy = render_clip(dataclasses.replace(still, noise_sigma=1.8), VIEWS).astype(float) - clean
    # 1/12: variance of rounding
    assert noisy.std() == pytest.approx(np.sqrt(1.8**2 + 1 / 12), rel=0.05)
    assert abs(noisy.mean()) < 0.05
    dim = render_clip(dataclasses.replace(still, gain=np.full(12, 0.9, np.float32)), VIEWS)
    assert dim[0, 0, 0, 0] == round(0.9 * BACKGROUND)


def test_light_stays_in_the_world_when_the_head_turns():
    """A head turned to the left and one turned to the right are lit differently: the key light
    stands at the left.
    """
    vertices = head.make_face(FACE).vertices
    front = head.make_face(FACE).front
    light = []
    for yaw in (-0.5, 0.5):
        turn = cv2.Rodrigues(np.array([0, yaw, 0]))[0].astype(np.float32)
        light.append(rendering._shade(FACE, vertices @ turn.T)[front].mean())
    assert light[0] > light[1] + 0.03


@pytest.mark.parametrize("view", [0, 1])
def test_flow_equals_the_projected_motion_of_visible_vertices(moving, view):
    """Independent of the rasteriser's interpolation: vertices seen in frame i, projected at i and
    at j.
    """
    camera = VIEWS[view]
    flow, visible = true_flow(moving, VIEWS, view, 0, 1)
    face = head.make_face(FACE)
    start, end = place(moving, 0), place(moving, 1)
    towards = np.linalg.inv(camera.pose)[:3, 3] - start
    normals = np.zeros_like(start)
    a, b, c = (start[face.triangles[:, k]] for k in range(3))
    for k in range(3):
        np.add.at(normals, face.triangles[:, k], np.cross(b - a, c - a))
    facing = (
        (normals * towards).sum(1)
        / np.linalg.norm(normals, axis=1).clip(1e-12)
        / np.linalg.norm(towards, axis=1)
    )
    chosen = np.flatnonzero(face.front & (facing > 0.6))[::7]
    at = camera.project(start[chosen])
    wanted = camera.project(end[chosen]) - camera.project(start[chosen])
    sampled = [
        cv2.remap(part, *at.T.astype(np.float32)[:, None], cv2.INTER_LINEAR)[0]
        for part in (*flow, visible.astype(np.float32))
    ]
    whole = sampled[2] == 1
    error = np.hypot(sampled[0] - wanted[:, 0], sampled[1] - wanted[:, 1])[whole]
    assert whole.sum() > 500
    # bilinear sampling across a mesh of ~0.6 px
    assert np.median(error) < 0.005 and np.percentile(error, 95) < 0.05


@pytest.mark.parametrize("camera", VIEWS)
def test_the_rasteriser_samples_where_the_camera_projects(camera):
    """Points of the surface found at a pixel project back onto that pixel's centre."""
    vertices, triangles = place(a_motion(), 0), head.make_face(FACE).triangles
    # into 0..1
    values, depth = rendering.rasterise(camera, vertices, triangles, vertices / 4 + 0.5)
    rows, columns = np.nonzero(depth < rendering.FAR)
    back = camera.project((values[rows, columns].astype(float) - 0.5) * 4)
    error = np.abs(back - np.c_[columns, rows]).max(1)
    assert (
        np.percentile(error, 99) < 0.02
    )  # float32 and interpolation that is linear in the image, on triangles of ~0.6 px


def test_no_motion_no_flow_and_the_background_is_invisible(moving):
    flow, visible = true_flow(moving, VIEWS, 0, 1, 1)
    assert flow.shape == (2, 224, 168) and flow.dtype == np.float32 and visible.dtype == bool
    assert not flow.any()
    assert not visible[:10].any() and visible[front_mask(moving, VIEWS[0], 8)].mean() > 0.99


def test_forward_and_backward_flow_cancel(moving):
    there, visible = true_flow(moving, VIEWS, 0, 0, 1)
    back, _ = true_flow(moving, VIEWS, 0, 1, 0)
    rows, columns = np.mgrid[:224, :168].astype(np.float32)
    returned = np.stack(
        [cv2.remap(part, columns + there[0], rows + there[1], cv2.INTER_LINEAR) for part in back]
    )
    error = np.hypot(*(there + returned))[visible & front_mask(moving, VIEWS[0])]
    assert np.hypot(*there)[visible].max() > 1  # there is something to cancel
    assert (
        np.median(error) < 0.01 and np.percentile(error, 95) < 0.1
    )  # depth jumps at nose and lids blur bilinear sampling


@pytest.mark.parametrize("view", [0, 1])
def test_warping_by_the_flow_turns_one_frame_into_the_other(moving, view):
    first, second = render_clip(moving, VIEWS)[view].astype(np.float32)
    flow, visible = true_flow(moving, VIEWS, view, 0, 1)
    rows, columns = np.mgrid[:224, :168].astype(np.float32)
    warped = cv2.remap(second, columns + flow[0], rows + flow[1], cv2.INTER_CUBIC)
    mask = visible & front_mask(moving, VIEWS[view])
    assert np.abs(warped - first)[mask].mean() < 0.35 * np.abs(second - first)[mask].mean()


def test_what_turns_away_behind_the_nose_is_not_visible():
    """Turning the head by 20 degrees hides a part of the far cheek and of the background's edge,
    and only then.
    """
    turned = a_motion(rotation=[0, -0.35, 0])
    hidden = [
        1 - true_flow(turned, VIEWS, 1, 0, j)[1][front_mask(turned, VIEWS[1], 6)].mean()
        for j in (0, 1)
    ]
    assert hidden[0] < 0.01 < hidden[1]


# wide faces among them: their eye corners once leaked
@pytest.mark.parametrize("face_seed", [1, 6, 13, 29])
def test_there_are_no_holes_in_the_head(face_seed):
    """With eyes wide open the background is one piece: nothing shines through lids, corners of eyes
    or lips.
    """
    motion = dataclasses.replace(a_motion(acting(au5=1, au12=1)), face_seed=face_seed)
    vertices, triangles = place(motion, 1), head.make_face(face_seed).triangles
    for camera in (*VIEWS, Camera(0, 224, 168)):
        _, depth = rendering.rasterise(camera, vertices, triangles, np.zeros_like(vertices), 2)
        pieces = cv2.connectedComponentsWithStats((depth == rendering.FAR).astype(np.uint8))[2][
            1:, cv2.CC_STAT_AREA
        ]
        # a lone pixel may lie between ear and hair, none is seen at half size
        assert (np.sort(pieces)[:-1] <= 1).all()


@pytest.mark.parametrize("size", [0.1, 0.5, 1.0])
def test_optical_flow_recovers_a_pure_translation(size):
    """Sub-pixel exactness: a shift in the image plane of ``size`` px at the head's centre is found
    by DIS medium.
    """
    camera = VIEWS[1]
    shift = (0.8 * camera.pose[0, :3] - 0.6 * camera.pose[1, :3]) * size / camera.px_per_unit
    motion = a_motion(translation=shift)
    first, second = render_clip(motion, VIEWS)[1]
    found = (
        cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        .calc(first, second, None)
        .transpose(2, 0, 1)
    )
    flow, visible = true_flow(motion, VIEWS, 1, 0, 1)
    mask = visible & front_mask(motion, camera)
    # nearer skin moves up to 1.15 times as far
    assert np.hypot(*flow)[mask].mean() == pytest.approx(size, rel=0.2)
    error = (found - flow)[:, mask]
    # DIS alone: 0.02-0.06 px
    assert np.median(np.hypot(*error)) < 0.06 and np.abs(error.mean(1)).max() < 0.04


def test_a_blink_changes_the_eyes_only():
    blink = a_motion(acting(au45=1))
    first, second = render_clip(blink, VIEWS)[1].astype(int)
    changed = np.abs(second - first) > 3
    eyes = VIEWS[1].project(np.array([[m * anatomy.EYE_X, anatomy.EYE_Y, 0.75] for m in (-1, 1)]))
    rows, columns = np.nonzero(changed)
    away = np.min([np.hypot(columns - x, rows - y) for x, y in eyes], axis=0)
    # 0.3 units: lids and their folds
    assert changed.sum() > 150 and away.max() < 0.3 * VIEWS[1].px_per_unit


def test_obj_is_textured_and_complete(tmp_path, moving):
    path = write_obj(tmp_path, moving, 1)
    assert write_obj(tmp_path, moving, 0) != path
    face = head.make_face(FACE)
    lines = [line.split() for line in path.read_text().splitlines()]
    count = {
        kind: [line[1:] for line in lines if line[0] == kind]
        for kind in ("v", "vt", "f", "mtllib", "usemtl")
    }
    np.testing.assert_allclose(np.array(count["v"], float), place(moving, 1), atol=1e-5)
    corners = np.array(
        [[corner.split("/") for corner in corner_line] for corner_line in count["f"]], int
    )
    assert (corners == face.triangles[..., None] + 1).all()
    uv = np.array(count["vt"], float)
    np.testing.assert_allclose(uv, np.c_[face.uv[:, 0], 1 - face.uv[:, 1]], atol=1e-5)
    assert (
        count["mtllib"] == [["face.mtl"]]
        and "map_Kd face.png" in (tmp_path / "face.mtl").read_text()
    )
    picture = cv2.imread(str(tmp_path / "face.png"))[..., ::-1]
    assert np.array_equal(picture, face.texture)
    points, triangles = cv2.loadMesh(str(path))[:2]
    assert np.size(points) == face.vertices.size and len(triangles) == len(face.triangles)


def test_frames_that_do_not_exist_are_refused(moving):
    with pytest.raises(MerError, match="no frame 2"):
        place(moving, 2)
    with pytest.raises(MerError, match="no frame -1"):
        true_flow(moving, VIEWS, 0, 0, -1)
