"""Keeps Hypothesis quick and the same everywhere, and lets pytest explain the assertions of the support package."""

import signal
import sys
import threading
from importlib import import_module
from types import ModuleType

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

MEASURED = ("tests/unit/", "tests/integration/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure coverage in unit and integration tests alone: a test takes twice as long with it, and the others add few lines."""
    for item in items:
        if not item.nodeid.startswith(MEASURED):
            item.add_marker("no_cover")


class LateGrammars(ModuleType):
    """rfc3987_syntax, which jsonschema imports, compiles 39 grammars for a second: here, when the first IRI is checked."""

    def is_valid_syntax(self, term: str, value: str) -> bool:
        if sys.modules[self.__name__] is self:
            del sys.modules[self.__name__]
        return bool(import_module(self.__name__).is_valid_syntax(term, value))


sys.modules["rfc3987_syntax"] = LateGrammars("rfc3987_syntax")
