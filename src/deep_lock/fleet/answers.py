"""The answer to a question about a fleet, as text and as JSON."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec

from deep_lock.fleet.query import Answer, HashConflict, Unread, Use
from deep_lock.reports.document import document
from deep_lock.sanitize import Safe, lines, listed, show

MAX_BUILDS = 3
"""Uses of one package in one project, without ``every``."""
MAX_PROJECTS = 5
"""Of one sha256 in text."""
_VERBS = {
    "builds-with": ("builds with", "build with"),
    "uses": ("uses", "use"),
    "has-file": ("has", "have"),
    "published-by": ("has files of", "have files of"),
    "vulnerable": ("is affected by", "are affected by"),
}


def answer_json(answer: Answer) -> Safe:
    """Return the answer as one document."""
    return document(
        "fleet-answer",
        1,
        {
            "question": answer.question,
            "wanted": answer.wanted,
            "projects": answer.projects,
            "uses": [_use_row(own) for own in answer.uses],
            "conflicts": [_conflict_row(own) for own in answer.conflicts],
            "unread": [msgspec.structs.asdict(own) for own in answer.unread],
        },
    )


def _use_row(own: Use) -> dict[str, Any]:
    return {
        "repository": own.repository,
        "project": own.project,
        "lock": own.lock,
        "commit": own.commit,
        "name": own.name,
        "version": own.version or None,
        "source": own.source,
        "scope": own.role,
        "build": own.build or None,
        "backend": own.backend or None,
        "targets": list(own.targets),
        "all-targets": own.all_targets,
        "chain": list(own.chain),
        "match": own.match,
    }


def _conflict_row(own: HashConflict) -> dict[str, Any]:
    return {
        "file": own.file,
        "name": own.name,
        "one-index": own.is_of_one_index,
        "variants": [
            {
                "sha256": each.sha256,
                "usual": each.usual,
                "indexes": list(each.indexes),
                "projects": [{"repository": repository, "project": project} for repository, project in each.projects],
            }
            for each in own.variants
        ],
    }


def answer_text(answer: Answer, *, every: bool) -> Safe:
    """Return the answer as text, each project once; ``every`` shows all uses of a package in a project."""
    found: list[str] = []
    for (repository, project), uses in groupby(answer.uses, key=lambda own: (own.repository, own.project)):
        every_use = tuple(uses)
        old = f" (of the older commit {every_use[0].commit[:12]}: its last run failed)" if every_use[0].is_old else ""
        found.append(show(f"{project_name(repository, project)}{old}"))
        for _, own in groupby(every_use, key=lambda own: (own.name, own.version, own.source, own.match)):
            found += _package_lines(tuple(own), every=every)
    for conflict in answer.conflicts:
        found += _conflict_lines(conflict)
    return lines("\n".join([*found, ""]) if found else "")


def project_name(repository: str, project: str) -> str:
    """Return the name of a project in texts, on one line."""
    return show(repository if project in {"", "."} else f"{repository}: {project}")


def _package_lines(uses: Sequence[Use], *, every: bool) -> list[str]:
    first = uses[0]
    name = f"{first.name} {first.version}" if first.version else f"{first.name} @ {first.source}"
    found = [f"  {show(name)}{f': {show(first.match)}' if first.match else ''}"]
    shown = uses if every else uses[:MAX_BUILDS]
    found += [f"    {_where(own)}" for own in shown]
    more = len(uses) - len(shown)
    found += [f"    and in {more} more builds (--all)"] if more else []
    return found


def _where(own: Use) -> str:
    if own.role == "unused":
        return "nothing in the lock requires it"
    targets = "" if own.all_targets else f" on {listed([*map(show, own.targets)], 4)}"
    where = "at run time" if own.role == "runtime" else f"in the build of {show(own.build)}"
    return f"{where}{targets}: {' > '.join(map(show, own.chain))}"


def _conflict_lines(own: HashConflict) -> list[str]:
    found = [f"{show(own.file)}{'  (of one index)' if own.is_of_one_index else ''}"]
    for each in own.variants:
        names = [project_name(*project) for project in each.projects]
        where = f" from {listed([*map(show, each.indexes)], 3)}" if each.indexes else ""
        mark = "  usual" if each.usual else ""
        found.append(f"  sha256:{each.sha256}{mark}: {_several(len(names), 'project')}{where}")
        found.append(f"    {listed(names, MAX_PROJECTS)}")
    return found


def conflicts_text(conflicts: Sequence[HashConflict]) -> str:
    """Return a warning about files with several sha256, those of one index first."""
    ordered = sorted(conflicts, key=lambda own: not own.is_of_one_index)
    names = listed([show(own.file) for own in ordered], MAX_PROJECTS)
    return f"{_files(len(conflicts))} more than one sha256 in the locks: {names}; deep-lock fleet ask hash-conflicts shows where"


def _files(number: int) -> str:
    return "1 file has" if number == 1 else f"{number} files have"


def claim(answer: Answer) -> str:
    """Return the answer in one sentence."""
    old = sum(own.commit is not None for own in answer.unread)
    missing = len(answer.unread) - old
    of_all = f"of {_several(answer.projects, 'project')} with a lock"
    of_all += f" ({old} of them with the lock of an older run)" if old else ""
    of_all += f"; {_several(missing, 'project')} {_are(missing)} not in the answer" if missing else ""
    if answer.question == "hash-conflicts":
        if not answer.conflicts:
            return f"each file has one sha256 in all locks, {of_all}"
        return f"{_files(len(answer.conflicts))} more than one sha256, {of_all}"
    projects = {(own.repository, own.project) for own in answer.uses}
    repositories = len({own.repository for own in answer.uses})
    verb = _VERBS[answer.question][len(projects) != 1]
    if not projects:
        return f"no project {_VERBS[answer.question][0]} {show(answer.wanted)}, {of_all}"
    versions = sorted({own.version for own in answer.uses if own.version})
    which = f" ({listed([*map(show, versions)], 4)})" if answer.question in {"builds-with", "uses"} and versions else ""
    in_all = f" of {repositories} repositories" if repositories > 1 else ""
    return f"{_several(len(projects), 'project')}{in_all} {verb} {show(answer.wanted)}{which}, {of_all}"


def _several(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_line(text: str) -> str:
    """Return the first line of a message, without a colon at its end."""
    return text.partition("\n")[0].rstrip(":")


def unread_text(answer: Answer) -> str:
    """Return a warning about projects that are not in the answer, or with the lock of an older run; empty without any."""
    missing = [own for own in answer.unread if own.commit is None]
    old = [own for own in answer.unread if own.commit is not None]
    texts = [
        f"{_several(len(rows), 'project')} {_are(len(rows))} {what}: {_unread_names(rows)}"
        for rows, what in (
            (missing, "not in the answer"),
            (old, "in the answer with the lock of an older run, since the last run failed"),
        )
        if rows
    ]
    return ". ".join(texts)


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _unread_names(rows: Sequence[Unread]) -> str:
    names = [
        f"{project_name(own.repository, own.project)} ({f'commit {own.commit[:12]}: ' if own.commit else ''}{show(first_line(own.reason))})"
        for own in rows[:MAX_PROJECTS]
    ]
    more = len(rows) - len(names)
    return "; ".join([*map(show, names), *([f"and {more} more"] if more else [])])
