"""Makes tests/support importable, and keeps Hypothesis quick and the same everywhere."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("scenarios", "closedness", "live_index")
sys.path.insert(0, str(Path(__file__).parent / "support"))

settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")
