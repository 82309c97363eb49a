import pytest

from demitasse.caffe.expected import Need, needs
from demitasse.caffe.read import parse_net
from demitasse.layers import LAYERS, UNKNOWN

INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }'
CONV = 'layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }'
DATA = 'layer { name: "x" type: "Data" top: "x" data_param { source: "db" } }'
UNHEARD = 'layer { name: "x" type: "Unheard" top: "x" }'
IP = 'layer { name: "ip" type: "InnerProduct" bottom: "c" top: "y" inner_product_param { num_output: 2 } }'


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (INPUT + CONV, Need(((4, 3, 3, 3), (4,)), True)),
        (INPUT + CONV + IP, Need(((2, 144), (2,)), True)),
        (UNHEARD + CONV, Need((None, None), True)),
        (INPUT + CONV.replace("Convolution", "Unheard"), Need(None, True)),
        (CONV, Need((None, None), True)),
        (INPUT + CONV.replace("num_output: 4", "num_output: 0"), Need(None, True)),
        (INPUT + CONV + CONV.replace('bottom: "x"', 'bottom: "c"'), Need(((4, 4, 3, 3), (4,)), False)),
        (INPUT + CONV.replace("type", 'include { stage: "deploy" } type'), Need(None, True)),
        (INPUT + CONV.replace("type", "include { phase: TRAIN } type"), Need(((4, 3, 3, 3), (4,)), True)),
    ],
    ids=[
        "known",
        "chained",
        "after an unknown type",
        "of an unknown type",
        "reading what nothing gives",
        "refused",
        "second of its name",
        "of a stage",
        "of one phase",
    ],
)
def test_what_the_last_layer_needs(text, last):
    assert needs(parse_net(text.encode()))[-1] == last


@pytest.mark.parametrize("kind", sorted(LAYERS))
@pytest.mark.parametrize("inputs", [0, 1, 9])
def test_a_wrong_number_of_inputs_is_passed_over(kind, inputs):
    text = f'layer {{ name: "odd" type: "{kind}" ' + 'bottom: "x" ' * inputs + "}"
    assert len(needs(parse_net((INPUT + text).encode()))) == 2


def test_sizes_that_only_the_data_tells_are_unknown():
    _, conv = needs(parse_net((DATA + CONV).encode()))
    assert conv.shapes == ((4, UNKNOWN, 3, 3), (4,))


def test_each_phase_has_its_own_first_of_a_name():
    text = CONV.replace("type", "include { phase: TRAIN } type") + CONV.replace("type", "include { phase: TEST } type")
    assert [need.first for need in needs(parse_net((INPUT + text + CONV).encode()))] == [True, True, True, False]
