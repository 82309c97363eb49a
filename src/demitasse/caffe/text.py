"""prototxt (protobuf's text format): parse to a lossless tree, and print.

`parse` keeps every byte, so ``dump(parse(data)) == data``; an edited tree differs from its text where it was edited.
No schema is needed: a field is known by its name, and the text itself tells messages, numbers, words and strings.
"""

from __future__ import annotations

from demitasse.caffe.text_parse import parse
from demitasse.caffe.text_print import dump

__all__ = ["dump", "parse"]
