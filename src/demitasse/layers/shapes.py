"""Shapes of everything in a built network, and what follows from them: weights, multiplications, memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from demitasse.errors import NetError
from demitasse.layers.build import AUTOMATIC, Graph, phase_of
from demitasse.layers.layertype import LayerType, blaming, refuse, text
from demitasse.layers.memory import peak_elements
from demitasse.layers.sharing import Place, owners
from demitasse.layers.sizes import UNKNOWN, MaybeShape, Shape, count, known
from demitasse.layers.table import layer_type
from demitasse.net import Layer, Note

__all__ = ["Shapes", "infer", "parameter_shapes", "place", "resolve"]

LARGEST = 2**31 - 1
"""Elements of a blob, which Caffe counts in an ``int``."""


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """What `infer` found. Tuples are in the order of the graph's layers.

    ``blobs``: shape by name, in order of creation; a size may be `UNKNOWN`, a shape ``None``.
    ``outputs``: shapes of each layer's outputs, unnamed ones included.
    ``parameters``: shapes of each layer's weights, ``None`` where not known.
    ``macs``: multiply–accumulates of each layer for the whole batch, ``None`` where not known.
    ``shared``: for a weight (layer, index) that is another layer's, whose.
    ``parameter_count``, ``activations``: elements of all weights, shared ones once, and of all blobs.
    ``peak_memory``: bytes, as float32, of the blobs that are alive at the worst moment when layers run in order and
    each blob is freed after its last reader; weights and a layer's scratch memory come on top.
    ``notes``: what is not known, layer by layer.
    """

    blobs: Mapping[str, MaybeShape]
    outputs: tuple[tuple[MaybeShape, ...], ...]
    parameters: tuple[tuple[Shape, ...] | None, ...]
    macs: tuple[int | None, ...]
    shared: Mapping[Place, Place]
    parameter_count: int | None
    activations: int | None
    peak_memory: int | None
    notes: tuple[Note, ...] = ()

    @property
    def total_macs(self) -> int | None:
        """Multiply–accumulates of the network; ``None`` if one layer's are not known."""
        return total(self.macs)


