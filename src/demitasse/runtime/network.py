"""A network that runs: a torch module over a built graph, which calls one function per layer.

Any batch and picture size goes in; what the layers say about these shapes is worked out once and kept. Blobs are
values: a layer that works in place gives its blob a new value, and what is read before that is the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from demitasse.errors import NetError, WeightsError
from demitasse.layers.build import AUTOMATIC, Graph, phase_of
from demitasse.layers.layertype import LayerType, blaming, refuse, text
from demitasse.layers.shapes import checked_parameters, place, resolve
from demitasse.layers.sizes import MaybeShape, Shape
from demitasse.layers.table import layer_type
from demitasse.message import as_flag
from demitasse.net import Layer
from demitasse.runtime.fused import relu_over, scaled_batch_norm
from demitasse.runtime.in_place import Memory, overwritten, with_memory
from demitasse.runtime.operation import Call, Operation
from demitasse.runtime.schedule import Step, aliases, brings_data, schedule
from demitasse.runtime.table import operation
from demitasse.runtime.weights import Weights, as_tensor, serves

if TYPE_CHECKING:
    from demitasse.runtime.operation import Result

__all__ = ["ALL", "Network"]

ALL = "*"
"""Wanted: every blob."""

Inputs = Mapping[str, torch.Tensor | npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Placed:
    """A layer on inputs of certain shapes. ``shapes``: of its outputs. ``weights``: its blobs; ``views``: the shape in
    which it sees each one that is stored in another (else ``None``); empty if none is."""

    kind: LayerType
    shapes: tuple[MaybeShape, ...]
    weights: tuple[torch.nn.Parameter, ...]
    views: tuple[Shape | None, ...]

    def blobs(self) -> tuple[torch.Tensor, ...]:
        """The weights in the shapes that the layer needs."""
        if not self.views:
            return self.weights
        pairs = zip(self.weights, self.views, strict=True)
        return tuple(weight if view is None else weight.view(view) for weight, view in pairs)


@dataclass(slots=True)
class Pass:
    """One pass under way. ``blobs``: what is needed later. ``memory``: what Caffe's blobs hold now, for gradients.
    ``fused``: whether layers may be computed together; ``left``: BatchNorms that their Scale, by position, computes."""

    blobs: dict[str, torch.Tensor]
    fused: bool
    memory: Memory = field(default_factory=dict)
    left: dict[int, Call] = field(default_factory=dict)


class Network(Weights):
    """A built network as a torch module.

    ``plugins``: operations by layer type, for types that are not known, or in place of ours. ``seed``: of all that is
    random. In phase TEST weights are mapped from their file as long as nothing needs them elsewhere, and must not be
    written to; in phase TRAIN, or with ``writable``, they are copies. Weights of ``lr_mult: 0`` get no gradient.
    NetError for a device that there is not.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        device: str = "cpu",
        plugins: Mapping[str, Operation] | None = None,
        seed: int = 0,
        writable: bool | None = None,
    ) -> None:
        super().__init__(graph, available(device), graph.phase == "TRAIN" if writable is None else writable)
        self._plugins = dict(plugins or {})
        self._generator = torch.Generator(self._device).manual_seed(seed)
        self._aliases = aliases(graph.layers)
        self._overwritten = overwritten(graph.layers)
        self._placed: dict[tuple[object, ...], Placed] = {}
        self._schedules: dict[tuple[tuple[str, ...] | None, frozenset[str]], tuple[Step, ...]] = {}
        self._operations: dict[int, Operation] = {}
        self._gates = {i: gate for i, layer in enumerate(graph.layers) if (gate := closed(layer))}
        self._states: list[dict[str, Any]] = [{} for _ in graph.layers]

    def forward(self, inputs: Inputs, wanted: str | Sequence[str] | None = None) -> dict[str, torch.Tensor]:
        """One pass. Blobs by name: of the graph's outputs, of those ``wanted``, or, for ``"*"``, of all.

        A blob that was written in place has its final value. ``inputs`` are float32 of Caffe's shapes (anything else
        is converted). NetError for inputs that are missing or do not fit, and for layers that cannot run.
        """
        names = self._names(wanted)
        blobs = self._feed(inputs)
        for _ in self._run(Pass(blobs, not torch.is_grad_enabled()), names, frozenset(inputs)):
            pass
        return blobs if names is None else {name: blobs[name] for name in names}

    def _names(self, wanted: str | Sequence[str] | None) -> tuple[str, ...] | None:
        """The wanted blobs; ``None`` for all."""
        if wanted is None:
            return self.outputs
        if isinstance(wanted, str):
            return None if wanted == ALL else (wanted,)
        return tuple(wanted)

    def walk(self, inputs: Inputs) -> Iterator[tuple[Layer, tuple[torch.Tensor, ...]]]:
        """One pass over all layers, and what each of them gives, before a later layer changes it in place."""
        yield from self._run(Pass(self._feed(inputs), False), self.outputs, frozenset(inputs))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Blobs that `forward` gives unless it is told otherwise: the graph's outputs, and the sum of losses that the
        file gives no name, as ``(automatic)``."""
        unnamed = any(layer_type(layer.type).is_loss and not layer.outputs for layer in self.graph.layers)
        named = tuple(name for name in self.graph.outputs if name != AUTOMATIC)
        return (*named, AUTOMATIC) if unnamed or AUTOMATIC in self.graph.loss_weights else named

    def loss(self, outputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of the losses among what `forward` gave."""
        terms = [outputs[name].sum() * weight for name, weight in self.graph.loss_weights.items() if name in outputs]
        return torch.stack(terms).sum() if terms else torch.zeros((), device=self._device)

    def reseed(self, seed: int) -> None:
        """Begin the random numbers of layers (Dropout) anew."""
        self._generator.manual_seed(seed)

    def reset(self) -> None:
        """Forget what layers keep from one pass to the next."""
        for state in self._states:
            state.clear()

    def carried(self) -> dict[str, npt.NDArray[Any]]:
        """What layers keep from one pass to the next: states of recurrent layers, counts of iterations."""
        found: dict[str, npt.NDArray[Any]] = {}
        for i, state in enumerate(self._states):
            for name, value in state.items():
                for k, part in enumerate(value if isinstance(value, tuple) else (value,)):
                    kind = "many" if isinstance(value, tuple) else "number" if isinstance(value, int) else "one"
                    found[f"{i}/{name}/{kind}/{k}"] = np.asarray(part.cpu() if isinstance(part, torch.Tensor) else part)
        return found

    def carry(self, carried: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on with what `carried` gave."""
        self.reset()
        for key, values in carried.items():
            i, name, kind, _ = key.split("/")
            state = self._states[int(i)]
            if kind == "number":
                state[name] = int(values)
                continue
            part = torch.from_numpy(np.array(values)).to(self._device)
            state[name] = (*state.get(name, ()), part) if kind == "many" else part

    def _feed(self, inputs: Inputs) -> dict[str, torch.Tensor]:
        """The inputs as float32 tensors on the device."""
        sources = {name: layer for layer in self.graph.layers if brings_data(layer) for name in layer.outputs}
        blobs: dict[str, torch.Tensor] = {}
        for name, values in inputs.items():
            if name not in sources:
                known = ", ".join(sources) or "none"
                raise NetError(f'an array is given for "{name}", which is no input of this network; inputs: {known}')
            blobs[name] = self._input(sources[name], name, values)
        return blobs

    def _input(self, layer: Layer, name: str, values: torch.Tensor | npt.NDArray[Any]) -> torch.Tensor:
        """One input. NetError if it holds no numbers, or none at all."""
        if not isinstance(values, torch.Tensor):
            array = np.asarray(values)
            if array.dtype.kind not in "fiub":
                refuse(layer, f'"{name}" is given {array.dtype} values; it needs numbers')
            values = as_tensor(array)
        if 0 in values.shape:
            refuse(layer, f'"{name}" is given a shape of {text(tuple(values.shape))}; every size must be at least 1')
        return values.to(self._device, torch.float32)

    def _run(
        self, now: Pass, wanted: tuple[str, ...] | None, fed: frozenset[str]
    ) -> Iterator[tuple[Layer, tuple[torch.Tensor, ...]]]:
        """Run layers, adding to the blobs; what nobody needs any more is dropped from them."""
        steps = self._schedules.get((wanted, fed))
        if steps is None:
            self._check_wanted(wanted)
            steps = self._schedules[wanted, fed] = schedule(self.graph, wanted, fed)
        blobs = now.blobs
        remembered = {how.blob for how in self._overwritten.values()} if torch.is_grad_enabled() else ()
        for step in steps:
            values = self._step(step, now)
            for name, value in zip(step.outputs, values, strict=False):
                if name == AUTOMATIC:
                    value = self._share_of_loss(step.layer, value) + blobs.get(name, 0.0)
                blobs[name] = value
                if name in remembered:
                    now.memory[name] = value.detach()
            for name in self._aliases.get(step.index, ()):
                if name in blobs:
                    blobs[name] = values[0].reshape(blobs[name].shape)
            yield step.layer, values
            for name in step.done:
                blobs.pop(name, None)

    def _check_wanted(self, wanted: tuple[str, ...] | None) -> None:
        """NetError for a blob that no layer gives."""
        known = {name for layer in self.graph.layers for name in layer.outputs} | {AUTOMATIC}
        for name in wanted or ():
            if name not in known:
                raise NetError(f'blob "{name}" is wanted, and no layer gives it in phase {self.graph.phase}')

    def _share_of_loss(self, layer: Layer, value: torch.Tensor) -> torch.Tensor:
        """A loss without a name, scaled so that the sum of all of them has one weight."""
        whole = self.graph.loss_weights.get(AUTOMATIC, 1.0)
        own = layer.message.numbers("loss_weight") or (1.0,)
        return value if own[0] == whole else value * (own[0] / whole)

    def _step(self, step: Step, now: Pass) -> tuple[torch.Tensor, ...]:
        """What one layer gives."""
        i, layer = step.index, step.layer
        inputs = tuple([now.blobs[name] for name in layer.inputs])
        if i in self._gates:
            inputs = tuple(map(gated, inputs, self._gates[i]))
        key = (i, *[value.shape for value in inputs])
        placed = self._placed.get(key)
        if placed is None:
            placed = self._placed[key] = self._place(i, layer, tuple(tuple(value.shape) for value in inputs))
        call = Call(placed.kind, inputs, placed.blobs(), self._states[i], self._generator, placed.shapes)
        try:
            result = self._computed(step, call, now)
        except NetError as error:
            with blaming(layer):
                raise error
        except Exception as error:
            plugin = self._operations.get(i) in self._plugins.values()
            if not plugin and not isinstance(error, RuntimeError):
                raise
            first = str(error).strip().splitlines() or [""]
            what = f"its plugin failed: {type(error).__name__}" if plugin else "cannot run"
            raise NetError(f"{layer}: {what}: {first[0]}") from error
        return as_many(result, step)

    def _computed(self, step: Step, call: Call, now: Pass) -> Result:
        """The result of a layer's operation, or of what does the same."""
        run = self._operations.get(step.index)
        if run is None:
            run = self._operations[step.index] = operation(call.placed, self._plugins)
        if now.fused and not self._plugins:
            if step.scale is not None:
                now.left[step.scale] = call
                return call.x
            if step.index in now.left:
                return scaled_batch_norm(now.left.pop(step.index), call)
            if step.over:
                return relu_over(call)
        result = run(call)
        how = self._overwritten.get(step.index)
        if how is not None and isinstance(result, torch.Tensor) and result.requires_grad:
            return with_memory(call, result.detach(), how, now.memory)
        return result

    def _place(self, i: int, layer: Layer, shapes: tuple[Shape, ...]) -> Placed:
        """A layer on inputs of these shapes. NetError if it cannot work on them, or its weights do not fit."""
        with blaming(layer):
            kind, _ = place(layer, shapes, phase_of(layer.message, self.graph.phase))
            outputs = resolve(kind, {})
            wanted = checked_parameters(kind)
        if wanted is None:
            return Placed(kind, outputs, tuple(self._weight((i, k)) for k in range(len(layer.tensors))), ())
        number = len(layer.tensors)
        if number and number != len(wanted):
            raise WeightsError(f"{layer}: has {number} blobs of weights; it needs {len(wanted)}")
        weights = tuple(self._weight((i, k)) for k in range(len(wanted)))
        specs = layer.message.messages("param")
        views: list[Shape | None] = []
        for k, (weight, shape) in enumerate(zip(weights, wanted, strict=True)):
            stored = tuple(weight.shape)
            permissive = k < len(specs) and specs[k].string("share_mode") in ("PERMISSIVE", "1")
            if not serves(stored, shape, sizes_only=permissive):
                read = " and ".join(map(text, shapes)) or "nothing"
                wrong = f"blob {k} of its weights has shape {text(stored)}; it needs {text(shape)} to read {read}"
                raise WeightsError(f"{layer}: {wrong}")
            views.append(None if stored == shape else shape)
        return Placed(kind, outputs, weights, tuple(views) if any(view is not None for view in views) else ())


def as_many(result: Result, step: Step) -> tuple[torch.Tensor, ...]:
    """The result as a tuple. NetError if it holds anything but tensors, or too few of them."""
    values = (result,) if isinstance(result, torch.Tensor) else result
    if values is result and not (
        isinstance(values, tuple) and all(isinstance(value, torch.Tensor) for value in values)
    ):
        refuse(step.layer, "its plugin gives neither a tensor nor a tuple of them")
    if len(values) < len(step.outputs):
        refuse(step.layer, f"gives {len(values)} blobs; the file names {len(step.outputs)}")
    return values


def gated(value: torch.Tensor, shut: bool) -> torch.Tensor:
    """The value, without a way back for gradients if the gate is shut."""
    return value.detach() if shut else value


def available(device: str) -> torch.device:
    """The device of that name. NetError if torch does not know it or it is not there."""
    try:
        found = torch.device(device)
    except RuntimeError:
        raise NetError(f'there is no device "{device}"; use cpu or cuda') from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise NetError(f'device "{device}" is not there: torch {torch.__version__} finds no CUDA')
    return found


def closed(layer: Layer) -> tuple[bool, ...]:
    """For each input whether ``propagate_down`` keeps the gradient from it; empty if it keeps none."""
    gates = tuple(not as_flag(gate) for gate in layer.message.scalars("propagate_down"))
    return gates if any(gates) else ()
