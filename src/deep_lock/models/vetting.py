"""Who looked at which files: the records of `supply-chain/`. All that they compare is the sha256 of files."""

from collections.abc import Mapping
from datetime import date
from typing import Literal, get_args

from msgspec import Struct

FOLDER = "supply-chain"
"""Next to the lock."""
AUDITS = "audits.toml"
"""The project's own audits: the only file that other teams import."""
CONFIG = "config.toml"
IMPORTS_LOCK = "imports.lock"
VERSION = 1
"""Of the format of the three files."""

Criterion = Literal["safe-to-build", "safe-to-run"]
"""safe-to-build: the code that runs while something is built. safe-to-run: the code that is installed. Neither implies the other."""
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)


class AuditedFile(Struct, frozen=True, kw_only=True, gc=False):
    """A wheel or an sdist."""

    name: str
    sha256: str
    """Lower-case hex."""
    base: str = ""
    """Of a delta: the sha256 of the file that it was compared with ("from" in the file)."""


class FileAudit(Struct, frozen=True, kw_only=True):
    """An audit of files of one release, by one person on one day."""

    package: str
    """A normalized project name."""
    version: str
    """Empty: that of an archive that is a direct source is not known."""
    base_version: str = ""
    """Of a delta: the release with which it was compared ("from" in the file); then each file has a base. Empty: whole files."""
    criteria: tuple[Criterion, ...]
    """In the order of `CRITERIA`."""
    who: str
    date: date
    notes: str = ""
    files: tuple[AuditedFile, ...]


class FileExemption(Struct, frozen=True, kw_only=True):
    """Files of one release that are used without an audit."""

    package: str
    version: str
    criteria: tuple[Criterion, ...]
    notes: str = ""
    files: tuple[AuditedFile, ...]
    """Without a base."""


class AuditImport(Struct, frozen=True, kw_only=True):
    """Where the audits of another team are: a URL, or a path in a git repository. Exactly one of ``url`` and ``git`` is set."""

    url: str = ""
    git: str = ""
    ref: str = ""
    """A branch or a tag of the repository; empty: its default branch."""
    path: str = f"{FOLDER}/{AUDITS}"
    """In the repository, with "/"."""


class VettingConfig(Struct, frozen=True, kw_only=True):
    """The content of `config.toml`."""

    imports: Mapping[str, AuditImport] = {}
    """By the name of the team."""
    exemptions: tuple[FileExemption, ...] = ()


class ImportedAudits(Struct, frozen=True, kw_only=True):
    """One team's audits in `imports.lock`, with what they are pinned by."""

    source: AuditImport
    sha256: str
    """Of the file that was imported."""
    commit: str = ""
    """The full ID of the commit of a repository; empty for a URL."""
    audits: tuple[FileAudit, ...]


class Vetting(Struct, frozen=True, kw_only=True):
    """The content of the three files."""

    audits: tuple[FileAudit, ...] = ()
    config: VettingConfig = VettingConfig()
    imports: Mapping[str, ImportedAudits] = {}
    """By the name of the team: the content of `imports.lock`."""

    @property
    def current_imports(self) -> Mapping[str, ImportedAudits]:
        """What is imported from where `config.toml` has it; anything else in `imports.lock` covers nothing."""
        sources = self.config.imports
        return {team: own for team, own in self.imports.items() if sources.get(team) == own.source}
