"""Scanned heads as OBJ or PLY files, one a frame, with or without texture -> the two views that the method starts from.

Axes as in faces.py: x right, y up, z towards the viewer. The unit does not matter: the first mesh sets the scale.
"""

import os
import warnings
from array import array
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import cv2
import numpy as np
from trimesh.exchange.ply import load_ply

from mer_utils import MerError
from mer_utils.images import number_key, read_image
from mer_utils.rendering import AIM, AMBIENT, BACKGROUND, BRIGHTEST, FAR, LIGHTS, NEAR, OVERSAMPLE, cameras, rasterise

BYTES = 256 << 20  # of one file
VERTICES = 5_000_000
FACES = 2 * VERTICES  # triangles: a closed surface has twice as many as vertices
LINES = 6 * VERTICES  # v, vt, vn, f and some comments
LINE = 1 << 16  # bytes of one line
ASCII_ROWS = 3_000_000  # of a PLY in text: about 200 bytes of memory each while it is read
FARTHEST = 1e6  # largest coordinate, in whatever unit
TEXTURE_TYPES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")
SIDE = 32_000  # px of a texture: OpenCV's remap counts with 16 bits
FILL, FILL_WIDTH = 0.8, 0.85  # parts of the picture that the first mesh fills, before perspective enlarges its front
SKIN = 210.0  # grey level of untextured skin in full light: below the background


@dataclass(frozen=True, eq=False)
class Mesh:
    """One frame of a scan: M vertices, K triangles, and its look: texture, else vertex colours, else light alone."""

    vertices: np.ndarray  # (M, 3) float64
    faces: np.ndarray  # (K, 3) int32
    uv: np.ndarray | None  # (M, 2) float64, only with a texture; u right, v down from the texture's first row
    texture: np.ndarray | None  # (H, W) float32 grey levels
    grey: np.ndarray | None  # (M,) float32 grey levels, from vertex colours
    note: str  # what a reader should be told, or ""

    @property
    def look(self):
        """What the mesh is painted with, in words."""
        return "texture" if self.texture is not None else "light" if self.grey is None else "vertex colours"


def list_meshes(folder, root=None):
    """Return the paths of a folder's .obj or .ply files, sorted like frames; MerError if there are none, both kinds,
    or one that a link leads out of ``root`` (the folder itself if not given).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MerError(f"{folder}: no such folder of meshes")
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in (".obj", ".ply")]
    except OSError as error:
        raise MerError(f"{folder}: cannot be read ({error.strerror})") from None
    if not found:
        raise MerError(f"{folder}: holds no meshes (.obj or .ply)")
    if len({path.suffix.lower() for path in found}) > 1:
        raise MerError(f"{folder}: holds both .obj and .ply files; keep one kind, one file a frame")
    home = os.path.realpath(folder if root is None else root)
    for path in found:
        if not Path(os.path.realpath(path)).is_relative_to(home):
            raise MerError(f"{path}: is a link that leads out of the folder; copy the mesh to its place")
    return tuple(sorted(found, key=number_key))


def read_mesh(path):
    """Read an OBJ or PLY file as a Mesh; MerError naming file and line or vertex for anything that cannot be used.

    OBJ: v (with colours if each line has them), vt, f of three corners or more, mtllib with map_Kd; without map_Kd a
    picture of the mesh's own name is its texture. Vertices that no face uses are dropped.
    """
    path = Path(path)
    reader = {".obj": _read_obj, ".ply": _read_ply}.get(path.suffix.lower())
    if reader is None or not os.path.isfile(path):
        raise MerError(f"{path}: no such mesh (.obj or .ply)")
    try:
        size = path.stat().st_size
        if not 0 < size <= BYTES:
            raise MerError(f"{path}: {size >> 20} MB; a mesh of more than {BYTES >> 20} MB is not read" if size else f"{path}: is empty")
        return reader(path)
    except OSError as error:
        raise MerError(f"{path}: cannot be read ({error.strerror})") from None


def _read_lines(path):
    """Yield (number, text) of a text file's lines; none is long, so that memory stays small whatever the file is."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(LINE + 1):
            number += 1
            if number > LINES or len(line) > LINE or b"\0" in line:
                raise MerError(f"{path}, line {number}: is not the text of a mesh; export the file again")
            yield number, line.decode("utf-8-sig", "replace")


def _read_obj(path):
    numbers, texts, names = _parse_obj(path)
    v, colour, vt = (np.frombuffer(numbers[key]).reshape(-1, n) for key, n in (("v", 3), ("colour", 3), ("vt", 2)))
    corners = np.frombuffer(numbers["f"], np.int32).reshape(-1, 3, 2)
    for kind, values in (("v", v), ("vt", vt)):
        _check_finite(path, values, lambda row, kind=kind: f"line {texts[kind][row]}")
    bad = (corners < [1, 0]) | (corners > [len(v), len(vt)])
    if bad.any():
        line = texts["f"][int(np.argmax(bad.any((1, 2))))]
        raise MerError(f"{path}, line {line}: a face names a vertex or texture point that the file does not have")
    whole = bool(corners[..., 1].all())  # each corner has a texture point
    texture, note = _find_texture(path, names) if len(vt) and whole else (None, "no texture coordinates")
    codes = corners[..., 0].astype(np.int64) * (len(vt) + 1)
    codes = codes if texture is None else codes + corners[..., 1]  # one vertex for each pair that occurs
    kept, faces = np.unique(codes, return_inverse=True)
    v_index, vt_index = np.divmod(kept, len(vt) + 1)
    uv = None if texture is None else vt[vt_index - 1] * [1, -1] + [0, 1]  # OBJ counts v from the bottom
    colour = colour[v_index - 1] if len(colour) == len(v) else None
    return _make_mesh(path, v[v_index - 1], faces.reshape(-1, 3), uv, texture, colour, note)


