"""Layers put in, taken out, replaced, and called by other names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from demitasse.caffe.read import layer_of
from demitasse.caffe.text import parse
from demitasse.errors import NetError
from demitasse.net import Layer, Net
from demitasse.transforms.consistency import consistent
from demitasse.transforms.transform import done
from demitasse.transforms.wiring import Wiring

__all__ = ["found", "insert", "remove", "rename", "replace"]


def rename(net: Net, layers: Mapping[str, str] | None = None, blobs: Mapping[str, str] | None = None) -> Net:
    """The network with other names: of layers, which weights are found by, and of blobs, wherever they stand.

    NetError for a name that is not there, or that something else has already.
    """
    layers, blobs = layers or {}, blobs or {}
    own = {layer.name for layer in net.layers}
    given = {name for layer in net.layers for name in layer.outputs}
    for what, names, present in (("layer", layers, own), ("blob", blobs, given)):
        left = present - names.keys()
        for old, new in names.items():
            if old not in present:
                raise NetError(f'no {what} "{old}" in network "{net.name}"')
            if new in left or list(names.values()).count(new) > 1:
                raise NetError(f'{what} "{old}" cannot be called "{new}": there is one already')
    renamed = [
        dataclasses.replace(
            layer,
            name=layers.get(layer.name, layer.name),
            inputs=tuple(blobs.get(name, name) for name in layer.inputs),
            outputs=tuple(blobs.get(name, name) for name in layer.outputs),
        )
        if layer.name in layers or blobs.keys() & {*layer.inputs, *layer.outputs}
        else layer
        for layer in net.layers
    ]
    pairs = ", ".join(f"{old} → {new}" for old, new in (*layers.items(), *blobs.items()))
    return consistent(net.with_layers(renamed, done("surgery", "", f"renamed {pairs}")))


def replace(net: Net, name: str, layer: Layer | str) -> Net:
    """Another layer in the place of one: a `Layer`, or its prototxt without inputs and outputs.

    What the new one does not say (name, inputs, outputs) is the old one's, as are weights, if the type is the same and
    it brings none. NetError if the network does not fit together then.
    """
    old = found(net, name)
    new = from_text(layer) if isinstance(layer, str) else layer
    tensors = new.tensors or (old.tensors if new.type == old.type else ())
    new = dataclasses.replace(
        new,
        name=new.name or old.name,
        inputs=new.inputs or old.inputs,
        outputs=new.outputs or old.outputs,
        tensors=tensors,
        origin=old.origin,
    )
    layers = [new if one is old else one for one in net.layers]
    return consistent(net.with_layers(layers, done("surgery", name, f"replaced by {new}")))


def insert(net: Net, layer: Layer | str, *, after: str) -> Net:
    """A new layer behind another: it reads what that gives, and whoever read that reads the new layer.

    A layer that names its inputs is put there without anything being led through it. NetError for a name that is taken.
    """
    new = from_text(layer) if isinstance(layer, str) else layer
    old = found(net, after)
    if not new.name or any(one.name == new.name for one in net.layers):
        raise NetError(f"{new} needs a name that no other layer has")
    wiring = Wiring.of(net)
    key = next((key for key, one in wiring.layers.items() if one is old), None)
    if key is None:
        raise NetError(f"{old} is no layer of the test phase")
    behind = [one for one in wiring.layers if list(wiring.layers).index(one) > list(wiring.layers).index(key)]
    before = behind[0] if behind else None
    if not new.outputs:
        new = dataclasses.replace(new, outputs=(new.name,))
    if new.inputs:
        last = {wiring.names[k, n]: (k, n) for k, one in wiring.layers.items() for n in range(len(one.outputs))}
        if missing := [name for name in new.inputs if name not in last]:
            raise NetError(f'{new}: reads "{missing[0]}", which no layer gives')
        wiring.add(new, [last[name] for name in new.inputs], before=before)
    else:
        value = (key, 0)
        added = wiring.add(dataclasses.replace(new, inputs=(old.outputs[0],)), [], before=before)
        wiring.redirect(value, (added, 0))
        wiring.sources[added] = [value]
    return consistent(wiring.net(done("surgery", new.name, f"inserted after {after}")))


def remove(net: Net, name: str) -> Net:
    """Without a layer. Whoever read its output reads its first input.

    NetError if it gives several blobs that are read, or the network does not fit together without it.
    """
    old = found(net, name)
    wiring = Wiring.of(net)
    key = next((key for key, one in wiring.layers.items() if one is old), None)
    if key is None:
        return net.with_layers([one for one in net.layers if one is not old], done("surgery", name, "removed"))
    read = [number for number in range(len(old.outputs)) if wiring.readers((key, number)) or number == 0]
    if len(read) > 1 or (old.outputs and not old.inputs):
        raise NetError(f"{old} gives {', '.join(old.outputs)}, which nothing else can take the place of")
    if old.outputs and not wiring.can_redirect((key, 0), wiring.sources[key][0]):
        raise NetError(f"{old} stands between an input and an output of the network")
    if old.outputs:
        wiring.redirect((key, 0), wiring.sources[key][0])
    wiring.remove(key)
    return consistent(wiring.net(done("surgery", name, "removed")))


def found(net: Net, name: str) -> Layer:
    """The layer of that name. NetError if there is none, or more than one."""
    layers = [layer for layer in net.layers if layer.name == name]
    if len(layers) > 1:
        raise NetError(f'{len(layers)} layers are called "{name}" in network "{net.name}"')
    return net.layer(name)


def from_text(text: str) -> Layer:
    """The layer that a prototxt's ``layer { … }``, or what stands within, describes."""
    root = parse(text.encode(), "<layer>")
    inner = root.messages("layer")
    return dataclasses.replace(layer_of(inner[0] if inner else root, 0), origin=())
