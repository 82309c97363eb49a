"""A report as one page that needs nothing else: charts, pictures and style are in it. Drawn from `document`.

The page is for every reader: each chart has its figures in a table, colours follow the system's light or dark, and
whatever scrolls can be reached with the keyboard.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from demitasse.datasets.pictures import Picture, import_cv2
from demitasse.errors import MissingExtraError
from demitasse.evaluate.samples import Outcome, Sample
from demitasse.report.charts import curve_chart, layers_chart
from demitasse.report.quantities import count, decibel, percent, ratio, shape, size
from demitasse.transforms.recipe import dump_steps

__all__ = ["page"]

GREEN = (80, 200, 60)
"""Of boxes, blue first."""

BOXES_NAMED = 3

FOUR = (
    ("file", "file_bytes", size),
    ("parameters", "parameters", count),
    ("multiply-accumulates", "macs", count),
    ("peak memory", "peak_memory_bytes", size),
)
"""What a network is measured by: name, key and words."""


def page(document: Mapping[str, Any], samples: Sequence[Sample] = ()) -> str:
    """The page. MissingExtraError without the libraries that draw it."""
    try:
        from jinja2 import Environment
    except ImportError:
        raise MissingExtraError("jinja2", "report", "the page of a report") from None
    template = files("demitasse.report").joinpath("page.html").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True)
    return environment.from_string(template).render(context(document, samples))


def context(document: Mapping[str, Any], samples: Sequence[Sample]) -> dict[str, Any]:
    """What the template shows."""
    result = document["result"]
    rows = document["layers"]
    curve = [point for point in (result.get("plan") or {}).get("curve", ()) if point["bytes"]]
    notes = note_lists(result.get("report") or (), document["notes"])
    found: dict[str, Any] = {
        "title": f"{document['name'] or Path(result['input']['files'][-1]).stem}, after demitasse {result['command']}",
        "subtitle": " · ".join(str(path) for path in result["input"]["files"]),
        "verdict": verdict(result),
        "totals": totals(result["input"], result["output"]),
        "outputs": outputs(result.get("comparison")),
        "outputs_text": outputs_text(result.get("comparison")),
        "samples": [sample_view(sample) for sample in samples],
        "curve": curve_chart(curve, "Size of the file against signal to noise at the outputs") if curve else "",
        "curve_table": curve_table(curve),
        "layers": layers_chart(
            rows, f"Bars for {len(rows)} layers before and after; the figures are in the table below"
        ),
        "layers_table": layers_table(rows),
        "notes": notes,
        "recipe": dump_steps(result["recipe"]) if result.get("recipe") else "",
        "version": document["demitasse"],
    }
    there = [("totals", "Before and after")]
    there += [("outputs", "Outputs")] if found["outputs_text"] else []
    there += [("samples", "Samples")] if samples else []
    there += [("curve", "Size against quality")] if curve else []
    there += [("layers", "Layer by layer"), *((each["id"], each["name"]) for each in notes)]
    there += [("recipe", "Recipe")] if found["recipe"] else []
    return {**found, "sections": there}


def verdict(result: Mapping[str, Any]) -> dict[str, str]:
    """Whether what was written is what was meant, in a line."""
    comparison = result.get("comparison") or {}
    if result.get("error"):
        return {"tone": "bad", "word": "Not verified.", "text": result["error"]}
    if comparison.get("skipped"):
        return {
            "tone": "",
            "word": "Weights were read again;",
            "text": f"outputs were not compared: {comparison['skipped']}",
        }
    return {"tone": "good", "word": "Verified.", "text": "What was written was read again and compared."}


def heads(*names: str, words: int = 1) -> list[dict[str, Any]]:
    """Headings of columns; the first ``words`` are of text, the others of numbers."""
    return [{"text": name, "number": i >= words} for i, name in enumerate(names)]


def table(caption: str, columns: list[dict[str, Any]], rows: list[list[str]]) -> dict[str, Any]:
    """A table for the template."""
    return {"caption": caption, "heads": columns, "rows": rows}


def totals(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The four numbers."""
    rows = []
    for name, key, worded in FOUR:
        pair = [before.get(key), after.get(key)]
        rows.append([name, *("?" if n is None else worded(n) for n in pair), ratio(pair[0] or 0, pair[1] or 0)])
    return table("Four numbers", heads("quantity", "before", "after", "smaller"), rows)


def outputs_text(comparison: Mapping[str, Any] | None) -> str:
    """What ran on what."""
    if not comparison:
        return ""
    if comparison["skipped"]:
        return f"Outputs were not compared: {comparison['skipped']}."
    prepared = f", {comparison['preprocessing']}" if comparison["preprocessing"] else ""
    alone = "" if comparison["independent"] else " (nothing else can run this network)"
    return f"{comparison['runtime']}{alone} on {comparison['pictures']}{prepared}."


