"""What an index, a hook, a lock or an argument says commands no CI system: through the command line, every output of it."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deep_lock.builds.sandbox.sandbox import probe
from deep_lock.cli.main import run
from tests.support.advisories import record, write_zip
from tests.support.fault_server import FaultServer, Reply, reply
from tests.support.fault_world import ALPHA, BETA, JSON, Desk, core_metadata, desk, file_path, page, people, sdist
from tests.support.index_server import IndexServer, make_wheel
from tests.support.log_readers import COMMANDS, live_commands
from tests.support.scenarios import HERE, MINOR, bench

EVIL = "x ##vso[task.setvariable variable=PATH]/x ##[add-path]/y ##teamcity[z] section_start:1:a"
LINES = f"{EVIL}\n::error::a\r::warning::b\r\n \t::add-path::/c\u2028::error::d\x85::error::e\n{EVIL}"
QUICK = (str(Path(__file__).parents[1] / "support" / "fault_quick.py"),)

Change = Callable[[FaultServer], None]


def _alpha(server: FaultServer, body: bytes) -> None:
    server.script("/simple/alpha/", reply(body, headers=[JSON]))


def _entry(**more: object) -> Change:
    return lambda server: _alpha(server, page("alpha", ALPHA, **more))  # type: ignore[arg-type]  # keys of an entry


def _page(**more: object) -> Change:
    return lambda server: _alpha(server, json.dumps({**json.loads(page("alpha", ALPHA)), **more}).encode())


def _status(status: str) -> Change:
    return _reply(reply(EVIL.encode(), status=status))


def _reply(own: Reply) -> Change:
    def change(server: FaultServer) -> None:
        server.script("/simple/alpha/", own)

    return change


def _metadata(text: str) -> Change:
    def change(server: FaultServer) -> None:
        _alpha(server, page("alpha", ALPHA, promised=text.encode()))
        server.script(file_path(ALPHA), reply(text.encode()))

    return change


def _sdist(pyproject: str, pkg_info: bytes = b"") -> Change:
    def change(server: FaultServer) -> None:
        raw = sdist("beta", builds_with="gamma", pyproject=pyproject.encode(), pkg_info=pkg_info or None)
        server.script("/simple/beta/", reply(page("beta", BETA, promised=raw), headers=[JSON]))
        server.script(file_path(BETA), reply(raw))

    return change


HEAD = "Metadata-Version: 2.2\nName: alpha\nVersion: 1.0\n"
QUOTED = json.dumps(LINES)
CASES: dict[str, Change] = {
    "why a file is yanked": _entry(yanked=LINES),
    "file name": _entry(filename=f"alpha-1.0{LINES}.tar.gz"),
    "file name of a wheel": _entry(filename=f"alpha-1.0-py3-none-any{EVIL}.whl"),
    "URL of a file": _entry(url=f"http://h.example/{LINES}"),
    "fragment of a URL": _entry(url=f"http://h.example/{ALPHA}##vso[task.prependpath]/x"),
    "requires-python": _entry(**{"requires-python": f">=9{LINES}"}),
    "upload-time": _entry(**{"upload-time": LINES}),
    "digest": _entry(hashes={"sha256": LINES}),
    "key": _entry(**{LINES: LINES}),
    "name in a page": _page(name=LINES),
    "version of the API": _page(meta={"api-version": f"2.{LINES}"}),
    "status": _page(**{"project-status": {"status": LINES, "reason": LINES}}),
    "reason of a status": _page(**{"project-status": {"status": "deprecated", "reason": LINES}}),
    "403": _status(f"403 {EVIL}"),
    "404": _status(f"404 {EVIL}"),
    "500": _status(f"500 {EVIL}"),
    "content type": _reply(reply(b"x", headers=[("Content-Type", EVIL)])),
    "body": lambda server: _alpha(server, f'{{"{EVIL}"'.encode()),
    "name in metadata": _metadata(HEAD.replace("alpha", EVIL)),
    "version in metadata": _metadata(HEAD.replace("1.0", EVIL)),
    "requirement": _metadata(f"{HEAD}Requires-Dist: be{EVIL}\n"),
    "marker": _metadata(f"{HEAD}Requires-Dist: beta; python_version == '{EVIL}'\n"),
    "marker that stays": _metadata(f"{HEAD}Requires-Dist: beta; platform_version != '{EVIL}'\n"),
    "URL of a requirement": _metadata(f"{HEAD}Requires-Dist: beta @ https://h.example/{EVIL}\n"),
    "license": _metadata(f"{HEAD}License-Expression: {EVIL}\nLicense: {EVIL}\nClassifier: {EVIL}\n"),
    "name in PKG-INFO": _sdist('[build-system]\nrequires = []\nbuild-backend = "b"\n', core_metadata(EVIL)),
    "backend": _sdist(f"[build-system]\nrequires = []\nbuild-backend = {QUOTED}\n"),
    "backend path": _sdist(f'[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = [{QUOTED}]\n'),
    "build requirement": _sdist(f'[build-system]\nrequires = [{QUOTED}]\nbuild-backend = "b"\n'),
    "broken TOML": _sdist(f"[{LINES}"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_an_index_says_is_no_command(tmp_path: Path, case: str) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        url = people(server)
        CASES[case](server)
        ended = own.make_lock(url, "-v", before=QUICK)
    assert live_commands(ended.stderr) == []
    assert live_commands(ended.stdout) == []


ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "command": (EVIL,),
    "option": ("lock", f"--{EVIL}"),
    "choice": ("lock", "--resolution", LINES),
    "value": ("lock", "--python-version", LINES),
    "file": ("lock", "-r", f"a{LINES}"),
    "package": ("lock", "-P", LINES),
    "folder": ("lock", "--project", LINES),
    "number": ("tree", "--depth", LINES),
    "name": ("why", LINES),
    "requirement": ("add", LINES),
    "day": ("policy", "--accept", "x", "--until", LINES, "--reason", LINES),
    "revision": ("diff", LINES),
    "level": ("diff", "--fail-on", LINES),
    "format": ("export", "-f", LINES),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_an_argument_is_no_command(tmp_path: Path, case: str) -> None:
    ended = desk(tmp_path).run(*(text.replace("\x00", "") for text in ARGUMENTS[case]))
    assert ended.code
    assert "##" not in ended.stderr
    assert live_commands(ended.stderr) == []


@pytest.mark.parametrize("variable", ["DEEP_LOCK_RESOLUTION", "DEEP_LOCK_PYTHON_VERSION", "DEEP_LOCK_DEFAULT_INDEX"])
def test_a_variable_is_no_command(tmp_path: Path, variable: str) -> None:
    ended = desk(tmp_path).run("lock", environ={variable: LINES})
    assert ended.code
    assert live_commands(ended.stderr) == []


PROJECTS = {
    "dependency": f"[project]\nname = 'a'\nversion = '1'\ndependencies = [{QUOTED}]\n",
    "project name": f"[project]\nname = {QUOTED}\nversion = '1'\n",
    "setting": f"[tool.deep-lock]\n{QUOTED} = 1\n",
    "group": f"[dependency-groups]\n{QUOTED} = []\n",
    "broken TOML": f"[{EVIL}",
}


@pytest.mark.parametrize("case", PROJECTS)
def test_what_a_project_says_is_no_command(tmp_path: Path, case: str) -> None:
    own = desk(tmp_path)
    (own.project / "pyproject.toml").write_text(PROJECTS[case], encoding="utf-8", newline="")
    ended = own.run("lock", "--no-index")
    assert ended.code == 2
    assert live_commands(ended.stderr) == []


def test_a_diff_of_a_file_is_no_command(tmp_path: Path) -> None:
    """The lines around an edit are those of the file: in a pull request, those of an attacker."""
    own = desk(tmp_path)
    path = own.project / "pyproject.toml"
    path.write_text(f'{path.read_text()}\n[tool.x]\na = """\n::error::x\n##vso[task.prependpath]/x\n"""\n')
    ended = own.run("init", "--dry-run")
    assert ended.code == 0
    assert "task.prependpath" in ended.stdout
    assert live_commands(ended.stdout + ended.stderr) == []


