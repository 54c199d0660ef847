"""The JSON Schemas of docs/schemas: a document fits its schema, and has no key that the schema does not have."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
NAMES = tuple(sorted(path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.schema.json")))


def read(name: str) -> Any:
    """Return the schema of "deep-lock/NAME"."""
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def check(document: Any) -> None:
    """Validate a document by the schema that it names. Raises jsonschema.ValidationError.

    The published schemas admit other keys, since later versions add some. Here each key must be in the schema.
    """
    assert list(document)[:2] == ["schema", "version"]
    Draft202012Validator(closed(read(document["schema"].removeprefix("deep-lock/")))).validate(document)


def closed(schema: Any) -> Any:
    """Return the schema without other keys in any of its objects."""
    match schema:
        case dict():
            inner = {key: closed(own) for key, own in schema.items()}
            return {"additionalProperties": False, **inner} if "properties" in schema and "type" in schema else inner
        case list():
            return [closed(own) for own in schema]
    return schema
