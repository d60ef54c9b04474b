"""Scanned heads: files written from the synthetic faces come back as frames that show the same head
and its motion.
"""

import os
import struct
import time
import tracemalloc

from faces4d import head, rendering
from faces4d.cameras import AIM, BACKGROUND, cameras
from faces4d.motion import Motion
from faces4d.rendering import place, render_frame, write_obj
from mer_tools.importing import meshfiles
from mer_tools.importing.meshes import film_meshes, list_meshes, read_mesh
from mer_utils import MerError

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

FACE, SIZE = 1, 224
VIEWS = cameras(SIZE)


def a_motion():
    """Three frames: at rest, moved towards the viewer and up, and further so: each view sees
    another flow.
    """
    step = np.arange(3, dtype=np.float32)[:, None]
    weights = np.zeros((3, len(head.AUS), 2), np.float32)
    weights[1:, head.AUS.index(12)] = 0.1
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
    """The head's vertices as the fitted cameras should see them: the first mesh fills 80 % of the
    height.
    """
    first = place(a_motion(), 0).astype(float)
    low, high = first.min(0), first.max(0)
    scale = 0.8 * 2 * 6.2 * np.tan(np.deg2rad(26.1 / 2)) / (high - low)[1]
    return ((place(a_motion(), frame) - (low + high) / 2) * scale + AIM).astype(np.float32)


