"""`deep-lock policy`: each rule finds what it is for, and nothing in a lock that keeps it."""

import json
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from deep_lock.analysis.policy import evaluate
from deep_lock.cli.main import run
from deep_lock.lockfile.writer import to_text
from deep_lock.models.changes import CODES, Finding
from deep_lock.models.lock import (
    BUILD_MARKER,
    EnvironmentMember,
    Lock,
    LockedArchive,
    LockedBuild,
    LockedDirectory,
    LockedPackage,
)
from deep_lock.models.policy import AGAINST, FROM_DATABASE, IN_WHEELS, RULES, Exemption, Policy
from deep_lock.reports.findings import findings_github
from tests.support.lock_strategies import (
    INDEX,
    WHEN,
    WINDOWS,
    closed_locks,
    in_folder,
    locked_target,
    package,
    sdist,
    small_lock,
    wheel,
)
from tests.support.scenarios import git

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FIXTURES = Path(__file__).parents[3] / "fixtures" / "locks"
FOREIGN = FIXTURES / "policy" / "foreign-host.lock"
OTHER_INDEX = "https://other.example/simple/"


def direct(name: str, *needs: str) -> LockedPackage:
    return replace(package(name, "1.0", *needs), direct=True)


def backend(name: str = "setuptools") -> LockedPackage:
    return replace(package(name), marker=BUILD_MARKER, build_only=True)


def built(name: str = "old") -> LockedPackage:
    return replace(
        package(name), direct=True, sdist_only=True, wheels=(), sdist=sdist(name, "1.0"), build=f"{name}==1.0"
    )


def build_of(name: str = "old", *members: str, **fields: Any) -> LockedBuild:
    ready: dict[str, Any] = {
        "name": name,
        "version": "1.0",
        "sdist": f"sha256:{sdist(name, '1.0').sha256}",
        "needed": "always",
        "backend": "setuptools.build_meta",
        "requires": members or ("setuptools",),
        "requires_from": "pyproject",
        "requires_dynamic": (),
        "evidence": "static",
        "packages": tuple(EnvironmentMember(name=one, version="1.0") for one in members or ("setuptools",)),
    }
    return LockedBuild(**(ready | fields))


def elsewhere(entry: LockedPackage, start: str, index: str | None = INDEX) -> LockedPackage:
    wheels = tuple(replace(file, url=(file.url or "").replace("https://files.example", start)) for file in entry.wheels)
    return replace(entry, wheels=wheels, index=index)


def aged(entry: LockedPackage, days: float | None) -> LockedPackage:
    time = None if days is None else NOW - timedelta(days=days)
    return replace(entry, wheels=tuple(replace(file, upload_time=time) for file in entry.wheels))


def with_build(*more: LockedPackage, members: tuple[str, ...] = ("setuptools",), **fields: Any) -> Lock:
    """A project that is built at run time, with its backend."""
    return small_lock(built(), *map(backend, members), *more, builds=(build_of("old", *members, **fields),))


def licensed(app: str | None, lib: str | None) -> Lock:
    return small_lock(replace(direct("app", "lib"), license=app), replace(package("lib"), license=lib))


def classified(*names: str) -> Lock:
    return small_lock(
        replace(direct("app"), license_classifiers=tuple(f"License :: OSI Approved :: {name}" for name in names))
    )


PLAIN = small_lock(direct("app", "lib"), package("lib"))
DEEP = small_lock(
    built(),
    replace(backend("middle"), wheels=(), sdist=sdist("middle", "1.0"), build="middle==1.0", sdist_only=True),
    backend("bottom"),
    builds=(build_of("old", "middle"), build_of("middle", "bottom")),
)


@dataclass(frozen=True)
class Case:
    code: str
    lock: Lock
    subjects: tuple[str, ...]
    says: str = ""
    policy: Policy = field(default_factory=Policy)
    severity: str = ""
    """The level that the rule has by itself, where it is not told."""
    old: Lock | None = None


def case(code: str, lock: Lock, *subjects: str, says: str = "", severity: str = "", **rest: Any) -> Case:
    old = rest.pop("old", None)
    return Case(code, lock, subjects, says, Policy(**rest), severity, old)


def attested(*repositories: str, lock: Lock = PLAIN, name: str = "lib") -> Lock:
    """Return a lock that was made with publishers: one package has these."""
    own = tuple((("kind", "GitHub"), ("repository", text)) for text in repositories)
    packages = (replace(entry, attestation_identities=own) if entry.name == name else entry for entry in lock.packages)
    return replace(lock, packages=tuple(packages), options=(("attestations", "record"),))


def in_build(*repositories: str) -> Lock:
    return attested(*repositories, lock=with_build(), name="setuptools")


ATTESTED = attested("a/b")
OURS = {"lib": ((("kind", "GitHub"), ("repository", "a/c")),)}


def late(days: int) -> LockedPackage:
    entry = direct("app")
    file = sdist("app", "1.0")
    return replace(entry, sdist=replace(file, upload_time=WHEN + timedelta(days=days)))


