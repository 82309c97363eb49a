"""What the reference data does not cover of losses over classes."""

import struct

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from runtime.one_layer import run  # noqa: E402

RS = np.random.RandomState(0)
SCORES = RS.standard_normal((2, 4, 3, 2))
LABELS = RS.randint(0, 4, (2, 1, 3, 2))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def each_loss() -> np.ndarray:
    return -np.log(np.take_along_axis(softmax(SCORES), LABELS, 1))


@pytest.mark.parametrize(
    ("loss_param", "divisor"),
    [
        ("", 12),
        ("normalization: FULL", 12),
        ("normalization: BATCH_SIZE", 2),
        ("normalization: NONE", 1),
        ("normalization: PRE_FIXED pre_fixed_normalizer: 7", 7),
        ("normalization: PRE_FIXED pre_fixed_normalizer: 0.5", 1),
        ("normalization: 3 pre_fixed_normalizer: 7", 7),
        ("normalization: 3", 1),
    ],
)
@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "SoftmaxWithLossOHEM"])
def test_what_the_sum_is_divided_by(kind, loss_param, divisor):
    loss = run(kind, f"loss_param {{ {loss_param} }}", SCORES, LABELS)
    assert float(loss) == pytest.approx(each_loss().sum() / divisor, rel=1e-5)


def test_the_loss_of_every_place():
    scores = torch.tensor(SCORES).float().requires_grad_()
    text = "loss_param { ignore_label: 2 }"
    loss, probabilities, each = run("SoftmaxWithLossOHEM", text, scores, LABELS, outputs=3)
    expected = np.where(LABELS == 2, 0, each_loss())
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(probabilities.numpy(), softmax(SCORES), rtol=1e-5)
    assert float(loss.detach()) == pytest.approx(expected.sum() / (LABELS != 2).sum(), rel=1e-5)
    assert loss.requires_grad
    assert not probabilities.requires_grad
    assert not each.requires_grad


def test_classes_may_weigh_differently():
    text = "loss_param { weight_by_label_freqs: true class_weighting: [0.5, 2, 0, 1] normalization: NONE }"
    weights = np.array([0.5, 2, 0, 1])[LABELS]
    assert float(run("SoftmaxWithLoss", text, SCORES, LABELS)) == pytest.approx((each_loss() * weights).sum(), rel=1e-5)
    with pytest.raises(NetError, match="2 class_weighting for 4 classes"):
        run("SoftmaxWithLoss", "loss_param { weight_by_label_freqs: true class_weighting: [1, 2] }", SCORES, LABELS)


def binaryproto(values: np.ndarray) -> bytes:
    """A blob as Caffe writes it."""
    shape = bytes([0x0A, values.ndim, *values.shape])
    data = values.astype("<f4").tobytes()
    return bytes([0x2A, len(data)]) + data + bytes([0x3A, len(shape)]) + shape


def test_the_matrix_of_infogain_may_come_from_a_file(tmp_path):
    matrix = RS.uniform(0, 1, (3, 3)).astype(np.float32)
    scores, labels = RS.standard_normal((4, 3)), np.array([0, 2, 1, 2])
    path = tmp_path / "H.binaryproto"
    path.write_bytes(binaryproto(matrix))
    given = run("InfogainLoss", "", scores, labels, matrix.reshape(1, 1, 3, 3))
    read = run("InfogainLoss", f'infogain_loss_param {{ source: "{path}" }}', scores, labels)
    assert float(read) == float(given)
    assert float(given) == pytest.approx(-(matrix[labels] * np.log(softmax(scores))).sum() / 4, rel=1e-5)
    path.write_bytes(struct.pack("<f", 1.0))
    with pytest.raises(NetError, match=r'layer "L".*matrix .* cannot be read'):
        run("InfogainLoss", f'infogain_loss_param {{ source: "{path}" }}', scores, labels)


@pytest.mark.parametrize("label", [-1, 4])
@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "Accuracy", "HingeLoss", "MultinomialLogisticLoss"])
def test_a_label_that_is_no_class_is_refused(kind, label):
    with pytest.raises(NetError, match=r'layer "L".*label'):
        run(kind, "", RS.uniform(0.1, 1, (2, 4)), np.array([0, label]))


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("SoftmaxWithLoss", "loss_param { label_smoothing: 0.1 }", "label_smoothing"),
        ("SoftmaxWithLoss", "loss_param { normalization: MEDIAN }", "normalization is MEDIAN"),
        ("HingeLoss", "hinge_loss_param { norm: L3 }", "norm is L3"),
    ],
)
def test_options_that_are_not_computed_are_refused(kind, text, said):
    with pytest.raises(NetError, match=said):
        run(kind, text, RS.uniform(0.1, 1, (2, 4)), np.array([0, 1]))


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_gradient_of_the_hinge_loss(norm):
    """The reference data has none: its recording lost what the layer keeps between the passes."""
    scores = torch.tensor(RS.standard_normal((3, 4)), dtype=torch.float64).requires_grad_()
    text = f"hinge_loss_param {{ norm: {norm} }}"
    assert torch.autograd.gradcheck(lambda x: run("HingeLoss", text, x, np.array([1, 0, 3])), scores)
