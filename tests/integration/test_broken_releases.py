"""A release with broken contents is one candidate of many: what is refused, and what stops the run.

fixtures/scenarios/69-* has the faults that can be written as text.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.builds.sandbox.sandbox import probe
from deep_lock.parsing.toml import MAX_TOML
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, MINOR, WINDOWS, Bench, bench

SDIST = {"wheels": [], "sdist": True}
OTHER = "0" * 64
DIRECT = "thing @ {file:thing-2.0.tar.gz}"


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, {}) as own:
        own.ask("thing")
        yield own


def _broken(tree: dict[str, str]) -> Releases:
    return {"thing 2.0": {**SDIST, "tree": tree}, "thing 1.0": {}, "setuptools 80.9.0": {}}


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({"pyproject.toml": "#" * (MAX_TOML + 1)}, "pyproject.toml"),
        (
            {"PKG-INFO": "Metadata-Version: 2.2\nName: thing\nVersion: 2.0\n" + "Requires-Dist: x\n" * 100_000},
            "PKG-INFO",
        ),
        ({f"{'a' * 300}/{number}": "" for number in range(2)} | {"a": "x", "a/b": "x"}, "thing-2.0.tar.gz"),
    ],
)
def test_a_release_beyond_a_limit_is_refused(tree: dict[str, str], reason: str, made: Bench) -> None:
    made.hold(_broken(tree))
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert ran.pins() == ["thing==1.0"]
    assert "thing 2.0: it is not used: " in ran.stderr
    assert reason in ran.stderr


@pytest.mark.parametrize("file", ["thing-2.0.tar.gz", "thing-2.0-py3-none-any.whl"])
def test_a_wrong_hash_stops_the_run(file: str, made: Bench) -> None:
    made.hold({"thing 2.0": SDIST if file.endswith(".gz") else {}, "thing 1.0": {}, "setuptools 80.9.0": {}})
    made.server.sidecars = "none"
    made.server.ranges = "ignored"
    made.server.known[file].sha256 = OTHER
    ran = made.lock()
    assert ran.code == 4, ran.stderr
    assert ran.text == ""
    assert file in ran.stderr
    assert OTHER in ran.stderr


def test_the_pinned_version_of_a_previous_lock_is_not_moved(made: Bench) -> None:
    made.hold({"thing 1.0": {}})
    first = made.lock()
    made.hold({**_broken({"pyproject.toml": "["}), "lib 1.0": {}})
    made.ask("thing", "lib")
    ran = made.lock("--refresh")
    assert (ran.code, ran.pins(), ran.stderr.count("it is not used")) == (0, ["lib==1.0", "thing==1.0"], 0)
    ran = made.lock("-U", "--refresh")
    assert (ran.code, ran.pins(), ran.stderr.count("it is not used")) == (0, ["lib==1.0", "thing==1.0"], 1)
    assert first.pins() == ["thing==1.0"]


def test_an_exact_pin_has_no_other_version(made: Bench) -> None:
    made.hold(_broken({"pyproject.toml": "["}))
    made.ask("thing==2.0")
    ran = made.lock()
    assert (ran.code, ran.text) == (4, "")
    assert "thing 2.0 cannot be used: pyproject.toml of thing 2.0 (thing-2.0.tar.gz): is not valid TOML" in ran.stderr


def test_a_direct_reference_has_no_other_version(made: Bench) -> None:
    made.hold(_broken({"pyproject.toml": "["}))
    made.write({"requirements.in": f"{DIRECT}#sha256={{sha256:thing-2.0.tar.gz}}\n"})
    ran = made.lock("-r", "{folder}/requirements.in")
    assert (ran.code, ran.text) == (4, "")
    assert "is not valid TOML" in ran.stderr


def test_a_parent_of_a_broken_release_is_replaced_by_an_older_version(made: Bench) -> None:
    made.hold({**_broken({"pyproject.toml": "["}), "app-lib 2.0": {"requires": ["thing>=2"]}, "app-lib 1.0": {}})
    made.ask("app-lib")
    ran = made.lock()
    assert (ran.code, ran.pins()) == (0, ["app-lib==1.0"])


def test_a_target_with_a_wheel_may_use_the_version(made: Bench) -> None:
    wheel = {"wheels": ["cp313-cp313-win_amd64"], "sdist": True, "tree": {"pyproject.toml": "["}}
    made.hold({**_broken({}), "thing 2.0": wheel})
    made.platforms = (WINDOWS, LINUX)
    ran = made.lock()
    assert (ran.code, ran.pins()) == (0, ["thing==1.0", "thing==2.0"]), ran.stderr
    assert "thing 2.0: it is not used on every target: pyproject.toml" in ran.stderr


MAKER = """
import os, zipfile
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = os.path.join(metadata_directory, "thing-3.0.dist-info")
    os.mkdir(folder)
    with open(os.path.join(folder, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: thing\\nVersion: 3.0\\n")
    return "thing-3.0.dist-info"
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    raise SystemExit("not called")
"""


@pytest.mark.skipif(probe().level != "strong", reason="no strong sandbox on this machine")
def test_a_backend_that_makes_metadata_of_another_version_is_refused(made: Bench) -> None:
    build = {"build": ["maker"], "backend": "maker", "dynamic": ["Requires-Dist"]}
    made.hold({"thing 2.0": {**SDIST, **build}, "thing 1.0": {}, "maker 1.0": {"modules": {"maker.py": MAKER}}})
    made.hooks, made.pythons, made.platforms = "sandbox", (MINOR,), ("host",)
    ran = made.lock()
    assert (ran.code, ran.pins()) == (0, ["thing==1.0"]), ran.stderr
    assert (
        "thing 2.0: it is not used: the metadata from the backend of thing 2.0: are those of version 3.0" in ran.stderr
    )
