"""The candidates of one problem: the releases of a project, best first, and the file of each that its target uses.

`choose` is called for thousands of releases and returns no reasons; `refusals` is called only for an error message, and
finds the reasons again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.errors import ArchiveError, LimitExceeded, MetadataInvalid, PyprojectInvalid
from deep_lock.models.direct_url import Reference, is_editable, parse_reference
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
from deep_lock.models.resolution import (
    ALL,
    UNKNOWN_VERSION,
    BuildRequest,
    Candidate,
    Edge,
    Indexes,
    Pin,
    Problem,
    Resolved,
    Selection,
)
from deep_lock.resolver.catalog import Catalog
from deep_lock.resolver.dependencies import BASE, IneligibleError, applicable
from deep_lock.sanitize import listed, show
from deep_lock.targets.target import Target, python_fits, rank

# -- files of one release


def _contains(names: frozenset[str], name: str) -> bool:
    return name in names or ALL in names


def _limit(selection: Selection, name: NormalizedName) -> datetime | None:
    return next((limit for own, limit in selection.exclude_newer_package if own == name), selection.exclude_newer)


def wheels_allowed(name: NormalizedName, selection: Selection) -> bool:
    """Whether a wheel of the project may be taken at all.

    Under build scope "all" a wheel is taken of a project that has no sdist at all: the closure then reports that.
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
        return "the index states no upload time, and exclude-newer is set"
    if file.upload_time >= limit:
        return f"uploaded {file.upload_time:%Y-%m-%dT%H:%M:%SZ}, after exclude-newer"
    return ""


_UPLOADED = "uploaded "
"""The beginning of this reason: many files with other times are one line."""


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
    """Whether a candidate is what the requirement's URL names, with its digest; always true where it has none."""
    if requirement.url is None:
        return True
    reference, file = parse_reference(requirement.url), candidate.distribution
    digests = {None, file.file.sha256} if isinstance(file, Archive) else {None}
    return reference.sha256 in digests and _is_place(candidate, reference)


def _is_place(candidate: Candidate, reference: Reference) -> bool:
    match candidate.distribution:
        case Directory() as own:
            return reference.identity == ("path", own.path, None, own.subdirectory)
        case Vcs() as own:
            return reference.identity == ("git", own.url or own.path, own.requested_revision, own.subdirectory)
        case Archive() as own:
            return reference.identity == ("path" if own.is_path else "archive", own.place, None, own.subdirectory)
        case _:
            return False


def satisfies(candidate: Candidate, requirement: Requirement) -> bool:
    """Whether a candidate has a required version, and is what the requirement's URL names."""
    return requirement.specifier.contains(candidate.version, prereleases=True) and matches_url(candidate, requirement)


def direct_refusal(candidate: Candidate, metadata: Metadata, target: Target) -> str:
    """Return why the target cannot take what a direct reference names; empty where it can.

    The rules of `choose` do not apply: there is only one file.
    """
    file = candidate.distribution
    tags = file.file.tags if isinstance(file, Archive) and isinstance(file.file, Wheel) else None
    return _wrong_python(metadata.requires_python, target) or (_wrong_tags(tags, target) if tags is not None else "")


def metadata_refusal(metadata: Metadata, target: Target) -> str:
    """Return why a release is not for the Python of the target by its own metadata; empty where it is.

    A folder states no Requires-Python, and an index may state none, or another one than the file.
    """
    reason = _wrong_python(metadata.requires_python, target)
    return f"its metadata {reason}" if reason else ""


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
    """Return the files of one release that the target does not take, with the reason: "NAME: why".

    Many files with one reason are one line with their number.
    """
    found: dict[str, list[Distribution]] = {}
    for file in files:
        if reason := _refusal(file, target, selection, yanked_ok=yanked_ok):
            is_tags = isinstance(file, Wheel) and reason == _wrong_tags(file.tags, target)
            key = "" if is_tags else _UPLOADED if reason.startswith(_UPLOADED) else reason
            found.setdefault(key, []).append(file)
    # the index wrote the yank reason and Requires-Python: they are shown safely, on one line
    return [
        show(line, MAX_LINE) for reason, own in found.items() for line in _refusal_lines(reason, own, target, selection)
    ]


