"""docs/formats/schemas.md, made from the JSON Schemas: `python -m tests.support.schema_page` writes it, a test compares it."""

from collections.abc import Iterator
from typing import Any

from tests.support import schemas
from tests.support.paths import ROOT

BAR = r"\|"
PAGE = ROOT / "docs" / "formats" / "schemas.md"
HEAD = """\
# Schemas

The keys of each JSON document of deep-lock, made from its [JSON Schema](json.md). A key without "optional" is in every document of
the kind. A program ignores keys that it does not know: later versions add some.
"""


def _code(value: object) -> str:
    return "`null`" if value is None else f"`{value}`"


def _kind(schema: Any) -> str:  # noqa: PLR0911  # one return a form
    """Return the type of a value in one short text."""
    match schema:
        case {"const": value}:
            return _code(value)
        case {"enum": [*values]}:
            return ", ".join(_code(value) for value in values)
        case {"$ref": str(ref)}:
            return ref.rpartition("/")[2]
        case {"anyOf": [*kinds]} | {"oneOf": [*kinds]}:
            return " or ".join(_kind(kind) for kind in kinds)
        case {"type": "array", "items": items}:
            return f"array of {_kind(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"object, with values {_kind(values)}"
        case {"type": "object", "properties": dict(keys)}:
            return f"object: {', '.join(_code(key) for key in keys)}"
        case {"type": [*kinds]}:
            return " or ".join(kinds)
        case {"type": str(kind)}:
            return kind
    return "any"


def _rows(schema: Any) -> Iterator[str]:
    yield "| key | value | meaning |"
    yield "| --- | --- | --- |"
    for key, own in schema["properties"].items():
        optional = "" if key in schema.get("required", ()) else "optional; "
        cells = (f"`{key}`", f"{optional}{_kind(own)}", own.get("description", ""))
        yield f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def text() -> str:
    """Return the page."""
    lines = [HEAD]
    for name in schemas.NAMES:
        schema = schemas.read(name)
        title = str(schema["title"]).rpartition(", version")[0] or schema["title"]
        lines += [
            f"## `deep-lock/{name}`\n",
            f"{title}. [Schema](../schemas/{name}.schema.json).\n",
            *_rows(schema),
            "",
        ]
        for part, own in schema.get("$defs", {}).items():
            if "properties" in own:
                lines += [f"In `deep-lock/{name}`, {part} is an object:\n", *_rows(own), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
