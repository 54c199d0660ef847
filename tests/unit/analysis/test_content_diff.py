"""The difference between two trees of files: the unified diff applies, whatever the lines are."""

import re
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from deep_lock.analysis.content_diff import (
    NO_LINE_BREAK,
    Release,
    ToRead,
    dangers,
    differences,
    equal_blocks,
    text_lines,
    to_read,
    unified,
)
from deep_lock.models.contents import ArchivedFile, ArchiveTree, FileContents


def file(text: str) -> ArchivedFile:
    raw = text.encode()
    lines = text.count("\n") + (text[-1:] not in {"", "\n"})
    return ArchivedFile(kind="text", size=len(raw), sha256=sha256(raw).hexdigest(), lines=lines, text=raw)


def tree(**files: str) -> ArchiveTree:
    return ArchiveTree(filename="demo-1.0.tar.gz", files={f"{name}.py": file(text) for name, text in files.items()})


def applied(old: str, diff: str) -> str:
    """Apply a unified diff as `patch` does, and compare every line that it repeats."""
    before, out, at = old.split("\n"), list[str](), 0
    for text in diff.split("\n")[:-1]:
        if hunk := re.fullmatch(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", text):
            start = int(hunk[1]) - (hunk[2] != "0")
            out += before[at:start]
            at = start
            assert len(out) == int(hunk[3]) - (hunk[4] != "0")
        elif text == NO_LINE_BREAK:
            continue
        else:
            if text[0] in " -":
                assert before[at] == text[1:]
                at += 1
            if text[0] in " +":
                out.append(text[1:])
    return "\n".join([*out, *before[at:]])


TEXTS = st.lists(st.sampled_from("abcdefgh"), max_size=40).map(lambda lines: "".join(f"{line}\n" for line in lines))


@settings(max_examples=150)
@given(TEXTS, TEXTS)
def test_the_diff_applies_and_its_lines_are_counted(old: str, new: str) -> None:
    found = differences(tree(a=old), tree(a=new))
    assert [own.path for own in found] == ([] if old == new else ["a.py"])
    for own in found:
        diff = "".join(f"{line}\n" for line in unified(own))
        assert applied(old, diff) == new
        assert (own.added, own.removed) == tuple(len(re.findall(rf"^\{sign}", diff, re.MULTILINE)) for sign in "+-")


@settings(max_examples=50)
@given(TEXTS, TEXTS)
def test_equal_blocks_are_equal_and_in_order(old: str, new: str) -> None:
    end = (0, 0)
    for old_at, new_at, size in equal_blocks(old, new):
        assert (old_at, new_at) >= end
        assert old_at >= end[0]
        assert new_at >= end[1]
        assert old[old_at : old_at + size] == new[new_at : new_at + size]
        end = old_at + size, new_at + size


def test_a_missing_line_break_at_the_end_is_shown() -> None:
    (own,) = differences(tree(a="x\n"), tree(a="x"))
    assert "\n".join(unified(own)) == f"@@ -1,1 +1,1 @@\n-x\n+x\n{NO_LINE_BREAK}"


def test_bytes_that_are_not_utf8_differ() -> None:
    one, other = (ArchivedFile(kind="text", size=1, sha256=own.hex(), lines=1, text=own) for own in (b"\xe9", b"\xe8"))
    assert text_lines(one) != text_lines(other)


def test_what_there_is_to_read() -> None:
    binary = ArchivedFile(kind="binary", size=70, sha256="1", native="ELF")
    old = tree(same="x\n", gone="1\n2\n", other="1\n2\n3\n")
    plain = tree(same="x\n", other="1\n2\n4\n")
    new = ArchiveTree(filename=plain.filename, files={**plain.files, "a.so": binary})
    assert to_read(old, new) == ToRead(lines=4, binary_bytes=70)
    assert to_read(None, new) == ToRead(lines=4, binary_bytes=70)
    assert to_read(new, new) == ToRead(lines=0, binary_bytes=0)


def test_whether_a_file_of_an_sdist_takes_effect_at_the_start_depends_on_its_build() -> None:
    contents = FileContents(startup=(("a.pth", "import a"),))
    for filename, condition in (("a-1.0-py3-none-any.whl", False), ("a-1.0.tar.gz", True)):
        (found,) = dangers(None, Release(tree=ArchiveTree(filename=filename, files={}), contents=contents))
        assert ("if it is installed into the folder of packages" in found.message) is condition
