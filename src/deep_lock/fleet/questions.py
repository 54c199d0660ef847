"""The questions that a fleet can answer, and the words of an answer. The command line knows them without the modules that answer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Question = Literal["builds-with", "uses", "has-file", "published-by", "vulnerable", "hash-conflicts"]
Role = Literal["runtime", "build", "unused"]
"""How a project uses a package. ``unused``: nothing requires it, and its files are in the lock all the same."""
QUESTIONS: tuple[Question, ...] = get_args(Question)
WANTED: Mapping[Question, str] = MappingProxyType(
    {
        "builds-with": "NAME or NAME==VERSION",
        "uses": "NAME or NAME==VERSION",
        "has-file": "a sha256, or its beginning",
        "published-by": "a text of a publisher, such as OWNER/NAME, or KEY:TEXT",
        "vulnerable": "the ID of an advisory, or an alias",
    }
)
"""What each question is about; hash-conflicts is about all files."""
