"""scikit-build-core: CMake and Ninja as configured, if PATH does not have them, and the requirements of metadata providers."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from deep_lock.models.build_system import HookAnswer
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.sdist.backends.rule import Declared, Environment, Rule, Source, UnprovenError, proven
from deep_lock.sdist.pyproject import nested_table, parse_requirements
from deep_lock.targets.target import Target

_AUTO_SINCE = Version("0.10")
"""From this minimum-version on, CMakeLists.txt states the required CMake where pyproject.toml does not."""
_LOWEST_CMAKE = Version("3.15")
_NINJA = SpecifierSet(">=1.5")
_QUIET_OVERRIDES = frozenset(
    {"if", "inherit", "sdist", "editable", "install", "env", "messages", "logging", "generate"}
)
"""Tables that an override may set without a bearing on the answer."""
_PROVIDERS = {
    "scikit_build_core.metadata.regex": (),
    "scikit_build_core.metadata.template": (),
    "scikit_build_core.metadata.setuptools_scm": ("setuptools-scm",),
}
"""Read in 0.10.7, 0.11.6 and 1.1.2. fancy_pypi_readme's lower bound changed between them, and is left out."""

_MINIMUM = re.compile(
    r"cmake_minimum_required\s*\(\s*VERSION\s+(\d+(?:\.\d+)*)(?:\.\.\.\d+(?:\.\d+)*)?(?:\s+FATAL_ERROR)?\s*\)",
    re.IGNORECASE,
)


def _declare(source: Source) -> Declared:
    settings = nested_table(source.pyproject, "tool", "scikit-build")
    _refuse_the_unusual(settings, source)
    requires = []
    if nested_table(settings, "wheel").get("cmake", True):
        requires += [_cmake(settings, source), _ninja(settings)]
    extra, since = _build_requires(settings)
    requires += [*extra, *_providers(settings)]
    return Declared(requires=tuple(requires), reason="[tool.scikit-build] and CMakeLists.txt", since=since)


def _refuse_the_unusual(settings: Mapping[str, Any], source: Source) -> None:
    overrides = settings.get("overrides", [])
    if not isinstance(overrides, list) or not all(isinstance(override, dict) for override in overrides):
        raise UnprovenError("[tool.scikit-build] overrides is malformed")
    for override in overrides:
        if set(override) - _QUIET_OVERRIDES:
            raise UnprovenError("[[tool.scikit-build.overrides]] may change what is required")
    for key in ("variant", "variant-name", "null-variant", "fail", "config-setting"):
        if settings.get(key):
            raise UnprovenError(f"[tool.scikit-build] {key} is set")
    if "dynamic-metadata" in nested_table(source.pyproject, "tool"):
        raise UnprovenError("[[tool.dynamic-metadata]] providers run")
    cmake = nested_table(settings, "cmake")
    if "-G" in str(cmake.get("args", "")):
        raise UnprovenError("[tool.scikit-build.cmake] args choose a generator")
    if "CMAKE_GENERATOR" in nested_table(cmake, "define"):
        raise UnprovenError("[tool.scikit-build.cmake.define] chooses a generator")
    if "minimum-version" in cmake or "minimum-version" in nested_table(settings, "ninja"):
        raise UnprovenError("minimum-version of cmake or ninja is deprecated, and deep-lock has no rule for it")


def _cmake(settings: Mapping[str, Any], source: Source) -> str:
    version = nested_table(settings, "cmake").get("version", "CMakeLists.txt")
    if version != "CMakeLists.txt":
        return f"cmake{_specifier(version)}"
    if not _is_automatic(settings, source):
        return f"cmake>={_LOWEST_CMAKE}"
    folder = nested_table(settings, "cmake").get("source-dir", ".")
    if folder not in (".", "./", ""):
        raise UnprovenError("CMakeLists.txt is in a folder of its own")
    if "CMakeLists.txt" not in source.members.names:
        return f"cmake>={_LOWEST_CMAKE}"
    raw = source.members.files.get("CMakeLists.txt", b"")
    return f"cmake>={max(_LOWEST_CMAKE, _minimum(raw.decode('utf-8-sig', 'replace')))}"


