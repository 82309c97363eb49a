"""How much the outputs suffer from an error of each weight, without any data.

A few generated pictures go through the network, forward and back (`estimate`). Backward, random signs on the outputs
turn into the squared derivative of the outputs by every weight, which is what a small error of that weight costs.
Forward, the second moments of what each layer reads say which errors cancel. Both in plain numpy, arranged so that
every machine gets the same bits (`grid`). What cannot be run (`operators.OPERATORS` has no row for its type) is where
the estimate ends: what enters it counts as an output, what comes after it is unknown.

Costs of single weights are added up by tensor, row and column. They hold for small errors that are independent of
each other, which quantisation with feedback provides; the share of an error that goes together with others is not in
them.
"""

from demitasse.transforms.sensitivity.correlation import Band
from demitasse.transforms.sensitivity.estimate import Sensitivity, estimate
from demitasse.transforms.sensitivity.result import Marginals

__all__ = ["Band", "Marginals", "Sensitivity", "estimate"]
