import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demitasse.plan.size import zero


@given(st.floats(0.2, 30.0), st.floats(-40.0, 40.0), st.floats(-60.0, 60.0))
def test_a_falling_function_is_followed_to_its_zero_or_to_the_nearer_end(steep: float, root: float, start: float):
    ends = (-30.0, 30.0)
    found = zero(lambda x: -math.sinh((x - root) / 8) * steep, ends, min(max(start, -30.0), 30.0), -steep, 1e-6)
    assert found == pytest.approx(min(max(root, ends[0]), ends[1]), abs=1e-3)
