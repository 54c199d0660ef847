"""The lists of requirements in a pyproject.toml or a script: what is in them, and how they are edited."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import DeepLockError, ProjectInvalid, RequirementInvalid, UsageError
from deep_lock.models.requirement import Origin, Requirement
from deep_lock.parsing.requirements import described, parse_requirement, read_name, read_requirement
from deep_lock.project import edit
from deep_lock.sanitize import listed, show, without_login
from deep_lock.suggestions import did_you_mean

ARGUMENT = Origin(source="argument")
MAX_NAMES = 5
_OPTIONAL = "optional-dependencies"
_GROUPS = "dependency-groups"
_TEXT = re.compile(r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\s*\[[^\]]*\])?(?P<rest>.*?)\s*", re.DOTALL)


class ListName(Struct, frozen=True, kw_only=True):
    """One list of requirements."""

    kind: Literal["dependencies", "extra", "group", "build"] = "dependencies"
    name: str = ""
    """The name of the extra or the group, as written."""

    @property
    def option(self) -> str:
        """The option that selects the list; empty for the dependencies."""
        return f"--{self.kind} {self.name}".rstrip() if self.kind != "dependencies" else ""

    def __str__(self) -> str:
        match self.kind:
            case "dependencies":
                return "the dependencies"
            case "build":
                return "[build-system] requires"
            case _:
                kind = "extra" if self.kind == "extra" else "dependency group"
                return f"the {kind} {show(self.name)}"


def read_argument(text: str) -> Requirement:
    """Read a requirement from the command line. Raises RequirementInvalid."""
    if without_login(text) != text:
        raise RequirementInvalid(
            f"{show(text)}: the URL has a login, which would be written to the file",
            hint="write the URL without it, and the login to ~/.netrc",
        )
    try:
        return read_requirement(text, ARGUMENT, direct=True)
    except RequirementInvalid as error:
        hint = error.hint or "a requirement is NAME, NAME>=VERSION or NAME @ URL"
        raise RequirementInvalid(error.message, hint=hint) from None


def has_no_version(requirement: Requirement) -> bool:
    """Whether any version satisfies the requirement."""
    return requirement.url is None and not requirement.specifier


def with_requirement(document: edit.Document, where: ListName, text: str) -> edit.Document:
    """Add a requirement to a list, or replace the one of the same name and marker at its place.

    A text without a version keeps the version of the one that it replaces, and their extras are combined. A list that is sorted
    stays sorted. Raises RequirementInvalid, ProjectInvalid and UsageError.
    """
    text = text.strip()
    new = read_argument(text)
    keys = _keys(document, where)
    _refuse_unknown_place(document, where)
    if where.kind in {"dependencies", "extra"} and not new.extras and new.name == _project_name(document):
        raise UsageError(f"{document.source}: {new.name} is the project itself")
    values = _values(document, keys)
    if values is None:
        return _with_list(document, keys, text)
    same = [
        index
        for index, own in enumerate(map(parsed, values))
        if own is not None and own.name == new.name and own.marker == new.marker
    ]
    if len(same) > 1:
        raise UsageError(
            f"{document.source}: {new.name} is required more than once under the same marker in {where}",
            hint="edit the file by hand: make one requirement of them",
        )
    if not same:
        return edit.with_item(document, keys, _position(values, text), text)
    (index,) = same
    replaced = _combined(values[index], text)
    return document if replaced == values[index] else edit.with_replaced(document, keys, index, replaced)


def with_text(document: edit.Document, where: ListName, index: int, text: str) -> edit.Document:
    """Replace the text of one requirement. Raises ProjectInvalid."""
    return edit.with_replaced(document, _keys(document, where), index, text)


def without_requirement(document: edit.Document, where: ListName, name: str) -> edit.Document:
    """Remove the requirements on a project from a list. Raises UsageError where there is none, and ProjectInvalid."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise UsageError(f"'{show(name)}' is not a name: versions, extras and markers are not stated")
    wanted = canonicalize_name(name)
    keys = _keys(document, where)
    values = _values(document, keys) or []
    found = [index for index, own in enumerate(map(parsed, values)) if own is not None and own.name == wanted]
    if not found:
        raise _not_there(document, where, wanted)
    for index in reversed(found):
        document = edit.without_item(document, keys, index)
    return document


