"""The rules of a policy on the contents of wheels: what they find in those wheels of a lock that were read.

Found are files and modules that run or change the search path whenever Python starts, modules that belong to another project or
to the standard library, and scripts with the names of well-known commands. A match of a package that no build uses has
``runtime`` set: its level is one lower.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct
from packaging.utils import canonicalize_name

from deep_lock.analysis.graph import Explanations
from deep_lock.analysis.policy_rules import RuleMatch
from deep_lock.analysis.popular_projects import KNOWN_NAMES
from deep_lock.analysis.well_known_commands import is_shadowed
from deep_lock.lockfile.index import Key, LockIndex, called, key_of, members, uses_of, wheels_of
from deep_lock.lockfile.selection import full_selections, installed_packages
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.changes import Change
from deep_lock.models.contents import AT_START, FileContents
from deep_lock.models.lock import LockedPackage
from deep_lock.models.policy import Policy
from deep_lock.sanitize import listed, show
from deep_lock.sdist import setup_imports

_NOT_FOREIGN = frozenset({"test"})
"""A module of the standard library that wheels have by mistake, and that no program imports."""

_DISTUTILS = re.compile(
    r"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os\.environ\.get\(var, '(?:local|stdlib)'\) == 'local'; "
    r"enabled and __import__\('_distutils_hack'\)(?:\.add_shim\(\))?;\s*"
)
"""The distutils-precedence.pth of setuptools, which is in almost every build environment."""

_NAME, _PARTS = r"'[\w.]+'", r"\((?:'\w+', ?)*'\w+',?\)"
_NAMESPACE_LINE = re.compile(
    r"import sys, types, os;(?:has_mfs = sys\.version_info > \(3, 5\);)?"
    rf"p = os\.path\.join\(sys\._getframe\(1\)\.f_locals\['sitedir'\], \*{_PARTS}\);"
    r"(?:importlib = has_mfs and __import__\('importlib\.util'\);has_mfs and __import__\('importlib\.machinery'\);)?"
    rf"(?:m = has_mfs and sys\.modules\.setdefault\({_NAME}, importlib\.util\.module_from_spec\("
    rf"importlib\.machinery\.PathFinder\.find_spec\({_NAME}, \[os\.path\.dirname\(p\)\]\)\)\);)?"
    rf"m = (?:m or )?sys\.modules\.setdefault\({_NAME}, types\.ModuleType\({_NAME}\)\);"
    r"mp = \(m or \[\]\) and m\.__dict__\.setdefault\('__path__',\[\]\);\(p not in mp\) and mp\.append\(p\)"
    rf"(?:;m and setattr\(sys\.modules\[{_NAME}\], {_NAME}, m\))?"
)
"""A line of a -nspkg.pth, which old versions of setuptools write for namespace packages."""
_QUOTED = re.compile(r"'([\w.]+)'")

_OWN_MODULES: Mapping[str, frozenset[str]] = {
    "argparse": frozenset({"argparse"}),
    "attrs": frozenset({"attr"}),
    "beautifulsoup4": frozenset({"bs4"}),
    "cython": frozenset({"pyximport"}),
    "pytest": frozenset({"py"}),
    "matplotlib": frozenset({"mpl_toolkits", "pylab"}),
    "protobuf": frozenset({"google"}),
    "setuptools": frozenset({"_distutils_hack", "pkg_resources"}),
    "scikit-build": frozenset({"skbuild"}),
    "scikit-image": frozenset({"skimage"}),
    "scikit-learn": frozenset({"sklearn"}),
}
"""Modules of well-known projects that their names do not explain."""


class FilesRead(Struct, frozen=True, kw_only=True):
    """The wheels of a lock that were read, by sha256."""

    contents: Mapping[str, FileContents] = {}
    unreadable: Mapping[str, str] = {}
    """Wheels that cannot be read, and why."""
    total: int = 0
    """Of the wheels that were to be read."""
    others: Mapping[str, FileContents] = {}
    """Other wheels of the lock: nothing is found in them, and modules and commands can be theirs."""
    before: Mapping[str, FileContents] = {}
    """Wheels of the previous lock that new ones replace."""

    @property
    def is_complete(self) -> bool:
        return len(self.contents) == self.total


class _Package(Struct, frozen=True, kw_only=True):
    """A package of the lock, with those of its wheels that were read."""

    entry: LockedPackage
    runtime: bool
    wheels: Mapping[str, FileContents]
    """By file name."""
    others: tuple[FileContents, ...]


def wheel_matches(lock_index: LockIndex, read: FilesRead) -> Iterator[RuleMatch]:
    """Yield what the rules find in the wheels that were read."""
    in_builds = uses_of(lock_index)
    packages = []
    for entry in lock_index.lock.packages:
        runtime = key_of(entry) not in in_builds
        for file in wheels_of(entry):
            if file.sha256 in read.unreadable:
                yield _match("wheel-unreadable", entry, show(read.unreadable[file.sha256]), runtime=runtime)
        wheels = {file.name: read.contents[file.sha256] for file in wheels_of(entry) if file.sha256 in read.contents}
        others = tuple(read.others[file.sha256] for file in wheels_of(entry) if file.sha256 in read.others)
        packages.append(_Package(entry=entry, runtime=runtime, wheels=wheels, others=others))
    modules, commands = _owners(packages)
    foreign: set[str] = set()
    for package in packages:
        found: dict[tuple[str, str], list[str]] = {}
        for filename, own in sorted(package.wheels.items()):
            project = package.entry.name
            modules_of_others = list(_foreign(project, own, modules, lock_index))
            foreign.update(module for code, _, module in modules_of_others if code == "wheel-foreign-top-level")
            facts = [*_at_start(project, own), *((code, text) for code, text, _ in modules_of_others)]
            for fact in [*facts, *_commands(project, own, commands)]:
                found.setdefault(fact, []).append(filename)
        for (code, text), filenames in sorted(found.items()):
            runtime = package.runtime and code != "wheel-pth"  # that takes effect without an import, also at run time
            yield _match(code, package.entry, f"{show(listed(filenames, 1))} has {show(text, 400)}", runtime=runtime)

    yield from _shared_imports(packages, foreign, lock_index)


def wheel_changes(lock_index: LockIndex, read: FilesRead) -> Iterator[Change]:
    """Yield what the rules find in the wheels that were read, as changes: these wheels are new in the lock."""
    explain = Explanations(lock_index)
    for match in wheel_matches(lock_index, read):
        if Policy().level(match.code, lower=match.runtime) == "off":
            continue
        yield Change(
            code="wheel-installed" if match.runtime else match.code,
            name=match.name,
            now=match.version,
            message=match.message,
            chain=explain.package(match.key) if match.key is not None else (),
        )


def _match(code: str, entry: LockedPackage, message: str, *, runtime: bool) -> RuleMatch:
    return RuleMatch(
        code=code,
        name=entry.name,
        version=entry.version or "",
        subject=called(entry),
        message=message,
        key=key_of(entry),
        runtime=runtime,
    )


def _owners(packages: list[_Package]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the projects that have a top-level module itself, and those that have a command, by its name."""
    modules: dict[str, set[str]] = {}
    commands: dict[str, set[str]] = {}
    for package in packages:
        for own in (*package.wheels.values(), *package.others):
            for name, is_own in own.modules:
                if is_own:
                    modules.setdefault(name, set()).add(package.entry.name)
            for command in own.commands:
                commands.setdefault(command, set()).add(package.entry.name)
    return modules, commands


