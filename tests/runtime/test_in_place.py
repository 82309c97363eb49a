"""Gradients of overwritten blobs: Caffe's rules are the true gradients as long as memory holds what it should."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.layers import build  # noqa: E402
from demitasse.runtime.in_place import RULES, overwritten  # noqa: E402
from demitasse.runtime.network import Network  # noqa: E402
from demitasse.runtime.table import OPERATIONS  # noqa: E402
from runtime.one_layer import call_of  # noqa: E402

TEXTS = {
    "Clip": ("clip_param { min: 0.5 max: 1.5 }",),
    "ELU": ("", "elu_param { alpha: 0.3 }"),
    "Exp": ("", "exp_param { base: 2 scale: 0.5 shift: 1 }"),
    "Log": ("", "log_param { base: 10 scale: 2 shift: 1 }"),
    "Power": (
        "power_param { power: 2 scale: 3 shift: 1 }",
        "power_param { power: 3 scale: 2 shift: 1 }",
        "power_param { power: 0.5 }",
        "power_param { scale: -2 shift: 1 }",
        "power_param { power: 0 }",
    ),
    "ReLU": ("", "relu_param { negative_slope: 0.1 }"),
    "Swish": ("", "swish_param { beta: 2 }"),
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in RULES for text in TEXTS.get(kind, ("",))])
def test_a_rule_is_the_gradient_where_nothing_is_overwritten(kind, text):
    x = torch.rand(2, 5, dtype=torch.float32, generator=torch.Generator().manual_seed(1)).add_(0.2).requires_grad_()
    call = call_of(kind, text, [x])
    y = OPERATIONS[kind](call)
    gradient = torch.linspace(-1, 1, 10).reshape(2, 5)
    expected = torch.autograd.grad(y, x, gradient)[0] if y.requires_grad else torch.zeros_like(x)
    found = RULES[kind](call, gradient, x.detach(), y.detach())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def chain(*kinds: str) -> str:
    """Layers in place, one after the other, on a blob that a convolution gives."""
    source = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }'
    first = 'layer { name: "first" type: "Power" bottom: "x" top: "y" }'
    return (
        source
        + first
        + "".join(f'layer {{ name: "{i}" type: "{k}" bottom: "y" top: "y" }}' for i, k in enumerate(kinds))
    )


@pytest.mark.parametrize(
    ("kinds", "touched"),
    [
        (("ReLU",), {1}),
        (("ReLU", "Dropout"), {1, 2}),
        (("TanH", "Sigmoid"), {1, 2}),
        (("Power",), {1, 2}),
        (("Dropout", "Scale"), {1}),
    ],
)
def test_which_layers_are_overwritten(kinds, touched):
    assert set(overwritten(build(parse_net(chain(*kinds).encode())).layers)) == touched


def test_a_gradient_is_computed_from_what_memory_holds_at_the_end():
    network = Network(build(parse_net(chain("TanH", "Sigmoid").encode())))
    x = torch.linspace(-1, 1, 4).reshape(1, 4).requires_grad_()
    (found,) = torch.autograd.grad(network({"x": x})["y"].sum(), x)
    last = 1 / (1 + np.exp(-np.tanh(x.detach().numpy())))
    np.testing.assert_allclose(found, last * (1 - last) * (1 - last * last), rtol=1e-5)