def _parse_obj(path):
    """Return numbers and their line numbers (arrays by kind; corners as (vertex, texture point), 1-based, 0 for none
    and -1 for one that cannot be) and the texture files that the materials name.
    """
    numbers = {"v": array("d"), "colour": array("d"), "vt": array("d"), "f": array("i")}
    at = {"v": array("i"), "vt": array("i"), "f": array("i")}
    names = []
    for number, line in _read_lines(path):
        kind, *words = line.split() or [""]
        try:
            if kind == "v":
                x, y, z = map(float, words[:3])
                numbers["v"].extend((x, y, z))
                if len(words) >= 6:
                    numbers["colour"].extend(map(float, words[3:6]))
            elif kind == "vt":
                numbers["vt"].extend((float(words[0]), float(words[1]) if len(words) > 1 else 0.0))
            elif kind == "f":
                first, *rest = [_read_corner(word, len(at["v"]), len(at["vt"])) for word in words]
                for second, third in zip(rest[:-1], rest[1:], strict=True):
                    numbers["f"].extend(first + second + third)
                    at["f"].append(number)
                if len(rest) < 2:
                    raise ValueError
            elif kind == "mtllib":
                names += _read_material(path, number, line.split(None, 1)[1].strip())
        except (ValueError, IndexError) as error:
            if isinstance(error, MerError):
                raise
            raise MerError(f"{path}, line {number}: {line.strip()[:60]!r} is not a whole line of an OBJ file") from None
        if kind in at and kind != "f":
            at[kind].append(number)
        if len(at["v"]) > VERTICES or len(at["f"]) > FACES:
            raise MerError(f"{path}: more than {VERTICES:,} vertices or {FACES:,} triangles; make the mesh coarser")
    return numbers, at, names


def _read_corner(word, points, marks):
    """Return (vertex, texture point), 1-based, of ``v``, ``v/t``, ``v//n`` or ``v/t/n``; negative ones count back."""
    v, _, rest = word.partition("/")
    t, _, n = rest.partition("/")
    if n:
        int(n)
    v, t = int(v), int(t) if t else None
    v = v if v > 0 else points + v + 1 if v < 0 else -1
    t = 0 if t is None else t if t > 0 else marks + t + 1 if -marks <= t < 0 else -1
    return max(-1, min(v, LINES + 1)), max(-1, min(t, LINES + 1))


def _resolve(where, path, name):
    """Return the path of a file that a mesh names; it must lie in the mesh's own folder or below."""
    clean = name.strip().strip('"').replace("\\", "/")
    home = Path(os.path.realpath(path.parent))
    outside = PureWindowsPath(clean).drive or clean.startswith("/") or ".." in PurePosixPath(clean).parts
    if outside or not Path(os.path.realpath(home / clean)).is_relative_to(home):
        raise MerError(f"{where}: names {name[:80]!r}, which is not in the mesh's own folder; put the file beside it")
    return path.parent / clean


def _read_material(path, number, name):
    """Return the texture files that an OBJ's material file names with map_Kd; none if it is missing."""
    library = _resolve(f"{path}, line {number}", path, name)
    if not os.path.isfile(library):
        return []
    names = []
    for row, line in _read_lines(library):
        kind, _, rest = line.strip().replace("\t", " ").partition(" ")
        if kind.lower() == "map_kd" and rest.strip():
            rest = rest.split()[-1] if rest.strip().startswith("-") else rest.strip()  # options stand before the name
            names.append(str(_resolve(f"{library}, line {row}", path, rest)))
    return names


def _find_texture(path, names):
    """Return the texture (H, W) float32 and "", or None and why there is none."""
    names = sorted(set(names))
    if len(names) > 1:
        return None, f"{len(names)} textures are named and only one can be used"
    files = [Path(name) for name in names] or [path.with_suffix(kind) for kind in TEXTURE_TYPES]
    there = [file for file in files if os.path.isfile(file)]
    if not there:
        return None, f"the texture {files[0].name} is missing" if names else "no texture is named"
    texture = read_image(there[0])
    if max(texture.shape) > SIDE:
        raise MerError(f"{there[0]}: more than {SIDE} px wide or high; make the texture smaller")
    return texture.astype(np.float32), ""


def _check_finite(path, values, where):
    bad = ~(np.abs(values) <= FARTHEST).all(1)  # true for NaN too
    if bad.any():
        row = int(np.argmax(bad))
        raise MerError(f"{path}, {where(row)}: a coordinate is not a number or larger than {FARTHEST:,.0f}")


def _make_mesh(path, vertices, faces, uv, texture, colour, note):
    """Return the Mesh of checked arrays; ``colour`` (M, 3) is in 0..1 or 0..255."""
    grey = None
    if not len(vertices) or not len(faces):
        raise MerError(f"{path}: has no {'faces' if len(vertices) else 'vertices or no faces'}; export a surface")
    if texture is None and colour is not None:
        top = 255 if colour.max() <= 1 else 1
        grey = (np.clip(colour * top, 0, 255) @ [0.299, 0.587, 0.114]).astype(np.float32)
    if texture is None:
        note = f"{path}: {note}; {'shaded by its normals' if grey is None else 'its vertex colours are used'} instead"
    return Mesh(vertices.astype(np.float64), faces.astype(np.int32), uv, texture, grey, note)
