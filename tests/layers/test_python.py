from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.layers import UNKNOWN, MaybeShape, Shape
from demitasse.layers.python import Python, parse_param_str
from layers.reference import layer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'feat_stride': 16", {"feat_stride": 16}),
        ("'feat_stride': 16\n'scales': !!python/tuple [4, 8]", {"feat_stride": 16, "scales": [4, 8]}),
        ("{'split': 'train', 'mean': (104.0, 116.5)}", {"split": "train", "mean": (104.0, 116.5)}),
        ("num_classes: 21", {"num_classes": 21}),
        ("num_classes: 21\nsplit: train", {"num_classes": 21, "split": "train"}),
        ("{num_classes: 21, split: train}", {"num_classes": 21, "split": "train"}),
        ("1248, 352, 16", {}),
        ("", {}),
        ("__import__('os').system('true')", {}),
        ("(" * 9000, {}),
        ("a: 1," * 9000, {}),
    ],
)
def test_param_str_is_read_as_data(text: str, expected: dict[str, object]) -> None:
    found = parse_param_str(text)
    assert {key: found.get(key) for key in expected} == expected
    assert expected or not found


@given(st.text(max_size=60))
def test_no_param_str_breaks_anything(text: str) -> None:
    assert all(isinstance(key, str) for key in parse_param_str(text))


@pytest.mark.parametrize(
    ("module", "kind", "options", "inputs", "expected"),
    [
        ("rpn.proposal_layer", "ProposalLayer", "'feat_stride': 16", [(1, 18, 5, 6)], [(1, 5), (1, 1, 1, 1)]),
        (
            "rpn.anchor_target_layer",
            "AnchorTargetLayer",
            "'scales': [8, 16]",
            [(1, 12, 5, 6)],
            [(1, 1, 30, 6), (1, 24, 5, 6)],
        ),
        ("rpn.proposal_target_layer", "ProposalTargetLayer", "'num_classes': 21", [(1, 5)], [(1, 5), (1, 1), (1, 84)]),
        ("roi_data_layer.layer", "RoIDataLayer", "'num_classes': 2", [], [(UNKNOWN, 3, UNKNOWN, UNKNOWN), (1, 5)]),
        ("mine", "Mine", "", [], [None, None]),
    ],
)
def test_known_classes_have_shapes(
    module: str, kind: str, options: str, inputs: list[Shape], expected: list[MaybeShape]
) -> None:
    tops = " ".join(f'top: "y{i}"' for i in range(len(expected)))
    param = f'python_param {{ module: "{module}" layer: "{kind}" param_str: "{options}" }}'
    it = Python(layer(f'layer {{ name: "L" type: "Python" {tops} {param} }}'), tuple(inputs))
    assert list(it.outputs()) == expected
