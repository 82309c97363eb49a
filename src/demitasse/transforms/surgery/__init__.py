"""Net surgery: a network changed by hand, as people did in pycaffe, prototxt and weights in step.

    from demitasse.transforms import surgery
    net = surgery.remove(net, "drop6")
    net = surgery.rename(net, layers={"fc6": "fc6-conv"})

Every function takes a `Net` and returns another, whose shapes were checked again. docs/net-surgery.md has an example of
each.
"""

from demitasse.transforms.surgery.casts import to_convolution, to_inner_product
from demitasse.transforms.surgery.channels import add_channels, keep_channels
from demitasse.transforms.surgery.layers import insert, remove, rename, replace
from demitasse.transforms.surgery.weights import copy_weights, fold_preprocessing, swap_channels

__all__ = [
    "add_channels",
    "copy_weights",
    "fold_preprocessing",
    "insert",
    "keep_channels",
    "remove",
    "rename",
    "replace",
    "swap_channels",
    "to_convolution",
    "to_inner_product",
]
