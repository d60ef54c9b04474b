"""Pictures as PNG bytes."""

import cv2


def encode_png(image):
    """Return a grey (H, W) or BGR (H, W, 3) uint8 image as PNG bytes (fast compression: noise
    hardly compresses).
    """
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