MANY_FILES = elsewhere(
    replace(direct("many"), wheels=tuple(wheel("many", "1.0", f"cp313-cp313-x{place}") for place in range(5))),
    "https://mirror.example",
)
TWO_HOSTS = small_lock(direct("app"), elsewhere(direct("lib"), "https://files.examp1e"), package("more"))
ARCHIVE = LockedArchive(url="https://code.example/lib.zip", sha256="ab" * 32)
DIRECT = small_lock(direct("app"), replace(direct("lib"), index=None, wheels=(), source=ARCHIVE))
MIXED = small_lock(direct("app"), elsewhere(direct("lib"), "https://files.example", OTHER_INDEX))

TOOL_2 = small_lock(
    built(),
    replace(backend(), version="2.0", wheels=(replace(wheel("setuptools", "2.0"), upload_time=None),)),
    builds=(build_of("old", packages=(EnvironmentMember(name="setuptools", version="2.0"),)),),
)
BUILT_09 = small_lock(
    replace(built(), version="0.9", sdist=sdist("old", "0.9"), build="old==0.9"),
    backend(),
    builds=(build_of("old", version="0.9", sdist=f"sha256:{sdist('old', '0.9').sha256}"),),
)

CASES = [
    case("foreign-host", TWO_HOSTS, "lib 1.0", says="files.examp1e; its index uses files.example and index.example"),
    case("foreign-host", TWO_HOSTS, "lib 1.0", says="looks like files.example", hosts=frozenset({"files.example"})),
    case("foreign-host", TWO_HOSTS, hosts=frozenset({"files.example", "files.examp1e"})),
    # where two hosts are used as much, neither is taken for granted
    case(
        "foreign-host",
        small_lock(direct("app"), elsewhere(direct("lib"), "https://mirror.example")),
        "app 1.0",
        "lib 1.0",
        says="its index uses index.example",
    ),
    case("foreign-host", small_lock(direct("app"), elsewhere(direct("lib"), "https://index.example"), package("b"))),
    case("foreign-host", small_lock(direct("app"), in_folder(direct("lib"), "links"))),
    # entries count for more than files: one entry with many does not make its host the usual one
    case("foreign-host", small_lock(direct("app"), package("lib"), MANY_FILES), "many 1.0"),
    case("foreign-host", replace(small_lock(package("app"), MANY_FILES), options=(("find-links", ("https://mirror.example/x",)),)), "app 1.0"),
    case("foreign-host", replace(TWO_HOSTS, options=(("find-links", ("https://files.examp1e/x", "links")),))),
    # the standard port is no other host; another one is
    case("foreign-host", small_lock(direct("app"), elsewhere(direct("lib"), "https://files.example:443"))),
    case(
        "foreign-host",
        small_lock(direct("app"), elsewhere(direct("lib"), "https://files.example:444"), package("c")),
        "lib 1.0",
    ),
    # what the project names itself is no foreign host, but it is none of those that are allowed either
    case("foreign-host", DIRECT),
    case("foreign-host", DIRECT, "lib 1.0", says="code.example", hosts=frozenset({"files.example"})),
    case("foreign-index", MIXED, "lib 1.0", says="not an index of the lock"),
    case("foreign-index", MIXED, "app 1.0", says="not an index of the policy", indexes=frozenset({OTHER_INDEX})),
    case("foreign-index", MIXED, indexes=frozenset({OTHER_INDEX, INDEX})),
    case("insecure-url", small_lock(elsewhere(direct("app"), "http://files.example")), "app 1.0"),
    case("insecure-url", small_lock(elsewhere(direct("app"), "http://127.0.0.1:80"))),
    case("insecure-url", small_lock(direct("app"))),
    case("signed-url", small_lock(replace(direct("app"), wheels=(replace(wheel("app", "1.0"), url="https://files.example/app-1.0-py3-none-any.whl?X-Amz-Signature=1"),))), "app 1.0"),
    case("signed-url", small_lock(replace(direct("app"), wheels=(replace(wheel("app", "1.0"), url="https://files.example/app-1.0-py3-none-any.whl?v=1"),)))),
    case("direct-url", DIRECT, "lib 1.0", says="https://code.example/lib.zip"),
    case(
        "hash-shared",
        small_lock(direct("app"), replace(direct("lib"), wheels=(replace(wheel("lib", "1.0"), sha256=wheel("app", "1.0").sha256),))),
        "lib 1.0",
        says="has the same sha256 as app-1.0-py3-none-any.whl of app 1.0",
    ),
    case("denied", PLAIN, "lib 1.0", deny=("lib",)),
    case("denied", PLAIN, "app 1.0", says="(ap*)", deny=("ap*", "other")),
    case("denied", with_build(), "setuptools 1.0", deny=("setuptools",)),
    case("denied", PLAIN, deny=("li", "app-*")),
    # all that is in an environment runs, at each level; what is not built by the named ones too
    case("foreign-builder", DEEP),
    case("foreign-builder", DEEP, "bottom 1.0", "middle 1.0", says="runs while old 1.0 is built", may_build=()),
    case("foreign-builder", DEEP, "bottom 1.0", says="runs while middle 1.0 is built", may_build=("middle",)),
    case("foreign-builder", DEEP, may_build=("middle", "bot*")),
    # an sdist with its own backend runs itself, and must be named too
    case("foreign-builder", with_build(backend_path=(".",)), "old 1.0", says="own backend", may_build=("setuptools",)),
    case("foreign-builder", with_build(backend_path=(".",)), may_build=("setuptools", "old")),
    case("foreign-builder", with_build(backend_path=(".",), needed="project", source="."), may_build=("setuptools",)),
    # a first stage in which only the hook runs
    case(
        "foreign-builder",
        with_build(backend("late"), declared_packages=(EnvironmentMember(name="late", version="1.0"),)),
        "late 1.0",
        may_build=("setuptools",),
    ),
    case("hash-computed", small_lock(replace(direct("app"), hash_origin="computed")), "app 1.0"),
    case("built-at-run-time", with_build(), levels={}, says=""),
    case(
        "built-at-run-time", with_build(), "old 1.0", says="on all targets", severity="error", levels={"built-at-run-time": "error"}
    ),
    case(
        "built-at-run-time",
        small_lock(built()),
        "old 1.0",
        says="its build is not locked",
        severity="error",
        levels={"built-at-run-time": "error"},
    ),
    case(
        "built-at-run-time",
        replace(with_build(targets=("cp313-x86_64-windows",)), targets=(*PLAIN.targets, locked_target(WINDOWS))),
        "old 1.0",
        says="where no wheel fits",
        severity="error",
        levels={"built-at-run-time": "error"},
    ),
    # a wheel for everything that is installed; what is only needed to build may be built
    case("built-at-run-time", PLAIN, levels={"built-at-run-time": "error"}),
    case("built-at-run-time", DEEP, "old 1.0", severity="note", levels={"built-at-run-time": "note"}),
    case("backend", with_build(), says=""),
    case("backend", with_build(), backends=frozenset({"setuptools.build_meta"})),
    case("backend", with_build(), "old 1.0", says="setuptools.build_meta", backends=frozenset({"flit_core.buildapi"})),
    # a backend out of the sdist may call itself as it likes
    case(
        "backend",
        with_build(backend_path=(".",)),
        "old 1.0",
        says="in its own source tree",
        backends=frozenset({"setuptools.build_meta"}),
    ),
    case("backend-path", with_build(backend_path=("a", "b")), "old 1.0", says="in its own source tree: a, b"),
    case("assumed", with_build(evidence="assumed", requires_dynamic=None), "old 1.0"),
    case(
        "assumed",
        with_build(evidence="assumed", requires_dynamic=("pbr", "cython<4")),
        "old 1.0",
        says="only its declared build requirements and cython<4, pbr are locked",
    ),
    case("assumed", small_lock(replace(built(), metadata="assumed")), "old 1.0", says="only its build backend"),
    case("cargo-lock", with_build(cargo_lock=f"sha256:{'ab' * 32}"), "old 1.0"),
    case("downloader", with_build(members=("nodeenv", "setuptools")), "old 1.0", says="nodeenv, which downloads Node.js"),
    # at run time it is the project's own concern
    case("downloader", small_lock(direct("nodeenv"))),
    case("too-deep", DEEP),
    case("too-deep", DEEP, max_depth=2),
    case("too-deep", DEEP, "bottom 1.0", says="on build level 2, and the deepest allowed level is 1", max_depth=1),
    case("too-deep", DEEP, "bottom 1.0", "middle 1.0", max_depth=0),
    case("too-new", small_lock(aged(direct("app"), 3)), "app 1.0", says="3 days ago; the minimum age is 7 days"),
    case("too-new", small_lock(aged(direct("app"), 7))),
    case("too-new", small_lock(aged(direct("app"), -1)), "app 1.0", says="in the future"),
    case("too-new", small_lock(aged(direct("app"), 1.5)), "app 1.0", says="36 hours ago"),
    case("too-new", small_lock(aged(direct("app"), 3)), min_age=timedelta(days=2)),
    case("too-new", small_lock(aged(direct("app"), 3)), "app 1.0", severity="error", min_age=timedelta(days=4)),
    # build requirements by themselves; what is both, by the longer of the two
    case(
        "too-new",
        small_lock(built(), aged(backend("setuptools"), 5), builds=(build_of(),)),
        "setuptools 1.0",
        severity="error",
        min_age_build=timedelta(days=6),
    ),
    case("too-new", small_lock(aged(direct("app"), 3)), min_age_build=timedelta(days=6)),
    case(
        "too-new",
        small_lock(built(), aged(direct("setuptools"), 5), builds=(build_of(),)),
        "setuptools 1.0",
        severity="error",
        min_age=timedelta(days=1),
        min_age_build=timedelta(days=6),
    ),
    case("too-new", small_lock(aged(direct("app"), 3)), min_age=timedelta(days=4), ageless=frozenset({"app"})),
    # one file without a time is enough, and a policy that asks for an age does not look away
    case("no-upload-time", small_lock(aged(direct("app"), None))),
    case("no-upload-time", small_lock(aged(direct("app"), None)), "app 1.0", says="unknown: its index states no upload time", severity="error", min_age=timedelta(days=4)),
    case("no-upload-time", small_lock(in_folder(aged(direct("app"), None), "links")), "app 1.0", says="unknown: a file in a folder has no upload time", severity="error", min_age=timedelta(days=4)),
    case("no-upload-time", DIRECT, "lib 1.0", says="its source is unknown: it is not from an index", severity="error", min_age=timedelta(days=4)),
    case("no-upload-time", DIRECT, min_age=timedelta(days=4), ageless=frozenset({"lib"})),
    case("no-upload-time", small_lock(replace(DIRECT.packages[1], source=LockedDirectory(path="lib"))), min_age=timedelta(days=4)),
    case("late-file", small_lock(late(15)), "app 1.0", says="app-1.0.tar.gz was uploaded 15 days after app-1.0-py3"),
    case("late-file", small_lock(late(14))),
    case("late-file", small_lock(aged(late(15), None))),
    case("look-alike", small_lock(direct("reqeusts")), "reqeusts", says="looks like requests"),
    case("look-alike", small_lock(direct("requests"))),
    case("look-alike", with_build(members=("setuptoo1s",)), "setuptoo1s", says="looks like setuptools"),
    case("yanked", small_lock(replace(direct("app"), yanked="it is broken")), "app 1.0", says="it is broken"),
    case("yanked", with_build(), says=""),
    case("yanked", small_lock(built(), replace(backend(), yanked=""), builds=(build_of(),)), "setuptools 1.0"),
    case("license", licensed("MIT", "gpl-3.0-only OR mit"), licenses=frozenset({"MIT"})),
    case("license", licensed("MIT", "GPL-3.0-only AND MIT"), "lib 1.0", says="GPL-3.0-only AND MIT", licenses=frozenset({"MIT"})),
    case("license", licensed("MIT", "GPL-3.0-only")),
    # what only builds is not passed on, and what is not known is told by another rule
    case("license", small_lock(built(), replace(backend(), license="MIT"), builds=(build_of(),)), licenses=frozenset({"0BSD"})),
    case("license-unknown", licensed(None, "all of it")),
    case("license-unknown", licensed(None, "all of it"), "app 1.0", "lib 1.0", says="all of it is not an SPDX", severity="finding", licenses=frozenset({"MIT"})),
    case("license-unknown", licensed("MIT", "MIT"), licenses=frozenset({"MIT"})),
    case("license-unknown", licensed(None, "MIT"), licenses=frozenset({"MIT"}), levels={"license-unknown": "off"}),
    # without an expression, by the classifiers; what one can mean must all be allowed
    case("license", classified("MIT License"), licenses=frozenset({"MIT"})),
    case("license", classified("MIT License"), "app 1.0", says="known from classifiers only: MIT License, which means MIT", licenses=frozenset({"0BSD"})),
    case("license", classified("BSD License"), "app 1.0", says="can mean BSD-2-Clause: not allowed", licenses=frozenset({"BSD-3-Clause"})),
    case("license", classified("MIT License", "GNU General Public License v3 (GPLv3)"), "app 1.0", says="GPL-3.0-only", licenses=frozenset({"MIT"})),
    case("license", classified("Other/Proprietary License"), licenses=frozenset({"MIT"})),
    case("license", replace(classified("BSD License"), packages=(replace(classified("BSD License").packages[0], license="MIT"),)), licenses=frozenset({"MIT"})),
    case("license-unknown", classified("MIT License", "Freely Distributable"), "app 1.0", says="name none that is known: Freely Distributable, MIT License", severity="finding", licenses=frozenset({"MIT"})),
    case("license-unknown", classified("MIT License"), licenses=frozenset({"MIT"})),
    case("license-from-classifiers", classified("MIT License")),
    case("license-from-classifiers", classified("MIT License"), "app 1.0", says="MIT License", severity="note", levels={"license-from-classifiers": "note"}),
    case("license-from-classifiers", licensed("MIT", "MIT"), levels={"license-from-classifiers": "note"}),
    # against the lock of before
    case("license-changed", classified("ISC License (ISCL)"), "app", says="license: MIT License -> ISC License", old=classified("MIT License")),
    case("license-changed", small_lock(replace(direct("app"), license="MIT")), old=classified("MIT License")),
    case("license-changed", licensed("MIT", "0BSD"), "lib", says="license: MIT -> 0BSD", old=licensed("MIT", "MIT")),
    case("license-changed", licensed("MIT", None), "lib", says="license: MIT -> no license expression", old=licensed("MIT", "MIT")),
    case("license-changed", licensed("MIT", "MIT"), old=licensed("MIT", None)),
    # a lock of before the time of licences
    case("license-changed", licensed(None, None), old=licensed("MIT", "MIT")),
    # it went into the build layer, and nobody is given it any more
    case("license-changed", small_lock(built(), replace(backend(), license="0BSD"), builds=(build_of(),)), old=small_lock(replace(direct("setuptools"), license="MIT"))),
    case("yanked-new", small_lock(replace(direct("app"), yanked="")), "app", old=small_lock(direct("app"))),
    case("yanked-new", small_lock(replace(direct("app"), yanked="")), old=small_lock(replace(direct("app"), yanked="x"))),
    case("package-new", small_lock(direct("app"), direct("lib")), "lib", old=small_lock(direct("app"))),
    case("package-new", small_lock(direct("app")), old=small_lock(direct("app"))),
    # a rule holds by itself, also where `diff` tells the same fact under a louder code
    case("package-new", with_build(), "old", old=small_lock(direct("app"))),
    case("build-new", with_build(), "old", old=small_lock(direct("app"))),
    case("build-dep-new", with_build(), "setuptools", old=small_lock(direct("app"))),
    case("became-sdist-only", with_build(), "old", old=small_lock(direct("old"))),
    case(
        "hash-changed",
        small_lock(replace(direct("app"), wheels=(replace(wheel("app", "1.0"), sha256="cd" * 32),))),
        "app",
        old=small_lock(direct("app")),
    ),
    case("file-added-later", small_lock(replace(direct("app"), wheels=(*direct("app").wheels, replace(wheel("app", "1.0"), name="app-1.0-1-py3-none-any.whl", upload_time=NOW + timedelta(days=900))))), "app", old=small_lock(direct("app"))),
    case("host-new", TWO_HOSTS, "lib", old=PLAIN),
    case("host-new", TWO_HOSTS, old=PLAIN, hosts=frozenset({"files.examp1e", "files.example"})),
    case("index-changed", MIXED, "lib", old=PLAIN),
    case("index-changed", MIXED, old=PLAIN, indexes=frozenset({OTHER_INDEX, INDEX})),
    case("build-gone", small_lock(built()), "old", says="its build no longer has a record", old=with_build()),
    case("build-gone", small_lock(direct("old")), "old", says="it has wheels", old=with_build()),
    case("build-gone", small_lock(direct("app")), old=with_build()),
    case("build-gone", replace(small_lock(direct("old")), targets=()), old=with_build()),
    case("backend-changed", with_build(backend="x.y"), "old", old=with_build()),
    case("requires-changed", with_build(requires=("setuptools>1",)), "old", old=with_build()),
    case("build-tool-changed", TOOL_2, "setuptools", says="1.0 -> 2.0 (its age is not known) in the build of old 1.0", old=with_build()),
    case("build-tool-changed", TOOL_2, old=TOOL_2),
    case("downgraded", with_build(), "setuptools", says="2.0 -> 1.0", old=TOOL_2),
    case("built-release-changed", with_build(), "old", says="0.9 -> 1.0", old=BUILT_09),
    case("built-release-changed", small_lock(direct("old")), old=BUILT_09),
    case("evidence-lowered", with_build(evidence="assumed", requires_dynamic=None), "old", old=with_build()),
    case("role-changed", small_lock(direct("setuptools")), "setuptools", old=with_build()),
    case("source-changed", DIRECT, "lib", old=PLAIN),
    case("provenance-lost", PLAIN, "lib", says="publisher: GitHub (repository a/b) -> none", old=ATTESTED),
    case("provenance-lost", ATTESTED, old=ATTESTED),
    case("provenance-lost", PLAIN, old=PLAIN),
    case("identity-changed", attested("a/c"), "lib", says="GitHub (repository a/b) -> GitHub (repository a/c)", old=ATTESTED),
    case("identity-changed", attested("a/b", "a/c"), old=ATTESTED),
    case("identity-changed", attested("a/c"), old=ATTESTED, publishers=OURS),
    case("identity-changed", attested("a/d"), "lib", old=ATTESTED, publishers=OURS),
    case("identity-changed", in_build("a/c"), "setuptools", old=in_build("a/b")),
    case("identity-new", ATTESTED, "lib", says="none -> GitHub", old=attested()),
    case("identity-new", ATTESTED, old=PLAIN),
    case("identity-new", attested("a/c"), old=attested(), publishers=OURS),
    case("publisher", attested("a/c"), publishers=OURS),
    case("publisher", attested("x/y", "a/c"), publishers=OURS),
    case("publisher", ATTESTED, "lib 1.0", says="by GitHub (repository a/b), and the policy names GitHub (repository a/c)", publishers=OURS),
    case("publisher", PLAIN, "lib 1.0", says="by no publisher", publishers=OURS),
    case("publisher", in_build("a/c"), "setuptools 1.0", publishers={"setuptools": ((("kind", "GitLab"),),)}),
    case("not-attested", ATTESTED, attested=frozenset({"lib"})),
    case("not-attested", ATTESTED, "app 1.0", attested=frozenset({":all:"})),
    case("not-attested", DIRECT, "lib 1.0", attested=frozenset({"lib"})),
    case("not-attested", in_build(), "setuptools 1.0", attested=frozenset({"setuptools"})),
    case("downgraded", small_lock(direct("app")), "app", old=small_lock(replace(package("app", "2.0"), direct=True))),
    case(
        "settings-changed",
        replace(PLAIN, options=(("resolution", "lowest"),)),
        "the lock",
        old=PLAIN,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{'-'.join(case.subjects) or 'quiet'}")
def test_rules(case: Case) -> None:
    found = [one for one in evaluate(case.lock, case.policy, now=NOW, old=case.old) if one.code == case.code]
    assert tuple(sorted({one.subject for one in found})) == case.subjects
    for one in found:
        assert one.severity == (case.severity or RULES[case.code][0])
    if case.subjects:
        assert any(case.says in one.message for one in found), found


def test_every_rule_has_a_case_that_it_finds() -> None:
    others = IN_WHEELS | FROM_DATABASE
    assert {case.code for case in CASES if case.subjects} == set(RULES) - others, (
        "test_wheel_rules and test_audit have these"
    )


def test_rules_against_a_lock_are_codes_of_changes() -> None:
    assert not AGAINST - CODES.keys()
    loud = {code for code, (_, weight, _) in CODES.items() if weight in {"danger", "look"}}
    of_diff_alone = {"wheel-installed", "advisory-new", "native-new", "contents-new"}  # policy reads no old wheel
    assert loud <= AGAINST | IN_WHEELS | of_diff_alone, "a change that asks a person to look is a rule"


@pytest.mark.parametrize("lock", [PLAIN, DEEP], ids=["plain", "deep"])
def test_a_lock_like_most_keeps_the_default_policy(lock: Lock) -> None:
    assert evaluate(lock, Policy(), now=NOW) == ()


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(closed_locks())
def test_one_lock_has_one_answer(lock: Lock) -> None:
    policy = Policy(levels=dict.fromkeys(RULES, "finding"), max_depth=0, backends=frozenset())
    turned = replace(lock, packages=lock.packages[::-1], builds=lock.builds[::-1])
    assert evaluate(lock, policy, now=NOW) == evaluate(turned, policy, now=NOW)
    assert not [one for one in evaluate(lock, policy, now=NOW, old=lock) if one.code in AGAINST]


def test_a_finding_says_what_brings_it_in_and_where() -> None:
    lock = with_build(members=("nodeenv", "setuptools"), targets=("cp313-x86_64-manylinux_2_28",), needed="targets")
    (build,) = (one for one in evaluate(lock, Policy(), now=NOW) if one.code == "downloader")
    assert (build.chain, build.targets) == (("old 1.0",), ("cp313-x86_64-manylinux_2_28",))
    (entry,) = evaluate(DEEP, Policy(max_depth=1), now=NOW)
    assert entry.chain == ("build of old 1.0", "build of middle 1.0", "bottom 1.0")


def test_the_build_of_the_project_is_checked_too() -> None:
    own = build_of("app", "setuptools", needed="project", source=".", sdist=None, backend_path=(".",))
    found = evaluate(
        small_lock(backend(), builds=(own,)), Policy(backends=frozenset({"setuptools.build_meta"})), now=NOW
    )
    assert [(one.code, one.subject, one.chain) for one in found] == [
        ("backend", "app 1.0", ()),
        ("backend-path", "app 1.0", ()),
    ]


# -- exceptions


def exempt(rule: str = "hash-computed", name: str = "app", until: date = date(2026, 6, 1), **more: str) -> Exemption:
    return Exemption(name=name, rule=rule, reason="seen", until=until, **more)


COMPUTED = small_lock(replace(direct("app"), hash_origin="computed"))


def told(lock: Lock, *exemptions: Exemption, old: Lock | None = None) -> list[tuple[str, str]]:
    policy = Policy(exceptions=exemptions, levels={"hash-computed": "error"})
    return [(one.code, one.severity) for one in evaluate(lock, policy, now=NOW + timedelta(hours=23), old=old)]


@pytest.mark.parametrize(
    ("exemption", "expected"),
    [
        (exempt(), [("hash-computed", "note")]),
        (exempt(version="1.0"), [("hash-computed", "note")]),
        (exempt(version="1.1"), [("hash-computed", "error"), ("exception-unused", "note")]),
        (exempt(name="lib"), [("hash-computed", "error"), ("exception-unused", "note")]),
        (exempt(rule="assumed"), [("hash-computed", "error"), ("exception-unused", "note")]),
        (exempt(until=date(2026, 5, 31)), [("exception-expired", "error"), ("hash-computed", "error")]),
        # one that is over is an error though nothing needs it: nobody would look at it again
        (exempt(name="lib", until=date(2020, 1, 1)), [("exception-expired", "error"), ("hash-computed", "error")]),
    ],
)
def test_exceptions(exemption: Exemption, expected: list[tuple[str, str]]) -> None:
    assert told(COMPUTED, exemption) == expected


def test_an_exception_says_why_in_the_finding() -> None:
    (finding,) = evaluate(COMPUTED, Policy(exceptions=(exempt(),)), now=NOW)
    assert finding.message.endswith("(excepted until 2026-06-01: seen)")
    assert finding.hint == ""


def test_an_exception_of_a_rule_that_was_not_asked_is_not_called_unused() -> None:
    exemption = exempt(rule="package-new")
    assert told(PLAIN, exemption) == []
    assert told(PLAIN, exemption, old=PLAIN) == [("exception-unused", "note")]


def test_levels_make_louder_and_quieter() -> None:
    levels = {
        code: [one.severity for one in evaluate(COMPUTED, Policy(levels={"hash-computed": code}), now=NOW)]
        for code in ("error", "note", "off")
    }
    assert levels == {"error": ["error"], "note": ["note"], "off": []}


# -- the command


class Folder:
    """A lock with a policy beside it, and the command."""

    def __init__(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.lock = path / "deep.lock"
        self._capfd = capfd

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self._capfd.readouterr()
        code = run(["policy", "--lock", str(self.lock), *arguments])
        said = self._capfd.readouterr()
        return code, said.out, said.err


@pytest.fixture
def folder(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    made = Folder(tmp_path, capfd)
    made.lock.write_text(to_text(COMPUTED), encoding="utf-8")
    return made


def test_a_finding_is_told_and_no_failure(folder: Folder) -> None:
    code, out, err = folder.run()
    read = "the contents of 0 of 1 wheels were read; --deep fetches the others\n"
    assert (code, err) == (0, read + "deep.lock passes the policy: 1 finding\n")
    assert out.startswith("finding hash-computed:app==1.0: app 1.0: its index states no sha256")
    assert out.count("\n") == 1


def test_strict_fails_for_findings_and_not_for_notes(folder: Folder) -> None:
    code, out, err = folder.run("--strict")
    assert (code, out.count("\n")) == (1, 1)
    assert "\nerror: deep.lock breaks the policy: 1 finding\n" in err
    assert "deep-lock policy --accept ID" in err
    (folder.path / "deep-lock.toml").write_text('[policy]\nhash-computed = "note"\n', encoding="utf-8")
    assert folder.run("--strict")[0] == 0


def test_an_error_fails(folder: Folder) -> None:
    folder.lock.write_text(FOREIGN.read_text(encoding="utf-8"), encoding="utf-8")
    code, out, err = folder.run("-q")
    assert code == 1
    assert out.startswith(
        "error foreign-host:setuptools==84.2.1: setuptools 84.2.1: setuptools-84.2.1-py3-none-any.whl comes from foreign.i"
    )
    assert "error: deep.lock breaks the policy: 1 error" in err
    assert "hosts = " in err


@pytest.mark.parametrize("where", ["deep-lock.toml", "pyproject.toml"])
def test_the_policy_beside_the_lock_holds(folder: Folder, where: str) -> None:
    table = "policy" if where == "deep-lock.toml" else "tool.deep-lock.policy"
    (folder.path / where).write_text(f'[{table}]\nhash-computed = "error"\n', encoding="utf-8")
    code, out, _ = folder.run()
    assert (code, out[:20]) == (1, "error hash-computed:")


def test_another_policy_takes_its_place(folder: Folder) -> None:
    (folder.path / "deep-lock.toml").write_text('[policy]\nhash-computed = "off"\n', encoding="utf-8")
    out, err = folder.run()[1:]
    assert (out, err.splitlines()[-1]) == ("", "deep.lock passes the policy: nothing found")
    (folder.path / "company.toml").write_text('hash-computed = "error"\n', encoding="utf-8")
    assert folder.run("--policy", str(folder.path / "company.toml"))[0] == 1


def test_against_an_earlier_lock(folder: Folder) -> None:
    (folder.path / "old.lock").write_text(to_text(small_lock(direct("other"))), encoding="utf-8")
    code, out, _ = folder.run("--against", str(folder.path / "old.lock"))
    assert code == 0
    assert "finding package-new:app==1.0: app: 1.0 is new at run time" in out


def test_rules_that_are_not_checked_without_an_earlier_lock_are_named(folder: Folder) -> None:
    (folder.path / "deep-lock.toml").write_text(
        '[policy]\nbuild-tool-changed = "error"\npackage-new = "off"\n', encoding="utf-8"
    )
    code, _, err = folder.run()
    assert code == 0
    assert "warning: not checked without --against: build-tool-changed\n" in err
    (folder.path / "old.lock").write_text(folder.lock.read_text(encoding="utf-8"), encoding="utf-8")
    assert "not checked" not in folder.run("--against", str(folder.path / "old.lock"))[2]


def test_against_a_git_revision(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    current = folder.lock.read_text(encoding="utf-8")
    folder.lock.write_text(to_text(small_lock(direct("other"))), encoding="utf-8")
    git(folder.path, "init", "-q", "-b", "main")
    git(folder.path, "add", "deep.lock")
    git(folder.path, "-c", "user.name=x", "-c", "user.email=x@example", "commit", "-q", "-m", "x")
    folder.lock.write_text(current, encoding="utf-8")
    for revision in ("main", "HEAD"):
        code, out, _ = folder.run("--against", revision)
        assert code == 0
        assert "finding package-new:app==1.0: app: 1.0 is new at run time" in out
    code, _, err = folder.run("--against", "no-such-branch")
    assert code == 2
    assert "no-such-branch: is not a file, and not a git revision that has deep.lock" in err


def test_json(folder: Folder) -> None:
    code, out, _ = folder.run("--format", "json")
    (finding,) = json.loads(out)["findings"]
    assert code == 0
    assert (finding["code"], finding["severity"], finding["subject"]) == ("hash-computed", "finding", "app 1.0")
    assert set(finding) == set(Finding.__struct_fields__)


def test_github_points_at_the_entry(folder: Folder) -> None:
    _, out, _ = folder.run("--format", "github")
    lines = folder.lock.read_text(encoding="utf-8").splitlines()
    line = lines.index("[[packages]]") + 2
    assert lines[line - 1] == 'name = "app"'
    assert out.startswith("::warning file=")
    assert f",line={line},title=hash-computed::hash-computed:app==1.0: app 1.0: " in out


def test_sarif_points_at_the_entry_and_has_each_rule_once(folder: Folder) -> None:
    (folder.path / "deep-lock.toml").write_text(
        '[policy]\ndeny = ["app"]\n[[policy.exceptions]]\nname = "app"\nrule = "yanked"\nreason = "x"\nuntil = 2000-01-01\n',
        encoding="utf-8",
    )
    code, out, _ = folder.run("--format", "sarif")
    document = json.loads(out)
    (ran,) = document["runs"]
    assert (code, document["version"]) == (1, "2.1.0")
    levels = [(found["ruleId"], found["level"]) for found in ran["results"]]
    assert levels == [("denied", "error"), ("exception-expired", "error"), ("hash-computed", "warning")]
    rules = {rule["id"]: rule["shortDescription"]["text"] for rule in ran["tool"]["driver"]["rules"]}
    assert rules == {
        "denied": RULES["denied"][1],
        "exception-expired": "exception expired",
        "hash-computed": RULES["hash-computed"][1],
    }
    place = ran["results"][2]["locations"][0]["physicalLocation"]
    lines = folder.lock.read_text(encoding="utf-8").splitlines()
    assert lines[place["region"]["startLine"] - 1] == 'name = "app"'
    assert place["artifactLocation"]["uri"] == folder.lock.as_posix()
    assert ran["results"][2]["message"]["text"].startswith(
        "hash-computed:app==1.0: app 1.0: its index states no sha256"
    )


def test_a_lock_cannot_write_workflow_commands(folder: Folder) -> None:
    (folder.path / "deep-lock.toml").write_text(
        '[[policy.exceptions]]\nname = "app"\nrule = "hash-computed"\nreason = "100%0A::error::x"\nuntil = 2999-01-01\n',
        encoding="utf-8",
    )
    _, out, _ = folder.run("--format", "github")
    assert out.count("\n") == 1
    assert "100%250A::error::x" in out


def test_a_path_cannot_end_the_property_that_it_stands_in() -> None:
    finding = Finding(code="backend", severity="note", subject="lib 1.0", message="x")
    (text,) = findings_github([finding], "C:/a,title=b/deep.lock", {"lib": 7})
    assert text == "::notice file=C%3A/a%2Ctitle=b/deep.lock,line=7,title=backend::backend: lib 1.0: x"


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("deep-lock.toml", "[policy]\nhash = 1\n", "'policy.hash' is not a known key"),
        ("deep.lock", "x", "deep.lock"),
        ("old.lock", "x", "old.lock"),
    ],
)
def test_what_cannot_be_read(folder: Folder, file: str, text: str, says: str) -> None:
    (folder.path / "old.lock").write_text(to_text(COMPUTED), encoding="utf-8")
    (folder.path / file).write_text(text, encoding="utf-8")
    code, out, err = folder.run("--against", str(folder.path / "old.lock"))
    assert (code, out) == (2, "")
    assert says in err


# -- lock --check

TARGET = ("--no-index", "--python-version", "3.13", "--platform", "x86_64-windows")
PROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = ["lib"]\n'
OVER = '[[policy.exceptions]]\nname = "lib"\nrule = "assumed"\nreason = "seen"\nuntil = 2020-01-01\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that needs one wheel, out of a folder: such files have no upload time."""
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    (folder / "links").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    with zipfile.ZipFile(folder / "links" / "lib-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("lib-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n")
        archive.writestr("lib-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("lib-1.0.dist-info/RECORD", "")
    return folder


@pytest.mark.parametrize(
    ("policy", "code", "says"),
    [
        ("", 0, "deep.lock is up to date"),
        ('[policy]\nmax-depth = 0\nbuilt-at-run-time = "error"\n', 0, "deep.lock is up to date"),
        ('[policy]\nno-upload-time = "finding"\n', 0, "deep.lock is up to date"),
        (
            '[policy]\nmin-age = "P7D"\n',
            1,
            "no-upload-time:lib==1.0: lib 1.0: the upload time of lib-1.0-py3-none-any.whl is unknown",
        ),
        (
            '[policy]\nextends = "strict"\n',
            1,
            "no-upload-time:lib==1.0: lib 1.0: the upload time of lib-1.0-py3-none-any.whl is unknown",
        ),
        ('[policy]\nextends = "strict"\nno-upload-time = "off"\n', 0, "deep.lock is up to date"),
        ('[policy]\nextends = {path = "missing.toml"}\n', 2, "there is no file"),
        (
            f'[policy]\nextends = {{url = "https://a.example/x.toml", sha256 = "{"ab" * 32}"}}\n',
            3,
            "is not in the cache",
        ),
        (OVER, 1, "exception-expired: lib: the exception for assumed expired on 2020-01-01: seen"),
    ],
)
def test_check_holds_the_policy(
    policy: str, code: int, says: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ["--project", str(project), "--find-links", str(project / "links"), *TARGET]
    (project / "deep-lock.toml").write_text(policy, encoding="utf-8")
    assert run(["lock", *flags]) == 0, capfd.readouterr().err
    capfd.readouterr()
    assert run(["lock", "--check", *flags]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert says in err


def test_a_stale_lock_is_stale_first(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flags = ["--project", str(project), "--find-links", str(project / "links"), *TARGET]
    (project / "deep-lock.toml").write_text(OVER, encoding="utf-8")
    assert run(["lock", *flags]) == 0
    (project / "pyproject.toml").write_text(PROJECT.replace("lib", "lib>=1"), encoding="utf-8")
    capfd.readouterr()
    assert run(["lock", "--check", *flags]) == 1
    err = capfd.readouterr().err
    assert "is stale" in err
    assert "exception-expired" not in err
