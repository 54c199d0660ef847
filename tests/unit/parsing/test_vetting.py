"""The files of `supply-chain/`: what is read, and what is refused, with its location."""

from datetime import date

import pytest

from deep_lock.errors import DeepLockError, LimitExceeded, VettingInvalid
from deep_lock.events import Warned
from deep_lock.models.vetting import AuditedFile, AuditImport, FileAudit
from deep_lock.parsing.vetting import MAX_CHARACTERS, read_audits, read_imports_lock, read_vetting_config

A, B = "a" * 64, "b" * 64
AUDIT = f"""\
version = 1

[[audits.Jinja2]]
version = "3.1.06"
from = "3.1.5"
criteria = ["safe-to-run"]
who = "Ada <ada@files.example>"
date = 2026-11-30
notes = "first\\nsecond"
files = [
    {{ name = "jinja2-3.1.6-py3-none-any.whl", sha256 = "{A}", from = "{B}" }},
]
"""
READ = FileAudit(
    package="jinja2",
    version="3.1.6",
    base_version="3.1.5",
    criteria=("safe-to-run",),
    who="Ada <ada@files.example>",
    date=date(2026, 11, 30),
    notes="first\nsecond",
    files=(AuditedFile(name="jinja2-3.1.6-py3-none-any.whl", sha256=A, base=B),),
)
EXEMPTION = f"""
[[exemptions.six]]
version = "1.0"
criteria = ["safe-to-run", "safe-to-build"]
files = [{{ name = "six-1.0.tar.gz", sha256 = "{A}" }}]
"""


def test_an_audit() -> None:
    assert read_audits(AUDIT, "audits.toml") == (READ,)
    assert read_audits("version = 1\r\n", "audits.toml") == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1\n", "", "audits.toml: has no version; this deep-lock reads version = 1"),
        ("version = 1\n", "version = 2\n", "has version '2'"),
        ("version = 1\n", "version = true\n", "has version 'True'"),
        ("version = 1\n", "version = 1\nextra = 1\n", "audits.toml:2: 'extra' is not a known key"),
        ("who =", "by = 1\nwho =", "audits.toml:7: audits.Jinja2, entry 1: 'by' is not a known key"),
        ('", from = "b', '", form = "b', "audits.toml:11: audits.Jinja2.files: 'form' is not a known key"),
        ('who = "Ada <ada@files.example>"\n', "", "audits.Jinja2, entry 1: who is missing"),
        ("Ada", "A\u202eda", "who must be one line"),
        ("Ada", "A\\nda", "who must be one line"),
        ("second", "sec\u202eond", "notes must be text"),
        ("first", "x" * 20_000, "notes must be text of at most"),
        ("2026-11-30", "2026-11-30T01:00:00", "date must be a date such as 2026-11-30"),
        ("2026-11-30", "2026", "date must be a date"),
        ('["safe-to-run"]', "[]", "criteria is empty"),
        ('["safe-to-run"]', '"safe-to-run"', "criteria must be a list of strings"),
        ('["safe-to-run"]', "[1]", "criteria must be a list of strings"),
        ("safe-to-run", "safe-to-deploy", "entry 1: 'safe-to-deploy' is not a known criterion"),
        ('"3.1.06"', '"three"', "'three' is not a version"),
        ('"3.1.06"', '"' + "9" * 5000 + '"', "is not a version"),
        ('from = "3.1.5"\n', "", "jinja2-3.1.6-py3-none-any.whl must have no from"),
        (f', from = "{B}"', "", "must have the sha256 of a file of that version as from"),
        (B, B.upper(), "must have the sha256 of a file of that version as from"),
        (A, A[1:], "the sha256 of jinja2-3.1.6-py3-none-any.whl must be 64"),
        ("jinja2-3.1.6-py3", "../jinja2-3.1.6-py3", "is not the name of a file"),
        ("jinja2-3.1.6-py3", "jinja2\u202e-3.1.6-py3", "is not the name of a file"),
        ("    {", "    7, {", "files must be a list of tables"),
        ("audits.Jinja2", "audits.'a b'", "is not a valid name"),
        ("[[audits.Jinja2]]", "[audits.Jinja2]", "audits.Jinja2 must be an array of tables"),
        ("[[audits.Jinja2]]", "audits = 1\n[[other.x]]", "audits must be a table, not a number"),
        ("[[audits", "[[[audits", "is not valid TOML"),
        ("[[audits.Jinja2]]", "<<<<<<< HEAD\n[[audits.Jinja2]]", "is not valid TOML"),
        ("files = [\n", "files = [\n" + "[" * 5000 + "]" * 5000 + ",", "audits.toml"),
    ],
)
def test_an_audit_that_is_refused(old: str, new: str, message: str) -> None:
    assert old in AUDIT
    with pytest.raises(DeepLockError) as caught:
        read_audits(AUDIT.replace(old, new, 1), "audits.toml")
    assert isinstance(caught.value, VettingInvalid)
    assert message in caught.value.message
    assert len(caught.value.message) < 500


