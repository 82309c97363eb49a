"""Costs are learnt from the images that are given, and from no others."""

from pathlib import Path

import numpy as np
import pytest

from demitasse import plan
from demitasse.caffe.read import parse_net
from demitasse.errors import FileError
from demitasse.evaluate.shown import Shown
from demitasse.net import Dense, Net

TEXT = b"""name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 12 dim: 12 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 } }
"""


def small() -> Net:
    random = np.random.default_rng(3)
    net = parse_net(TEXT)
    kernel = Dense(random.normal(size=(8, 3, 3, 3)).astype(np.float32))
    return net.with_layers(layer.with_tensors([kernel] if layer.name == "conv" else []) for layer in net.layers)


def images(folder: Path, *seeds: int) -> Shown:
    cv2 = pytest.importorskip("cv2")
    folder.mkdir()
    for i, seed in enumerate(seeds):
        picture = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    return Shown(folder)


def coefficients(shown: Shown | None, **options: bool) -> np.ndarray:
    return plan.sensitivity(small(), shown, **options).feedback["conv"].coefficients


def test_costs_are_those_on_the_images(tmp_path: Path) -> None:
    first, again, other = (images(tmp_path / name, *seeds) for name, *seeds in (("a", 1, 2), ("b", 1, 2), ("c", 3, 4)))
    assert np.array_equal(coefficients(first), coefficients(again))
    assert not np.array_equal(coefficients(first), coefficients(other))
    assert not np.array_equal(coefficients(first), coefficients(None))


def test_without_a_folder_pictures_are_generated() -> None:
    assert np.array_equal(coefficients(Shown()), coefficients(None))


def test_images_that_are_held_out_are_not_looked_at(tmp_path: Path) -> None:
    some = images(tmp_path / "some", 1, 2, 3, 4)
    half = images(tmp_path / "half", 1, 3)
    assert np.array_equal(coefficients(some, held_out=True), coefficients(half))


def test_more_images_are_believed_more(tmp_path: Path) -> None:
    few, many = images(tmp_path / "few", 1, 2), images(tmp_path / "many", *range(20))
    assert plan.sensitivity(small(), few).trust < plan.sensitivity(small(), many).trust < 1


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        plan.sensitivity(small(), Shown(tmp_path / "nothing"))
