"""docs/formats/json.md lists every document, schema and error code."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import click
from jsonschema import Draft202012Validator

from deep_lock import errors
from deep_lock.cli.failures import INTERNAL
from deep_lock.cli.main import INTERRUPTED, cli
from deep_lock.cli.output import LOG_SCHEMA
from deep_lock.events import Event
from deep_lock.models.receipt import RECEIPT_SCHEMA
from deep_lock.operations.wheelhouse import RECORDS_SCHEMA
from deep_lock.reports import lock_document
from tests.support import schema_page, schemas
from tests.support.paths import ROOT

SOURCE = ROOT / "src" / "deep_lock"
PAGE = (ROOT / "docs" / "formats" / "json.md").read_text(encoding="utf-8")


def test_every_document_is_listed_with_its_schema() -> None:
    rows = re.findall(
        r"^\| `deep-lock/([a-z-]+)` \| .* \| \[(.*)\]\(\.\./schemas/(.*)\.schema\.json\) \|$", PAGE, re.MULTILINE
    )
    assert sorted(rows) == [(name, name, name) for name in schemas.NAMES]


def test_the_page_of_the_schemas_is_made_from_them() -> None:
    written = schema_page.PAGE.read_text(encoding="utf-8")
    assert written == schema_page.text(), "run: python -m tests.support.schema_page"


def _nested(schema: object) -> Iterator[dict[str, object]]:
    if isinstance(schema, dict):
        yield schema
        for own in schema.values():
            yield from _nested(own)
    elif isinstance(schema, list):
        for own in schema:
            yield from _nested(own)


def test_each_schema_admits_keys_that_are_added_later() -> None:
    for name in schemas.NAMES:
        schema = schemas.read(name)
        Draft202012Validator.check_schema(schema)
        assert schema["properties"]["schema"] == {"const": f"deep-lock/{name}"}
        assert schema["properties"]["version"] == {"const": 1}
        assert {"schema", "version"} <= set(schema["required"])
        assert all(own.get("additionalProperties") is not False for own in _nested(schema)), name


def _classes(kind: type[errors.DeepLockError]) -> Iterator[type[errors.DeepLockError]]:
    for own in kind.__subclasses__():
        yield own
        yield from _classes(own)


def test_every_code_of_an_error_is_listed() -> None:
    wanted = defaultdict(set, {INTERNAL: {"internal-error"}, INTERRUPTED: {"interrupted"}})
    for kind in _classes(errors.DeepLockError):
        if kind.__module__ == errors.__name__:
            wanted[kind.exit_code].add(kind("").code)
    rows = re.findall(r"^\| (\d+).* \| (`.*`) \|$", PAGE, re.MULTILINE)
    assert {int(code): set(re.findall(r"`([a-z0-9-]+)`", names)) for code, names in rows} == wanted


def test_every_event_is_listed() -> None:
    names = {re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower() for kind in Event.__args__}
    listed = set(
        re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| (`[a-z`, -]+) \| `[a-z]+` \|", PAGE, re.MULTILINE)))
    )
    assert listed == names | {"message", "failed", "traceback"}
    assert set(schemas.read("log")["properties"]["event"]["enum"]) == listed


NO_RESULT = {"completion", "help", "fleet worker", "git-merge", "git-textconv"}
"""Commands that a shell, git or a fleet runs: their output has a form of its own."""


def _commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_command_writes_json() -> None:
    found = set()
    for path, command in _commands(cli):
        options = {name: option for option in command.params for name in option.opts}
        assert "--output-format" not in options
        if "--format" in options:
            assert isinstance(options["--format"].type, click.Choice)
            assert "json" in options["--format"].type.choices, path
        else:
            found.add(path)
    assert found == NO_RESULT


def test_every_document_of_the_source_has_a_schema() -> None:
    names: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="document") | ast.Attribute(attr="document"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    names.add(name)
    names |= {lock_document.NAME, lock_document.OF_PROJECTS, "export"}
    names |= {own.removeprefix("deep-lock/") for own in (LOG_SCHEMA, RECEIPT_SCHEMA, RECORDS_SCHEMA)}
    assert names == set(schemas.NAMES)
