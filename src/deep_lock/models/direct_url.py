"""Direct references: the URL of a requirement, parsed (dependency specifiers, PEP 610) and written in one form.

Invariant: equal references have equal texts, and no text contains a secret. A path is written with "/", and relative
once it is anchored at the folder of the lock: "./packages/lib", "../other".
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import replace

from deep_lock.errors import RequirementInvalid
from deep_lock.models.distribution import SDIST_SUFFIXES

ReferenceKind = Literal["path", "git", "archive", "workspace"]

WHEEL_SUFFIX = ".whl"
ARCHIVE_SUFFIXES = (WHEEL_SUFFIX, *SDIST_SUFFIXES, ".tgz")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_GIT = frozenset(("git+https", "git+http", "git+ssh", "git+file"))
_WEB = frozenset(("https", "http"))
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OTHER_HASHES = frozenset({"md5", "sha1", "sha224", "sha384", "sha512", "blake2b", "blake2s"})
_ROOTS = ("file:///${PROJECT_ROOT}", "file://${PROJECT_ROOT}", "{root:uri}")
"""What a URL of PDM and of Hatch has for the folder of the project."""
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_HINT = (
    "Allowed are https:// and file: URLs of archives, paths, and git+https://, git+ssh:// and git+file: URLs; "
    "a revision is a branch, a tag or a whole commit."
)
_HASH_HINT = "Write #sha256=... of the same file (pip hash)."


class Reference(Struct, frozen=True, kw_only=True):
    """What a URL or a table of the configuration names."""

    kind: ReferenceKind
    place: str = ""
    """A path (of a folder, or of an archive); the URL of a repository without "git+", or its path; the URL of a file."""
    is_path: bool = False
    """Whether ``place`` is a path of this machine: always for kind "path", for git only of git+file."""
    revision: str | None = None
    subdirectory: str = ""
    sha256: str | None = None
    editable: bool = False

    @property
    def identity(self) -> tuple[str, str, str | None, str]:
        """What distinguishes two references: not how it is installed, and not its digest."""
        return (self.kind, self.place, self.revision, self.subdirectory)

    @property
    def is_archive(self) -> bool:
        """Whether a file is named, by what its name ends in."""
        return self.kind == "archive" or (self.kind == "path" and self.place.lower().endswith(ARCHIVE_SUFFIXES))

    def __str__(self) -> str:
        place = quoted_path(self.place) if self.is_path else self.place
        start = ("git+file:" if self.is_path else "git+") if self.kind == "git" else ""
        revision = f"@{self.revision}" if self.revision is not None else ""
        fragment = {
            **({"editable": "true"} if self.editable else {}),
            **({"sha256": self.sha256} if self.sha256 else {}),
            **({"subdirectory": self.subdirectory} if self.subdirectory else {}),
        }
        end = f"#{urlencode(fragment, safe='/')}" if fragment else ""
        return f"{start}{place}{revision}{end}"


def quoted_path(path: str) -> str:
    """Return a path as the reference of a URL: it begins with a dot or a slash, and holds no blank."""
    text = quote(path, safe="/+~", errors="surrogateescape")
    return text if text.startswith(("/", "./", "../")) or text in {".", ".."} else f"./{text}"


def is_editable(url: str | None) -> bool:
    """Whether the URL of a requirement says that the folder is installed as editable."""
    return url is not None and "editable=true" in url.partition("#")[2].split("&")


def inner_folder(text: str) -> str:
    """Return a folder inside a tree in normal form; "" is the tree itself. Raises RequirementInvalid."""
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if text.startswith("/") or "\\" in text or ":" in text or ".." in parts or not text.isprintable():
        raise RequirementInvalid("its subdirectory is outside of the source tree")
    return "/".join(parts)


def checked_revision(text: str | None) -> str | None:
    """Return a revision that is safe to hand to git. Raises RequirementInvalid."""
    if text is not None and (not _REVISION.fullmatch(text) or ".." in text or text.endswith((".lock", "/", "."))):
        raise RequirementInvalid("its revision is not valid", hint=_HINT)
    return text


def parse_reference(url: str) -> Reference:
    """Parse the URL of a requirement, or a path.

    Messages do not quote the URL, which may contain a secret. User-info is dropped, except the name of an SSH user.
    Raises RequirementInvalid.
    """
    try:
        return _parse(url)
    except ValueError:
        raise RequirementInvalid("it is not a URL", hint=_HINT) from None


def _parse(url: str) -> Reference:
    if not url.isprintable() or url.startswith("-"):
        raise RequirementInvalid("it is not a URL", hint=_HINT)
    place, _, fragment = url.partition("#")
    root = next((own for own in _ROOTS if place.startswith(own)), None)
    if root is not None:
        place = f".{place.removeprefix(root)}"
    wanted = dict(parse_qsl(fragment, keep_blank_values=True))
    found = _placed(place)
    if "sha256" not in wanted and not _OTHER_HASHES.isdisjoint(wanted):
        raise RequirementInvalid("its URL has a hash, and only sha256 is compared", hint=_HASH_HINT)
    known = replace(
        found,
        subdirectory=inner_folder(wanted.get("subdirectory", "")),
        sha256=_digest(wanted.get("sha256")),
        editable=wanted.get("editable") == "true",
    )
    if known.kind == "git" and (known.sha256 or known.editable):
        raise RequirementInvalid("a repository has no sha256 and is not installed as editable", hint=_HINT)
    if known.sha256 and not known.is_archive:
        raise RequirementInvalid("a folder has no sha256", hint=_HINT)
    return known


def _placed(place: str) -> Reference:
    """Parse what is before the fragment."""
    match = _SCHEME.match(place)
    scheme = match[0][:-1].lower() if match else ""
    if scheme in _GIT:
        return _git(scheme, place[len(scheme) + 1 :])
    if scheme in _WEB:
        return Reference(kind="archive", place=_web(place))
    if scheme == "file":
        return Reference(kind="path", place=_file_path(place[5:]), is_path=True)
    if scheme:
        raise RequirementInvalid(f"its URL scheme is not supported, {scheme[:20]!r}", hint=_HINT)
    return Reference(kind="path", place=_plain_path(unquote(place, errors="surrogateescape")), is_path=True)


def _digest(text: str | None) -> str | None:
    if text is not None and not _DIGEST.fullmatch(text.lower()):
        raise RequirementInvalid("its sha256 is not 64 hexadecimal digits")
    return None if text is None else text.lower()


def _git(scheme: str, rest: str) -> Reference:
    head, revision = rest, None
    before, at, after = rest.rpartition("@")
    # an "@" in front of the host is a user's, not a revision's
    if at and "/" in before.removeprefix("//"):
        head, revision = before, checked_revision(after)
    if scheme == "git+file":
        return Reference(kind="git", place=_file_path(head), is_path=True, revision=revision)
    return Reference(kind="git", place=_web(f"{scheme.removeprefix('git+')}:{head}"), revision=revision)


def _file_path(rest: str) -> str:
    """The path of a file: URL (RFC 8089), without a host; a relative one is accepted, since other tools write it."""
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host not in {"", "localhost"}:
            raise RequirementInvalid("it names a file on another machine", hint=_HINT)
        rest = slash + path
    path = unquote(rest, errors="surrogateescape")
    if not path:
        raise RequirementInvalid("it has no path", hint=_HINT)
    return _plain_path(path[1:] if re.match(r"/[A-Za-z]:/", path) else path)


def _plain_path(path: str) -> str:
    """Return the path without steps that lead nowhere: "./a" is "a"."""
    return posixpath.normpath(path.replace("\\", "/")) if path else "."


def _web(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise RequirementInvalid("its URL has no host", hint=_HINT)
    user = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{user}{host}", parts.path, parts.query, ""))


def path_of(place: str) -> Path:
    """Return the folder that a path or a file: URL names."""
    return path_of_url(place) or Path(place)


def path_of_url(url: str) -> Path | None:
    """Return the path that a file: URL names; None for a URL of any other scheme, and for a path."""
    if url[:5].lower() != "file:":
        return None
    parts = urlsplit(url)
    path = unquote(parts.path, errors="surrogateescape")
    if os.name == "nt":
        # file:///C:/wheels, file://server/share/wheels
        path = f"//{parts.netloc}{path}" if parts.netloc not in {"", "localhost"} else path.lstrip("/")
    return Path(path)