def write_mesh(path, vertices, triangles, uv=None, head="", unit=1.0):
    """Write a plain OBJ; ``uv`` counts v from the top, as Face does."""
    lines = [head] + [
        "v {!r} {!r} {!r}".format(*row) for row in (np.asarray(vertices, float) * unit).tolist()
    ]
    corner = "{0}" if uv is None else "{0}/{0}"
    lines += (
        [] if uv is None else [f"vt {u!r} {1 - v!r}" for u, v in np.asarray(uv, float).tolist()]
    )
    lines += [
        "f " + " ".join(corner.format(i + 1) for i in row) for row in np.asarray(triangles).tolist()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def a_dome(n=12):
    """Half a ball (M, 3) with its triangles and quads, round towards the viewer and wound towards
    him.
    """
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
        wanted = render_frame(
            a_motion(), VIEWS[view], frame, vertices, np.ones(len(vertices), np.float32)
        )
        head, outline = (
            np.abs(picture - BACKGROUND) > 10
            for picture in (film[view, frame].astype(float), wanted)
        )
        assert (head & outline).sum() / (head | outline).sum() > 0.99
        assert np.corrcoef(film[view, frame][outline], wanted[outline])[0, 1] > 0.98
        other = render_frame(
            a_motion(), VIEWS[1 - view], frame, vertices, np.ones(len(vertices), np.float32)
        )
        assert np.corrcoef(film[view, frame].ravel(), other.ravel())[0, 1] < 0.9
    assert 0.75 < np.ptp(np.flatnonzero((film[view, 0] != BACKGROUND).any(1))) / 224 < 0.85


@pytest.mark.parametrize("view", [0, 1])
def test_the_film_moves_as_the_mesh_does(film, view):
    """Flow measured between filmed frames against the vertices' own motion, projected; cameras
    stand still.
    """
    camera, face = VIEWS[view], head.make_face(FACE)
    start, end = (camera.project(fitted(frame)) for frame in (0, 2))
    measured = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(
        film[view, 0], film[view, 2], None
    )
    side = fitted(0)[:, 0] * np.sign(camera.yaw)
    # brow to nose, turned to this camera
    chosen = face.front & (side > 0) & (side < 0.4) & (fitted(0)[:, 1] > 0)
    found = cv2.remap(measured, *start[chosen].T.astype(np.float32)[:, None], cv2.INTER_LINEAR)[0]
    true = (end - start)[chosen]
    assert chosen.sum() > 300 and np.hypot(*true.T).mean() > 5
    np.testing.assert_allclose(np.median(found, 0), np.median(true, 0), atol=0.25)
    assert np.median(np.hypot(*(found - true).T)) < 0.4


def test_what_is_read_is_what_was_written(scan):
    face, mesh = head.make_face(FACE), read_mesh(scan / "frame_0001.obj")
    assert (mesh.look, mesh.note) == ("texture", "") and mesh.grey is None
    used = np.unique(face.triangles)
    np.testing.assert_allclose(mesh.vertices, place(a_motion(), 1)[used], atol=1e-5)
    np.testing.assert_allclose(mesh.uv, face.uv[used], atol=1e-5)
    np.testing.assert_array_equal(used[mesh.faces], face.triangles)
    assert np.abs(mesh.texture - cv2.cvtColor(face.texture, cv2.COLOR_RGB2GRAY)).max() <= 1


def test_light_shades_a_scan_without_its_texture_and_says_so(scan, tmp_path):
    face, notes = head.make_face(FACE), []
    for frame in range(3):
        write_obj(tmp_path, a_motion(), frame)
    (tmp_path / "face.png").unlink()
    lit = next(film_meshes(list_meshes(tmp_path), SIZE, notes=notes))
    assert len(notes) == 1 and "face.png is missing" in notes[0] and "normals" in notes[0]
    light = rendering._shade(FACE, fitted(0))
    for k, camera in enumerate(VIEWS):
        seen, depth = rendering.rasterise(
            camera, fitted(0), face.triangles, np.repeat(light[:, None], 3, 1) / 2
        )
        there = cv2.erode((depth < rendering.FAR).astype(np.uint8), np.ones((7, 7))) > 0
        assert np.corrcoef(lit[k][there], seen[there][:, 0])[0, 1] > 0.97
        assert lit[k][there].max() < BACKGROUND - 24  # the silhouette stays visible


def test_unit_winding_polygons_and_vertex_counts_do_not_matter(tmp_path):
    points, triangles, quads = a_dome()
    centres = points[triangles].mean(1)
    finer = np.concatenate(
        [
            np.c_[triangles[:, [k, (k + 1) % 3]], len(points) + np.arange(len(centres))]
            for k in range(3)
        ]
    )
    kinds = {
        "plain": (points, triangles, 1), "mm": (points, triangles, 1000),
        "turned": (points, triangles[:, ::-1], 1),
        "quads": (points, quads, 1), "finer": (np.r_[points, centres], finer, 1),
    }  # fmt: skip
    films = {}
    for name, (vertices, polygons, unit) in kinds.items():
        paths = [
            write_mesh(
                tmp_path / f"{name}{t}.obj", np.add(vertices, [0, 0.05 * t, 0]), polygons, unit=unit
            )
            for t in range(3)
        ]
        films[name] = a_film(paths).astype(int)
    assert films["plain"].std() > 20 and np.abs(np.diff(films["plain"], axis=0)).max() > 50
    for name in ("mm", "turned", "quads"):
        assert np.abs(films[name] - films["plain"]).max() <= 1, name
    # flat triangles, but normals of other neighbours
    assert np.abs(films["finer"] - films["plain"]).max() <= 12
    mixed = a_film(
        [tmp_path / "plain0.obj", tmp_path / "finer1.obj", tmp_path / "quads2.obj"]
    ).astype(int)
    assert np.abs(mixed - films["plain"]).max() <= 12


def test_all_ways_to_write_a_face_mean_the_same(tmp_path):
    path = tmp_path / "a.obj"
    vertices = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0.5 2 0\nv 9 9 9\n"
    want = [[0, 1, 2], [0, 2, 4], [0, 4, 3]]
    for line in (
        "1 2 3 5 4",
        "1//1 2//1 3//1 5//1 4//1",
        "-6 -5 -4 -2 -3",
        "1/-1 2/1 3/1/7 5/1/ 4/1",
    ):
        path.write_text(f"\ufeff{vertices}vt 0 0\nvn 0 0 1\nf {line}\n", encoding="utf-8")
        mesh = read_mesh(path)
        assert mesh.faces.tolist() == want and len(mesh.vertices) == 5  # nothing uses the sixth
        assert mesh.faces.dtype == np.int32 and mesh.vertices.dtype == np.float64
    path.write_text("".join(f"{line} 1 0.5 0\n" for line in vertices.splitlines()) + "f 1 2 3\n")
    np.testing.assert_allclose(read_mesh(path).grey, 255 * (0.299 + 0.587 / 2), rtol=1e-6)


def test_a_seam_splits_vertices_and_a_texture_repeats(tmp_path):
    """A square of two triangles, each with texture points of its own: left half dark, right half
    bright.
    """
    cv2.imwrite(str(tmp_path / "two words ä.png"), np.repeat([[40, 200]], 2, 0).astype(np.uint8))
    (tmp_path / "m.mtl").write_text(
        "newmtl a\nKd 1 1 1\n\tmap_Kd two words ä.png\n", encoding="utf-8"
    )
    for t in range(3):
        corners = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nmtllib m.mtl\n"
        points = "".join(f"vt {u} 0.5\n" for u in (0.25, 0.25, 0.25, -0.25, -0.25, -0.25))
        (tmp_path / f"{t}.obj").write_text(f"{corners}{points}f 1/1 2/2 3/3\nf 1/4 3/5 4/6\n")
    mesh = read_mesh(tmp_path / "0.obj")
    assert len(mesh.vertices) == 6 and mesh.texture.shape == (2, 2)
    first = a_film(list_meshes(tmp_path))[0, 0]
    assert first[42, 30] == 40 and first[22, 18] == 200  # below and above the diagonal


def write_ply(path, points, quads, form, colour=None, uv=None):
    """Write a PLY with colours or texture points by hand; ``form`` as its header names it."""
    names = ["float x", "float y", "float z"]
    names += ["uchar red", "uchar green", "uchar blue"] if colour is not None else []
    names += ["float s", "float t"] if uv is not None else []
    head = [f"ply\nformat {form} 1.0\ncomment TextureFile skin.png\nelement vertex {len(points)}"]
    head += [f"property {name}" for name in names]
    head += [f"element face {len(quads)}", "property list uchar int vertex_indices", "end_header\n"]
    extra = (
        [[c] * 3 for c in colour]
        if colour is not None
        else uv
        if uv is not None
        else [[]] * len(points)
    )
    rows = [[*point, *more] for point, more in zip(points.tolist(), extra, strict=True)]
    if form == "ascii":
        body = (
            "\n".join(
                " ".join(map(str, row)) for row in [*rows, *([len(q), *q] for q in quads.tolist())]
            ).encode()
            + b"\n"
        )
    else:
        order = "<" if "little" in form else ">"
        kinds = "fff" + "BBB" * (colour is not None) + "ff" * (uv is not None)
        body = b"".join(struct.pack(order + kinds, *row) for row in rows)
        body += b"".join(struct.pack(f"{order}B{len(q)}i", len(q), *q) for q in quads.tolist())
    path.write_bytes("\n".join(head).encode() + body)
    return path


def test_ply_in_text_and_binary_with_colours_and_textures(tmp_path):
    points, triangles, quads = a_dome()
    points = points.astype(np.float32).astype(float)
    colour = (np.arange(len(points)) % 12 * 20).tolist()  # grows from left to right
    films = {}
    for form in ("ascii", "binary_little_endian", "binary_big_endian"):
        for polygons in (triangles, quads):
            paths = [
                write_ply(tmp_path / f"{form}{t}.ply", points, polygons, form, colour)
                for t in range(3)
            ]
            films[form, polygons.shape[1]] = a_film(paths)
    np.testing.assert_allclose(read_mesh(paths[0]).grey, colour, atol=1e-3)
    first = films["ascii", 3][0, 0]
    assert first[32, 36] > first[32, 24] + 30 > first[32, 15] + 60  # dark at the left
    assert all(np.abs(film.astype(int) - films["ascii", 3]).max() <= 1 for film in films.values())
    cv2.imwrite(
        str(tmp_path / "skin.png"), np.linspace(0, 220, 64)[:, None].repeat(64, 1).astype(np.uint8)
    )
    # v from the bottom: dark at the top
    uv = np.c_[(points[:, 0] + 1) / 2, (points[:, 1] / 1.3 + 1) / 2].tolist()
    first = a_film(
        [write_ply(tmp_path / f"t{t}.ply", points, quads, "ascii", None, uv) for t in range(3)]
    )[0, 0]
    assert first[18, 24] < first[32, 24] - 30 < first[46, 24] - 60
    assert "skin.png" not in (read_mesh(paths[0]).note) and "colours" in read_mesh(paths[0]).note


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
BAD_OBJ = {
    "empty": ("", "empty"), "no vertices": ("# nothing\n", "no vertices"),
    "no faces": (TRIANGLE, "no faces"),
    "nan": (TRIANGLE + "v 0 nan 0\nf 1 2 3\n", "line 4"),
    "inf": (TRIANGLE + "v 0 0 -inf\nf 1 2 3\n", "line 4"),
    "huge": ("v 0 0 1e9\n" + TRIANGLE + "f 1 2 3\n", "line 1"),
    "overflow": (TRIANGLE + "v 0 0 1e999\n", "line 4"),
    "out of range": (TRIANGLE + "f 1 2 3\nf 1 2 4\n", "line 5"),
    "zero": (TRIANGLE + "f 0 1 2\n", "line 4"),
    "too far back": (TRIANGLE + "f -4 1 2\n", "line 4"),
    "giant": (TRIANGLE + "f 1 2 99999999999999999999\n", "line 4"),
    "texture point": (TRIANGLE + "vt 0 0\nf 1/1 2/2 3/1\n", "line 5"),
    "vt zero": (TRIANGLE + "f 1/0 2 3\n", "line 4"),
    "vt nan": (TRIANGLE + "vt nan 0\nf 1/1 2/1 3/1\n", "line 4"),
    "word": ("v 0 zero 0\n", "line 1"),
    "short": (TRIANGLE + "v 1 2\n", "line 4"), "two corners": (TRIANGLE + "f 1 2\n", "line 4"),
    "half": (TRIANGLE + "f 1.5 2 3\n", "line 4"),
    "slashes": (TRIANGLE + "f 1/1/1/1 2 3\n", "line 4"),
    "binary": ("v 0 0 0\n\0\1\2", "line 2"), "one line": ("v " + "1 " * 100_000, "line 1"),
    "colour": ("".join(f"v {x} {x} 0 nan 1 1\n" for x in range(3)) + "f 1 2 3\n", "colour"),
    "mtl up": ("mtllib ../m.mtl\n" + TRIANGLE + "f 1 2 3\n", "line 1"),
    "mtl absolute": (TRIANGLE + "mtllib /etc/passwd\nf 1 2 3\n", "line 4"),
    "mtl drive": (TRIANGLE + "mtllib C:\\m.mtl\nf 1 2 3\n", "line 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_OBJ)
def test_a_bad_obj_is_refused_in_one_sentence(tmp_path, name):
    text, part = BAD_OBJ[name]
    path = tmp_path / "bad face ü.obj"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MerError) as error:
        read_mesh(path)
    one_sentence(error, path, part)


GOOD_PLY = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty "
    "float z\n"
    "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 "
    "0 1 2\n"
)
BAD_PLY = {
    "empty": ("", "empty"), "no ply": ("solid cube", "header"),
    "cut header": (GOOD_PLY[:80], "header"),
    "no end": (GOOD_PLY.replace("end_header\n", "") + "comment\n" * 500, "header"),
    "vertices": (GOOD_PLY.replace("vertex 3", "vertex 4000000000000"), "vertex"),
    "claims": (GOOD_PLY.replace("vertex 3", "vertex 4000000"), "claims more"),
    "list claims": (GOOD_PLY.replace("ascii", "binary_little_endian").replace("uchar int",
        "uint int"), "not readable"),
    "negative count": (GOOD_PLY.replace("face 1", "face 1\nelement x -9"), "claims"),
    "no faces": (GOOD_PLY.replace("face 1", "face 0")[:-8], "face"),
    "no vertices": (GOOD_PLY.replace("x 3", "x 0"), "vertex"),
    "nan": (GOOD_PLY.replace("1 0 0", "1 nan 0"), "vertex 1"),
    "huge": (GOOD_PLY.replace("1 0 0", "1 1e7 0"), "vertex 1"),
    "range": (GOOD_PLY.replace("3 0 1 2", "3 0 1 3"), "face"),
    "minus": (GOOD_PLY.replace("3 0 1 2", "3 0 1 -1"), "face"),
    "corners": (GOOD_PLY.replace("3 0 1 2", "2 0 1"), "not readable"),
    "word": (GOOD_PLY.replace("1 0 0", "1 x 0"), "line 11"),
    "minus sign": (GOOD_PLY.replace("1 0 0", "1 - 0"), "line 11"),
    "short row": (GOOD_PLY.replace("1 0 0", "1 0"), "not readable"),
    "type": (GOOD_PLY.replace("float y", "quadruple y"), "not readable"),
    "count": (GOOD_PLY.replace("x 3", "x three"), "x three"),
    "texture": (GOOD_PLY.replace("element v", "comment TextureFile ../a.png\nelement v"),
        "own folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PLY)
def test_a_bad_ply_is_refused_in_one_sentence(tmp_path, name):
    text, part = BAD_PLY[name]
    path = tmp_path / "bad.ply"
    path.write_text(GOOD_PLY)
    assert len(read_mesh(path).faces) == 1
    path.write_text(text)
    with pytest.raises(MerError) as error:
        read_mesh(path)
    one_sentence(error, path, part)


def test_mixed_polygons_in_a_ply_are_read_or_refused_never_cut(tmp_path):
    path = tmp_path / "a.ply"
    text = (
        GOOD_PLY.replace("vertex 3", "vertex 4")
        .replace("face 1", "face 2")
        .replace("3 0 1 2\n", "1 1 0\n3 0 1 2\n4 0 1 3 2\n")
    )
    path.write_text(text)
    assert len(read_mesh(path).faces) == 3
    head = text[: text.index("0 0 0\n")].replace("ascii", "binary_little_endian").encode()
    points = [0] * 12
    # counts 4 and 2: as many bytes as two faces of four and three corners would take if the first
    # count held for both
    body = struct.pack("<12f", *points) + struct.pack("<B4iB4i", 4, 0, 1, 2, 3, 2, 0, 1, 2, 3)
    path.write_bytes(head + body)
    with pytest.raises(MerError) as error:
        read_mesh(path)
    one_sentence(error, path, "triangles")


def test_textures_stay_in_the_mesh_folder(tmp_path):
    folder = tmp_path / "clip"
    (folder / "sub").mkdir(parents=True)
    path = write_mesh(
        folder / "a.obj",
        [[0, 0, 0], [1, 0, 0], [0, 1, 0]],
        [[0, 1, 2]],
        [[0, 0]] * 3,
        "mtllib sub/m.mtl",
    )
    cv2.imwrite(str(tmp_path / "out.png"), np.full((4, 4), 9, np.uint8))
    cv2.imwrite(str(folder / "sub" / "in.png"), np.full((4, 4), 9, np.uint8))
    os.symlink(tmp_path / "out.png", folder / "sub" / "link.png")
    for name in (
        "../out.png",
        str(tmp_path / "out.png"),
        "link.png",
        "sub/../../out.png",
        "C:\\out.png",
        "-s 1 1 1 ../out.png",
    ):
        (folder / "sub" / "m.mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
        with pytest.raises(MerError) as error:
            read_mesh(path)
        one_sentence(error, "m.mtl, line 2", "own folder")
    (folder / "sub" / "m.mtl").write_text("map_Kd -s 1 1 1 .\\in.png\n")
    assert read_mesh(path).texture.shape == (4, 4)
    (folder / "sub" / "m.mtl").write_text("map_Kd in.png\nmap_Kd other.png\n")
    assert "2 textures" in read_mesh(path).note
    (folder / "sub" / "m.mtl").unlink()
    assert "no texture" in read_mesh(path).note
    (folder / "a.png").write_text("not a picture")  # the picture of the mesh's own name
    with pytest.raises(MerError) as error:
        read_mesh(path)
    one_sentence(error, folder / "a.png")
    (folder / "a.png").unlink()
    os.symlink(tmp_path / "out.png", folder / "a.png")
    with pytest.raises(MerError) as error:
        read_mesh(path)
    one_sentence(error, path, "own folder")


def test_files_and_claims_that_are_too_large_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.obj"
    with open(path, "wb") as file:
        file.truncate(meshfiles.BYTES + 1)  # a hole: takes no space
    with pytest.raises(MerError, match="256 MB"):
        read_mesh(path)
    monkeypatch.setattr(meshfiles, "VERTICES", 2)
    path.write_text(TRIANGLE + "f 1 2 3\n")
    with pytest.raises(MerError, match="more than 2 vertices"):
        read_mesh(path)
    monkeypatch.undo()
    monkeypatch.setattr(meshfiles, "ASCII_LINES", 3)
    (tmp_path / "a.ply").write_text(GOOD_PLY)
    with pytest.raises(MerError, match="binary PLY"):
        read_mesh(tmp_path / "a.ply")
    for missing in (tmp_path / "none.obj", tmp_path / "a.stl", tmp_path):
        with pytest.raises(MerError, match="no such mesh"):
            read_mesh(missing)


def test_meshes_are_listed_by_number_and_folders_checked(tmp_path):
    with pytest.raises(MerError, match="no such folder"):
        list_meshes(tmp_path / "none")
    with pytest.raises(MerError, match="holds no meshes"):
        list_meshes(tmp_path)
    for name in ("frame 10.obj", "frame 2.OBJ", "frame 1.obj", "notes.txt"):
        (tmp_path / name).write_text(TRIANGLE)
    assert [path.name for path in list_meshes(tmp_path)] == [
        "frame 1.obj",
        "frame 2.OBJ",
        "frame 10.obj",
    ]
    (tmp_path / "3.ply").write_text(GOOD_PLY)
    with pytest.raises(MerError, match=r"both \.obj and \.ply"):
        list_meshes(tmp_path)
    (tmp_path / "3.ply").unlink()
    (tmp_path / "clip").mkdir()
    os.symlink(tmp_path / "frame 1.obj", tmp_path / "clip" / "1.obj")
    with pytest.raises(MerError, match="leads out"):
        list_meshes(tmp_path / "clip")
    assert len(list_meshes(tmp_path / "clip", root=tmp_path)) == 1
    (tmp_path / "clip" / "mesh.obj").write_text(TRIANGLE)
    with pytest.raises(MerError, match="needs a number"):
        list_meshes(tmp_path / "clip", root=tmp_path)


def test_sequences_that_cannot_be_filmed_are_refused(tmp_path):
    points, triangles, _ = a_dome()
    good = [write_mesh(tmp_path / f"{t}.obj", points, triangles) for t in range(3)]
    for bad, part in (([], "0 meshes"), (good[:1], "1 meshes"), (good[:2], "2 meshes")):
        with pytest.raises(MerError) as error:
            film_meshes(bad)
        one_sentence(error, part, "three")
    for options in ({"size": 8}, {"yaw": 90}, {"fov": 0}, {"fov": float("nan")}):
        with pytest.raises(MerError):
            film_meshes(good, **options)
    bad = tmp_path / "9.obj"
    changes = {
        "unit": points * 1000, "0.001 times": points / 1000, "outside": np.add(points, [0, 9, 0]),
        "lies outside": np.add(points, [0, 0, 30]),
        "picture that": points - [0, 0, 99],
    }  # fmt: skip
    for part, vertices in changes.items():
        with pytest.raises(MerError) as error:
            a_film([*good[:2], write_mesh(bad, vertices, triangles)])
        one_sentence(error, bad, part)
    bad.write_text("".join(f"v {x} {y} {z} 1 1 1\n" for x, y, z in points) + "f 1 2 3\n")
    with pytest.raises(MerError) as error:
        a_film([*good[:2], bad])
    one_sentence(error, bad, "vertex colours")
    for flat in (points * [1, 0, 1], points * 0, points * [0, 1, 0]):
        with pytest.raises(MerError) as error:
            a_film([write_mesh(bad, flat, triangles)] * 3)
        one_sentence(error, bad, "surface")


def test_a_wider_view_and_another_yaw_change_the_picture_as_they_should(tmp_path):
    points, triangles, _ = a_dome()
    paths = [write_mesh(tmp_path / f"{t}.obj", points, triangles) for t in range(3)]
    for fov in (5, 26.1, 60):
        rows = np.flatnonzero((a_film(paths, fov=fov)[0, 0] != BACKGROUND).any(1))
        assert 0.7 < len(rows) / 64 < 0.98  # it fills the picture at any distance
    narrow, wide = (a_film(paths, yaw=yaw)[0] for yaw in (0, 60))
    assert (
        np.array_equal(narrow[0], narrow[1]) and np.abs(wide[0].astype(int) - wide[1]).mean() > 10
    )


LINES = st.one_of(
    st.text(max_size=30),
    st.builds(
        lambda kind, words: " ".join([kind, *words]),
        st.sampled_from(["v", "vt", "f", "vn", "mtllib", "usemtl", "#", "v\t"]),
        st.lists(
            st.one_of(
                st.integers(-5, 9).map(str), st.floats().map(str),
                st.text("0123456789/-.e", max_size=8),
                st.sampled_from(["1/1", "2//2", "3/3/3", "-1/-1", "../a.mtl", "m.mtl", "a.obj", ".",
                    "~"]),
            ),
            max_size=6,
        ),
    ),
)  # fmt: skip
FAST = settings(
    max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_or_refuse(path, data):
    """Either a whole Mesh or the package's own error in one line, in little time and memory."""
    path.write_bytes(data)
    tracemalloc.start()
    started = time.perf_counter()
    try:
        mesh = read_mesh(path)
    except MerError as error:
        assert "\n" not in str(error) and str(path.parent) in str(error)
    else:
        assert np.isfinite(mesh.vertices).all() and mesh.faces.shape[1] == 3 and len(mesh.faces)
        assert 0 <= mesh.faces.min() and mesh.faces.max() == len(mesh.vertices) - 1
        assert mesh.uv is None or (
            mesh.uv.shape == (len(mesh.vertices), 2) and np.isfinite(mesh.uv).all()
        )
    assert time.perf_counter() - started < 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20, f"{peak >> 20} MiB for a file of {len(data)} bytes"


@FAST
@given(st.lists(LINES, max_size=12))
def test_any_text_is_a_mesh_or_refused(tmp_path, lines):
    read_or_refuse(tmp_path / "a.obj", "\n".join(lines).encode("utf-8", "surrogatepass"))


EDITS = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 3), st.binary(max_size=6)), max_size=5
)


@FAST
@given(EDITS, st.sampled_from(["obj", "ply", "binary"]))
@example([(269, 3, b"")], "ply")  # one colour less in a row: the colours are no rectangle any more
def test_a_damaged_file_is_a_mesh_or_refused(tmp_path, edits, kind):
    points, triangles, _ = a_dome(3)
    if kind == "obj":
        path = write_mesh(tmp_path / "a.obj", points, triangles, points[:, :2])
    else:
        form = "ascii" if kind == "ply" else "binary_little_endian"
        path = write_ply(tmp_path / "a.ply", points, triangles, form, [9] * len(points))
    data = path.read_bytes()
    read_or_refuse(path, data)
    for at, gone, new in edits:
        at %= len(data)
        data = data[:at] + new + data[at + gone :]
    read_or_refuse(path, data)
