"""A stand-in for YuNet's model file with its inputs and outputs: it "finds a face" of 64 px around
each bright cell of 32 px. Real code reads and runs it (OpenCV's FaceDetectorYN); the published
model is not shipped.
"""

import math

import numpy as np


def _field(number, value):
    """Encode one protobuf field: a whole number, or bytes with their length."""

    def varint(n):
        out = bytearray()
        while True:
            out.append(n & 127 | (128 if n > 127 else 0))
            n >>= 7
            if not n:
                return bytes(out)

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def _tensor(name, array):
    kind = 1 if array.dtype == np.float32 else 7  # float, int64
    dims = b"".join(_field(1, n) for n in array.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, array.tobytes())


def _node(kind, inputs, output, **lists):
    out = b"".join(_field(1, name) for name in inputs)
    out += _field(2, output) + _field(3, output) + _field(4, kind)
    for name, values in lists.items():
        out += _field(5, _field(1, name) + b"".join(_field(8, n) for n in values) + _field(20, 7))
    return out


def _value(name, shape):
    dims = b"".join(_field(1, _field(1, n)) for n in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def write_model(path, side=320):
    """Write the stand-in as ONNX."""
    nodes, tensors, outputs = [], [], []
    for kind, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            name, bright = f"{kind}_{stride}", kind in ("cls", "obj") and stride == 32
            weight = np.full((size, 3, 1, 1), 1 / (3 * 255) if bright else 0, np.float32)
            bias = np.zeros(size, np.float32)
            if kind == "bbox":
                bias[:] = 0.5, 0.5, math.log(2), math.log(2)
            tensors += [_tensor(f"w_{name}", weight), _tensor(f"b_{name}", bias)]
            tensors.append(_tensor(f"s_{name}", np.array([1, -1, size], np.int64)))
            pool = {"kernel_shape": (stride, stride), "strides": (stride, stride)}
            inputs = [f"p_{name}", f"w_{name}", f"b_{name}"]
            nodes.append(_node("AveragePool", ["input"], f"p_{name}", **pool))
            nodes.append(_node("Conv", inputs, f"c_{name}", kernel_shape=(1, 1)))
            nodes.append(_node("Transpose", [f"c_{name}"], f"t_{name}", perm=(0, 2, 3, 1)))
            nodes.append(_node("Reshape", [f"t_{name}", f"s_{name}"], name))
            outputs.append(_value(name, (1, (side // stride) ** 2, size)))
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "yunet")
    graph += b"".join(_field(5, tensor) for tensor in tensors)
    graph += _field(11, _value("input", (1, 3, side, side)))
    graph += b"".join(_field(12, output) for output in outputs)
    path.write_bytes(_field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph))
    return path
