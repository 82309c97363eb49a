import pytest

from demitasse.evaluate.detections import Agreement
from demitasse.evaluate.outputs import OutputError
from demitasse.plan.loss import Loss

VALUES = OutputError("fc", "values", signal=4.0, noise=0.01)


@pytest.mark.parametrize(
    ("errors", "loss"),
    [
        ([VALUES], Loss(0.05, "outputs")),
        ([VALUES, OutputError("prob", "classes", top1=3, decisions=4)], Loss(0.25, "classes", 1, 4)),
        ([VALUES, OutputError("out", "detections", boxes=Agreement(10, 9, 1, at_50=9))], Loss(0.2, "boxes", 2, 10)),
        ([VALUES, OutputError("out", "detections", boxes=Agreement(0, 0, 0))], Loss(0.05, "outputs")),
        ([], Loss(0.0, "outputs")),
    ],
)
def test_a_loss_is_of_decisions_where_there_are_any(errors: list[OutputError], loss: Loss) -> None:
    found = Loss.by(errors)
    assert (found.of, found.lost, found.whole) == (loss.of, loss.lost, loss.whole)
    assert found.share == pytest.approx(loss.share)
    assert f"{100 * loss.share:.2g} %" in str(found)
