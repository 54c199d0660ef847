"""Makes targets from names, and reads the host: this module knows the Pythons that exist.

The label of a target is unique: "cp313-x86_64-manylinux_2_28", free-threaded "cp313t-...", and of a full version
"cp312.4-..." (3.12.4) or "cp313t.2-..." (3.13.2, free-threaded).
"""

import platform as running
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType

from msgspec import Struct
from packaging.markers import default_environment
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import platform_tags

from deep_lock.errors import ProjectInvalid, UsageError
from deep_lock.pep440 import parse_specifier
from deep_lock.suggestions import nearest
from deep_lock.targets.open_markers import admitted_micros
from deep_lock.targets.platforms import PLATFORM_SHORTHANDS, expand_tags, name_platform, parse_platform, runs_as
from deep_lock.targets.target import ALL_MICROS, Target

HOST = "host"
"""The platform name of the machine that locks."""

DEFAULT_PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "arm64-macos_14", "x86_64-windows")


class Series(Struct, frozen=True, kw_only=True):
    """One minor version of CPython 3."""

    newest: int
    """The newest micro version when the table was written."""
    released: date
    end_of_life: date
    """The last day with security fixes."""


# A target of a minor version has its newest micro version, which people install: with ".0", a release that requires
# "!=3.9.0" (as cryptography did) or ">=3.9.1" would be excluded.
# From the release schedules (PEP 569 to PEP 790); extend it once a year, and the micro versions when convenient.
CPYTHON: Mapping[int, Series] = MappingProxyType(
    {
        8: Series(newest=20, released=date(2019, 10, 14), end_of_life=date(2024, 10, 7)),
        9: Series(newest=25, released=date(2020, 10, 5), end_of_life=date(2025, 10, 31)),
        10: Series(newest=21, released=date(2021, 10, 4), end_of_life=date(2026, 10, 31)),
        11: Series(newest=16, released=date(2022, 10, 24), end_of_life=date(2027, 10, 31)),
        12: Series(newest=14, released=date(2023, 10, 2), end_of_life=date(2028, 10, 31)),
        13: Series(newest=15, released=date(2024, 10, 7), end_of_life=date(2029, 10, 31)),
        14: Series(newest=7, released=date(2025, 10, 7), end_of_life=date(2030, 10, 31)),
        15: Series(newest=0, released=date(2026, 10, 1), end_of_life=date(2031, 10, 31)),
    }
)
_OLDEST = min(CPYTHON)
_FIRST_FREE_THREADED = 13

_PYTHON = re.compile(
    r"3\.(?P<minor>0|[1-9][0-9]?)(?:\.(?P<micro>(?:0|[1-9][0-9]?)(?:(?:a|b|rc)[1-9]?[0-9])?))?(?P<t>t?)"
)


SHORTHANDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    dict(zip(PLATFORM_SHORTHANDS, (DEFAULT_PLATFORMS[:2], DEFAULT_PLATFORMS[2:3], DEFAULT_PLATFORMS[3:]), strict=True))
)
"""Names for the default platforms of a system."""


def expand_platforms(names: Iterable[str]) -> tuple[str, ...]:
    """Return the platforms, each once, with those that a shorthand means in its place."""
    return tuple(dict.fromkeys(own for name in names for own in SHORTHANDS.get(name, (name,))))


class HostFacts(Struct, frozen=True, kw_only=True):
    """The interpreter and the machine, which decide whether a build backend that runs here answers for a target."""

    implementation: str
    """"cpython", "pypy", ..."""
    python_full_version: str
    free_threaded: bool
    platform: str
    """A platform name; empty if no name fits this machine."""
    machine: str
    """``platform_machine`` of the host: a 32-bit Python on a 64-bit kernel has that of the kernel."""


class _PythonVersion(Struct, frozen=True, kw_only=True):
    minor: int
    micro: str
    """"4", "0rc1"; empty if only the minor version was declared."""
    free_threaded: bool

    @property
    def full_version(self) -> str:
        if self.micro:
            return f"3.{self.minor}.{self.micro}"
        series = CPYTHON.get(self.minor)
        # a minor version that is newer than this table has at least its first release
        return f"3.{self.minor}.{series.newest if series else 0}"

    @property
    def label(self) -> str:
        return f"cp3{self.minor}{'t' if self.free_threaded else ''}{f'.{self.micro}' if self.micro else ''}"


def _parse_python(text: str) -> _PythonVersion:
    match = _PYTHON.fullmatch(text)
    known = [f"3.{minor}" for minor in CPYTHON]
    if match is None or int(match["minor"]) < _OLDEST:
        close = nearest(text, known) if match is None else ""
        suggestion = f"did you mean {close}? " if close else ""
        raise UsageError(
            f"{text[:40]!r} is not a Python version that can be a target",
            hint=f'{suggestion}known are CPython {", ".join(known)}, full versions such as "3.12.4", '
            f'and free-threaded builds such as "3.14t"',
        )
    minor, free_threaded = int(match["minor"]), bool(match["t"])
    if free_threaded and minor < _FIRST_FREE_THREADED:
        raise UsageError(
            f"Python {text} does not exist: free-threaded builds begin with 3.{_FIRST_FREE_THREADED}t",
            hint=f'Declare "{text.removesuffix("t")}", or 3.{_FIRST_FREE_THREADED}t or newer.',
        )
    return _PythonVersion(minor=minor, micro=match["micro"] or "", free_threaded=free_threaded)