# -- what takes effect when Python starts


def _at_start(project: str, own: FileContents) -> Iterator[tuple[str, str]]:
    for name, text in own.startup:
        if not _is_known(project, name, text):
            yield "wheel-pth", f"{name}, {_effect(name, text)}"
    for module, _ in own.modules:
        if module.lower() in AT_START:
            yield "wheel-pth", f"the module {module}, which runs whenever Python starts"


def _is_known(project: str, name: str, text: str) -> bool:
    """Whether a file has the known text of setuptools, which runs no code of the wheel."""
    if project == "setuptools" and name == "distutils-precedence.pth":
        return _DISTUTILS.fullmatch(text) is not None
    lines = [line for line in text.splitlines() if line.strip()]
    named = {part.split(".")[0] for line in lines for part in _QUOTED.findall(line)}
    return (
        bool(lines)
        and all(map(_NAMESPACE_LINE.fullmatch, lines))
        and named.isdisjoint(setup_imports.STANDARD - {"importlib"})
    )


def _effect(name: str, text: str) -> str:
    lower = name.lower()
    if lower == "pyvenv.cfg":
        return "the settings of the environment itself"
    if lower.endswith(".start"):
        return "which runs code whenever Python starts (3.15 and newer)"
    if not text:
        return "which is too long to be read, or empty"
    code = next(
        (line for line in text.removeprefix("\ufeff").splitlines() if line.startswith(("import ", "import\t"))), None
    )
    if code is not None:
        return f"which runs code whenever Python starts: {code[:120]}"
    return "which adds to the module search path whenever Python starts"


# -- modules of others


