"""`deep-lock policy --accept`: the exception is written to the policy, with its style kept, and the finding is a note."""

import difflib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.cli.main import run
from deep_lock.config.config import read_config_file
from deep_lock.config.policy import read_policy_file
from deep_lock.lockfile.writer import to_text
from deep_lock.models.lock import LockedPackage
from deep_lock.project.pyproject import read_pyproject
from tests.support import schemas
from tests.support.lock_strategies import package, small_lock

TODAY = datetime.now(UTC).date()
LATER = (TODAY + timedelta(days=30)).isoformat()
ID = "hash-computed:app==1.0"
PYPROJECT = """\
# The project.
[project]
name = 'x'
version = "1"

[tool.deep-lock.policy]  # reviewed
hash-computed = "error"  # always

# Other tools.
[tool.ruff]
line-length = 100
"""
ADDED = f"""\

[[tool.deep-lock.policy.exceptions]]
name = "app"
version = "1.0"
rule = "hash-computed"
reason = "the index has none"
until = {LATER}
"""
EXPIRED = ADDED.replace("tool.deep-lock.policy.", "").replace(LATER, "2020-01-01")


class Folder:
    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capsys = capsys
        self.write("deep.lock", to_text(small_lock(*map(_computed, ("app", "other")))))
        self.write("pyproject.toml", PYPROJECT)

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="utf-8")

    def read(self, name: str = "pyproject.toml") -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run(["policy", "--lock", str(self.path / "deep.lock"), *arguments])
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def accept(
        self, own: str = ID, *flags: str, until: str = LATER, reason: str = "the index has none"
    ) -> tuple[int, str, str]:
        return self.run("--accept", own, "--until", until, "--reason", reason, *flags)


def _computed(name: str) -> LockedPackage:
    return replace(package(name), direct=True, hash_origin="computed")


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


@pytest.mark.parametrize("form", ["text", "github"])
def test_each_format_for_people_shows_the_id(folder: Folder, form: str) -> None:
    _, out, _ = folder.run("--format", form)
    assert ID in out
    assert folder.accept(ID)[0] == 0


def test_the_exception_is_added_below_the_policy_and_nothing_else_changes(folder: Folder) -> None:
    assert folder.run()[0] == 1
    code, out, said = folder.accept()
    assert (code, out) == (0, "")
    assert said == f"pyproject.toml: {ID} is accepted until {LATER}\n"
    assert folder.read() == PYPROJECT.replace("# always\n", f"# always\n{ADDED}")
    code, out, _ = folder.run()
    assert code == 1, "the other finding is still an error"
    assert f"note {ID}: app 1.0: " in out
    assert f"(excepted until {LATER}: the index has none)" in out
    assert folder.accept("hash-computed:other==1.0")[0] == 0
    assert folder.run()[0] == 0


def test_a_second_exception_is_below_the_first(folder: Folder) -> None:
    folder.accept()
    before = folder.read()
    assert folder.accept("hash-computed:other==1.0")[0] == 0
    assert folder.read() == before.replace(ADDED, ADDED + ADDED.replace('"app"', '"other"'))


def test_an_id_without_a_version_is_for_every_version(folder: Folder) -> None:
    assert folder.accept("hash-computed:App")[0] == 0
    policy = read_pyproject(folder.read(), "x").tools["deep-lock"]["policy"]
    assert policy["exceptions"][0].keys() == {"name", "rule", "reason", "until"}
    assert f"note {ID}" in folder.run()[1]
    code, _, said = folder.accept(ID)
    assert code == 2
    assert "there is an exception for every version of app" in said
    assert "--accept hash-computed:app" in said


def test_the_same_id_again_changes_the_date_alone(folder: Folder) -> None:
    folder.accept()
    before = folder.read()
    until = (TODAY + timedelta(days=60)).isoformat()
    code, _, said = folder.accept(until=until)
    assert code == 0
    assert f"is accepted until {until} (until now: {LATER})" in said
    code, out, _ = folder.accept(ID, "--format", "json")
    document = json.loads(out)
    schemas.check(document)
    assert (code, document["schema"], document["id"]) == (0, "deep-lock/policy-exception", ID)
    assert (document["until"], document["was-until"]) == (LATER, until)
    folder.accept(until=until)
    assert changed_lines(before, folder.read()) == [f"- until = {LATER}", f"+ until = {until}"]


def test_an_expired_exception_is_renewed(folder: Folder) -> None:
    folder.write("pyproject.toml", PYPROJECT.replace("# always\n", f"# always\n{ADDED.replace(LATER, '2020-01-01')}"))
    assert "exception-expired" in folder.run()[1]
    assert folder.accept()[0] == 0
    assert "exception-expired" not in folder.run()[1]
    assert folder.read().count("[[tool.deep-lock.policy.exceptions]]") == 1


