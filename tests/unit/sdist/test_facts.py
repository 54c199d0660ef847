"""Each tree in fixtures/sdists is packed, read, and asked for its hook's answer; its expect.toml says what is right."""

import io
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock import errors
from deep_lock.models.build_system import FACTS_VERSION, HookAnswer, SdistFacts
from deep_lock.sdist.backends.answer import RULES, answer
from deep_lock.sdist.facts import read_sdist
from deep_lock.targets.target import Target
from tests.support.archives import make_tar, make_zip, tree_files

CASES = Path(__file__).parents[3] / "fixtures" / "sdists"
NAMES = sorted(path.name for path in CASES.iterdir())


def target(**markers: str) -> Target:
    environment = {"python_version": "3.13", "sys_platform": "linux", "implementation_name": "cpython", **markers}
    return Target(
        label="cp313-x86_64-manylinux_2_28",
        python="3.13",
        python_full_version="3.13.0",
        platform="x86_64-manylinux_2_28",
        environment=environment,
        tags=(),
        ranks={},
    )


def load(case: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    expect = tomllib.loads((CASES / case / "expect.toml").read_text("utf-8"))
    return expect, tree_files(CASES / case / "tree")


def read(files: dict[str, bytes], expect: dict[str, Any], suffix: str = ".tar.gz") -> SdistFacts:
    name, version = expect.get("name", "sample"), expect.get("version", "1.0")
    filename = f"{name.replace('-', '_')}-{version}{suffix}"
    raw = make_zip(files) if suffix == ".zip" else make_tar(files)
    return read_sdist(io.BytesIO(raw), filename=filename, name=canonicalize_name(name), version=Version(version))


def ask(facts: SdistFacts, expect: dict[str, Any]) -> HookAnswer:
    environment = {canonicalize_name(n): Version(v) for n, v in expect.get("environment", {}).items()}
    return answer(facts, target(**expect.get("markers", {})), environment=environment)


def seen(facts: SdistFacts) -> dict[str, Any]:
    """The facts in the words of expect.toml."""
    found: dict[str, Any] = {
        "requires": list(facts.build_system.requires),
        "backend": facts.build_system.backend,
        "backend-path": list(facts.build_system.backend_path),
        "requires-from": facts.build_system.requires_from,
        "metadata-source": facts.metadata_source,
    }
    if facts.metadata is not None:
        found["requires-dist"] = list(facts.metadata.requires_dist)
        found["requires-python"] = facts.metadata.requires_python
    if facts.cargo_lock:
        found["cargo-lock"] = facts.cargo_lock
    if facts.guess is not None:
        found["guess"] = list(facts.guess.requires_dist)
    return found


@pytest.mark.parametrize("case", NAMES)
def test_case(case: str) -> None:
    expect, files = load(case)
    if "error" in expect:
        with pytest.raises(getattr(errors, expect["error"])) as refusal:
            read(files, expect)
        assert type(refusal.value).__name__ == expect["error"]
        assert all(part in refusal.value.message for part in expect["message"])
        return
    facts = read(files, expect)
    found = seen(facts)
    assert {key: found.get(key) for key in expect if key in found or key == "guess"} == {
        key: value for key, value in expect.items() if key in found or key == "guess"
    }
    assert set(expect.get("notes", [])) <= set(facts.notes)
    check_hook(facts, expect)


def check_hook(facts: SdistFacts, expect: dict[str, Any]) -> None:
    found = ask(facts, expect)
    if "assumed" in expect:
        assert (found.requires, found.evidence) == (None, "assumed")
        assert expect["assumed"] in found.reason
    if "hook" in expect:
        assert found.requires == tuple(expect["hook"])
        assert found.evidence == "static"
        assert found.conditional == expect.get("conditional", "")


@pytest.mark.parametrize("case", NAMES)
def test_a_zip_says_the_same(case: str) -> None:
    expect, files = load(case)
    if "error" not in expect:
        facts, zipped = read(files, expect), read(files, expect, ".zip")
        assert {**msgspec.to_builtins(zipped), "notes": None} == {**msgspec.to_builtins(facts), "notes": None}
        assert set(zipped.notes) == {*facts.notes, "legacy-name"}


@pytest.mark.parametrize("case", NAMES)
def test_facts_survive_the_cache(case: str) -> None:
    expect, files = load(case)
    if "error" not in expect:
        facts = read(files, expect)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(facts), type=SdistFacts) == facts


def test_every_case_says_what_it_is_about() -> None:
    for case in NAMES:
        expect, files = load(case)
        assert expect["about"], case
        assert files, case


@pytest.mark.parametrize(
    ("backend", "newer"),
    [
        ("setuptools.build_meta", "85.0.0"),
        ("flit_core.buildapi", "5.0"),
        ("poetry.core.masonry.api", "3.0"),
        ("hatchling.build", "2.0"),
        ("pdm.backend", "3.0"),
        ("mesonpy", "1.0"),
        ("maturin", "2.0"),
        ("scikit_build_core.build", "2.0"),
        ("uv_build", "1.0"),
    ],
)
def test_a_newer_major_version_proves_nothing(backend: str, newer: str) -> None:
    files = {
        "pyproject.toml": f"""
            [build-system]
            requires = []
            build-backend = "{backend}"
            [project]
            name = "sample"
            version = "1.0"
            description = "s"
            """.encode(),
        "PKG-INFO": b"Metadata-Version: 2.2\nName: sample\nVersion: 1.0\n",
    }
    facts = read(files, {})
    found = answer(facts, target(), environment={RULES[backend].distribution: Version(newer)})
    assert (found.requires, found.evidence) == (None, "assumed")
    assert newer in found.reason
    assert RULES[backend].distribution in found.reason


def test_facts_version_is_a_number() -> None:
    assert FACTS_VERSION >= 1
