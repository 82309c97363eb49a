"""From a network as it was trained to the network as it is used.

Data layers, losses, accuracies, what depends on labels, auxiliary heads with their weights, Dropout and the phases
leave; inputs are declared, a Softmax takes the place of SoftmaxWithLoss, and DetectionOutput that of MultiBoxLoss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from demitasse.errors import NetError, OptionError
from demitasse.layers.build import State
from demitasse.message import Field, Message
from demitasse.net import Layer, Net, Note
from demitasse.transforms.consistency import consistent
from demitasse.transforms.decisions import decide
from demitasse.transforms.declare import declare_inputs, source_shapes
from demitasse.transforms.masks import unmasked
from demitasse.transforms.roles import Roles, is_source, judges, roles_of
from demitasse.transforms.transform import EXACT, done, kept
from demitasse.transforms.wiring import Value, Wiring

__all__ = ["Strip"]

RULES: Final = ("include", "exclude", "phase", "loss_weight", "propagate_down", "transform_param", "connectivity_mode")
"""Fields of a layer that mean nothing to a deployed network; the last one is a fork's, for zeros that stay."""

ROOT: Final = ("state", "force_backward", "debug_info")

FILLED: Final = frozenset({"Convolution", "Deconvolution", "InnerProduct", "Scale", "Bias", "PReLU", "LSTM", "RNN"})
"""Types whose fillers say nothing once there are weights."""

FILLERS: Final = frozenset({"bias_filler", "filler", "weight_filler"})

PASSED_ON: Final = frozenset({"ProposalTargetLayer"})
"""Python layers that pick training examples out of their first input, which is used as it is afterwards."""

PREPARING: Final = frozenset({"DetectNetTransformation"})
"""Types that prepare pictures and labels: in use their first output is what is given."""


@dataclass(frozen=True, slots=True)
class Strip:
    """The transform. ``inputs``: shapes of inputs by name, where the data layers do not say them (and where they do,
    instead). ``until``: names of the blobs that the network is to end with; by default what its losses judge.

    OptionError if the shape of an input is not known, or a name is not one of the network's."""

    tolerance: ClassVar[float | None] = EXACT

    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    until: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, shape in self.inputs.items():
            if not shape or min(shape) < 1:
                raise OptionError(f'the shape of "{name}" has to be one or more sizes of at least 1')

    def __call__(self, net: Net) -> Net:
        """The deployed network."""
        wiring, roles = self.pruned(net)
        notes: list[Note] = []
        decide(wiring, roles, notes)
        dropouts = remove_dropout(wiring, notes)
        bare = sum(bool(clean(layer) is not layer) for layer in wiring.layers.values())
        stripped = wiring.net()
        layers = [clean(unmasked(layer)) for layer in stripped.layers]
        gone = Counter(layer.name for layer in net.layers) - Counter(layer.name for layer in layers)
        weights = net.parameters - sum(tensor.size for layer in layers for tensor in layer.tensors)
        unused = [note for note in net.report if note.step == "read" and "unused" in note.data]
        if gone or bare or unused:
            inputs = [f"{one.outputs[0]} {shape_of(one)}" for one in layers if one.type == "Input"]
            ends = sorted(set(wiring.fixed.values()))
            text = f"{gone.total()} layers and {weights} weights are gone; {', '.join(inputs)} → {', '.join(ends)}"
        else:
            text = "nothing to do: this is a deployed network"
        if roles.auxiliary:
            notes.append(done("strip", "", f"auxiliary outputs are gone, too: {', '.join(roles.auxiliary)}"))
        if unused:
            lost = sum(note.data["bytes"] for note in unused)
            notes.append(done("strip", "", f"{lost} bytes of the file belonged to no layer", bytes=lost))
        summary = done("strip", "", text, layers=gone.total(), weights=weights, dropouts=dropouts)
        remembered = {**preprocessing(net), **net.metadata}
        result = replace(net, message=net.message.remove(*ROOT), metadata=remembered)
        return consistent(result.with_layers(layers, summary, *notes))

    def reference(self, net: Net) -> Net:
        """The network as it was, dropout and all, but with declared inputs and the outputs that `Strip` keeps: what
        the result can be compared with."""
        wiring, _ = self.pruned(net)
        return replace(wiring.net(), metadata={**preprocessing(net), **net.metadata})

    def pruned(self, net: Net) -> tuple[Wiring, Roles]:
        """The layers that compute the outputs, with declared inputs. Their rules about phases are gone."""
        chosen = deployable(net)
        shapes = source_shapes(chosen)
        wiring = Wiring.of(chosen)
        pass_on(wiring)
        names = set(wiring.names.values())
        if missing := [name for name in self.until if name not in names]:
            raise OptionError(f'no layer gives "{missing[0]}"')
        roles = roles_of(wiring, self.until)
        if not roles.wanted:
            raise OptionError("nothing would be left: the network computes nothing that does not depend on labels")
        prune(wiring, list(roles.wanted))
        declare_inputs(wiring, shapes, self.inputs)
        return wiring, roles


