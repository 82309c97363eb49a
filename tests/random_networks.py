"""Random small networks with zeros in random places: what transforms that remove things have to cope with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from demitasse.message import Message, Value
from demitasse.net import Dense, Layer, Net

SIZE = 9
"""Height and width of the input."""


def param(**fields: Value) -> Message:
    return Message.of(*fields.items())


@dataclass
class Blob:
    name: str
    channels: int
    height: int
    width: int


@dataclass
class Growing:
    """A network in the making. ``zeros``: how much of it says nothing."""

    rng: np.random.Generator
    zeros: float = 0.3
    layers: list[Layer] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)

    def name(self, kind: str) -> str:
        return f"{kind.lower()}{len(self.layers)}"

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one_of(self, *options):
        return options[self.rng.integers(len(options))]

    def blob(self) -> Blob:
        return self.blobs[max(0, len(self.blobs) - 1 - self.rng.geometric(0.5) + 1)]

    def add(self, kind, inputs, outputs, tensors=(), field_name="", message=None, params=()) -> None:
        fields = [("param", one) for one in params]
        if message is not None:
            fields.append((field_name, message))
        self.layers.append(
            Layer(self.name(kind), kind, tuple(inputs), tuple(outputs), Message.of(*fields), tuple(map(Dense, tensors)))
        )

    def filters(self, rows: int, columns: int, kernel: int, bias: bool) -> list[np.ndarray]:
        """Weights with zero rows, zero columns, empty rings and doubles; a bias that is sometimes zero."""
        weight = self.rng.standard_normal((rows, columns, kernel, kernel)) / np.sqrt(columns) / kernel
        shift = self.rng.standard_normal(rows)
        dead = self.rng.random(rows) < self.zeros
        weight[dead] = 0
        shift[dead & (self.rng.random(rows) < 0.6)] = 0
        weight[:, self.rng.random(columns) < self.zeros / 2] = 0
        if kernel > 1 and self.chance(0.3):
            weight[:, :, [0, -1]] = 0
        if kernel > 1 and self.chance(0.3):
            weight[..., [0, -1]] = 0
        for row in range(1, rows):
            if self.chance(self.zeros / 2):
                weight[row], shift[row] = weight[row - 1], shift[row - 1]
        return [weight.astype(np.float32), shift.astype(np.float32)][: 1 + bias]

    # One step of growth each

    def convolution(self, source: Blob, channels: int | None = None, group: int = 1, kind: str = "Convolution") -> Blob:
        channels = channels or int(self.rng.integers(1, 7)) * group
        kernel, bias = int(self.one_of(1, 3, 3, 5)), self.chance(0.7)
        pad = int(self.one_of(0, kernel // 2, kernel // 2))
        dilation = int(self.one_of(1, 1, 2)) if kernel == 3 else 1
        pad *= dilation
        extent = dilation * (kernel - 1) + 1
        if min(source.height, source.width) + 2 * pad < extent:
            pad = extent // 2
        tensors = self.filters(channels, source.channels // group, kernel, bias)
        out = Blob(self.name(kind), channels, source.height + 2 * pad - extent + 1, source.width + 2 * pad - extent + 1)
        if kind == "Deconvolution":
            pad = min(pad, extent // 2)
            tensors[0] = np.ascontiguousarray(
                self.filters(source.channels, channels // group, kernel, False)[0].reshape(
                    source.channels, channels // group, kernel, kernel
                )
            )
            out = Blob(out.name, channels, source.height - 1 + extent - 2 * pad, source.width - 1 + extent - 2 * pad)
        message = param(num_output=channels, kernel_size=kernel, pad=pad, dilation=dilation)
        if group > 1:
            message = message.add("group", group)
        if not bias:
            message = message.add("bias_term", False)
        self.add(kind, [source.name], [out.name], tensors, "convolution_param", message)
        return out

    def grouped(self) -> Blob:
        source = self.blob()
        groups = [g for g in range(2, source.channels + 1) if source.channels % g == 0]
        group = int(self.one_of(*groups, source.channels)) if groups else 1
        return self.convolution(source, group=group, channels=group * int(self.one_of(1, 1, 2)))

    def deconvolution(self) -> Blob:
        return self.convolution(self.blob(), kind="Deconvolution")

    def activation(self) -> Blob:
        source = self.blob()
        kind = self.one_of("ReLU", "ReLU", "Sigmoid", "TanH", "ELU", "AbsVal", "Power", "Dropout")
        name = source.name if kind == "ReLU" and self.chance(0.5) else self.name(kind)
        message = param(power=1.0, scale=0.5, shift=float(self.one_of(0.0, 0.25)))
        self.add(kind, [source.name], [name], (), "power_param", message if kind == "Power" else None)
        return replace(source, name=name)

    def per_channel(self) -> Blob:
        source = self.blob()
        kind, n = self.one_of("PReLU", "BatchNorm", "Scale", "Bias"), source.channels
        dead = self.rng.random(n) < self.zeros
        scale = np.where(dead, 0, self.rng.uniform(0.5, 1.5, n))
        shift = np.where(dead & (self.rng.random(n) < 0.7), 0, self.rng.standard_normal(n))
        tensors, message = {
            "PReLU": ([self.rng.uniform(0, 0.5, n)], None),
            "BatchNorm": ([0.5 * shift, scale + 0.5, np.ones(1)], None),
            "Scale": ([scale, shift], param(bias_term=True)),
            "Bias": ([shift], None),
        }[kind]
        out = replace(source, name=self.name(kind))
        self.add(kind, [source.name], [out.name], [t.astype(np.float32) for t in tensors], "scale_param", message)
        return out

    def pooling(self) -> Blob:
        source = self.blob()
        if min(source.height, source.width) < 4:
            return self.activation()
        pad = int(self.one_of(0, 0, 1))
        message = param(kernel_size=3, stride=2, pad=pad)
        if self.chance(0.4):
            message = message.add("pool", self.one_of("AVE"))
        out = Blob(self.name("Pooling"), source.channels, 0, 0)
        out.height, out.width = (pooled(size, pad) for size in (source.height, source.width))
        self.add("Pooling", [source.name], [out.name], (), "pooling_param", message)
        return out

    def residual(self) -> Blob:
        source = self.blob()
        branch = self.same_size(source)
        coefficients = self.one_of((), (), (1.0, -0.5))
        message = param(operation=self.one_of("SUM", "SUM", "PROD", "MAX"))
        if coefficients and message.string("operation") == "SUM":
            message = message.add("coeff", coefficients)
        out = replace(source, name=self.name("Eltwise"))
        self.add("Eltwise", [source.name, branch.name], [out.name], (), "eltwise_param", message)
        return out

    def same_size(self, source: Blob) -> Blob:
        tensors = self.filters(source.channels, source.channels, 3, True)
        if self.chance(0.15):
            tensors = [np.zeros_like(tensor) for tensor in tensors]
        out = replace(source, name=self.name("Convolution"))
        message = param(num_output=source.channels, kernel_size=3, pad=1)
        self.add("Convolution", [source.name], [out.name], tensors, "convolution_param", message)
        return out

    def concat(self) -> Blob:
        first = self.blob()
        alike = [b for b in self.blobs if (b.height, b.width) == (first.height, first.width)]
        parts = [first, *(self.one_of(*alike) for _ in range(int(self.rng.integers(1, 3))))]
        if sum(b.channels for b in parts) > 24:
            return self.activation()
        out = replace(first, name=self.name("Concat"), channels=sum(b.channels for b in parts))
        self.add("Concat", [b.name for b in parts], [out.name])
        return out

    def slices(self) -> Blob:
        source = self.blob()
        if source.channels < 2:
            return self.activation()
        cut = int(self.rng.integers(1, source.channels))
        names = [f"{self.name('Slice')}_{i}" for i in range(2)]
        self.add("Slice", [source.name], names, (), "slice_param", param(slice_point=cut))
        self.blobs.append(replace(source, name=names[0], channels=cut))
        return replace(source, name=names[1], channels=source.channels - cut)

    def shared(self) -> Blob:
        source = self.blob()
        tensors = self.filters(source.channels, source.channels, 3, True)
        names = [{"name": f"w{len(self.layers)}"}, {"name": f"b{len(self.layers)}"}]
        message = param(num_output=source.channels, kernel_size=3, pad=1)
        out = source
        for _ in range(2):
            new = replace(out, name=self.name("Convolution"))
            params = [param(**one) for one in names]
            self.add("Convolution", [out.name], [new.name], tensors, "convolution_param", message, params)
            out = new
        return out

    def normalisation(self) -> Blob:
        source = self.blob()
        kind, message = self.one_of(
            ("LRN", param(local_size=3, alpha=0.5)), ("LRN", param(local_size=5, alpha=0.5)), ("MVN", None)
        )
        out = replace(source, name=self.name(kind))
        self.add(kind, [source.name], [out.name], (), "lrn_param", message)
        return out

    def shuffle(self) -> Blob:
        source = self.blob()
        groups = [g for g in range(2, source.channels) if source.channels % g == 0]
        if not groups:
            return self.activation()
        out = replace(source, name=self.name("ShuffleChannel"))
        message = param(group=int(self.one_of(*groups)))
        self.add("ShuffleChannel", [source.name], [out.name], (), "shuffle_channel_param", message)
        return out

    def squeeze(self) -> Blob:
        """A factor for each channel from the channels' means."""
        source, n = self.blob(), self.blob().channels
        n = source.channels
        pool, fc, gate = (f"{self.name(kind)}_{i}" for i, kind in enumerate(("pool", "fc", "gate")))
        out = replace(source, name=self.name("scaled"))
        self.add("Pooling", [source.name], [pool], (), "pooling_param", param(pool="AVE", global_pooling=True))
        weight, bias = self.filters(n, n, 1, True)
        self.add("InnerProduct", [pool], [fc], [weight[..., 0, 0], bias], "inner_product_param", param(num_output=n))
        self.add("Sigmoid", [fc], [gate])
        self.add("Scale", [source.name, gate], [out.name], (), "scale_param", param(axis=0))
        return out

    def tile(self) -> Blob:
        source = self.blob()
        if source.channels > 8:
            return self.activation()
        out = replace(source, name=self.name("Tile"), channels=2 * source.channels)
        self.add("Tile", [source.name], [out.name], (), "tile_param", param(axis=1, tiles=2))
        return out

    def head(self) -> None:
        """An output: a convolution, or an inner product behind Flatten, Permute or Reshape."""
        source = self.blob()
        kind = self.one_of("conv", "fc", "flat", "permute", "reshape", "both")
        if kind == "conv":
            self.convolution(source, channels=2)
            return
        name, n = source.name, source.channels * source.height * source.width
        if kind in ("permute", "both"):
            new = self.name("Permute")
            self.add("Permute", [name], [new], (), "permute_param", param(order=(0, 2, 3, 1)))
            name = new
        if kind in ("flat", "permute"):
            new = self.name("Flatten")
            self.add("Flatten", [name], [new])
            name = new
        if kind == "reshape":
            new = self.name("Reshape")
            shape = param(dim=(0, source.channels, -1)) if self.chance(0.5) else param(dim=(0, n))
            self.add("Reshape", [name], [new], (), "reshape_param", param(shape=shape))
            name = new
        weight = self.rng.standard_normal((3, n)).astype(np.float32) / np.sqrt(n)
        if kind in ("fc", "flat", "reshape"):
            weight.reshape(3, source.channels, -1)[:, self.rng.random(source.channels) < self.zeros] = 0
        else:
            weight.reshape(3, -1, source.channels)[..., self.rng.random(source.channels) < self.zeros] = 0
        transpose = self.chance(0.2)
        message = param(num_output=3, bias_term=False)
        if transpose:
            message = message.add("transpose", True)
            weight = np.ascontiguousarray(weight.T)
        self.add("InnerProduct", [name], [self.name("InnerProduct")], [weight], "inner_product_param", message)


