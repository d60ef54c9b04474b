"""Scanned heads: files written from the synthetic faces come back as frames that show the same head and its motion."""

import os
import struct
import time

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_utils import MerError, faces, meshes, meshfiles, rendering
from mer_utils.meshes import film_meshes, list_meshes, read_mesh
from mer_utils.rendering import AIM, BACKGROUND, cameras, place, render_frame, write_obj
from mer_utils.synthetic import Motion

FACE, SIZE = 1, 224
VIEWS = cameras(SIZE)


def a_motion():
    """Three frames: at rest, moved towards the viewer and up, and further so: each view sees another flow."""
    step = np.arange(3, dtype=np.float32)[:, None]
    weights = np.zeros((3, len(faces.AUS), 2), np.float32)
    weights[1:, faces.AUS.index(12)] = 0.1
    still, gain = np.zeros((3, 3), np.float32), np.ones(3, np.float32)
    shift = step * np.array([[0.01, 0.03, 0.12]], np.float32)
    return Motion(FACE, weights, still, shift, gain, 7, 0.0, 0, 1, 2, 60, (12,))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A folder with the motion's three frames as textured OBJ files."""
    folder = tmp_path_factory.mktemp("scan")
    for frame in range(3):
        write_obj(folder, a_motion(), frame)
    return folder


@pytest.fixture(scope="module")
def film(scan):
    return np.stack(list(film_meshes(list_meshes(scan), SIZE)), 1)  # (V, T, H, W)


def fitted(frame):
    """The head's vertices as the fitted cameras should see them: the first mesh fills 80 % of the height."""
    first = place(a_motion(), 0).astype(float)
    low, high = first.min(0), first.max(0)
    scale = 0.8 * 2 * 6.2 * np.tan(np.deg2rad(26.1 / 2)) / (high - low)[1]
    return ((place(a_motion(), frame) - (low + high) / 2) * scale + AIM).astype(np.float32)


def write_mesh(path, vertices, triangles, uv=None, head="", unit=1.0):
    """Write a plain OBJ; ``uv`` counts v from the top, as Face does."""
    lines = [head] + ["v {!r} {!r} {!r}".format(*row) for row in (np.asarray(vertices, float) * unit).tolist()]
    corner = "{0}" if uv is None else "{0}/{0}"
    lines += [] if uv is None else [f"vt {u!r} {1 - v!r}" for u, v in np.asarray(uv, float).tolist()]
    lines += ["f " + " ".join(corner.format(i + 1) for i in row) for row in np.asarray(triangles).tolist()]
    path.write_text("\n".join(lines) + "\n")
    return path


def a_dome(n=12):
    """Half a ball (M, 3) with its triangles and quads, round towards the viewer and wound towards him."""
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(1, -1, n))
    points = np.stack([x, y * 1.3, 1 - 0.4 * (x**2 + y**2) + 0.1 * x], -1).reshape(-1, 3)
    i = np.arange(n * n).reshape(n, n)
    quads = np.stack([i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]], -1).reshape(-1, 4)
    return points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]), quads


def a_film(paths, **options):
    return np.stack(list(film_meshes(paths, 64, **options)))


def one_sentence(error, *parts):
    text = str(error.value)
    assert "\n" not in text and len(text) < 400
    for part in parts:
        assert str(part) in text
    return text


@pytest.mark.parametrize("view", [0, 1])
def test_a_filmed_scan_shows_the_head_as_its_camera_sees_it(film, view):
    """Wrong yaw, mirrored axes or a texture read upside down would all show."""
    assert film.shape == (2, 3, 224, 168) and film.dtype == np.uint8
    for frame in (0, 2):
        vertices = fitted(frame)
        wanted = render_frame(a_motion(), VIEWS[view], frame, vertices, np.ones(len(vertices), np.float32))
        head, outline = (np.abs(picture - BACKGROUND) > 10 for picture in (film[view, frame].astype(float), wanted))
        assert (head & outline).sum() / (head | outline).sum() > 0.99
        assert np.corrcoef(film[view, frame][outline], wanted[outline])[0, 1] > 0.98
        other = render_frame(a_motion(), VIEWS[1 - view], frame, vertices, np.ones(len(vertices), np.float32))
        assert np.corrcoef(film[view, frame].ravel(), other.ravel())[0, 1] < 0.9
    assert 0.75 < np.ptp(np.flatnonzero((film[view, 0] != BACKGROUND).any(1))) / 224 < 0.85