def preprocessing(net: Net) -> dict[str, Any]:
    """What data layers do to pictures, as a network's metadata remember it: mean per channel and scale."""
    for layer in reversed(net.layers):
        options = layer.message.message("transform_param")
        if not layer.inputs and len(options) and "mean_file" not in options:
            said = {"mean": list(options.numbers("mean_value")) or [0.0], "scale": options.number("scale", 1.0)}
            return {"preprocessing": said}
    return {}


def deployable(net: Net) -> Net:
    """The layers of the test phase without their rules; and of the training phase the losses, which tell what the
    outputs are, and data layers for what the test phase has none for.

    Where they do not hang together, the phase may have stages: the first that helps is taken."""
    own = frozenset(net.message.message("state").strings("stage"))
    rules = (rule for layer in net.layers for kind in ("include", "exclude") for rule in layer.message.messages(kind))
    others = dict.fromkeys(stage for rule in rules for stage in rule.strings("stage"))
    bare = replace(net, message=net.message.remove("state"))
    chosen = bare.with_layers(at_stages(net, own))
    for stages in (own | {stage} for stage in others):
        if hangs_together(chosen):
            break
        chosen = bare.with_layers(at_stages(net, stages))
    return chosen


def hangs_together(net: Net) -> bool:
    """Whether every layer reads what one before it gives."""
    try:
        Wiring.of(net)
    except NetError:
        return False
    return True


def at_stages(net: Net, stages: frozenset[str]) -> list[Layer]:
    """The layers of `deployable`, at these stages."""
    test = [layer for layer in net.layers if State("TEST", 0, stages).includes(layer)]
    given = {name for layer in test for name in layer.outputs}
    names = {layer.name for layer in test}
    chosen: list[Layer] = []
    for layer in net.layers:
        if any(layer is one for one in test):
            chosen.append(ruleless(layer))
        elif State("TRAIN", 0, stages).includes(layer) or not layer.inputs:
            data = (is_source(layer) or layer.type in PREPARING) and given.isdisjoint(layer.outputs)
            if data or (judges(layer) and layer.name not in names and given.issuperset(layer.inputs)):
                chosen.append(ruleless(layer))
                given.update(layer.outputs)
    return chosen


def ruleless(layer: Layer) -> Layer:
    """The layer without rules about phases."""
    message = layer.message.remove("include", "exclude")
    return layer if message is layer.message else replace(layer, message=message)


def pass_on(wiring: Wiring) -> None:
    """Connect around layers that only training needs."""
    for key, layer in list(wiring.layers.items()):
        if layer.type == "Python" and layer.message.message("python_param").string("layer") in PASSED_ON:
            wiring.redirect((key, 0), wiring.sources[key][0])
        elif layer.type in PREPARING and layer.inputs:
            wiring.layers[key] = replace(layer, type="Data", inputs=())
            wiring.sources[key] = []


def prune(wiring: Wiring, wanted: Sequence[Value]) -> None:
    """Remove every layer that no wanted value is computed from; these are the network's outputs afterwards."""
    needed: set[int] = set()
    waiting = [key for key, _ in wanted]
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += [source for source, _ in wiring.sources[key]]
    for key in [key for key in reversed(wiring.layers) if key not in needed]:
        wiring.remove(key)
    wiring.fixed = {value: name for value, name in wiring.names.items() if not wiring.readers(value)}
    wiring.fixed.update({value: wiring.names[value] for value in wanted})


def remove_dropout(wiring: Wiring, notes: list[Note]) -> int:
    """Dropout does nothing in use; how many there were. What works in use as well stays."""
    count = 0
    for key, layer in list(wiring.layers.items()):
        if layer.type != "Dropout":
            continue
        options = {one.name for one in layer.message.message("dropout_param")} - {"dropout_ratio"}
        if options:
            notes.append(kept("strip", layer.name, f"Dropout with {', '.join(sorted(options))} may work in use, too"))
        elif wiring.bypass(key):
            count += 1
        else:
            notes.append(kept("strip", layer.name, "Dropout between an input and an output of the network stays"))
    return count


def clean(layer: Layer) -> Layer:
    """The layer without what only training reads: rules, loss weights, learning rates, and fillers of weights that
    are there."""
    message = layer.message.remove(*RULES)
    if not layer.tensors or layer.type not in FILLED:
        return layer if message is layer.message else replace(layer, message=message)
    specs = message.messages("param")
    if not any("name" in spec or "share_mode" in spec for spec in specs):
        message = message.remove("param")

    def without_fillers(one: Field) -> Field:
        value = one.value
        return Field(one.name, value.remove(*FILLERS), one.lead, one.text) if isinstance(value, Message) else one

    if any(isinstance(one.value, Message) and FILLERS & {part.name for part in one.value} for one in message):
        message = message.map(without_fillers)
    return layer if message is layer.message else replace(layer, message=message)


def shape_of(layer: Layer) -> str:
    """The shape that an Input layer declares, or nothing."""
    shapes = layer.message.message("input_param").messages("shape")
    return "×".join(map(str, shapes[0].integers("dim"))) if shapes else ""
