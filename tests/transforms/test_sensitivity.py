"""The executor is checked by laws: adjoints against differences, costs against perturbations of the weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from demitasse import _core
from demitasse.caffe.text import parse
from demitasse.codec.quantizer import Importance, quantize
from demitasse.errors import NetError
from demitasse.net import Dense, Layer, Net
from demitasse.transforms.sensitivity import estimate
from demitasse.transforms.sensitivity.estimate import Run
from demitasse.transforms.sensitivity.feedback import Moments, extents
from demitasse.transforms.sensitivity.grid import snapped
from demitasse.transforms.sensitivity.operators import OPERATORS
from demitasse.transforms.sensitivity.program import Program

RNG = np.random.default_rng(5)
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before() -> None:
    RNG.bit_generator.state = STATE


def layer(kind: str, text: str = "", *tensors: Any, inputs: int = 1, outputs: int = 1) -> Layer:
    names = tuple(f"in{i}" for i in range(inputs)), tuple(f"out{i}" for i in range(outputs))
    return Layer("l", kind, *names, parse(text), tuple(Dense(np.asarray(t, np.float32)) for t in tensors))


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


CASES = [
    (layer("Convolution", "convolution_param { stride: 2 pad: 1 }", normal(6, 4, 3, 3), normal(6)), [(1, 4, 7, 8)]),
    (layer("Convolution", "convolution_param { group: 2 dilation: 2 }", normal(6, 2, 3, 3)), [(1, 4, 9, 8)]),
    (layer("Convolution", "convolution_param { pad_h: 2 stride_w: 3 }", normal(5, 3, 3, 1)), [(1, 3, 5, 7)]),
    (layer("DepthwiseConvolution", "", normal(4, 1, 3, 3)), [(1, 4, 6, 6)]),
    (layer("Deconvolution", "convolution_param { stride: 2 pad: 1 }", normal(4, 3, 4, 4), normal(3)), [(1, 4, 5, 6)]),
    (layer("InnerProduct", "", normal(7, 24), normal(7)), [(1, 2, 3, 4)]),
    (layer("InnerProduct", "inner_product_param { axis: 2 transpose: true }", normal(4, 5)), [(1, 3, 4)]),
    (layer("BatchNorm", "", normal(4), np.abs(normal(4)) + 0.1, [0.5]), [(1, 4, 5, 5)]),
    (layer("Scale", "", normal(4), normal(4)), [(1, 4, 5, 5)]),
    (layer("Scale", "scale_param { axis: 0 }", inputs=2), [(1, 4, 5, 5), (1, 4)]),
    (layer("Axpy", "", inputs=3), [(1, 4, 1, 1), (1, 4, 5, 5), (1, 4, 5, 5)]),
    (layer("Bias", "", normal(4)), [(1, 4, 5, 5)]),
    (layer("PReLU", "", normal(4)), [(1, 4, 5, 5)]),
    (layer("ReLU", "relu_param { negative_slope: 0.1 }"), [(1, 4, 5)]),
    *[(layer(kind), [(1, 4, 5)]) for kind in ("AbsVal", "BNLL", "Dropout", "ELU", "Sigmoid", "Swish", "TanH")],
    (layer("ReLU6"), [(1, 4, 5)]),
    (layer("Power", "power_param { power: 2 scale: 0.5 shift: 3 }"), [(1, 4, 5)]),
    (layer("Softmax"), [(1, 5, 2)]),
    (layer("Eltwise", "eltwise_param { coeff: 1 coeff: -2 }", inputs=2), [(1, 4, 3)] * 2),
    (layer("Eltwise", "eltwise_param { operation: PROD }", inputs=2), [(1, 4, 3)] * 2),
    (layer("Eltwise", "eltwise_param { operation: MAX }", inputs=2), [(1, 4, 3)] * 2),
    (layer("Pooling", "pooling_param { kernel_size: 3 stride: 2 }"), [(1, 3, 8, 7)]),
    (layer("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"), [(1, 3, 8, 7)]),
    (layer("Pooling", "pooling_param { pool: AVE global_pooling: true }"), [(1, 3, 8, 7)]),
    (layer("Reduction", "reduction_param { axis: 1 operation: MEAN }"), [(1, 3, 8)]),
    (layer("Concat", inputs=2), [(1, 3, 4), (1, 2, 4)]),
    (layer("Slice", "slice_param { slice_point: 1 slice_point: 3 }", outputs=3), [(1, 5, 4)]),
    (layer("Split", outputs=2), [(1, 5, 4)]),
    (layer("Flatten"), [(1, 5, 4)]),
    (layer("Reshape", "reshape_param { shape { dim: 0 dim: 2 dim: -1 } }"), [(1, 6, 4)]),
    (layer("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"), [(1, 5, 4, 3)]),
    (layer("Crop", "crop_param { axis: 2 offset: 1 }", inputs=2), [(1, 2, 6, 6), (1, 2, 4, 3)]),
    (layer("CropCenter", "crop_center_param { crop_size: 0 crop_size: 0 crop_size: 1 crop_size: 1 }"), [(1, 2, 6, 6)]),
    (layer("ShuffleChannel", "shuffle_channel_param { group: 2 }"), [(1, 6, 3, 3)]),
    (layer("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 2 }"), [(1, 3, 10, 10)]),
]
SCALED = {"LRN", "Normalize"}
"""Their factors are held fixed in the adjoint, which is no derivative then."""


def test_every_operator_has_a_case() -> None:
    covered = {case.type for case, _ in CASES}
    alike = {"CConvolution", "ConvolutionDepthwise", "CInnerProduct"}
    assert set(OPERATORS) == covered | alike | SCALED


@pytest.mark.parametrize(("which", "shapes"), CASES, ids=lambda value: value.type if isinstance(value, Layer) else "")
def test_the_adjoint_is_that_of_the_derivative(which: Layer, shapes: list[tuple[int, ...]]) -> None:
    operator = OPERATORS[which.type]
    inputs = [snapped(normal(*shape)) for shape in shapes]
    directions = [normal(*shape).astype(np.float64) for shape in shapes]
    result = operator(which, inputs)
    gradients = [snapped(normal(*values.shape)) for values in result.outputs]
    back = result.adjoint(gradients)
    step = 5e-4
    ahead, behind = (
        operator(which, [x + np.float64(sign * step) * d for x, d in zip(inputs, directions, strict=True)]).outputs
        for sign in (1, -1)
    )
    change = sum(float(np.vdot(g, (a - b) / (2 * step))) for g, a, b in zip(gradients, ahead, behind, strict=True))
    adjoint = sum(float(np.vdot(b, d)) for b, d in zip(back, directions, strict=True) if b is not None)
    assert adjoint == pytest.approx(change, rel=0.03, abs=0.03)


def small_net(*extra: Layer) -> Net:
    text = parse("convolution_param { pad: 1 }")
    layers = [
        Layer("c1", "Convolution", ("data",), ("c1",), text, (Dense(normal(8, 3, 3, 3) * 0.2), Dense(normal(8)))),
        Layer("r1", "ReLU", ("c1",), ("c1",)),
        Layer("c2", "Convolution", ("c1",), ("c2",), text, (Dense(normal(6, 8, 3, 3) * 0.1),)),
        Layer(
            "bn",
            "BatchNorm",
            ("c2",),
            ("c2",),
            parse(""),
            (Dense(normal(6)), Dense(np.abs(normal(6)) + 0.5), Dense(np.ones(1, np.float32))),
        ),
        Layer("fc", "InnerProduct", ("c2",), ("fc",), parse(""), (Dense(normal(4, 6 * 64) * 0.1), Dense(normal(4)))),
        *extra,
    ]
    return Net("small", tuple(layers))


def pictures(count: int) -> list[dict[str, np.ndarray]]:
    return [{"data": np.cumsum(normal(1, 3, 8, 8), axis=3) * 0.3} for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "index"), [("c1", 0), ("c1", 1), ("c2", 0), ("bn", 0), ("bn", 1), ("fc", 0), ("fc", 1)]
)
def test_costs_are_what_small_errors_of_the_weights_do(name: str, index: int) -> None:
    net, shown = small_net(), pictures(12)
    cost = estimate(net, shown, probes=12).costs[name, index].rows.sum()
    program = Program.of(net, ("data",))
    (end,) = program.outputs
    expected = [Run(program, picture).values[end].astype(float) for picture in shown]
    power = np.mean([(values**2).sum() for values in expected])
    noise = []
    for _ in range(12):
        changed = [
            old.with_tensors(
                Dense(t.array() + 0.01 * normal(*t.shape)) if (old.name, i) == (name, index) else t
                for i, t in enumerate(old.tensors)
            )
            for old in net.layers
        ]
        other = Program.of(replace(net, layers=tuple(changed)), ("data",))
        found = [Run(other, picture).values[end] for picture in shown]
        noise.append(np.mean([((a - b) ** 2).sum() for a, b in zip(expected, found, strict=True)]) / power)
    assert np.mean(noise) == pytest.approx(cost * 1e-4, rel=0.35)


def test_the_estimate_does_not_depend_on_the_order_of_sums() -> None:
    """Exact arithmetic: a product whose terms are added in another order gives the same bits."""
    a, b = snapped(normal(40, 4000)), snapped(normal(4000, 30), 16)
    order = RNG.permutation(4000)
    straight = a.astype(np.float64) @ b.astype(np.float64)
    assert np.array_equal(straight, a[:, order].astype(np.float64) @ b[order].astype(np.float64))


def test_small_weights_of_float16_stay_what_they_are() -> None:
    values = np.array([1e-3, -2e-4, 6e-8], np.float16)
    np.testing.assert_array_equal(snapped(values), snapped(values.astype(np.float32)))
    assert np.all(np.isfinite(snapped(values)))


def test_an_unknown_layer_ends_the_estimate_and_is_named() -> None:
    after = Layer("after", "InnerProduct", ("odd",), ("after",), parse(""), (Dense(normal(3, 4)),))
    net = small_net(Layer("odd", "NobodyKnows", ("fc",), ("odd",)), after)
    found = estimate(net, pictures(2))
    assert ("fc", 0) in found.costs
    assert ("after", 0) not in found.costs
    assert set(found.unknown) == {"odd", "after"}


def test_a_softmax_at_the_end_is_left_out() -> None:
    plain, shown = small_net(), pictures(2)
    soft = replace(plain, layers=(*plain.layers, Layer("prob", "Softmax", ("fc",), ("prob",))))
    assert np.array_equal(estimate(plain, shown).costs["c1", 0].rows, estimate(soft, shown).costs["c1", 0].rows)


def test_shapes_that_do_not_fit_are_an_error_that_names_the_layer() -> None:
    with pytest.raises(NetError, match="fc"):
        estimate(small_net(), [{"data": normal(1, 3, 9, 9)}])


def positive(count: int, samples: int) -> np.ndarray:
    """Second moments of inputs that go together."""
    values = normal(samples, count) @ normal(count, count) + 1
    return values.T @ values / samples


@pytest.mark.parametrize("count", [1, 5, 48, 49, 130])
def test_a_matrix_is_taken_apart(count: int) -> None:
    matrix = positive(count, 3 * count).astype(np.float64)
    apart = matrix.copy()
    weights = _core.factorize(apart, 1e-12)
    upper = np.triu(apart, 1) + np.eye(count)
    assert upper @ np.diag(weights) @ upper.T == pytest.approx(matrix, rel=1e-6, abs=1e-6)


def test_what_a_distance_from_a_target_weighs_is_never_below_the_least() -> None:
    weights = _core.factorize(np.ones((6, 6)), 0.01)
    assert weights[-1] == 1
    assert weights[:-1] == pytest.approx(0.01)


def test_feedback_makes_good_what_goes_together() -> None:
    """The errors that it leaves cost less than those that it is without, by what it says."""
    moments = positive(40, 400) * 0.05
    found = Moments((moments,), 10**9).feedback()
    assert found is not None
    assert found.coefficients.shape == (40, 39)
    assert found.weights.mean() == pytest.approx(1, abs=0.01)
    weights = normal(64, 40)
    importance = Importance(columns=found.weights)
    costs = []
    for options in ({}, {"feedback": found.coefficients, "importance": importance}):
        error = weights - quantize(weights, 0.5, lam=0.0, **options).array()
        costs.append(float(np.einsum("ri,ij,rj->", error, moments, error)))
    assert costs[1] < 1.5 * found.gain * costs[0]
    assert found.gain < 0.7


def test_feedback_of_nothing_is_nothing() -> None:
    assert Moments((np.zeros((5, 5)),), 10).feedback() is None


@pytest.mark.parametrize(
    ("columns", "kernel", "most", "sizes"),
    [
        (100, 1, 200, [100]),
        (100, 1, 60, [50, 50]),
        (90, 9, 40, [36, 36, 18]),
        (50, 25, 10, [10] * 5),
        (7, 1, 3, [3, 3, 1]),
    ],
)
def test_blocks_are_about_equal_and_do_not_cut_kernels(columns: int, kernel: int, most: int, sizes: list[int]) -> None:
    blocks = list(extents(columns, kernel, most))
    assert [block.stop - block.start for block in blocks] == sizes
    assert [block.start for block in blocks] == list(np.cumsum([0, *sizes[:-1]]))


@pytest.mark.parametrize(
    ("which", "shape"),
    [(case, shapes[0]) for case, shapes in CASES if case.type in ("Convolution", "Deconvolution", "InnerProduct")],
)
def test_moments_are_those_of_the_derivatives_and_of_what_is_read(which: Layer, shape: tuple[int, ...]) -> None:
    """Each derivative by a difference: the layer is linear in its weights. What kernels read counts as much."""
    if which.message.message("inner_product_param").flag("transpose"):
        return
    inputs = [snapped(normal(*shape))]
    result = OPERATORS[which.type](which, inputs)
    gradients = [snapped(normal(*values.shape)) for values in result.outputs]
    assert result.weigh is not None
    found = result.weigh(gradients, 1000)[0]
    stored = which.tensors[0].array()
    slopes = np.empty(stored.size)
    for i in range(stored.size):
        moved = stored.reshape(-1).copy()
        moved[i] += 1
        changed = replace(which, tensors=(Dense(moved.reshape(stored.shape)), *which.tensors[1:]))
        (values,) = OPERATORS[which.type](changed, inputs).outputs
        slopes[i] = np.vdot(gradients[0].astype(np.float64), values - result.outputs[0])
    rows = slopes.reshape(len(stored), -1)
    assert found.moments is not None
    own = rows.T @ rows
    rest = found.moments.blocks[0] - own
    trace = np.trace(own) if which.type != "InnerProduct" else 0.0
    assert np.trace(rest) == pytest.approx(trace, rel=2e-3, abs=2e-3 * np.trace(own))
    assert np.linalg.eigvalsh(rest).min() > -2e-3 * np.trace(own)
    assert found.rows == pytest.approx((rows**2).sum(axis=1), rel=2e-3)
