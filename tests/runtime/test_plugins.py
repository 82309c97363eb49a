"""Types that we do not know, computed by functions from a file that the user names."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from demitasse.caffe.read import parse_net  # noqa: E402
from demitasse.errors import FileError, NetError  # noqa: E402
from demitasse.runtime import run  # noqa: E402
from demitasse.runtime.plugins import load_plugins  # noqa: E402

NET = b"""layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "d" type: "Double" bottom: "x" top: "y" double_param { times: 3 } }
layer { name: "p" type: "Python" bottom: "y" top: "z" python_param { module: "mine" layer: "Half" } }
layer { name: "r" type: "ReLU" bottom: "z" top: "r" }"""

PLUGIN = """
def double(call):
    return call.x * call.layer.message.message("double_param").integer("times")

OPERATIONS = {"Double": double, "mine.Half": lambda call: call.x / 2, "ReLU": lambda call: call.x + 1}
"""


def test_a_plugin_supplies_types_python_layers_and_replacements(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    blobs = run(parse_net(NET), {"x": np.ones((1, 2))}, plugins=load_plugins(tmp_path / "mine.py"))
    np.testing.assert_array_equal(blobs["r"], [[2.5, 2.5]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def broken(:", "line 1"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("OPERATIONS = {}", "defines OPERATIONS"),
        ("OPERATIONS = {'A': 3}", "is no function"),
        (None, "cannot read the plugin"),
    ],
)
def test_a_plugin_that_is_none_is_refused_in_one_line(tmp_path, text, said):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FileError, match=said) as caught:
        load_plugins(path)
    assert "\n" not in str(caught.value)
    assert "mine.py" in str(caught.value)


def test_a_plugin_that_fails_is_named_with_its_layer():
    def fail(call):
        return {}[call.layer.name]

    with pytest.raises(NetError, match=r'layer "d" \(Double\): its plugin failed: KeyError') as caught:
        run(parse_net(NET), {"x": np.ones((1, 2))}, plugins={"Double": fail})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [None, 3, (), [torch.ones(1)], (torch.ones(1), 2)])
def test_a_plugin_has_to_give_tensors(given):
    with pytest.raises(NetError, match='layer "d"'):
        run(parse_net(NET), {"x": np.ones((1, 2))}, plugins={"Double": lambda _: given})
