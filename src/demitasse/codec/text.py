"""prototxt."""

import zlib
from demitasse.errors import ContainerError


def encode(data):
    return zlib.compress(data, 9)


def decode(data, length):
    d = zlib.decompressobj()
    try:
        out = d.decompress(data, length + 1)
    except zlib.error as error:
        raise ContainerError(f"text is damaged: {error}") from None
    if len(out) != length:
        raise ContainerError("text is damaged")
    return out
