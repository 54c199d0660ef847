"""Every command in docs/guides runs in the order of its page, on a new project, with a local index and real tools.

The commands are in `sh` blocks, in `run:` and `script:` of YAML, and in `RUN` of a Dockerfile. The tools are pip, uv and build
from this environment, and Poetry and PDM if they are available. Hermeto is a container image, so a script that checks its
arguments, and downloads what the files name, replaces it.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from deep_lock.builds.sandbox.sandbox import probe
from deep_lock.lockfile.reader import from_text
from deep_lock.models.vetting import AUDITS, AuditedFile, FileAudit
from deep_lock.parsing.vetting import read_audits, read_imports_lock
from deep_lock.project.vetting_files import new_text
from tests.support import forked, workspace
from tests.support.advisories import record, write_zip
from tests.support.scenario_server import Releases, ScenarioServer, release_files
from tests.support.scenarios import MINOR, WINDOWS, git, make_repository

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
ZIPPER = (Path(__file__).parents[2] / "fixtures" / "building" / "zipper.py").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOOKS = "sandbox" if probe().level == "strong" else "trust"

PROJECT = f"""\
[project]
name = "letters"
version = "1.0"
requires-python = "=={MINOR}.*"
dependencies = ["app-lib"]

[build-system]
requires = ["zipper"]
build-backend = "zipper"

[tool.deep-lock]
allow-wheel = ["zipper", "shared", "checker", "checker-core", "winonly"]

[tool.poetry]
packages = [{{include = "letters.py"}}]

[[tool.poetry.source]]
name = "local"
url = "{{url}}"
priority = "primary"

[[tool.pdm.source]]
name = "pypi"
url = "{{url}}"
verify_ssl = false
"""
RELEASES: Releases = {
    "zipper 1.0": {"modules": {"zipper.py": ZIPPER}},
    "shared 2.0": {"modules": {"shared.py": ""}},
    "app-lib 1.0": {
        "wheels": [],
        "sdist": True,
        "build": ["zipper", "maker"],
        "backend": "zipper",
        "requires": ["shared>=1"],
        "tree": {"zipper.json": json.dumps({"uses": ["maker"]}), "app_lib.py": "import shared\n"},
    },
    "maker 3.0": {
        "wheels": [],
        "sdist": True,
        "build": ["zipper"],
        "backend": "zipper",
        "tree": {"zipper.json": "{}", "maker.py": ""},
    },
}
HERMETO = r"""
import hashlib, json, os, pathlib, re, sys, urllib.parse, urllib.request
def get(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()
def fetch(package, folder):
    assert package["type"] == "pip" and package["binary"]
    folder.mkdir(parents=True)
    for name in package["requirements_files"] + package["requirements_build_files"]:
        text = pathlib.Path(name).read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if "==" in line and not line.startswith("#")]
        for line in lines:
            wanted = set(re.findall("--hash=sha256:([0-9a-f]+)", line))
            assert wanted, line
            page = os.environ["PIP_INDEX_URL"] + line.partition("==")[0].strip() + "/"
            for link in re.findall('"([^"]+?[.](?:whl|tar[.]gz))["#]', get(page).decode()):
                content = get(urllib.parse.urljoin(page, link))
                if hashlib.sha256(content).hexdigest() in wanted:
                    (folder / link.rpartition("/")[2]).write_bytes(content)
match sys.argv[1:]:
    case ["fetch-deps", "--source", ".", "--output", "hermeto-output", package]:
        fetch(json.loads(package), pathlib.Path("hermeto-output/deps/pip"))
    case ["generate-env", "hermeto-output", "-o", "hermeto.env", "--for-output-dir", folder]:
        text = f"export PIP_FIND_LINKS={folder}/deps/pip\nexport PIP_NO_INDEX=true\n"
        pathlib.Path("hermeto.env").write_text(text)
    case other:
        raise AssertionError(other)
"""
OTHERS = ("poetry", "pdm")
"""Tools that are not requirements of the tests. `.ci/run` installs them, with the releases in .ci/pins."""


def _commands(page: str) -> list[str]:
    """Return the commands of a page as shell scripts, in order."""
    found: list[str] = []
    for language, body in BLOCK.findall(page):
        if language == "sh":
            found.append(body)
        elif language == "yaml":
            found += re.findall(r"^ *- run: (.+)$", body, re.MULTILINE)
            for script in re.findall(r"^ *script:\n((?: +- .+\n)+)", body, re.MULTILINE):
                found += re.findall(r"^ *- (.+)$", script, re.MULTILINE)
        elif language == "dockerfile":
            found += re.findall(r"^RUN (.+)$", body, re.MULTILINE)
        else:
            assert language in {"toml", "text", "console"}, f"no rule for code blocks of {language}"
    return found


def _script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def index() -> Iterator[ScenarioServer]:
    """Provide an index with the project's requirements."""
    with ScenarioServer() as server:
        server.hold(RELEASES)
        yield server


