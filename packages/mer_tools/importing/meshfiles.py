"""Scanned heads as files: OBJ and PLY, read by trimesh into the arrays that are filmed."""

import glob
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from mer_utils import MerError
from mer_utils.dataset import FRAME_TYPES, read_image

import numpy as np
from trimesh import load_mesh

TYPES = (".obj", ".ply")


@dataclass(frozen=True, eq=False)
class Mesh:
    """One frame of a scan: M vertices, K triangles, and a texture or none."""

    vertices: np.ndarray  # (M, 3) float64
    faces: np.ndarray  # (K, 3) int32
    uv: np.ndarray | None  # (M, 2) float64, only with a texture: u right, v down from its top row
    texture: np.ndarray | None  # (H, W) float32 grey levels
    note: str  # what a reader should be told, or ""


def read_mesh(path):
    """Read an OBJ or PLY file as a Mesh; raise MerError naming the file if it cannot be used.

    The texture is what map_Kd (OBJ) or "comment TextureFile" (PLY) names, else the picture with
    the mesh's own name. Polygons become triangles, and vertices that no face uses are dropped.
    """
    path, kind = Path(path), Path(path).suffix.lower()
    try:
        data = path.read_bytes()
        names = re.findall(rb"^comment\s+TextureFile\s+(.+?)\s*$", data, re.MULTILINE)
        names = [name.decode() for name in names]
        if kind == ".obj":
            data, names = _prepare_obj(path, data)
        with warnings.catch_warnings():
            # NumPy only warns of a row that is not all numbers, as where a file was cut off
            warnings.simplefilter("error", DeprecationWarning)
            mesh = load_mesh(io.BytesIO(data), kind[1:], process=False, skip_materials=True)
        stated = mesh.metadata["_ply_raw"]["face"]["length"] if kind == ".ply" else 1
        # trimesh takes what there is of a text that was cut off
        if len(mesh.faces) < stated or not np.isfinite(mesh.vertices).all():
            raise ValueError("faces or points are missing")
        has_uv, uv = getattr(mesh.visual, "uv", None) is not None, None
        texture, note = _find_texture(path, names) if has_uv else (None, "no texture coordinates")
        if texture is None:
            # a vertex is split wherever faces give it other texture points or normals
            mesh.merge_vertices(merge_tex=True, merge_norm=True)
        else:
            mesh.remove_unreferenced_vertices()
            uv = mesh.visual.uv * [1, -1] + [0, 1]
    except MerError:
        raise
    except Exception as error:  # trimesh and NumPy each raise their own
        what = f"not readable as a surface ({type(error).__name__}); export the mesh again"
        raise MerError(path, what) from None
    note = note and f"{path}: {note}; shaded by light instead"
    return Mesh(np.array(mesh.vertices), np.array(mesh.faces, np.int32), uv, texture, note)


def _prepare_obj(path, data):
    """Return an OBJ as trimesh reads it whole, and the names of its textures."""
    text = data.decode("utf-8-sig", "replace")
    faces = " ".join(re.findall(r"^f\s(.*)$", text, re.MULTILINE))
    forms = set(re.sub(r"\b[1-9]\d*", "1", faces).split())
    # trimesh reads any other number, or several of these forms, as something else without a word
    if not forms <= {"1", "1/1", "1//1", "1/1/1"}:
        raise MerError(path, "has faces of vertices not numbered from 1; export the mesh again")
    if not forms <= {"1/1", "1/1/1"}:
        text = re.sub(r"(?<=\d)/\S*", "", text)  # 1//3 becomes 1: not all have texture points
    names = []
    for library in re.findall(r"^mtllib\s+(.+?)\s*$", text, re.MULTILINE):
        if (path.parent / library).is_file():
            material = (path.parent / library).read_text(encoding="utf-8", errors="replace")
            # options stand before the name
            names += re.findall(r"^\s*map_Kd\s+(?:-.*\s)?(.+?)\s*$", material, re.MULTILINE)
    # trimesh splits meshes wherever the material changes
    return re.sub(r"^usemtl\s.*$", "", text, flags=re.MULTILINE).encode(), names


def _find_texture(path, names):
    """Return the texture (H, W) float32 and "", or None and why there is none."""
    paths = [path.parent / name.replace("\\", "/") for name in dict.fromkeys(names)]
    if not names:
        own = path.parent.glob(f"{glob.escape(path.stem)}.*")
        paths = [picture for picture in own if picture.suffix.lower() in FRAME_TYPES]
    if len(paths) != 1:
        return None, f"{len(paths) or 'no'} textures are named or there, and one is needed"
    if not paths[0].is_file():
        return None, f"the texture {paths[0].name} is missing"
    return read_image(paths[0]).astype(np.float32), ""
