"""Structured pruning by choice: the channels that matter least leave, with all that is tied to them.

`criteria` says what a channel is worth, `selection` which leave to meet a target, `reconstruction` how the layers that
read them are to make up for it. What can leave at all, and what that takes, is `layers.ties` and `transforms.removal`.
"""

from demitasse.transforms.prune.prune import Prune

__all__ = ["Prune"]