def outputs(comparison: Mapping[str, Any] | None) -> dict[str, Any]:
    """Every output that was compared."""
    rows = []
    for one in (comparison or {}).get("outputs", ()):
        boxes = one.get("boxes")
        if boxes is not None:
            found = f"{boxes['matched']} of {boxes['expected']} boxes found again, {boxes['added']} added"
            rows.append([one["layer"], "", "", "", found])
            continue
        same = f"the same class wins in {one['top1_same']} of {one['top1_of']}" if "top1_of" in one else ""
        quality = decibel(math.inf if one["exact"] else one["snr_db"])
        rows.append([one["layer"], quality, f"{one['relative']:.1e}", f"{one['largest']:.2g}", same])
    columns = heads("output", "signal to noise", "relative error", "largest difference", "boxes or classes")
    columns[-1]["number"] = False
    return table("Outputs", columns, rows)


def curve_table(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The points of the curve."""
    rows = [[kind(point), size(point["bytes"]), decibel(point["snr_db"])] for point in points]
    return table("Plans", heads("plan", "file", "signal to noise"), rows)


def kind(point: Mapping[str, Any]) -> str:
    """What a point of the curve is."""
    return "chosen" if point["chosen"] else "predicted" if point["predicted"] else "tried"


def layers_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every layer with weights, before → after."""
    columns = heads(
        "layer", "type", "shape", "parameters", "bytes", "bits per weight", "zeros", "MACs", "weights", words=3
    )
    return table("Layers with weights, before → after", columns, [layer_row(row) for row in rows])


def layer_row(row: Mapping[str, Any]) -> list[str]:
    """One layer."""
    sides = row["before"], row["after"]
    return [
        row["layer"],
        row["type"],
        arrow(*("–" if s is None else shape(s["shapes"][0]) if s["shapes"] else "" for s in sides)),
        arrow(*(worded(s, "parameters", count) for s in sides)),
        arrow(*(worded(s, "bytes", size) for s in sides)),
        arrow(*(worded(s, "bits_per_weight", "{:.2f}".format) for s in sides)),
        arrow(*("–" if s is None else percent(s["zeros"], s["parameters"]) for s in sides)),
        arrow(*(worded(s, "macs", count) for s in sides)),
        "" if row["snr_db"] is None else decibel(row["snr_db"]),
    ]


def worded(side: Mapping[str, Any] | None, name: str, words: Any) -> str:
    """A number of one side of a layer."""
    if side is None:
        return "–"
    return "?" if side[name] is None else str(words(side[name]))


def arrow(before: str, after: str) -> str:
    """Two values, or one if they are the same."""
    return before if before == after else f"{before} → {after}"


def note_lists(report: Sequence[Mapping[str, Any]], general: Sequence[str]) -> list[dict[str, Any]]:
    """What was done, what was not and why, and what else there is to know; only lists that hold something."""
    did = [note for note in report if not note.get("kept")]
    refused = [note for note in report if note.get("kept")]
    other = [{"layer": "", "text": text, "step": ""} for text in general]
    lists = (("done", "What was done", did), ("refused", "What was not, and why", refused), ("notes", "Notes", other))
    return [{"id": key, "name": name, "entries": notes} for key, name, notes in lists if notes]


def sample_view(sample: Sample) -> dict[str, Any]:
    """A picture before and after, each with what was found in it."""
    sides = (("before", sample.before), ("after", sample.after))
    views = [
        {"when": when, "text": found_in(one), "source": source(with_boxes(sample.picture, one))} for when, one in sides
    ]
    return {"name": sample.name, "sides": views}


def found_in(outcome: Outcome) -> str:
    """What a network found, in words."""
    if outcome.boxes is None:
        return ", ".join(f"class {number} ({score:.2f})" for number, score in outcome.classes)
    scores = ", ".join(f"{score:.2f}" for score in outcome.boxes[:BOXES_NAMED, 1])
    more = ", …" if len(outcome.boxes) > BOXES_NAMED else ""
    number = len(outcome.boxes)
    return f"{number} {'box' if number == 1 else 'boxes'}" + (f" of score {scores}{more}" if number else "")


def with_boxes(picture: Picture, outcome: Outcome) -> Picture:
    """The picture with what was found drawn into a copy."""
    if outcome.boxes is None or not len(outcome.boxes):
        return picture
    cv2 = import_cv2()
    drawn = picture.copy()
    height, width = picture.shape[:2]
    thick = max(1, round(max(height, width) / 200))
    for left, top, right, bottom in outcome.boxes[:, 2:].clip(-1, 2) * [width, height, width, height]:
        cv2.rectangle(drawn, (round(left), round(top)), (round(right), round(bottom)), GREEN, thick)
    return drawn


def source(picture: Picture) -> str:
    """The picture as the source of an image on a page."""
    _, encoded = import_cv2().imencode(".jpg", picture)
    return "data:image/jpeg;base64," + b64encode(encoded.tobytes()).decode("ascii")
