"""The part of one member, of a lock in which two members are in conflict."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.errors import UsageError
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.member import is_of_member, member_lock
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import Lock
from deep_lock.targets.markers import BASE, Scope

PATH = Path(__file__).parents[3] / "fixtures" / "locks" / "workspace.lock"


@pytest.fixture
def whole() -> Lock:
    return from_text(PATH.read_text(encoding="utf-8"), PATH.name)


def part_of(lock: Lock, name: str) -> Lock:
    """Return the part of a member, written and read back."""
    targets = chosen_targets(lock, (), PATH.name)
    text = to_text(member_lock(lock, name, targets, PATH.name))
    part = from_text(text, PATH.name)
    assert broken_invariants(part, targets) == ()
    assert to_text(part) == text
    return part


def test_a_part_has_what_the_member_installs_and_builds(whole: Lock) -> None:
    core = part_of(whole, "Core")
    assert {entry.name: (entry.version, entry.marker) for entry in core.packages} == {
        "check": ("1.0", "'dev' in dependency_groups"),
        "core": (None, None),
        "draw": ("1.0", "'docs' in dependency_groups"),
        "engine": ("1.0", None),
        "shared": ("1.0", None),
        "speedups": ("1.0", "'fast' in extras and sys_platform == 'win32'"),
        "zipper": ("1.0", "'deep-lock-build' in dependency_groups"),
    }
    web = part_of(whole, "web")
    versions = {entry.name: entry.version for entry in web.packages}
    assert versions == {
        "check": "1.0",
        "engine": "2.0",
        "pages": "1.0",
        "web": None,
        "web-tests": "1.0",
        "zipper": "1.0",
    }
    assert [build.name for build in core.builds] == ["core"]
    assert [tree.path for tree in core.inputs.trees] == ["packages/core"]


def test_a_part_has_the_names_of_the_member(whole: Lock) -> None:
    core = part_of(whole, "core")
    assert (core.extras, core.dependency_groups, core.default_groups) == (("fast",), ("dev", "docs"), ())
    assert (core.inputs.members, core.inputs.conflicts) == ((), ())
    assert core.inputs.requirements == ("core @ ./packages/core",)
    assert dict(core.inputs.extras) == {"fast": ("core[fast] @ ./packages/core",)}
    assert dict(core.inputs.dependency_groups) == {"dev": ("check<2",), "docs": ("draw",)}


def test_a_reference_needs_no_version_where_the_part_has_one(whole: Lock) -> None:
    before = {entry.name: entry.dependencies for entry in whole.packages}
    after = {entry.name: entry.dependencies for entry in part_of(whole, "core").packages}
    assert [(own.name, own.version) for own in before["core"] if own.name == "engine"] == [("engine", "1.0")]
    assert [(own.name, own.version) for own in after["core"] if own.name == "engine"] == [("engine", None)]


def test_conflicts_inside_a_member_stay(whole: Lock) -> None:
    scopes = Scope(kind="group", name="core-group-dev"), Scope(kind="group", name="core-group-docs")
    lock = replace(whole, inputs=replace(whole.inputs, conflicts=(scopes,)))
    own = Scope(kind="group", name="dev"), Scope(kind="group", name="docs")
    assert part_of(lock, "core").inputs.conflicts == (own,)
    assert part_of(lock, "web").inputs.conflicts == ()


def test_what_excludes_the_member_itself_is_not_in_its_part(whole: Lock) -> None:
    scopes = Scope(kind="group", name="core"), Scope(kind="group", name="core-group-docs")
    core = part_of(replace(whole, inputs=replace(whole.inputs, conflicts=(scopes,))), "core")
    assert core.dependency_groups == ("dev",)
    assert "draw" not in {entry.name for entry in core.packages}
    assert all(scope != BASE for conflict in core.inputs.conflicts for scope in conflict)


def test_names_that_are_no_members(whole: Lock) -> None:
    targets = chosen_targets(whole, (), PATH.name)
    with pytest.raises(UsageError, match="has no member 'gone'") as refused:
        member_lock(whole, "gone", targets, PATH.name)
    assert refused.value.hint == "it has: core, web"
    without = replace(whole, dependency_groups=("web",))
    with pytest.raises(UsageError, match="member 'core' is not locked"):
        member_lock(without, "core", targets, PATH.name)


def test_the_folders_of_members(whole: Lock) -> None:
    assert [entry.name for entry in whole.packages if is_of_member(entry, whole)] == ["core", "web"]
