"""What single settings make of a backend's answer, and that no setting of whatever type gets past a rule as a crash."""

import io
import tomllib
from contextlib import suppress

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.errors import DeepLockError
from deep_lock.models.build_system import SdistFacts
from deep_lock.sdist.backends.answer import RULES, answer
from deep_lock.sdist.facts import read_sdist
from deep_lock.targets.factory import make_target, read_host
from tests.support.archives import make_tar

SAMPLE = canonicalize_name("sample")
PLAIN = 'name = "sample"\nversion = "1.0"\ndescription = "s"\n'
SCIKIT, FLIT, HATCH = "scikit_build_core.build", "flit_core.buildapi", "hatchling.build"
NINJA = 'ninja>=1.5 ; sys_platform != "win32"'


def read(
    backend: str,
    settings: str,
    files: dict[str, str] | None = None,
    project: str = PLAIN,
    requires: str = "scikit-build-core>=0.10",
) -> SdistFacts:
    text = f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n[project]\n{project}\n{settings}\n'
    packed = {"pyproject.toml": text.encode(), "PKG-INFO": b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n"}
    packed |= {path: content.encode() for path, content in (files or {}).items()}
    return read_sdist(io.BytesIO(make_tar(packed)), filename="sample-1.0.tar.gz", name=SAMPLE, version=Version("1.0"))


CMAKE = {"CMakeLists.txt": "# comment (\ncmake_minimum_required(VERSION 3.20...3.30)\n"}


@pytest.mark.parametrize(
    ("settings", "files", "asked"),
    [
        ("", {}, ("cmake>=3.15", NINJA)),
        ("", CMAKE, ("cmake>=3.20", NINJA)),
        ("", {"CMakeLists.txt": "cmake_minimum_required(VERSION 3.2)"}, ("cmake>=3.15", NINJA)),
        ("cmake.version = '>=3.26'", CMAKE, ("cmake>=3.26", NINJA)),
        ("cmake.version = 'CMakeLists.txt'", CMAKE, ("cmake>=3.20", NINJA)),
        ("ninja.version = '>=1.11'", {}, ("cmake>=3.15", 'ninja>=1.11 ; sys_platform != "win32"')),
        ("minimum-version = '0.9'", CMAKE, ("cmake>=3.15", NINJA)),
        ("minimum-version = '0.10'", CMAKE, ("cmake>=3.20", NINJA)),
        ("minimum-version = 'build-system.requires'", CMAKE, ("cmake>=3.20", NINJA)),
        ("wheel.cmake = false", CMAKE, ()),
        ("build.requires = ['cython']", {}, ("cmake>=3.15", NINJA, "cython")),
        (
            "metadata.version.provider = 'scikit_build_core.metadata.setuptools_scm'",
            {},
            ("cmake>=3.15", NINJA, "setuptools-scm"),
        ),
        ("metadata.version.provider = 'scikit_build_core.metadata.regex'", {}, ("cmake>=3.15", NINJA)),
        ("overrides = [{if = {platform-system = 'x'}, install = {strip = true}}]", {}, ("cmake>=3.15", NINJA)),
    ],
)
def test_scikit_build_core_asks(settings: str, files: dict[str, str], asked: tuple[str, ...]) -> None:
    assert read(SCIKIT, f"[tool.scikit-build]\n{settings}", files).declared_hook == asked


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("overrides = 5", "overrides is malformed"),
        ("overrides = [{cmake = {version = '>=4'}}]", "overrides]] may change"),
        ("variant = ['x :: y :: z']", "variant is set"),
        ("cmake.args = ['-G', 'Ninja']", "args choose a generator"),
        ("cmake.args = ['-GNinja']", "args choose a generator"),
        ("cmake.define.CMAKE_GENERATOR = 'Ninja'", "chooses a generator"),
        ("cmake.minimum-version = '3.20'", "is deprecated"),
        ("ninja.minimum-version = '1.5'", "is deprecated"),
        ("cmake.source-dir = 'native'", "folder of its own"),
        ("cmake.version = 'new'", "is not a version specifier"),
        ("ninja.version = 'new'", "is not a version specifier"),
        ("minimum-version = 'new'", "minimum-version of scikit-build-core cannot be read"),
        ("build.requires = ['x=={version}']", "is computed"),
        ("build.requires = 'x'", "is computed"),
        ("metadata.version.provider = 'mine'", "no rule for the metadata provider 'mine'"),
        ("metadata.version = {provider = 'scikit_build_core.metadata.regex', provider-path = '.'}", "no rule for"),
        ("metadata.version = 1", "no rule for"),
        ("[[tool.dynamic-metadata]]\nprovider = 'x'", "providers run"),
    ],
)
def test_scikit_build_core_is_not_understood(settings: str, reason: str) -> None:
    facts = read(SCIKIT, f"[tool.scikit-build]\n{settings}")
    assert facts.declared_hook is None
    assert reason in facts.hook_reason