def is_for_other_targets(files: Sequence[Distribution], target: Target) -> bool:
    """Whether one release has files for other Pythons or platforms, and no wheel for this target."""
    wrong = [
        _wrong_python(file.requires_python, target)
        or (_wrong_tags(file.tags, target) if isinstance(file, Wheel) else "")
        for file in files
    ]
    return any(wrong) and all(reason or not isinstance(file, Wheel) for file, reason in zip(files, wrong, strict=True))


def _refusal_lines(reason: str, files: Sequence[Distribution], target: Target, selection: Selection) -> Iterator[str]:
    """Yield the lines of the files with one reason; without a reason, of wheels whose tags do not fit."""
    if len(files) <= MAX_SINGLE_FILES:
        for file in files:
            own = reason or (_wrong_tags(file.tags, target) if isinstance(file, Wheel) else "")
            yield f"{file.filename}: {_too_new(file, selection) if reason == _UPLOADED else own}"
    elif reason == _UPLOADED:
        first = min(file.upload_time for file in files if file.upload_time is not None)
        many = f"{files[0].filename} and {len(files) - 1} more files"
        yield f"{many}: uploaded {first:%Y-%m-%dT%H:%M:%SZ} or later, after exclude-newer"
    elif reason:
        yield f"{files[0].filename} and {len(files) - 1} more files: {reason}"
    else:
        tags = [file.tags for file in files if isinstance(file, Wheel)]
        shown = listed(tags, MAX_SINGLE_FILES)
        yield f"{files[0].filename} and {len(files) - 1} more wheels: none fits {target.label}; their tags: {shown}"


MAX_SINGLE_FILES = 3
"""More files with one reason for a refusal are one line."""
MAX_LINE = 600
"""Characters."""


# -- releases of one problem


CONTENT_FAULTS = (ArchiveError, LimitExceeded, MetadataInvalid, PyprojectInvalid)
"""Faults of the contents of one release: another release is taken. A digest that differs is none of them."""


class BuildRequired(Exception):
    """Carries a build request out of a resolution: `resolve` returns it as Blocked."""

    def __init__(self, request: BuildRequest) -> None:
        super().__init__(request.name)
        self.request = request


def metadata_of(candidate: Candidate, problem: Problem, catalog: Catalog) -> Metadata:
    """Return the metadata of a candidate. Raises BuildRequired where only its build backend has it."""
    found = catalog.metadata(candidate, problem.target)
    if isinstance(found, BuildRequest):
        raise BuildRequired(found)
    return found


def usable_metadata(candidate: Candidate, problem: Problem, catalog: Catalog) -> Metadata:
    """As `metadata_of`. Raises IneligibleError where the contents are refused, or are not for the target's Python."""
    try:
        metadata = metadata_of(candidate, problem, catalog)
    except CONTENT_FAULTS as fault:
        raise IneligibleError(" ".join(fault.message.split()), is_unsafe=True) from None
    refusal = metadata_refusal(metadata, problem.target)
    if refusal:
        raise IneligibleError(refusal)
    return metadata


def cycle_reason(name: NormalizedName, version: Version) -> str:
    """Return why an excluded release cannot be pinned."""
    return f"{name} {version} is being built already: it cannot be needed to build itself (a build cycle)"


