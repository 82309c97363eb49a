"""Stands in for torchvision, which NNCodec imports and does not need for coding tensors."""

import sys
from unittest.mock import MagicMock

for _name in ("datasets", "io", "models", "ops", "transforms", "transforms.functional", "utils"):
    _module = MagicMock()
    _module.__path__ = []
    _module.__spec__ = None
    sys.modules[f"torchvision.{_name}"] = _module
    if "." not in _name:
        globals()[_name] = _module
