"""Scanned heads, one mesh per frame, with or without texture -> the two views that the method
starts from.

Axes as in head.py: x right, y up, z towards the viewer. The unit does not matter: the first mesh
sets the scale.
"""

from dataclasses import replace
from pathlib import Path

from faces4d import cameras
from faces4d.cameras import AIM, FAR, NEAR, OVERSAMPLE, rasterise
from mer_tools.importing.meshfiles import TYPES, read_mesh
from mer_utils import MerError
from mer_utils.dataset import number_key
from mer_utils.preprocessing import square_box

import cv2
import numpy as np
from trimesh import Trimesh, triangles

# parts of the picture that the first mesh fills, before perspective enlarges its front
FILL, FILL_WIDTH = 0.8, 0.85
# the box of a face on a mesh, in widths of its front: how far behind the tip of the nose that front
# ends, the box's centre above and behind the tip, its side (our choice: heads made by faces.head
# are then framed as their silhouettes frame them)
FRONT, ABOVE, BEHIND, SIDE = 0.5, 0.05, 0.8, 1.45
SKIN = 210.0  # grey level of untextured skin in full light: below the background


def holds_meshes(folder):
    """Return whether a path is a folder that holds .obj or .ply files."""
    return any(path.suffix.lower() in TYPES for path in Path(folder).glob("*"))


def list_meshes(folder):
    """Return the paths of a folder's .obj or .ply files, sorted like frames; MerError if there are
    none, or both kinds.
    """
    paths = [path for path in Path(folder).iterdir() if path.suffix.lower() in TYPES]
    if len({path.suffix.lower() for path in paths}) != 1:
        raise MerError(folder, "holds no meshes of one kind, .obj or .ply, one file per frame")
    return tuple(sorted(paths, key=number_key))


def film_meshes(paths, size=448, yaw=25.0, fov=26.1, notes=None, boxes=None):
    """Yield the frames (2, H, W) uint8 that two cameras at -yaw and +yaw degrees film of the meshes
    (paths, one per frame), ``size`` px high.

    The first mesh fills about 80 % of the height; then the cameras stand still. With the first
    frame, what the reader should be told is appended to the list ``notes``, and each view's box of
    the face, px, to the list ``boxes``. Raises MerError for fewer than three meshes, and for one
    that is not usable, leaves the picture, or changes its size or its look.
    """
    if len(paths) < 3:
        what = f"has {len(paths)} meshes; a clip needs three at least"
        raise MerError(Path(paths[0]).parent, what)
    views = [replace(camera, fov=fov) for camera in cameras.cameras(size, yaw)]
    stage = None
    for path in paths:
        mesh = read_mesh(path)
        is_first = stage is None
        stage = stage or _Stage(mesh, views)
        points = stage.place(path, mesh)
        if is_first and notes is not None and mesh.note:
            notes.append(mesh.note)
        if is_first and boxes is not None:
            centre, side = find_face(points)
            for camera in views:
                px = side * camera.px_per_unit
                box = square_box(*camera.project(centre), px, camera.width, camera.height)
                boxes.append(box)
        yield np.stack(stage.paint(mesh, points))


def find_face(points):
    """Return where the face is on a head, or a part of one, of points (M, 3): the centre (3,) and
    the side of the box that frames it.

    The tip of the nose is what lies furthest in front near the middle; the front of the face is
    what lies less than half its own width behind that. So hair, ears and neck do not count: a head
    and the mask cut out of it are framed alike.
    """
    width = np.ptp(points[:, 0])
    middle = (points[:, 0].min() + points[:, 0].max()) / 2
    near = points[np.abs(points[:, 0] - middle) <= 0.25 * width]
    near = near if len(near) else points
    tip = near[near[:, 2].argmax()]
    for _ in range(6):
        level = np.abs(points[:, 1] - tip[1]) <= 0.1 * width
        front = points[level & (points[:, 2] >= tip[2] - FRONT * width), 0]
        front_width = np.ptp(front)
        if front_width < 0.5 * width or front_width == width:  # no face there, or no change
            break
        width = front_width
    return tip + width * np.array([0, ABOVE, -BEHIND]), SIDE * width


