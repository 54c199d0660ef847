"""Scenarios: a small index, a project, flags, and what must come of it, as one TOML file in fixtures/scenarios.

``title``              what the case is, in a sentence
``requirements``       what the project asks for; or
``files``              path to text, files of the project's folder; a pyproject.toml among them is taken as it is
``pythons``, ``platforms``  the targets, each Python on each platform; default one: LINUX
``hooks``              of ``--hooks``; default "static": nothing runs. With another, {here} is the label of the target
                       that this interpreter on this machine is: the Python "here" on the platform "host"
``flags``              of ``deep-lock lock``; {url}, {NAME} (the URL of another index), {folder} are filled in
``[releases."name version"]``            see scenario_server
``[indexes.NAME.releases."name version"]``  another index, asked first: the flag ``--index NAME=...`` is given for it,
                       unless ``quiet = true`` stands in it
``[server]``           settings of the index server: html, sidecars, ranges, hashes
``links``              releases ("name version") that lie in the folder ``links`` of the project, and on no index
``repositories``       git repositories beside the project's folder: under each name a list of commits, each with ``files``
                       and perhaps ``tag`` and ``branch``; {git:NAME} is the file: URL of one, {commit:NAME:REV} a commit
``broken``             why the scenario fails today: it is then expected to fail, and must not pass unnoticed
``[expect]``           ``exit`` (0), ``says`` (texts of stderr), ``silent`` (texts that must not be there),
                       ``never`` (parts of paths that must not be asked for)
``[expect.from]``      "name==version" to the name of the index ("url" for the default one) whose very bytes are locked
``[expect.runtime]``   target label, or "all", to "name==version" texts
``[expect.python]``    "name==version" to the requires-python of the entry; "" for none
``[expect.urls]``      "name==version" to the URL of its one file
``[expect.marks]``     "name==version" to the marks of the entry, exactly: "build-only", "direct", "build-on=LABEL", ...
``[[expect.builds]]``  ``of`` ("name==version", or "." for the project), ``packages``; and any of ``needed``,
                       ``evidence``, ``asked`` (requires-dynamic; "unknown" where the key must be absent), ``targets``,
                       ``requires``, ``user`` (requires-user), ``backend``, ``declared``, ``from``, ``ends``,
                       ``on`` (observed-on), ``hook`` ("wheel" or "editable"), ``cargo-lock`` (a text: that of the sdist's own)

Whatever is locked must be closed (closedness.py), read back, install the runtime set by packaging.pylock on each target,
pass --check without a request, and be the same bytes when it is locked again.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli
from packaging.pylock import Package, Pylock
from packaging.tags import Tag

from deep_lock.cli import session
from deep_lock.cli.main import run
from deep_lock.lockfile.index import files_of, index_lock, required_packages
from deep_lock.lockfile.index import key_of as lock_key
from deep_lock.lockfile.reader import from_text
from deep_lock.models.build_system import LEGACY_REQUIRES
from deep_lock.models.lock import Lock, LockedBuild, LockedPackage, source_text
from deep_lock.targets.factory import make_target, read_host
from deep_lock.targets.target import Target
from tests.support.closedness import faults, installed_entries
from tests.support.scenario_server import (
    Release,
    Releases,
    ScenarioServer,
    release_files,
    sdist_requires,
    wheel_requires,
)

MINOR = f"3.{sys.version_info.minor}"
HERE = make_target(MINOR, "host", host=read_host()).label
LINUX, WINDOWS, MACOS = "x86_64-manylinux_2_28", "x86_64-windows", "arm64-macos_14"
NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
"""When every run of a bench takes place: the default Pythons depend on it."""
MARKS = ("build_only", "also_build", "sdist_only", "direct", "no_source")
KEYS = frozenset(
    {
        "title",
        "broken",
        "requirements",
        "files",
        "pythons",
        "platforms",
        "hooks",
        "flags",
        "releases",
        "indexes",
        "server",
        "links",
        "repositories",
        "expect",
    }
)
EXPECTED = frozenset(
    {"exit", "says", "silent", "never", "from", "runtime", "python", "urls", "marks", "builds", "names"}
)
PLAIN = '[project]\nname = "app"\nversion = "1"\ndependencies = {}\n'


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run of the command did."""

    code: int
    stderr: str
    """The time that the run took is 0.0 s: two runs can be compared."""
    text: str
    """The lock that stands there afterwards; empty where there is none."""
    asked: tuple[str, ...]

    @property
    def lock(self) -> Lock:
        return from_text(self.text, "deep.lock")

    def pins(self, *, builds: bool = True) -> list[str]:
        """Return the entries as "name==version"."""
        return [key_of(entry) for entry in self.lock.packages if builds or not entry.build_only]