def _is_automatic(settings: Mapping[str, Any], source: Source) -> bool:
    minimum = settings.get("minimum-version")
    if minimum is None:
        return True
    try:
        if minimum != "build-system.requires":
            return Version(str(minimum)) >= _AUTO_SINCE
        versions = [
            Version(one.version)
            for requirement in map(parse_requirement, source.build_system.requires)
            if requirement.name == "scikit-build-core" and requirement.marker is None
            for one in requirement.specifier
            if one.operator in {">=", "~=", "=="}
        ]
        return min(versions) >= _AUTO_SINCE
    except (InvalidVersion, ValueError):
        raise UnprovenError("minimum-version of scikit-build-core cannot be read") from None


def _minimum(text: str) -> Version:
    """Return the version of cmake_minimum_required, where that is plainly the first command and the only one."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    match = _MINIMUM.search(code)
    if (
        match is None
        or re.search(r'[("\[]', code[: match.start()])
        or len(re.findall(r"(?i)cmake_minimum_req", code)) > 1
    ):
        raise UnprovenError("the CMake version cannot be read from CMakeLists.txt")
    return Version(match[1])


def _ninja(settings: Mapping[str, Any]) -> str:
    """Ninja is not required on Windows; make-fallback cannot apply, since a scrubbed PATH has no make."""
    version = nested_table(settings, "ninja").get("version")
    specifier = _NINJA if version is None else _specifier(version)
    return f'ninja{specifier} ; sys_platform != "win32"'


def _specifier(text: Any) -> SpecifierSet:
    try:
        return SpecifierSet(text if isinstance(text, str) else str(text))
    except (InvalidSpecifier, ValueError):
        raise UnprovenError("a version of cmake or ninja is not a version specifier") from None


def _build_requires(settings: Mapping[str, Any]) -> tuple[list[str], str]:
    """``build.requires`` (since 0.11); its texts may hold fields to be filled in."""
    listed = nested_table(settings, "build").get("requires", [])
    if not listed:
        return [], ""
    texts = tuple(map(str, listed)) if isinstance(listed, list) else ("",)
    if any("{" in text for text in texts) or parse_requirements(texts) is None:
        raise UnprovenError("[tool.scikit-build.build] requires is computed")
    return list(texts), "0.11"


def _providers(settings: Mapping[str, Any]) -> Iterator[str]:
    for config in nested_table(settings, "metadata").values():
        provider = config.get("provider", "") if isinstance(config, dict) else None
        if not isinstance(provider, str) or provider not in _PROVIDERS or "provider-path" in config:
            raise UnprovenError(f"no rule for the metadata provider {str(provider)[:100]!r}")
        yield from _PROVIDERS[provider]


def _complete(declared: tuple[str, ...], version: Version, target: Target, environment: Environment) -> HookAnswer:
    del version, target
    looked_for = {parse_requirement(text).name for text in declared} & {"cmake", "ninja"}
    if looked_for <= environment.keys():
        # What is installed together with scikit-build-core is required without a look at PATH.
        return proven(declared)
    return proven(declared, "scikit-build-core requires what PATH lacks", conditional="PATH")


RULES = (
    # read: build/__init__.py, builder/get_requires.py, settings/*.py and metadata/*.py of 0.10.7, 0.11.6 and 1.1.2
    # (0.2.0, 0.5.1, 0.6.1, 0.8.2 and 0.9.0 have other defaults, and are left out)
    Rule(
        distribution=NormalizedName("scikit-build-core"),
        backends=frozenset({"scikit_build_core.build"}),
        read=SpecifierSet(">=0.10,<2"),
        declare=_declare,
        complete=_complete,
    ),
)