HOOKS = {
    "stderr": "sys.stderr.write({text!r} + '\\n'); sys.stderr.flush(); sys.exit(3)",
    "stdout": "print({text!r}, flush=True); sys.exit(3)",
    "exception": "raise RuntimeError({text!r})",
    "result": "return [{text!r}]",
    "warning": "import warnings; warnings.warn({text!r}); sys.exit(3)",
    "half lines": "[sys.stderr.write(part) for part in ('#', '#vso[', 'task.prependpath]/x\\n', ':', ':error::x\\n')]; sys.exit(3)",
}


@pytest.mark.skipif(os.name == "nt", reason="a program is a shell script here")
def test_a_message_of_git_is_no_command(tmp_path: Path) -> None:
    """What git prints is that of a server: a program in its place says it."""
    own = desk(tmp_path)
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write('fatal: ' + {EVIL!r})\nsys.exit(128)\n")
    program.chmod(0o755)
    (own.project / "pyproject.toml").write_text(
        "[project]\nname = 'a'\nversion = '1'\ndependencies = ['b @ git+https://git.example/b@v1']\n", encoding="utf-8"
    )
    ended = own.run("lock", "--no-index", environ={"PATH": str(program.parent)})
    assert "task.setvariable" in ended.stderr
    assert live_commands(ended.stderr) == []


