"""Makes text from outside safe to show. No other module does this.

Every ``str`` is untrusted. `Safe` is the exception: text that no terminal and no log reader of a CI system takes for a
command. Only this module makes it, with one function for each output format, and what writes to stdout or to an export accepts
nothing else. The functions work on whole lines or whole documents: a command that is put together from two fields, or
that a cut leaves behind, is none afterwards.

Log readers look for ``::`` at the start of a line after white space (GitHub), ``##[`` anywhere (GitHub, Azure),
``##vso[`` (Azure), ``##teamcity[``, ``section_start:`` and ``section_end:`` (GitLab), ``travis_fold:``, and for
control sequences of terminals.

Invariant: text of an index, an archive, a lock or a project file gets into a message through `show` only.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NewType, TypeVar, cast

import msgspec
from msgspec import Struct

MAX_SHOWN = 200
MAX_LINE = 2000
"""Characters of one line of an error or a warning."""
_CUT = "..."

Safe = NewType("Safe", str)
"""Text without live commands, in one of the output formats."""
Markdown = NewType("Markdown", Safe)
Html = NewType("Html", Safe)
Kind = TypeVar("Kind", bound=Safe)

# Controls, format characters (bidi, zero-width, tags), surrogates, private use, unassigned, and every space but " ".
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Letters and marks without a visible form: combining grapheme joiner, Hangul and Khmer fillers, Mongolian and other
# variation selectors, the blank Braille pattern.
_BLANK = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)

_LOGIN = re.compile(r"(?<=://)[^/?#\s'\"]*@")


def without_login(text: str) -> str:
    """Return the text with ``***`` for the login of a URL: a line that cannot be parsed may have one."""
    return _LOGIN.sub("***@", text) if "@" in text and "://" in text else text


def _piece(character: str, *, ascii_only: bool) -> str:
    if " " <= character <= "~":
        return character
    return _code_point(character) if ascii_only or _is_hidden(character) else character


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or _BLANK.match(character) is not None


def _code_point(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


def show(text: str, limit: int = MAX_SHOWN, *, ascii_only: bool = False) -> str:
    r"""Return the text on one line, in NFC, with ``\u{...}`` for invisible characters, in at most ``limit`` characters.

    Logins of URLs are left out. ``ascii_only`` is for what must be ASCII (names, versions, hosts): a look-alike letter is shown
    as its code point. A shortened text ends in "...". Applied twice it gives the same.
    """
    text = without_login(text)
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    length = 0
    for character in unicodedata.normalize("NFC", text[: 8 * limit]):
        piece = _piece(character, ascii_only=ascii_only)
        shown.append(piece)
        length += len(piece)
        if length > limit:
            break
    if length <= limit:
        return "".join(shown)
    while shown and length > limit - len(_CUT):
        length -= len(shown.pop())
    return "".join(shown) + _CUT


def show_lines(text: str, limit: int = MAX_LINE) -> str:
    """Return text of several lines, each in at most ``limit`` characters: the line breaks are deep-lock's own."""
    return "\n".join(show(own, limit) for own in text.split("\n"))