def _foreign(
    project: str, own: FileContents, owners: Mapping[str, set[str]], lock_index: LockIndex
) -> Iterator[tuple[str, str, str]]:
    """Yield code, text and module of each module of another project."""
    mine = _OWN_MODULES.get(project, frozenset()) | AT_START | setup_imports.NAMESPACES
    is_module = dict(own.modules)
    for module in (*is_module, *own.folders):
        if module in mine:
            continue
        name, others = canonicalize_name(module), sorted(owners.get(module, set()) - {project})
        what = f"the module {module}" if is_module.get(module) else f"files in the package {module}"
        if module in is_module and _is_standard(project, module):
            yield "wheel-foreign-top-level", f"{what}, a name of the standard library", module
        elif name == project:
            continue
        elif others and not (is_module.get(module) and _is_owner(project, module, others)):
            yield "wheel-foreign-top-level", f"{what}, which {listed(others, 2)} has too", module
        elif _explains(project, module):
            continue
        elif name in lock_index.versions:
            yield "wheel-foreign-top-level", f"{what}, the name of another project of the lock", module
        elif name in KNOWN_NAMES:
            yield "wheel-foreign-top-level", f"{what}, the name of another, well-known project", module
        elif module in is_module:
            yield "wheel-other-top-level", f"{what}, whose name differs from that of the project", module


def _is_owner(project: str, module: str, others: Iterable[str]) -> bool:
    """Whether a module of several projects is the project's own: only its name explains it. The others are reported."""
    return _explains(project, module) and not any(_explains(other, module) for other in others)


def _is_standard(project: str, module: str) -> bool:
    """Whether a module is one of the standard library. Of a removed one a project can be the successor."""
    if module in setup_imports.REMOVED:
        return not _explains(project, module)
    return module in setup_imports.STANDARD - _NOT_FOREIGN


def _explains(project: str, module: str) -> bool:
    """Whether the names are alike: one is in the other without its separators, or they have a word in common."""
    if module in _OWN_MODULES.get(project, ()):
        return True
    first, second = _stem(project), _stem(module)
    if first in second or second in first:
        return True
    words = {word for word in re.split(r"[-_.]", project) if len(word) > 2}
    return not words.isdisjoint(module.lower().split("_"))


def _stem(name: str) -> str:
    """Return a name without separators, without ``py`` or ``python`` around it and digits at its end."""
    plain = re.sub(r"[-_.]", "", name.lower())
    return re.sub(r"^(?:python|py)|(?:python|py|\d+)$", "", plain) or plain


# -- import names of several projects


def _shared_imports(packages: list[_Package], foreign: Collection[str], lock_index: LockIndex) -> Iterator[RuleMatch]:
    """Report each import name of several projects once, if some target, or build, has them together.

    Names are those that METADATA declares (PEP 794), else derived. Those below a module in ``foreign`` are reported already.
    """
    owners: dict[str, dict[Key, LockedPackage]] = {}
    fresh: set[str] = set()
    for package in packages:
        fresh.update(name for own in package.wheels.values() for name in own.import_names)
        for name in {name for own in (*package.wheels.values(), *package.others) for name in own.import_names}:
            owners.setdefault(name, {})[key_of(package.entry)] = package.entry
    several = {
        name: own
        for name, own in owners.items()
        if name in fresh and len({key[0] for key in own}) > 1 and name.partition(".")[0] not in foreign
    }
    together = _together(lock_index) if several else ()
    names_of: dict[tuple[Key, ...], list[str]] = {}
    for name, own in sorted(several.items()):
        clash = {
            key
            for group in together
            for key in own
            if len({other[0] for other in group & own.keys()}) > 1 and key in group
        }
        if clash:
            names_of.setdefault(tuple(sorted(clash)), []).append(name)
    in_builds = uses_of(lock_index)
    for keys, names in names_of.items():
        projects = sorted({key[0] for key in keys} - {keys[0][0]})
        what = f"the import {'name' if len(names) == 1 else 'names'} {listed(names, 3)}"
        yield _match(
            "wheel-shared-import",
            owners[names[0]][keys[0]],
            f"has {show(what, 400)}, which {show(listed(projects, 2))} has too",
            runtime=in_builds.isdisjoint(keys),
        )


def _together(lock_index: LockIndex) -> tuple[frozenset[Key], ...]:
    """Return the packages that are in one environment: of a target with a selection, or of a build."""
    lock = lock_index.lock
    installed = (
        frozenset(map(key_of, installed_packages(lock_index, target, selection)))
        for target in chosen_targets(lock, (), "")
        for selection in full_selections(lock)
    )
    builds = (frozenset(map(key_of, members(build))) for build in lock.builds)
    return tuple({*installed, *builds})


# -- commands of others


def _commands(project: str, own: FileContents, owners: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    for command in own.commands:
        others = sorted(owners.get(command, set()) - {project})
        if is_shadowed(command, project):
            yield "wheel-command-shadow", f"the script {command}, the name of a well-known command"
        elif others and canonicalize_name(command) != project:
            yield "wheel-command-shadow", f"the script {command}, which {listed(others, 2)} has too"
