"""A solver: a network in training, with everything that Caffe's solver does around it.

    solver = Solver(read_solver("solver.prototxt"), shapes)
    while solver.iteration < 1000:
        solver.step(batches)

One iteration reads ``iter_size`` batches, numbered from 0 without gaps, so that whoever continues from a snapshot reads
on where the first run stopped. Random numbers (Dropout) depend on the seed and the iteration only, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from demitasse.errors import NetError, OptionError, WeightsError
from demitasse.layers import Shape, build
from demitasse.message import Message
from demitasse.net import Net
from demitasse.runtime.network import Network
from demitasse.runtime.operation import Operation
from demitasse.train.fork import from_fork
from demitasse.train.schedule import LearningRate
from demitasse.train.settings import Settings
from demitasse.train.shaping import Attached, Shaping, State
from demitasse.train.snapshots import SolverState
from demitasse.train.start import started, taken_over
from demitasse.train.updates import Parameter, Updater, history_sets
from demitasse.train.world import World

__all__ = ["Batches", "Solver"]

Batches = Callable[[int], Mapping[str, npt.NDArray[np.float32] | torch.Tensor]]
"""The blobs to feed, by name, for the batch of that number."""


class Solver:
    """A network in training.

    ``shapes``: of the blobs that will be fed, by name. ``weights``: a network whose layers' weights are taken over by
    name. ``seed``: of fillers and Dropout, where the solver's own ``random_seed`` is not set.
    NetError for a network that cannot be trained, WeightsError for weights that do not fit.
    """

    def __init__(
        self,
        settings: Settings,
        shapes: Mapping[str, Shape] | None = None,
        *,
        weights: Net | None = None,
        device: str = "cpu",
        plugins: Mapping[str, Operation] | None = None,
        seed: int = 0,
        world: World | None = None,
        shapings: Sequence[Shaping] = (),
    ) -> None:
        self.settings = settings
        self.world = world or World()
        self.seed = settings.random_seed if settings.random_seed >= 0 else seed
        self.device = device
        self.plugins = dict(plugins or {})
        net = settings.net if weights is None else taken_over(settings.net, weights)
        graph = build(net, "TRAIN", settings.state.level, settings.state.stages)
        self.network = Network(started(graph, shapes or {}, self.seed), device=device, plugins=plugins)
        self.learned = learned(self.network)
        for parameter in self.learned:
            parameter.values.requires_grad_(parameter.lr_mult != 0)
        self.updater = Updater(settings, self.learned)
        self.module = self.together()
        self.shapings = [one.attach(self) for one in (*from_fork(settings), *shapings)]
        check_coded(self.shapings)
        self.wanted = tuple(dict.fromkeys([*self.losses, *(name for one in self.shapings for name in one.blobs)]))
        if not self.wanted:
            raise NetError(f'network "{net.name}" has no loss in phase TRAIN: there is nothing to train for')
        self.rate = LearningRate(settings)
        self.iteration = 0
        self.last_rate = 0.0
        self.magnitudes: dict[str, tuple[float, float]] = {}
        self._tests: dict[int, Network] = {}

    def step(self, batches: Batches) -> list[float]:
        """One iteration: the loss of each of its passes, before the weights change; that of the network itself, if it
        has any, without what shapings add."""
        mixed = np.random.SeedSequence((self.seed, self.iteration, self.world.rank)).generate_state(1)
        self.network.reseed(int(mixed[0]))
        losses = []
        values = [parameter.values for parameter in self.learned]
        for value in values:
            value.grad = None
        for shaping in self.shapings:
            shaping.before_pass()
        for i in range(self.settings.iter_size):
            fed = batches(self.iteration * self.settings.iter_size + i)
            outputs = self.module(fed, self.wanted)
            loss = self.network.loss(outputs)
            extra = [term for shaping in self.shapings if (term := shaping.loss(outputs, fed)) is not None]
            whole = torch.stack([loss, *extra]).sum()
            whole.backward()  # type: ignore[no-untyped-call]
            losses.append((loss if self.losses else whole).detach())
        self.last_rate = self.rate(self.iteration)
        for shaping in self.shapings:
            shaping.before_update()
        if self.settings.debug_info:
            self.magnitudes = {p.name: (mean_size(p.values), mean_size(p.values.grad)) for p in self.learned}
        self.updater([value.grad for value in values], self.last_rate, self.iteration)
        for shaping in self.shapings:
            shaping.after_update(self.last_rate)
        self.iteration += 1
        return torch.stack(losses).tolist()

    def together(self) -> torch.nn.Module:
        """The network, its gradients averaged with those of the other processes, if there are any."""
        if self.world.size == 1:
            return self.network
        return torch.nn.parallel.DistributedDataParallel(self.network, find_unused_parameters=True)

    @property
    def relative_rate(self) -> float:
        """The learning rate as a share of that at the beginning."""
        return self.last_rate / self.settings.base_lr if self.settings.base_lr else 0.0

    @property
    def losses(self) -> tuple[str, ...]:
        """The blobs that count as losses."""
        return tuple(self.network.graph.loss_weights)

    def test(self, which: int, batches: Batches, first: int = 0) -> dict[str, npt.NDArray[np.float64]]:
        """Each output of a test net, averaged over its ``test_iter`` batches, the first one of that number."""
        network = self.test_network(which)
        sums: dict[str, npt.NDArray[np.float64]] = {}
        count = self.settings.tests[which].iterations
        with torch.inference_mode():
            for number in range(count):
                for name, values in network(batches(first + number)).items():
                    sums[name] = sums.get(name, 0.0) + values.double().cpu().numpy()
        return {name: value / max(1, count) for name, value in sums.items()}

    def test_network(self, which: int) -> Network:
        """A test net over the weights as they are now; on a CPU they share memory with those in training."""
        test = self.settings.tests[which]
        if which not in self._tests or self.device != "cpu":
            net = taken_over(test.net, self.network.tensors(copy=False))
            graph = build(net, "TEST", test.state.level, test.state.stages)
            self._tests[which] = Network(graph, device=self.device, plugins=self.plugins)
        network = self._tests[which]
        network.reset()
        return network

    def net(self) -> Net:
        """The whole network of the file, all phases, with the weights as they are now."""
        net = taken_over(self.settings.net, self.network.tensors())
        for shaping in self.shapings:
            net = shaping.net(net)
        return net

    def state(self, learned_net: str) -> SolverState:
        """What a snapshot holds beside the weights, which it names."""
        history = tuple(values.detach().cpu().numpy().copy() for values in self.updater.history)
        return SolverState(self.iteration, learned_net, history, self.rate.step)

    def shaping_state(self) -> State:
        """What a continued run needs beside weights and history: that of each shaping under its number, and what
        recurrent layers carry from one batch to the next."""
        kept = {f"network/{name}": values for name, values in self.network.carried().items()}
        return kept | {f"{i}/{k}": v for i, shaping in enumerate(self.shapings) for k, v in shaping.state().items()}

    def restore_shaping(self, state: State) -> None:
        """Continue with what `shaping_state` gave. OptionError if that was of other shapings."""
        self.network.carry(part_of(state, "network/"))
        for i, shaping in enumerate(self.shapings):
            try:
                shaping.restore(part_of(state, f"{i}/"))
            except (KeyError, ValueError, RuntimeError):
                raise OptionError("the snapshot was made with other masks or steps: continue with the same") from None

    def restore(self, state: SolverState, weights: Net | None = None) -> None:
        """Continue from a snapshot. WeightsError if its history or weights are those of another network."""
        expected = [tuple(values.shape) for values in self.updater.history]
        found = [values.shape for values in state.history]
        if len(expected) != len(found):
            sets = history_sets(self.settings.type)
            raise WeightsError(
                f"the snapshot has a history of {len(found)} blobs, and {self.settings.type} needs {len(expected)}: "
                f"{sets} for each of {len(self.learned)} blobs of weights"
            )
        for i, (a, b) in enumerate(zip(expected, found, strict=True)):
            if a != b:
                name = self.learned[i % len(self.learned)].name
                raise WeightsError(f"the snapshot's history {i} ({name}) has shape {list(b)}; it should be {list(a)}")
        if weights is not None:
            self.assign(weights)
        for values, saved in zip(self.updater.history, state.history, strict=True):
            values.copy_(torch.from_numpy(saved))
        self.iteration, self.rate.step = state.iteration, state.step

    @torch.no_grad()
    def assign(self, weights: Net) -> None:
        """Set weights to those of layers of the same name. WeightsError where shapes differ."""
        given = {layer.name: layer for layer in weights.layers if layer.tensors}
        for layer in self.network.graph.layers:
            source = given.get(layer.name)
            if source is None or not layer.tensors:
                continue
            if [tensor.size for tensor in source.tensors] != [tensor.size for tensor in layer.tensors]:
                raise WeightsError(f"{layer}: the snapshot's weights have other shapes")
            for k, tensor in enumerate(source.tensors):
                target = self.network.weight(layer.name, k)
                target.copy_(torch.from_numpy(np.array(tensor.array(), np.float32)).reshape(target.shape))


def part_of(state: State, prefix: str) -> State:
    """What has names with that prefix, without it."""
    return {name.removeprefix(prefix): values for name, values in state.items() if name.startswith(prefix)}


def check_coded(shapings: Sequence[Attached]) -> None:
    """OptionError if two decide what values the same weights have."""
    seen: set[str] = set()
    for shaping in shapings:
        if again := sorted(seen.intersection(shaping.coded)):
            layer = again[0].rpartition("/")[0]
            raise OptionError(
                f'the weights of layer "{layer}" can get their values in one way: clusters, bits, or a size'
            )
        seen.update(shaping.coded)


def learned(network: Network) -> tuple[Parameter, ...]:
    """The blobs of a network in Caffe's order, each once, with their multipliers.

    A sharer's multiplier counts where the owner gives none. BatchNorm's statistics are no weights: their rate is 0.
    """
    places: dict[int, tuple[str, torch.nn.Parameter]] = {}
    specs: dict[int, Message] = {}
    for layer in network.graph.layers:
        given = layer.message.messages("param")
        for k in range(len(layer.tensors)):
            values = network.weight(layer.name, k)
            places.setdefault(id(values), (f"{layer.name}/{k}", values))
            spec = given[k] if k < len(given) else Message()
            if layer.type == "BatchNorm":
                spec = spec.set("lr_mult", 0)
            # Of what several say, protobuf's merging takes the last: the owner's.
            specs[id(values)] = Message((*spec.fields, *specs.get(id(values), Message()).fields))
    return tuple(
        Parameter(name, values, specs[key].number("lr_mult", 1.0), specs[key].number("decay_mult", 1.0), specs[key])
        for key, (name, values) in places.items()
    )


def mean_size(values: torch.Tensor | None) -> float:
    """The mean magnitude; 0 where there is nothing."""
    return 0.0 if values is None else float(values.detach().abs().mean())
