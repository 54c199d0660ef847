"""Questions about all locks of a fleet, answered by its database alone.

The answer has every use: which project, which version, at run time or in which build, on which targets, and by which chain.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import canonicalize_name

from deep_lock.errors import UsageError
from deep_lock.fleet.questions import WANTED, Question, Role
from deep_lock.sanitize import show

SHORTEST_DIGEST = 8
_HEX = frozenset("0123456789abcdef")


class Use(Struct, frozen=True, kw_only=True):
    """A package of a project, and where it is used."""

    repository: str
    project: str
    lock: str
    """The path in the repository."""
    commit: str
    """That of the lock. It is older than that of the repository where the last run failed."""
    is_old: bool
    name: str
    version: str
    source: str
    """The location of a direct source."""
    role: Role
    build: str
    """What is built; empty at run time."""
    backend: str
    targets: tuple[str, ...]
    all_targets: bool
    chain: tuple[str, ...]
    match: str = ""
    """What was found: a file, a publisher, an advisory."""


class Variant(Struct, frozen=True, kw_only=True):
    """One sha256 of a file name of which the fleet has several."""

    sha256: str
    indexes: tuple[str, ...]
    projects: tuple[tuple[str, str], ...]
    """(repository, project)"""
    usual: bool
    """Whether more projects have it than any other."""


class HashConflict(Struct, frozen=True, kw_only=True):
    """A file that does not have one sha256 in all locks."""

    file: str
    name: str
    variants: tuple[Variant, ...]
    """The usual one first."""

    @property
    def is_of_one_index(self) -> bool:
        """Whether one index has the file with several sha256: it was replaced there, or a lock was edited."""
        indexes = [index for own in self.variants for index in own.indexes]
        return len(indexes) > len(set(indexes))


class Unread(Struct, frozen=True, kw_only=True):
    """A project whose lock is not in the answer, or of whose repository the newest commit was not read."""

    repository: str
    project: str
    reason: str
    commit: str | None = None
    """That of the last known lock, which is in the answer; None where no lock is."""


class Affected(Struct, frozen=True, kw_only=True):
    """A release that an advisory affects."""

    name: str
    version: str
    text: str
    """What the advisory says."""


AffectedBy = Callable[[Sequence[tuple[str, str]], str], Iterable[Affected]]
"""Returns which of the releases (name and version) an advisory affects."""


class Answer(Struct, frozen=True, kw_only=True):
    """What the database says."""

    question: Question
    wanted: str
    uses: tuple[Use, ...] = ()
    conflicts: tuple[HashConflict, ...] = ()
    projects: int
    """How many projects have a lock that was read."""
    unread: tuple[Unread, ...] = ()


def require_wanted(question: Question, wanted: str) -> None:
    """Raise UsageError where the argument is not as `WANTED` says."""
    if question in WANTED and not wanted.strip():
        raise UsageError(f"{question} needs an argument: {WANTED[question]}")
    if question not in WANTED and wanted:
        raise UsageError(f"{question} has no argument")
    if question == "has-file":
        _digest(wanted)


def text_in_locks(question: Question, wanted: str) -> str:
    """Return a text that is in each lock that an answer can be about; empty where no such text is known."""
    match question:
        case "builds-with" | "uses":
            return f'"{_name(wanted)}"'
        case "has-file":
            return _digest(wanted)
        case "published-by":
            text = wanted.partition(":")[2] or wanted
            return text if text.isascii() and text.isprintable() and not {'"', "\\"} & {*text} else ""
        case _:
            return ""


def answer(
    connection: sqlite3.Connection,
    question: Question,
    wanted: str,
    affected: AffectedBy | None = None,
) -> Answer:
    """Answer a question. Raises UsageError as `require_wanted`.

    ``affected`` returns which (name, version) an advisory affects; without it the findings of the last audit are used.
    """
    require_wanted(question, wanted)
    wanted = wanted.strip()
    found = Answer(
        question=question,
        wanted=wanted,
        projects=connection.execute(
            "SELECT COUNT(*) FROM project JOIN lock ON lock = sha256 WHERE fault = ''"
        ).fetchone()[0],
        unread=tuple(_unread(connection)),
    )
    if question == "hash-conflicts":
        return replace(found, conflicts=hash_conflicts(connection))
    if question == "vulnerable":
        if affected is None:
            found = replace(found, unread=(*found.unread, *_unaudited(connection)))
        uses = _audited(connection, wanted) if affected is None else _vulnerable(connection, wanted, affected)
    else:
        uses = _ANSWERS[question](connection, wanted)
    order = {"runtime": 0, "build": 1, "unused": 2}
    ordered = sorted(
        uses,
        key=lambda own: (own.repository, own.project, own.name, own.version, order[own.role], own.build, own.chain),
    )
    return replace(found, uses=tuple(ordered))


def _unread(connection: sqlite3.Connection) -> Iterator[Unread]:
    rows = connection.execute(
        "SELECT repository, path, fault, NULL FROM project JOIN lock ON lock = sha256 WHERE fault != ''"
        " UNION ALL SELECT repository, path, message, NULL FROM project WHERE lock = ''"
        " UNION ALL SELECT repository.name, IFNULL(known.path, ''), repository.message, known.commit_id FROM repository"
        " LEFT JOIN (SELECT * FROM project JOIN lock ON lock = sha256 WHERE fault = '') AS known"
        " ON known.repository = repository.name WHERE repository.status != 'done' ORDER BY 1, 2"
    )
    for repository, project, reason, commit in rows:
        yield Unread(repository=repository, project=project, reason=reason or "it has no lock", commit=commit)


def _unaudited(connection: sqlite3.Connection) -> Iterator[Unread]:
    """Yield the projects with a lock whose last result is not that of an audit: it was overwritten, or the audit failed."""
    rows = connection.execute(
        "SELECT repository, path, action, message FROM project"
        " WHERE (action != 'audit' OR code != '') AND lock IN (SELECT sha256 FROM lock WHERE fault = '') ORDER BY 1, 2"
    )
    for repository, project, action, message in rows:
        reason = message if action == "audit" else f"its last result is that of fleet {action}, and not of an audit"
        yield Unread(repository=repository, project=project, reason=reason)


# -- packages

_USES = """
SELECT project.repository, project.path, project.lock_path, COALESCE(project.commit_id, ''),
    release.name, release.version, release.source, usage.role, usage.build, usage.backend, usage.targets, usage.all_targets, usage.chain,
    {match}, project.commit_id != repository.commit_id
