"""Values that a field cannot hold, and names that nobody knows."""

from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from demitasse.caffe.fields import slips
from demitasse.caffe.read import parse_net
from demitasse.caffe.text import parse
from demitasse.caffe.text_place import place
from demitasse.errors import FileError, TextError

POOL = 'layer {\n  name: "p1"\n  type: "Pooling"\n  pooling_param { %s }\n}\n'
CONV = 'layer {\n  name: "c1"\n  type: "Convolution"\n  convolution_param { %s }\n}\n'


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        (POOL % "pool: MAXX", (4, 19), 'layer "p1": "pool" should be one of MAX, AVE, STOCHASTIC, AVE_'),
        (POOL % 'pool: "MAX"', (4, 19), 'and is "MAX"'),
        (POOL % "pool: 17", (4, 19), "and is 17"),
        (CONV % "num_output: abc", (4, 23), '"num_output" should be a whole number ≥ 0, and is abc'),
        (CONV % "num_output: 2.5", (4, 23), "and is 2.5"),
        (CONV % "num_output: -1", (4, 23), "and is -1"),
        (CONV % "kernel_size: [3, x]", (4, 23), "and is x"),
        (CONV % "\n# why\nbias_term: maybe", (6, 1), '"bias_term" should be true or false'),
        (CONV % "weight_filler { std: soon }", (4, 39), '"std" should be a number'),
        (CONV % "weight_filler: 3", (4, 23), '"weight_filler" should be a message'),
        (CONV % "group { }", (4, 23), "and is a message"),
        ("# é\r\nlayer { name: x }", (2, 9), '"name" should be a string in quotes'),
        (
            'layer: [{ name: "a" }, { name: "b" phase: LATER }]',
            (1, 36),
            'layer "b": "phase" should be one of TRAIN, TEST',
        ),
        ("layers { type: CONVOLUTE }", (1, 10), "one of "),
        ('layers { layer { name: "old" kernelsize: x } }', (1, 30), 'layer "old": "kernelsize"'),
    ],
)
def test_a_wrong_value_is_an_error_at_its_place(text: str, where: tuple[int, int], said: str) -> None:
    with pytest.raises(TextError) as caught:
        parse_net(text.encode(), "n.prototxt")
    assert (caught.value.line, caught.value.column) == where
    assert str(caught.value).startswith(f"n.prototxt:{where[0]}:{where[1]}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        POOL % "pool: AVE kernel_size: 0x3",
        POOL % "pool: 1",
        CONV % "num_output: 5 bias_term: 0 weight_filler { std: inf }",
        'layer { name: "l" type: "SoftmaxWithLoss" loss_param { normalization: PRE_FIXED } }',  # R-FCN's
        'layer { name: "l" type: "Mine" mine_param { depth: whatever } mark: 3 }',
        'layers { name: "l" type: CONVOLUTION blobs_lr: 1 blobs_lr: 2 }',
    ],
)
def test_what_some_dialect_holds_is_right(text: str) -> None:
    assert not [note for note in parse_net(text.encode()).report if "meant" in note.data]


def test_a_misspelt_field_is_kept_and_noted() -> None:
    text = (CONV % "num_output: 4 kernal_size: 3").encode()
    (note,) = parse_net(text).report
    assert (note.layer, note.text) == ("c1", 'unknown field "kernal_size": did you mean "kernel_size"?')
    assert parse_net(text).layers[0].message.message("convolution_param").integer("kernal_size") == 3


def test_a_field_of_a_forks_own_layer_is_no_slip() -> None:
    assert not slips(parse(b'layer { type: "CConvolution" cconvolution_param { num_output: 3 } }'))
    assert slips(parse(b'layer { type: "Convolution" convolutoin_param { num_output: 3 } }'))


def test_places_are_where_the_text_has_the_fields() -> None:
    text = '\ufeff # x\nlayer { name: "a", dim: [1, 2]; p < q: 1 > }\n'
    text += "layer: [ {name: 'b'} , { r { s: 2 } } ] # end\nt: 1"
    root = parse(text)

    def check(message) -> int:
        count = 0
        for field in message:
            at = place(root, field)
            assert text.startswith((field.name, "{"), at), (field, text[at:])
            count += 1 + (check(field.value) if hasattr(field.value, "fields") else 0)
        return count

    assert check(root) == 11
    with pytest.raises(ValueError, match="not in this tree"):
        place(root, parse(text).fields[0])


@pytest.mark.zoo
def test_every_real_prototxt_is_right(zoo: Path) -> None:
    for path in sorted(zoo.glob("prototxt/*.prototxt")):
        with suppress(FileError) if "solver" in path.name else nullcontext():
            parse_net(path.read_bytes(), path.name)
