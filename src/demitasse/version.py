"""Which version this is: that of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

__all__ = ["version"]


def version() -> str:
    """Such as ``0.1.0``; words for it where the sources run as they are."""
    try:
        return installed("demitasse")
    except PackageNotFoundError:
        return "from its source folder"
