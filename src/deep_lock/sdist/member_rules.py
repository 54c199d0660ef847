"""Whether an archive's members may be written to a folder: each name alone, and all of them together.

Invariant: reading an archive and writing it to a disk use the same check. It sees every member, read or not. What passes
can be written without following a link: no name leads out, none is of two kinds, and nothing is below a link or a file.
"""

import re

from msgspec import Struct, field

from deep_lock.errors import ArchiveAmbiguous, ArchiveBroken, ArchiveTooBig, ArchiveUnsafe, LimitExceeded
from deep_lock.sdist.decompress import MIB
from deep_lock.sdist.tar_members import MAX_MEMBERS, Member, MemberKind

MAX_NAME = 1024
"""Characters of one member's path, and of where a link leads."""
MAX_PATHS = 4 * MAX_MEMBERS
"""Members, and the folders that only their names make."""
MAX_HOPS = 40
"""Links that are followed to find where a link leads: as many as Linux follows."""

_LIMITS = {
    "PKG-INFO": 4 * MIB,
    "pyproject.toml": MIB,
    "setup.cfg": MIB,
    "setup.py": MIB,
    "hatch.toml": MIB,
}
"""Files at the top that decide: larger ones are refused, links and duplicates too."""
_LOWER = {name.lower() for name in _LIMITS}
_EGG_INFO = re.compile(r"(?:[^/]+/)?[^/]+\.egg-info/(?:PKG-INFO|requires\.txt)\Z")
_EGG_INFO_LIMIT = 4 * MIB
_CARGO_LOCK = re.compile(r"(?:[^/]+/){0,3}Cargo\.lock\Z")
_CARGO_LOCK_LIMIT = 8 * MIB


def split_name(name: str, where: str) -> list[str]:
    """Return the parts of a member's name without "" and ".". Raises ArchiveUnsafe or LimitExceeded."""
    if "\0" in name:
        raise ArchiveUnsafe(f"{where}: a member name with a NUL byte")
    if len(name) > MAX_NAME:
        raise LimitExceeded(f"{where}: a member name of {len(name)} characters")
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise ArchiveUnsafe(f"{where}: the member {shown_name(name)} would be outside of its folder")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ArchiveUnsafe(f"{where}: the member {shown_name(name)} would be outside of its folder")
    return parts


def shown_name(name: str) -> str:
    """Return a hostile name, made fit for a message."""
    return ascii(name[:200])


def deciding_limit(path: str) -> int | None:
    """Return how many bytes a file may have that configures the build; None for any other file."""
    limit = _LIMITS.get(path)
    if limit is None and path.endswith((".egg-info/PKG-INFO", ".egg-info/requires.txt")) and _EGG_INFO.match(path):
        return _EGG_INFO_LIMIT
    return limit


def is_cargo_lock(path: str) -> bool:
    """Whether a path is a Cargo.lock at the top or up to three folders below: such are hashed, so there is one only."""
    return path.endswith("Cargo.lock") and _CARGO_LOCK.match(path) is not None


class Kinds(Struct):
    """The kind of each path, with the folders that only their contents name."""

    where: str
    kinds: dict[str, MemberKind] = field(default_factory=dict)

    def add(self, path: str, kind: MemberKind) -> None:
        """Record a path. Raises ArchiveUnsafe below or instead of a link, else ArchiveAmbiguous for a path of two kinds."""
        self._add_parents(path)
        known = self.kinds.setdefault(path, kind)
        if known == kind:
            return
        if "folder" in {known, kind} and "link" in {known, kind}:
            raise ArchiveUnsafe(f"{self.where}: {shown_name(path)} is both a folder and a link")
        raise ArchiveAmbiguous(f"{self.where}: {shown_name(path)} is both a {known} and a {kind}")

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        while parent and parent not in self.kinds:
            self.kinds[parent] = "folder"
            parent = parent.rpartition("/")[0]
        known = self.kinds.get(parent, "folder")  # and so is all that is above a folder
        if known == "link":
            raise ArchiveUnsafe(f"{self.where}: the member {shown_name(path)} is below a link")
        if known != "folder":
            raise ArchiveAmbiguous(f"{self.where}: the member {shown_name(path)} is below a {known}")
        if len(self.kinds) > MAX_PATHS:
            raise ArchiveTooBig(f"{self.where}: more than {MAX_PATHS} files and folders")