@pytest.mark.parametrize(
    "text",
    [
        "cmake_minimum_required(VERSION ${WANTED})",
        'set(X "\ncmake_minimum_required(VERSION 3.5)\n")',
        "cmake_minimum_required(VERSION 3.5)\ncmake_minimum_required(VERSION 3.25)",
        "",
    ],
)
def test_a_cmake_version_that_is_not_plain_is_not_guessed(text: str) -> None:
    facts = read(SCIKIT, "", {"CMakeLists.txt": text})
    assert facts.declared_hook is None
    assert "cannot be read from CMakeLists.txt" in facts.hook_reason


def test_a_minimum_taken_from_requirements_without_a_bound_is_not_guessed() -> None:
    facts = read(SCIKIT, "[tool.scikit-build]\nminimum-version = 'build-system.requires'", requires="scikit-build-core")
    assert facts.declared_hook is None


DYNAMIC = (
    'name = "sample"\ndynamic = ["version"]\ndescription = "s"\ndependencies = ["six", "tomli ; extra == \'x\'"]\n'
)


@pytest.mark.parametrize(
    ("files", "asked", "since"),
    [
        ({"sample.py": "__version__ = '1.0'\n"}, (), ""),
        ({"src/sample/__init__.py": "__version__ = '1.0'\n"}, (), ""),
        ({"sample/__init__.py": "", "src/sample.py": ""}, None, ""),
        ({"sample.py": "def broken(:\n"}, None, ""),
        ({}, None, ""),
        ({"sample/__init__.py": "", "sample/_version.py": "def broken(:\n"}, None, ""),
    ],
)
def test_flit_reads_the_module(files: dict[str, str], asked: tuple[str, ...] | None, since: str) -> None:
    facts = read(FLIT, "", files, DYNAMIC)
    assert (facts.declared_hook, facts.hook_since) == (asked, since)


def test_flit_that_must_import_asks_for_the_runtime_dependencies() -> None:
    facts = read(FLIT, "", {"sample.py": "from other import __version__\n"}, DYNAMIC)
    assert facts.declared_hook is not None
    assert "six" in facts.declared_hook


PLUGIN = """from hatchling.builders.hooks.plugin.interface import BuildHookInterface
class Own(BuildHookInterface):
    def initialize(self, version, build_data): {body}
"""


@pytest.mark.parametrize(
    ("settings", "body", "asked"),
    [
        ("hooks.custom = {}", "pass", ()),
        ("hooks.custom.dependencies = ['cython']", "pass", ("cython",)),
        ("hooks.custom = {enable-by-default = false, dependencies = ['cython']}", "pass", ()),
        ("hooks.custom = {}", "self.dependencies = ['x']", None),
        ("hooks.custom = {}", "setattr(self, 'depend' + 'encies', [])", None),
        ("hooks.custom.path = 'elsewhere.py'", "pass", None),
        ("hooks.custom.path = 5", "pass", None),
        ("hooks.custom = 5", "pass", None),
        ("hooks.unheard-of = {}", "pass", None),
        ("dependencies = 'cython'", "pass", None),
        ("dependencies = ['a b']", "pass", None),
        ("dependencies = ['a']\ntargets.wheel.dependencies = ['b']", "pass", ("b", "a")),
    ],
)
def test_hatchling_and_its_hooks(settings: str, body: str, asked: tuple[str, ...] | None) -> None:
    facts = read(HATCH, f"[tool.hatch.build]\n{settings}", {"hatch_build.py": PLUGIN.replace("{body}", body)})
    assert (facts.declared_hook is None) == (asked is None), facts.hook_reason
    assert set(facts.declared_hook or ()) == set(asked or ())


