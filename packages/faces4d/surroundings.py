"""What is neither face nor motion: the room behind, covers of a camera, lens, compression."""

import functools

import cv2
import numpy as np

HEIGHT = 224  # px: the height of the view that sizes in px refer to


@functools.lru_cache(maxsize=8)
def make_backdrop(seed, right, contrast, height, width):
    """Return a grey room out of focus as one camera sees it all day: (height, width) float32.

    ``contrast`` is its sd in grey levels; each person's left and ``right`` cameras see another.
    """
    rng = np.random.default_rng([seed, 53, int(right)])
    scale = height / HEIGHT
    rows, columns = np.mgrid[:height, :width] / height
    slope = rng.standard_normal(2)
    room = 0.5 * (slope[0] * (rows - 0.5) + slope[1] * (columns - 0.4))
    for _ in range(rng.integers(5, 10)):  # doors, shelves, screens, pictures
        x, y, wide, tall = rng.uniform((-0.1, -0.1, 0.08, 0.08), (0.75, 0.9, 0.35, 0.6))
        inside = (columns > x) & (columns < x + wide) & (rows > y) & (rows < y + tall)
        room[inside] += rng.uniform(-1, 1)
    coarse = rng.standard_normal((HEIGHT // 4, HEIGHT * width // height // 4))
    grain = cv2.resize(coarse, (width, height))
    room = cv2.GaussianBlur(room + 0.15 * grain, (0, 0), rng.uniform(1.0, 3.0) * scale)
    room = rng.uniform(110, 190) + contrast * (room - room.mean()) / room.std()
    room = np.clip(room, 20, 235).astype(np.float32)
    room.setflags(write=False)
    return room


def cover_frames(frames, seed, drift, skin, hair):
    """Lay a hand or locks of hair, drawn from ``seed``, over one view's frames (T, H, W) in place.

    They are about as grey as the person's ``skin`` and ``hair`` and move by ``drift`` (x, y) px of
    a view 224 px high a frame.
    """
    height, width = frames.shape[1:]
    scale = height / HEIGHT
    rng = np.random.default_rng([seed, 59])
    draw, tone = (_draw_hand, skin) if rng.random() < 0.5 else (_draw_hair, hair)
    grey, solid = draw(rng, height, width, scale, tone)
    for t, frame in enumerate(frames):
        shift = np.array([[1, 0, drift[0] * scale * t], [0, 1, drift[1] * scale * t]])
        opacity = cv2.warpAffine(solid, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        colour = cv2.warpAffine(grey, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        frame += opacity * (colour - frame)


def _draw_hand(rng, height, width, scale, skin):
    """Return grey levels and opacity (H, W) of a palm and four fingers before the face."""
    sheet = np.zeros((height, width), np.float32)
    side = rng.choice([-1, 1])
    x = width / 2 + side * rng.uniform(18, 40) * scale
    y = height * rng.uniform(0.5, 0.75)
    up = np.deg2rad(rng.uniform(-25, 25)) + side * 0.35
    ahead, across = np.array([-np.sin(up), -np.cos(up)]), np.array([np.cos(up), -np.sin(up)])
    palm = np.array([x, y])
    size = rng.uniform(20, 26) * scale

    def draw(start, end, thick):
        points = [tuple(round(float(c) * 16) for c in point) for point in (start, end)]
        cv2.line(sheet, *points, 1.0, max(1, round(thick)), cv2.LINE_AA, 4)

    for k, length in enumerate((1.35, 1.6, 1.55, 1.2)):
        root = palm + across * size * (k - 1.5) * 0.56
        draw(root, root + ahead * size * length, 0.42 * size)
    draw(palm - ahead * size * 0.1, palm + ahead * size * 0.2, 1.7 * size)
    draw(palm, palm - ahead * size * 4, 1.2 * size)  # the arm
    solid = cv2.GaussianBlur(sheet, (0, 0), 1.2 * scale)
    # rounded like skin: darker towards the edges of fingers and palm
    deep = cv2.GaussianBlur(sheet, (0, 0), 3.5 * scale)
    grey = skin * rng.uniform(0.7, 1.0) * (0.45 + 0.55 * deep)
    grain = cv2.resize(rng.standard_normal((height // 4, width // 4)), (width, height))
    return (grey + 3 * grain).astype(np.float32), np.clip(solid, 0, 1)


def _draw_hair(rng, height, width, scale, hair):
    """Return grey levels and opacity (H, W) of locks that fall over one side of the face."""
    rows, columns = np.mgrid[:height, :width] / scale
    tone, side = hair * rng.uniform(0.7, 1.1), rng.choice([-1, 1])
    grey, solid = np.full((height, width), tone), np.zeros((height, width))
    for _ in range(rng.integers(4, 8)):
        wide, length = rng.uniform(5, 9), rng.uniform(75, 125)  # px
        down = np.clip((rows - 32) / length, 0, 1)  # from under the hair downwards
        root = width / scale / 2 + side * rng.uniform(5, 35)
        across = (columns - root - side * rng.uniform(0, 14) * down**1.5) / wide
        strands = sum(np.sin(across * rng.uniform(2, 12) + rng.uniform(0, 6)) for _ in range(6))
        thin = np.clip(1 - down**2, 0, 1)
        lock = np.clip((thin - np.abs(across) + 0.06 * strands) / 0.35, 0, 1)
        lock *= np.clip((rows - 28) / 12, 0, 1) * (down < 1)
        grey, solid = grey + lock * (tone * (1 + 0.1 * strands) - grey), np.maximum(solid, lock)
    solid = cv2.GaussianBlur(solid.astype(np.float32), (0, 0), 0.8 * scale)
    return grey.astype(np.float32), 0.97 * solid


def defocus(frames, blur):
    """Blur frames (V, T, H, W) by Gaussians of ``blur`` (V,) px of a view 224 px high, if any."""
    for view, sigma in zip(frames, blur, strict=False):
        for frame in view:
            frame[:] = cv2.GaussianBlur(frame, (0, 0), sigma * frames.shape[2] / HEIGHT)
    return frames


def compress(frames, quality):
    """Return uint8 frames (V, T, H, W) as JPEG of a ``quality`` (V,), if any, leaves them."""
    for view, level in zip(frames, quality, strict=False):
        for frame in view:
            packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, int(level)])[1]
            frame[:] = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)
    return frames
