"""Build constraints: the files that installers may use in build environments, with the sha256 of each.

Tried with pip 26.3, uv 0.13.9 and build 1.6.1. In a file with a hash pip refuses what the file does not pin, uv does with
--require-build-hashes; both refuse other bytes; both pass the file on to builds inside a build. ``python -m build`` does that
only if PIP_BUILD_CONSTRAINT names it too. pip reuses a wheel that it built from the same sdist before, with other packages:
--no-cache-dir prevents it. uv builds again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from shlex import quote

from deep_lock.exports.build_sets import BuildFile, BuildSet, build_files, build_sets, file_lines
from deep_lock.exports.requirements import file_content
from deep_lock.exports.view import Exported, View, builds_of
from deep_lock.lockfile.index import called
from deep_lock.models.lock import LockedBuild
from deep_lock.sanitize import Safe

STEM = "build-constraints"
PIP = "pip install --require-hashes -r requirements.txt"
BUILDING = "pip install --no-cache-dir"
UV = "uv pip install --require-hashes -r requirements.txt --build-constraints FILE --require-build-hashes"


def constraints(view: View, *, per_sdist: bool, path_of: Callable[[str], str] = str) -> Exported:
    """Return one file if all builds can share it, else few consistent ones; with ``per_sdist`` one for each build.

    ``path_of`` returns the path of a file by its name. Raises NotLocked and TargetsAlike.
    """
    sets = build_sets(view, per_sdist=per_sdist)
    files = tuple(BuildFile(sets=(own,)) for own in sets) if per_sdist else build_files(view, sets)
    files = files or (BuildFile(sets=()),)
    names = _own_names(sets) if per_sdist and sets else numbered(STEM, len(files))
    return Exported(
        files=tuple(
            (name, file_text(view, file, "Build constraints")) for name, file in zip(names, files, strict=True)
        ),
        usage=_usage(dict(zip(map(path_of, names), files, strict=True))),
        unsupported=tuple(_unsupported(view, sets)),
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


def file_text(view: View, file: BuildFile, title: str, options: Iterable[str] = ()) -> Safe:
    """Return the text of a file; its head names the builds that it is for."""
    head = [f"{title} of {view.source}, made by deep-lock export, for the builds of:"]
    head += [f"  {_described(own)}" for own in file.sets] or ["  no package: nothing is built"]
    return file_content(head, (*options, *file_lines(view, file)))


def _described(own: BuildSet) -> str:
    name = f"{called(own.build)}, the project" if _is_project(own) else called(own.build)
    if own.conflict:
        return f"{name} (only its own environment, without builds inside it)"
    return f"{name}, and inside it {', '.join(own.inner)}" if own.inner else name


def _is_project(own: BuildSet) -> bool:
    return own.build.needed == "project"


def _usage(files: Mapping[str, BuildFile]) -> str:
    direct = {name: [own for own in file.sets if own.direct and not own.conflict] for name, file in files.items()}
    installed = {
        name: [_requirement(own.build) for own in sets if not _is_project(own)] for name, sets in direct.items()
    }
    commands = _install_commands({name: requirements for name, requirements in installed.items() if requirements})
    for name, sets in direct.items():
        if any(_is_project(own) and own.build.hook is None for own in sets):
            path = quote(name)
            commands.append(f"PIP_BUILD_CONSTRAINT={path} python -m build --wheel --dependency-constraints-txt {path}")
    return " && ".join(commands or [PIP])


def _requirement(build: LockedBuild) -> str:
    # requirements.txt has the URL of a direct reference
    return f"{build.name}=={build.version}" if build.source is None else build.name


def _install_commands(installed: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the commands that install what must be built, then the rest: a run of pip reads one file for all builds."""
    if len(installed) < 2:
        return [
            f"{BUILDING} --require-hashes -r requirements.txt --build-constraint {quote(name)}" for name in installed
        ]
    start = f"{BUILDING} --no-deps -c requirements.txt --build-constraint"
    commands = [f"{start} {quote(name)} {' '.join(map(quote, names))}" for name, names in installed.items()]
    return [*commands, PIP]


def _unsupported(view: View, sets: tuple[BuildSet, ...]) -> Iterator[str]:
    for own in sets:
        if own.conflict:
            yield (
                f"{called(own.build)}: no single file serves all of its builds, so pip and uv cannot build it in one "
                f"run, and deep-lock wheelhouse can: {own.conflict}"
            )
    yield from unsupported_settings(view)
    if sets:
        yield f"a check by uv of what the file does not pin, unless uv has --require-build-hashes: {UV}"


def unsupported_settings(view: View) -> Iterator[str]:
    """Report the user's settings of builds that pins cannot express."""
    settings = dict(view.lock.inputs.config_settings)
    builds = builds_of(view)
    for what, added in sorted({(called(build), build.requires_user) for build in builds if build.requires_user}):
        yield f"extra build requirements of {what}: only the lock has {', '.join(added)}"
    for name in sorted({build.name for build in builds if settings.get(build.name)}):
        yield f"config settings of {name}: pass them to the installer, --config-settings"
