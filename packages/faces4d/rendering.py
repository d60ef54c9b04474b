"""Filming: a face that moves becomes two synchronised grey films, and mesh motion becomes the true
optical flow.
"""

import functools
from pathlib import Path

from faces4d.cameras import AIM, AMBIENT, BACKGROUND, BRIGHTEST, FAR, LIGHTS, OVERSAMPLE, rasterise
from faces4d.head import FURROW_SIZE, deform, make_face
from faces4d.surroundings import compress, cover_frames, defocus, make_backdrop
from mer_utils import MerError
from mer_utils.files import write_bytes, write_text
from mer_utils.preprocessing import frame_head

import cv2
import numpy as np
from scipy.sparse import csr_array

PIVOT = np.array([0.0, -0.55, -0.20], np.float32)  # top of the neck: heads turn about it


def face_of(motion):
    """Return the Face of the person whom a Motion moves."""
    return make_face(motion.face_seed, motion.variation)


def place(motion, frame):
    """Return the head's vertices (M, 3) in the world at ``frame``."""
    if not 0 <= frame < len(motion.weights):
        last = len(motion.weights) - 1
        raise MerError(f"the clip has no frame {frame}; it has frames 0 to {last}")
    moved = deform(face_of(motion), motion.weights[frame])
    turn = cv2.Rodrigues(motion.rotation[frame].astype(np.float64))[0].astype(np.float32)
    return (moved - PIVOT) @ turn.T + (PIVOT + motion.translation[frame])