class DirectCandidates:
    """What the direct references of one problem name."""

    def __init__(self, problem: Problem, catalog: Catalog) -> None:
        self._problem = problem
        self._catalog = catalog
        self._candidates: dict[str, Candidate | None] = {}
        self.refused: dict[str, str] = {}
        """Why what a URL names cannot be taken on the target, by the URL."""

    def candidate(self, requirements: Sequence[Requirement], specifiers: Sequence[SpecifierSet]) -> Candidate | None:
        """Return the one candidate that all the URLs name and that satisfies the specifiers, or None.

        Raises BuildRequired where only a build backend knows its metadata, or its version and a specifier needs it.
        """
        first = min(requirements, key=_editable_first)
        candidate = self._read(first, needs_version=any(specifiers))
        for other in requirements:
            if candidate is not None and other.url and _is_place(candidate, parse_reference(other.url)):
                self._read(other, needs_version=False)  # the same file, by a URL with another sha256
        if (
            candidate is None
            or (candidate.name, candidate.version) in self._problem.excluded
            or not all(matches_url(candidate, requirement) for requirement in requirements)
            or not all(specifier.contains(candidate.version, prereleases=True) for specifier in specifiers)
        ):
            return None
        return candidate

    def known(self, requirement: Requirement) -> Candidate | None:
        """Return what a URL names, if it was read before and can be taken; else None."""
        return self._candidates.get(requirement.url or "")

    def _read(self, requirement: Requirement, *, needs_version: bool) -> Candidate | None:
        url = requirement.url or ""
        known = self._candidates.get(url)
        if url not in self._candidates or (needs_version and known is not None and known.version == UNKNOWN_VERSION):
            target = self._problem.target
            found = self._catalog.direct(requirement, target, needs_version=needs_version)
            if isinstance(found, BuildRequest):
                raise BuildRequired(found)
            refusal = direct_refusal(found, metadata_of(found, self._problem, self._catalog), target)
            if refusal:
                self.refused[url] = refusal
            self._candidates[url] = None if refusal else found
        return self._candidates[url]


def _editable_first(requirement: Requirement) -> tuple[bool, str]:
    return (not is_editable(requirement.url), requirement.url or "")


def is_exact(specifier: SpecifierSet) -> bool:
    """Whether a specifier names one release: ``==V`` without a wildcard, or ``===V``."""
    return any(
        part.operator == "===" or (part.operator == "==" and not part.version.endswith(".*")) for part in specifier
    )


Choices = dict[tuple[Target, Selection, Indexes], dict[tuple[NormalizedName, Version, bool], Candidate | None]]
"""What a target takes of each release (by name, version, whether yanked files count): shared by problems with the same indexes."""


