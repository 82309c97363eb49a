"""What makes boxes of a detector's outputs, by a known name or from a small YAML file.

A head of anchors:                                     MTCNN's cascade:
  strides: [8, 16]                                       smallest: 20
  anchors: [[10, 16, 24], [32, [48, 24]]]                factor: 0.709
  variances: [0.1, 0.2]                                  least: [0.6, 0.7, 0.5]
  clip: true                                             seen: [columns, columns, rows]
  background: true
  overlap: 0.3
  squash: softmax
  boxes: mbox_loc
  scores: mbox_conf
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from demitasse.errors import OptionError
from demitasse.evaluate.anchors import HEADS, AnchorHead, Sides, Squash
from demitasse.evaluate.cascade import SEEN, CascadeHead
from demitasse.evaluate.settings_file import chosen, numbers, read_settings

__all__ = ["Head", "read_head"]

Head = AnchorHead | CascadeHead

ANCHORS = ("strides", "anchors", "variances", "clip", "background", "overlap", "squash", "boxes", "scores")
CASCADE = ("smallest", "factor", "least", "seen")


def read_head(said: str) -> Head:
    """A known head by its name, or what a file says. FileError if it cannot be read, OptionError for what it cannot
    say."""
    if said in HEADS:
        return HEADS[said]
    if not said.endswith((".yaml", ".yml")):
        raise OptionError(f"--head {said}: it is {', '.join(HEADS)}, or the name of a .yaml file")
    path = Path(said)
    settings = read_settings(path, (*ANCHORS, *CASCADE))
    kinds = [name in CASCADE for name in settings]
    if any(kinds) and not all(kinds):
        raise OptionError(f"{path}: {', '.join(settings)}: some are of a head of anchors, others of a cascade")
    return cascade(path, settings) if any(kinds) else anchors(path, settings)


def anchors(path: Path, said: dict[str, Any]) -> AnchorHead:
    """A head of anchors."""
    strides = numbers(path, "strides", said.get("strides"), None) or ()
    maps = said.get("anchors")
    if not strides or not isinstance(maps, list) or len(maps) != len(strides):
        raise OptionError(f"{path}: strides and anchors are needed: a number, and a list of anchors, for each map")
    if any(stride < 1 or stride != int(stride) for stride in strides):
        raise OptionError(f"{path}: strides should be whole numbers of at least 1")
    cells = tuple((int(stride), all_sides(path, one)) for stride, one in zip(strides, maps, strict=True))
    plain = AnchorHead(cells)
    variances = numbers(path, "variances", said.get("variances"), 2) or plain.variances
    overlap = numbers(path, "overlap", said.get("overlap"), 1) or (plain.overlap,)
    return AnchorHead(
        cells,
        variances=(variances[0], variances[-1]),
        clip=bool(chosen(path, "clip", said.get("clip", False), (True, False))),
        background=bool(chosen(path, "background", said.get("background", True), (True, False))),
        overlap=overlap[0],
        squash=chosen(path, "squash", said.get("squash", "none"), get_args(Squash)),
        boxes=str(said.get("boxes") or ""),
        scores=str(said.get("scores") or ""),
    )


def all_sides(path: Path, said: Any) -> tuple[Sides, ...]:
    """The anchors of one map: a side for a square, or width and height."""
    found: list[Sides] = []
    for one in said if isinstance(said, list) else [said]:
        sides = numbers(path, "anchors", one, 2)
        if sides is None or min(sides) <= 0:
            raise OptionError(f"{path}: anchors: {one!r} is neither a side in pixels nor [width, height]")
        found.append((sides[0], sides[-1]))
    if not found:
        raise OptionError(f"{path}: anchors: a map without anchors gives nothing")
    return tuple(found)


def cascade(path: Path, said: dict[str, Any]) -> CascadeHead:
    """Settings of a cascade."""
    plain = CascadeHead()
    smallest = (numbers(path, "smallest", said.get("smallest"), 1) or (plain.smallest,))[0]
    factor = (numbers(path, "factor", said.get("factor"), 1) or (plain.factor,))[0]
    least = numbers(path, "least", said.get("least"), 3) or plain.least
    seen = said.get("seen", list(plain.seen))
    if smallest < 1 or not 0 < factor < 1:
        raise OptionError(f"{path}: smallest should be a pixel or more, factor between 0 and 1")
    if len(least) != 3 or not isinstance(seen, list) or len(seen) != 3:
        raise OptionError(f"{path}: least and seen are needed for each of the three networks")
    first, second, third = (chosen(path, "seen", one, tuple(SEEN)) for one in seen)
    return CascadeHead(smallest, factor, (least[0], least[1], least[2]), (first, second, third))
