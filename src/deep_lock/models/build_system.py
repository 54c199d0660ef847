"""How a source distribution is built, and the evidence for the build requirements from its backend."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.models.metadata import Metadata

Evidence = Literal["static", "observed", "assumed"]
"""static: proven without running code; observed: the hook ran; assumed: neither."""

Hook = Literal["wheel", "editable"]
"""What a build makes: a wheel, or an editable installation (PEP 660)."""

MetadataSource = Literal["pkg-info", "project", "static", ""]
"""PKG-INFO 2.2+, the ``[project]`` table, or a static setup.cfg or setup.py; empty where only the backend knows."""

FACTS_VERSION = 8
"""Part of every cache key of `SdistFacts`: incremented when a rule of `sdist` changes their content."""

LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
LEGACY_REQUIRES = ("setuptools>=40.8.0",)


SettingValue = str | tuple[str, ...]
ConfigSettings = tuple[tuple[str, SettingValue], ...]
"""What hooks get as ``config_settings`` (PEP 517): sorted by key. A list keeps its order: most are command lines."""


class BuildSystem(Struct, frozen=True, kw_only=True):
    """The ``[build-system]`` table (PEP 518, PEP 517), or the default for a missing one."""

    requires: tuple[str, ...]
    """As written in the file: duplicates and order kept."""
    backend: str
    backend_path: tuple[str, ...] = ()
    requires_from: Literal["pyproject", "default", "user"] = "pyproject"


class HookAnswer(Struct, frozen=True, kw_only=True):
    """What ``get_requires_for_build_wheel`` answers, or ``get_requires_for_build_editable``.

    Where the evidence is ``assumed``, ``requires`` is the part that is known, and None where none is.
    """

    requires: tuple[str, ...] | None
    evidence: Evidence
    conditional: str = ""
    """"PATH" where the answer holds for an empty search path: a machine that has the tool needs less."""
    reason: str = ""
    """Why, in one sentence: shown when the evidence is not enough for the user."""
    observed_on: str = ""
    """The label of the target that it was observed on; empty where the evidence is another."""
    lacks: tuple[str, ...] = ()
    """Modules that its code imports and that its build environment lacks."""

    def replaced_by(self, other: "HookAnswer") -> "HookAnswer":
        """Return the other answer where it is an observed one, or where this one is assumed; else this one.

        What this one knows is kept where both are assumed.
        """
        if other.evidence == self.evidence == "assumed":
            lacks = tuple(dict.fromkeys((*self.lacks, *other.lacks)))
            return replace(other, requires=other.requires or self.requires, lacks=lacks)
        return other if other.evidence == "observed" or self.evidence == "assumed" else self


class KnownMetadata(Struct, frozen=True, kw_only=True):
    """Runtime metadata of a file or a source tree."""

    metadata: Metadata
    evidence: Evidence | None = None
    """How they are known; None where the file itself states them (a wheel, or PKG-INFO 2.2 and later)."""
    assumed_from: str = ""
    """What they were taken from, where they are assumed."""


class SdistFacts(Struct, frozen=True, kw_only=True):
    """All that is read out of an sdist without unpacking or running it. Depends on its bytes alone: cached by sha256."""

    build_system: BuildSystem
    metadata: Metadata | None
    """Runtime metadata that the sdist proves; None where only its backend knows."""
    metadata_source: MetadataSource = ""
    guess: Metadata | None = None
    """Best guess where ``metadata`` is None: egg-info requires.txt, else an old PKG-INFO."""
    contradiction: str = ""
    """The files of the sdist that state different metadata, where some do: then the guess is all that they state."""
    declared_hook: tuple[str, ...] | None = None
    """The requirements that the hook returns by the backend's configuration in the sdist; None if that cannot be read."""
    known_hook: tuple[str, ...] = ()
    """The part of these requirements that can be read, also where ``declared_hook`` is None."""
    imports: tuple[tuple[str, ...], ...] = ()
    """What its setup.py imports whenever it runs: of each tuple, one module is needed."""
    hook_reason: str = ""
    """Why ``declared_hook`` is None, or by what it is proven."""
    hook_since: str = ""
    """The lowest version of the backend for which ``declared_hook`` is valid; empty for any."""
    self_hosted: str = ""
    """The sdist's own version, where it is its own backend (``backend-path``): then that version decides."""
    cargo_lock: str = ""
    """sha256 of the Cargo.lock that pins the Rust crates of its build; empty where it has none."""
    notes: tuple[str, ...] = ()
    """Findings for reviewers: "legacy-name", "odd-member-name", "build-requires-url", ..."""
