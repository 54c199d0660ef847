"""`extends` of a policy: profiles, files and pinned URLs, through the command line and with a server on loopback."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.cli.main import run
from deep_lock.lockfile.writer import to_text
from tests.support.lock_strategies import package, small_lock
from tests.support.served_policy import Served


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


class Folder:
    def __init__(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capfd = capfd

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self._capfd.readouterr()
        code = run([*(arguments or ("policy",)), "--lock", str(self.path / "deep.lock")])
        captured = self._capfd.readouterr()
        return code, captured.out, captured.err

    def codes(self) -> list[str]:
        """Return severity and code of each finding of `policy`, but those about ages and licenses."""
        code, out, err = self.run()
        assert code in {0, 1}, err
        found = [line.partition(":")[0] for line in out.splitlines()]
        return [text for text in found if text.split()[1] not in {"too-new", "no-upload-time", "license-unknown"}]


@pytest.fixture
def folder(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    made = Folder(tmp_path / "project", capfd)
    made.write("deep.lock", to_text(small_lock(replace(package("app"), direct=True, hash_origin="computed"))))
    return made


def test_a_profile_and_a_setting_of_the_project(folder: Folder) -> None:
    assert folder.codes() == ["finding hash-computed"]
    folder.write("deep-lock.toml", '[policy]\nextends = "baseline"\n')
    assert folder.codes() == ["finding hash-computed"]
    folder.write("deep-lock.toml", '[policy]\nextends = "strict"\n')
    assert folder.codes() == ["error hash-computed"]
    folder.write("deep-lock.toml", '[policy]\nextends = "strict"\nhash-computed = "note"\n')
    assert folder.codes() == ["note hash-computed"]


def test_files_extend_files_relative_to_their_own_folder(folder: Folder) -> None:
    folder.write("deep-lock.toml", '[policy]\nextends = {path = "rules/team.toml"}\ndeny = ["other"]\n')
    folder.write("rules/team.toml", 'extends = {path = "../company.toml"}\nhash-computed = "off"\n')
    folder.write("company.toml", 'hash-computed = "error"\ndeny = ["app"]\n')
    assert folder.codes() == ["error denied"], "the nearer policy decides a level, and what one denies is denied"
    folder.write("other/named.toml", 'extends = {path = "../company.toml"}\n')
    code, out, _ = folder.run("policy", "--policy", str(folder.path / "other" / "named.toml"))
    assert (code, [line.partition(":")[0] for line in out.splitlines()][:2]) == (
        1,
        ["error denied", "error hash-computed"],
    )


@pytest.mark.parametrize(
    ("base", "expected", "says"),
    [
        ('extends = {path = "base.toml"}\n', 2, "extends itself"),
        (None, 2, "there is no file"),
        ("hash-computed = 1\n", 2, "hash-computed: must be one of"),
        ("x" * (1024 * 1024 + 1), 4, "more than 1048576 bytes"),
    ],
    ids=["cycle", "missing", "invalid", "large"],
)
def test_files_that_cannot_be_used(folder: Folder, base: str | None, expected: int, says: str) -> None:
    folder.write("deep-lock.toml", '[policy]\nextends = {path = "base.toml"}\n')
    if base is not None:
        folder.write("base.toml", base)
    for command in ("policy", "diff"):
        arguments = [command] if command == "policy" else [command, str(folder.path / "deep.lock")]
        code, out, err = folder.run(*arguments)
        assert (code, out) == (expected, ""), err
        assert says in err
        assert "base.toml" in err


def test_a_long_chain_ends(folder: Folder) -> None:
    folder.write("deep-lock.toml", '[policy]\nextends = {path = "0.toml"}\n')
    for number in range(20):
        folder.write(f"{number}.toml", f'extends = {{path = "{number + 1}.toml"}}\n')
    code, _, err = folder.run()
    assert (code, "more than 8 policies extend each other" in err) == (2, True)


def test_a_file_with_another_sha256_is_refused(folder: Folder) -> None:
    folder.write("base.toml", 'hash-computed = "error"\n')
    digest = hashlib.sha256((folder.path / "base.toml").read_bytes()).hexdigest()
    folder.write("deep-lock.toml", f'[policy]\nextends = {{path = "base.toml", sha256 = "{digest}"}}\n')
    assert folder.codes() == ["error hash-computed"]
    folder.write("base.toml", 'hash-computed = "off"\n')
    code, out, err = folder.run()
    assert (code, out) == (4, "")
    assert f"instead of {digest}" in err


def test_a_url_is_fetched_once_and_its_bytes_are_pinned(folder: Folder, served: Served) -> None:
    served.body = b'hash-computed = "error"\n'
    folder.write("deep-lock.toml", f"[policy]\n{served.source()}")
    code, _, err = folder.run("diff", str(folder.path / "deep.lock"))
    assert (code, served.requests) == (3, 0), "diff makes no request"
    assert "deep-lock policy fetches it" in err
    code, out, err = folder.run("policy", "--offline")
    assert (code, out, served.requests) == (3, "", 0)
    assert folder.codes() == ["error hash-computed"]
    served.body = b'hash-computed = "off"\n'
    assert folder.codes() == ["error hash-computed"]
    assert served.requests == 1
    code, out, _ = folder.run("diff", str(folder.path / "deep.lock"))
    assert code == 0


def test_other_bytes_of_a_url_are_refused(folder: Folder, served: Served) -> None:
    served.body = b'hash-computed = "error"\n'
    folder.write("deep-lock.toml", f"[policy]\n{served.source()}")
    served.body = b'hash-computed = "off"\n'
    code, out, err = folder.run()
    assert (code, out) == (4, "")
    assert "has sha256" in err
    served.body = b""
    assert folder.run()[0] == 3
    served.body = b"#" * (1024 * 1024 + 1)
    code, out, err = folder.run()
    assert code == 4, err


def test_a_url_cannot_name_a_file_of_this_machine(folder: Folder, served: Served) -> None:
    folder.write("company.toml", "")
    served.body = f'extends = {{path = "{(folder.path / "company.toml").as_posix()}"}}\n'.encode()
    folder.write("deep-lock.toml", f"[policy]\n{served.source()}")
    code, _, err = folder.run()
    assert (code, "which is a path" in err) == (2, True)