def key_of(entry: LockedPackage | LockedBuild) -> str:
    return f"{entry.name}=={entry.version}" if entry.version is not None else entry.name


@dataclass(kw_only=True)
class Bench:
    """A project's folder, a cache, indexes, and the command."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    servers: Mapping[str, ScenarioServer]
    pythons: Sequence[str] = ("3.13",)
    platforms: Sequence[str] = (LINUX,)
    told: Releases = field(default_factory=dict)
    hooks: str = "static"
    named: Sequence[str] = ()
    """Names of indexes that stand on the command line."""

    @property
    def server(self) -> ScenarioServer:
        return self.servers[""]

    @property
    def targets(self) -> tuple[Target, ...]:
        host = read_host()
        return tuple(make_target(python, platform, host=host) for python in self.pythons for platform in self.platforms)

    def hold(self, releases: Releases) -> None:
        """Serve these releases from the default index."""
        self.server.hold(releases)
        self.told = releases

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the project; {url} and the names of indexes are filled in."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.filled(text), encoding="utf-8")

    def ask(self, *requirements: str) -> None:
        """Write a plain project that asks for these."""
        self.write({"pyproject.toml": PLAIN.format(list(requirements))})

    def filled(self, text: str) -> str:
        for name, server in self.servers.items():
            text = text.replace(f"{{{name or 'url'}}}", server.url)
        for path in sorted((self.folder.parent / "repositories").glob("*")):
            text = text.replace(f"{{git:{path.name}}}", path.as_uri())
            for revision in re.findall(rf"{{commit:{path.name}:([^}}]+)}}", text):
                text = text.replace(
                    f"{{commit:{path.name}:{revision}}}", git(path, "rev-parse", f"{revision}^{{commit}}")
                )
        for server, names in ((self.server, self.told),):
            for key, release in names.items():
                for file in release_files(key, release):
                    text = text.replace(f"{{file:{file.filename}}}", f"{server.origin}/files/{file.filename}")
                    text = text.replace(f"{{sha256:{file.filename}}}", hashlib.sha256(file.content).hexdigest())
        return text.replace("{folder}", str(self.folder)).replace("{here}", HERE)

    def flags(self) -> list[str]:
        """Return the flags that every run has."""
        flags = ["--project", str(self.folder), "--default-index", self.server.url]
        flags += [f"--index={name}={self.servers[name].url}" for name in self.named]
        flags += [f"--python-version={python}" for python in self.pythons]
        flags += [f"--hooks={self.hooks}"]
        return flags + [f"--platform={platform}" for platform in self.platforms]

    def lock(self, *flags: str, output: str = "deep.lock") -> Run:
        """Run ``deep-lock lock`` in this process."""
        own = [self.filled(flag) for flag in flags]
        given = [flag for flag in self.flags() if "--no-index" not in own or "index=" not in flag]
        if "--no-index" in own:
            place = given.index("--default-index")
            given[place : place + 2] = []
        before = {name: len(server.log) for name, server in self.servers.items()}
        self.capture.readouterr()
        code = run(["lock", *given, *own])
        told = self.capture.readouterr()
        assert told.out == "", "stdout is for data"
        assert "Traceback" not in told.err
        path = self.folder / output
        return Run(
            code=code,
            stderr=re.sub(r"(packages?) in \d+\.\d s", r"\1 in 0.0 s", told.err),
            text=path.read_text(encoding="utf-8") if path.is_file() else "",
            asked=tuple(
                f"{name}:{request.path}" if name else request.path
                for name, server in self.servers.items()
                for request in server.log[before[name] :]
            ),
        )

    # -- closedness.Truth

    def _release(self, filename: str) -> Release:
        for key, release in self.told.items():
            if any(file.filename == filename for file in release_files(key, release)):
                return release
        raise LookupError(filename)

    def _project(self, source: str) -> Mapping[str, Any]:
        """Return the [project] table of a source tree."""
        place, _, inner = source.removeprefix("@").partition("#subdirectory=")
        path = f"{inner}/pyproject.toml" if inner else "pyproject.toml"
        if place.startswith("git+file:"):
            repository, _, commit = place.removeprefix("git+file:").rpartition("@")
            text = git(self.folder / repository, "show", f"{commit}:{path}")
        else:
            text = (self.folder / place / path).read_text(encoding="utf-8")
        table = tomli.loads(text)
        # what only the backend tells is repeated under [tool.truth]
        project: Mapping[str, Any] = {**table.get("project", {}), **table.get("tool", {}).get("truth", {})}
        return project

    def requires_dist(self, filename: str) -> Sequence[str]:
        if filename.startswith("@"):
            last = filename.partition("#")[0].rpartition("/")[2]
            if last.endswith((".whl", ".tar.gz", ".zip")):
                return self.requires_dist(last)
            project = self._project(filename)
            texts = list(project.get("dependencies", ()))
            for extra, own in project.get("optional-dependencies", {}).items():
                for text in own:
                    required, _, marker = text.partition(";")
                    texts.append(f"{required} ; extra == {extra!r}" + (f" and ({marker})" if marker else ""))
            return texts
        release = self._release(filename)
        if filename.endswith(".whl"):
            return wheel_requires(release, "-".join(filename.removesuffix(".whl").split("-")[-3:]))
        return sdist_requires(release)

    def build_requires(self, filename: str) -> Sequence[str]:
        release = self._release(filename)
        text = release.get("tree", {}).get("pyproject.toml")
        if text is not None:
            requires = tomli.loads(text).get("build-system", {}).get("requires", LEGACY_REQUIRES)
            assert isinstance(requires, list | tuple)
            return requires
        return list(release.get("build", LEGACY_REQUIRES))


def set_clock(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    """Let the command line read this time in this process. Times of files stay those of the machine."""
    monkeypatch.setattr(session, "datetime", SimpleNamespace(now=now.astimezone))


@contextmanager
def bench(
    folder: Path,
    capture: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    releases: Releases,
    *,
    indexes: Mapping[str, Releases] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Bench]:
    """Start the servers and make the folders."""
    project = folder / "project"
    project.mkdir()
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(folder / "cache"))
    set_clock(monkeypatch, NOW)
    with ExitStack() as stack:
        servers = {"": stack.enter_context(ScenarioServer(**(settings or {})))}
        servers[""].hold(releases)
        told = dict(releases)
        for name, own in (indexes or {}).items():
            servers[name] = stack.enter_context(ScenarioServer())
            servers[name].hold(own)
            told |= own
        yield Bench(folder=project, capture=capture, servers=servers, told=told)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One file of fixtures/scenarios."""

    name: str
    table: Mapping[str, Any]

    @property
    def expect(self) -> Mapping[str, Any]:
        expected: Mapping[str, Any] = self.table["expect"]
        return expected