def infer(graph: Graph, inputs: Mapping[str, Sequence[int]] | None = None, *, strict: bool = True) -> Shapes:
    """Shapes of every blob and every layer's weights, by Caffe's rules.

    ``inputs`` gives or replaces the shapes of blobs by name: of inputs and data, or of what a layer of unknown type,
    or one whose result depends on the data, gives. NetError if a layer cannot work on what it gets; without
    ``strict`` that is a note, and the layer's shapes are unknown.
    """
    given = {name: tuple(shape) for name, shape in (inputs or {}).items()}
    blobs: dict[str, MaybeShape] = {}
    answers: list[Answer] = []
    notes: list[Note] = []
    for layer in graph.layers:
        try:
            answer = ask(layer, [blobs.get(name) for name in layer.inputs], graph.phase, given)
            notes.extend(note for note in (unknown_note(layer, answer),) if note)
        except NetError as error:
            if strict:
                raise
            answer = Answer(replaced(layer, (None,) * len(layer.outputs), given), None, None)
            notes.append(Note("shapes", layer.name, str(error)))
        answers.append(answer)
        blobs.update(zip(layer.outputs, answer.outputs, strict=False))
    unused = [name for name in given if name not in blobs]
    if unused:
        raise NetError(f'a shape is given for "{unused[0]}", and the network has no such blob')
    return summary(graph, blobs, answers, notes, strict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one layer says about itself; see `Shapes`."""

    outputs: tuple[MaybeShape, ...]
    parameters: tuple[Shape, ...] | None
    macs: int | None


def ask(layer: Layer, inputs: Sequence[MaybeShape], phase: str, given: Mapping[str, Shape]) -> Answer:
    """A layer about itself, given the shapes of its inputs, and what the caller says about its outputs."""
    with blaming(layer):
        placed, blind = place(layer, inputs, phase_of(layer.message, phase))
    if blind:
        return Answer(replaced(layer, (None,) * len(layer.outputs), given), None, None)
    outputs = replaced(layer, resolve(placed, given), given)
    parameters = checked_parameters(placed)
    return Answer(outputs, parameters, None if parameters is None else number(placed.macs()))


def replaced(layer: Layer, shapes: tuple[MaybeShape, ...], given: Mapping[str, Shape]) -> tuple[MaybeShape, ...]:
    """Shapes of a layer's outputs, those replaced that the caller gives."""
    names = layer.outputs + (AUTOMATIC,) * (len(shapes) - len(layer.outputs))
    return tuple(given.get(name, shape) for name, shape in zip(names, shapes, strict=True))


def summary(
    graph: Graph, blobs: Mapping[str, MaybeShape], answers: Sequence[Answer], notes: list[Note], strict: bool
) -> Shapes:
    """Everything that follows from the layers' answers."""
    outputs = tuple(answer.outputs for answer in answers)
    parameters = tuple(answer.parameters for answer in answers)
    shared: Mapping[Place, Place] = {}
    try:
        shared = owners(graph.layers, parameters)
    except NetError as error:
        if strict:
            raise
        notes.append(Note("shapes", "", str(error)))
    return Shapes(
        blobs=blobs,
        outputs=outputs,
        parameters=parameters,
        macs=tuple(answer.macs for answer in answers),
        shared=shared,
        parameter_count=total(own_sizes(parameters, shared)),
        activations=total(elements(shape) for shape in created_blobs(graph.layers, outputs)),
        peak_memory=scaled(peak_elements(graph.layers, outputs, graph.outputs), 4),
        notes=tuple(notes),
    )


def parameter_shapes(layer: Layer, inputs: Sequence[MaybeShape], phase: str = "TEST") -> tuple[Shape, ...] | None:
    """Shapes of a layer's weights, given the shapes of its inputs; ``None`` if not known. NetError as `infer`."""
    placed, blind = place(layer, inputs, phase)
    return None if blind else checked_parameters(placed)


def place(layer: Layer, inputs: Sequence[MaybeShape], phase: str) -> tuple[LayerType, bool]:
    """The layer with its inputs, and whether too little is known about them to ask it anything."""
    kind = layer_type(layer.type)
    known_inputs = tuple(shape for shape in inputs if shape is not None)
    if len(known_inputs) == len(inputs):
        return kind(layer, known_inputs, phase), False
    return kind(layer, (), phase), not kind.ignores_inputs


def resolve(placed: LayerType, given: Mapping[str, Shape]) -> tuple[MaybeShape, ...]:
    """Shapes of the outputs. What a caller gives for a source replaces what its rule would say."""
    layer = placed.layer
    if placed.is_source and layer.outputs and all(name in given for name in layer.outputs):
        return tuple(given[name] for name in layer.outputs)
    with blaming(layer):
        shapes = placed.outputs()
    for shape in shapes:
        check_shape(layer, shape, "an output")
    return shapes


def checked_parameters(placed: LayerType) -> tuple[Shape, ...] | None:
    """Shapes of the weights. NetError if ``param`` is said more often than there are weights."""
    with blaming(placed.layer):
        shapes = placed.parameters()
    if shapes is None:
        return None
    for shape in shapes:
        check_shape(placed.layer, shape, "a weight")
    specs = len(placed.layer.message.messages("param"))
    if specs > len(shapes):
        refuse(placed.layer, f"has {specs} param for {len(shapes)} weights; there may be at most one for each")
    return shapes


def check_shape(layer: Layer, shape: MaybeShape, what: str) -> None:
    """NetError for a negative size, or more elements than Caffe can count."""
    if shape is None:
        return
    if any(size < 0 for size in shape):
        refuse(layer, f"{what} would have shape {text(shape)}: the input is too small")
    if count(shape) > LARGEST:
        refuse(layer, f"{what} would have shape {text(shape)}: more than {LARGEST} elements")


def own_sizes(parameters: Sequence[tuple[Shape, ...] | None], shared: Mapping[Place, Place]) -> Iterable[int | None]:
    """Elements of each weight that is not another layer's; ``None`` for a layer whose weights are not known."""
    for i, shapes in enumerate(parameters):
        if shapes is None:
            yield None
        for k, shape in enumerate(shapes or ()):
            if (i, k) not in shared:
                yield elements(shape)


def created_blobs(layers: Sequence[Layer], outputs: Sequence[tuple[MaybeShape, ...]]) -> list[MaybeShape]:
    """Shapes of all blobs, each once: what works in place creates none."""
    seen: set[str] = set()
    created: list[MaybeShape] = []
    for layer, shapes in zip(layers, outputs, strict=True):
        for i, shape in enumerate(shapes):
            name = layer.outputs[i] if i < len(layer.outputs) else AUTOMATIC
            if name not in seen or name == AUTOMATIC:
                created.append(shape)
            seen.add(name)
    return created


def unknown_note(layer: Layer, answer: Answer) -> Note | None:
    """Says what is not known about a layer."""
    missing = [
        what for what, bad in (("outputs", None in answer.outputs), ("weights", answer.parameters is None)) if bad
    ]
    return Note("shapes", layer.name, f"shapes of {' and '.join(missing)} are not known") if missing else None


def elements(shape: MaybeShape) -> int | None:
    """Number of elements, if it is known."""
    return count(shape) if known(shape) else None


def number(size: int) -> int | None:
    """A size, or ``None`` for an unknown one."""
    return None if size is UNKNOWN else size


def total(sizes: Iterable[int | None]) -> int | None:
    """Sum; ``None`` if one is not known."""
    result = 0
    for size in sizes:
        if size is None:
            return None
        result += size
    return result


def scaled(size: int | None, factor: int) -> int | None:
    """A multiple, if the size is known."""
    return None if size is None else size * factor
