"""What a shell completes: values from the lock and from the configuration, quickly, and nothing that a shell would interpret."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from deep_lock.cli import completion
from deep_lock.cli.main import cli, run

LOCK = """\
lock-version = "1.0"
extras = ["cli", "a b"]
dependency-groups = [
    "dev",
]

[[packages]]
name = "jinja2"
version = "3.1.6"

[[packages]]
name = "$(touch hit)"

[[packages]]
name = "ju\\npiter, x"

[[packages]]
name = "jupyter-core"
extras = ["no"]

[[tool.deep-lock.targets]]
name = "cp313-x86_64-windows"
"""
PROJECT = """\
[project.optional-dependencies]
web = []
[dependency-groups]
docs = []
[[tool.deep-lock.index]]
name = "company"
url = "https://index.example/simple/"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("deep.lock").write_text(LOCK, encoding="utf-8")
    Path("pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return tmp_path


def _completed(words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv("_DEEP_LOCK_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"deep-lock {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(f"deep-lock {words}x".split()) - 1))
    with pytest.raises(SystemExit) as ended:
        run([])
    out, err = capfd.readouterr()
    assert (ended.value.code, err) == (0, "")
    return [text.removeprefix("plain,") for text in out.split()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("why ", ["jinja2", "jupyter-core"]),
        ("why jup", ["jupyter-core"]),
        ("why $", []),
        ("lock -P ji", ["jinja2"]),
        ("lock --no-binary=ji", ["jinja2"]),
        ("remove ji", ["jinja2"]),
        ("export --target ", ["cp313-x86_64-windows", "host"]),
        ("export --extra ", ["web", "cli"]),
        ("export --group ", ["docs", "dev"]),
        ("lock --index ", ["company="]),
        ("lock --platform w", ["windows"]),
        ("lock --add-python 3.13", ["3.13"]),
        ("tree --lock elsewhere.lock --invert ", []),
    ],
)
@pytest.mark.usefixtures("folder")
def test_values_come_from_the_lock_and_the_configuration(
    words: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _completed(words, monkeypatch, capfd) == expected


@pytest.mark.usefixtures("folder")
def test_the_project_is_the_folder_of_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "sub"
    own.mkdir()
    (own / "deep.lock").write_text(LOCK.replace("jinja2", "flask"), encoding="utf-8")
    (own / "pyproject.toml").write_text(PROJECT.replace("web =", "api ="), encoding="utf-8")
    assert _completed("export --lock sub/deep.lock --extra ", monkeypatch, capfd) == ["api", "cli"]
    assert _completed("why --lock sub/deep.lock fl", monkeypatch, capfd) == ["flask"]
    assert _completed("lock --project sub --index ", monkeypatch, capfd) == ["company="]
    (own / "deep-lock.toml").write_text('[[index]]\nname = "team"\n', encoding="utf-8")
    assert _completed("lock --project sub --index ", monkeypatch, capfd) == ["team="], "the other table is not read"


def test_broken_and_missing_files_have_no_values(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "deep.lock").write_bytes(LOCK.replace("]", "", 1).encode() + b"\xff[[[")
    (folder / "pyproject.toml").write_text("[[", encoding="utf-8")
    assert _completed("why ", monkeypatch, capfd) == ["jinja2", "jupyter-core"], "what can be found in a broken lock"
    assert _completed("lock --index ", monkeypatch, capfd) == []
    (folder / "deep.lock").unlink()
    (folder / "deep.lock").mkdir()
    (folder / "pyproject.toml").unlink()
    for words in ("why ", "export --extra ", "lock --index "):
        assert _completed(words, monkeypatch, capfd) == []


def test_completion_loads_neither_the_resolver_nor_the_network(folder: Path) -> None:
    program = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        "from deep_lock.cli import main; main.run_process([])"
    )
    environ = {"_DEEP_LOCK_COMPLETE": "zsh_complete", "COMP_WORDS": "deep-lock lock -P ", "COMP_CWORD": "3"}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split("\n")[:2] == ["plain", "jinja2"]
    heavy = ("deep_lock.resolver", "deep_lock.closure", "deep_lock.network.client", "deep_lock.builds.hooks", "rich")
    assert "deep_lock.cli.completion" in ran.stderr.split()
    assert "deep_lock.cli.topics" not in ran.stderr.split()
    assert [own for own in ran.stderr.split() if own.startswith(heavy)] == []


def test_each_option_with_values_exists() -> None:
    names: set[str] = set()
    groups: list[click.Group] = [cli]
    while groups:
        group = groups.pop()
        with click.Context(group, **cli.context_settings) as context:
            for name in group.list_commands(context):
                command = group.get_command(context, name)
                assert command is not None
                groups += [command] if isinstance(command, click.Group) else []
                names |= {own for parameter in command.params for own in parameter.opts}
    assert names >= completion.VALUES.keys()