def texts(document: edit.Document, where: ListName) -> tuple[str, ...]:
    """Return the requirements of a list as they are written; empty where there is no such list. Raises ProjectInvalid."""
    values = _values(document, _keys(document, where)) or []
    return tuple(value for value in values if isinstance(value, str))


def with_version(text: str, specifier: str) -> str:
    """Return the text of a requirement that has no version, with one."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise RequirementInvalid(f"{show(text)} is not a valid requirement")
    at = match.start("rest")
    return f"{text[:at].rstrip()}{specifier}{text[at:]}"


def _combined(old: str, new: str) -> str:
    """Return the text that replaces ``old``."""
    was, now = parse_requirement(old), parse_requirement(new)
    extras = was.extras | now.extras
    if has_no_version(now):
        return old if was.extras == extras else _with_extras(old, extras)
    return new if now.extras == extras else _with_extras(new, extras)


def _with_extras(text: str, extras: frozenset[NormalizedName]) -> str:
    match = _TEXT.fullmatch(text)
    if match is None:  # it was parsed before
        return text
    return f"{match['name']}[{','.join(sorted(extras))}]{match['rest']}"


def parsed(value: Any) -> Requirement | None:
    """Return the requirement of an item; None for an included group, and for what the reader of the project refuses."""
    try:
        return parse_requirement(value) if isinstance(value, str) else None
    except DeepLockError:
        return None


def _position(values: Sequence[Any], text: str) -> int:
    """Return the index for a new requirement: in order where the list is sorted, else below the last requirement."""
    strings = [(index, value) for index, value in enumerate(values) if isinstance(value, str)]
    for key in (_name, str.lower):
        sorted_by = [key(value) for _, value in strings]
        if sorted_by == sorted(sorted_by):
            return next((index for index, value in strings if key(value) > key(text)), _end(strings, values))
    return _end(strings, values)


def _end(strings: Sequence[tuple[int, str]], values: Sequence[Any]) -> int:
    return strings[-1][0] + 1 if strings else len(values)


def _name(text: str) -> str:
    match = _TEXT.fullmatch(text)
    return canonicalize_name(match["name"]) if match is not None else text


# -- where the lists are


def _keys(document: edit.Document, where: ListName) -> edit.Keys:
    """Return the path of a list; a name that is in the file is spelled as there."""
    match where.kind:
        case "dependencies" if document.around is not None:
            return ("dependencies",)
        case "dependencies":
            table: edit.Keys = ("project",)
        case "build":
            table = ("build-system",)
        case "extra":
            table = ("project", _OPTIONAL)
        case "group":
            table = (_GROUPS,)
    _require_tables(document, table)
    if where.kind in {"dependencies", "build"}:
        return (*table, "dependencies" if where.kind == "dependencies" else "requires")
    known = _table(document.data, table) or {}
    name = read_name(where.name, f"the {where.kind}")
    return (*table, next((own for own in known if canonicalize_name(own) == name), where.name))


def _table(data: Mapping[str, Any], keys: edit.Keys) -> Mapping[str, Any] | None:
    found: Any = data
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _require_tables(document: edit.Document, keys: edit.Keys) -> None:
    """Raise ProjectInvalid where the file has another kind of value in the place of one of these tables."""
    found: Any = document.data
    for size, key in enumerate(keys, 1):
        found = found.get(key, {})
        if not isinstance(found, Mapping):
            name = ".".join(keys[:size])
            raise ProjectInvalid(f"{document.source}: {name} must be a table, not {described(found)}")


def _project_name(document: edit.Document) -> str:
    name = (_table(document.data, ("project",)) or {}).get("name")
    return canonicalize_name(name) if isinstance(name, str) else ""


def _values(document: edit.Document, keys: edit.Keys) -> list[Any] | None:
    table = _table(document.data, keys[:-1])
    values = table.get(keys[-1]) if table is not None else None
    if values is not None and not isinstance(values, list):
        raise ProjectInvalid(f"{document.source}: {'.'.join(keys)} must be a list, not {described(values)}")
    return values


def _with_list(document: edit.Document, keys: edit.Keys, text: str) -> edit.Document:
    """Create a list, and its table where there is none."""
    table = keys[:-1]
    if _table(document.data, table) is not None:
        return edit.with_value(document, keys, [text])
    header = ".".join(table)
    document = edit.with_table(document, f"[{header}]", after=[table, ("project",)])
    return edit.with_value(document, keys, [text])


def _refuse_unknown_place(document: edit.Document, where: ListName) -> None:
    """Raise UsageError where the list is not in this file, or is another tool's."""
    data, source = document.data, document.source
    if document.around is not None:
        if where.kind != "dependencies":
            raise UsageError(f"{source}: a script has dependencies alone, no {where.kind}")
        return
    poetry = _table(data, ("tool", "poetry"))
    if where.kind == "build":
        if _table(data, ("build-system",)) is None:
            raise UsageError(
                f"{source} has no [build-system] table: the project is not built",
                hint='write one with its build-backend, such as requires = ["hatchling"], build-backend = "hatchling.build"',
            )
        return
    if where.kind == "group":
        # the standard table replaces Poetry's group of the same name
        if poetry is not None and _values(document, _keys(document, where)) is None:
            _refuse_group_of_poetry(poetry, source, canonicalize_name(where.name))
        return
    if "project" not in data:
        if poetry is not None:
            raise _poetry(source, "tool.poetry.dependencies")
        raise UsageError(
            f"{source} has no [project] table",
            hint="write one with name and version (deep-lock cannot guess them), or add to a dependency group: --group NAME",
        )
    field = "dependencies" if where.kind == "dependencies" else _OPTIONAL
    project = data["project"]
    if isinstance(project, Mapping) and field in (project.get("dynamic") or ()):
        raise UsageError(
            f"{source}: project.{field} is dynamic: {_dynamic_source(data, field)} has it",
            hint=f"edit it there and run deep-lock lock, or write project.{field} and take it out of project.dynamic",
        )


