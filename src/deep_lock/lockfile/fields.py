"""The rules for single values of a lock.

Each check returns "" or a fault, as the end of a sentence that begins with the location.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit

from packaging.markers import InvalidMarker
from packaging.specifiers import InvalidSpecifier
from packaging.utils import canonicalize_name, is_normalized_name
from packaging.version import InvalidVersion, Version

from deep_lock.errors import DeepLockError, LockInvalid, UrlForbidden
from deep_lock.models.distribution import sdist_stem
from deep_lock.models.metadata import LICENSE_CLASSIFIER, LICENSE_EXPRESSION
from deep_lock.models.requirement import MAX_NAME_LENGTH
from deep_lock.parsing.requirements import MAX_REQUIREMENT_LENGTH, parse_requirement
from deep_lock.pep440 import parse_marker, parse_specifier
from deep_lock.sanitize import quote, show

Check = Callable[[str], str]

MAX_VERSION_LENGTH = 128
MAX_MARKER_LENGTH = 32768
MAX_URL_LENGTH = 4096
MAX_FILENAME_LENGTH = 255
"""The limit of file systems."""
MAX_WHEEL_TAGS = 1024
"""A compressed tag set is a product: three short lists can mean millions of tags."""

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_OPTION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_URL_CHARACTERS = re.compile(r"[!-\[\]-~]+")
# The form of nearly every URL, without anything to decode: parsing a URL takes ten times as long.
_ORDINARY_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*+(?::[0-9]{1,5})?(?:/(?!\.)[A-Za-z0-9_.!+~-]*+)++")
_FILENAME = re.compile(r"[A-Za-z0-9_.!+-]+")
_BUILD_TAG = re.compile(r"[0-9][A-Za-z0-9_.]*")
_TAG_SET = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_EXTRA = re.compile(r"\bextra\b")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _length_fault(text: str, limit: int) -> str:
    return f"has {len(text)} characters; at most {limit} are allowed" if len(text) > limit else ""


@lru_cache(maxsize=16384)
def parsed_version(text: str) -> Version | None:
    """Return the version (version specifiers, PEP 440); None if the text is not valid."""
    if len(text) > MAX_VERSION_LENGTH:
        return None
    try:
        return Version(text)
    except (InvalidVersion, ValueError):
        return None


@lru_cache(maxsize=16384)
def name_fault(text: str) -> str:
    """A project, extra or group name must be normalized."""
    if fault := _length_fault(text, MAX_NAME_LENGTH):
        return fault
    return "" if is_normalized_name(text) else f"must be a normalized name, not {quote(text)}"


@lru_cache(maxsize=16384)
def version_fault(text: str) -> str:
    """A version must be valid, and written in its normal form."""
    version = parsed_version(text)
    if version is None:
        return f"{quote(text)} is not a version"
    return "" if str(version) == text else f"must be written in normal form, {str(version)!r}, not {quote(text)}"


@lru_cache(maxsize=16384)
def marker_fault(text: str) -> str:
    """A marker must parse, and use PEP 751's set markers in place of ``extra``."""
    if fault := _length_fault(text, MAX_MARKER_LENGTH):
        return fault
    try:
        parse_marker(text)
    except InvalidMarker:
        return f"{quote(text)} is not a marker"
    if _EXTRA.search(_QUOTED.sub("", text)):
        return "must not use 'extra': a lock has \"'x' in extras\" (PEP 751)"
    return ""


@lru_cache(maxsize=16384)
def specifier_fault(text: str) -> str:
    """A version specifier set must parse."""
    if fault := _length_fault(text, MAX_REQUIREMENT_LENGTH):
        return fault
    try:
        parse_specifier(text)
    except InvalidSpecifier:
        return f"{quote(text)} is not a version specifier"
    return ""


@lru_cache(maxsize=16384)
def requirement_fault(text: str) -> str:
    """A requirement must parse, and its URL must have no credentials."""
    try:
        requirement = parse_requirement(text)
    except DeepLockError:
        return f"{quote(text, 100)} is not a requirement"
    if requirement.url is not None and _has_credentials(requirement.url):
        return f"has credentials in the URL of {requirement.name!r}"
    return ""


