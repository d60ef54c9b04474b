"""Scanned heads: files written from synthetic faces are filmed as the same moving head."""

import shutil
import struct
from dataclasses import replace

from faces4d import head
from faces4d.cameras import AIM, BACKGROUND, FAR, cameras, rasterise
from faces4d.rendering import place, render_frame, shade, write_obj
from mer_tools.importing.meshes import film_meshes, list_meshes, read_mesh

import cv2
import numpy as np
import pytest
import trimesh
from foreign import refuse, write_mesh
from test_rendering import acting

FACE, SIZE = 1, 224
VIEWS = cameras(SIZE)


def a_motion():
    """Three frames, at rest and moved on: each view sees another flow."""
    shift = np.arange(3)[:, None] * [0.01, 0.03, 0.12]
    return replace(acting(frames=3, au12=0.1), translation=shift.astype(np.float32))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A folder with three frames as textured OBJ files: the motion's first, again, and its last."""
    folder = tmp_path_factory.mktemp("scan")
    first, _ = (write_obj(folder, a_motion(), frame) for frame in (0, 2))
    shutil.copyfile(first, folder / "frame_0001.obj")
    return folder


@pytest.fixture(scope="module")
def film(scan):
    return np.stack(list(film_meshes(list_meshes(scan), SIZE)[0]), 1)  # (V, T, H, W)


def fitted(frame):
    """The head's vertices for fitted cameras: the first mesh fills 80 % of the height."""
    first = place(a_motion(), 0).astype(float)
    low, high = first.min(0), first.max(0)
    scale = 0.8 * 2 * 6.2 * np.tan(np.deg2rad(26.1 / 2)) / (high - low)[1]
    return ((place(a_motion(), frame) - (low + high) / 2) * scale + AIM).astype(np.float32)


def a_dome(n=12):
    """Half a ball (M, 3) towards the viewer, its triangles and its quads."""
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(1, -1, n))
    points = np.stack([x, y * 1.3, 1 - 0.4 * (x**2 + y**2) + 0.1 * x], -1).reshape(-1, 3)
    i = np.arange(n * n).reshape(n, n)
    quads = np.stack([i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]], -1).reshape(-1, 4)
    return points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]), quads


def a_film(paths, **options):
    return np.stack(list(film_meshes(paths, 64, **options)[0]))


@pytest.mark.parametrize("view", [0, 1])
def test_a_filmed_scan_shows_and_moves_the_head_as_its_camera_sees_it(film, view):
    """Wrong yaw, mirrored axes, a texture upside down would show; so would a wrong flow."""
    assert film.shape == (2, 3, 224, 168) and film.dtype == np.uint8
    vertices, seen = fitted(2), film[view, 2].astype(float)
    light = np.ones(len(vertices), np.float32)
    wanted, other = (
        render_frame(a_motion(), VIEWS[k], 2, vertices, light) for k in (view, 1 - view)
    )
    shape, outline = (np.abs(picture - BACKGROUND) > 10 for picture in (seen, wanted))
    assert (shape & outline).sum() / (shape | outline).sum() > 0.99
    assert np.corrcoef(seen[outline], wanted[outline])[0, 1] > 0.98
    assert np.corrcoef(seen.ravel(), other.ravel())[0, 1] < 0.9
    assert 0.75 < np.ptp(np.flatnonzero((film[view, 0] != BACKGROUND).any(1))) / 224 < 0.85

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


def test_light_shades_a_scan_without_its_texture_and_says_so(scan, tmp_path):
    face = head.make_face(FACE)
    for path in scan.iterdir():
        if path.name != "face.png":
            shutil.copyfile(path, tmp_path / path.name)
    frames, notes, _ = film_meshes(list_meshes(tmp_path), SIZE)
    lit = next(frames)
    assert len(notes) == 1 and "face.png is missing" in notes[0] and "shaded by light" in notes[0]
    light = shade(a_motion(), 0, fitted(0))
    for k, camera in enumerate(VIEWS):
        seen, depth = rasterise(
            camera, fitted(0), face.triangles, np.repeat(light[:, None], 3, 1) / 2
        )
        there = cv2.erode((depth < FAR).astype(np.uint8), np.ones((7, 7))) > 0
        assert np.corrcoef(lit[k][there], seen[there][:, 0])[0, 1] > 0.97
        assert lit[k][there].max() < BACKGROUND - 24  # the silhouette stays visible


