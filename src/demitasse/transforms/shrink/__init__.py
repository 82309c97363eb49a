"""Exact removal of what the outputs do not depend on, with all that is tied to it.

Channels that are zero, constant, unread or double leave the network; so do empty borders of kernels, branches that are
zero and layers that do nothing. "Exact" means that every output stays equal to float rounding on any input.
`constants` says where a channel is the same number everywhere, `duplicates` where two are alike, `needs` what the
outputs depend on; `transforms.removal` takes the rest out.
"""

from demitasse.transforms.shrink.shrink import Shrink

__all__ = ["Shrink"]
