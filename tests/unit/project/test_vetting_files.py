"""Edits of the files of `supply-chain/`: the records stay sorted, and comments, other records and line ends stay as they are."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from deep_lock.errors import ProjectInvalid
from deep_lock.models.vetting import AUDITS, CONFIG, CRITERIA, AuditedFile, FileAudit, FileExemption
from deep_lock.parsing.vetting import read_audits, read_vetting_config
from deep_lock.project import edit
from deep_lock.project.vetting_files import new_text, with_record, with_replaced_records

PROJECTS = ["a", "b-c", "six", "zope-x"]
VERSIONS = ["1.0", "1.2", "1.10", "2.0rc1", ""]
notes = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"], include_characters="\n\t"), max_size=20
)


filenames = st.sampled_from(["a-1.zip", "a~1 @\"x\" 'é'.zip"])  # the name of an archive that is a direct source


@st.composite
def audits(draw: st.DrawFn) -> FileAudit:
    is_delta = draw(st.booleans())
    digests = draw(st.lists(st.sampled_from("0123456789abcdef"), min_size=1, max_size=2, unique=True))
    return FileAudit(
        package=draw(st.sampled_from(PROJECTS)),
        version=draw(st.sampled_from(VERSIONS)),
        base_version="0.9" if is_delta else "",
        criteria=draw(st.sampled_from([CRITERIA, CRITERIA[:1], CRITERIA[1:]])),
        who=draw(st.sampled_from(["A <a@files.example>", "B \"b\" 'c' \\ é"])),
        date=date(2026, 11, 30),
        notes=draw(notes),
        files=tuple(
            AuditedFile(name=draw(filenames), sha256=own * 64, base="f" * 64 if is_delta else "") for own in digests
        ),
    )


def _order(record: FileAudit | FileExemption) -> tuple[str, Version]:
    return record.package, Version(record.version or "0")


@given(st.lists(audits(), max_size=3, unique_by=repr), st.sets(st.sampled_from(PROJECTS)), st.booleans(), st.booleans())
@settings(max_examples=20)
def test_audits_are_added_in_order(added: list[FileAudit], known: set[str], windows: bool, commented: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    text = new_text(AUDITS, known)
    text = text if commented else "version = 1"
    with TemporaryDirectory() as folder:
        path = Path(folder, AUDITS)
        path.write_bytes((text.replace("\n", "\r\n") if windows else text).encode())
        document = edit.open_document(path)
        for number, audit in enumerate(added, 1):
            before = read_audits(document.text, AUDITS)
            document = with_record(document, "audits", audit, before)
            found = read_audits(document.text, AUDITS)
            assert sorted(found, key=repr) == sorted(added[:number], key=repr)
            assert list(map(_order, found)) == sorted(map(_order, found))
            assert [own for own in found if own in before] == list(before)
        edit.write(document)
        raw = path.read_bytes()
        assert not windows or not commented or raw.count(b"\r\n") == raw.count(b"\n")
        # the same text as if all had been there from the beginning, as far as projects have a comment
        if commented and len(set(map(_order, added))) == len(added):
            assert raw.decode().replace("\r\n", "\n") == new_text(AUDITS, known, added)


@given(st.data())
@settings(max_examples=20)
def test_exemptions_are_removed_and_added_again(data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.tuples(st.sampled_from(PROJECTS), st.sampled_from(VERSIONS)), max_size=6, unique=True))
    exemptions = [
        FileExemption(package=name, version=version, criteria=CRITERIA, files=(AuditedFile(name="a", sha256="1" * 64),))
        for name, version in keys
    ]
    text = new_text(CONFIG, PROJECTS, exemptions)
    with TemporaryDirectory() as folder:
        path = Path(folder, CONFIG)
        path.write_text(text, encoding="utf-8")
        document = edit.open_document(path)
    records = read_vetting_config(text, CONFIG).exemptions
    gone = data.draw(st.sets(st.sampled_from(range(len(records)))) if records else st.just(set()))
    after = with_replaced_records(document, "exemptions", records, dict.fromkeys(gone, ()))
    kept = [own for position, own in enumerate(records) if position not in gone]
    assert after.text == new_text(CONFIG, PROJECTS, kept)
    for position in sorted(gone):
        now = read_vetting_config(after.text, CONFIG).exemptions
        after = with_record(after, "exemptions", records[position], now)
    assert after.text == text


def test_a_comment_above_a_record_stays_and_a_part_of_a_record_is_replaced(tmp_path: Path) -> None:
    own = FileExemption(package="six", version="1", criteria=CRITERIA, files=(AuditedFile(name="a", sha256="1" * 64),))
    path = tmp_path / CONFIG
    text = (
        new_text(CONFIG, (), [own]).replace("[[", "# why\n[[")
        + "# below\n\n[imports.acme]\nurl = 'https://x.example'\n"
    )
    path.write_text(text, encoding="utf-8")
    build, run = (FileExemption(package="six", version="1", criteria=(each,), files=own.files) for each in CRITERIA)
    edited = with_replaced_records(edit.open_document(path), "exemptions", [own], {0: (build, run)})
    assert read_vetting_config(edited.text, CONFIG).exemptions == (build, run)
    assert "# six\n# why\n[[exemptions.six]]" in edited.text
    assert "]\n# below\n\n[imports.acme]" in edited.text
    path.write_text("version = 1\nexemptions = { six = [] }\n", encoding="utf-8")
    with pytest.raises(ProjectInvalid, match="cannot be edited"):
        with_record(edit.open_document(path), "exemptions", own, [])
