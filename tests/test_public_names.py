import importlib
import pkgutil
import subprocess
import sys

import pytest

import demitasse

PUBLIC = [
    "Clustered",
    "Comparison",
    "ContainerError",
    "DemitasseError",
    "Dense",
    "Exported",
    "Factorize",
    "Field",
    "FileError",
    "Fold",
    "Half",
    "Layer",
    "Levels",
    "Message",
    "MissingExtraError",
    "Net",
    "NetError",
    "Note",
    "OptionError",
    "Prune",
    "Shrink",
    "Strip",
    "Tensor",
    "TextError",
    "VerificationError",
    "WeightsError",
    "WireError",
    "Word",
    "compare",
    "load",
    "save",
    "to_onnx",
    "to_opencv",
]
"""What users may rely on. A change here is a change for them."""


def test_the_public_names_are_these():
    assert sorted(demitasse.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(demitasse))
    for name in PUBLIC:
        assert getattr(demitasse, name).__name__ == name


def test_other_names_do_not_exist():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        demitasse.nothing  # noqa: B018


def test_importing_is_light():
    code = "import sys, demitasse; print(sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("cv2", "torch", "onnx", "rich", "click", "numpy"):
        assert f"'{heavy}'" not in loaded


def test_loading_needs_no_extras():
    code = "import sys, demitasse; demitasse.load; demitasse.save; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for extra in ("cv2", "torch", "onnx", "rich"):
        assert f"'{extra}'" not in loaded


MODULES = [found.name for found in pkgutil.walk_packages(demitasse.__path__, "demitasse.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith(("_core", "opencv_worker"))])
def test_every_module_says_what_it_offers(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name}.{public}"
