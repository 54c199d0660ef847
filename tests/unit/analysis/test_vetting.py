"""What is covered, compared with a fixpoint by enumeration; and what a lock needs."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from deep_lock.analysis.vetting import Coverage, Need, counterpart, needs, without_unused
from deep_lock.lockfile.index import index_lock
from deep_lock.models.lock import (
    BUILD_MARKER,
    EnvironmentMember,
    Lock,
    LockedArchive,
    LockedBuild,
    LockedFile,
    LockedInputs,
    LockedPackage,
)
from deep_lock.models.vetting import (
    CRITERIA,
    AuditedFile,
    AuditImport,
    Criterion,
    FileAudit,
    FileExemption,
    ImportedAudits,
    Vetting,
    VettingConfig,
)

DIGESTS = [digit * 64 for digit in "012345"]
criteria = st.sampled_from([CRITERIA, CRITERIA[:1], CRITERIA[1:]])


@st.composite
def audits(draw: st.DrawFn) -> FileAudit:
    is_delta = draw(st.booleans())
    files = draw(st.lists(st.sampled_from(DIGESTS), min_size=1, max_size=2, unique=True))
    return FileAudit(
        package="a",
        version="2",
        base_version="1" if is_delta else "",
        criteria=draw(criteria),
        who="x",
        date=date(2026, 11, 30),
        files=tuple(
            AuditedFile(name="a", sha256=own, base=draw(st.sampled_from(DIGESTS)) if is_delta else "") for own in files
        ),
    )


@st.composite
def exemptions(draw: st.DrawFn) -> FileExemption:
    files = draw(st.lists(st.sampled_from(DIGESTS), min_size=1, max_size=3, unique=True))
    own = tuple(AuditedFile(name="a", sha256=each) for each in files)
    return FileExemption(package="a", version="1", criteria=draw(criteria), files=own)


@st.composite
def vettings(draw: st.DrawFn) -> Vetting:
    source = AuditImport(url="https://x.example/")
    imported = ImportedAudits(
        source=source,
        sha256="0" * 64,
        audits=tuple(draw(st.lists(audits(), max_size=3))),
    )
    other = ImportedAudits(  # of an address that the configuration does not have: it covers nothing
        source=AuditImport(url="https://y.example/"), sha256="0" * 64, audits=(draw(audits()),)
    )
    return Vetting(
        audits=tuple(draw(st.lists(audits(), max_size=5))),
        config=VettingConfig(
            imports={"team": source, "other": source}, exemptions=tuple(draw(st.lists(exemptions(), max_size=2)))
        ),
        imports={"team": imported, "other": other, "gone": imported},
    )


def enumerated(vetting: Vetting, criterion: Criterion, *, with_exemptions: bool = True) -> set[str]:
    """Return what is covered: everything that one more step from what is covered covers, until nothing is added."""
    records: list[FileAudit | FileExemption] = [*vetting.audits, *vetting.imports["team"].audits]
    records += vetting.config.exemptions if with_exemptions else ()
    covered: set[str] = set()
    while True:
        more = {
            file.sha256
            for record in records
            for file in record.files
            if criterion in record.criteria and (not file.base or file.base in covered)
        }
        if more <= covered:
            return covered
        covered |= more


def need(sha256: str, own: tuple[Criterion, ...] = CRITERIA) -> Need:
    file = LockedFile(name="a-2.tar.gz", url="https://files.example/a-2.tar.gz", sha256=sha256)
    return Need(entry=LockedPackage(name="a", version="2", sdist=file), file=file, criteria=own)


@given(vettings(), st.lists(st.sampled_from(DIGESTS), max_size=4, unique=True))
@settings(max_examples=300)
def test_coverage_is_that_of_the_enumeration(vetting: Vetting, wanted: list[str]) -> None:
    coverage = Coverage(vetting)
    for criterion in CRITERIA:
        assert {own for own in DIGESTS if coverage.covers(own, criterion)} == enumerated(vetting, criterion)
        by_audits = enumerated(vetting, criterion, with_exemptions=False)
        for digest in DIGESTS:
            steps = list(coverage.chain(digest, criterion))
            assert bool(steps) == coverage.covers(digest, criterion)
            # each step leads to the one before it, and the first is a whole file
            ends = [own.file.base for own in steps]
            assert [digest, *ends] == [*(own.file.sha256 for own in steps), *(ends[-1:] or [digest])]
            assert not steps or ends[-1] == ""
            assert len({own.file.sha256 for own in steps}) == len(steps)
            assert all(criterion in own.record.criteria for own in steps)
            uses_exemption = any(isinstance(own.record, FileExemption) for own in steps)
            assert uses_exemption == (bool(steps) and digest not in by_audits)
    needed = [need(own) for own in wanted]
    left = without_unused(vetting.config.exemptions, coverage.used(needed))
    kept = tuple(each for position, own in enumerate(vetting.config.exemptions) for each in left.get(position, (own,)))
    after = Coverage(replace(vetting, config=replace(vetting.config, exemptions=kept)))
    assert [after.missing(own) for own in needed] == [coverage.missing(own) for own in needed]
    # and nothing is left that could go
    assert not without_unused(kept, after.used(needed))


def test_a_chain_as_long_as_a_file_can_have() -> None:
    names = [f"{number:064x}" for number in range(30_000)]
    steps = tuple(AuditedFile(name="a", sha256=new, base=old) for old, new in pairwise(names))
    whole = FileAudit(
        package="a",
        version="1",
        criteria=CRITERIA,
        who="x",
        date=date(2026, 1, 1),
        files=(AuditedFile(name="a", sha256=names[0]),),
    )
    vetting = Vetting(audits=(whole, replace(whole, base_version="1", files=steps)))
    coverage = Coverage(vetting)
    assert coverage.covers(names[-1], "safe-to-run")
    assert len(coverage.used([need(own) for own in names[-100:]])) == 2 * len(names)


@pytest.mark.parametrize(
    ("filename", "others", "expected"),
    [
        ("a-2.tar.gz", ["a-1-py3-none-any.whl", "a-1.zip"], "a-1.zip"),
        ("a-2-py3-none-any.whl", ["a-1.tar.gz"], None),
        ("a-2.tar.gz", ["a-1-py3-none-any.whl"], None),
        ("a-2-py3-none-any.whl", ["a-1-py2.py3-none-any.whl", "a-1-py3-none-any.whl"], "a-1-py3-none-any.whl"),
        ("a-2-py3-none-any.whl", ["a-1-py2.py3-none-any.whl"], "a-1-py2.py3-none-any.whl"),
        ("a-2-7-cp312-cp312-win32.whl", ["a-1-cp312-cp312-win32.whl"], "a-1-cp312-cp312-win32.whl"),
        ("a-2-cp312-cp312-win32.whl", ["a-1-cp313-cp313-win32.whl", "a-1-cp312-abi3-win32.whl"], None),
        (  # the tags of a build tool change between releases
            "a-2-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl",
            [
                "a-1-cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
                "a-1-cp312-cp312-manylinux_2_28_x86_64.whl",
                "a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            ],
            "a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        ),
    ],
)
def test_files_of_two_releases_that_are_compared(filename: str, others: list[str], expected: str | None) -> None:
    assert counterpart(filename, others) == expected
    assert counterpart(filename, others[::-1]) == expected


def _file(name: str) -> LockedFile:
    return LockedFile(name=name, url=f"https://files.example/{name}", sha256=name.encode().hex().ljust(64, "0")[:64])


def test_what_a_lock_needs() -> None:
    both = LockedPackage(
        name="both", version="1", sdist=_file("both-1.tar.gz"), wheels=(_file("both-1-py3-none-any.whl"),)
    )
    built = LockedPackage(
        name="built", version="1", sdist=_file("built-1.tar.gz"), wheels=(_file("built-1-cp313-cp313-win32.whl"),)
    )
    tool = LockedPackage(
        name="tool",
        version="1",
        marker=BUILD_MARKER,
        sdist=_file("tool-1.tar.gz"),
        wheels=(_file("tool-1-py3-none-any.whl"),),
    )
    url = "https://files.example/direct-1.zip"
    direct = LockedPackage(name="direct", version=None, source=LockedArchive(url=url, sha256="d" * 64))
    records = [
        LockedBuild(
            name=name,
            version=version,
            source=source,
            needed="always",
            backend="tool",
            requires=("tool",),
            requires_from="pyproject",
            evidence="static",
            packages=(EnvironmentMember(name="tool", version="1"), EnvironmentMember(name="both", version="1")),
        )
        for name, version, source in (("built", "1", None), ("direct", None, url))
    ]
    lock = Lock(inputs=LockedInputs(), packages=(both, built, direct, tool), builds=tuple(records))
    assert {own.file.name: own.criteria for own in needs(index_lock(lock))} == {
        "both-1-py3-none-any.whl": CRITERIA,
        "both-1.tar.gz": CRITERIA,
        "built-1-cp313-cp313-win32.whl": ("safe-to-run",),
        "built-1.tar.gz": CRITERIA,
        "direct-1.zip": CRITERIA,
        "tool-1-py3-none-any.whl": ("safe-to-build",),
        "tool-1.tar.gz": ("safe-to-build",),
    }