@functools.lru_cache(maxsize=4)
def _shading_parts(face_seed, variation):
    """Return the matrix (M, K) that sums triangle normals at vertices, and the grey texture."""
    face = make_face(face_seed, variation)
    k = len(face.triangles)
    rows, columns = face.triangles.ravel(), np.repeat(np.arange(k), 3)
    gather = csr_array((np.ones(3 * k, np.float32), (rows, columns)), shape=(len(face.vertices), k))
    grey = cv2.cvtColor(face.texture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # at half size, where a texel is about a pixel
    return gather, cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def shade(motion, frame, vertices):
    """Return the light (M,) on each vertex at ``frame``: Lambert, lights fixed in the world."""
    a, b, c = (np.take(vertices, corner, axis=0) for corner in face_of(motion).triangles.T)
    normals = _shading_parts(motion.face_seed, motion.variation)[0] @ np.cross(b - a, c - a)
    normals /= np.sqrt(np.einsum("mk,mk->m", normals, normals))[:, None] + 1e-12
    towards = np.array([d for d, _ in LIGHTS], np.float32)
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    strength = np.array([strength for _, strength in LIGHTS], np.float32)
    strength[0] *= 1.0 if motion.key is None else motion.key[frame]
    return AMBIENT + np.maximum(normals @ towards.T, 0) @ strength


def shade_furrows(motion, frame):
    """Return the share of its light that each texel of the skin keeps at ``frame`` (FURROW_SIZE,
    FURROW_SIZE). A furrow takes the depth ``motion.furrows[0]``, spread between people and AUs,
    times the AU's activation.
    """
    depth, spread = motion.furrows
    weights = motion.weights[frame]
    dark = np.zeros((FURROW_SIZE, FURROW_SIZE), np.float32)
    for furrow in face_of(motion).furrows if depth else ():
        deep = depth * np.exp(spread * furrow.depth) * weights[furrow.au, furrow.side]
        if deep > 0:
            dark[furrow.rows, furrow.columns] += np.float32(deep) * furrow.patch
    return 1 - np.minimum(dark, 0.6)


def _furrow(motion, frame):
    """Return the grey texture (FURROW_SIZE, FURROW_SIZE) of ``frame``."""
    return _shading_parts(motion.face_seed, motion.variation)[1] * shade_furrows(motion, frame)


def render_frame(motion, camera, frame, vertices=None, light=None, texture=None):
    """Return one frame in grey levels, before exposure and noise: (H, W) float32.

    Vertices, light and texture are those of ``frame`` unless given; a texture (S, S, 3) makes a
    frame (H, W, 3).
    """
    face = face_of(motion)
    vertices = place(motion, frame) if vertices is None else vertices
    light = shade(motion, frame, vertices) if light is None else light
    texture = _furrow(motion, frame) if texture is None else texture
    values = np.column_stack([face.uv, light / BRIGHTEST])
    surface, depth = rasterise(camera, vertices, face.triangles, values, OVERSAMPLE)
    u, v, lit = cv2.split(surface)
    u = cv2.addWeighted(u, texture.shape[1], u, 0, -0.5)
    v = cv2.addWeighted(v, texture.shape[0], v, 0, -0.5)
    lit = lit if texture.ndim == 2 else cv2.merge([lit] * 3)
    picture = cv2.multiply(cv2.remap(texture, u, v, cv2.INTER_LINEAR), lit, scale=BRIGHTEST)
    behind = depth >= FAR
    if motion.background:
        backdrop = make_backdrop(motion.face_seed, camera.yaw > 0, motion.background, *depth.shape)
        picture[behind] = backdrop[behind] if texture.ndim == 2 else backdrop[behind][:, None]
    else:
        picture[behind] = BACKGROUND
    return cv2.resize(picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def render_rgb(motion, camera, frame=0):
    """Return one frame in colour for people to look at: (H, W, 3) uint8 RGB, without noise."""
    texture = face_of(motion).texture.astype(np.float32)
    texture *= cv2.resize(shade_furrows(motion, frame), texture.shape[1::-1])[..., None]
    picture = render_frame(motion, camera, frame, texture=texture)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def find_head(motion, camera, frame=0):
    """Return the square (x, y, side) px that frames the face at ``frame``: see ``frame_head``."""
    vertices = place(motion, frame)
    blank = np.zeros_like(vertices)
    return frame_head(rasterise(camera, vertices, face_of(motion).triangles, blank)[1] < FAR)


def render_clip(motion, cameras):
    """Return the clip as filmed, with noise and compression: frames (V, T, H, W) uint8 grey."""
    noisy = add_noise(expose_clip(motion, cameras), motion.noise_seed, motion.noise_sigma)
    return compress(noisy, motion.jpeg)


def expose_clip(motion, cameras):
    """Return the clip before noise, with exposure, covers and blur: (V, T, H, W) float32 grey."""
    shape = len(cameras), len(motion.weights), cameras[0].height, cameras[0].width
    frames = np.empty(shape, np.float32)
    for t in range(shape[1]):
        vertices = place(motion, t)
        light, texture = shade(motion, t, vertices), _furrow(motion, t)
        for v, camera in enumerate(cameras):
            frames[v, t] = render_frame(motion, camera, t, vertices, light, texture)
    if motion.cover_seed:
        # the crown is the sheet's first row; the strip below the skin has its tone
        sheet = _shading_parts(motion.face_seed, motion.variation)[1]
        skin, hair = np.median(sheet[-1]), sheet[0].mean()
        cover_frames(frames[motion.degraded], motion.cover_seed, motion.cover_drift, skin, hair)
    frames *= motion.gain[:, None, None]
    return defocus(frames, motion.blur)


def add_noise(frames, seed, sigma):
    """Return frames of grey levels as uint8 with a camera's noise (``sigma`` grey levels) added."""
    noise = np.random.default_rng(seed).standard_normal(frames.shape, np.float32)
    return np.clip(np.rint(frames + np.float32(sigma) * noise), 0, 255).astype(np.uint8)


def true_flow(motion, cameras, view, i, j):
    """Return the true flow (2, H, W) float32 px from frame i to j and where it is visible (H, W).

    At each pixel of frame i the rasteriser gives the skin point's place at frames i and j; both are
    projected (u right, v down). A point is visible if it lands inside frame j unoccluded.
    """
    camera = cameras[view]
    start, end = place(motion, i), place(motion, j)
    triangles = face_of(motion).triangles
    low, high = np.minimum(start.min(0), end.min(0)), np.maximum(start.max(0), end.max(0))
    points = []
    for vertices in (start, end):  # the rasteriser interpolates values in 0..1
        values, depth = rasterise(camera, start, triangles, (vertices - low) / (high - low))
        points.append(values.astype(np.float64) * (high - low) + low)
    before, after = (camera.project(p) for p in points)
    there = depth < FAR
    flow = np.where(there[..., None], after - before, 0)
    away = camera.distance - ((points[1] - AIM) @ camera.pose[:3, :3].T)[..., 2]  # depth at frame j
    _, surface = rasterise(camera, end, triangles, np.zeros_like(end))
    column, row = np.floor(after).astype(int).transpose(2, 0, 1)
    inside = (column >= 0) & (row >= 0) & (column < camera.width - 1) & (row < camera.height - 1)
    column, row = np.clip(column, 0, camera.width - 2), np.clip(row, 0, camera.height - 2)
    behind = np.max([surface[row + a, column + b] for a in (0, 1) for b in (0, 1)], axis=0)
    # a fiftieth of a unit: the thickness of a lid
    visible = there & inside & (away < behind + 0.02)
    return flow.transpose(2, 0, 1).astype(np.float32), visible


def write_obj(folder, motion, frame):
    """Write ``frame`` as a textured OBJ into ``folder``, with its material; return its path."""
    face, vertices, folder = face_of(motion), place(motion, frame), Path(folder)
    if not (folder / "face.png").exists():
        write_bytes(folder / "face.png", cv2.imencode(".png", face.texture[..., ::-1])[1].tobytes())
        write_text(folder / "face.mtl", "newmtl face\nKa 1 1 1\nKd 1 1 1\nmap_Kd face.png\n")
    lines = ["mtllib face.mtl", "usemtl face"]
    lines += ["v {:.6f} {:.6f} {:.6f}".format(*v) for v in vertices.tolist()]
    # OBJ counts v from the bottom
    lines += [f"vt {u:.6f} {1 - v:.6f}" for u, v in face.uv.tolist()]
    lines += ["f {0}/{0} {1}/{1} {2}/{2}".format(*t) for t in (face.triangles + 1).tolist()]
    path = folder / f"frame_{frame:04d}.obj"
    write_text(path, "\n".join(lines) + "\n")
    return path
