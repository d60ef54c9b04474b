"""Scanned heads as files: OBJ and PLY, read with care into arrays; whatever a file claims, memory
stays bounded.
"""

import codecs
import itertools
import os
import warnings
from array import array
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from mer_utils import MerError
from mer_utils.dataset import read_image

import numpy as np
from trimesh.exchange.ply import load_ply

BYTES = 256 << 20  # of one file
VERTICES = 5_000_000
FACES = 5_000_000  # triangles: about 1 GB while they are read; scans of faces have a twentieth
LINES = 6 * VERTICES  # v, vt, vn, f and some comments
LINE = 1 << 16  # bytes of one line
LIBRARIES, MATERIAL = 16, 1 << 20  # material files of one mesh; bytes of each
HEADER = 200  # lines of a PLY's header
# of a PLY in text: trimesh needs some 200 bytes a line
ASCII_BYTES, ASCII_LINES = 64 << 20, 3_000_000
FARTHEST = 1e6  # largest coordinate, in whatever unit
TEXTURE_TYPES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")
SIDE = 32_000  # px of a texture: OpenCV's remap counts with 16 bits


@dataclass(frozen=True, eq=False)
class Mesh:
    """One frame of a scan: M vertices, K triangles, and its look: texture, else vertex colours,
    else light alone.
    """

    vertices: np.ndarray  # (M, 3) float64
    faces: np.ndarray  # (K, 3) int32
    # (M, 2) float64, only with a texture; u right, v down from the texture's first row
    uv: np.ndarray | None
    texture: np.ndarray | None  # (H, W) float32 grey levels
    grey: np.ndarray | None  # (M,) float32 grey levels, from vertex colours
    note: str  # what a reader should be told, or ""

    @property
    def look(self):
        """What the mesh is painted with, in words."""
        return (
            "texture"
            if self.texture is not None
            else "light"
            if self.grey is None
            else "vertex colours"
        )


def read_mesh(path):
    """Read an OBJ or PLY file as a Mesh; MerError naming file and line or vertex for anything that
    cannot be used.

    OBJ: v (with colours if each line has them), vt, f of three corners or more, mtllib with map_Kd;
    without map_Kd a picture of the mesh's own name is its texture. Vertices that no face uses are
    dropped.
    """
    path = Path(path)
    reader = {".obj": _read_obj, ".ply": _read_ply}.get(path.suffix.lower())
    if reader is None or not os.path.isfile(path):
        raise MerError(path, "no such mesh (.obj or .ply)")
    try:
        size = path.stat().st_size
        if not 0 < size <= BYTES:
            what = (
                f"has more than {BYTES >> 20} MB; make the mesh coarser"
                if size
                else "is empty; export it again"
            )
            raise MerError(path, f"{what}")
        return reader(path)
    except OSError as error:
        raise MerError(path, f"cannot be read ({error.strerror})") from None