@pytest.fixture
def environ(tmp_path: Path, index: ScenarioServer) -> Mapping[str, str]:
    """Return the variables of an environment with deep-lock, a project, and the index."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    programs = tmp_path / "venv" / "bin"
    own = sysconfig.get_paths(vars={"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")})["purelib"]
    here = sysconfig.get_paths()["purelib"]
    Path(own, "shared.pth").write_text(f"import site; site.addsitedir({here!r})\n", encoding="utf-8")
    (tmp_path / "hermeto.py").write_text(HERMETO, encoding="utf-8")
    _script(programs, "pip", 'exec python -m pip "$@"')
    _script(programs, "deep-lock", 'exec python -m deep_lock "$@"')
    _script(programs, "hermeto", f'exec python {tmp_path / "hermeto.py"} "$@"')
    (project / "pyproject.toml").write_text(PROJECT.replace("{url}", index.url), encoding="utf-8")
    (project / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: letters\nVersion: 1.0\n", encoding="utf-8")
    (project / "letters.py").write_text("import app_lib\n", encoding="utf-8")
    return {
        "PATH": os.pathsep.join((str(programs), str(Path(sys.executable).parent), "/usr/bin", "/bin")),
        "HOME": str(home),
        "VIRTUAL_ENV": str(tmp_path / "venv"),
        "PIP_INDEX_URL": index.url,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "UV_DEFAULT_INDEX": index.url,
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_PYTHON": str(programs / "python"),
        "UV_PYTHON_DOWNLOADS": "never",
        "DEEP_LOCK_DEFAULT_INDEX": index.url,
        "DEEP_LOCK_CACHE_DIR": str(tmp_path / "cache"),
        "DEEP_LOCK_PYTHON_VERSION": "host",
        "DEEP_LOCK_PLATFORM": "host",
        "DEEP_LOCK_HOOKS": HOOKS,
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "SOURCE_DATE_EPOCH": "1700000000",  # the test backend requires it
        **{name: os.environ[name] for name in ("LD_PRELOAD",) if name in os.environ},  # the clock of `.ci/run --clock`
    }


def _with_tool(name: str, environ: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    """Return the environment with one of `OTHERS` on its PATH."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not on PATH")
    return {
        **environ,
        "PATH": os.pathsep.join((environ["PATH"], str(Path(program).parent))),
        "POETRY_VIRTUALENVS_CREATE": "false",
        "POETRY_CACHE_DIR": str(folder / "poetry"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PDM_CHECK_UPDATE": "0",
        "PDM_USE_VENV": "0",
        "PDM_IGNORE_ACTIVE_VENV": "1",
        "PDM_PYTHON": sys.executable,
        "PDM_CACHE_DIR": str(folder / "pdm"),
    }


def _run(page: Path, environ: Mapping[str, str], folder: Path) -> str:
    """Run the commands of a page; return what they print."""
    output: list[str] = []
    commands = _commands(page.read_text(encoding="utf-8"))
    assert commands, f"{page.name} has no command"
    for command in commands:
        # in an image, the folders are at the root
        text = re.sub(r"(?<=[ =])/(fetched|wheels)\b", r"\1", command)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder,
            env=dict(environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{page.name}: {command}\n{ran.stdout}\n{ran.stderr}"
        output.append(ran.stdout)
    return "".join(output)


def _prepare(environ: Mapping[str, str], folder: Path) -> None:
    """Make what these pages say is there already: a lock that was committed."""
    git(folder, "init", "--quiet")
    subprocess.run(["deep-lock", "-q", "lock"], cwd=folder, env=dict(environ), check=True)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=one")


@pytest.mark.parametrize("page", ["pip", "docker", "github-actions", "gitlab"])
def test_every_command_of_a_guide_works(page: str, environ: Mapping[str, str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    _prepare(environ, project)
    _run(GUIDES / f"{page}.md", environ, project)


def test_the_guide_for_the_first_ten_minutes_works(environ: Mapping[str, str], tmp_path: Path) -> None:
    page = GUIDES / "first-ten-minutes.md"
    output = _run(page, environ, tmp_path / "project")
    shown = [body for language, body in BLOCK.findall(page.read_text("utf-8")) if language == "text"]
    assert shown
    assert [body for body in shown if body not in output] == [], output
    assert {"app_lib-1.0", "shared-2.0"} <= set(_installed(tmp_path / "venv"))


def test_the_guides_for_machines_without_a_network_work(
    environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path
) -> None:
    project, offline = tmp_path / "project", GUIDES / "offline.md"
    _prepare(environ, project)
    fetch, build, lock = _commands(offline.read_text(encoding="utf-8"))
    _told("offline", fetch, environ, project)
    requests = len(index.log)
    _told("offline", build, {**environ, "DEEP_LOCK_CACHE_DIR": str(tmp_path / "other")}, project)
    assert {"app_lib-1.0", "shared-2.0"} <= set(_installed(tmp_path / "venv"))
    with_index, without = lock.splitlines()
    _told("offline", with_index, environ, project)
    _told(
        "offline", without, {name: own for name, own in environ.items() if name != "DEEP_LOCK_DEFAULT_INDEX"}, project
    )
    assert "indexes" not in (project / "local.lock").read_text(encoding="utf-8")
    assert len(index.log) == requests, "a request without a network"
    _run(GUIDES / "wheelhouse.md", environ, project)


def test_the_guide_for_changes_of_a_lock_works(environ: Mapping[str, str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    _prepare(environ, project)
    before = from_text((project / "deep.lock").read_text(encoding="utf-8"), "deep.lock")
    _run(GUIDES / "change.md", {name: own for name, own in environ.items() if name != "DEEP_LOCK_PLATFORM"}, project)
    after = from_text((project / "deep.lock").read_text(encoding="utf-8"), "deep.lock")
    added = {target.platform for target in after.targets} - {target.platform for target in before.targets}
    assert {"x86_64-windows", "x86_64-musllinux_1_2"} <= added


def test_the_guide_for_a_vulnerable_release_works(
    environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    write_zip(
        project / "advisories.zip",
        record("PYSEC-1", "shared", "introduced 0", "fixed 2.1", modified=f"{datetime.now(UTC):%Y-%m-%dT00:00:00Z}"),
        record("PYSEC-2", "zipper", "introduced 0", "fixed 1.1"),
    )
    _prepare(environ, project)
    later = {"zipper 1.1": RELEASES["zipper 1.0"], "shared 2.1": RELEASES["shared 2.0"]}
    index.hold({**RELEASES, **later})
    own = {**environ, "DEEP_LOCK_REFRESH": "1"}
    _run(GUIDES / "vulnerable.md", own, project)
    pins = {
        (entry.name, entry.version) for entry in from_text((project / "deep.lock").read_text(), "deep.lock").packages
    }
    assert {("shared", "2.1"), ("zipper", "1.1")} <= pins
    assert not {("shared", "2.0"), ("zipper", "1.0")} & pins


PRIVATE_PROJECT = f"""\
[project]
name = "letters"
version = "1.0"
requires-python = "=={MINOR}.*"
dependencies = ["corp-tool", "shared", "{{third}}"]
"""
PRIVATE: Releases = {"corp-tool 1.0": {"requires": ["corp-core"]}, "corp-core 1.0": {}}
PUBLIC: Releases = {"shared 2.0": {}, "elsewhere 1.0": {}, "corp-tool 99.0": {}}


def test_the_guide_for_private_indexes_works(environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path) -> None:
    project, home, password = tmp_path / "project", tmp_path / "home", "s3cret-w0rd"
    index.hold(PUBLIC)
    both = {**environ, "TOKEN": password}
    alone = {name: own for name, own in both.items() if name != "DEEP_LOCK_DEFAULT_INDEX"}
    with ScenarioServer(auth=("ada", password), redirects={"/simple/elsewhere/": f"{index.url}elsewhere/"}) as corp:
        corp.hold({**PRIVATE, "shared 2.0": {}})
        page = (GUIDES / "private-indexes.md").read_text("utf-8").replace("https://index.example/simple/", corp.url)
        page = page.replace("machine index.example", "machine 127.0.0.1")
        page = page.replace('"index.example"', f'"{corp.url.split("/")[2]}"')
        only, pattern, explicit, policy = (body for language, body in BLOCK.findall(page) if language == "toml")
        lock, by_netrc, by_keyring, check = _commands(page)
        denied, warning = (body for language, body in BLOCK.findall(page) if language == "text")

        def run(command: str, settings: str, variables: Mapping[str, str], third: str = "corp-core") -> str:
            text = PRIVATE_PROJECT.format(third=third) + settings
            (project / "pyproject.toml").write_text(text, encoding="utf-8")
            return _told("private-indexes", command, variables, project)

        assert denied in run("deep-lock lock 2>&1 || [ $? = 3 ]", only, alone)
        for settings in (only, only.replace("://", "://ada@")):
            run(lock, settings, alone)
        other = lock.strip() + f" --refresh --default-index {index.url}"
        run(f"{other} || [ $? = 1 ]", only, alone)
        run(f"rm deep.lock\n{by_netrc}", only, alone)
        (home / ".netrc").unlink()
        keyring = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring", "XDG_DATA_HOME": str(home)}
        run(by_keyring, only.replace("://", "://ada@"), {**alone, **keyring})
        corp.hold(PRIVATE)
        seen = [*index.log]
        index.log.clear()
        for settings in (pattern, explicit):
            run(f"rm -f deep.lock\n{lock.strip()} --refresh\n", settings, both)
            made = from_text((project / "deep.lock").read_text(encoding="utf-8"), "deep.lock")
            assert {own.name: own.index for own in made.packages} == {
                "corp-tool": corp.url,
                "corp-core": corp.url,
                "shared": index.url,
            }
        assert index.asked("corp") == [], "a private name is requested from the public index"
        corp.hold({**PRIVATE, "shared 2.0": {}})
        refresh = f"{lock.strip()} --refresh\n"
        run(refresh + check, only + policy, alone)
        refused = run(f"exec 2>&1\n{refresh}{check.strip()} || [ $? = 1 ]", only + policy, alone, third="elsewhere")
        assert warning.replace("HOST", index.url.split("/")[2]) in refused
        assert "foreign-host" in refused
        assert seen
        assert not [one for one in (*seen, *index.log) if "authorization" in one.headers], (
            "the login is sent to another index"
        )
        assert password not in (project / "deep.lock").read_text(encoding="utf-8")


VET_PROJECT = """\
[project]
name = "letters"
version = "1.0"
dependencies = {names}
"""
VET_OTHERS = {f"package-{number}": "1.0" for number in range(294)}
VET_LOCKED = {"jinja2": "3.1.5", "setuptools": "80.8.0", "idna": "3.9", "urllib3": "2.2.2", "markupsafe": "3.0.1"}
VET_UPDATED = {"jinja2": "3.1.6", "setuptools": "80.9.0", "idna": "3.10", "urllib3": "2.2.3", "markupsafe": "3.0.2"}


def _vet_releases(versions: Mapping[str, str]) -> Releases:
    built = {"wheels": [], "sdist": True, "build": ["setuptools"], "backend": "setuptools.build_meta"}
    text = "".join(f"line {number}\n" for number in range(20))
    return {
        "docopt 0.6.2": built,
        **{f"{name} {version}": {} for name, version in VET_OTHERS.items()},
        **{f"{name} {own}": {"modules": {f"{name}.py": f"{text}{own}\n"}} for name, own in versions.items()},
    }


def _platform_team(folder: Path, releases: Releases) -> None:
    """Make the repository of another team, which has read whole files of three of the releases."""
    audits = [
        FileAudit(
            package=name,
            version=VET_UPDATED[name],
            criteria=("safe-to-run",),
            who="Bo <bo@files.example>",
            date=date(2026, 11, 30),
            files=tuple(
                AuditedFile(name=file.filename, sha256=hashlib.sha256(file.content).hexdigest())
                for file in release_files(f"{name} {VET_UPDATED[name]}", releases[f"{name} {VET_UPDATED[name]}"])
            ),
        )
        for name in ("idna", "urllib3", "markupsafe")
    ]
    text = new_text(AUDITS, (), audits)
    make_repository(folder, [{"files": {"supply-chain/audits.toml": text}}])


def test_the_guide_for_a_review_of_an_update_works(
    environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    names = ["docopt", *VET_OTHERS, *(name for name in VET_LOCKED if name != "setuptools")]
    (project / "pyproject.toml").write_text(VET_PROJECT.format(names=names), encoding="utf-8")
    index.hold(_vet_releases(VET_LOCKED))
    _prepare(environ, project)
    git(project, "config", "user.name", "Ada")
    git(project, "config", "user.email", "ada@files.example")
    lock = from_text((project / "deep.lock").read_text(encoding="utf-8"), "deep.lock")
    assert len(lock.packages) == 300
    updated = _vet_releases(VET_UPDATED)
    index.hold({**_vet_releases(VET_LOCKED), **updated})
    _platform_team(tmp_path / "platform", updated)
    output = _run(GUIDES / "vet.md", {**environ, "DEEP_LOCK_REFRESH": "1"}, project)
    shown = [body for language, body in BLOCK.findall((GUIDES / "vet.md").read_text("utf-8")) if language == "text"]
    assert shown
    assert [body for body in shown if body not in output] == [], output
    audits = read_audits((project / "supply-chain" / "audits.toml").read_text(encoding="utf-8"), "audits.toml")
    assert {(own.package, own.base_version, own.who) for own in audits} == {
        ("jinja2", "3.1.5", "Ada <ada@files.example>"),
        ("setuptools", "80.8.0", "Ada <ada@files.example>"),
    }
    imports = read_imports_lock((project / "supply-chain" / "imports.lock").read_text(encoding="utf-8"), "imports.lock")
    assert len(imports["platform"].audits) == 3


# -- as a team runs them: lock, upgrade, check, review, install, each on a new machine

TEAM_PROJECT = """
[dependency-groups]
dev = ["checker"]
"""
TEAM_RELEASES: Releases = {
    **RELEASES,
    "app-lib 1.0": {**RELEASES["app-lib 1.0"], "requires": ["shared>=1", "winonly; sys_platform == 'win32'"]},
    "winonly 1.0": {},
    "checker 1.0": {"requires": ["checker-core"]},
    "checker-core 1.0": {},
}
UPGRADED: Releases = {**TEAM_RELEASES, "shared 2.1": {"modules": {"shared.py": ""}}}
CACHES = ("DEEP_LOCK_CACHE_DIR", "UV_CACHE_DIR", "POETRY_CACHE_DIR", "PDM_CACHE_DIR")
STEPS = ("lock", "upgrade", "check", "review", "install")
DEFAULT_STEPS = {"lock": ["deep-lock lock"], "upgrade": ["deep-lock lock -U"], "review": ["deep-lock diff HEAD"]}
LOCKING = re.compile(r"(deep-lock (lock|add|remove|deepen)|uv lock|poetry lock|pdm lock)\b(?!.* -o )")


def _step(command: str, before: str) -> str:
    """Return the step of a command; ``before`` is that of the command above it in its block."""
    if "--check" in command or command == "poetry check --lock":
        return "check"
    if command.startswith("deep-lock diff"):
        return "review"
    if re.search(r" (-U|--upgrade)\b|^(poetry|pdm) update\b", command):
        return "upgrade"
    if LOCKING.match(command):
        return "lock" if "--platform" not in command else "local"
    if before and command.startswith(("deep-lock export -f hermeto", "diff ")):
        return before
    return "install"


def _team_steps(page: str) -> dict[str, list[str]]:
    """Return the commands of a page by step; a step that the page leaves out has the command of the other guides."""
    steps: dict[str, list[str]] = {name: [] for name in (*STEPS, "local")} | DEFAULT_STEPS
    found: dict[str, list[str]] = {}
    for block in _commands((GUIDES / f"{page}.md").read_text(encoding="utf-8")):
        step = ""
        for command in block.strip().splitlines():
            step = _step(command, step)
            found.setdefault(step, []).append(command)
    assert set(found) <= set(steps)
    return steps | found


@pytest.mark.parametrize("page", ["pip", "docker", "github-actions", "gitlab", "uv", "hermeto", *OTHERS])
def test_the_jobs_of_a_guide_work_in_the_order_of_a_team(
    page: str, environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path
) -> None:
    project, steps = tmp_path / "project", _team_steps(page)
    if page in OTHERS:
        environ = _with_tool(page, environ, tmp_path)
    index.hold(TEAM_RELEASES)
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    settings = re.findall(
        r"```toml\n\[tool.deep-lock\]\n(.*?)```", (GUIDES / f"{page}.md").read_text("utf-8"), re.DOTALL
    )
    text = text.replace("[tool.deep-lock]\n", "".join(["[tool.deep-lock]\n", *settings])) + TEAM_PROJECT
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    git(project, "init", "--quiet")
    own = {**environ, "DEEP_LOCK_PLATFORM": f"host {WINDOWS}", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    told = {}
    for step in STEPS:
        if step == "upgrade":
            index.hold(UPGRADED)
        machine = {**own, **{name: str(tmp_path / f"{step}-{name}") for name in CACHES if name in own}}
        told[step] = "".join(_told(page, command, machine, project) for command in steps[step])
        if step == "lock":
            git(project, "add", "--all")
            git(project, "commit", "--quiet", "--message=one")
    summary = tmp_path / "summary.md"
    review = told["review"] + (summary.read_text(encoding="utf-8") if summary.is_file() else "")
    assert "shared" in review
    assert "2.1" in review
    venv = project / ".venv" if page == "uv" else tmp_path / "venv"
    assert {"app_lib-1.0", "shared-2.1"} <= (found := _installed(venv))
    if page != "gitlab":
        assert not [name for name in found if name.startswith("checker")], "the dev tools are installed"
    if page in {"docker", "gitlab"}:
        there = {path.name.partition("-")[0] for name in ("fetched", "wheels") for path in (project / name).iterdir()}
        assert "app_lib" in there
        assert "winonly" not in there, "files of another target are downloaded"
        if page == "docker":
            assert not there & {"checker", "checker_core"}, "the dev tools are in the image"


MOVED_PROJECT = f"""\
[project]
name = "letters"
version = "1.0"
requires-python = "=={MINOR}.*"
dependencies = ["checker"]
optional-dependencies = {{web = ["zipper"]}}
"""
MOVED: Releases = {**TEAM_RELEASES, "checker 1.0": {"requires": ["shared"]}}
MOVED_FILES = {
    "pyproject.toml": MOVED_PROJECT,
    "requirements.in": "checker\n",
    "constraints.txt": "shared<3\n",
    "script.py": "# /// script\n# dependencies = ['shared']\n# ///\n",
}


def test_every_command_of_the_guide_for_those_who_come_from_other_tools_works(
    environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path
) -> None:
    project, page = tmp_path / "project", (GUIDES / "coming-from.md").read_text(encoding="utf-8")
    index.hold(MOVED)
    for name, text in MOVED_FILES.items():
        (project / name).write_text(text, encoding="utf-8")
    pins = [hashlib.sha256(own.content).hexdigest() for own in release_files("shared 2.0", MOVED["shared 2.0"])]
    printed_by_pipenv = f"-i {index.url}\nshared==2.0 {' '.join(f'--hash=sha256:{own}' for own in pins)}\n"
    (project / "requirements.txt").write_text(printed_by_pipenv, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    rows = [row.split("|")[2] for row in re.findall(r"^\| .*\|$", page, re.MULTILINE)]
    commands = [own for row in rows for own in re.findall(r"`(deep-lock [^`]+)`", row)]
    blocks = [line for block in _commands(page) for line in block.splitlines()]
    assert len(commands) > 40
    for command in [*blocks, *dict.fromkeys(commands)]:
        own = dict(environ)
        if "--add-platform" in command:
            del own["DEEP_LOCK_PLATFORM"]
        code, _, stderr = forked.run("deep_lock", tuple(shlex.split(command)[1:]), project, own)
        expected = 1 if "--installed" in command else 0  # the environment is empty
        assert code == expected, f"{command}\n{stderr}"


def _told(page: str, command: str, environ: Mapping[str, str], folder: Path) -> str:
    text = re.sub(r"(?<=[ =])/(fetched|wheels)\b", r"\1", command)  # in an image, the folders are at the root
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{page}: {command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def _installed(venv: Path) -> set[str]:
    """Return "name-version" of what pip installed into an environment."""
    found = venv.glob("lib/python*/site-packages/*.dist-info")
    return {path.name.removesuffix(".dist-info") for path in found}


CI = GUIDES.parent / "ci"


CONTEXT = {
    "github.token": "a-token",
    "github.event.pull_request.number": "7",
    "inputs.compare-with": "HEAD",
    "inputs.comment": "true",
}
"""What the expressions of the action contain in a pull request, and inputs that are not the defaults."""


def _action() -> list[str]:
    """Return the scripts of the composite action as they run in a pull request, each with its environment."""
    document = yaml.safe_load((CI / "github-action" / "action.yml").read_text(encoding="utf-8"))
    defaults = {f"inputs.{name}": str(own["default"]) for name, own in document["inputs"].items()} | CONTEXT
    assert document["runs"]["using"] == "composite"
    scripts = [step for step in document["runs"]["steps"] if "run" in step]
    conditions = {part.strip() for step in scripts for part in step.get("if", "").strip("${} ").split("&&")}
    assert conditions - {""} == {
        "inputs.compare-with != ''",
        "steps.base.outputs.lock == 'true'",
        "inputs.comment == 'true'",
        "inputs.fail-on != ''",
        "github.event_name == 'pull_request'",
    }
    return [
        _exports({name: _filled(value, "${{ %s }}", defaults) for name, value in step.get("env", {}).items()})
        + _filled(step["run"], "${{ %s }}", {})
        for step in scripts
    ]


def _component() -> list[str]:
    """Return the script of the GitLab component, with the defaults of its inputs, and their environment."""
    spec, jobs = yaml.safe_load_all((CI / "gitlab" / "deep-lock.yml").read_text(encoding="utf-8"))
    values = {f"inputs.{name}": str(own["default"]) for name, own in spec["spec"]["inputs"].items()}
    job = jobs["deep-lock"]
    variables = {name: _filled(value, "$[[ %s ]]", values) for name, value in job["variables"].items()}
    own = _exports({name: value for name, value in variables.items() if name.startswith("LOCK_")})
    return [own + _filled(line, "$[[ %s ]]", {}) for line in job["script"]]


def _exports(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


MORE_INPUTS = ("requirements/dev/test.in", "poetry.lock", "pylock.web.toml", "policy.toml", "supply-chain/audits.toml")


def _hooks() -> list[str]:
    """Return the commands of the pre-commit hooks."""
    hooks = yaml.safe_load((GUIDES.parents[1] / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {hook["id"] for hook in hooks} == {"deep-lock-check", "deep-lock-lock"}
    for hook in hooks:
        assert hook["language"] == "python"
        inputs = ("deep.lock", "pyproject.toml", "setup.cfg", "setup.py", "requirements.txt", "requirements-dev.in")
        for name in (
            *inputs,
            "requirements/base.txt",
            "constraints.txt",
            "deep-lock.toml",
            "uv.toml",
            "uv.lock",
            *MORE_INPUTS,
        ):
            assert re.search(hook["files"], name)
            assert re.search(hook["files"], f"packages/web/{name}"), "a member of a workspace"
        for name in ("deep.lock.txt", "notes.txt", "web/setup.pyc", "cargo.lock", "requirements/README.md"):
            assert not re.search(hook["files"], name)
    return [hook["entry"] for hook in hooks]


def _filled(text: str, form: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(form % name, value)
    assert form[:3] not in text, f"{text}: unknown input"
    return text


def _run_for_ci(commands: list[str], environ: Mapping[str, str], folder: Path) -> list[int]:
    """Run commands as a job does, until one fails; return their exit codes.

    Programs that make requests to the host, gh and curl, are replaced: they write their arguments to requests.txt.
    """
    for name in ("gh", "curl"):
        _script(Path(environ["VIRTUAL_ENV"], "bin"), name, f'echo "$*" >> {folder.parent / "requests.txt"}')
    own = {
        **environ,
        "GITHUB_OUTPUT": str(folder.parent / "output.txt"),
        "GITHUB_REPOSITORY": "ada/letters",
        "RUNNER_TEMP": str(folder.parent),
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_API_V4_URL": "https://git.example/api/v4",
        "CI_PROJECT_ID": "1",
        "LOCK_NOTE_TOKEN": "a-token",
    }
    codes: list[int] = []
    for command in commands:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env=own,
            capture_output=True,
            text=True,
            check=False,
        )
        codes.append(ran.returncode)
        if ran.returncode not in {0, 1}:
            raise AssertionError(f"{command}\n{ran.stdout}\n{ran.stderr}")
        if ran.returncode == 1:
            break
    return codes


@pytest.mark.parametrize("commands", [_action, _component, _hooks])
def test_every_command_for_ci_works(
    commands: Callable[[], list[str]], environ: Mapping[str, str], tmp_path: Path
) -> None:
    project, summary = tmp_path / "project", tmp_path / "summary.md"
    _prepare(environ, project)
    assert set(_run_for_ci(commands(), environ, project)) == {0}
    written = [path for path in (summary, project / "deep-lock.md") if path.is_file()]
    assert all("No differences." in path.read_text(encoding="utf-8") for path in written)
    assert len(written) == (0 if commands is _hooks else 1)
    requests = tmp_path / "requests.txt"
    assert "deep-lock.md" not in (requests.read_text(encoding="utf-8") if requests.is_file() else ""), "a comment"


@pytest.mark.parametrize("commands", [_action, _component])
def test_a_dangerous_change_is_a_comment_and_fails_the_job(
    commands: Callable[[], list[str]], environ: Mapping[str, str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(text.replace('"app-lib"', '"shared"'), encoding="utf-8")
    _prepare(environ, project)
    pyproject.write_text(text, encoding="utf-8")
    subprocess.run(["deep-lock", "-q", "lock"], cwd=project, env=dict(environ), check=True)
    script = commands()
    assert _run_for_ci(script, environ, project) == [0] * (len(script) - 1) + [1]
    *_, last = (tmp_path / "requests.txt").read_text(encoding="utf-8").splitlines()
    if commands is _action:
        assert last.startswith("api --silent --method POST repos/ada/letters/issues/7/comments -F body=@")
        comment = (tmp_path / "deep-lock-comment.md").read_text(encoding="utf-8")
        assert comment.startswith("<!-- deep-lock of . -->\n")
        assert (tmp_path / "output.txt").read_text(encoding="utf-8") == "lock=true\n"
    else:
        assert last.endswith("https://git.example/api/v4/projects/1/merge_requests/7/notes")
        comment = (project / "deep-lock.md").read_text(encoding="utf-8")
    assert "app-lib" in comment


@pytest.mark.parametrize("commands", [_action, _component, _hooks])
def test_the_commands_for_ci_fail_where_a_member_changed(
    commands: Callable[[], list[str]], environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path
) -> None:
    project = tmp_path / "workspace"
    _write_workspace(project, index)
    _prepare(environ, project)
    member = project / "packages" / "web" / "pyproject.toml"
    member.write_text(member.read_text(encoding="utf-8").replace('"flask"', '"flask>=2"'), encoding="utf-8")
    (check,) = [command for command in commands() if "lock --check" in command]
    ran = subprocess.run(check, shell=True, cwd=project, env=dict(environ), capture_output=True, text=True, check=False)  # noqa: S602 - the command is that of the page
    assert ran.returncode == 1
    assert "member 'web' now requires 'flask>=2'" in ran.stderr


def _write_workspace(folder: Path, index: ScenarioServer) -> None:
    """Write the workspace with a build backend that builds its members."""
    index.hold({**RELEASES, **workspace.RELEASES})
    for name, text in workspace.FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # uv would build the members of its own workspace as editable, and this backend cannot
        own = text.replace("tool.uv.", "tool.deep-lock.")
        own = own.replace("flit-core", "zipper").replace("flit_core.buildapi", "zipper")
        path.write_text(own, encoding="utf-8")
        info = f"Metadata-Version: 2.2\nName: {path.parent.name}\nVersion: 1\n"
        (path.parent / "PKG-INFO").write_text(info, encoding="utf-8")
        (path.parent / f"{path.parent.name}.py").write_text("", encoding="utf-8")


def test_every_command_of_the_guide_for_monorepos_works(
    environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path
) -> None:
    project = tmp_path / "workspace"
    _write_workspace(project, index)
    git(project, "init", "--quiet")
    _run(GUIDES / "monorepos.md", environ, project)
    for venv in (project / ".venv", tmp_path / "venv"):
        found = _installed(venv)
        assert {"clicker-8.0", "core-1", "flask-3.0", "web-1", "werk-1.0"} <= found
        assert not {name.partition("-")[0] for name in found} & {"worker", "queue", "rich", "tester"}
    assert (project / "packages" / "core" / "deep.lock").is_file()
    assert not (project / "packages" / "web" / "deep.lock").exists()


FLEET_PROJECT = f"""\
[project]
name = "api"
version = "1.0"
requires-python = "=={MINOR}.*"
dependencies = ["orjson"]
"""
FLEET: Releases = {
    "orjson 3.13.0": {
        "wheels": [],
        "sdist": True,
        "build": ["setuptools", "puccinialin"],
        "backend": "setuptools.build_meta",
    },
    "puccinialin 0.1.14": {},
    "setuptools 80.9.0": {},
}


def test_the_guides_for_fleets_work(environ: Mapping[str, str], index: ScenarioServer, tmp_path: Path) -> None:
    project = tmp_path / "project"
    index.hold(FLEET)
    (project / "pyproject.toml").write_text(FLEET_PROJECT, encoding="utf-8")
    _prepare(environ, project)
    shutil.copytree(project, tmp_path / "home" / "checkouts" / "api")
    work = tmp_path / "work"
    work.mkdir()
    (work / "repos.toml").write_text('[[repositories]]\nname = "api"\npath = "../project"\n', encoding="utf-8")
    _run(GUIDES / "fleet.md", environ, work)
    view = (GUIDES / "fleet-view.md").read_text(encoding="utf-8")
    ask, has_file = _commands(view)
    (shown,) = (body for language, body in BLOCK.findall(view) if language == "text")
    assert _told("fleet-view", ask, environ, work) == shown
    (wheel,) = release_files("puccinialin 0.1.14", FLEET["puccinialin 0.1.14"])
    by_file = has_file.replace("292d9104", hashlib.sha256(wheel.content).hexdigest()[:8])
    assert "puccinialin 0.1.14" in _told("fleet-view", by_file, environ, project)


IN_OTHER_MODULES = {"bots", "fleet-delivery"}
"""Pages whose commands and programs test_docs_bots.py and test_docs_fleet.py run."""
DESCRIPTIONS = {"index", "integrations", "troubleshooting", "failing-builds", "install", "faq"}
"""Pages that describe messages, or files for CI. Other tests compare parts of them with the code."""


def test_no_guide_is_left_out() -> None:
    tested = {"monorepos", "pip", "uv", "hermeto", "docker", "github-actions", "gitlab", "vulnerable", "vet", *OTHERS}
    tested |= {
        "change",
        "coming-from",
        "first-ten-minutes",
        "fleet",
        "fleet-view",
        "offline",
        "private-indexes",
        "wheelhouse",
    }
    assert {path.stem for path in GUIDES.glob("*.md")} == tested | IN_OTHER_MODULES | DESCRIPTIONS