class Releases:
    """The releases that one problem can pin. It shares with other problems only what holds for all of them."""

    def __init__(self, problem: Problem, catalog: Catalog, choices: Choices | None = None) -> None:
        self.problem = problem
        self.catalog = catalog
        self.preferences = dict(problem.preferences)
        self.constraints: dict[NormalizedName, list[Requirement]] = {}
        for constraint in applicable(problem.constraints, problem.target, apply_open=problem.apply_open):
            self.constraints.setdefault(constraint.name, []).append(constraint)
        self.direct_candidates = DirectCandidates(problem, catalog)
        self._direct = {requirement.name for requirement in problem.requirements}
        self._has_sdist: dict[NormalizedName, bool] = {}
        like = problem.target, problem.selection, problem.indexes
        self._usable = ({} if choices is None else choices).setdefault(like, {})
        self._fits: dict[int, tuple[SpecifierSet, dict[Version, bool]]] = {}
        """By identity of the specifier, which is kept alive here: its hash is slower than the check."""

    def fits(self, specifier: SpecifierSet, version: Version) -> bool:
        """Whether a version satisfies a specifier; `candidates` decides on pre-releases."""
        key = id(specifier)
        _, answers = self._fits.get(key) or self._fits.setdefault(key, (specifier, {}))
        if version not in answers:
            answers[version] = specifier.contains(version, prereleases=True)
        return answers[version]

    def candidates(
        self, name: NormalizedName, specifiers: Sequence[SpecifierSet], *, direct: bool
    ) -> Iterator[Candidate]:
        """Yield what could be pinned, best first: preferred versions, final ones, then pre-releases if allowed.

        PEP 440: a pre-release counts only where no final release satisfies *all* specifiers, or where a specifier names
        a pre-release; even then final releases come first.
        """
        yanked_ok = any(is_exact(specifier) for specifier in specifiers)
        preferred = self.preferences.get(name, ())
        yield from self.fitting(name, preferred, specifiers, yanked_ok=True)
        selection = self.problem.selection
        mode = "allow" if name in selection.prerelease_names else selection.prereleases
        withheld: list[Version] = []
        finals = False
        for version in self._ordered(name, direct=direct):
            if version in preferred:
                finals = finals or not version.is_prerelease
            elif version.is_prerelease and mode != "allow":
                withheld.append(version)
            else:
                for candidate in self.fitting(name, (version,), specifiers, yanked_ok=yanked_ok):
                    finals = True
                    yield candidate
        if mode != "disallow" and (not finals or any(specifier.prereleases for specifier in specifiers)):
            yield from self.fitting(name, withheld, specifiers, yanked_ok=yanked_ok)

    def best(self, requirement: Requirement) -> Candidate | None:
        """Return the best candidate for a requirement and the problem's constraints alone. Raises BuildRequired."""
        specifiers = [requirement.specifier, *(c.specifier for c in self.constraints.get(requirement.name, ()))]
        if requirement.url is not None:
            return self.direct_candidates.candidate([requirement], specifiers)
        return next(self.candidates(requirement.name, specifiers, direct=requirement.name in self._direct), None)

    def _ordered(self, name: NormalizedName, *, direct: bool) -> Iterable[Version]:
        versions = self.catalog.versions(name)
        mode = self.problem.selection.resolution
        lowest = mode == "lowest" or (mode == "lowest-direct" and direct)
        return reversed(versions) if lowest else versions

    def fitting(
        self,
        name: NormalizedName,
        versions: Iterable[Version],
        specifiers: Sequence[SpecifierSet],
        *,
        yanked_ok: bool,
    ) -> Iterator[Candidate]:
        """Yield those of the versions that satisfy the specifiers and have a file for the target, in this order."""
        for version in versions:
            if (name, version) in self.problem.excluded or not all(self.fits(own, version) for own in specifiers):
                continue
            candidate = self.usable(name, version, yanked_ok=yanked_ok)
            if candidate is not None and not self.lacks_sdist(candidate):
                yield candidate

    def lacks_sdist(self, candidate: Candidate) -> bool:
        """Whether build scope "all" passes a release over: it has no sdist, and another release of the project has one."""
        name = candidate.name
        if not isinstance(candidate.distribution, Wheel) or not sdists_first(name, self.problem.selection):
            return False
        if name not in self._has_sdist:
            found = (self.usable(name, version, yanked_ok=False) for version in self.catalog.versions(name))
            self._has_sdist[name] = any(
                own is not None and isinstance(own.distribution, SourceDistribution) for own in found
            )
        return self._has_sdist[name]

    def usable(self, name: NormalizedName, version: Version, *, yanked_ok: bool) -> Candidate | None:
        """Return the release with the file that the target takes, or None."""
        key = (name, version, yanked_ok)
        if key not in self._usable:
            files = self.catalog.files(name, version, self.problem.target)
            file = choose(files, self.problem.target, self.problem.selection, yanked_ok=yanked_ok)
            self._usable[key] = None if file is None else Candidate(name=name, version=version, distribution=file)
        return self._usable[key]


def resolved(
    candidates: Mapping[NormalizedName, Candidate],
    extras: Mapping[NormalizedName, set[NormalizedName]],
    edges: Iterable[Edge],
) -> Resolved:
    """Return the candidates that have extras (BASE among them) as pins, and the edges, both sorted."""
    pins = (
        Pin(
            name=name,
            version=candidates[name].version,
            distribution=candidates[name].distribution,
            extras=frozenset(extras[name] - {BASE}),
        )
        for name in sorted(extras)
    )
    return Resolved(
        pins=tuple(pins),
        edges=tuple(
            sorted(
                edges, key=lambda edge: (edge.parent or "", edge.parent_extra or "", edge.child, str(edge.requirement))
            )
        ),
    )
