"""How many bytes of a .demi each tensor takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from demitasse.codec import container

__all__ = ["stored_bytes"]


def stored_bytes(path: Path) -> Mapping[tuple[str, int], int] | None:
    """By name of the layer and number of the tensor in it; tensors that share a block share it by their sizes.

    Steps and codebooks that are stored apart count for the tensor that they belong to. ``None`` for a lossless .demi,
    which keeps the caffemodel as a file and knows no layers.
    """
    with container.open(path) as reader:
        index = reader.blocks.index
    if any(not name for name, _ in index.layers):
        return None
    names = [(name, i) for name, count in index.layers for i in range(count)]
    owners = [*range(len(names)), *(i for i, entry in enumerate(index.entries[: len(names)]) if entry.hidden)]
    shares: dict[tuple[str, int], float] = defaultdict(float)
    for block in index.blocks:
        sizes = [(piece.stop - piece.start) * index.entries[piece.entry].matrix[1] for piece in block.pieces]
        for piece, size in zip(block.pieces, sizes, strict=True):
            shares[names[owners[piece.entry]]] += block.nbytes * size / max(1, sum(sizes))
    return {name: round(share) for name, share in shares.items()}
