"""Every type of layer that we know is computed, or refused with a reason."""

import pytest

torch = pytest.importorskip("torch")

from demitasse.errors import NetError  # noqa: E402
from demitasse.layers import LAYERS, build, layer_type  # noqa: E402
from demitasse.net import Layer, Net  # noqa: E402
from demitasse.runtime.network import Network  # noqa: E402
from demitasse.runtime.python_layers import python_layer  # noqa: E402
from demitasse.runtime.table import OPERATIONS, REFUSED, operation  # noqa: E402


@pytest.mark.parametrize("name", LAYERS)
def test_a_known_type_is_computed_or_refused_with_a_reason(name):
    assert (name in OPERATIONS) != (name in REFUSED)


def test_the_table_knows_no_other_types():
    assert set(OPERATIONS) | set(REFUSED) == set(LAYERS)
    assert all(REFUSED.values())


def test_operations_are_documented():
    assert all(run.__doc__ for run in {*OPERATIONS.values(), python_layer})


@pytest.mark.parametrize(("kind", "said"), [*REFUSED.items(), ("Mystery", "not known")])
def test_refusals_name_the_layer_and_the_reason(kind, said):
    placed = layer_type(kind)(Layer("L", kind, ("x",), ("y",)), ((1, 3, 4, 4),))
    with pytest.raises(NetError) as refusal:
        operation(placed, {})
    message = str(refusal.value)
    assert message.startswith('layer "L"')
    assert said in message
    assert "--plugin" in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", [name for name, kind in LAYERS.items() if kind.is_source and name != "DummyData"])
def test_data_has_to_be_given(kind):
    outputs = ("a", "b")[: max(LAYERS[kind].gives[0], 1)]
    network = Network(build(Net("test", (Layer("L", kind, (), outputs),))))
    with pytest.raises(NetError, match=r'layer "L".*'):
        network({})


def test_a_plugin_comes_first():
    def twice(call):
        return 2 * call.x

    placed = layer_type("Yolov3")(Layer("L", "Yolov3", ("x",), ("y",)), ((2,),))
    assert operation(placed, {"Yolov3": twice}) is twice
    placed = layer_type("ReLU")(Layer("L", "ReLU", ("x",), ("y",)), ((2,),))
    assert operation(placed, {"ReLU": twice}) is twice