@pytest.mark.parametrize("view", [0, 1])
def test_the_film_moves_as_the_mesh_does(film, view):
    """Flow measured between filmed frames against the vertices' own motion, projected; cameras stand still."""
    camera, face = VIEWS[view], faces.make_face(FACE)
    start, end = (camera.project(fitted(frame)) for frame in (0, 2))
    measured = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(film[view, 0], film[view, 2], None)
    side = fitted(0)[:, 0] * np.sign(camera.yaw)
    chosen = face.front & (side > 0) & (side < 0.4) & (fitted(0)[:, 1] > 0)  # brow to nose, turned to this camera
    found = cv2.remap(measured, *start[chosen].T.astype(np.float32)[:, None], cv2.INTER_LINEAR)[0]
    true = (end - start)[chosen]
    assert chosen.sum() > 300 and np.hypot(*true.T).mean() > 5
    np.testing.assert_allclose(np.median(found, 0), np.median(true, 0), atol=0.25)
    assert np.median(np.hypot(*(found - true).T)) < 0.4


def test_what_is_read_is_what_was_written(scan):
    face, mesh = faces.make_face(FACE), read_mesh(scan / "frame_0001.obj")
    assert (mesh.look, mesh.note) == ("texture", "") and mesh.grey is None
    used = np.unique(face.triangles)
    np.testing.assert_allclose(mesh.vertices, place(a_motion(), 1)[used], atol=1e-5)
    np.testing.assert_allclose(mesh.uv, face.uv[used], atol=1e-5)
    np.testing.assert_array_equal(used[mesh.faces], face.triangles)
    assert np.abs(mesh.texture - cv2.cvtColor(face.texture, cv2.COLOR_RGB2GRAY)).max() <= 1


def test_light_shades_a_scan_without_its_texture_and_says_so(scan, tmp_path):
    face, notes = faces.make_face(FACE), []
    for frame in range(3):
        write_obj(tmp_path, a_motion(), frame)
    (tmp_path / "face.png").unlink()
    lit = next(film_meshes(list_meshes(tmp_path), SIZE, notes=notes))
    assert len(notes) == 1 and "face.png is missing" in notes[0] and "normals" in notes[0]
    light = rendering._shade(FACE, fitted(0))
    for k, camera in enumerate(VIEWS):
        seen, depth = rendering.rasterise(camera, fitted(0), face.triangles, np.repeat(light[:, None], 3, 1) / 2)
        there = cv2.erode((depth < rendering.FAR).astype(np.uint8), np.ones((7, 7))) > 0
        assert np.corrcoef(lit[k][there], seen[there][:, 0])[0, 1] > 0.97
        assert lit[k][there].max() < BACKGROUND - 24  # the silhouette stays visible


def test_unit_winding_polygons_and_vertex_counts_do_not_matter(tmp_path):
    points, triangles, quads = a_dome()
    centres = points[triangles].mean(1)
    finer = np.concatenate([np.c_[triangles[:, [k, (k + 1) % 3]], len(points) + np.arange(len(centres))] for k in range(3)])
    wheel = np.concatenate([quads, quads + 0])[::2]
    assert len(wheel) == len(quads) + 0 or True
    kinds = {
        "plain": (points, triangles, 1), "mm": (points, triangles, 1000), "turned": (points, triangles[:, ::-1], 1),
        "quads": (points, quads, 1), "finer": (np.r_[points, centres], finer, 1),
    }  # fmt: skip
    films = {}
    for name, (vertices, polygons, unit) in kinds.items():
        paths = [write_mesh(tmp_path / f"{name}{t}.obj", vertices + [0, 0.05 * t, 0], polygons, unit=unit) for t in range(3)]
        films[name] = a_film(paths).astype(int)
    assert films["plain"].std() > 20 and np.abs(np.diff(films["plain"], axis=0)).max() > 50
    for name in ("mm", "turned", "quads"):
        assert np.abs(films[name] - films["plain"]).max() <= 1, name
    assert np.abs(films["finer"] - films["plain"]).max() <= 12  # flat triangles, but normals of other neighbours
    mixed = a_film([tmp_path / "plain0.obj", tmp_path / "finer1.obj", tmp_path / "quads2.obj"]).astype(int)
    assert np.abs(mixed - films["plain"]).max() <= 12
