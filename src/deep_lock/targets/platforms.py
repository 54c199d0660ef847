"""Platforms by name: the marker variables and the wheel tags of each.

A name has a machine, a system, and the oldest version of the system: "x86_64-manylinux_2_28" is every Linux with glibc
2.28 or newer. The tags are those of `packaging.tags` on such a system, in its order (PEP 425, PEP 600, PEP 656), so
that the lock has what an installer would choose. They are joined as text because packaging's Tag objects take ten times
as long; a test compares the two.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from msgspec import Struct
from packaging.tags import mac_platforms

from deep_lock.errors import UsageError
from deep_lock.suggestions import nearest

System = Literal["manylinux", "musllinux", "macos", "windows"]
PLATFORM_SHORTHANDS = ("linux", "macos", "windows")
"""Names for the default platforms of a system; `factory` has them."""

# The oldest glibc minor version that has a tag.
_OLDEST_GLIBC: Mapping[str, int] = MappingProxyType(
    {"x86_64": 5, "i686": 5, "aarch64": 17, "armv7l": 17, "ppc64le": 17, "s390x": 17, "riscv64": 17}
)
_GLIBC_ALIAS: Mapping[int, str] = MappingProxyType({17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"})
_WINDOWS: Mapping[str, tuple[str, str]] = MappingProxyType(
    # name of the machine: platform_machine there, wheel tag
    {"x86_64": ("AMD64", "win_amd64"), "arm64": ("ARM64", "win_arm64"), "x86": ("x86", "win32")}
)
_MAC_MACHINES = ("arm64", "x86_64")
_OLDEST_MAC = 4  # of 10.x: the first on x86_64 machines
_SYSTEMS: Mapping[str, System] = MappingProxyType(
    {"manylinux": "manylinux", "musllinux": "musllinux", "macos": "macos", "windows": "windows"}
)
_VARIABLES: Mapping[System, tuple[str, str, str]] = MappingProxyType(
    # os_name, platform_system, sys_platform
    {
        "manylinux": ("posix", "Linux", "linux"),
        "musllinux": ("posix", "Linux", "linux"),
        "macos": ("posix", "Darwin", "darwin"),
        "windows": ("nt", "Windows", "win32"),
    }
)

_NUMBER = "(0|[1-9][0-9]?)"
_NAME = re.compile(
    rf"(?P<machine>[a-z0-9_]+)-(?:(?P<system>manylinux|musllinux|macos)_{_NUMBER}(?:_{_NUMBER})?|(?P<windows>windows))"
)
_TAG = re.compile(rf"(?P<system>manylinux|musllinux|macosx)_{_NUMBER}_{_NUMBER}_(?P<machine>[a-z0-9_]+)")


class Platform(Struct, frozen=True, kw_only=True, eq=False):
    """A platform. Two are equal if their names are."""

    name: str
    """"x86_64-manylinux_2_28"."""
    system: System
    machine: str
    """As in the name; the marker variable may have another spelling."""
    level: tuple[int, int]
    """The oldest glibc, musl or macOS of the name; (0, 0) on Windows."""
    variables: Mapping[str, str]
    """The marker variables of the platform."""
    tags: tuple[str, ...]
    """Platform tags, best first."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Platform) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def _platform_tags(system: System, machine: str, level: tuple[int, int]) -> tuple[str, ...]:
    if system == "windows":
        return (_WINDOWS[machine][1],)
    if system == "macos":
        return tuple(mac_platforms(level, machine))
    # packaging 26.3 puts the tag of wheels that were built on the machine itself first
    tags = [f"linux_{machine}"]
    if system == "musllinux":
        tags += [f"musllinux_1_{minor}_{machine}" for minor in range(level[1], -1, -1)]
        return tuple(tags)
    for minor in range(level[1], _OLDEST_GLIBC[machine] - 1, -1):
        tags.append(f"manylinux_2_{minor}_{machine}")
        if minor in _GLIBC_ALIAS:
            tags.append(f"{_GLIBC_ALIAS[minor]}_{machine}")
    return tuple(tags)