def git(folder: Path, *arguments: str) -> str:
    """Run the real git."""
    program = shutil.which("git")
    assert program is not None
    environ = {
        "PATH": os.environ.get("PATH", ""),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@files.example",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@files.example",
    }
    ran = subprocess.run([program, *arguments], cwd=folder, env=environ, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def make_repository(folder: Path, commits: Sequence[Mapping[str, Any]]) -> None:
    """Make a repository with these commits."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for commit in commits:
        if "branch" in commit:
            git(folder, "checkout", "--quiet", "-B", commit["branch"])
        for name, text in commit["files"].items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message=one")
        if "tag" in commit:
            git(folder, "tag", "--annotate", "--message=one", commit["tag"])
    git(folder, "checkout", "--quiet", "main")


def load(path: Path) -> Scenario:
    """Read one scenario; a key that means nothing is a mistake."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(table) <= KEYS, set(table) - KEYS
    assert set(table["expect"]) <= EXPECTED, set(table["expect"]) - EXPECTED
    return Scenario(name=path.stem, table=table)


@contextmanager
def laid(
    scenario: Scenario, folder: Path, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """Lay a scenario out: servers, files, folders."""
    table = scenario.table
    links = frozenset(table.get("links", ()))
    releases: Releases = table.get("releases", {})
    served = {key: release for key, release in releases.items() if key not in links}
    others: Mapping[str, Any] = table.get("indexes", {})
    indexes = {name: own["releases"] for name, own in others.items()}
    with bench(folder, capture, monkeypatch, served, indexes=indexes, settings=table.get("server")) as made:
        made.told = {**made.told, **releases}
        made.named = [name for name, own in others.items() if not own.get("quiet")]
        made.hooks = table.get("hooks", made.hooks)
        made.pythons = [MINOR if python == "here" else python for python in table.get("pythons", made.pythons)]
        made.platforms = table.get("platforms", made.platforms)
        for name, commits in table.get("repositories", {}).items():
            make_repository(folder / "repositories" / name, commits)
        made.ask(*table.get("requirements", ()))
        made.write(table.get("files", {}))
        for key in sorted(links):
            for file in release_files(key, releases[key]):
                (made.folder / "links").mkdir(exist_ok=True)
                (made.folder / "links" / file.filename).write_bytes(file.content)
        yield made


def check(scenario: Scenario, made: Bench) -> None:
    """Lock, and compare with what is expected."""
    flags = scenario.table.get("flags", ())
    expect = scenario.expect
    first = made.lock(*flags)
    assert first.code == expect.get("exit", 0), first.stderr
    for text in expect.get("says", ()):
        assert made.filled(text) in first.stderr, first.stderr
    for text in expect.get("silent", ()):
        assert text not in first.stderr
    for part in expect.get("never", ()):
        assert not [path for path in first.asked if part in path]
    if first.code:
        assert first.text == ""
        return
    lock = first.lock
    check_whole(made, first)
    _check_runtime(expect.get("runtime", {}), lock, made.targets)
    entries = {key_of(entry): marks(entry) for entry in lock.packages}
    for key, own in _here(expect.get("marks", {})).items():
        assert entries[key] == sorted(map(made.filled, own)), key
    pythons = {key_of(entry): entry.requires_python or "" for entry in lock.packages}
    for key, text in expect.get("python", {}).items():
        assert pythons[key] == text, key
    for key, text in expect.get("urls", {}).items():
        entry = next(entry for entry in lock.packages if key_of(entry) == key)
        assert [file.url for file in files_of(entry)] == [made.filled(text)], key
    for key, name in expect.get("from", {}).items():
        _check_origin(next(entry for entry in lock.packages if key_of(entry) == key), made, name)
    if "builds" in expect:
        check_builds([_here({**table, "of": made.filled(table["of"])}) for table in expect["builds"]], lock)
    again = made.lock(*flags, "--check")
    assert (again.code, again.asked) == (0, ()), again.stderr
    again = made.lock(*flags)
    assert (again.code, again.asked, again.text) == (0, (), first.text)
    assumed = {own.name for own in lock.builds if own.evidence == "assumed"}
    assumed |= {entry.name for entry in lock.packages if entry.metadata == "assumed"}
    assert all(f"warning: {name} " in again.stderr or f"warning: {name}: " in again.stderr for name in assumed)
    (made.folder / "deep.lock").unlink()
    again = made.lock(*flags)
    assert again.text == first.text, "a warm cache must not change a byte"
    # A guess that came to nothing may be asked for again; so may a page that the last index does not have.
    pages = {f"/simple/{entry.name}/" for entry in lock.packages if entry.index is not None}
    assert not [path for path in again.asked if path.rpartition(":")[2] in pages], "fresh pages were asked for again"


def check_whole(made: Bench, ran: Run) -> None:
    """Judge a lock by the laws that hold for each."""
    scope = dict(ran.lock.options)["build-scope"]
    project = ran.lock.inputs.build_requires is not None
    assert faults(ran.lock, made.targets, made, scope=str(scope), project=project) == []
    required = required_packages(index_lock(ran.lock))
    assert [entry.name for entry in ran.lock.packages if lock_key(entry) not in required] == []
    parsed = Pylock.from_dict(tomllib.loads(ran.text))
    for target in made.targets:
        assert selected(parsed, target) == installed(ran.lock, target)


def selected(
    parsed: Pylock, target: Target, *, extras: Sequence[str] | None = None, groups: Sequence[str] | None = None
) -> list[str]:
    """Return what packaging would install on a target; None is every extra, or every group."""
    chosen = parsed.select(
        environment=dict(target.environment),  # type: ignore[arg-type]  # a mapping of the same keys
        tags=[Tag(*tag.split("-")) for tag in target.tags],
        extras=list((parsed.extras or ()) if extras is None else extras),
        dependency_groups=[*(parsed.dependency_groups or ()), *(parsed.default_groups or ())]
        if groups is None
        else groups,
    )
    return sorted(_shown(package) for package, _ in chosen)


def _shown(package: Package) -> str:
    return f"{package.name}=={package.version}" if package.version is not None else package.name


def installed(lock: Lock, target: Target) -> list[str]:
    """Return the entries that the lock means for a target."""
    return sorted(key_of(entry) for entry in installed_entries(lock, target))


def _check_runtime(expected: Mapping[str, Sequence[str]], lock: Lock, targets: Sequence[Target]) -> None:
    assert set(expected) <= {"all", *(target.label for target in targets)}
    for target in targets:
        if own := expected.get(target.label, expected.get("all")):
            assert installed(lock, target) == sorted(own), target.label
        elif "all" in expected:
            assert installed(lock, target) == [], target.label


def _check_origin(entry: LockedPackage, made: Bench, name: str) -> None:
    server = made.servers["" if name == "url" else name]
    assert entry.index == server.url
    for file in (*entry.wheels, *([entry.sdist] if entry.sdist is not None else [])):
        assert file.url is not None
        assert file.url.startswith(server.url.removesuffix("simple/"))
        assert file.sha256 == hashlib.sha256(server.known[file.name].content).hexdigest()


def marks(entry: LockedPackage) -> list[str]:
    """Return the marks of an entry as texts."""
    found = [name.replace("_", "-") for name in MARKS if getattr(entry, name)]
    if entry.source is not None:
        found.append(f"source={source_text(entry.source)}")
        found += ["editable"] if getattr(entry.source, "editable", False) else []
    found += [f"build-on={label}" for label in entry.build_on]
    found += [f"metadata={entry.metadata}"] if entry.metadata else []
    found += [f"hash-origin={entry.hash_origin}"] if entry.hash_origin else []
    found += [f"license={entry.license}"] if entry.license is not None else []
    found += [f"license-classifier={text}" for text in entry.license_classifiers]
    found += [f"yanked={entry.yanked}"] if entry.yanked is not None else []
    return sorted(found)


def check_builds(expected: Sequence[Mapping[str, Any]], lock: Lock) -> None:
    """Compare all build records, key by key as far as keys are given."""
    told = [told_build(build) for build in lock.builds]
    wanted = sorted((_digested(table) for table in expected), key=_record_order)
    found = sorted(told, key=_record_order)
    assert [table["of"] for table in found] == [table["of"] for table in wanted]
    for own, table in zip(found, wanted, strict=True):
        assert {key: own[key] for key in table} == dict(table)


def _record_order(table: Mapping[str, Any]) -> tuple[str, bool, list[str]]:
    return table["of"], table.get("hook") == "editable", table.get("targets", [])


def _here(value: Any) -> Any:
    """Fill in the label of this machine's own target, wherever it stands."""
    if isinstance(value, str):
        return value.replace("{here}", HERE)
    if isinstance(value, list):
        return [_here(part) for part in value]
    return {key: _here(part) for key, part in value.items()} if isinstance(value, dict) else value


def _digested(table: Mapping[str, Any]) -> dict[str, Any]:
    """A scenario holds the text of a Cargo.lock, a record its digest."""
    text = table.get("cargo-lock")
    return {**table, **({"cargo-lock": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"} if text else {})}


def _called(build: LockedBuild) -> str:
    if build.needed == "project":
        return "."
    return key_of(build) if build.source is None else f"{build.name} @ {build.source}"


def told_build(build: LockedBuild) -> dict[str, Any]:
    """Return a record as scenarios spell it."""
    declared = build.declared_packages
    return {
        "of": _called(build),
        "hook": build.hook or "wheel",
        "packages": [f"{member.name}=={member.version}" for member in build.packages],
        "declared": None if declared is None else [f"{member.name}=={member.version}" for member in declared],
        "needed": build.needed,
        "evidence": build.evidence,
        "asked": "unknown" if build.requires_dynamic is None else list(build.requires_dynamic),
        "targets": list(build.targets),
        "requires": list(build.requires),
        "user": list(build.requires_user),
        "cargo-lock": build.cargo_lock or "",
        "backend": build.backend,
        "from": build.requires_from,
        "ends": build.ends,
        "on": build.observed_on,
    }
