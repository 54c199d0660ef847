"""Generated workspaces, through the command line: what each member installs is an answer of its own, by brute force.

The whole lock in `packaging`, the part of one member, and our export agree on each selection.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.requirements import Requirement
from packaging.version import Version

from deep_lock.cli.main import run
from deep_lock.config.options import ExportOptions
from deep_lock.errors import UsageError
from deep_lock.events import silent
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.member import member_lock
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.writer import to_text
from deep_lock.models.conflicts import broken_conflict, choices
from deep_lock.operations.export import export
from deep_lock.targets.factory import make_target, read_host
from deep_lock.targets.markers import BASE, Scope
from tests.support.brute_force import answers, closed
from tests.support.scenario_server import ScenarioServer
from tests.support.scenarios import LINUX, selected

NAMES = ["a", "b", "c"]
MEMBERS = ["m", "n", "o"]
VERSIONS = ["1.0", "2.0"]
TARGET = make_target("3.13", LINUX, host=read_host())
EXTRA, GROUP = Scope(kind="extra", name="x"), Scope(kind="group", name="g")
OWN = (BASE, EXTRA, GROUP)
Chosen = frozenset[tuple[str, Scope]]
"""Scopes of members."""


def requirements(names: Sequence[str]) -> st.SearchStrategy[str]:
    return st.builds(
        "{}{}".format, st.sampled_from(names), st.sampled_from(["", "", "==1.0", "==2.0", ">=2.0", "<2.0"])
    )


def lists(names: Sequence[str], most: int = 2) -> st.SearchStrategy[list[str]]:
    return st.lists(requirements(names), max_size=most)


def member(name: str) -> st.SearchStrategy[dict[str, Any]]:
    others = st.sampled_from([f"{other}{extra}" for other in MEMBERS if other != name for extra in ("", "[x]")])
    return st.fixed_dictionaries(
        {
            "is_package": st.booleans(),
            "requires": lists(NAMES),
            "members": st.lists(others, max_size=1),
            "extra": lists(NAMES, 1),
            "group": lists(NAMES, 1),
        }
    )


worlds = st.fixed_dictionaries(
    {name: st.fixed_dictionaries(dict.fromkeys(VERSIONS, lists(NAMES, 1))) for name in NAMES}
)
workspaces = st.fixed_dictionaries({name: member(name) for name in MEMBERS})
scopes = st.tuples(st.sampled_from(MEMBERS), st.sampled_from(OWN))
conflict_sets = st.lists(st.lists(scopes, min_size=2, max_size=2, unique=True), max_size=2)


def called(name: str, own: Scope, root: str) -> Scope:
    if own == BASE:
        return Scope(kind="group", name=name)
    return own if name == root else Scope(kind=own.kind, name=f"{name}-{own.kind}-{own.name}")


def pyproject(name: str, own: Mapping[str, Any]) -> str:
    text: str = (
        f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {own["requires"] + own["members"]!r}\n'
        f"[project.optional-dependencies]\nx = {own['extra']!r}\n[dependency-groups]\ng = {own['group']!r}\n"
    )
    built = '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n'
    return text + (built if own["is_package"] else "")


def write(folder: Path, workspace: Mapping[str, Mapping[str, Any]], root: str, conflicts: Sequence[Any]) -> None:
    for name, own in workspace.items():
        place = folder if name == root else folder / "packages" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "pyproject.toml").write_text(pyproject(name, own), encoding="utf-8")
    tables = [
        ", ".join(
            f'{{package = "{name}"' + (f', {own.kind} = "{own.name}"' if own != BASE else "") + "}"
            for name, own in each
        )
        for each in conflicts
    ]
    sources = "".join(f"{name} = {{ workspace = true }}\n" for name in MEMBERS)
    settings_ = (
        f"[tool.deep-lock]\nconflicts = [{', '.join(f'[{own}]' for own in tables)}]\n"
        f'[tool.deep-lock.workspace]\nmembers = ["packages/*"]\n[tool.deep-lock.sources]\n{sources}'
    )
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(settings_)


def oracle(world: Mapping[str, Any], workspace: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the world of the brute force: members are releases of it."""
    found: dict[str, Any] = {
        name: {version: {"requires": texts} for version, texts in own.items()} for name, own in world.items()
    }
    for name, own in workspace.items():
        extra = [f"{text}; extra == 'x'" for text in own["extra"]]
        found[name] = {"1": {"requires": [*own["requires"], *own["members"], *extra]}}
    return found


def roots(workspace: Mapping[str, Mapping[str, Any]], chosen: Chosen) -> list[str]:
    """Return what scopes of members require."""
    texts: list[str] = []
    for name, scope in chosen:
        own = workspace[name]
        if scope == GROUP:
            texts += own["group"]
        elif own["is_package"]:
            texts.append(name if scope == BASE else f"{name}[x]")
        else:
            texts += [*own["requires"], *own["members"]] if scope == BASE else own["extra"]
    return texts


