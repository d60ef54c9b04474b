"""Scanned heads as files: OBJ and PLY, read by trimesh into the arrays that are filmed."""

import io
import re
import warnings
from dataclasses import dataclass

from mer_utils import MerError
from mer_utils.dataset import read_image

import numpy as np
from trimesh.exchange.obj import load_obj
from trimesh.exchange.ply import load_ply

TYPES = (".obj", ".ply")
TEXTURE_TYPES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")


@dataclass(frozen=True, eq=False)
class Mesh:
    """One frame of a scan: M vertices, K triangles, and a texture or none."""

    vertices: np.ndarray  # (M, 3) float64
    faces: np.ndarray  # (K, 3) int32
    uv: np.ndarray | None  # (M, 2) float64, only with a texture: u right, v down from its top row
    texture: np.ndarray | None  # (H, W) float32 grey levels
    note: str  # what a reader should be told, or ""


def read_mesh(path):
    """Read an OBJ or PLY file, a Path, as a Mesh; MerError names the file if it cannot be used.

    The texture is what map_Kd (OBJ) or "comment TextureFile" (PLY) names, else the picture with
    the mesh's own name. Polygons become triangles, and vertices that no face uses are dropped.
    """
    load = _load_obj if path.suffix.lower() == ".obj" else _load_ply
    try:
        with warnings.catch_warnings():
            # NumPy only warns of a row that is not all numbers, as where a file was cut off
            warnings.simplefilter("error", DeprecationWarning)
            parts, texture, note = load(path)
        polygons = parts["faces"]
        fans = [polygons[:, [0, k - 1, k]] for k in range(2, polygons.shape[1])]
        used, faces = np.unique(np.concatenate(fans), return_inverse=True)
        vertices = np.asarray(parts["vertices"], np.float64)[used]
        uv = None if texture is None else parts["visual"].uv[used] * [1, -1] + [0, 1]
        if not (np.isfinite(vertices).all() and used[0] >= 0 and vertices.shape[1] == 3):
            raise ValueError("no points in space")
    except MerError:
        raise
    except Exception as error:  # trimesh and NumPy each raise their own
        what = f"not readable as a surface ({type(error).__name__}); export the mesh again"
        raise MerError(path, what) from None
    note = note and f"{path}: {note}; shaded by light instead"
    return Mesh(vertices, faces.reshape(-1, 3).astype(np.int32), uv, texture, note)


def _load_obj(path):
    """Return trimesh's arrays of an OBJ, its texture or None, and why there is none."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    faces = " ".join(re.findall(r"^f\s(.*)$", text, re.MULTILINE))
    forms = set(re.sub(r"\b[1-9]\d*", "1", faces).split())
    # trimesh reads any other number as something else without a word
    if not forms or not forms <= {"1", "1/1", "1//1", "1/1/1"}:
        raise MerError(path, "has no faces of vertices numbered from 1; export the mesh again")
    names = []
    for library in re.findall(r"^mtllib\s+(.+?)\s*$", text, re.MULTILINE):
        if (path.parent / library).is_file():
            material = (path.parent / library).read_text(encoding="utf-8", errors="replace")
            # options stand before the name
            names += re.findall(r"^\s*map_Kd\s+(?:-.*\s)?(.+?)\s*$", material, re.MULTILINE)
    texture, note = _find_texture(path, names, forms <= {"1/1", "1/1/1"})

    # trimesh splits vertices wherever a face gives them other texture points or normals, and
    # meshes wherever the material changes: keep only the splits that the texture needs
    text = re.sub(r"^usemtl\s.*$", "", text, flags=re.MULTILINE)
    if texture is None:
        text = re.sub(r"(?<=\d)/\S*", "", text)  # 1/2/3 becomes 1
    else:
        text = re.sub(r"(/\d+)/\d+", r"\1", text)  # 1/2/3 becomes 1/2
    geometry = load_obj(io.StringIO(text), skip_materials=True)["geometry"]
    return next(iter(geometry.values())), texture, note


def _load_ply(path):
    """Return trimesh's arrays of a PLY, its texture or None, and why there is none."""
    header = path.read_bytes().partition(b"end_header")[0].decode("utf-8", "replace")
    names = re.findall(r"^comment\s+TextureFile\s+(.+?)\s*$", header, re.MULTILINE)
    has_uv = re.search(r"^property .*\b(texture_u|u|s|texcoord)\s*$", header, re.MULTILINE)
    texture, note = _find_texture(path, names, has_uv)
    with open(path, "rb") as file:
        parts = load_ply(file, skip_materials=True, fix_texture=texture is not None)
    face = parts["metadata"]["_ply_raw"]["face"]
    rows = next(face["data"][name] for name in face["properties"] if name.startswith("vertex_ind"))
    corners = rows["f0"].astype(int) if rows.dtype.names else np.array([len(row) for row in rows])
    triangles = len(parts["faces"]) * (parts["faces"].shape[1] - 2)
    # trimesh takes what there is of a file that was cut off, and the first face's number of corners
    if len(rows) < face["length"] or min(corners) < 3 or sum(corners - 2) != triangles:
        raise MerError(path, "is cut off or has faces that cannot be read; export it as triangles")
    return parts, texture, note


def _find_texture(path, names, has_uv):
    """Return the texture (H, W) float32 and "", or None and why there is none."""
    if not has_uv:
        return None, "no texture coordinates"
    names = list(dict.fromkeys(name.strip('"').replace("\\", "/") for name in names))
    if len(names) > 1:
        return None, f"{len(names)} textures are named and only one can be used"
    for file in names or [path.with_suffix(kind).name for kind in TEXTURE_TYPES]:
        if (path.parent / file).is_file():
            return read_image(path.parent / file).astype(np.float32), ""
    return None, f"the texture {names[0]} is missing" if names else "no texture is named or there"
