"""Build constraints: what installers hold to in the environments in which they build, with the sha256 of each file.

Tried with pip 26.3, uv 0.13.9 and build 1.6.1. In a file with a hash pip refuses what is not pinned there, uv does not;
both refuse other bytes; both hand the file down to builds inside a build. ``python -m build`` does that only if
PIP_BUILD_CONSTRAINT names it too.
"""

from collections.abc import Callable, Iterable, Iterator
from shlex import quote

from deep_lock.exports.build_sets import BuildFile, BuildSet, build_files, build_sets, file_lines
from deep_lock.exports.view import Exported, View, builds_of
from deep_lock.lockfile.index import called
from deep_lock.models.lock import LockedBuild

STEM = "build-constraints"
PIP = "pip install --require-hashes -r requirements.txt"


def constraints(view: View, *, per_sdist: bool, place: Callable[[str], str] = str) -> Exported:
    """Return one file where one will do, else the fewest; with ``per_sdist`` one for each thing that is built.

    ``place`` tells where a file of a name will stand.

    Raises NotLocked and TargetsAlike.
    """
    sets = build_sets(view, each=per_sdist)
    files, fewest = (tuple(BuildFile(sets=(own,)) for own in sets), True) if per_sdist else build_files(view, sets)
    files = files or (BuildFile(sets=()),)
    names = _own_names(sets) if per_sdist and sets else numbered(STEM, len(files))
    return Exported(
        files=tuple(
            (name, file_text(view, file, "Build constraints")) for name, file in zip(names, files, strict=True)
        ),
        usage=_usage(dict(zip(map(place, names), files, strict=True))),
        losses=tuple(_losses(view, sets, fewest=fewest)),
    )


def numbered(stem: str, count: int) -> tuple[str, ...]:
    """Return the names of so many files."""
    return (f"{stem}.txt",) if count == 1 else tuple(f"{stem}-{number}.txt" for number in range(1, count + 1))


def _own_names(sets: Iterable[BuildSet]) -> tuple[str, ...]:
    names: list[str] = []
    for own in sets:
        parts = [STEM, own.build.name, own.build.version, own.build.hook]
        stem = "-".join(part for part in parts if part)
        alike = sum(name.startswith((f"{stem}.txt", f"{stem}@")) for name in names)
        names.append(f"{stem}@{alike + 1}.txt" if alike else f"{stem}.txt")
    return tuple(names)


def file_text(view: View, file: BuildFile, title: str, options: Iterable[str] = ()) -> str:
    """Return one file, with what it is for at its head."""
    head = [f"# {title} of {view.source}, which deep-lock export made, for:"]
    head += [f"#   {_told(own)}" for own in file.sets] or ["#   nothing: nothing is built"]
    return "\n".join([*head, *options, *file_lines(view, file.pins), ""])


def _told(own: BuildSet) -> str:
    what = f"{called(own.build)}, the project" if own.build.needed == "project" else called(own.build)
    if own.quarrel:
        return f"{what}, its own environment only"
    return f"{what}; within it {', '.join(own.below)}" if own.below else what


def requirement_of(build: LockedBuild) -> str:
    """Return how a command line names what is built, where a constraint says the rest."""
    return f"{build.name}=={build.version}" if build.source is None else build.name


def _usage(files: dict[str, BuildFile]) -> str:
    asked = {name: [own for own in file.sets if own.direct and not own.quarrel] for name, file in files.items()}
    installed = {
        name: [requirement_of(own.build) for own in sets if not _is_project(own)] for name, sets in asked.items()
    }
    commands = _installing({name: names for name, names in installed.items() if names})
    for name, sets in asked.items():
        if any(_is_project(own) and own.build.hook is None for own in sets):
            place = quote(name)
            commands.append(
                f"PIP_BUILD_CONSTRAINT={place} python -m build --wheel --dependency-constraints-txt {place}"
            )
    return " && ".join(commands or [PIP])


def _installing(taking: dict[str, list[str]]) -> list[str]:
    """Return the commands that install what must be built, and then the rest: pip takes one file for all of a command."""
    if len(taking) < 2:
        return [f"{PIP} --build-constraint {quote(name)}" for name in taking]
    start = "pip install --no-deps -c requirements.txt --build-constraint"
    commands = [f"{start} {quote(name)} {' '.join(map(quote, names))}" for name, names in taking.items()]
    return [*commands, PIP]


def _is_project(own: BuildSet) -> bool:
    return own.build.needed == "project"


def _losses(view: View, sets: tuple[BuildSet, ...], *, fewest: bool) -> Iterator[str]:
    for own in sets:
        if own.quarrel:
            yield (
                f"{called(own.build)}: no one file serves all of its builds, so pip and uv cannot build it at once, "
                f"and deep-lock wheelhouse can: {own.quarrel}"
            )
    yield from lost_settings(view)
    if not fewest:
        yield "files: perhaps fewer would do; the search for them was given up"
    if sets:
        yield "uv: a backend that asks for what is not pinned here is not stopped; pip stops it"


def lost_settings(view: View) -> Iterator[str]:
    """Say what the user told builds that pins cannot say."""
    settings = dict(view.lock.inputs.config_settings)
    builds = builds_of(view)
    for what, added in sorted({(called(build), build.requires_user) for build in builds if build.requires_user}):
        yield f"extra build requirements of {what}: only the lock asks for {', '.join(added)}"
    for name in sorted({build.name for build in builds if settings.get(build.name)}):
        yield f"config settings of {name}: give them to the installer, --config-settings"
