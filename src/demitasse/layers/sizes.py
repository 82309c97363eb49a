"""Shapes: tuples of sizes, some of which nobody knows before the data is there.

Real Caffe opens the database to learn how large a picture is; this package does not, so a size can be `UNKNOWN`.
It behaves as NaN does among floats: arithmetic with it gives `UNKNOWN`, and no comparison with it holds, so a shape
rule is written once, for known and unknown sizes alike. A shape whose number of axes is unknown is ``None``.
"""

from __future__ import annotations

from typing import Any, Final, TypeGuard

__all__ = ["UNKNOWN", "MaybeShape", "Shape", "count", "differ", "known"]

Shape = tuple[int, ...]
"""One size per axis, outermost first; ``()`` is a single value; a size may be `UNKNOWN`."""

MaybeShape = Shape | None
"""``None``: not even the number of axes is known."""


class _Unknown(int):
    """The one value is `UNKNOWN`. An ``int``, so that shapes hold one type; prints as ``?``, is written as -1."""

    __slots__ = ()

    def _absorb(self, *_: object) -> Any:
        return self

    def _never(self, _: object) -> Any:
        return False

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _absorb
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __neg__ = __pos__ = __abs__ = _absorb
    __lt__ = __le__ = __gt__ = __ge__ = _never

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return hash("unknown size")

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return "?"

    __str__ = __repr__


UNKNOWN: Final[int] = _Unknown(-1)


def known(shape: MaybeShape) -> TypeGuard[Shape]:
    """Whether every size is a number."""
    return shape is not None and all(size is not UNKNOWN for size in shape)


def count(shape: Shape, start: int = 0, end: int | None = None) -> int:
    """Elements in the axes from ``start`` up to ``end``: 1 for none."""
    product = 1
    for size in shape[start:end]:
        product = product * size
    return product


def differ(a: int | Shape, b: int | Shape) -> bool:
    """Whether two sizes or shapes are certainly not the same: an unknown size differs from none."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) != len(b) or any(differ(x, y) for x, y in zip(a, b, strict=True))
    return a is not UNKNOWN and b is not UNKNOWN and a != b
