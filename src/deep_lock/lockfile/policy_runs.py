"""Rules of a policy about what runs: at run time, and while something is built."""

from collections.abc import Iterator

from deep_lock.lockfile.remarks import Remark, remark_on
from deep_lock.model.chains import Chains
from deep_lock.model.downloaders import DOWNLOADERS
from deep_lock.model.lock import LockedBuild
from deep_lock.model.policy import Policy
from deep_lock.model.register import Key, Register, is_gate, key_of, members, record_key


def run_remarks(register: Register, chains: Chains, policy: Policy) -> Iterator[Remark]:
    """Yield what the rules about builds find."""
    yield from _built_at_run_time(register)
    for build in register.lock.builds:
        yield from _backend(build, policy)
        yield from _evidence(build)
        if build.cargo_lock is not None:
            message = "its build compiles the crates of a Cargo.lock of its own, and this lock does not hold them"
            yield remark_on("cargo-lock", build, message)
        for name in sorted({member.name for member in members(build)} & DOWNLOADERS.keys()):
            message = f"its build environment holds {name}, which {DOWNLOADERS[name]}: no lock holds what it fetches"
            yield remark_on("downloader", build, message)
    for entry in register.lock.packages:
        if entry.metadata == "assumed":
            message = "only its build backend knows its dependencies, and they are assumed"
            yield remark_on("assumed", entry, message)
    yield from _too_deep(register, chains, policy)


def _built_at_run_time(register: Register) -> Iterator[Remark]:
    labels: dict[Key, set[str]] = {}
    built: set[Key] = set()
    for build in register.lock.builds:
        if build.needed != "project":
            built.add(record_key(build))
            labels.setdefault(record_key(build), set()).update(build.targets or register.labels)
    for entry in register.lock.packages:
        if is_gate(entry.marker):
            continue
        if key_of(entry) in built:
            everywhere = labels[key_of(entry)] == register.labels
            where = "everywhere" if everywhere else "where no wheel fits"
            targets = () if everywhere else tuple(sorted(labels[key_of(entry)]))
            told = f"is built where it is installed, {where}: its own code runs there"
            yield remark_on("built-at-run-time", entry, told, targets=targets)
        elif entry.sdist is not None and not entry.wheels:
            told = "has no wheel, and no build of it is locked"
            yield remark_on("built-at-run-time", entry, told)


def _backend(build: LockedBuild, policy: Policy) -> Iterator[Remark]:
    if build.backend_path:
        message = f"is built by {build.backend}, a backend of its own, out of {', '.join(build.backend_path)}"
        yield remark_on("backend-path", build, message)
    if policy.backends is None:
        return
    if build.backend_path:
        message = f"is built by {build.backend} of its own sources: no name of a backend says what that does"
        yield remark_on("backend", build, message)
    elif build.backend not in policy.backends:
        message = f"is built by {build.backend}, which is not one of the policy's backends"
        yield remark_on("backend", build, message)


def _evidence(build: LockedBuild) -> Iterator[Remark]:
    if build.evidence == "assumed":
        message = f"only the build requirements that it declares are locked; what {build.backend} adds is assumed"
        yield remark_on("assumed", build, message)


def _too_deep(register: Register, chains: Chains, policy: Policy) -> Iterator[Remark]:
    if policy.max_depth is None:
        return
    for entry in register.lock.packages:
        level = chains.level(key_of(entry))
        if level is not None and level > policy.max_depth:
            told = f"stands below {level} builds, and {policy.max_depth} are allowed"
            yield remark_on("too-deep", entry, told)
