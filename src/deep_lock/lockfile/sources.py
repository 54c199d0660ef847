"""Sources of entries that were named directly (PEP 751: ``vcs``, ``directory``, ``archive``), written and read."""

from deep_lock.errors import LockInvalid, UrlForbidden
from deep_lock.lockfile.fields import (
    commit_fault,
    digest_fault,
    folder_fault,
    inner_path_fault,
    repository_fault,
    text_fault,
    url_fault,
)
from deep_lock.lockfile.tables import Table
from deep_lock.models.lock import LockedArchive, LockedDirectory, LockedSource, LockedVcs
from deep_lock.parsing.toml import quoted

KINDS = ("archive", "directory", "vcs")


def url_text(url: str, owner: str) -> str:
    """Return the URL of a file or an index as TOML. Raises LockInvalid or UrlForbidden."""
    fault = url_fault(url)
    if fault is not None:
        raise fault[0](f"the URL of {owner}: {fault[1]}")
    return quoted(url)


def place_text(url: str | None, path: str | None, owner: str, *, repository: bool = False) -> str:
    """Return the key and the value of a place, of which there is exactly one. Raises LockInvalid or UrlForbidden."""
    match url, path:
        case str(url), None:
            if not repository:
                return f"url = {url_text(url, owner)}"
            if fault := repository_fault(url):
                raise UrlForbidden(f"the repository of {owner}: {fault}")
            return f"url = {quoted(url)}"
        case None, str(path):
            fault = folder_fault(path)
            if fault:
                raise LockInvalid(f"the path of {owner}: {fault}")
            return f"path = {quoted(path)}"
    raise LockInvalid(f"{owner} must have a URL or a path, and not both")


def source_text_of(source: LockedSource, owner: str) -> tuple[str, str]:
    """Return the key and the TOML text of a source. Raises LockInvalid or UrlForbidden."""
    inner = [] if source.subdirectory is None else [f"subdirectory = {quoted(source.subdirectory)}"]
    match source:
        case LockedDirectory():
            editable = ["editable = true"] if source.editable else []
            parts = [place_text(None, source.path, owner), *editable, *inner]
            return "directory", _table(parts)
        case LockedVcs():
            place = place_text(source.url, source.path, owner, repository=True)
            revision = source.requested_revision
            asked = [] if revision is None else [f"requested-revision = {quoted(revision)}"]
            return "vcs", _table(['type = "git"', place, *asked, f"commit-id = {quoted(source.commit_id)}", *inner])
        case LockedArchive():
            size = [] if source.size is None else [f"size = {source.size}"]
            place = place_text(source.url, source.path, owner)
            return "archive", _table([place, *size, f"hashes = {{sha256 = {quoted(source.sha256)}}}", *inner])


def _table(parts: list[str]) -> str:
    return "{" + ", ".join(parts) + "}"


def read_source(table: Table) -> LockedSource | None:
    """Take the source of an entry or a reference; None where it has none. Raises LockInvalid or UrlForbidden."""
    found = [(kind, own) for kind in KINDS if (own := table.table(kind)) is not None]
    if not found:
        return None
    if len(found) > 1:
        table.refuse(found[1][0], f"does not go with {found[0][0]!r}: an entry has one source")
    kind, own = found[0]
    source: LockedSource
    match kind:
        case "directory":
            source = LockedDirectory(
                path=own.text("path", folder_fault),
                editable=own.flag("editable"),
                subdirectory=own.optional("subdirectory", inner_path_fault),
            )
        case "vcs":
            source = _read_vcs(own)
        case _:
            source = _read_archive(own)
    own.rest()
    return source


def _read_vcs(own: Table) -> LockedVcs:
    if own.text("type", text_fault) != "git":
        own.refuse("type", "must be 'git': no other kind of repository is known")
    source = LockedVcs(
        url=own.optional("url", repository_fault),
        path=own.optional("path", folder_fault),
        requested_revision=own.optional("requested-revision", text_fault),
        commit_id=own.text("commit-id", commit_fault),
        subdirectory=own.optional("subdirectory", inner_path_fault),
    )
    if (source.url is None) == (source.path is None):
        own.refuse("url", "or 'path' says where the repository is, and only one of them")
    return source


def _read_archive(own: Table) -> LockedArchive:
    hashes = own.table("hashes")
    if hashes is None:
        own.refuse("hashes", "is missing: a file without a sha256 is not locked")
    source = LockedArchive(
        url=own.optional_url("url"),
        path=own.optional("path", folder_fault),
        size=own.number("size"),
        sha256=hashes.text("sha256", digest_fault),
        subdirectory=own.optional("subdirectory", inner_path_fault),
    )
    hashes.rest()
    if (source.url is None) == (source.path is None):
        own.refuse("url", "or 'path' says where the file is, and only one of them")
    return source