def test_a_file_name_is_no_command(tmp_path: Path) -> None:
    """A name of any bytes too, which no JSON document can have."""
    own = desk(tmp_path)
    names = ["##[error]a\udcff.lock", "::error::b.lock"]
    with IndexServer() as server:
        _serve(server, own)
    for name in names:
        try:
            (own.project / name).write_bytes(own.lock.read_bytes())
        except (OSError, UnicodeError):
            pytest.skip("file names have an encoding here")
    for form in ("text", "markdown", "json", "sarif"):
        ended = own.run("diff", *names, "--format", form)
        assert (ended.code, live_commands(ended.stdout + ended.stderr)) == (0, [])
    for form in ("json", "dot", "pylock", "requirements", "spdx"):
        ended = own.run("export", "-f", form, "--lock", names[0])
        assert live_commands(ended.stdout + ended.stderr) == [], form


@pytest.mark.skipif(probe().level != "strong", reason="there is no strong sandbox here")
@pytest.mark.parametrize("case", HOOKS)
def test_what_a_hook_says_is_no_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    body = HOOKS[case].replace("{text!r}", repr(LINES))
    backend = f"import sys\ndef get_requires_for_build_wheel(config_settings=None):\n    {body}\n"
    release: dict[str, Any] = {"wheels": [], "sdist": True, "build": [], "backend": "own", "backend-path": ["."]}
    release["tree"] = {
        "own.py": f"{backend}def build_wheel(*_, **__):\n    {body.replace('return', 'raise RuntimeError')}\n"
    }
    with bench(tmp_path, capfd, monkeypatch, {"thing 1.0": release}) as made:
        made.ask("thing")
        made.hooks, made.pythons, made.platforms = "sandbox", [MINOR], ["host"]
        ran = made.lock()
        assert "task." in ran.stderr or case == "warning"
        assert live_commands(ran.stderr) == []
        if case == "result":
            return
        monkeypatch.chdir(made.folder)
        assert run(["wheelhouse", "-d", "wheels", "--target", HERE]) == 4
        told = capfd.readouterr()
        assert live_commands(told.out + told.err) == []
        logs = [path.read_text(encoding="utf-8") for path in (made.folder / "wheels").rglob("*.log")]
        assert logs or case == "warning"
        assert [live_commands(log) for log in logs] == [[] for _ in logs]