def test_unit_winding_and_polygons_do_not_matter(tmp_path):
    points, triangles, quads = a_dome()
    kinds = {
        "plain": (points, triangles, 1), "mm": (points, triangles, 1000),
        "turned": (points, triangles[:, ::-1], 1), "quads": (points, quads, 1),
    }  # fmt: skip
    films = {}
    for name, (vertices, polygons, unit) in kinds.items():
        paths = [tmp_path / f"{name}{t}.obj" for t in range(3)]
        for t, path in enumerate(paths):
            write_mesh(path, np.add(vertices, [0, 0.05 * t, 0]), polygons, unit)
        films[name] = a_film(paths).astype(int)
    plain = films.pop("plain")
    assert plain.std() > 20 and np.abs(np.diff(plain, axis=0)).max() > 50
    for name, film in films.items():
        assert np.abs(film - plain).max() <= 1, name


@pytest.mark.parametrize(
    "faces",
    [
        "f 1 2 3 5 4",
        "f 1//1 2//1 3//1 5//2 4//2",
        "f 1/1/1 2/1/1 3/2/1 5/1/2 4/1/2",
        "f 1/1 2/1 3/2\nusemtl b\nf 1//1 3//2 5//1\nf 1 5 4",
    ],
)
def test_all_ways_to_write_a_face_mean_the_same(tmp_path, faces):
    """Without a texture neither texture points nor normals split a vertex."""
    path = tmp_path / "a.obj"
    vertices = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0.5 2 0\nv 9 9 9\n"
    vertices += "vt 0 0\nvt 1 0\nvn 0 0 1\nvn 0 1 0\nusemtl a\n"
    path.write_text(f"\ufeff{vertices}{faces}\n", encoding="utf-8")
    mesh = read_mesh(path)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 4], [0, 4, 3]]
    assert len(mesh.vertices) == 5  # nothing uses the sixth


def test_a_seam_splits_vertices_and_a_texture_repeats(tmp_path):
    """A square of two triangles with texture points of their own: left dark, right bright."""
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


@pytest.mark.parametrize("form", ["ascii", "binary"])
def test_a_ply_with_a_texture_in_text_and_binary(tmp_path, form):
    points, triangles, _ = a_dome()
    picture = np.linspace(0, 220, 64)[:, None].repeat(64, 1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "skin.png"), picture)
    mesh = trimesh.Trimesh(points, triangles, process=False)
    # t from the bottom: dark at the top
    mesh.vertex_attributes["s"] = ((points[:, 0] + 1) / 2).astype(np.float32)
    mesh.vertex_attributes["t"] = ((points[:, 1] / 1.3 + 1) / 2).astype(np.float32)
    path, data = tmp_path / "t.ply", mesh.export(file_type="ply", encoding=form)
    path.write_bytes(data.replace(b"element", b"comment TextureFile skin.png\nelement", 1))
    first = a_film([path] * 3)[0, 0]
    assert first[18, 24] < first[32, 24] - 30 < first[46, 24] - 60
    assert read_mesh(path).note == ""


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
GOOD_PLY = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("obj", ""), ("obj", TRIANGLE), ("obj", "f 1 2 3\n"),
        ("obj", TRIANGLE + "f -3 -2 -1\n"), ("obj", TRIANGLE + "f 1 2 4\n"),
        ("obj", TRIANGLE.replace("1 0", "nan 0") + "f 1 2 3\n"),
        ("ply", "solid cube"), ("ply", GOOD_PLY[:80]), ("ply", GOOD_PLY[:-8]),
        ("ply", GOOD_PLY.replace("vertex 3", "vertex 30")),
        ("ply", GOOD_PLY.replace("1 0 0", "1 nan 0")), ("ply", GOOD_PLY.replace("1 2\n", "1 3\n")),
    ],
)  # fmt: skip
def test_a_bad_mesh_is_refused_in_one_sentence(tmp_path, kind, text):
    path = tmp_path / f"bad face ü.{kind}"
    path.write_text(text, encoding="utf-8")
    refuse(f"bad face ü.{kind}: .*export", read_mesh, path)


