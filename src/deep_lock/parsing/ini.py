"""The INI dialect of setup.cfg and pip.conf, with line numbers, in one pass.

The standard parser is quadratic on long runs of blanks and on many faulty lines, and keeps no line numbers. This one
reads the same language (a test compares them), less the ``[DEFAULT]`` section.
"""

from collections.abc import Mapping

from msgspec import Struct

from deep_lock.errors import ProjectInvalid


class Value(Struct, frozen=True, kw_only=True):
    """The lines of one option: (number, text), the first one behind the delimiter, comments left out."""

    lines: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return "\n".join(text for _, text in self.lines).rstrip()


Sections = Mapping[str, Mapping[str, Value]]


def read_ini(text: str, source: str, *, keep_case: bool = False) -> Sections:
    """Read the sections and options; option names are in lower case, unless ``keep_case``.

    Raises ProjectInvalid with the line of the first fault.
    """
    sections: dict[str, dict[str, list[tuple[int, str]]]] = {}
    section: dict[str, list[tuple[int, str]]] | None = None
    option: list[tuple[int, str]] | None = None
    indent = 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";")):
            if option is not None and not stripped:
                option.append((number, ""))
            continue
        depth = len(line) - len(line.lstrip())
        if option is not None and depth > indent:
            option.append((number, stripped))
            continue
        indent = depth
        if stripped.startswith("[") and stripped.rfind("]") > 1:
            name = stripped[1 : stripped.rfind("]")]
            if name in sections or name == "DEFAULT":
                raise ProjectInvalid(f"{source}:{number}: the section occurs twice, or is [DEFAULT]")
            section = sections[name] = {}
            option = None
            continue
        if section is None:
            raise ProjectInvalid(f"{source}:{number}: comes before the first section")
        key, value = _split_option(stripped, f"{source}:{number}")
        key = key if keep_case else key.lower()
        if key in section:
            raise ProjectInvalid(f"{source}:{number}: the option occurs twice")
        option = section[key] = [(number, value)]
    return {
        name: {key: Value(lines=tuple(lines)) for key, lines in options.items()} for name, options in sections.items()
    }


def _split_option(line: str, where: str) -> tuple[str, str]:
    at = min((place for place in (line.find("="), line.find(":")) if place >= 0), default=0)
    key = line[:at].rstrip()
    if not key:
        raise ProjectInvalid(f"{where}: is neither a section nor an option")
    return key, line[at + 1 :].strip()
