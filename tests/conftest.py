"""Keeps Hypothesis quick and the same everywhere, and lets pytest explain the assertions of the support package."""

import signal
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.support.scenarios", "tests.support.closedness", "tests.support.real_index")

settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

if threading.current_thread() is threading.main_thread():
    # a job in the background ignores Ctrl-C, one of nohup the end of its terminal, and so would every program that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

MEASURED = tuple(Path(__file__).parent / name for name in ("unit", "integration"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure coverage in unit and integration tests alone: a test takes twice as long with it, and the others add few lines."""
    for item in items:
        if not any(folder in item.path.parents for folder in MEASURED):
            item.add_marker("no_cover")
