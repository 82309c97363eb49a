"""Operations for types of layers that we do not know, from a Python file that the user names.

The file defines ``OPERATIONS = {"Type": function}``; a function takes a `Call` and gives a tensor or a tuple of them. A
Python layer may be named by its class, ``"module.Class"``. Layers behind take their shapes from what comes.
Only a file named by flag is ever run, never anything from inside a model.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from demitasse.errors import FileError
from demitasse.runtime.operation import Operation

__all__ = ["load_plugins"]


def load_plugins(*paths: Path) -> Mapping[str, Operation]:
    """The operations that the files define, later files first. FileError, in one line, for a file that cannot be run
    or defines none."""
    operations: dict[str, Operation] = {}
    for path in paths:
        operations.update(functions(run_file(path), "OPERATIONS", path))
    return operations


def run_file(path: Path) -> Mapping[str, Any]:
    """What a Python file defines."""
    try:
        return runpy.run_path(str(path), run_name=path.stem)
    except OSError as error:
        raise FileError(f"cannot read the plugin {path}: {error.strerror or error}") from None
    except SyntaxError as error:
        raise FileError(f"{path}: line {error.lineno}: {error.msg}") from None
    except Exception as error:
        raise FileError(f"{path}: {type(error).__name__}: {error}") from error


def functions(defined: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Callable[..., Any]]:
    """A table of functions by layer type."""
    table = defined.get(name)
    if not isinstance(table, Mapping) or not table:
        raise FileError(f'{path}: a plugin defines {name} = {{"LayerType": function}}, and this file does not')
    for key, value in table.items():
        if not isinstance(key, str) or not callable(value):
            raise FileError(f"{path}: {name}[{key!r}] is no function")
    return table