def _read_lines(path):
    """Yield (number, bytes) of a text file's lines; none is long, so that memory stays small
    whatever the file is.
    """
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(LINE + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if number > LINES or len(line) > LINE or b"\0" in line:
                raise MerError(
                    f"{path}, line {number}", "is not the text of a mesh; export the file again"
                )
            yield number, line


def _decode(line):
    return line.decode("utf-8", "replace").strip()


def _read_obj(path):
    numbers, texts, names = _parse_obj(path)
    v, colour, vt = (
        np.array(numbers[key]).reshape(-1, n) for key, n in (("v", 3), ("colour", 3), ("vt", 2))
    )
    corners = np.array(numbers["f"]).reshape(-1, 3, 2)
    for kind, values in (("v", v), ("vt", vt)):
        _check_finite(path, values, lambda row, kind=kind: f"line {texts[kind][row]}")
    bad = (corners < [1, 0]) | (corners > [len(v), len(vt)])
    if bad.any():
        line = texts["f"][int(np.argmax(bad.any((1, 2))))]
        raise MerError(
            f"{path}, line {line}",
            "a face names a vertex or texture point that the file does not have",
        )
    whole = bool(corners[..., 1].all())  # each corner has a texture point
    texture, note = (
        _find_texture(path, names) if len(vt) and whole else (None, "no texture coordinates")
    )
    codes = corners[..., 0].astype(np.int64) * (len(vt) + 1)
    # one vertex for each pair that occurs
    codes = codes if texture is None else codes + corners[..., 1]
    kept, faces = np.unique(codes, return_inverse=True)
    v_index, vt_index = np.divmod(kept, len(vt) + 1)
    # OBJ counts v from the bottom
    uv = None if texture is None else vt[vt_index - 1] * [1, -1] + [0, 1]
    colour = colour[v_index - 1] if len(colour) == len(v) else None
    return _make_mesh(path, v[v_index - 1], faces.reshape(-1, 3), uv, texture, colour, note)


def _parse_obj(path):
    """Return numbers and their line numbers, arrays by kind (corners as ``_read_corner`` has them),
    and the texture files that the materials name.
    """
    numbers = {"v": array("d"), "colour": array("d"), "vt": array("d"), "f": array("i")}
    at = {"v": array("i"), "vt": array("i"), "f": array("i")}
    libraries = {}
    for number, line in _read_lines(path):
        kind, *words = line.split() or [b""]
        try:
            if kind == b"v":
                x, y, z = map(float, words[:3])
                numbers["v"].extend((x, y, z))
                at["v"].append(number)
                if len(words) >= 6:
                    numbers["colour"].extend(map(float, words[3:6]))
            elif kind == b"vt":
                numbers["vt"].extend((float(words[0]), float(words[1]) if len(words) > 1 else 0.0))
                at["vt"].append(number)
            elif kind == b"f":
                first, *rest = [_read_corner(word, len(at["v"]), len(at["vt"])) for word in words]
                for second, third in itertools.pairwise(rest):
                    numbers["f"].extend(first + second + third)
                    at["f"].append(number)
                if len(rest) < 2:
                    raise ValueError
            elif kind == b"mtllib":
                libraries.setdefault(_decode(line.split(None, 1)[1]), number)
        except (ValueError, IndexError, OverflowError):
            raise MerError(
                f"{path}, line {number}",
                f"{_decode(line)[:60]!r} is not a whole line of an OBJ file",
            ) from None
        if len(at["v"]) > VERTICES or len(at["f"]) > FACES or len(libraries) > LIBRARIES:
            limits = f"{VERTICES:,} vertices, {FACES:,} triangles or {LIBRARIES} material files"
            raise MerError(path, f"more than {limits}; make the mesh coarser")
    return (
        numbers,
        at,
        [name for library in libraries.items() for name in _read_material(path, *library)],
    )


def _read_corner(word, points, marks):
    """Return (vertex, texture point), 1-based, of ``v``, ``v/t``, ``v//n`` or ``v/t/n``; negative
    ones count back.

    0 stands for no texture point, -1 for one that cannot be.
    """
    v, *rest = [part and int(part) for part in word.split(b"/")]
    if v == b"" or len(rest) > 2:
        raise ValueError
    t = rest[0] if rest else b""
    if t == b"":
        t = 0
    elif t <= 0:
        t = t + marks + 1 if -marks <= t < 0 else -1
    return v if v > 0 else v and v + points + 1, t


def _resolve(where, path, name, folder=None):
    """Return the path of a file that a mesh, or one in ``folder``, names; it must lie in the mesh's
    folder or below.
    """
    clean = name.strip().strip('"').replace("\\", "/")
    home, found = os.path.realpath(path.parent), (folder or path.parent) / clean
    outside = (
        PureWindowsPath(clean).drive or clean.startswith("/") or ".." in PurePosixPath(clean).parts
    )
    if outside or not Path(os.path.realpath(found)).is_relative_to(home):
        raise MerError(
            where,
            f"names {name[:80]!r}, which is not in the mesh's own folder; put the file beside it",
        )
    return found


def _read_material(path, name, number):
    """Return the texture files that an OBJ's material file names with map_Kd; none if it is
    missing.
    """
    library = _resolve(f"{path}, line {number}", path, name)
    if not os.path.isfile(library):
        return []
    if library.stat().st_size > MATERIAL:
        raise MerError(
            library, f"has more than {MATERIAL >> 20} MB; a material file is a short text"
        )
    names = {}
    for row, line in _read_lines(library):
        kind, _, rest = _decode(line).replace("\t", " ").partition(" ")
        if kind.lower() == "map_kd" and rest.strip():
            # options stand before the name
            rest = rest.split()[-1] if rest.strip().startswith("-") else rest.strip()
            if rest not in names:
                names[rest] = _resolve(f"{library}, line {row}", path, rest, library.parent)
    return list(names.values())


def _find_texture(path, names):
    """Return the texture (H, W) float32 and "", or None and why there is none."""
    if len(set(names)) > 1:
        return None, f"{len(set(names))} textures are named and only one can be used"
    files = names or [_resolve(path, path, path.with_suffix(kind).name) for kind in TEXTURE_TYPES]
    there = [file for file in files if os.path.isfile(file)]
    if not there:
        return (
            None,
            f"the texture {files[0].name} is missing"
            if names
            else "no texture is named, or none is there",
        )
    texture = read_image(there[0])
    if max(texture.shape) > SIDE:
        raise MerError(there[0], f"more than {SIDE} px wide or high; make the texture smaller")
    return texture.astype(np.float32), ""


def _check_finite(path, values, where):
    bad = ~(np.abs(values) <= FARTHEST).all(1)  # true for NaN too
    if bad.any():
        row = int(np.argmax(bad))
        raise MerError(
            f"{path}, {where(row)}",
            f"a value is no number or beyond {FARTHEST:,.0f}; export the mesh again",
        )


def _make_mesh(path, vertices, faces, uv, texture, colour, note):
    """Return the Mesh of checked arrays; ``colour`` (M, 3) is in 0..1 or 0..255."""
    grey = None
    if not len(vertices) or not len(faces):
        raise MerError(
            path, f"has no {'faces' if len(vertices) else 'vertices or no faces'}; export a surface"
        )
    if texture is None and colour is not None:
        _check_finite(path, colour, lambda row: f"colour of vertex {row}")
        top = 255 if colour.max() <= 1 else 1
        grey = (np.clip(colour * top, 0, 255) @ [0.299, 0.587, 0.114]).astype(np.float32)
    if texture is None:
        note = (
            f"{path}: {note}; "
            f"{'shaded by its normals' if grey is None else 'its vertex colours are used'} instead"
        )
    return Mesh(vertices.astype(np.float64), faces.astype(np.int32), uv, texture, grey, note)


def _read_ply(path):
    with open(path, "rb") as file:
        names = _check_ply(path, file)
        try:
            with warnings.catch_warnings():
                # numpy: a line that is not all numbers
                warnings.simplefilter("error", DeprecationWarning)
                parts = load_ply(file, skip_materials=True)
            raw = parts["metadata"]["_ply_raw"]
            key = (
                "vertex_index" if "vertex_index" in raw["face"]["properties"] else "vertex_indices"
            )
            rows, whole = raw["face"]["data"][key], True
            if rows.dtype.names:  # binary: trimesh takes the first face's number of corners for all
                whole, rows = (rows["f0"] == rows["f1"].shape[1]).all(), rows["f1"]
            lengths = (
                np.full(len(rows), rows.shape[1])
                if rows.ndim == 2
                else np.array([len(row) for row in rows])
            )
            if (lengths - 2).sum() > FACES:
                raise MemoryError
            corners = rows.ravel() if rows.ndim == 2 else np.concatenate(list(rows))
            vertices, faces = np.asarray(parts["vertices"], np.float64), np.asarray(parts["faces"])
            # fans
            faces = np.concatenate([faces[:, [0, k - 1, k]] for k in range(2, faces.shape[1])])
            colour, uv = parts.get("vertex_colors"), getattr(parts.get("visual"), "uv", None)
            if colour is not None and (
                colour.dtype.kind not in "uif" or colour.ndim < 2 or colour.shape[1] < 3
            ):
                raise ValueError  # a vertex with fewer numbers than the header says
        except Exception as error:  # trimesh, numpy and struct each raise their own
            raise MerError(
                path, f"not readable as PLY ({type(error).__name__}); export it again"
            ) from None
    if not whole or lengths.min() < 3 or len(faces) != (lengths - 2).sum():
        raise MerError(path, "has faces that cannot be read; export it as triangles")
    if corners.min() < 0 or corners.max() >= raw["vertex"]["length"]:
        raise MerError(path, "a face names a vertex that the file does not have; export it again")
    _check_finite(path, vertices, lambda row: f"vertex {row}")
    texture, note = (None, "no texture coordinates") if uv is None else _find_texture(path, names)
    uv = None if texture is None else np.asarray(uv, np.float64) * [1, -1] + [0, 1]
    if colour is not None and len(colour) == len(vertices):
        colour = colour[:, :3] / (255 if colour.dtype.kind == "u" else 1)
    used, faces = np.unique(faces, return_inverse=True)
    uv, colour = (None if part is None else part[used] for part in (uv, colour))
    return _make_mesh(path, vertices[used], faces.reshape(-1, 3), uv, texture, colour, note)


def _check_ply(path, file):
    """Compare what a PLY's header claims with the file's size, and rewind it; return the textures
    that it names.
    """
    lines = [file.readline(LINE).decode("utf-8", "replace").split()]
    while lines[0] == ["ply"] and lines[-1] not in (["end_header"], []) and len(lines) < HEADER:
        lines.append(file.readline(LINE).decode("utf-8", "replace").split())
    if lines[0] != ["ply"] or lines[-1] != ["end_header"]:
        raise MerError(path, "does not start with the header of a PLY file; export it again")
    text, names, counts, numbers = lines[1][1:2] == ["ascii"], [], {}, 0
    try:
        for words in lines[2:-1]:
            if words[0] == "element":
                name, counts[words[1]] = words[1], int(words[2])
            elif words[0] == "property":
                numbers += counts[name]
            elif words[0].lower() == "comment" and words[1:2] and words[1].lower() == "texturefile":
                names.append(" ".join(words[2:]))
    except (UnboundLocalError, LookupError, ValueError):
        raise MerError(
            path, f"the header line {' '.join(words)[:60]!r} is not one of a PLY file"
        ) from None
    for name, most in (("vertex", VERTICES), ("face", FACES)):
        if not 0 < counts.get(name, 0) <= most:
            raise MerError(
                path, f"has {counts.get(name, 0):,} elements {name!r}; 1 to {most:,} can be read"
            )
    left = path.stat().st_size - file.tell()
    if min(counts.values()) < 0 or numbers * (2 if text else 1) > left + 1:
        raise MerError(
            path,
            "is cut off, or its header claims more than the file holds; copy or export it again",
        )
    if text:
        _check_ascii(path, file, len(lines))
    file.seek(0)
    return [_resolve(path, path, name) for name in names]


def _check_ascii(path, file, number):
    """Refuse a PLY in text with a line that is not numbers, or one that trimesh would need much
    memory for: it makes an array of each line.
    """
    while line := file.readline(LINE):
        number += 1
        if number > ASCII_LINES or file.tell() > ASCII_BYTES:
            raise MerError(path, "is too large for a PLY in text; save it as binary PLY")
        try:
            if line.translate(None, b"\t\r\n 0123456789+-.eEnNaAiIfFtTyY") or b"\r" in line[:-2]:
                raise ValueError
            list(map(float, line.split()))
        except ValueError:
            raise MerError(
                f"{path}, line {number}", f"{_decode(line)[:60]!r} is not a row of numbers"
            ) from None