def make_target(python: str, platform: str, *, host: HostFacts | None) -> Target:
    """Return the target of one Python on one platform.

    ``python`` is "3.13", "3.13t" (free-threaded) or a full version, "3.12.4"; ``platform`` is a name that
    `parse_platform` reads, or "host". ``host`` is the machine that runs build backends; None if no backend is run.

    Raises UsageError, which lists the known names.
    """
    requested = _parse_python(python)
    system = parse_platform(_host_platform(host) if platform == HOST else platform)
    tags, ranks = expand_tags(system, minor=requested.minor, free_threaded=requested.free_threaded)
    full_version = requested.full_version
    environment = {
        "implementation_name": "cpython",
        "implementation_version": full_version,
        "os_name": system.variables["os_name"],
        "platform_machine": system.variables["platform_machine"],
        "platform_python_implementation": "CPython",
        "platform_release": "",  # the specification's value for what cannot be computed
        "platform_system": system.variables["platform_system"],
        "platform_version": "",
        "python_full_version": full_version,
        "python_version": f"3.{requested.minor}",
        "sys_platform": system.variables["sys_platform"],
    }
    return Target(
        label=f"{requested.label}-{system.name}",
        python=python,
        python_full_version=full_version,
        platform=system.name,
        environment=MappingProxyType(environment),
        tags=tags,
        ranks=ranks,
        micros=0 if requested.micro else ALL_MICROS,
    )


def _host_platform(host: HostFacts | None) -> str:
    if host is None or not host.platform:
        raise UsageError(
            "the platform of this machine has no name that deep-lock knows",
            hint=f"Name the platforms to lock for, such as {DEFAULT_PLATFORMS[0]}.",
        )
    return host.platform


def runs_on(host: HostFacts, target: Target) -> bool:
    """Whether the result of a build backend that runs on the host is valid for the target.

    Micro versions are not compared: no backend's result is known to depend on one.
    """
    requested = _parse_python(target.python)
    if host.implementation != "cpython" or not host.platform:
        return False
    if not host.python_full_version.startswith(f"3.{requested.minor}."):
        return False
    here, there = parse_platform(host.platform), parse_platform(target.platform)
    same_machine = host.machine == there.variables["platform_machine"]
    return host.free_threaded == requested.free_threaded and same_machine and runs_as(here, there)


def host_target(host: HostFacts) -> Target:
    """Return the target of this interpreter on this machine, with its micro version.

    Raises UsageError if the interpreter is not CPython or the platform has no name.
    """
    if host.implementation != "cpython":
        raise UsageError(
            f"this interpreter is {host.implementation}, and targets are CPython only",
            hint='Name the Python versions to lock for, such as "3.13".',
        )
    return make_target(f"{host.python_full_version}{'t' if host.free_threaded else ''}", HOST, host=host)


def read_host() -> HostFacts:
    """Read the facts of the running interpreter and its machine. Not at import: it opens the interpreter's file."""
    environment = default_environment()
    return HostFacts(
        implementation=sys.implementation.name,
        # a build between two releases has "3.13.0+"
        python_full_version=running.python_version().removesuffix("+"),
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        platform=name_platform(platform_tags()),
        machine=environment["platform_machine"],
    )


def default_pythons(requires_python: str | None, today: date) -> tuple[str, ...]:
    """Return the Pythons to lock for if none are declared, newest first.

    These are the CPython minor versions that are released and not past their end of life at ``today``, and of which
    requires-python allows any micro version; if all of those are past their end of life, they are returned. An item is a
    full version if requires-python does not allow the newest one (">=3.9,<=3.12" allows 3.12.0 of 3.12).

    Raises ProjectInvalid on an invalid requires-python, UsageError if it allows no released CPython.
    """
    released = {minor: series for minor, series in sorted(CPYTHON.items(), reverse=True) if series.released <= today}
    try:
        specifier = parse_specifier(requires_python or "")
        admitted = {minor: _admitted(specifier, minor, series.newest) for minor, series in released.items()}
    except (InvalidSpecifier, ValueError):
        # ValueError: packaging parses numbers late, and Python refuses thousands of digits
        raise ProjectInvalid(f"requires-python {requires_python!r:.200} is not a valid version specifier") from None
    fitting = {minor: python for minor, python in admitted.items() if python is not None}
    if not fitting:
        known = [f"3.{minor}" for minor in reversed(released)]
        newer = any(specifier.contains(f"3.{minor}.0") for minor in range(_OLDEST, 100) if minor not in released)
        declare = ", or name a newer CPython: python-versions in [tool.deep-lock]" if newer else ""
        raise UsageError(
            f"requires-python {requires_python!r} allows no released CPython that is known"
            + (f" ({known[0]} to {known[-1]})" if known else ""),
            hint=f"correct requires-python{declare}",
        )
    maintained = tuple(python for minor, python in fitting.items() if released[minor].end_of_life >= today)
    return maintained or tuple(fitting.values())


def _admitted(specifier: SpecifierSet, minor: int, newest: int) -> str | None:
    """The minor version if its newest micro version fits, else its newest fitting micro version, else a future one."""
    if specifier.contains(f"3.{minor}.{newest}"):
        return f"3.{minor}"
    micros = admitted_micros(str(specifier), f"3.{minor}")
    older = micros & ((1 << newest) - 1)
    if not micros:
        return None
    micro = older.bit_length() - 1 if older else (micros & -micros).bit_length() - 1
    return f"3.{minor}.{micro}"