def test_mixed_polygons_in_a_ply_are_read_or_refused_never_cut(tmp_path):
    path = tmp_path / "a.ply"
    text = GOOD_PLY.replace("vertex 3", "vertex 4").replace("face 1", "face 2")
    text = text.replace("3 0 1 2\n", "1 1 0\n3 0 1 2\n4 0 1 3 2\n")
    path.write_text(text)
    assert len(read_mesh(path).faces) == 3
    head = text[: text.index("0 0 0\n")].replace("ascii", "binary_little_endian").encode()
    faces = struct.pack("<B4iB3i", 4, 0, 1, 2, 3, 3, 0, 1, 2)
    path.write_bytes(head + struct.pack("<12f", *range(12)) + faces)
    refuse("a.ply: ", read_mesh, path)


def test_textures_are_found_and_what_is_missing_is_said(tmp_path):
    (tmp_path / "sub").mkdir()
    path, material = tmp_path / "a.obj", tmp_path / "sub" / "m.mtl"
    path.write_text(f"mtllib sub/m.mtl\n{TRIANGLE}vt 0 0\nf 1/1 2/1 3/1\n")
    cv2.imwrite(str(tmp_path / "sub" / "in.png"), np.full((4, 4), 9, np.uint8))
    material.write_text("map_Kd -s 1 1 1 .\\sub\\in.png\n")
    assert read_mesh(path).texture.shape == (4, 4)
    for text, note in (
        ("map_Kd sub/in.png\nmap_Kd other.png\n", "2 textures"),
        ("map_Kd other.png\n", "other.png is missing"),
        ("", "no texture is named"),
    ):
        material.write_text(text)
        assert note in read_mesh(path).note
    (tmp_path / "a.png").write_text("not a picture")  # the picture of the mesh's own name
    refuse("a.png: not readable", read_mesh, path)


def test_meshes_are_listed_by_number_and_folders_checked(tmp_path):
    refuse("none: no such folder", list_meshes, tmp_path / "none")
    refuse("holds no meshes", list_meshes, tmp_path)
    names = ["frame 1.obj", "frame 2.OBJ", "frame 10.obj"]
    for name in [*names[::-1], "notes.txt"]:
        (tmp_path / name).write_text(TRIANGLE)
    assert [path.name for path in list_meshes(tmp_path)] == names
    (tmp_path / "3.ply").write_text(GOOD_PLY)
    refuse("no meshes of one kind", list_meshes, tmp_path)


def test_sequences_that_cannot_be_filmed_are_refused(tmp_path):
    points, triangles, _ = a_dome()
    good = [write_mesh(tmp_path / f"{t}.obj", points, triangles) for t in range(3)]
    refuse("has 2 meshes; a clip needs three", a_film, good[:2])
    for options in ({"yaw": 90}, {"fov": 0}):
        refuse("cannot be filmed", a_film, good, **options)
    bad = tmp_path / "9.obj"
    for message, vertices in (
        ("is its unit another", points * 1000),
        ("lies outside", np.add(points, [0, 9, 0])),
        ("lies outside", points - [0, 0, 99]),
    ):
        paths = [*good[:2], write_mesh(bad, vertices, triangles)]
        refuse(f"9.obj: .*{message}", a_film, paths)
    refuse("9.obj: .*surface", a_film, [write_mesh(bad, points * [1, 0, 1], triangles)] * 3)
    cv2.imwrite(str(bad.with_suffix(".png")), np.full((4, 4), 9, np.uint8))
    bad.write_text("".join(f"v {x} {y} {z}\nvt 0 0\n" for x, y, z in points) + "f 1/1 2/2 3/3\n")
    refuse("9.obj: has a texture and the first mesh none", a_film, [*good[:2], bad])
