"""What parsers raise becomes a typed error, and each module that calls a parser is behind the boundary."""

import ast
import errno
import json
import struct
import zlib
from functools import cache

import pytest

from deep_lock.boundary import MAX_REASON, reading
from deep_lock.errors import ConfigError, HashMismatch, IndexInvalid, MachineFault, MetadataInvalid
from tests.unit.test_architecture import MODULES

RAISED: list[tuple[Exception, str]] = [
    (RecursionError("maximum recursion depth exceeded"), "file: is nested too deeply"),
    (
        ValueError("Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits"),
        "too many digits",
    ),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "file: is not UTF-8"),
    (ValueError("x"), "file: cannot be read: x (ValueError)"),
    (KeyError("name"), "(KeyError)"),
    (IndexError(), "file: cannot be read (IndexError)"),
    (TypeError("'float' object is not iterable"), "(TypeError)"),
    (AttributeError("x"), "(AttributeError)"),
    (OverflowError("x"), "(OverflowError)"),
    (ZeroDivisionError(), "(ZeroDivisionError)"),
    (EOFError(), "(EOFError)"),
    (RuntimeError("password required"), "(RuntimeError)"),
    (NotImplementedError("x"), "(NotImplementedError)"),
    (AssertionError(), "(AssertionError)"),
    (StopIteration(), "(StopIteration)"),
    (zlib.error("incorrect data"), "(error)"),
    (struct.error("unpack requires"), "(error)"),
    (OSError("Invalid data stream"), "(OSError)"),
    (OSError(errno.EINVAL, "Invalid argument"), "(OSError)"),
    (json.JSONDecodeError("x", "y", 0), "(JSONDecodeError)"),
]


@pytest.mark.parametrize(("fault", "text"), RAISED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("error", [IndexInvalid, MetadataInvalid, ConfigError])
def test_an_exception_of_a_parser(fault: Exception, text: str, error: type[ConfigError]) -> None:
    with pytest.raises(error) as caught, reading("file", error):
        raise fault
    assert text in caught.value.message
    assert caught.value.message.startswith("file: ")
    assert caught.value.__cause__ is fault


@pytest.mark.parametrize(
    "fault", [HashMismatch("x"), OSError(errno.EACCES, "Permission denied"), KeyboardInterrupt(), GeneratorExit()]
)
def test_what_is_no_fault_of_the_content_passes(fault: BaseException) -> None:
    with pytest.raises(type(fault)) as caught, reading("file", ConfigError):
        raise fault
    assert caught.value is fault


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()])
def test_a_fault_of_the_machine_is_no_statement_about_the_content(fault: Exception) -> None:
    with pytest.raises(MachineFault) as caught, reading("file", ConfigError):
        raise fault
    assert "file" not in caught.value.message


def test_the_reason_is_safe_and_short() -> None:
    with pytest.raises(ConfigError) as caught, reading("file", ConfigError):
        raise ValueError("\x1b[2J\u202e" + "x" * 10_000)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < MAX_REASON + 60


def test_the_reason_of_a_secret_quotes_nothing() -> None:
    with pytest.raises(ConfigError) as caught, reading("netrc", ConfigError, is_secret=True):
        raise ValueError("hunter2")
    assert caught.value.message == "netrc: cannot be read (ValueError)"
    assert caught.value.__cause__ is None


def test_a_value_passes() -> None:
    with reading("file", ConfigError):
        value = 1
    assert value == 1


PARSERS = frozenset(
    {"tomli.loads", "json.loads", "msgspec.json.decode", "msgspec.json.Decoder", "msgspec.msgpack.decode", "ast.parse",
     "msgspec.msgpack.Decoder", "netrc.netrc", "zipfile.ZipFile", "tomlkit.parse", "parse", "installer.install",
     "configparser.ConfigParser", "html.read_anchors", "zlib.decompressobj"}
)  # fmt: skip
"""Calls that raise whatever they like for content that they do not expect."""

BEHIND_ANOTHER = {
    "builds.interpreters": "what an interpreter of the user prints: any fault leaves the interpreter out",
    "builds.sandbox.run": "the report of the supervisor, which is a program of deep-lock",
    "fleet.delivery": "a damaged line of a journal of deep-lock is refused with its number",
    "fleet.journal": "a damaged line of a journal of deep-lock is refused with its number",
    "fleet.metrics": "the database, which deep-lock makes of the journal",
    "fleet.page": "the database, which deep-lock makes of the journal",
    "fleet.query": "the database, which deep-lock makes of the journal",
    "fleet.remote_builds": "what a worker returns: any fault is one of the worker",
    "fleet.run": "what a worker returns: any fault is one of the worker",
    "fleet.task": "a document that this process made",
    "fleet.worker": "a task of the process that started this one",
    "fleet.worker_process": "what a worker of this machine returns, or a task of the run",
    "foreign_locks.pipfile": "foreign_locks.detect",
    "index.cache": "a damaged page is deleted and fetched again",
    "index.wheel_files": "a damaged record is refused where it is used",
    "index.wheel_metadata": "a damaged record is deleted and read again",
    "locking.catalog": "a damaged record is read again",
    "network.responses": "each chunk of a body is checked",
    "operations.wheelhouse": "records that cannot be read are ignored, with a warning",
    "sdist.decompress": "sdist.source_tree",
    "sdist.setup_py": "sdist.facts",
    "sdist.zip_members": "sdist.source_tree",
}
"""Modules that call a parser and leave the boundary to another module, or that need none."""


def _dotted(node: ast.expr) -> str:
    """Return a name such as "json.loads"; "" for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


@cache
def _calls(name: str) -> frozenset[str]:
    tree = ast.parse(MODULES[f"deep_lock.{name}"].read_text(encoding="utf-8"))
    return frozenset(_dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_parsers_are_called_behind_the_boundary() -> None:
    names = [name.removeprefix("deep_lock.") for name in MODULES if name != "deep_lock"]
    calling = {name for name in names if _calls(name) & PARSERS}
    behind = {name for name in calling if "reading" in _calls(name)}
    assert calling - behind == BEHIND_ANOTHER.keys()
