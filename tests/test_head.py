"""The face: closed skin, lids that shut over the eyeballs, AUs that move what they should, subjects
that differ.
"""

from faces4d import anatomy
from faces4d.head import AUS, deform, make_face
from mer_utils import MerError

import numpy as np
import pytest


@pytest.fixture(scope="module")
def face():
    return make_face(1)


def act(face, *aus, side=None):
    """Displacement (M, 3) at activation 1 of some AUs, on both sides or one."""
    weights = np.zeros((len(AUS), 2))
    for au in aus:
        weights[AUS.index(au), slice(None) if side is None else side] = 1
    return deform(face, weights) - face.vertices


def near(face, x, y, radius=0.06):
    """The front skin within ``radius`` units of a point of the frontal picture."""
    return face.front & (np.hypot(face.vertices[:, 0] - x, face.vertices[:, 1] - y) < radius)


def find_border(face):
    """Return the skin's vertices at edges of one triangle only."""
    last = np.flatnonzero(face.front).max()
    skin = face.triangles[(face.triangles <= last).all(1)]
    edges = np.sort(skin[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
    return np.unique(edges[uses == 1])


def find_ball(face):
    """Return the vertices (M, 3) of the eyeball at x > 0: what has uv in its disc."""
    disc = np.hypot(face.uv[:, 0] - 0.075, face.uv[:, 1] - 0.925) < 0.0705
    return face.vertices[disc & (face.vertices[:, 0] > 0)]


def test_arrays_have_the_promised_shapes(face):
    count = len(face.vertices)
    # the brief: enough for a smooth face, few enough for 8 ms a picture
    assert 20_000 <= count <= 28_000
    assert face.vertices.dtype == face.uv.dtype == face.fields.dtype == np.float32
    assert face.triangles.dtype == np.int32 and face.texture.dtype == np.uint8
    assert face.fields.shape == (len(AUS), 2, count, 3) and face.uv.shape == (count, 2)
    assert face.triangles.min() == 0 and face.triangles.max() == count - 1
    assert face.uv.min() >= 0 and face.uv.max() <= 1
    assert all(np.isfinite(a).all() for a in (face.vertices, face.uv, face.fields))


def test_skin_is_a_closed_sheet_with_two_slits(face):
    """Edges of one triangle only are the sheet's border; inside the face these are the rims of the
    two eyes.
    """
    rim = find_border(face)
    rim = rim[face.front[rim] & (face.vertices[rim, 1] > -0.5)]
    assert len(rim) > 40  # the eyes are open
    eyes = np.abs(np.abs(face.vertices[rim, 0]) - anatomy.EYE_X) < 0.2
    assert eyes.all() and (np.abs(face.vertices[rim, 1] - anatomy.EYE_Y) < 0.12).all()


def test_same_seed_same_face_other_seed_other_face(face):
    again, other = make_face.__wrapped__(1), make_face(2)
    for name in ("vertices", "texture", "fields"):
        assert np.array_equal(getattr(again, name), getattr(face, name))
    assert np.abs(other.vertices - face.vertices).max() > 0.02  # 2 mm: another person
    assert np.abs(other.texture.astype(int) - face.texture).mean() > 3


def test_deform_is_linear_and_refuses_a_wrong_shape(face):
    assert np.array_equal(deform(face, np.zeros((len(AUS), 2))), face.vertices)
    weights = np.random.default_rng(0).random((len(AUS), 2))
    wanted = face.vertices + np.einsum("as,asmk->mk", weights, face.fields)
    np.testing.assert_allclose(deform(face, weights), wanted, atol=1e-5)
    with pytest.raises(MerError, match="shape"):
        deform(face, np.zeros((3, 2)))


@pytest.mark.parametrize("au, x, y, axis, sign", [
    (1, 0.13, 0.38, 1, 1), (2, 0.43, 0.38, 1, 1), (4, 0.13, 0.37, 1, -1), (4, 0.13, 0.37, 0, -1),
    (6, 0.40, -0.08, 1, 1),
    (9, 0.09, -0.05, 1, 1), (10, 0.11, -0.50, 1, 1), (12, 0.25, -0.56, 1, 1),
    (12, 0.25, -0.56, 0, 1),
    (14, 0.26, -0.56, 2, -1),
    (15, 0.25, -0.58, 1, -1), (17, 0.05, -0.88, 1, 1), (24, 0.05, -0.50, 1, -1),
    (24, 0.05, -0.64, 1, 1),
])  # fmt: skip
def test_each_au_moves_its_place_its_way(face, au, x, y, axis, sign):
    for mirror in (-1, 1):
        moved = act(face, au)[near(face, mirror * x, y), axis].mean()
        # 1 mm, far below a macro-expression
        assert moved * sign * (mirror if axis == 0 else 1) > 0.01


def test_smile_moves_the_mouth_corners_by_a_macro_expression(face):
    size = np.linalg.norm(act(face, 12)[near(face, 0.25, -0.56, 0.04)], axis=1)
    assert size.max() == pytest.approx(0.12, abs=0.03)  # the brief: about 0.12 units


def test_sides_are_separate_and_add_up(face):
    x = face.vertices[:, 0]
    for au in AUS:
        left, right, both = act(face, au, side=0), act(face, au, side=1), act(face, au)
        np.testing.assert_allclose(left + right, both, atol=1e-5)
        # blend is 0.12 to each side
        assert np.abs(left[x > 0.15]).max() == 0 and np.abs(right[x < -0.15]).max() == 0
        assert np.abs(left).max() > 0.01 and np.abs(right).max() > 0.01


def lid_gap(face, *aus):
    """Height (units) of the eye's opening at x > 0: between the two rims at the middle of the
    eye.
    """
    moved = face.vertices + act(face, *aus)
    ball = eyeball(face)
    rim = np.flatnonzero(np.isin(np.arange(len(moved)), ball["rim"]))
    middle = rim[np.abs(face.vertices[rim, 0] - ball["centre"][0]) < 0.03]
    upper = face.vertices[middle, 1] > ball["centre"][1]
    return moved[middle[upper], 1].min() - moved[middle[~upper], 1].max()


def eyeball(face):
    """Centre, front and lid rims of the eye at x > 0, found from the mesh."""
    ball = find_ball(face)
    centre = (ball[:, :2].max(0) + ball[:, :2].min(0)) / 2
    rim = find_border(face)
    rim = rim[np.hypot(*(face.vertices[rim, :2] - centre).T) < 0.2]
    return {"centre": centre, "rim": rim, "front": ball[:, 2].max()}


def test_blink_shuts_the_eye_and_lids_do_their_part(face):
    rest = lid_gap(face)
    assert rest > 0.07  # an open eye: ~1 cm
    assert abs(lid_gap(face, 45)) < 0.01  # shut to within a tenth of that
    assert lid_gap(face, 5) > 1.15 * rest and lid_gap(face, 7) < 0.8 * rest


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("depth", [0.0, 0.5, 1.0])
def test_lids_stay_in_front_of_the_eyeball(seed, depth):
    """All the way through a blink no skin of the lids dips into the ball, whose radius is known."""
    face = make_face(seed)
    eye = eyeball(face)
    centre = eye["centre"]
    ball = np.array([*centre, eye["front"] - anatomy.BALL])
    moved = face.vertices + depth * act(face, 45)
    lids = face.front & (np.hypot(*(moved[:, :2] - centre).T) < 0.1)
    assert lids.sum() > 100
    distance = np.linalg.norm((moved[lids] - ball) / [1, face_height(face), 1], axis=1)
    assert distance.min() > anatomy.BALL


def face_height(face):
    """How much a subject's face is stretched in height: eyeballs are stretched with it."""
    ball = find_ball(face)
    return np.ptp(ball[:, 1]) / np.ptp(ball[:, 0])
