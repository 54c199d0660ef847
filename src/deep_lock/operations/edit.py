"""The work of `add` and `remove`: edit a list of requirements, then lock. Nothing is written here: `write_lock` writes both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.config.options import LockOptions
from deep_lock.errors import UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.files import is_there
from deep_lock.foreign_locks.load import foreign_path
from deep_lock.locking.lock import Outcome, lock
from deep_lock.locking.read_inputs import at_workspace_root, read_project_config
from deep_lock.models.lock import Lock
from deep_lock.models.requirement import Requirement
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.project import edit, requirement_lists
from deep_lock.project.requirement_lists import ListName

Bounds = Literal["lower", "exact", "none"]


class Edited(Struct, frozen=True, kw_only=True):
    """An edited file with its lock, both unwritten."""

    source: str
    """The name of the file."""
    outcome: Outcome
    added: tuple[str, ...]
    """Texts of requirements that are new in the list."""
    removed: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether there is something to write."""
        return self.outcome.edited is not None or self.outcome.changed


def add(
    options: LockOptions, where: ListName, requirements: Sequence[str], *, bounds: Bounds, reporter: Reporter
) -> Edited:
    """Add requirements to a list, and lock. One without a version gets a bound from the version that was locked.

    Raises UserError, ActionNeeded, IndexFault and SafetyError.
    """
    _refuse_two_versions(requirements)
    before = document = _open(options, where)
    open_ended: list[str] = []
    for text in requirements:
        after = requirement_lists.with_requirement(document, where, text)
        # of a requirement that was replaced, the version stays
        written = {*requirement_lists.texts(after, where)} - {*requirement_lists.texts(document, where)}
        if any(requirement_lists.has_no_version(parse_requirement(own)) for own in written):
            open_ended.append(text)
        document = after
    outcome = _lock(options, document, reporter)
    bounded = document
    for text in open_ended if bounds != "none" else ():
        specifier = _bound(outcome.lock, document, where, text, bounds=bounds, reporter=reporter)
        if specifier:
            bounded = requirement_lists.with_requirement(
                bounded, where, requirement_lists.with_version(text, specifier)
            )
    if bounded is not document:
        once = replace(options.network, refresh=False, refresh_packages=())
        outcome = _lock(replace(options, network=once), bounded, reporter, first=outcome.lock)
    return _edited(before, bounded, where, outcome)


def _refuse_two_versions(requirements: Sequence[str]) -> None:
    """Raise UsageError where the second of two arguments would replace the version of the first."""
    seen: dict[tuple[str, str], Requirement] = {}
    for own in map(requirement_lists.read_argument, requirements):
        if requirement_lists.has_no_version(own):
            continue
        first = seen.setdefault((own.name, str(own.marker)), own)
        if (first.specifier, first.url) != (own.specifier, own.url):
            raise UsageError(
                f"{own.name} is named twice, with different versions",
                hint=f"write one requirement, with commas: '{own.name}>=1,<2'",
            )


def remove(options: LockOptions, where: ListName, names: Sequence[str], reporter: Reporter) -> Edited:
    """Remove requirements from a list, and lock.

    Raises UserError, ActionNeeded, IndexFault and SafetyError.
    """
    before = document = _open(options, where)
    for name in dict.fromkeys(map(canonicalize_name, names)):
        document = requirement_lists.without_requirement(document, where, name)
    return _edited(before, document, where, _lock(options, document, reporter))


def difference(edited: Edited) -> str:
    """Return what is written, as a unified diff of both files; empty where nothing is."""
    outcome = edited.outcome
    file = outcome.edited
    parts = [edit.unified(edited.source, file.before.decode(), file.after.decode())] if file is not None else []
    return "".join([*parts, edit.unified(outcome.path.name, outcome.before, outcome.text)])


def _open(options: LockOptions, where: ListName) -> edit.Document:
    inputs = options.inputs
    if inputs.script is not None:
        return edit.open_document(inputs.script, script=True)
    path = inputs.folder / "pyproject.toml"
    if not is_there(path):
        raise _no_pyproject(inputs.folder)
    locked = at_workspace_root(inputs)
    imported = foreign_path(locked, read_project_config(locked.folder))
    if imported is not None and where.kind != "build":
        raise UsageError(
            f"{path.name}: {imported.name} decides the packages of the run time (from-lock)",
            hint=f"use the tool that writes {imported.name}, then run deep-lock lock",
        )
    return edit.open_document(path)


def _no_pyproject(folder: Path) -> UsageError:
    for name in ("setup.cfg", "setup.py"):
        if (folder / name).is_file():
            return UsageError(
                f"{folder}: has no pyproject.toml: the requirements are in {name}",
                hint=f"edit install_requires in {name}, then run deep-lock lock",
            )
    return UsageError(
        f"{folder}: has no pyproject.toml", hint="name a folder with --project, or a script with --script"
    )


def _lock(options: LockOptions, document: edit.Document, reporter: Reporter, first: Lock | None = None) -> Outcome:
    inputs = replace(options.inputs, edited=edit.replacement(document))
    return lock(replace(options, inputs=inputs), reporter, first=first)


def _edited(before: edit.Document, after: edit.Document, where: ListName, outcome: Outcome) -> Edited:
    old, new = (requirement_lists.texts(document, where) for document in (before, after))
    return Edited(
        source=after.source,
        outcome=outcome,
        added=tuple(text for text in new if text not in old),
        removed=tuple(text for text in old if text not in new),
    )


def _bound(
    lock: Lock, document: edit.Document, where: ListName, text: str, *, bounds: Bounds, reporter: Reporter
) -> str:
    """Return the specifier for a requirement without one; empty where no version of an index is locked for it."""
    name = requirement_lists.read_argument(text).name
    versions = _locked_versions(lock, document, where, name)
    if not versions:
        if not any(package.name == name and package.source is not None for package in lock.packages):
            message = f"is not locked for {where}, so it was added without a version"
            reporter(Warned(code="no-bound", subject=name, message=message))
        return ""
    lowest = min(versions)
    if bounds == "lower":
        return f">={lowest.public}"
    if len(versions) > 1:
        listed = " and ".join(map(str, sorted(versions)))
        raise UsageError(f"{name} is locked at {listed}, so --bounds exact has no version", hint="state the version")
    return f"=={lowest.public}"


def _locked_versions(lock: Lock, document: edit.Document, where: ListName, name: NormalizedName) -> set[Version]:
    if where.kind == "build":
        own = document.data.get("project", {}).get("name", "")
        of_member = {member.name for member in lock.inputs.members} & {canonicalize_name(own)}
        builds = (build for build in lock.builds if build.needed == "project" or build.name in of_member)
        packages = (package for build in builds for package in build.packages)
        return {Version(package.version) for package in packages if canonicalize_name(package.name) == name}
    return {
        Version(package.version)
        for package in lock.packages
        if package.name == name and not package.build_only and package.source is None and package.version is not None
    }