FROM release JOIN used ON used.release = release.id JOIN usage ON usage.id = used.usage JOIN project ON project.lock = used.lock
LEFT JOIN repository ON repository.name = project.repository {joined} WHERE {condition}
"""
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


def _uses(
    connection: sqlite3.Connection, condition: str, values: Sequence[Any], *, joined: str = "", match: str = "''"
) -> list[Use]:
    statement = _USES.format(match=match, joined=joined, condition=condition)
    texts: dict[str, tuple[str, ...]] = {}

    def decoded(text: str) -> tuple[str, ...]:
        if text not in texts:
            texts[text] = _decode_texts(text)
        return texts[text]

    return [
        Use(
            repository=row[0],
            project=row[1],
            lock=row[2],
            commit=row[3],
            name=row[4],
            version=row[5],
            source=row[6],
            role=row[7],
            build=row[8],
            backend=row[9],
            targets=decoded(row[10]),
            all_targets=bool(row[11]),
            chain=decoded(row[12]),
            match=row[13],
            is_old=bool(row[14]),
        )
        for row in connection.execute(statement, values)
    ]


def _used(connection: sqlite3.Connection, wanted: str) -> list[Use]:
    name, version = _name(wanted), wanted.partition("==")[2].strip()
    if not version:
        return _uses(connection, "release.name = ?", (name,))
    return _uses(connection, "release.name = ? AND release.version = ?", (name, version))


def _name(wanted: str) -> str:
    return canonicalize_name(wanted.partition("==")[0].strip())


def _built_with(connection: sqlite3.Connection, wanted: str) -> list[Use]:
    return [own for own in _used(connection, wanted) if own.role == "build"]


def _with_file(connection: sqlite3.Connection, wanted: str) -> list[Use]:
    digest = _digest(wanted)
    return _uses(
        connection,
        "file.sha256 >= ? AND file.sha256 < ?",
        (digest, f"{digest}g"),
        joined="JOIN file ON file.release = release.id",
        match="file.name || ' sha256:' || file.sha256",
    )


def _digest(wanted: str) -> str:
    digest = wanted.strip().lower().removeprefix("sha256:")
    if len(digest) < SHORTEST_DIGEST or not _HEX.issuperset(digest):
        raise UsageError(f"has-file needs a sha256, or its first {SHORTEST_DIGEST} digits or more: {show(wanted)}")
    return digest


def _published(connection: sqlite3.Connection, wanted: str) -> list[Use]:
    """Return the uses of what a publisher attested: any of its texts is this one, or this one is "KEY:TEXT"."""
    key, colon, value = wanted.partition(":")
    condition = "publisher.value = ? COLLATE NOCASE OR (publisher.key = ? AND publisher.value = ? COLLATE NOCASE)"
    found = _uses(
        connection,
        condition,
        (wanted, key if colon else "", value),
        joined="JOIN publisher ON publisher.release = release.id",
        match="publisher.identity",
    )
    return list(dict.fromkeys(replace(own, match=identity_text(msgspec.json.decode(own.match))) for own in found))


def identity_text(identity: dict[str, str]) -> str:
    """Return a publisher on one line, its kind first."""
    rest = (f"{key}: {value}" for key, value in sorted(identity.items()) if key != "kind")
    return ", ".join([identity.get("kind", ""), *rest])


_ANSWERS: dict[str, Callable[[sqlite3.Connection, str], list[Use]]] = {
    "builds-with": _built_with,
    "uses": _used,
    "has-file": _with_file,
    "published-by": _published,
}


# -- advisories


def _vulnerable(
    connection: sqlite3.Connection,
    wanted: str,
    affected: AffectedBy,
) -> list[Use]:
    releases = connection.execute(
        "SELECT DISTINCT name, version FROM release WHERE version != '' ORDER BY 1, 2"
    ).fetchall()
    return [
        replace(use, match=own.text)
        for own in affected(releases, wanted)
        for use in _uses(connection, "release.name = ? AND release.version = ?", (own.name, own.version))
        if not _is_folder(use)
    ]


def _is_folder(own: Use) -> bool:
    """Whether the source is a folder: no database can know the user's own project, by any name."""
    return bool(own.source) and "://" not in own.source and not own.source.startswith("git+")


