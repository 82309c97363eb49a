"""How much of the activations has to be in memory at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from demitasse.layers.sizes import MaybeShape, count, known
from demitasse.layers.table import layer_type
from demitasse.net import Layer

__all__ = ["peak_elements"]


def peak_elements(
    layers: Sequence[Layer], outputs: Sequence[tuple[MaybeShape, ...]], kept: Iterable[str]
) -> int | None:
    """Most elements alive at once when layers run in order; ``None`` if a shape is not known.

    A piece of memory lives from the layer that fills it to the last that reads it; that of the blobs ``kept`` lives to
    the end. In-place outputs, and other views of the same memory (Split, Reshape, Flatten), take none of their own.
    """
    memory: dict[str, int] = {}
    sizes: list[int] = []
    first: list[int] = []
    last: list[int] = []
    for i, (layer, shapes) in enumerate(zip(layers, outputs, strict=True)):
        for name in layer.inputs:
            last[memory[name]] = i
        view = memory[layer.inputs[0]] if layer_type(layer.type).shares_memory and layer.inputs else None
        for j, shape in enumerate(shapes):
            if not known(shape):
                return None
            name = layer.outputs[j] if j < len(layer.outputs) else ""
            if name in memory and name in layer.inputs:
                continue
            if view is None:
                sizes.append(count(shape))
                first.append(i)
                last.append(i)
            memory[name] = len(sizes) - 1 if view is None else view
    for name in kept:
        last[memory[name]] = len(layers) - 1
    change = [0] * (len(layers) + 1)
    for size, begin, end in zip(sizes, first, last, strict=True):
        change[begin] += size
        change[end + 1] -= size
    alive = peak = 0
    for step in change:
        alive += step
        peak = max(peak, alive)
    return peak