def test_all_faults_are_reported_and_a_large_file_is_refused() -> None:
    text = AUDIT.replace("2026-11-30", "1").replace("[[audits", '[[audits.six]]\nwho = "x"\n\n[[audits', 1)
    with pytest.raises(VettingInvalid, match="2 faults"):
        read_audits(text, "audits.toml")
    with pytest.raises(VettingInvalid, match="is in it twice"):
        read_audits(AUDIT.replace("files = [\n", f'files = [\n{{ name = "x", sha256 = "{A}", from = "{B}" }},\n'), "a")
    with pytest.raises(LimitExceeded):
        read_audits("#" * (MAX_CHARACTERS + 1), "audits.toml")


def test_what_is_not_known_in_a_file_of_another_team_is_left_out() -> None:
    found: list[Warned] = []

    def report(event: object) -> None:
        assert isinstance(event, Warned)
        found.append(event)

    text = AUDIT.replace("version = 1\n", "version = 1\n[team]\nx = 1\n")
    more = text.replace('["safe-to-run"]', '["safe-to-deploy", "safe-to-run"]')
    assert read_audits(more, "team", report) == (READ,)
    assert [own.message.partition(" is not")[0] for own in found] == [
        "'team'",
        "audits.Jinja2, entry 1: 'safe-to-deploy'",
    ]
    assert all(own.message.endswith(": it is left out") for own in found)
    for restricted in (text.replace("who =", "by = 1\nwho ="), text.replace("sha256 =", "only = 1, sha256 =", 1)):
        found.clear()
        assert read_audits(restricted, "team", report) == ()
        assert found[-1].message.endswith(": the audit is left out")
    assert read_audits(text.replace("safe-to-run", "safe-to-deploy"), "team", report) == ()
    with pytest.raises(VettingInvalid):  # what is known must be valid
        read_audits(text.replace(A, "a"), "team", report)


def test_the_configuration() -> None:
    text = f"version = 1\n[imports.acme]\nurl = 'https://x.example/audits.toml'\n[imports.b_2]\ngit = 'https://x.example/b'\n{EXEMPTION}"
    config = read_vetting_config(text, "config.toml")
    assert config.imports == {
        "acme": AuditImport(url="https://x.example/audits.toml"),
        "b_2": AuditImport(git="https://x.example/b", path="supply-chain/audits.toml"),
    }
    assert [(own.package, own.criteria) for own in config.exemptions] == [("six", ("safe-to-build", "safe-to-run"))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[imports.'A b']\nurl = 'x'", "the name 'A b' must have lower-case"),
        ("[imports.a]", "imports.a: must have either url or git"),
        ("[imports.a]\nurl = 'x'\ngit = 'y'", "imports.a: must have either url or git"),
        ("[imports.a]\nurl = 'x'\nref = 'y'", "ref and path are for git only"),
        ("[imports.a]\ngit = 'x'\npath = '../y'", "path must be a relative path"),
        ("[imports.a]\nurl = 'x\u200by'", "one line of visible characters"),
        ("[imports]\na = 1", "imports.a: must be a table"),
        (f"{EXEMPTION}who = 'x'", "'who' is not a known key"),
        (EXEMPTION.replace('" }', f'", from = "{B}" }}'), "six-1.0.tar.gz must have no from"),
    ],
)
def test_a_configuration_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(VettingInvalid) as caught:
        read_vetting_config(f"version = 1\n{text}", "config.toml")
    assert message in caught.value.message


def test_imports_have_their_pin() -> None:
    pin = f"version = 1\n[imports.acme]\ngit = 'https://x.example/b'\ncommit = '{'c' * 40}'\nsha256 = '{A}'\n"
    text = pin + AUDIT.replace("version = 1\n", "").replace("audits.", "audits.acme.")
    found = read_imports_lock(text, "imports.lock")["acme"]
    assert (found.audits, found.sha256, found.commit) == ((READ,), A, "c" * 40)
    for old, new, message in (
        (f"commit = '{'c' * 40}'\n", "", "commit must be the full ID"),
        ("'" + "c" * 40, "'main", "commit must be the full ID"),
        (f"sha256 = '{A}'\n", "", "sha256 is missing"),
        (f"sha256 = '{A}'", "sha256 = 'x'", "sha256 must be 64"),
        ("audits.acme", "audits.other", "there is no table imports.'other'"),
    ):
        assert old in text
        with pytest.raises(VettingInvalid) as caught:
            read_imports_lock(text.replace(old, new, 1), "imports.lock")
        assert message in caught.value.message
