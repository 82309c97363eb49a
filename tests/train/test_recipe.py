import pytest

pytest.importorskip("torch")

from demitasse.errors import FileError, OptionError
from demitasse.train.clusters import Clusters
from demitasse.train.distill import Distill
from demitasse.train.lasso import Lasso
from demitasse.train.masks import Mask
from demitasse.train.rate import Rate
from demitasse.train.recipe import SHAPINGS, parse_training_recipe, read_training_recipe
from demitasse.train.steps import Steps

RECIPE = """
- distill: {teacher: [deploy.prototxt, large.caffemodel], temperature: 4, blobs: [conv2]}
- lasso: {weight: 0.001, kind: blocks, block: [2, 3], layers: ["conv*"]}
- mask: {density: {"*": 0.5, ip1: 0.08}, begin: 100, end: 5000, splice: true}
- clusters: {values: {ip1: 16}, begin: 8000}
- steps: {bits: 4, layers: [ip2]}
- rate: {bytes: 3000}
"""


def test_every_shaping_can_be_said():
    found = parse_training_recipe(RECIPE)
    assert found == (
        Distill(("deploy.prototxt", "large.caffemodel"), temperature=4.0, blobs=("conv2",)),
        Lasso(0.001, "blocks", ("conv*",), (2, 3)),
        Mask({"*": 0.5, "ip1": 0.08}, begin=100, end=5000, splice=True),
        Clusters({"ip1": 16}, begin=8000),
        Steps(4, ("ip2",)),
        Rate(3000),
    )
    assert {type(one) for one in found} == set(SHAPINGS.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mask", "a recipe is a list of steps"),
        ("- prune", "step 1: no shaping is called 'prune'; there are clusters, distill"),
        ("- steps\n- mask: {share: 0.1}", r"step 2 \(mask\): has no option 'share'"),
        ("- mask: {density: much}", r"step 1 \(mask\): density should be a number or NAME: VALUE pairs"),
        ("- mask: {density: 2}", r"step 1 \(mask\): mask: density is 2; it must be above 0"),
        ("- distill: {net: x}", "has no option 'net'"),
        ("- distill", r"step 1 \(distill\): distill needs one teacher"),
        ("- rate", "needs bytes"),
        ("- mask: {density: !!python/name:os.system }", "not YAML"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_step(text, said):
    with pytest.raises(OptionError, match=said):
        parse_training_recipe(text, "r.yaml")


def test_a_file_is_read(tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    assert read_training_recipe(tmp_path / "r.yaml") == parse_training_recipe(RECIPE)
    with pytest.raises(FileError, match="cannot be read"):
        read_training_recipe(tmp_path / "none.yaml")
