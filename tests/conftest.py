"""Keeps Hypothesis quick and the same everywhere, and lets pytest explain the assertions of the support package."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.support.scenarios", "tests.support.closedness", "tests.support.real_index")

settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")
