"""Where real models and reference data are: in ``shared`` beside the checkout; without it, tests of them skip."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples everywhere, and no verdict on how fast a busy machine makes them; tests/fuzz is what explores.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(name: str) -> Path:
    """The folder of that name in ``shared``; skips the test if it is not there."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def zoo() -> Path:
    """Real prototxts, models and pictures."""
    return shared("zoo")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Reference data written by real Caffe."""
    return shared("golden")