def _level(system: System, machine: str, first: str | None, second: str | None) -> tuple[int, int] | None:
    """Return the numbers of a platform name; None if no such platform exists."""
    major, minor = int(first or 0), int(second or 0)
    if system == "windows":
        return (0, 0) if machine in _WINDOWS else None
    if system == "macos":
        # up to macOS 10 the second number is the release, from 11 on the first one
        old = machine == "x86_64" and major == 10 and minor >= _OLDEST_MAC
        new = machine in _MAC_MACHINES and major > 10 and second is None
        return (major, minor) if old or new else None
    if machine not in _OLDEST_GLIBC or second is None:
        return None
    if system == "musllinux":
        return (1, minor) if major == 1 else None
    return (2, minor) if major == 2 and minor >= _OLDEST_GLIBC[machine] else None


def _spellings() -> dict[str, str]:
    """Spellings that users may type, each with the name that they may mean."""
    names = [
        *(f"{machine}-manylinux_2_{minor}" for machine in _OLDEST_GLIBC for minor in (17, 28, 34, 39)),
        *(f"{machine}-musllinux_1_2" for machine in _OLDEST_GLIBC),
        *(f"{machine}-macos_{major}" for machine in _MAC_MACHINES for major in (11, 12, 13, 14, 15, 26)),
        *(f"{machine}-windows" for machine in _WINDOWS),
    ]
    spellings = {name: name for name in names} | {"i686-windows": "x86-windows", "aarch64-windows": "arm64-windows"}
    for machine, oldest in _OLDEST_GLIBC.items():
        spellings[f"{machine}-linux"] = f"{machine}-manylinux_2_28"
        spellings |= {
            f"{machine}-{alias}": f"{machine}-manylinux_2_{minor}"
            for minor, alias in _GLIBC_ALIAS.items()
            if minor >= oldest
        }
    return spellings


_MACHINE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        **{machine: machine for machine in _OLDEST_GLIBC},
        **dict.fromkeys(("amd64", "x64", "intel"), "x86_64"),
        **dict.fromkeys(("arm64", "armv8"), "aarch64"),
        **dict.fromkeys(("i386", "x86", "win32", "linux32"), "i686"),
        "armhf": "armv7l",
    }
)
"""Words for machines that users type, each with its name on Linux. A longer word comes before one that it begins with."""
_SYSTEM_WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    # the end of the platform's name, and the machine that most people have
    {
        **dict.fromkeys(("musl", "alpine"), ("musllinux_1_2", "x86_64")),
        **dict.fromkeys(("linux", "gnu", "ubuntu", "debian", "fedora", "rhel"), ("manylinux_2_28", "x86_64")),
        **dict.fromkeys(("darwin", "mac", "osx"), ("macos_14", "aarch64")),
        "win": ("windows", "x86_64"),
    }
)
_MACHINE_ELSEWHERE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"windows": {"aarch64": "arm64", "i686": "x86"}, "macos_14": {"aarch64": "arm64"}}
)


def _meant(name: str) -> str:
    """Return the platform that words such as "linux", "amd64-windows" or a wheel tag mean; "" where that is not clear."""
    if tagged := _name_of_tag(name):
        return tagged if _is_platform(tagged) else ""
    word = next((word for word in _SYSTEM_WORDS if word in name), "")
    if not word:
        return ""
    system, usual = _SYSTEM_WORDS[word]
    words = sorted(_MACHINE_WORDS, key=len, reverse=True)
    machine = next((_MACHINE_WORDS[word] for word in words if word in name), usual)
    meant = f"{_MACHINE_ELSEWHERE.get(system, {}).get(machine, machine)}-{system}"
    return meant if _is_platform(meant) else ""


def _is_platform(name: str) -> bool:
    match = _NAME.fullmatch(name)
    system: System | None = None if match is None else _SYSTEMS[match["system"] or match["windows"]]
    return match is not None and system is not None and _level(system, match["machine"], match[3], match[4]) is not None


def _nearest(name: str) -> str:
    """Return the nearest platform, one for 32 bits only where the name is that of such a machine."""
    spellings = _spellings()
    if _MACHINE_WORDS.get(name.partition("-")[0]) not in {"i686", "armv7l"}:
        spellings = {own: meant for own, meant in spellings.items() if meant.partition("-")[0] not in _NARROW}
    close = nearest(name, spellings)
    return spellings[close] if close else ""


_NARROW = frozenset({"i686", "x86", "armv7l"})
"""Machines of 32 bits."""