class _Stage:
    """What the first mesh decides for all: place, scale, look, and how fine a texture must be."""

    def __init__(self, mesh, views):
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        self.views, self.textured = views, mesh.texture is not None
        self.extent = np.max(high - low)
        self.centre = (low + high) / 2
        camera = views[0]
        tall, wide = (side / camera.px_per_unit for side in (camera.height, camera.width))
        side = max(np.abs((mesh.vertices - self.centre) @ view.pose[0, :3]).max() for view in views)
        self.scale = min(FILL * tall / (high[1] - low[1]), FILL_WIDTH * wide / 2 / side)
        self.shrink = 1.0
        # a texel about as large as a rendered pixel: finer ones would flicker
        if self.textured:
            magnify = self.scale * camera.px_per_unit * OVERSAMPLE
            flat = np.pad(mesh.uv * mesh.texture.shape[::-1], ((0, 0), (0, 1)))
            texels = triangles.area(flat[mesh.faces]).sum()
            pixels = triangles.area(mesh.vertices[mesh.faces] * magnify).sum()
            self.shrink = min(1.0, np.sqrt(pixels / max(texels, 1e-9)))

    def place(self, path, mesh):
        """Return the vertices (M, 3) as the cameras see them; raise MerError if they cannot be
        filmed like the first mesh.
        """
        if self.textured != (mesh.texture is not None):
            raise MerError(path, "has a texture and the first mesh none, or the reverse")
        is_seen = 1 / 4 <= np.ptp(mesh.vertices, axis=0).max() / self.extent <= 4
        points = (mesh.vertices - self.centre) * self.scale + AIM
        middle = (points.min(0) + points.max(0)) / 2
        for camera in self.views:
            x, y = camera.project(middle)
            depth = -(points @ camera.pose[2, :3] + camera.pose[2, 3])
            is_seen &= 0 <= x < camera.width and 0 <= y < camera.height
            is_seen &= NEAR < depth.min() and depth.max() < FAR
        if not is_seen:
            what = "lies outside the picture that the first mesh sets, or has another unit"
            raise MerError(path, f"{what}; align the meshes, x to the right and y up")
        return points

    def paint(self, mesh, points):
        """Return the views (H, W) uint8 of a mesh whose vertices lie at ``points`` (M, 3)."""
        # the rasteriser draws values in 0..1: grey levels, or texture coordinates
        values, texture = np.zeros((len(points), 3)), mesh.texture
        if texture is None:
            values[:, 0] = _light(points, mesh.faces) / 255
        else:
            low, span = mesh.uv.min(0), np.maximum(np.ptp(mesh.uv, axis=0), 1e-9)
            values[:, :2] = (mesh.uv - low) / span
            if self.shrink < 1:
                size = [max(1, round(side * self.shrink)) for side in texture.shape[::-1]]
                texture = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
        # a scan may be wound either way, and one way is culled
        both = np.concatenate([mesh.faces, mesh.faces[:, ::-1]])
        pictures = []
        for camera in self.views:
            seen, depth = rasterise(camera, points, both, values, OVERSAMPLE)
            picture = seen[..., 0] * 255
            if texture is not None:
                uv = seen[..., :2] * span + low
                xy = (uv * texture.shape[::-1] - 0.5).astype(np.float32)
                # texture points outside of 0 to 1 repeat the texture
                repeat = {"borderMode": cv2.BORDER_WRAP}
                picture = cv2.remap(texture, xy, None, cv2.INTER_LINEAR, **repeat)
            picture[depth >= FAR] = cameras.BACKGROUND
            size = camera.width, camera.height
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            pictures.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
        return pictures


def _light(points, faces):
    """Return the grey (M,) of untextured skin: Lambert, as in rendering.py."""
    head = Trimesh(points, faces, process=False)
    with np.errstate(divide="ignore", invalid="ignore"):  # a flat surface has no volume
        outwards = head.vertex_normals if head.volume > 0 else -head.vertex_normals
    ways, strengths = (np.array(part) for part in zip(*cameras.LIGHTS, strict=True))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    light = cameras.AMBIENT + np.maximum(outwards @ ways.T, 0) @ strengths
    return SKIN * light / cameras.BRIGHTEST
