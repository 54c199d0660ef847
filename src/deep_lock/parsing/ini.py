"""The INI dialect of setup.cfg, with line numbers, in one pass.

The standard parser is quadratic on long runs of blanks and on many faulty lines, and forgets where things stood. The
language read here is the one that it reads (a test holds the two together), less the ``[DEFAULT]`` section.
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


def read_ini(text: str, source: str) -> Sections:
    """Read the sections and options; option names in lower case.

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
                raise ProjectInvalid(f"{source}:{number}: the section stands twice, or is [DEFAULT]")
            section = sections[name] = {}
            option = None
            continue
        option = _read_option(stripped, section, f"{source}:{number}", number)
    return {
        name: {key: Value(lines=tuple(lines)) for key, lines in options.items()} for name, options in sections.items()
    }


def _read_option(
    line: str, section: dict[str, list[tuple[int, str]]] | None, where: str, number: int
) -> list[tuple[int, str]]:
    if section is None:
        raise ProjectInvalid(f"{where}: stands before the first section")
    at = min((place for place in (line.find("="), line.find(":")) if place >= 0), default=0)
    key = line[:at].rstrip().lower()
    if not key:
        raise ProjectInvalid(f"{where}: is neither a section nor an option")
    if key in section:
        raise ProjectInvalid(f"{where}: the option stands twice")
    section[key] = [(number, line[at + 1 :].strip())]
    return section[key]