def listed(names: Sequence[str], most: int) -> str:
    """Return the first ``most`` names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 file", "2 files"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def quote(text: str, limit: int = MAX_SHOWN) -> str:
    """Return text that must be ASCII, in quotes, for a message."""
    return f"'{show(text, limit, ascii_only=True)}'"


# -- commands of log readers

# These are compiled at first use: most runs write for one reader only.
_COMMAND = (
    # each "#" before another one; the first ":" of a line that begins with two; "_" in the words of GitLab and Travis
    r"(?i)#(?=#)|(?m:^)(?P<space>[ \t]*):(?=:)|(?<=section)_(?=(?:start|end):)|(?<=travis)_(?=(?:fold|time):)"
)
_IN_JSON = r'(?i)#(?=#)|(?<="):(?=:)|(?<=section)_(?=(?:start|end):)|(?<=travis)_(?=(?:fold|time):)'
"""In JSON and TOML a line of text is in a string: it begins after a quotation mark."""


def _without_commands(text: str, code: Callable[[str], str]) -> str:
    """Return the text with one character of each command as its code."""
    return re.sub(_COMMAND, lambda found: f"{found['space'] or ''}{code(found[0][-1])}", text)


# -- terminals and logs


class Painted(Struct, frozen=True):
    """A part of a line with a color of ours: the parameters of SGR (ECMA-48), such as "31;1"."""

    text: str
    color: str


def lines(text: str) -> Safe:
    r"""Return text for a terminal or a log, of one line or many: ``\u{...}`` for invisible characters but tabs, no command.

    A line break in the text is one in the result. Applied twice it gives the same.
    """
    if not (text.isascii() and text.isprintable()):
        text = "\n".join(map(_visible, text.replace("\r\n", "\n").split("\n")))
    return Safe(_without_commands(text, _code_point))


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(own if own == "\t" else _piece(own, ascii_only=False) for own in unicodedata.normalize("NFC", text))


def line(*parts: str | Painted) -> Safe:
    """Return one line of text and colored parts. It has no color if its parts have a command only together."""
    texts = [part.text if isinstance(part, Painted) else part for part in parts]
    plain, shown = _one_line("".join(texts)), [_one_line(text) for text in texts]
    if "".join(shown) != plain:
        return plain
    return Safe("".join(_painted(part, own) for part, own in zip(parts, shown, strict=True)))


def _one_line(text: str) -> Safe:
    return lines(text.replace("\n", _code_point("\n")))


def _painted(part: str | Painted, shown: Safe) -> str:
    return f"\x1b[{part.color}m{shown}\x1b[0m" if isinstance(part, Painted) else shown


def joined(parts: Iterable[Kind]) -> Kind:
    """Return the parts, each on lines of its own; the last one ends in a line break. Empty if there are none."""
    return cast("Kind", "".join(f"{part}\n" for part in parts))


# -- Markdown

_SIGNIFICANT = r"([\\`*_{}\[\]()#+!|<>~@&])"


_BLOCK = r"^([0-9]*)([-=.])"
"""What begins a list, or a line below a heading; the other signs are significant anywhere."""


def markdown(template: str, *texts: str) -> Markdown:
    """Return a piece of Markdown: ``template`` is a literal of ours, each ``{}`` in it becomes text and nothing else.

    In the text is no link, mention, HTML or picture.
    """
    return Markdown(Safe(template.format(*map(_markdown_text, texts))))


def shortened(text: Markdown, limit: int, note: Markdown) -> Markdown:
    """Return the first lines of a text that has more than ``limit`` characters, and a note on the rest."""
    if len(text) <= limit:
        return text
    kept = text[:limit].rpartition("\n")[0]
    is_open = kept.count("<details>") > kept.count("</details>")
    return Markdown(Safe("\n\n".join([kept, *(["</details>"] if is_open else []), f"{note}\n"])))


def _markdown_text(text: str) -> str:
    plain = re.sub(_SIGNIFICANT, r"\\\1", _one_line(text).strip())
    plain = re.sub(_BLOCK, r"\1\\\2", plain)
    return plain.replace("://", ":\u200b//").replace("\\@", "@\u200b")


# -- annotations of GitHub


def annotation(level: Literal["error", "warning", "notice"], path: str, line: int, title: str, message: str) -> Safe:
    """Return one workflow command of GitHub, an annotation of a line of a file. The message is one line, or several."""
    return Safe(f"::{level} file={_property(path)},line={line},title={_property(title)}::{_value(message)}")


def _value(text: str) -> str:
    return lines(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _value(text).replace(":", "%3A").replace(",", "%2C")


# -- JSON (SARIF and SBOMs too) and TOML: the same data, in other escapes

_HALF = "[\ud800-\udfff]"


def json_document(value: Any) -> Safe:
    """Return a value as an indented JSON document. Half a character, which UTF-8 does not have, is its code point."""
    return json_text(msgspec.json.format(_json_bytes(value), indent=2).decode() + "\n")


def json_line(value: Any) -> Safe:
    """Return a value as a JSON document on one line, in ASCII: a stream of any encoding contains it as it is."""
    text = json_text(_json_bytes(value).decode())
    return Safe(text if text.isascii() else "".join(own if own.isascii() else _json_code(own) for own in text))


def _json_bytes(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # file names of any bytes have such characters
        return msgspec.json.encode(_in_utf8(msgspec.to_builtins(value)))


def _in_utf8(value: Any) -> Any:
    match value:
        case str():
            return re.sub(_HALF, lambda found: _code_point(found[0]), value)
        case dict():
            return {_in_utf8(key): _in_utf8(own) for key, own in value.items()}
        case list() | tuple():
            return [_in_utf8(own) for own in value]
    return value


def json_text(text: str) -> Safe:
    r"""Return JSON with the same values: characters of commands, and invisible ones, are ``\uXXXX`` in its strings."""
    if not text.isascii():
        text = "".join(_json_code(own) if own > "~" and _is_hidden(own) else own for own in text)
    return Safe(re.sub(_IN_JSON, lambda found: _json_code(found[0]), text.replace("\x7f", "\\u007f")))


def _json_code(character: str) -> str:
    pairs = character.encode("utf-16-be").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))


def toml_text(text: str) -> Safe:
    r"""Return TOML with the same values: characters of commands are ``\uXXXX`` in its strings.

    Every string in it must be a basic one on one line, in ASCII, and every comment on a line of its own.
    """
    return Safe("\n".join(lines(own) if own.startswith("#") else _toml_line(own) for own in text.split("\n")))


def _toml_line(text: str) -> str:
    return re.sub(_IN_JSON, lambda found: _json_code(found[0]), text)


# -- HTML

_NAMED_PART = r"\$([a-z_]+)"
_HTML_SIGNS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}


def html_text(text: str, limit: int = MAX_SHOWN) -> Html:
    """Return text for an element or an attribute, in at most ``limit`` characters."""
    escaped = "".join(_HTML_SIGNS.get(own, own) for own in show(text, limit))
    return Html(Safe(_without_commands(escaped, lambda own: f"&#{ord(own)};")))


def html_element(tag: str, attributes: Mapping[str, str], *children: Html) -> Html:
    """Return an element. ``tag`` and the names of the attributes are ours; the values may be from outside."""
    own = "".join(f' {name}="{html_text(value)}"' if value else f" {name}" for name, value in attributes.items())
    return Html(Safe(f"<{tag}{own}>{''.join(children)}</{tag}>"))


def is_link(url: str) -> bool:
    """Whether an address from outside may be a link: https, ASCII, without spaces and logins, and short enough to be shown."""
    return url.startswith("https://") and url.isascii() and not set(" @\\") & set(url) and show(url) == url


def html_link(url: str, text: str) -> Html:
    """Return a link to an address from outside, or its text alone where `is_link` is false."""
    body = html_text(text)
    return html_element("a", {"href": url, "rel": "noopener noreferrer"}, body) if is_link(url) else body


def html_data(value: Any) -> Html:
    """Return a value as JSON that ends no element and begins no comment anywhere in HTML."""
    text = json_text(_json_bytes(value).decode())
    return Html(Safe(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")))


def html_page(template: str, own: Mapping[str, str], outside: Mapping[str, Html]) -> Html:
    """Return a page: each ``$name`` of ``template`` is replaced. It, and the parts ``own``, are files of ours."""
    parts = {**own, **outside}
    return Html(Safe(re.sub(_NAMED_PART, lambda found: parts[found[1]], template)))