STEPS = (
    *("convolution",) * 4,
    *("grouped", "deconvolution", "activation", "activation", "per_channel", "per_channel", "pooling", "residual"),
    *("residual", "concat", "concat", "slices", "shared", "normalisation", "shuffle", "squeeze", "tile"),
)


def pooled(size: int, pad: int) -> int:
    """Caffe's ceiling, and its clipping."""
    positions = -(-(size + 2 * pad - 3) // 2) + 1
    return positions - (pad > 0 and (positions - 1) * 2 >= size + pad)


def random_network(
    seed: int, steps: int = 7, zeros: float = 0.3, channels: int = 3, kinds: tuple[str, ...] = STEPS
) -> Net:
    """A network with one input, ``data``, 1 × channels × SIZE × SIZE."""
    grow = Growing(np.random.default_rng(seed), zeros)
    shape = param(shape=param(dim=(1, channels, SIZE, SIZE)))
    grow.add("Input", [], ["data"], (), "input_param", shape)
    grow.blobs.append(Blob("data", channels, SIZE, SIZE))
    grow.blobs.append(grow.convolution(grow.blobs[0], channels=6))
    for _ in range(steps):
        step = grow.one_of(*kinds)
        grow.blobs.append(grow.convolution(grow.blob()) if step == "convolution" else getattr(grow, step)())
    for _ in range(1 + grow.chance(0.3)):
        grow.head()
    return Net(f"random {seed}", tuple(grow.layers))