class MemberCheck(Struct):
    """The check of one archive, member by member. Paths have "/", and those of an sdist are relative to its one top folder."""

    where: str
    kinds: Kinds
    is_wheel: bool = False
    """A wheel has no top folder, and no file that configures a build."""
    top: str = ""
    """The name of the top folder, as written."""
    names: set[str] = field(default_factory=set)
    """Every regular file."""
    links: dict[str, str] = field(default_factory=dict)
    """Symbolic links, and where they lead, as written."""
    hardlinks: dict[str, str] = field(default_factory=dict)
    """Hard links, and the paths of their files."""
    notes: set[str] = field(default_factory=set)

    def add(self, member: Member) -> str:
        """Check a member and return its path. Raises ArchiveError or LimitExceeded."""
        path = self._place(member.name)
        if not path and member.kind != "folder":
            raise ArchiveBroken(f"{self.where}: has no top-level folder")
        if member.kind == "special":
            raise ArchiveUnsafe(f"{self.where}: the member {shown_name(member.name)} is a device or pipe")
        if not self.is_wheel and deciding_limit(path) is not None and member.kind not in {"file", "folder"}:
            raise ArchiveUnsafe(f"{self.where}: {path} is not a regular file")
        if path:
            self.kinds.add(path, member.kind)
        if member.kind == "file":
            if not self.is_wheel:
                self._check_deciding(path, member.size)
            self.names.add(path)
        elif member.kind == "link":
            self.links[path] = self._target(member)
        elif member.kind == "hardlink":
            self.hardlinks[path] = self._place(member.target)  # written like the name of a member
        return path

    def _check_deciding(self, path: str, size: int) -> None:
        limit = _CARGO_LOCK_LIMIT if is_cargo_lock(path) else deciding_limit(path)
        if limit is None:
            return
        if size > limit:
            raise LimitExceeded(f"{self.where}: {path} has {size} bytes; at most {limit} are allowed")
        if path in self.names:
            raise ArchiveAmbiguous(f"{self.where}: {path} occurs twice")

    def _place(self, name: str) -> str:
        """Return the path below the top folder ("" for the folder itself), in a wheel the whole path; or refuse the name."""
        if not name.isprintable():
            self.notes.add("odd-member-name")
        parts = split_name(name, self.where)
        if not parts:
            return ""
        if self.is_wheel:
            return "/".join(parts)
        if not self.top:
            self.top = parts[0]
        elif parts[0] != self.top:
            raise ArchiveAmbiguous(f"{self.where}: more than one top-level folder: {self.top!r} and {parts[0]!r}")
        return "/".join(parts[1:])

    def _target(self, member: Member) -> str:
        if not member.target:
            raise ArchiveBroken(f"{self.where}: the link {shown_name(member.name)} has no target")
        if len(member.target) > MAX_NAME:
            raise LimitExceeded(f"{self.where}: a link's target of {len(member.target)} characters")
        return member.target

    def finish(self) -> None:
        """Check the whole archive: where its links lead."""
        if not self.top and not self.is_wheel:
            raise ArchiveBroken(f"{self.where}: has no top-level folder")
        for path, target in self.links.items():
            if self._leads_out(path, target):
                raise ArchiveUnsafe(f"{self.where}: the link {shown_name(path)} has a target outside of its folder")
        for path in self.hardlinks:
            if self.original(path) not in self.names:
                raise ArchiveBroken(f"{self.where}: the hard link {shown_name(path)} has no regular file in it")
        if any(name.lower() in _LOWER and name not in _LIMITS for name in self.names):
            self.notes.add("case-clash")  # where case does not count, one of them hides the other

    def original(self, path: str) -> str:
        """Return the file at the end of a chain of hard links; some link where it has no end."""
        for _ in range(MAX_HOPS):
            if path not in self.hardlinks:
                break
            path = self.hardlinks[path]
        return path

    def _leads_out(self, path: str, target: str) -> bool:
        if target.startswith("/") or "\\" in target or target[1:2] == ":" or "\0" in target:
            return True
        here = path.split("/")[:-1]
        waiting = target.split("/")[::-1]
        hops = 1
        while waiting:
            part = waiting.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not here:
                    return True
                here.pop()
                continue
            here.append(part)
            further = self.links.get("/".join(here))
            if further is not None:
                hops += 1
                if hops > MAX_HOPS or further.startswith("/"):
                    return True
                here.pop()
                waiting.extend(further.split("/")[::-1])
        return False