def _has_credentials(url: str) -> bool:
    """Whether the URL of a requirement has user-info. The user name of SSH (`git@`) is no secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@" in url
    if parts.scheme.endswith("ssh"):
        return parts.password is not None
    return "@" in parts.netloc


def label_fault(text: str) -> str:
    """A target label, Python, platform or index name."""
    return "" if _LABEL.fullmatch(text) else f"{quote(text)} is not a plain name"


def option_fault(text: str) -> str:
    """The key of an option."""
    return "" if _OPTION.fullmatch(text) else f"{quote(text)} is not the name of an option"


def digest_fault(text: str) -> str:
    """A sha256: 64 lower-case hexadecimal digits and nothing else (an export writes it into a line)."""
    return "" if _DIGEST.fullmatch(text) else "must be 64 lower-case hexadecimal digits"


def prefixed_digest_fault(text: str) -> str:
    """A digest with its algorithm: "sha256:..."."""
    algorithm, _, digest = text.partition(":")
    return "must be 'sha256:' and 64 lower-case hexadecimal digits" if algorithm != "sha256" else digest_fault(digest)


def text_fault(text: str) -> str:
    """Free text: short, and on one line. Other invisible characters are escaped when it is shown."""
    if _CONTROLS.search(text):
        return f"contains control characters: {show(text)}"
    return _length_fault(text, MAX_REQUIREMENT_LENGTH)


def license_fault(text: str) -> str:
    """An SPDX expression, by its characters."""
    return "" if LICENSE_EXPRESSION.fullmatch(text) else f"must be an SPDX expression, not {quote(text)}"


def license_classifier_fault(text: str) -> str:
    """A classifier about a license, by its characters."""
    return "" if LICENSE_CLASSIFIER.fullmatch(text) else f"must be a classifier of a license, not {quote(text)}"


def path_fault(text: str) -> str:
    """A path that is the same on every machine: relative, with "/"."""
    if not text or text.startswith(("/", "~")) or "\\" in text or ":" in text[:2]:
        return f"must be a relative path with '/', not {quote(text)}"
    return text_fault(text)


def file_path_fault(text: str) -> str:
    """A relative path of a file (PEP 751, ``path``): in normal form, "../" only at the front, and not like a URL."""
    parts = text.split("/")
    inner = parts[next((position for position, part in enumerate(parts) if part != ".."), len(parts)) :]
    if ":" not in parts[0] and not any(part in {"", ".", ".."} for part in inner):
        return path_fault(text)
    return path_fault(text) or f"must be a relative path in normal form, not {quote(text)}"


def folder_fault(text: str) -> str:
    """A relative path of a folder or a file; "." is the folder of the lock itself."""
    return "" if text == "." else file_path_fault(text)


def commit_fault(text: str) -> str:
    """The full id of a commit."""
    return "" if _COMMIT.fullmatch(text) else "must be the full id of a commit, in lower-case hexadecimal digits"


def repository_fault(url: str) -> str:
    """The URL of a repository: http(s) without user-info, or ssh, with a user name but no password."""
    if not url.startswith("ssh://"):
        fault = url_fault(url)
        return "" if fault is None else fault[1]
    try:
        parts = urlsplit(url)
        known = bool(parts.hostname and _URL_CHARACTERS.fullmatch(url)) and len(url) <= MAX_URL_LENGTH
    except ValueError:
        known = False
    if not known:
        return "is not a URL"
    return "a URL in a lock must have no password" if parts.password is not None else ""


def inner_path_fault(text: str) -> str:
    """A path that stays inside the tree (``backend-path``, PEP 517)."""
    return f"{quote(text)} leaves the source tree" if ".." in text.split("/") else path_fault(text)


def source_fault(text: str) -> str:
    """The source of a build: "." is the project itself, else the location of a direct source."""
    location, _, inner = text.partition("#subdirectory=")
    if location.startswith(("https://", "http://")):
        fault = url_fault(location)
        return fault[1] if fault is not None else inner and inner_path_fault(inner)
    if location.startswith("git+"):
        repository, _, commit = location.removeprefix("git+").rpartition("@")
        path = repository.removeprefix("file:")
        return (
            (folder_fault(path) if path != repository else repository_fault(repository))
            or commit_fault(commit)
            or (inner and inner_path_fault(inner))
        )
    return folder_fault(location) or (inner and inner_path_fault(inner))


def object_fault(text: str) -> str:
    """An object reference: "package.module:object.attribute" (``build-backend``, PEP 517)."""
    module, colon, attribute = text.partition(":")
    parts = [*module.split("."), *(attribute.split(".") if colon else ())]
    if len(text) <= MAX_NAME_LENGTH and all(part.isidentifier() for part in parts):
        return text_fault(text)
    return f"{quote(text)} is not an object reference"


def url_fault(url: str) -> tuple[type[DeepLockError], str] | None:
    """Return the fault of the URL of a file or an index, with the error that it is; None if it is valid.

    The URL itself is not quoted: it may contain a secret.
    """
    if len(url) > MAX_URL_LENGTH:
        return LockInvalid, _length_fault(url, MAX_URL_LENGTH)
    if _ORDINARY_URL.fullmatch(url):
        return None
    if not _URL_CHARACTERS.fullmatch(url):
        return LockInvalid, "must be a URL of visible ASCII characters without a backslash"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return LockInvalid, "is not a URL"
    forbidden = _forbidden_part(parts)
    if forbidden:
        return UrlForbidden, forbidden
    return None if host else (LockInvalid, "is a URL without a host")


def _forbidden_part(parts: SplitResult) -> str:
    if parts.scheme not in {"https", "http"}:
        return f"only https and http URLs are allowed, not {quote(parts.scheme or 'a path')}"
    if "@" in parts.netloc:
        return "a URL in a lock must have no user name, password or token"
    if any(unquote(segment) in {".", ".."} for segment in parts.path.split("/")):
        return "a URL in a lock must not have '.' or '..' in its path"
    return ""


def url_filename(url: str) -> str:
    """Return the last segment of the URL's path, decoded exactly once."""
    if _ORDINARY_URL.fullmatch(url):
        return url.rpartition("/")[2]
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def filename_fault(filename: str) -> str:
    """A file name that is safe in any folder."""
    if not _FILENAME.fullmatch(filename) or filename.startswith("."):
        return f"{quote(filename)} is not the name of a wheel or source distribution"
    return _length_fault(filename, MAX_FILENAME_LENGTH)