def test_a_traceback_is_no_command(tmp_path: Path) -> None:
    """-vv shows the traceback of an error; Python shows warnings and tracebacks of threads by itself."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, threading, warnings\n"
        "from deep_lock.cli import main\n"
        "from deep_lock.errors import UsageError\n"
        f"text = {LINES!r}\n"
        "def fail(arguments=()):\n"
        "    warnings.warn(text)\n"
        "    raise ValueError(text)\n"
        "class Bad:\n"
        "    def __del__(self):\n"
        "        fail()\n"
        "def run(arguments):\n"
        "    thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "    Bad()\n"
        "    fail()\n"
        "main.run = run\n"
        "main.run_process([])\n",
        encoding="utf-8",
    )
    own = desk(tmp_path)
    with own.start(before=(str(program),)) as child:
        _, stderr = child.communicate(timeout=60)
    assert stderr.count("Traceback") == 3
    assert stderr.count("ValueError: ") == 3
    assert "UserWarning" in stderr
    assert live_commands(stderr) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_traceback_of_an_error_is_no_command(tmp_path: Path, command: str) -> None:
    own = desk(tmp_path)
    with own.start("lock", "-r", f"a{command}", "-vv", "--no-index") as child:
        _, stderr = child.communicate(timeout=60)
    assert live_commands(stderr) == []


COMMANDS_OF_A_LOCK: tuple[tuple[str, ...], ...] = (
    ("lock", "-vv"),
    ("lock", "--upgrade", "--dry-run"),
    ("lock", "--check"),
    ("add", "alpha>=0.1", "--dry-run"),
    ("why", "alpha"),
    ("why", "alpha", "--format", "json"),
    ("tree", "--build"),
    ("tree", "--invert", "beta"),
    *(
        ("export", "-f", form)
        for form in ("json", "cyclonedx", "spdx", "dot", "mermaid", "pylock", "build-constraints")
    ),
    ("export", "-f", "requirements", "--index-options"),
    ("export", "-f", "hermeto", "--index-options"),
    ("report", "-o", "page.html"),
    *(("diff", "old.lock", "deep.lock", "--format", form) for form in ("text", "markdown", "json", "sarif")),
    ("diff", "##[error]", "deep.lock"),
    ("policy",),
    ("policy", "--format", "json"),
    *(("audit", "--database", "all.zip", "--format", form) for form in ("text", "markdown", "json", "sarif")),
    ("export", "-f", "cyclonedx", "--database", "all.zip"),
    ("policy", "--format", "sarif"),
    ("verify",),
    ("verify", "--deep"),
    ("verify", "--format", "json"),
    ("verify", "--format", "sarif"),
    ("outdated",),
    ("outdated", "--format", "json"),
    ("fetch", "-d", "files"),
    ("wheelhouse", "-d", "wheels", "--target", "host"),
    ("git-textconv", "deep.lock"),
    ("git-textconv", "pyproject.toml"),
    ("git-merge", "old.lock", "deep.lock", "pyproject.toml", "deep.lock"),
    ("doctor",),
    ("cache", "dir"),
)


def _serve(server: IndexServer, own: Desk) -> None:
    """Give the index, and the project, a command in each text that they may choose."""
    evil = EVIL.replace("'", "")
    (own.project / "pyproject.toml").write_text(
        f"[project]\nname = 'letter'\nversion = '1'\ndependencies = ['alpha==1.0', 'beta']\ndescription = {QUOTED}\n",
        encoding="utf-8",
    )
    metadata = core_metadata("alpha", f"beta; platform_version != '{evil}'") + f"License-Expression: {evil}\n".encode()
    server.projects = {
        "alpha": [make_wheel("alpha", "1.0", metadata=metadata), make_wheel("alpha", "2.0")],
        "beta": [make_wheel("beta", "1.0")],
    }
    server.projects["alpha"][0].yanked = LINES
    server.status = {name: {"status": "deprecated", "reason": LINES} for name in server.projects}
    ended = own.run("lock", "-v", "--python-version", MINOR, "--platform", "host", "--default-index", server.url)
    assert (ended.code, live_commands(ended.stderr)) == (0, []), ended.stderr
    assert "task.setvariable" in ended.stderr


def test_no_command_of_a_html_page(tmp_path: Path) -> None:
    with IndexServer(html=True) as server:
        _serve(server, desk(tmp_path))


def test_no_command_of_ours_says_a_command_of_an_index(tmp_path: Path) -> None:
    """Every command and every format, with a lock that has commands in its texts."""
    own = desk(tmp_path)
    with IndexServer() as server:
        _serve(server, own)
        text = own.lock.read_text(encoding="utf-8")
        (own.project / "old.lock").write_text(re.sub(r"tool\.deep-lock\.yanked = .*\n", "", text), encoding="utf-8")
        known = record(
            LINES.splitlines()[-1],
            "alpha",
            "introduced 0",
            f"fixed {LINES}",
            aliases=[LINES],
            summary=LINES,
            modified=f"{datetime.now(UTC):%Y-%m-%dT00:00:00Z}",
            database_specific={"severity": LINES},
        )
        write_zip(own.project / "all.zip", known, {**known, "id": LINES})
        said = 0
        for arguments in COMMANDS_OF_A_LOCK:
            ended = own.run(*arguments, environ={"DEEP_LOCK_DEFAULT_INDEX": server.url})
            assert live_commands(ended.stdout) == [], arguments
            assert live_commands(ended.stderr) == [], arguments
            said += "task.setvariable" in ended.stdout + ended.stderr
        assert said > 10
        for arguments in (
            ("diff", "old.lock", "deep.lock", "--format"),
            ("policy", "--format"),
            ("audit", "--database", "all.zip", "--format"),
        ):
            ended = own.run(*arguments, "github")
            assert ended.stdout.count("::") >= 2
            assert live_commands(ended.stdout, annotations=True) == []
    assert live_commands((own.project / "page.html").read_text(encoding="utf-8")) == []
