"""What readers of logs take for a command, as their programs find it: independent of how the product escapes.

The runner of GitHub cuts at line ends, trims white space and looks for "::" first, then for "##[" anywhere. The agent of Azure
looks for "##vso[" anywhere, TeamCity for "##teamcity[", GitLab and Travis for the name of a section or a fold. Upper and lower
case, and other line ends than these programs know, count too: a later version of them may.
"""

import re

_LINE_ENDS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_ANYWHERE = re.compile(
    r"##[\w.-]*\[|section_(?:start|end):|travis_(?:fold|time):|[\x00-\x08\x0b-\x1f\x7f-\x9f]", re.IGNORECASE
)
_OURS = re.compile(r"::(?:error|warning|notice) file=[^:,]*,line=[0-9]+,title=[a-z0-9-]+::")
"""An annotation of GitHub as it may begin a line of `--format github`."""


def live_commands(text: str, *, annotations: bool = False) -> list[str]:
    """Return the commands in a log. ``annotations`` are deep-lock's own ones: of them only what follows is searched."""
    found = [] if annotations else [line for line in _LINE_ENDS.split(text) if line.lstrip().startswith("::")]
    if annotations:
        lines = text.split("\n")
        assert lines.pop() == ""
        found += [line for line in lines if not _OURS.match(line) or _LINE_ENDS.search(line)]
    plain = text.replace("\n", "").replace("\t", "")
    return [*found, *(match[0] for match in _ANYWHERE.finditer(_without_ends(text))), *_joined(plain)]


def _without_ends(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ")


def _joined(plain: str) -> list[str]:
    """Commands of Azure that a reader sees which joins lines."""
    return re.findall(r"##vso\[", plain)


COMMANDS = (
    "##vso[task.setvariable variable=PATH]/x",
    "##vso[task.prependpath]/x",
    "##[add-path]/x",
    "##[set-env name=A]b",
    "###[error]x",
    "##teamcity[setParameter name='a' value='b']",
    "\x1b[0Ksection_start:1:x[collapsed=true]\r\x1b[0K",
    "section_end:1:x",
    "SECTION_START:1:x",
    "travis_fold:start:x",
    "\n::error::x",
    "\r\n::set-env name=A::b",
    "\r::add-path::/x",
    "\n \t::warning file=a.py,line=1::x",
    "\v::error::x",
    "\f::error::x",
    "\x85::error::x",
    "\u2028::error::x",
    "\u00a0\u3000::error::x",
    "::stop-commands::x",
    ":::error::x",
    "\x1b]0;title\x07",
    "\x1b]8;;http://h.example/\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
)
"""Commands of all these readers, some with the line end in front that they need."""
PIECES = (
    "#",
    "##",
    "##v",
    "so[",
    "[",
    "vso[task.prependpath]/x",
    ":",
    "::",
    ":error::x",
    "section",
    "_start:1:x",
    "\n",
    "\r",
)
"""What a command can be put together from."""