def wheel_fault(filename: str, name: str, version: str) -> str:
    """A wheel's name must be valid (binary distribution format) and that of its package."""
    parts = filename.removesuffix(".whl").split("-")
    if not filename.endswith(".whl") or len(parts) not in {5, 6}:
        return f"{quote(filename)} is not the name of a wheel"
    if (len(parts) == 6 and not _BUILD_TAG.fullmatch(parts[2])) or not all(map(_TAG_SET.fullmatch, parts[-3:])):
        return f"{quote(filename)} is not the name of a wheel"
    pythons, abis, platforms = (tags.count(".") + 1 for tags in parts[-3:])
    if pythons * abis * platforms > MAX_WHEEL_TAGS:
        return f"{quote(filename)} has more than {MAX_WHEEL_TAGS} wheel tags"
    return _release_fault(filename, parts[0], parts[1], name, version)


def sdist_fault(filename: str, name: str, version: str) -> str:
    """A source distribution's name (PEP 625, or one of the older formats) must be that of its package."""
    stem = sdist_stem(filename)
    head, dash, written = stem.rpartition("-")
    if not dash:
        return f"{quote(filename)} is not the name of a source distribution"
    # In old names the version can have dashes, as the name can: "thing-1.0-alpha.zip".
    while canonicalize_name(head) != name and "-" in head:
        head = head.rpartition("-")[0]
        written = stem[len(head) + 1 :]
    return _release_fault(filename, head, written, name, version)


def _release_fault(filename: str, written_name: str, written_version: str, name: str, version: str) -> str:
    if not written_name or canonicalize_name(written_name) != name:
        return f"{quote(filename)} is not a file of {name!r}"
    if parsed_version(written_version) != parsed_version(version):
        return f"{quote(filename)} is not a file of version {version}"
    return ""