def test_a_broken_hatch_toml_is_not_guessed_at() -> None:
    assert read(HATCH, "", {"hatch.toml": "[build\n"}).declared_hook is None


ODD = (
    *("5", "true", "''", "'x'", "[]", "[1]", "[[]]", "[{}]", "{}", "2020-01-01", "{a = 1}", "{a = 'x'}"),
    *("{a = []}", "{a = {}}", "{a = {provider = []}}", "{a = {provider = {}}}", "['a b c']"),
)
TABLES = {
    SCIKIT: """overrides cmake cmake.args cmake.version cmake.source-dir cmake.define ninja ninja.version metadata
        minimum-version build.requires wheel wheel.cmake""",
    FLIT: "metadata metadata.module metadata.requires metadata.requires-extra module module.name",
    HATCH: """build build.hooks build.hooks.custom build.hooks.custom.path build.dependencies build.targets
        build.targets.wheel build.targets.wheel.hooks build.targets.wheel.dependencies
        build.require-runtime-features build.require-runtime-dependencies version metadata""",
    "pdm.backend": "build build.run-setuptools version",
    "setuptools.build_meta": "dynamic dynamic.dependencies dynamic.dependencies.file",
}
NAMES = {
    SCIKIT: "scikit-build",
    FLIT: "flit",
    HATCH: "hatch",
    "pdm.backend": "pdm",
    "setuptools.build_meta": "setuptools",
}


@pytest.mark.parametrize("project", [PLAIN, 'name = "sample"\ndynamic = ["version", "dependencies"]\n'])
@pytest.mark.parametrize(
    ("backend", "key"), [(backend, key) for backend, keys in TABLES.items() for key in keys.split()]
)
def test_a_setting_of_any_type_is_read_or_refused(backend: str, key: str, project: str) -> None:
    files = CMAKE | {"sample.py": "__version__ = '1.0'\n"}
    for odd in ODD:
        settings = f"[tool.{NAMES[backend]}]\n{key} = {odd}"
        assert tomllib.loads(settings)
        with suppress(DeepLockError):  # refused in words is as good as read
            facts = read(backend, settings, files, project)
            assert facts.declared_hook is not None or facts.hook_reason, (key, odd)


EDITABLES = "editables~=0.3"


@pytest.mark.parametrize(
    ("backend", "version", "more"),
    [
        (HATCH, "1.0.0", ()),
        (HATCH, "1.21.1", ()),
        (HATCH, "1.22.4", None),
        (HATCH, "1.22.5", (EDITABLES,)),
        (HATCH, "1.33.0", (EDITABLES,)),
        ("pdm.backend", "2.3.0", ("editables",)),
        ("pdm.backend", "2.3.2", None),
        ("pdm.backend", "2.3.3", ()),
        ("pdm.backend", "2.5.0", ()),
        (FLIT, "3.12.0", ()),
        ("poetry.core.masonry.api", "2.5.0", ()),
        ("setuptools.build_meta", "84.2.1", ()),
        ("setuptools.build_meta", "65.5.0", ()),
        ("mesonpy", "0.22.1", ()),
        ("maturin", "1.16.0", ()),
        ("uv_build", "0.13.6", ()),
        (SCIKIT, "1.1.2", ()),
        (HATCH, "9.0", None),
    ],
)
def test_what_an_editable_installation_asks_for_beyond_a_wheel(
    backend: str, version: str, more: tuple[str, ...] | None
) -> None:
    name = RULES[backend].distribution
    facts = read(backend, "", requires=name)
    linux, pins = make_target("3.13", "x86_64-manylinux_2_28", host=read_host()), {name: Version(version)}
    wheel = answer(facts, linux, environment=pins)
    editable = answer(facts, linux, environment=pins, hook="editable")
    if more is None:
        assert (editable.requires, editable.evidence) == (None, "assumed")
        assert f"{name} {version}" in editable.reason
    else:
        assert wheel.evidence == editable.evidence == "static"
        assert editable.requires == (*(wheel.requires or ()), *more)
