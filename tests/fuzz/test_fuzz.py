"""A short run of the fuzzer; ``python -m tests.fuzz.run`` is the long one."""

import pytest
from tests.fuzz.run import fuzz
from tests.fuzz.targets import Target, targets


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_damaged_input_is_read_or_refused_in_one_line(target: Target) -> None:
    inputs = max(100, 12 * target.share)
    outcome, failures = fuzz(target, inputs, seed=0)
    assert not failures, [(failure.reason, failure.data[:80]) for failure in failures[:3]]
    assert outcome.refused > inputs / 20, "the damage does not reach the parser"


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_seeds_are_read(target: Target) -> None:
    for seed in target.seeds:
        target.consume(seed)
