"""Requirement files: pip's format, what is refused, what is only told."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import deep_lock.errors
from deep_lock.errors import RequirementsInvalid
from deep_lock.parsing.text import decode
from deep_lock.project.requirements_txt import RequirementsFile, read_requirements

FIXTURES = Path(__file__).parents[3] / "fixtures" / "inputs"
CASES: list[dict[str, Any]] = tomllib.loads((FIXTURES / "requirement-faults.toml").read_text("utf-8"))["case"]
DIGEST = "0123456789abcdef" * 4


def unfolded(text: str) -> str:
    """Fixtures write "@3*ab@" for "ababab"."""
    return re.sub(r"@(\d+)\*([^@]+)@", lambda found: int(found[1]) * found[2], text)


class Folder:
    """An opener over a dict of (including, relative). It refuses what it was not given."""

    def __init__(self, files: dict[tuple[str, str], str]) -> None:
        self._files = files

    def __call__(self, including: str, relative: str, /) -> str:
        if relative == "locked.txt":
            raise PermissionError(relative)
        if (including, relative) not in self._files:
            raise FileNotFoundError(relative)
        return self._files[including, relative]


HOSTILE = Folder(
    {
        ("main.txt", "ring/one.txt"): "-r two.txt",
        ("ring/one.txt", "two.txt"): "-r ../ring/one.txt",
        ("ring/two.txt", "../ring/one.txt"): "-r two.txt",
        ("main.txt", "secret.txt"): "password = hunter2",
        ("main.txt", "secret-option.txt"): "--password hunter2",
        ("main.txt", "secret-quote.txt"): "--index-url 'hunter2",
        ("main.txt", "double/0.txt"): "-r 1.txt\n-r 1.txt",
        **{(f"double/{n}.txt", f"{n + 1}.txt"): f"-r {n + 2}.txt\n" * 2 for n in range(20)},
        ("double/20.txt", "21.txt"): "",
        ("double/20.txt", "22.txt"): "",
        ("double/21.txt", "22.txt"): "",
        ("double/19.txt", "21.txt"): "",
    }
)


def read(text: str, files: dict[tuple[str, str], str] | None = None) -> RequirementsFile:
    return read_requirements(text, "main.txt", Folder(files or {}))


def texts(text: str) -> list[str]:
    return [str(requirement) for requirement in read(text).requirements]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_refused(case: dict[str, Any]) -> None:
    with pytest.raises(getattr(deep_lock.errors, case["error"])) as caught:
        read_requirements(unfolded(case["text"]), "main.txt", HOSTILE)
    message = caught.value.message
    missing = [words for words in case["says"] if words not in message]
    assert not missing, message
    assert not any(words in message + caught.value.hint for words in case.get("never", []))
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("foo", ["foo"]),
        ("\ufefffoo", ["foo"]),
        ("foo\r\nbar\rbaz", ["foo", "bar", "baz"]),
        ("  foo  # why", ["foo"]),
        ("# foo\n\nbar", ["bar"]),
        ("foo \\\n  >=1,\\\n<2", ["foo<2,>=1"]),
        ("foo \\", ["foo"]),
        ("foo \\\n# a comment ends what is joined\nbar", ["foo", "bar"]),
        ("# a comment is not joined \\\nfoo", ["foo"]),
        ("Foo_Bar[B.c, a] ~= 1.0 ; python_version < '4'", ['foo-bar[a,b-c]~=1.0; python_version < "4"']),
        ("foo; sys_platform == 'a#b'", ['foo; sys_platform == "a#b"']),
        ("ruamel.yaml", ["ruamel-yaml"]),
        ("zope.interface>=5 --config-settings x=y", ["zope-interface>=5"]),
    ],
)
def test_lines(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_includes_are_found_from_the_including_file() -> None:
    files = {
        ("main.txt", "reqs/dev.txt"): "-c ../limits.txt\n-r base.txt\ndev",
        ("reqs/dev.txt", "base.txt"): "base>=1",
        ("reqs/dev.txt", "../limits.txt"): "base<2\n-r more.txt",
        ("limits.txt", "more.txt"): "more",
    }
    content = read("first\n-rreqs/dev.txt\n--requirement=reqs/dev.txt # once more", files)
    # pip: what a constraint file includes by -r is required
    once = ["more", "base>=1", "dev"]
    assert [str(one) for one in content.requirements] == ["first", *once, *once]
    assert [str(one) for one in content.constraints] == ["base<2", "base<2"]
    assert content.files == ("main.txt", "reqs/dev.txt", "limits.txt", "more.txt", "reqs/base.txt")
    assert str(content.requirements[2].origin) == "reqs/base.txt:1"


def test_hashes_belong_to_their_requirement() -> None:
    content = read(
        f"foo==1 \\\n    --hash=sha256:{DIGEST.upper()} \\\n    --hash sha512:{DIGEST * 2}\nbar\n--require-hashes"
    )
    assert content.hashes == ((content.requirements[0], (f"sha256:{DIGEST}", f"sha512:{DIGEST * 2}")),)
    assert content.requirements[1].origin is not None
    assert content.requirements[1].origin.line == 4


def test_index_options_are_kept_with_their_values() -> None:
    content = read(
        "-i https://user:hunter2@index.example/simple/\n--extra-index-url=https://other.example\n"
        "--find-links links\n-f https://files.example/x/\n--no-index\n--trusted-host index.example\n"
    )
    assert content.index_options == (
        ("index-url", "https://user:hunter2@index.example/simple/"),
        ("extra-index-url", "https://other.example"),
        ("find-links", "links"),
        ("find-links", "https://files.example/x/"),
        ("no-index", ""),
    )
    assert [note.code for note in content.notes] == ["option-ignored"]
    assert "--allow-insecure-host" in content.notes[0].message


@pytest.mark.parametrize(
    ("text", "no_binary", "only_binary"),
    [
        ("--no-binary :all:", {":all:"}, set()),
        ("--no-binary Foo_Bar,baz", {"foo-bar", "baz"}, set()),
        ("--no-binary foo\n--only-binary foo", set(), {"foo"}),
        ("--no-binary foo\n--only-binary :all:", set(), {":all:"}),
        ("--no-binary foo,:none:", set(), set()),
    ],
)
def test_formats(text: str, no_binary: set[str], only_binary: set[str]) -> None:
    content = read(text)
    assert content.no_binary == frozenset(no_binary)
    assert content.only_binary == frozenset(only_binary)


def test_other_options() -> None:
    content = read("--pre\n--prefer-binary\n--use-feature=x\nfoo")
    assert content.pre
    assert [note.code for note in content.notes] == ["option-ignored", "option-ignored"]


def test_deceiving_characters_in_a_comment_are_a_note() -> None:
    content = read("foo # \u202e\n")
    assert [(note.code, note.subject) for note in content.notes] == [("bidi-in-input", "main.txt:1")]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("foo".encode("utf-16"), "r.txt: this is UTF-16 or UTF-32"),
        ("foo".encode("utf-32-be"), "has U+0000"),
        (b"\x00\x00\xfe\xff\x00\x00\x00f", "UTF-16 or UTF-32"),
        (b"ok\nf\xe9", "r.txt:2: this is not UTF-8"),
    ],
)
def test_only_utf_8_is_read(raw: bytes, says: str) -> None:
    with pytest.raises(RequirementsInvalid) as caught:
        decode(raw, "r.txt", RequirementsInvalid)
    assert says in caught.value.message
    assert "UTF-8" in caught.value.hint


def test_a_byte_order_mark_of_utf_8_is_taken() -> None:
    assert decode(b"\xef\xbb\xbffoo", "r.txt", RequirementsInvalid) == "foo"