def every_selection() -> Iterator[Chosen]:
    """Yield selections: an extra is there with its member only."""
    scopes = [(name, own) for name in MEMBERS for own in OWN]
    for chosen in chain.from_iterable(combinations(scopes, count) for count in range(1, len(scopes) + 1)):
        if all((name, BASE) in chosen for name, own in chosen if own == EXTRA):
            yield frozenset(chosen)


def pins(texts: Sequence[str]) -> dict[str, Version]:
    """Return what is selected as the brute force has it; a folder has version 1."""
    pairs = [text.partition("==")[::2] for text in texts]
    assert len(dict(pairs)) == len(pairs), "two releases of one project"
    return {name: Version(version or "1") for name, version in pairs}


def exported(path: Path, package: str, chosen: Sequence[Scope]) -> list[str]:
    options = ExportOptions(
        lock=path,
        package=package,
        format="requirements",
        extras=tuple(own.name for own in chosen if own.kind == "extra"),
        groups=tuple(own.name for own in chosen if own.kind == "group"),
    )
    ((_, text),) = export(options, silent).files
    lines = (line.partition(" \\")[0] for line in str(text).splitlines() if line and line[0] not in "# ")
    required = [Requirement(line) for line in lines]
    return sorted(own.name + ("" if own.url else str(own.specifier)) for own in required)


@settings(max_examples=40, deadline=None)
@given(world=worlds, workspace=workspaces, conflicts=conflict_sets, root=st.sampled_from(["", "m"]))
def test_each_selection_of_each_member_is_an_answer(
    world: dict[str, Any], workspace: dict[str, Any], conflicts: list[Any], root: str
) -> None:
    releases = {
        f"{name} {version}": {"requires": texts} for name, own in world.items() for version, texts in own.items()
    }
    named = tuple(tuple(sorted(called(name, scope, root) for name, scope in own)) for own in conflicts)
    by_name = {called(name, own, root): (name, own) for name in MEMBERS for own in OWN}
    whole = oracle(world, workspace)
    with TemporaryDirectory() as text, ScenarioServer() as server, pytest.MonkeyPatch.context() as patch:
        folder, path = Path(text) / "project", Path(text) / "project" / "deep.lock"
        patch.setenv("DEEP_LOCK_CACHE_DIR", str(Path(text) / "cache"))
        server.hold({**releases, "flit-core 3.12.0": {}, "setuptools 80.0": {}})
        write(folder, workspace, root, conflicts)
        command = ["lock", "--project", str(folder), "--default-index", server.url, "--hooks=static"]
        code = run([*command, "--python-version=3.13", f"--platform={LINUX}"])
        if code:
            event("impossible")
            assert code == 1
            assert any(
                next(answers(whole, roots(workspace, chosen)), None) is None
                for chosen in every_selection()
                if broken_conflict(named, [called(name, own, root) for name, own in chosen]) is None
            )
            return
        lock = from_text(path.read_text(encoding="utf-8"), "deep.lock")
        assert run([*command, "--python-version=3.13", f"--platform={LINUX}", "--check"]) == 0
        assert broken_invariants(lock, (TARGET,)) == ()
        parsed = Pylock.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
        found: dict[Chosen, list[str]] = {}
        for chosen in every_selection():
            here = [called(name, own, root) for name, own in chosen]
            if broken_conflict(named, here) is None:
                extras = [own.name for own in here if own.kind == "extra"]
                groups = [own.name for own in here if own.kind == "group"]
                found[chosen] = selected(parsed, TARGET, extras=extras, groups=groups)
                assert closed(whole, roots(workspace, chosen), pins(found[chosen])), (sorted(here), found[chosen])
        for name in MEMBERS:
            part = member_lock(lock, name, (TARGET,), "deep.lock")
            written = to_text(part)
            assert broken_invariants(from_text(written, "deep.lock"), (TARGET,)) == ()
            alone = Pylock.from_dict(tomllib.loads(written))
            for own in ((), (EXTRA,), (GROUP,), (EXTRA, GROUP)):
                wanted = frozenset((name, scope) for scope in (BASE, *own))
                if wanted not in found:
                    with pytest.raises(UsageError, match=r"cannot be selected together|has no (extra|group)"):
                        exported(path, name, own)
                    continue
                extras, groups = ["x"] * (EXTRA in own), ["g"] * (GROUP in own)
                assert selected(alone, TARGET, extras=extras, groups=groups) == found[wanted], (name, own)
                assert exported(path, name, own) == found[wanted], (name, own)
    event(f"conflicts: {len(choices(named, by_name))}")
