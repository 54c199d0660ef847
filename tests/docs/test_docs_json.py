"""docs/json.md lists every document, schema and error code."""

import re
from collections import defaultdict
from collections.abc import Iterator

from jsonschema import Draft202012Validator

from deep_lock import errors
from deep_lock.cli.failures import INTERNAL
from deep_lock.cli.main import INTERRUPTED
from deep_lock.events import Event
from tests.support import schemas
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")


def test_every_document_is_listed_with_its_schema() -> None:
    rows = re.findall(
        r"^\| `deep-lock/([a-z-]+)` \| .* \| \[(.*)\]\(schemas/(.*)\.schema\.json\) \|$", PAGE, re.MULTILINE
    )
    assert rows == [(name, name, name) for name in schemas.NAMES]


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
