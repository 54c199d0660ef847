"""The checks of this project, each in an environment of its own: `nox -l` lists them, `nox -s tests -- PATH` runs one.

`.ci/run` runs all of them in one environment, and installs what else the tests need. These sessions also run on macOS and Windows.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

PINS = ".ci/pins"
CODE = ("src", "tests", ".ci", "noxfile.py")


def _install(session: nox.Session) -> None:
    """Install the project with its tests, with the versions and hashes of our own lock."""
    session.run("python", "-m", "pip", "install", "-q", "--require-hashes", "-r", f"{PINS}/tests.txt")
    build = ("--no-deps", "--build-constraint", f"{PINS}/build-constraints.txt")
    session.run("python", "-m", "pip", "install", "-q", *build, "-e", ".")


@nox.session
def lint(session: nox.Session) -> None:
    """Format, rules, the import contract, the lock, the workflows."""
    _install(session)
    session.run("ruff", "format", "--check", *CODE)
    session.run("ruff", "check", *CODE)
    session.run("lint-imports", "--no-logo")
    session.run("deep-lock", "lock", "--check")
    session.run("zizmor", "--offline", "--quiet", ".github", "docs/ci")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strict."""
    _install(session)
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, or those that are named after `--`; pytest runs eight at the same time, `-n 0` one."""
    _install(session)
    session.run("python", "-m", "pytest", "-q", *session.posargs)


@nox.session
def live(session: nox.Session) -> None:
    """The tests that need the public package index, with the newest version of every tool."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "-m", "live", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in build/site, and the tests of the documentation: links, commands, tables, words."""
    _install(session)
    session.run("python", "-m", "pip", "install", "-q", "--require-hashes", "-r", f"{PINS}/docs.txt")
    session.run("mkdocs", "build", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "-m", "pytest", "-q", "tests/docs", *session.posargs, env={"DEEP_LOCK_SITE": "build/site"})


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks; without options, a made-up index of 300 projects, compared with uv."""
    _install(session)
    session.run("python", "tests/benchmarks/run.py", *session.posargs, env={"PYTHONPATH": "."})


@nox.session
def lock(session: nox.Session) -> None:
    """Update our own deep.lock and what CI installs from it; `-- -U` takes the newest versions."""
    _install(session)
    session.run("python", ".ci/own_lock.py", *session.posargs)
