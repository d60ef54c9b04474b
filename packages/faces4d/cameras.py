"""Cameras and light: where a point in space lies in a picture, and how a mesh is painted into it.

Camera frame (that of OpenCV's rasteriser): x right, y up, the view along -z. Image coordinates in
px are whole numbers at pixel centres; the rasteriser samples exactly there, so that what is
rendered, projected and measured as flow agrees.
"""

from dataclasses import dataclass

from mer_utils import MerError

import cv2
import numpy as np

# what the cameras look at: crown to chin fills 80 % of the height
AIM = np.array([0.0, 0.07, 0.0], np.float32)
NEAR, FAR = 1.0, 20.0
# grey level: brighter than lit skin (220 at most) and far from hair, hence a silhouette
BACKGROUND = 240.0
# direction towards the light, strength: key light from the upper left, fill from the right, sky
LIGHTS = (((-0.45, 0.55, 0.75), 0.62), ((0.75, 0.10, 0.60), 0.22), ((0.0, 0.9, 0.1), 0.08))
AMBIENT = 0.40
BRIGHTEST = AMBIENT + sum(strength for _, strength in LIGHTS)
OVERSAMPLE = 2  # rendered at twice the size and averaged: no stepped edges


@dataclass(frozen=True)
class Camera:
    """A camera on a circle round the head at ``yaw`` degrees (positive: towards x > 0)."""

    yaw: float
    height: int  # px
    width: int  # px
    distance: float = 6.2  # units from the head's centre, about 70 cm
    fov: float = 26.1  # degrees, vertical: 2.875 units high at the head's centre

    @property
    def focal(self):
        """Focal length in px."""
        return self.height / 2 / np.tan(np.deg2rad(self.fov) / 2)

    @property
    def px_per_unit(self):
        """Image px of one unit at the depth of the head's centre; of near skin up to 1.15 times."""
        return self.focal / self.distance

    @property
    def pose(self):
        """World-to-camera matrix (4, 4)."""
        c, s = np.cos(np.deg2rad(self.yaw)), np.sin(np.deg2rad(self.yaw))
        matrix = np.eye(4)
        matrix[:3, :3] = [[c, 0, -s], [0, 1, 0], [s, 0, c]]
        matrix[:3, 3] = matrix[:3, :3] @ -AIM + [0, 0, -self.distance]
        return matrix

    def project(self, points):
        """Return image coordinates (..., 2) in px of world points (..., 3)."""
        turned = points @ self.pose[:3, :3].T + self.pose[:3, 3]
        place = self.focal * turned[..., :2] / -turned[..., 2:] * [1, -1]
        return place + np.array([self.width - 1, self.height - 1]) / 2


def cameras(size=224, yaw=25.0):
    """Return the cameras at -yaw and +yaw degrees: ``size`` px high and 3/4 of that wide."""
    if not 64 <= size <= 2048 or not 0 <= yaw <= 60:
        limits = "size is 64 to 2048, yaw 0 to 60"
        raise MerError(f"size {size} px at yaw {yaw} degrees cannot be filmed; {limits}")
    width = 2 * round(size * 3 / 8)
    return Camera(-float(yaw), int(size), width), Camera(float(yaw), int(size), width)


def rasterise(camera, vertices, triangles, values, scale=1):
    """Return ``values`` (M, 3, in 0..1) at each pixel (H, W, 3), and depth (H, W; FAR: nothing)."""
    shape = camera.height * scale, camera.width * scale
    settings = cv2.TriangleRasterizeSettings().setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings = settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)
    return cv2.triangleRasterize(
        np.ascontiguousarray(vertices, np.float32), triangles,
        np.ascontiguousarray(values, np.float32),
        np.zeros((*shape, 3), np.float32), np.full(shape, FAR, np.float32),
        camera.pose, float(np.deg2rad(camera.fov)), NEAR, FAR, settings,
    )  # fmt: skip
