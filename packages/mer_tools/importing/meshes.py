"""Scanned heads, one mesh per frame, with or without texture -> the two views that the method
starts from.

Axes as in head.py: x right, y up, z towards the viewer. The unit does not matter: the first mesh
sets the scale.
"""

from dataclasses import replace
from itertools import chain
from pathlib import Path

from faces4d import cameras
from faces4d.cameras import AIM, FAR, NEAR, OVERSAMPLE, rasterise
from mer_tools.importing.meshfiles import TYPES, read_mesh
from mer_utils import MerError
from mer_utils.dataset import number_key
from mer_utils.preprocessing import square_box

import cv2
import numpy as np
from trimesh import triangles

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
    folder = Path(folder)
    if not folder.is_dir():
        raise MerError(folder, "no such folder of meshes")
    paths = [path for path in folder.iterdir() if path.suffix.lower() in TYPES]
    if len({path.suffix.lower() for path in paths}) != 1:
        raise MerError(folder, "holds no meshes of one kind, .obj or .ply, one file per frame")
    return tuple(sorted(paths, key=number_key))


def film_meshes(paths, size=448, yaw=25.0, fov=26.1):
    """Return an iterator of the frames (2, H, W) uint8 that two cameras at -yaw and +yaw degrees
    film of the meshes (paths, one per frame), ``size`` px high; what the reader should be told, in
    a list; and each view's box of the face, px.

    The first mesh fills about 80 % of the height; then the cameras stand still. Raises MerError for
    fewer than three meshes, and for one that is not usable, leaves the picture, or changes its size
    or its look.
    """
    if len(paths) < 3:
        raise MerError(paths[0].parent, f"has {len(paths)} meshes; a clip needs three at least")
    if not 5 <= fov <= 60:
        raise MerError(f"a field of view of {fov} degrees cannot be filmed; choose 5 to 60")
    views = [replace(camera, fov=float(fov)) for camera in cameras.cameras(size, yaw)]
    first = read_mesh(paths[0])
    stage = _Stage(paths[0], first, views)
    centre, side = find_face(stage.place(paths[0], first))
    boxes = []
    for camera in views:
        px = side * camera.px_per_unit
        boxes.append(square_box(*camera.project(centre), px, camera.width, camera.height))
    meshes = chain([first], map(read_mesh, paths[1:]))
    return map(stage.paint, paths, meshes), [first.note] * bool(first.note), boxes


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

    def __init__(self, path, mesh, views):
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        self.views, self.textured = views, mesh.texture is not None
        self.extent = np.max(high - low)
        self.centre = (low + high) / 2
        camera = views[0]
        tall = camera.height / camera.px_per_unit / 2  # units from the picture's middle to its top
        wide = camera.width / camera.px_per_unit / 2
        side = max(np.abs((mesh.vertices - self.centre) @ view.pose[0, :3]).max() for view in views)
        if min(high[1] - low[1], side) <= 1e-6 * self.extent or self.extent < 1e-9:
            what = "is a point or a line; a surface with x to the right and y up is needed"
            raise MerError(path, what)
        self.scale = min(FILL * tall * 2 / (high[1] - low[1]), FILL_WIDTH * wide / side)
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
        ratio = np.ptp(mesh.vertices, axis=0).max() / self.extent
        if not 1 / 4 <= ratio <= 4:
            what = f"is {ratio:.3g} times as large as the first mesh; is its unit another?"
            raise MerError(path, what)
        points = (mesh.vertices - self.centre) * self.scale + AIM
        middle = (points.min(0) + points.max(0)) / 2
        for camera in self.views:
            x, y = camera.project(middle)
            depth = -(points @ camera.pose[2, :3] + camera.pose[2, 3])
            inside = 0 <= x < camera.width and 0 <= y < camera.height
            if not inside or depth.min() <= NEAR or depth.max() >= FAR:
                what = "lies outside the picture that the first mesh sets; align the meshes"
                raise MerError(path, what)
        return points

    def paint(self, path, mesh):
        """Return the views (2, H, W) uint8 of a mesh; MerError as in ``place``."""
        points = self.place(path, mesh)
        # the rasteriser draws values in 0..1: grey levels, or texture coordinates
        values, texture = np.zeros((len(points), 3)), mesh.texture
        if texture is None:
            values[:, 0] = _light(points, mesh.faces) / 255
        else:
            low, span = mesh.uv.min(0), np.maximum(np.ptp(mesh.uv, axis=0), 1e-9)
            values[:, :2] = (mesh.uv - low) / span
            repeats = low.min() < 0 or (low + span).max() > 1
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
                uv = np.mod(uv, 1) if repeats else uv
                xy = (uv * texture.shape[::-1] - 0.5).astype(np.float32)
                edge = {"borderMode": cv2.BORDER_REPLICATE}
                picture = cv2.remap(texture, xy, None, cv2.INTER_LINEAR, **edge)
            picture[depth >= FAR] = cameras.BACKGROUND
            size = camera.width, camera.height
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            pictures.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
        return np.stack(pictures)


def _light(points, faces):
    """Return the grey (M,) of untextured skin: Lambert, as in rendering.py."""
    flat = triangles.cross(points[faces])  # normals, as long as twice the areas
    behind = np.array([*points.mean(0)[:2], points[:, 2].min() - np.ptp(points)])
    # the volume seen from behind: negative if wound inwards
    if np.sum(flat * (points[faces[:, 0]] - behind)) < 0:
        flat = -flat
    normals = np.zeros_like(points)
    np.add.at(normals, faces.ravel(), np.repeat(flat, 3, axis=0))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    ways, strengths = (np.array(part) for part in zip(*cameras.LIGHTS, strict=True))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    light = cameras.AMBIENT + np.maximum(normals @ ways.T, 0) @ strengths
    return SKIN * light / cameras.BRIGHTEST
