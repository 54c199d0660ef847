"""What is measured: the commands of deep-lock and its peers, and the cases that set two of them against each other."""

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["cold", "warm", "noop"]
"""cold: empty caches, no lock; warm: the caches of the run before, no lock; noop: caches and lock kept."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A command line. ``{index}``, ``{cache}`` and ``{python}`` are filled in."""

    label: str
    program: Literal["deep-lock", "uv", "pybuild-deps"]
    argv: tuple[str, ...]
    lock: str
    """The file that it writes."""
    noop: tuple[str, ...] = ()
    """Added where the lock is up to date: the tool's check command."""
    metadata_files: bool = True
    """Whether the index offers metadata files (PEP 658) to it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """``ours`` against ``theirs`` on one project in one state; ``limit`` is what the project wants of the ratio."""

    project: str
    state: State
    ours: Tool
    theirs: Tool
    limit: str = ""


def _deep_lock(label: str, *flags: str, check: bool = False, metadata_files: bool = True) -> Tool:
    return Tool(
        label=f"deep-lock{label}",
        program="deep-lock",
        argv=("--quiet", "lock", "--default-index", "{index}", "--hooks", "static", *flags),
        lock="deep.lock",
        noop=("--check",) if check else (),
        metadata_files=metadata_files,
    )


ONE = ("--python-version", "{minor}", "--platform", "x86_64-manylinux_2_28")
UV_FLAGS = ("-q", "--default-index", "{index}", "--cache-dir", "{cache}", "-p", "{python}")

DEEP_LOCK = _deep_lock("", *ONE)
RUNTIME = _deep_lock(" (scope none)", *ONE, "--build-scope", "none")
NO_METADATA_FILES = _deep_lock(" (no metadata files)", *ONE, metadata_files=False)
EVERYTHING = _deep_lock(" (scope all)", *ONE, "--build-scope", "all")
MATRIX = _deep_lock(" (matrix)", check=True)
UV_COMPILE = Tool(
    label="uv pip compile",
    program="uv",
    argv=("pip", "compile", "requirements.in", "-o", "out.txt", "--generate-hashes", "--no-config", *UV_FLAGS),
    lock="out.txt",
)
UV_LOCK = Tool(label="uv lock", program="uv", argv=("lock", *UV_FLAGS), lock="uv.lock", noop=("--check",))
PYBUILD_DEPS = Tool(
    label="pybuild-deps",
    program="pybuild-deps",
    argv=("compile", "--generate-hashes", "-o", "build.txt", "locked.txt"),
    lock="build.txt",
)

COLD_LIMITS = {"aws": "<= 0.1", "airflow": "<= 1", "sdist-heavy": "<= 0.3"}
RECORDED = ("small", "web", "native", "data-science", "ml", "sdist-heavy", "aws", "airflow")


def against_uv(project: str) -> list[Case]:
    """Return one target against `uv pip compile`, in the three states."""
    limits: dict[State, str] = {
        "cold": COLD_LIMITS.get(project, "<= 2"),
        "warm": "" if project in COLD_LIMITS else "<= 6",
        "noop": "",
    }
    return [
        Case(project=project, state=state, ours=DEEP_LOCK, theirs=UV_COMPILE, limit=limit)
        for state, limit in limits.items()
    ]


def deep_cases(project: str) -> list[Case]:
    """Return the matrix, the check, and what looking into builds costs."""
    return [
        Case(project=project, state="cold", ours=MATRIX, theirs=UV_LOCK, limit="<= 1"),
        Case(project=project, state="warm", ours=MATRIX, theirs=UV_LOCK),
        Case(project=project, state="noop", ours=MATRIX, theirs=UV_LOCK, limit="0.2 s, no request"),
        Case(project=project, state="cold", ours=DEEP_LOCK, theirs=RUNTIME, limit="<= 1.15"),
        Case(project=project, state="warm", ours=DEEP_LOCK, theirs=RUNTIME, limit="<= 1.15"),
        Case(project=project, state="cold", ours=EVERYTHING, theirs=RUNTIME, limit="6 s own CPU"),
        Case(project=project, state="warm", ours=EVERYTHING, theirs=RUNTIME, limit="<= 1.5"),
    ]


def recorded_cases() -> list[Case]:
    """Return the cases on real projects and a recorded index."""
    cases = [case for project in RECORDED for case in against_uv(project)]
    cases += deep_cases("web")
    cases.append(Case(project="small", state="cold", ours=EVERYTHING, theirs=PYBUILD_DEPS, limit="<= 0.12"))
    return cases


def generated_cases() -> list[Case]:
    """Return the cases on the made-up index: no limits, for they were set on real projects."""
    cases = [replace(case, limit="") for case in against_uv("generated") + deep_cases("generated")]
    plain = Case(project="generated", state="cold", ours=NO_METADATA_FILES, theirs=DEEP_LOCK, limit="<= 1.3")
    return [*cases, plain, replace(plain, state="warm", limit="")]
