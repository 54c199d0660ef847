"""Which file of a release a target would take, and why each other one is refused.

`choose` is called for thousands of releases and returns no reasons; `refusals` is called only for an error message, and
finds the reasons again.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from packaging.utils import NormalizedName

from deep_lock.models.direct_url import parse_reference
from deep_lock.models.distribution import (
    SDIST_SUFFIXES,
    Archive,
    Directory,
    Distribution,
    SourceDistribution,
    Vcs,
    Wheel,
)
from deep_lock.models.metadata import Metadata
from deep_lock.models.requirement import Requirement
from deep_lock.models.resolution import ALL, Candidate, Selection
from deep_lock.sanitize import show
from deep_lock.targets.target import Target, python_fits, rank


def _contains(names: frozenset[str], name: str) -> bool:
    return name in names or ALL in names


def _limit(selection: Selection, name: NormalizedName) -> datetime | None:
    return next((limit for own, limit in selection.exclude_newer_package if own == name), selection.exclude_newer)


def wheels_allowed(name: NormalizedName, selection: Selection) -> bool:
    """Whether a wheel of the project may be taken at all.

    Under build scope "all" a wheel is a last resort: the closure then reports that the release has no source.
    """
    return not _contains(selection.no_binary, name) or name in selection.only_binary


def sdists_allowed(name: NormalizedName, selection: Selection) -> bool:
    """Whether an sdist of the project may be taken at all."""
    return not _contains(selection.only_binary, name) or name in selection.no_binary


def sdists_first(name: NormalizedName, selection: Selection) -> bool:
    """Whether the project is to be built even where a wheel would fit."""
    return selection.build_scope == "all" and name not in selection.allow_wheel


def _too_new(file: Distribution, selection: Selection) -> str:
    limit = _limit(selection, file.name)
    if limit is None:
        return ""
    if file.upload_time is None:  # fail closed: an index without times must not defeat exclude-newer
        return "the index gives no upload time, and exclude-newer is set"
    if file.upload_time >= limit:
        return f"uploaded {file.upload_time:%Y-%m-%dT%H:%M:%SZ}, after exclude-newer"
    return ""


def _wrong_kind(file: Distribution, target: Target, selection: Selection) -> str:
    if isinstance(file, SourceDistribution):
        return "" if sdists_allowed(file.name, selection) else "an sdist, and only-binary is set"
    if not wheels_allowed(file.name, selection):
        return "a wheel, and no-binary is set"
    return _wrong_tags(file.tags, target)


def _refusal(file: Distribution, target: Target, selection: Selection, *, yanked_ok: bool) -> str:
    """Return why the file is not taken; empty where it may be. Cheap checks come first."""
    if file.yanked is not None and not yanked_ok:
        return f"yanked: {file.yanked}" if file.yanked else "yanked"
    return (
        _wrong_python(file.requires_python, target) or _too_new(file, selection) or _wrong_kind(file, target, selection)
    )


def _wrong_python(requires_python: str | None, target: Target) -> str:
    if python_fits(requires_python, target):
        return ""
    return f"needs Python {requires_python}, and {target.label} has {target.python_full_version}"


def _wrong_tags(tags: str, target: Target) -> str:
    return f"its tags {tags} do not fit {target.label}" if ranked(tags, target) is None else ""


@lru_cache(maxsize=1 << 16)
def ranked(tags: str, target: Target) -> int | None:
    """Return `rank`, cached: the releases of a project share a few tag sets."""
    return rank(tags, target)


def _build_number(wheel: Wheel) -> tuple[int, str]:
    digits = wheel.build[: len(wheel.build) - len(wheel.build.lstrip("0123456789"))]
    return (int(digits) if digits else -1, wheel.build[len(digits) :])


def choose(
    files: Sequence[Distribution], target: Target, selection: Selection, *, yanked_ok: bool = False
) -> Distribution | None:
    """Return the file that the target takes of one release: the best wheel, else an sdist; None where nothing fits.

    ``yanked_ok``: PEP 592 allows a yanked file to an exact pin and to what is locked already.
    """
    best: Wheel | None = None
    best_key: tuple[int, int, str] = (0, 0, "")
    sdist: SourceDistribution | None = None
    for file in files:
        if _refusal(file, target, selection, yanked_ok=yanked_ok):
            continue
        if isinstance(file, SourceDistribution):
            if sdist is None or suffix_rank(file.filename) < suffix_rank(sdist.filename):
                sdist = file
            continue
        number, rest = _build_number(file)
        key = (-(ranked(file.tags, target) or 0), number, rest)
        if best is None or key > best_key:
            best, best_key = file, key
    if sdist is not None and (best is None or sdists_first(sdist.name, selection)):
        return sdist
    return best


def matches_url(candidate: Candidate, requirement: Requirement) -> bool:
    """Whether a candidate is what the requirement's URL names; always true where it has none."""
    if requirement.url is None:
        return True
    reference = parse_reference(requirement.url)
    match candidate.distribution:
        case Directory() as own:
            return reference.identity == ("path", own.path, None, own.subdirectory)
        case Vcs() as own:
            return reference.identity == ("git", own.url or own.path, own.requested_revision, own.subdirectory)
        case Archive() as own:
            return reference.identity == ("path" if own.is_path else "archive", own.place, None, own.subdirectory)
        case _:
            return False


def direct_refusal(candidate: Candidate, metadata: Metadata, target: Target) -> str:
    """Return why the target cannot take what a direct reference names; empty where it can.

    The rules of `choose` do not apply: there is only one file.
    """
    file = candidate.distribution
    tags = file.file.tags if isinstance(file, Archive) and isinstance(file.file, Wheel) else None
    return _wrong_python(metadata.requires_python, target) or (_wrong_tags(tags, target) if tags is not None else "")


def suffix_rank(filename: str) -> int:
    """Return the position of an sdist's suffix in SDIST_SUFFIXES: lower is better."""
    ranks = (rank for rank, suffix in enumerate(SDIST_SUFFIXES) if filename.endswith(suffix))
    return next(ranks, len(SDIST_SUFFIXES))


def fitting_wheels(
    files: Sequence[Distribution], target: Target, selection: Selection, *, yanked_ok: bool = False
) -> tuple[Wheel, ...]:
    """Return every wheel of a release that the target could take: an installer may prefer any of them."""
    return tuple(
        file for file in files if isinstance(file, Wheel) and not _refusal(file, target, selection, yanked_ok=yanked_ok)
    )


def refusals(
    files: Sequence[Distribution], target: Target, selection: Selection, *, yanked_ok: bool = False
) -> list[str]:
    """Return each file that the target does not take, with the reason: "NAME: why"."""
    found = ((file.filename, _refusal(file, target, selection, yanked_ok=yanked_ok)) for file in files)
    # the index wrote the yank reason and Requires-Python: they are shown safely, on one line
    return [f"{filename}: {show(reason)}" for filename, reason in found if reason]