@pytest.mark.parametrize(
    ("name", "text", "flags"),
    [
        ("deep-lock.toml", '[policy]\nhash-computed = "error"\n', ()),
        ("company.toml", 'hash-computed = "error"\n', ("--policy", "company.toml")),
    ],
)
def test_the_policy_of_another_file(
    folder: Folder, name: str, text: str, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path)
    folder.write(name, text)
    assert folder.accept(ID, *flags)[0] == 0
    assert folder.read() == PYPROJECT
    policy = (
        read_config_file(folder.read(name), name).policy
        if name == "deep-lock.toml"
        else read_policy_file(folder.read(name), name)
    )
    assert policy is not None
    assert [own.id for own in policy.exceptions] == [ID]
    assert f"note {ID}" in folder.run(*flags)[1]


@pytest.mark.parametrize(
    ("extends", "base"),
    [
        ('"strict"', ""),
        ('{path = "company.toml"}', 'hash-computed = "error"\n'),
        # the exception of the project has precedence over the one of the file, which expired
        ('{path = "company.toml"}', 'hash-computed = "error"\n' + EXPIRED),
    ],
    ids=["profile", "file", "expired"],
)
def test_a_finding_of_a_policy_that_is_extended_is_accepted_in_the_policy_of_the_project(
    folder: Folder, extends: str, base: str
) -> None:
    folder.write("company.toml", base)
    before = f"[policy]  # ours\nextends = {extends}\n"
    folder.write("deep-lock.toml", before)
    assert f"error {ID}: " in folder.run()[1]
    assert folder.accept()[0] == 0
    assert folder.read("deep-lock.toml") == before + ADDED.replace("tool.deep-lock.", "")
    assert (folder.read("company.toml"), folder.read()) == (base, PYPROJECT)
    _, out, _ = folder.run()
    assert f"note {ID}: " in out
    assert "error hash-computed:other==1.0: " in out
    assert "exception-expired" not in out


def test_a_project_without_a_policy_gets_one(folder: Folder) -> None:
    folder.write("pyproject.toml", "[project]\nname = 'x'\nversion = '1'")
    assert folder.accept()[0] == 0
    assert folder.read() == f"[project]\nname = 'x'\nversion = '1'\n{ADDED}".removesuffix("\n")


def test_a_finding_of_a_comparison(folder: Folder) -> None:
    folder.write("old.lock", to_text(small_lock(_computed("other"))))
    assert folder.accept("package-new:app==1.0")[0] == 2
    assert folder.accept("package-new:app==1.0", "--against", str(folder.path / "old.lock"))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--accept", "hash-computed:ap==1.0"], f"did you mean {ID}?"),
        (["--accept", "app"], "there is no finding app in the lock"),
        (["--accept", "hash-computed:app==2.0"], "there is no finding hash-computed:app==2.0 in the lock"),
        (["--until", (TODAY - timedelta(days=1)).isoformat()], "is in the past"),
        (["--until", "2026-12"], "is not a date"),
        (["--reason", "two\nlines"], "reason must be one line of text"),
        (["--reason", " "], "reason must be one line of text"),
    ],
)
def test_what_is_refused_changes_nothing(folder: Folder, arguments: list[str], says: str) -> None:
    complete = {"--accept": ID, "--until": LATER, "--reason": "x"} | {arguments[0]: arguments[1]}
    code, out, said = folder.run(*[text for pair in complete.items() for text in pair])
    assert (code, out) == (2, "")
    assert says in said
    assert folder.read() == PYPROJECT


def test_the_three_options_belong_together(folder: Folder) -> None:
    assert "are used together" in folder.run("--accept", ID)[2]
    assert "are used together" in folder.run("--until", LATER)[2]


def test_the_last_day_is_today_at_the_earliest(folder: Folder) -> None:
    assert folder.accept(until=TODAY.isoformat())[0] == 0
    assert f"note {ID}" in folder.run()[1]


INLINE = f'{{name = "app", version = "1.0", rule = "hash-computed", reason = "the index has none", until = {LATER}}}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("exceptions = []", f"exceptions = [{INLINE}]"),
        (
            'exceptions = [\n  # one\n  {name = "b", rule = "yanked", reason = "x", until = "2999-01-01"}, # b\n]',
            (
                'exceptions = [\n  # one\n  {name = "b", rule = "yanked", reason = "x", until = "2999-01-01"}, # b\n'
                f"  {INLINE},\n]"
            ),
        ),
    ],
)
def test_inline_exceptions_stay_inline(folder: Folder, before: str, after: str) -> None:
    folder.write("pyproject.toml", PYPROJECT.replace("# always\n", f"# always\n{before}\n"))
    assert folder.accept()[0] == 0
    assert folder.read() == PYPROJECT.replace("# always\n", f"# always\n{after}\n")
    until = (TODAY + timedelta(days=60)).isoformat()
    assert folder.accept(until=until)[0] == 0
    assert folder.read() == PYPROJECT.replace("# always\n", f"# always\n{after.replace(LATER, until)}\n")
