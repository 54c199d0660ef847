"""Pinned requirements: recorded files of uv, pip-compile, poetry export and pip freeze, and what pip installs of them."""

from pathlib import Path

import pytest

from deep_lock.errors import LockInvalid
from deep_lock.foreign_locks.requirements_txt import read_pins
from deep_lock.models.foreign_lock import ForeignLock, installed_pins
from deep_lock.targets.factory import make_target

FOLDER = Path(__file__).parents[3] / "fixtures" / "foreign" / "pins"
TREES = {"./local-lib/pyproject.toml": '[project]\nname = "Local.Lib"\n'}


def opened(including: str, relative: str) -> str:
    assert including == "requirements.txt"
    key = relative if relative.startswith("./") else f"./{relative}"
    if key not in TREES:
        raise FileNotFoundError(relative)
    return TREES[key]


def read(text: str) -> ForeignLock:
    return read_pins(text, "requirements.txt", opened)


def recorded(name: str) -> ForeignLock:
    return read((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))


def installed(lock: ForeignLock, python: str, platform: str = "x86_64-manylinux_2_28") -> str:
    found = installed_pins(lock, make_target(python, platform, host=None).environment)
    return " ".join(sorted(f"{lock.pins[place].name}=={lock.pins[place].version}" for place in found))


def test_markers_tell_two_pins_of_one_name_apart() -> None:
    """The answers are those of `pip install --dry-run --report` under both Pythons; of a URL the file tells no version."""
    lock = recorded("uv-universal")
    assert installed(lock, "3.9") == (
        "certifi==2026.10.18 charset-normalizer==3.5.2 click==8.1.8 idna==None pysocks==1.7.1 requests==2.32.5 "
        "tomli==2.5.0 urllib3==2.6.3"
    )
    assert installed(lock, "3.12") == (
        "certifi==2026.10.18 charset-normalizer==3.5.2 click==8.5.1 idna==None pysocks==1.7.1 requests==2.34.2 "
        "urllib3==2.8.0"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uv-universal", ("requirements.txt", ">=3.9", (), (), False)),
        ("uv-windows", ("requirements.txt", None, ("3.11",), ("x86_64-windows",), True)),
        ("uv-export", ("requirements.txt", None, (), (), False)),
        ("piptools", ("requirements.txt", None, ("3.11",), (), True)),
        ("poetry-export", ("requirements.txt", None, (), (), False)),
        ("freeze", ("pip freeze", None, (), (), True)),
    ],
)
def test_what_a_file_tells_of_its_environments(name: str, expected: tuple[object, ...]) -> None:
    lock = recorded(name)
    assert (lock.kind, lock.requires_python, lock.pythons, lock.platforms, lock.one_environment) == expected


@pytest.mark.parametrize("name", ["uv-universal", "uv-windows", "piptools"])
def test_comments_tell_what_was_asked_for(name: str) -> None:
    asked = {pin.name for pin in recorded(name).pins if pin.direct}
    assert {"click", "requests"} <= asked
    assert not asked & {"certifi", "urllib3"}


def test_hashes_have_no_file_names() -> None:
    pins = {str(pin.name): pin for pin in recorded("piptools").pins}
    assert {len(digest) for digest in pins["certifi"].sha256s} == {64}
    assert pins["certifi"].files == ()


def test_freeze_names_a_project_beside_its_line() -> None:
    lock = recorded("freeze")
    pins = {str(pin.name): pin for pin in lock.pins}
    assert pins["local-lib"].url == "/home/someone/local-lib#editable=true"
    assert ("foreign-local-path", "local-lib") in [(note.code, note.subject) for note in lock.notes]


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("./local-lib", "local-lib", "./local-lib"),
        ("-e ./local-lib ; sys_platform == 'linux'", "local-lib", "./local-lib#editable=true"),
        ("https://files.example/a-1-py3-none-any.whl", "a", "https://files.example/a-1-py3-none-any.whl"),
        ("-e git+https://git.example/x@0abc#egg=The_Name", "the-name", "git+https://git.example/x@0abc"),
        (
            "-e git+https://git.example/x@0abc#egg=n&subdirectory=p",
            "n",
            "git+https://git.example/x@0abc#subdirectory=p",
        ),
        ("n @ git+https://u:secret@git.example/x@0abc", "n", "git+https://git.example/x@0abc"),
    ],
)
def test_direct_references_have_a_name(text: str, name: str, url: str) -> None:
    pin = read(f"{text}\n").pins[0]
    assert (pin.name, pin.version, pin.url) == (name, None, url)


@pytest.mark.parametrize("line", ["-e .", ".", "./"])
def test_the_project_itself_is_left_out(line: str) -> None:
    lock = read(f"{line}\na==1\n")
    assert [pin.name for pin in lock.pins] == ["a"]
    assert [note.code for note in lock.notes] == ["foreign-project-itself"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a==1\nb>=2\n", "requirements.txt:2: 'b>=2' is not pinned"),
        ("a\n", "requirements.txt:1: 'a' is not pinned"),
        ("a==1.*\n", "requirements.txt:1: 'a==1.*' is not pinned"),
        ("a==1\na==2\n", "requirements.txt:2: a is pinned a second time, differently from requirements.txt:1"),
        ("./elsewhere\n", "requirements.txt:1: the line does not name its project"),
        ("git+https://git.example/x\n", "requirements.txt:1: the line does not name its project"),
        ("-r absent.txt\n", "which does not exist"),
    ],
)
def test_what_is_no_pin_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        read(text)
    assert said in caught.value.message


def test_what_pip_compile_leaves_out_is_said() -> None:
    text = (
        "# This file is autogenerated by pip-compile with Python 3.12\na==1\n    # via -r x.in\n\n"
        "# The following packages are considered to be unsafe in a requirements file:\n# setuptools\n"
    )
    assert [(note.code, note.subject) for note in read(text).notes] == [("foreign-unpinned", "setuptools")]
