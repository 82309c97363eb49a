"""How much the outputs suffer from an error of each weight, and how errors cancel.

Pictures, real or generated, go through the network, forward and back (`estimate`). Random signs on the outputs turn
into the derivative of the outputs by every weight; its square is what a small error of that weight costs, and how the
derivatives by the weights of a row go together says which errors cancel (`feedback`). In plain numpy, arranged so that
every machine gets the same bits (`grid`). What cannot be run (`operators.OPERATORS` has no row for its type) is where
the estimate ends: what enters it counts as an output, what comes after it is unknown.

Costs of single weights are added up by tensor, row and column.
"""

from demitasse.transforms.sensitivity.estimate import Sensitivity, estimate
from demitasse.transforms.sensitivity.feedback import Feedback, Moments
from demitasse.transforms.sensitivity.result import Marginals

__all__ = ["Feedback", "Marginals", "Moments", "Sensitivity", "estimate"]
