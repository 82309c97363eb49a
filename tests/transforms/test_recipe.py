import dataclasses

import pytest

from demitasse.errors import FileError, OptionError
from demitasse.transforms.factorize import Factorize
from demitasse.transforms.fold import Fold
from demitasse.transforms.half import Half
from demitasse.transforms.recipe import TRANSFORMS, as_steps, dump_recipe, parse_recipe, read_recipe
from demitasse.transforms.strip import Strip
from demitasse.transforms.transform import supply

RECIPE = """
# from training to use
- strip: {inputs: {data: [1, 3, 32, 32]}, until: [fc]}
- fold
- factorize: {layer: fc6, rank: 1024}
- factorize: {rank: {fc6: 1024, fc7: 256}}
- factorize:
    params: 0.5
    method: spatial
- half: {clamp: true}
"""

STEPS = (
    Strip({"data": (1, 3, 32, 32)}, ("fc",)),
    Fold(),
    Factorize("fc6", 1024),
    Factorize(rank={"fc6": 1024, "fc7": 256}),
    Factorize(params=0.5, method="spatial"),
    Half(clamp=True),
)


def test_a_recipe_is_a_list_of_transforms():
    assert parse_recipe(RECIPE) == STEPS


def test_there_and_back():
    assert parse_recipe(dump_recipe(STEPS)) == STEPS
    assert as_steps([Half(), Strip()]) == ["half", "strip"]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_is_a_frozen_dataclass_with_a_tolerance(name):
    kind = TRANSFORMS[name]
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert kind.tolerance is None or 0 < kind.tolerance < 0.1
    assert name == kind.__name__.lower()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fold", "a recipe is a list"),
        ("", "a recipe is a list"),
        ("- [fold]", "step 1: a step is"),
        ("- fold\n- fold: {}\n  half: {}", "step 2: a step is"),
        ("- folds", "step 1: no transform is called 'folds'; there are .*fold"),
        ("- fold\n- half: {clamps: true}", r"step 2 \(half\): has no option 'clamps'; it has clamp"),
        ("- half: {clamp: 1}", r"step 1 \(half\): clamp should be true or false, and is 1"),
        ("- half: yes please", r"\(half\): options are NAME: VALUE"),
        ("- factorize: {rank: 2.5}", r"\(factorize\): rank should be .*whole number"),
        ("- factorize: {rank: none}", r"\(factorize\): rank should be"),
        ("- factorize: {layer: fc6}", r"\(factorize\): give one of rank, energy, macs, params"),
        ("- factorize: {rank: 1, energy: 0.5}", "not rank and energy"),
        ("- factorize: {energy: 1.5}", "energy is a share"),
        ("- factorize: {rank: 0}", "at least 1"),
        ("- factorize: {energy: 0.5, method: best}", r"method should be one of auto, channel, spatial, tucker"),
        ("- factorize: {energy: 0.5, activations: x}", "has no option 'activations'"),
        ("- strip: {inputs: {data: [1, x]}}", r"inputs: data should be a whole number, and is .x."),
        ("- strip: {inputs: {data: [0]}}", 'shape of "data"'),
        ("- strip: [", "line 1: not YAML"),
        ("- !!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(text, message):
    with pytest.raises(OptionError, match=message) as caught:
        parse_recipe(text, "r.yaml")
    assert str(caught.value).startswith("r.yaml")
    assert "\n" not in str(caught.value)


def test_files(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    assert read_recipe(path) == STEPS
    with pytest.raises(FileError, match="No such file"):
        read_recipe(tmp_path / "none.yaml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match="UTF-8"):
        read_recipe(path)


def test_what_is_supplied_is_no_option():
    def activations(net, wanted):
        yield {}

    made = supply(Factorize(rank=2), activations=activations, threads=3)
    assert made.activations is activations
    assert made == Factorize(rank=2)
    assert supply(Half(), activations=activations) == Half()
