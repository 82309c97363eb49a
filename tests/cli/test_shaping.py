from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from demitasse.cli.shaping import Wishes
from demitasse.errors import FileError, OptionError
from demitasse.train.clusters import Clusters
from demitasse.train.distill import Distill
from demitasse.train.lasso import Lasso
from demitasse.train.masks import Mask
from demitasse.train.steps import Steps

NONE = Wishes(None, (), (), None, False, False, (), (), ())


@pytest.mark.parametrize(
    ("options", "shapings"),
    [
        ({}, []),
        (
            {"lasso": ("filters=0.02@ip1,conv*", "single=1e-4")},
            [Lasso(0.02, "filters", ("ip1", "conv*")), Lasso(1e-4, "single")],
        ),
        ({"lasso": ("blocks:4x8=0.1@ip1",)}, [Lasso(0.1, "blocks", ("ip1",), (4, 8))]),
        ({"density": ("0.1",)}, [Mask(0.1)]),
        ({"density": ("0.1", "0.5@conv*,ip2")}, [Mask({"*": 0.1, "conv*": 0.5, "ip2": 0.5})]),
        ({"density": ("network=0.1@ip*",)}, [Mask(0.1, "network", ("ip*",))]),
        ({"density": ("0.1",), "until": 500, "splice": True}, [Mask(0.1, end=500, splice=True)]),
        ({"keep_zeros": True}, [Mask(zeros=True)]),
        ({"keep_zeros": True, "density": ("0.1",)}, [Mask(0.1, zeros=True)]),
        ({"clusters": ("32", "256@conv*")}, [Clusters({"*": 32, "conv*": 256})]),
        ({"bits": ("3@ip1",)}, [Steps({"ip1": 3})]),
        ({"clusters": ("8",), "density": ("0.2",)}, [Mask(0.2), Clusters(8)]),
    ],
)
def test_options_become_shapings(options, shapings):
    assert replace(NONE, **options)() == shapings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lasso": ("blobs=1",)}, "--lasso blobs=1: should be KIND=PRICE"),
        ({"lasso": ("blocks=1",)}, "kinds are filters, channels, shapes, depth, blocks:ROWSxCOLUMNS, single"),
        ({"lasso": ("blocks:4=1",)}, "--lasso blocks:4=1: should be KIND=PRICE"),
        ({"lasso": ("filters:4x4=1",)}, "--lasso filters:4x4=1: should be KIND=PRICE"),
        ({"lasso": ("blocks:0x4=1",)}, "a block is 0×4; both sizes must be at least 1"),
        ({"density": ("much",)}, "--density much: should be a number above 0"),
        ({"density": ("0.1@",)}, "--density 0.1@: should be"),
        ({"density": ("2",)}, "density is 2; it must be above 0 and at most 1"),
        ({"density": ("network=0.1", "0.2@ip")}, "give it alone"),
        ({"until": 5}, "--until and --splice are about --density"),
        ({"splice": True}, "--until and --splice are about --density"),
        ({"clusters": ("1.5",)}, "--clusters 1.5: should be"),
        ({"bits": ("1",)}, "bits is 1; it must be between 2 and 16"),
        ({"bits": ("nan",)}, "--bits nan: should be"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(OptionError, match=said.replace("(", r"\(")):
        replace(NONE, **options)()


def test_a_recipe_comes_first(tmp_path):
    (tmp_path / "r.yaml").write_text("- mask: {density: 0.5}\n")
    found = replace(NONE, recipe=tmp_path / "r.yaml", clusters=("8",))()
    assert found == [Mask(0.5), Clusters(8)]


def test_a_teacher_is_given_as_networks_are_everywhere(tmp_path, monkeypatch):
    from demitasse.files import save
    from train.test_distill import teacher

    monkeypatch.chdir(tmp_path)
    save(teacher(), "t.demi")
    Path("t").mkdir()
    save(teacher(), "t/t.prototxt", "t/t.caffemodel")
    pair = ("t/t.prototxt", "t/t.caffemodel")
    assert replace(NONE, teacher=(Path("t.demi"),))() == [Distill(("t.demi",))]
    assert replace(NONE, teacher=tuple(map(Path, pair)))() == [Distill(pair)]
    assert replace(NONE, teacher=(Path("t"),))() == [Distill(pair)]
    with pytest.raises((OptionError, FileError), match="MODEL"):
        replace(NONE, teacher=(Path("t/t.prototxt"),))()
