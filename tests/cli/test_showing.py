from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from demitasse.cli.showing import other_inputs, preparing, showing
from demitasse.errors import OptionError
from demitasse.evaluate.preprocessing import Stated
from demitasse.evaluate.shown import Shown


def said(*arguments: str) -> dict:
    """What the options say, as a command gets it."""
    found: list[Stated] = []

    @click.command()
    @preparing
    def command(stated: Stated) -> None:
        found.append(stated)

    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception:
        raise result.exception
    return found[0].as_dict()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--mean", "1,2.5,3"], {"mean": [1, 2.5, 3]}),
        (["--scale", "0.5", "--order", "rgb"], {"scale": 0.5, "order": "rgb"}),
        (["--resize", "crop"], {"resize": "crop"}),
        (["--resize", "pad:256"], {"resize": "pad", "size": [256, 256]}),
        (["--resize", "stretch:10x20"], {"resize": "stretch", "size": [10, 20]}),
    ],
)
def test_what_options_say(arguments, expected):
    assert said(*arguments) == expected


def test_options_win_over_the_file(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("mean: 7\nscale: 2\n")
    assert said("--preprocess", str(path)) == {"mean": [7], "scale": 2}
    assert said("--preprocess", str(path), "--scale", "3") == {"mean": [7], "scale": 3}
    np.save(tmp_path / "mean.npy", np.ones((3, 2, 2), np.float32))
    assert said("--preprocess", str(path), "--mean", str(tmp_path / "mean.npy"))["mean"] == [1, 1, 1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mean", "a"],
        ["--mean", ""],
        ["--mean", "1,nan,2"],
        ["--scale", "nan"],
        ["--scale", "inf"],
        ["--resize", "crop:0"],
        ["--resize", "crop:1x2x3"],
        ["--order", "x"],
    ],
)
def test_what_options_cannot_say(arguments):
    with pytest.raises(click.UsageError):
        said(*arguments)


def test_a_command_gets_what_is_shown():
    found: list[Shown] = []

    @click.command()
    @showing
    def command(shown: Shown) -> None:
        found.append(shown)

    CliRunner().invoke(command, ["--images", "photos", "--scale", "2"], standalone_mode=False)
    assert (found[0].folder, found[0].all_stated.scale) == (Path("photos"), 2)


def test_one_kind_of_input_at_a_time():
    assert other_inputs(Shown(), Path("a.npz"), None, 5) == Shown(arrays=Path("a.npz"), seed=5)
    with pytest.raises(OptionError, match="--images and --random"):
        other_inputs(Shown(Path("photos")), None, 3, 0)
    with pytest.raises(OptionError, match="no meaning"):
        other_inputs(Shown(stated=Stated(scale=2.0)), None, 3, 0)
