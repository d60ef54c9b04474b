"""The face: lids that shut over eyeballs, AUs that move what they should, people who differ."""

from faces4d import anatomy
from faces4d.head import AUS, deform, make_face
from faces4d.scenario import PRESETS

import numpy as np
import pytest

VARIED = PRESETS["bench-v2"].variation


@pytest.fixture(scope="module")
def face():
    return make_face(1)


def act(face, *aus, side=slice(None), activation=1):
    """Displacement (M, 3) by some AUs, on both sides or one."""
    weights = np.zeros((len(AUS), 2))
    weights[[AUS.index(au) for au in aus], side] = activation
    return deform(face, weights) - face.vertices


def find_ball(face):
    """Return the vertices (M, 3) of the eyeball at x > 0: what has uv in its disc."""
    disc = np.hypot(face.uv[:, 0] - 0.075, face.uv[:, 1] - 0.925) < 0.0705
    return face.vertices[disc & (face.vertices[:, 0] > 0)]


@pytest.mark.parametrize("au, x, y, axis, sign", [
    (1, 0.13, 0.38, 1, 1), (2, 0.43, 0.38, 1, 1), (4, 0.13, 0.37, 1, -1), (4, 0.13, 0.37, 0, -1),
    (6, 0.54, -0.24, 1, 1), (9, 0.26, -0.31, 1, 1), (10, 0.11, -0.50, 1, 1),
    (12, 0.25, -0.56, 1, 1), (12, 0.25, -0.56, 0, 1), (14, 0.26, -0.56, 2, -1),
    (15, 0.25, -0.58, 1, -1), (17, 0.05, -0.88, 1, 1), (24, 0.05, -0.50, 1, -1),
    (24, 0.05, -0.64, 1, 1),
])  # fmt: skip
def test_each_au_moves_its_place_its_way(face, au, x, y, axis, sign):
    for mirror in (-1, 1):
        near = np.hypot(face.vertices[:, 0] - mirror * x, face.vertices[:, 1] - y) < 0.06
        moved = act(face, au)[face.front & near, axis].mean()
        # 1 mm, far below a macro-expression
        assert moved * sign * (mirror if axis == 0 else 1) > 0.01


@pytest.mark.parametrize("seed", [1, 2])
def test_aus_move_as_much_and_where_two_open_head_models_do(seed):
    """Means of ICT-FaceKit (MIT) and the face units of MakeHuman (CC0), brought to our units."""
    face = make_face(seed)
    for au, *place in [(6, 0.545, -0.235), (9, 0.26, -0.31)]:
        moved = np.linalg.norm(act(face, au, side=1)[face.front], axis=1)
        peak = face.vertices[face.front][moved.argmax(), :2]
        assert np.hypot(*(peak - place)) < 0.1, au
    for au, axis, size in [(1, 1, 0.055), (2, 1, 0.0735), (12, 2, -0.0785)]:
        moved = act(face, au)[face.front, axis] * np.sign(size)
        assert moved.max() == pytest.approx(abs(size), rel=0.2), au


def test_sides_are_separate(face):
    x = face.vertices[:, 0]
    for au in AUS:
        left, right = act(face, au, side=0), act(face, au, side=1)
        # blend is 0.12 to each side
        assert np.abs(left[x > 0.15]).max() == 0 and np.abs(right[x < -0.15]).max() == 0
        assert np.abs(left).max() > 0.01 and np.abs(right).max() > 0.01


def test_blink_shuts_the_eye_and_lids_do_their_part(face):
    ball = find_ball(face)
    centre = (ball[:, :2].max(0) + ball[:, :2].min(0)) / 2
    # the rim is the skin's edges that belong to one triangle only
    skin = face.triangles[(face.triangles <= np.flatnonzero(face.front).max()).all(1)]
    edges = np.sort(skin[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
    rim = np.unique(edges[uses == 1])
    x, y = (face.vertices[rim, :2] - centre).T
    middle = (np.hypot(x, y) < 0.2) & (np.abs(x) < 0.03)
    upper, lower = rim[middle & (y > 0)], rim[middle & (y < 0)]

    def gap(*aus):
        height = (face.vertices + act(face, *aus))[:, 1]
        return height[upper].min() - height[lower].max()

    assert gap() > 0.07  # an open eye: ~1 cm
    assert abs(gap(45)) < 0.01  # shut to within a tenth of that
    assert gap(5) > 1.15 * gap() and gap(7) < 0.8 * gap()


@pytest.mark.parametrize("seed", [1, 2])
def test_lids_stay_in_front_of_the_eyeball(seed):
    """All the way through a blink no skin of the lids dips into the ball, whose radius is known."""
    face = make_face(seed)
    x, y, z = find_ball(face).T
    centre = np.array([(x.max() + x.min()) / 2, (y.max() + y.min()) / 2, z.max() - anatomy.BALL])
    stretch = [1, np.ptp(y) / np.ptp(x), 1]  # eyeballs are stretched with the face
    for depth in (0, 0.5, 1):
        moved = face.vertices + act(face, 45, activation=depth)
        lids = face.front & (np.hypot(*(moved - centre)[:, :2].T) < 0.1)
        assert lids.sum() > 100
        distance = np.linalg.norm((moved[lids] - centre) / stretch, axis=1)
        assert distance.min() > anatomy.BALL


@pytest.mark.parametrize("seed", [1, 2, 6])
def test_no_variation_folds_a_triangle_or_a_lid(seed):
    """At the activations of micro-expressions every visible triangle keeps its side up."""
    face = make_face(seed, VARIED)
    skin = face.triangles[face.front[face.triangles].all(1)]

    def normals(points):
        a, b, c = (points[skin[:, k]] for k in range(3))
        return np.cross(b - a, c - a)

    rest = normals(face.vertices)
    area = np.linalg.norm(rest, axis=1)
    for au in AUS[:-1]:
        turned = (normals(face.vertices + act(face, au, activation=0.4)) * rest).sum(1) < 0
        assert area[turned].sum() < 0.002 * area.sum(), au