def _audited(connection: sqlite3.Connection, wanted: str) -> list[Use]:
    """Return the uses that the last audit of each project found."""
    if connection.execute("SELECT 1 FROM project WHERE action = 'audit' LIMIT 1").fetchone() is None:
        raise UsageError(
            "no project of the fleet was audited",
            hint="name advisories with --database or --service, or run deep-lock fleet audit",
        )
    rows = connection.execute(
        "SELECT project.repository, path, lock_path, project.commit_id, findings, project.commit_id != repository.commit_id FROM project"
        " JOIN repository ON repository.name = project.repository WHERE findings != '[]'"
    )
    return [
        Use(
            repository=repository,
            project=project,
            lock=lock,
            commit=commit,
            is_old=bool(is_old),
            name=finding["name"],
            version=finding["version"] or "",
            source=finding["source"],
            role="runtime" if use["scope"] == "runtime" else "build",
            build=use["build"] or "",
            backend="",
            targets=tuple(use["targets"]),
            all_targets=use["all-targets"],
            chain=tuple(use["chain"]),
            match=f"{finding['id']} ({'malware' if finding['malware'] else finding['severity']}): {finding['summary']}",
        )
        for repository, project, lock, commit, findings, is_old in rows
        for finding in msgspec.json.decode(findings)
        if wanted.lower() in map(str.lower, (finding["id"], *finding["aliases"]))
        for use in finding["uses"]
    ]


# -- files


def hash_conflicts(connection: sqlite3.Connection) -> tuple[HashConflict, ...]:
    """Return the files that have several sha256 in the locks of the fleet, by name."""
    rows = connection.execute(
        "SELECT file.name, release.name, file.sha256, release.index_url, project.repository, project.path"
        " FROM (SELECT name FROM file GROUP BY name HAVING COUNT(DISTINCT sha256) > 1) AS several"
        " JOIN file ON file.name = several.name JOIN release ON release.id = file.release"
        " JOIN used ON used.release = release.id JOIN project ON project.lock = used.lock"
        " GROUP BY 1, 3, 4, 5, 6 ORDER BY 1"
    )
    found: dict[tuple[str, str], dict[str, tuple[set[str], set[tuple[str, str]]]]] = {}
    for file, name, digest, index, repository, project in rows:
        indexes, projects = found.setdefault((file, name), {}).setdefault(digest, (set(), set()))
        indexes.add(index)
        projects.add((repository, project))
    return tuple(
        HashConflict(file=file, name=name, variants=_variants(variants))
        for (file, name), variants in found.items()
        if len(variants) > 1
    )


def _variants(variants: dict[str, tuple[set[str], set[tuple[str, str]]]]) -> tuple[Variant, ...]:
    most = sorted((len(projects) for _, projects in variants.values()), reverse=True)
    ordered = sorted(variants.items(), key=lambda own: (-len(own[1][1]), own[0]))
    return tuple(
        Variant(
            sha256=digest,
            indexes=tuple(sorted(indexes - {""})),
            projects=tuple(sorted(projects)),
            usual=place == 0 and most[0] > most[1],
        )
        for place, (digest, (indexes, projects)) in enumerate(ordered)
    )
