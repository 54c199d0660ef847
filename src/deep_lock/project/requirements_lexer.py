"""The line format of requirement files: continuation, comments, options (pip's reference, "Requirements File Format")."""

import re
import shlex
from collections.abc import Iterator

from msgspec import Struct

from deep_lock.errors import LimitExceeded, RequirementsInvalid

MAX_LINES = 400_000
MAX_LOGICAL_LINE = 256 * 1024

_ODD_LINE_END = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")

# short or long: the one name by which the reader knows it
_WITH_VALUE = {
    "-r": "requirement",
    "--requirement": "requirement",
    "-c": "constraint",
    "--constraint": "constraint",
    "-e": "editable",
    "--editable": "editable",
    "-i": "index-url",
    "--index-url": "index-url",
    "--extra-index-url": "extra-index-url",
    "-f": "find-links",
    "--find-links": "find-links",
    "--trusted-host": "trusted-host",
    "--no-binary": "no-binary",
    "--only-binary": "only-binary",
    "--all-releases": "all-releases",
    "--only-final": "only-final",
    "--use-feature": "use-feature",
    "--hash": "hash",
    "-C": "config-settings",
    "--config-setting": "config-settings",
    "--config-settings": "config-settings",
}
_WITHOUT_VALUE = {
    "--no-index": "no-index",
    "--pre": "pre",
    "--prefer-binary": "prefer-binary",
    "--require-hashes": "require-hashes",
    "--no-require-hashes": "no-require-hashes",
}
OPTIONS = frozenset(_WITH_VALUE) | frozenset(_WITHOUT_VALUE)


class LogicalLine(Struct, frozen=True, kw_only=True):
    """One line after continuation and without its comment; never empty. ``number`` is that of its first line."""

    number: int
    text: str


class Option(Struct, frozen=True, kw_only=True):
    """One option by its long name. ``value`` is empty for a switch."""

    name: str
    value: str = ""


class LineInvalid(RequirementsInvalid):
    """A faulty line. The message quotes nothing of it; the reader adds the file and the line."""


def logical_lines(text: str, source: str) -> Iterator[LogicalLine]:
    """Split a file as pip does: a backslash at the end joins, but a line that is a comment ends what was joined.

    Raises RequirementsInvalid on characters that some tools read as the end of a line, or LimitExceeded.
    """
    if odd := _ODD_LINE_END.search(text):
        at = text.count("\n", 0, odd.start()) + 1
        raise RequirementsInvalid(
            f"{source}:{at}: has U+{ord(odd[0]):04X}, which some tools read as the end of a line and others do not",
            hint="Remove the character.",
        )
    physical = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(physical) > MAX_LINES:
        raise LimitExceeded(f"{source}: {len(physical)} lines; at most {MAX_LINES} are allowed")
    parts: list[str] = []
    first, size = 1, 0
    for number, line in enumerate(physical, 1):
        first = first if parts else number
        comment = line.lstrip().startswith("#")
        joins = line.endswith("\\") and not comment
        # a space, so that the comment is seen as one where the lines before it are joined to it
        part = line.rstrip("\\") if joins else " " + line if comment else line
        parts.append(part)
        size += len(part)
        if size > MAX_LOGICAL_LINE:
            raise LimitExceeded(f"{source}:{first}: a line of more than {MAX_LOGICAL_LINE} characters")
        if not joins:
            yield from _without_comment(first, parts)
            parts, size = [], 0
    yield from _without_comment(first, parts)


def _without_comment(number: int, parts: list[str]) -> Iterator[LogicalLine]:
    text = _COMMENT.sub("", "".join(parts)).strip()
    if text:
        yield LogicalLine(number=number, text=text)


def split_options(text: str) -> tuple[str, tuple[Option, ...]]:
    """Split a logical line into its requirement and its options, at the first word that begins with a dash.

    Raises LineInvalid.
    """
    found = re.search(r"(?:^| )(?=-)", text)
    if found is None:
        return text, ()
    return text[: found.start()].strip(), tuple(_options(_words(text[found.end() :])))


def _words(text: str) -> list[str]:
    """Split options as a shell would; the usual hashes have no quotes, and a plain split is faster."""
    if not any(character in text for character in "'\"\\"):
        return text.split()
    try:
        return shlex.split(text)
    except ValueError:
        raise LineInvalid("has quotes that are not closed") from None


def _options(words: list[str]) -> Iterator[Option]:
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        if not word.startswith("--"):
            # a short option may have its value attached
            key, equals, value = word[:2], word[2:3], word[2:]
        if key in _WITHOUT_VALUE and not equals:
            yield Option(name=_WITHOUT_VALUE[key])
        elif key in _WITH_VALUE:
            attached = value if equals else next(rest, "")
            if not attached:
                raise LineInvalid(f"has {key} without a value")
            yield Option(name=_WITH_VALUE[key], value=attached)
        elif word.startswith("-"):
            raise LineInvalid("has an option that requirements files do not have")
        else:
            raise LineInvalid("has text after its options")
