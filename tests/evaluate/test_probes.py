import pytest

from demitasse.evaluate.probes import Probe, probes
from demitasse.net import Layer


def layer(line: str) -> Layer:
    """``Type name: inputs > outputs``."""
    head, _, rest = line.partition(":")
    kind, name = head.split()
    inputs, _, outputs = rest.partition(">")
    return Layer(name, kind, tuple(inputs.split()), tuple(outputs.split()))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        (["Input data: > data"], []),
        (["Input data: > data", "Convolution c: data > c"], [("c", "values")]),
        # In place: the last layer that writes the blob gives the output.
        (["Input data: > data", "Convolution c: data > c", "ReLU r: c > c"], [("r", "values")]),
        (["Convolution c: data > c", "ReLU r: c > c", "Pooling p: c > p"], [("p", "values")]),
        (["InnerProduct ip: x > ip", "Softmax prob: ip > prob"], [("prob", "classes"), ("ip", "values")]),
        (
            ["Convolution loc: x > loc", "Convolution conf: y > conf", "PriorBox prior: x > prior",
             "DetectionOutput out: loc conf prior > out"],
            [("out", "detections"), ("loc", "values"), ("conf", "values")],
        ),
        (
            ["Convolution c: x > c", "Reshape r: c > r", "Softmax s: r > s", "Flatten f: s > f"],
            [("r", "values")],
        ),
        (["Convolution c: x > c", "Sigmoid s: c > c"], [("c", "values")]),
        (["Convolution c: x > c", "Sigmoid s: c > s", "Eltwise e: s c > e"], [("e", "values")]),
        (
            ["Convolution loc: x > loc", "Reshape r: loc > r", "Softmax s: r > s", "Flatten conf: s > conf",
             "DetectionOutput out: loc conf > out"],
            [("out", "detections"), ("loc", "values"), ("r", "values")],
        ),
        (
            ["Data d: > data label", "InnerProduct ip: data > ip", "SoftmaxWithLoss loss: ip label > loss",
             "Accuracy acc: ip label > acc"],
            [("ip", "values")],
        ),
        (
            ["Convolution a: x > a", "Convolution b: x > b", "Convolution c: x > c",
             "Yolov3DetectionOutput out: a b c > out"],
            [("out", "detections"), ("a", "values"), ("b", "values"), ("c", "values")],
        ),
        (["Slice s: x > a b", "ReLU r: a > r"], [("r", "values")]),
        (["ReLU a: x > a", "ReLU b: x > b"], [("a", "values"), ("b", "values")]),
        (["ReLU a: x > a", "Silence s: a >"], []),
        (
            ["Input data: > data", "Convolution cls: x > cls", "Softmax p: cls > p", "Convolution move: x > move",
             "Proposal choose: p move data > rois", "ROIPooling pool: x rois > pool",
             "InnerProduct b: pool > bbox_pred", "Softmax s: pool > cls_prob"],
            [("s", "regions"), ("b", "regions"), ("choose", "regions"), ("cls", "values"), ("move", "values")],
        ),
    ],
)  # fmt: skip
def test_where_to_measure(lines, expected):
    assert probes([layer(line) for line in lines]) == tuple(Probe(*pair) for pair in expected)
