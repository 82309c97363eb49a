from dataclasses import replace

import pytest

from demitasse.errors import OptionError
from demitasse.net import Net
from demitasse.plan.structure import faster, multiplications
from filled_networks import conv, data, filled, layer

NET = filled(
    data(1, 3, 16, 16)
    + conv("one", "data", "num_output: 24 kernel_size: 3")
    + layer("ReLU", "relu", "one", top="one")
    + conv("two", "one", "num_output: 24 kernel_size: 3")
    + layer("InnerProduct", "fc", "two", "inner_product_param { num_output: 10 }")
)


def test_the_way_with_the_least_error_is_taken_and_the_others_are_told() -> None:
    seen: list[Net] = []

    def measure(net: Net) -> float:
        seen.append(net)
        return float(len(seen) % 3)

    found = faster(NET, 1.5, measure, {})
    assert multiplications(found.net) * 1.5 <= multiplications(NET)
    assert found.error == 0.0
    assert found.net is seen[2]
    assert len(found.refused) == len(seen) - 1
    assert replace(found, refused=()).steps


def test_a_speed_that_cannot_be_had_is_refused_with_the_most_there_is() -> None:
    with pytest.raises(OptionError, match=r"1e\+06 times .* the most that was reached is \d"):
        faster(NET, 1e6, lambda net: 0.0, {})