def _refuse_group_of_poetry(poetry: Mapping[str, Any], source: str, name: NormalizedName) -> None:
    if name == "dev" and "dev-dependencies" in poetry:
        raise _poetry(source, "tool.poetry.dev-dependencies")
    for group in _table(poetry, ("group",)) or ():
        if canonicalize_name(group) == name:
            raise _poetry(source, f"tool.poetry.group.{group}.dependencies")


def _poetry(source: str, place: str) -> UsageError:
    return UsageError(
        f"{source}: this list is in [{show(place)}], which only Poetry edits",
        hint="run poetry add or poetry remove, then deep-lock lock",
    )


def _dynamic_source(data: Mapping[str, Any], field: str) -> str:
    """Name the files of a dynamic field of setuptools, or else the build backend."""
    dynamic = _table(data, ("tool", "setuptools", "dynamic")) or {}
    stated = dynamic.get(field)
    files = stated.get("file") if isinstance(stated, Mapping) else None
    names = [files] if isinstance(files, str) else files
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return show(listed(names, MAX_NAMES))
    return "a file of the build backend (setup.cfg, setup.py or a file of its own)"


def lists(document: edit.Document) -> Iterator[tuple[ListName, list[Any]]]:
    """Yield every list of the file, with its items."""
    data = document.data
    names = [
        ListName(),
        *(ListName(kind="extra", name=name) for name in _table(data, ("project", _OPTIONAL)) or ()),
        *(ListName(kind="group", name=name) for name in _table(data, (_GROUPS,)) or ()),
        ListName(kind="build"),
    ]
    for where in names if document.around is None else names[:1]:
        try:
            yield where, _values(document, _keys(document, where)) or []
        except DeepLockError:
            continue


def _not_there(document: edit.Document, where: ListName, wanted: NormalizedName) -> UsageError:
    by_list = {other: {own.name for own in map(parsed, values) if own is not None} for other, values in lists(document)}
    message = f"{document.source}: {wanted} is not in {where}"
    others = [other for other, names in by_list.items() if wanted in names]
    if others:
        commands = (f"deep-lock remove {wanted} {other.option}".rstrip() for other in others)
        return UsageError(f"{message}, but in {' and '.join(map(str, others))}", hint=f"run {' or '.join(commands)}")
    _refuse_unknown_place(document, where)
    every = sorted({str(name) for names in by_list.values() for name in names})
    return UsageError(message, hint=did_you_mean(wanted, every))
