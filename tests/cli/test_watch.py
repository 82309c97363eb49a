import sys
from types import ModuleType
from typing import ClassVar

import pytest

from demitasse.cli.watch import Curves
from demitasse.errors import MissingExtraError


class Writer:
    made: ClassVar[list["Writer"]] = []

    def __init__(self, folder):
        self.folder, self.scalars, self.closed = folder, [], False
        self.made.append(self)

    def add_scalar(self, *what):
        self.scalars.append(what)

    def close(self):
        self.closed = True


def test_losses_rates_and_tests_become_curves(monkeypatch, tmp_path):
    module = ModuleType("tensorboardX")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    curves = Curves(tmp_path / "board")
    curves({"event": "train", "iteration": 3, "loss": 0.5, "smoothed": 0.6, "lr": 0.1})
    curves({"event": "test", "iteration": 4, "which": 0, "outputs": {"accuracy": 0.9, "prob": [0.1, 0.9]}})
    curves({"event": "snapshot", "iteration": 4, "files": []})
    curves({"event": "done", "iteration": 4, "stopped": False})
    (writer,) = Writer.made
    assert writer.folder == str(tmp_path / "board")
    assert writer.scalars == [("train/loss", 0.5, 3), ("train/lr", 0.1, 3), ("test0/accuracy", 0.9, 4)]
    assert writer.closed


def test_without_tensorboard_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match=r"--tensorboard needs tensorboard: pip install"):
        Curves(tmp_path)