def _unknown(name: str) -> UsageError:
    spelled = name[:80].lower()
    machine, _, system = spelled.partition("-")
    named = machine in {*_OLDEST_GLIBC, *_MAC_MACHINES, *_WINDOWS} and system.startswith((*_SYSTEMS, "window", "linux"))
    shorthand = nearest(spelled, PLATFORM_SHORTHANDS, cutoff=0.8) if spelled.isalpha() else ""
    close = shorthand or (_nearest(spelled) if named else _meant(spelled) or _nearest(spelled))
    suggestion = f"did you mean {close}? " if close else ""
    linux = "{" + ",".join(_OLDEST_GLIBC) + "}"
    return UsageError(
        f"{name[:80]!r} is not a known platform",
        hint=f"{suggestion}known are {', '.join(PLATFORM_SHORTHANDS)}, {linux}-manylinux_2_N (glibc) and -musllinux_1_N (musl),"
        f" {{{','.join(_MAC_MACHINES)}}}-macos_N, {{{','.join(_WINDOWS)}}}-windows, and host",
    )


@lru_cache(maxsize=256)
def parse_platform(name: str) -> Platform:
    """Parse a platform name such as "aarch64-musllinux_1_2", "x86_64-macos_10_15" or "arm64-windows".

    Raises UsageError, which lists the known names and suggests the nearest one.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise _unknown(name)
    machine = match["machine"]
    system: System = _SYSTEMS[match["system"] or match["windows"]]
    level = _level(system, machine, match[3], match[4])
    if level is None:
        raise _unknown(name)
    os_name, platform_system, sys_platform = _VARIABLES[system]
    variables = {
        "os_name": os_name,
        "platform_machine": _WINDOWS[machine][0] if system == "windows" else machine,
        "platform_system": platform_system,
        "sys_platform": sys_platform,
    }
    return Platform(
        name=name,
        system=system,
        machine=machine,
        level=level,
        variables=MappingProxyType(variables),
        tags=_platform_tags(system, machine, level),
    )


def name_platform(tags: Iterable[str]) -> str:
    """Return the name of a machine's platform, from its `packaging.tags.platform_tags`, best first; "" if none fits."""
    for tag in tags:
        name = _name_of_tag(tag)
        if name:
            try:
                return parse_platform(name).name
            except UsageError:
                return ""
    return ""


def _name_of_tag(tag: str) -> str:
    for machine, (_, windows_tag) in _WINDOWS.items():
        if tag == windows_tag:
            return f"{machine}-windows"
    match = _TAG.fullmatch(tag)
    if match is None:
        return ""
    major, minor, machine = match[2], match[3], match["machine"]
    if match["system"] == "macosx":
        return f"{machine}-macos_{major}_{minor}" if major == "10" else f"{machine}-macos_{major}"
    return f"{machine}-{match['system']}_{major}_{minor}"


def runs_as(host: Platform, requested: Platform) -> bool:
    """Whether ``host`` runs what ``requested`` does: the same machine and libc, in no older version."""
    return (host.system, host.machine) == (requested.system, requested.machine) and host.level >= requested.level


@lru_cache(maxsize=256)
def expand_tags(platform: Platform, *, minor: int, free_threaded: bool) -> tuple[tuple[str, ...], Mapping[str, int]]:
    """Return the wheel tags of CPython 3.``minor`` on a platform, best first, and the rank of each.

    The order is that of `packaging.tags.cpython_tags` and `compatible_tags`. A free-threaded build accepts ``abi3t``
    (PEP 803) and never ``abi3`` (PEP 703).
    """
    interpreter, stable = f"cp3{minor}", "abi3t" if free_threaded else "abi3"
    native = f"{interpreter}t" if free_threaded else interpreter
    specific = [
        f"{interpreter}-{native}",
        f"{interpreter}-{stable}",
        f"{interpreter}-none",
        *(f"cp3{older}-{stable}" for older in range(minor - 1, 1, -1)),
    ]
    generic = [f"py3{minor}", "py3", *(f"py3{older}" for older in range(minor - 1, -1, -1))]
    tags = [f"{front}-{tag}" for front in specific for tag in platform.tags]
    tags += [f"{python}-none-{tag}" for python in generic for tag in platform.tags]
    tags.append(f"{interpreter}-none-any")
    tags += [f"{python}-none-any" for python in generic]
    return tuple(tags), MappingProxyType({tag: rank for rank, tag in enumerate(tags)})
