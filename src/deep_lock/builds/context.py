"""Prepares the calls of hooks: environments of exact wheels, and fresh source trees.

Invariant: an environment has the wheels of one resolution and nothing else, each checked against its sha256. All of it
is in one folder of the run, and is deleted with it.
"""

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

from deep_lock.builds import hooks, temp_dirs, unpack, virtual_environment
from deep_lock.builds.host import Machine
from deep_lock.builds.sandbox import sandbox
from deep_lock.closure.model import Builds, Built, BuiltKey, Subject, key_of_pin
from deep_lock.errors import HookFailed, HookRefused, ProjectInvalid, raise_printed_fault
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.lazy import load_all, shutil
from deep_lock.models.distribution import Archive, Directory, Distribution, SourceDistribution, Vcs, Wheel
from deep_lock.models.resolution import Pin, Resolved, Selection
from deep_lock.resolver.candidates import choose
from deep_lock.sanitize import show
from deep_lock.targets.target import Target

RUNNER_VERSION = 1
"""Part of the key of every cached answer: incremented when hooks are called in another way."""

BUILD_SECONDS = 3600.0
_WHEELS = f"built-wheels-{RUNNER_VERSION}"
_T = TypeVar("_T")


class BuildContext:
    """Makes environments and trees for one run. After `close` nothing is left but the cache."""

    def __init__(
        self,
        *,
        machine: Machine,
        client: IndexClient,
        files_of: Callable[[Distribution], Sequence[Distribution]],
        cache: Cache,
        project: Path,
        folder_of: Callable[[str], Path],
        checkout: Callable[[Vcs, Path], Path],
    ) -> None:
        """``files_of`` returns the files of the release of a file; ``folder_of`` the absolute path of a path in the lock; ``checkout`` puts a commit into a new folder."""
        self.machine = machine
        self._client = client
        self._files_of = files_of
        self._cache = cache
        self._project = project
        self._folder_of = folder_of
        self._checkout = checkout
        self._folder: Path | None = None
        self._open = ExitStack()
        self._environments: dict[str, virtual_environment.VirtualEnvironment] = {}
        self._count = 0

    def close(self) -> None:
        """Delete every environment and tree."""
        self._open.close()

    def digest(self, resolved: Resolved, target: Target, builds: Builds) -> str:
        """Return what identifies an environment: its files, and those of the builds below it."""
        parts = [f"{target.label} {target.python_full_version}"]
        for pin, file in self._files(resolved, builds, target):
            settings = "" if isinstance(file, Wheel) else settings_key(builds[key_of_pin(pin)].subject)
            parts.append(f"{file.filename} {self._client.digest(file)}{settings}")
        return sha256("\n".join(sorted(parts)).encode()).hexdigest()

    def call(
        self,
        subject: Subject,
        resolved: Resolved,
        builds: Builds,
        *,
        target: Target,
        hook: "Callable[[hooks.Call], _T]",
        again: bool = False,
    ) -> _T:
        """Call a hook of a subject in an environment, on a fresh copy of its tree; ``again`` in other surroundings.

        A hook that fails without the system's commands is called again with them: without them it requires the larger
        set. Raises SafetyError (HookFailed among them) and IndexFault.
        """
        load_all()
        environment = self._environment(resolved, builds, target)
        try:
            return self._call(subject, environment, system_path=False, hook=hook, again=again)
        except HookFailed:
            return self._call(subject, environment, system_path=True, hook=hook, again=again)

    def _call(
        self,
        subject: Subject,
        environment: "virtual_environment.VirtualEnvironment",
        *,
        system_path: bool,
        hook: "Callable[[hooks.Call], _T]",
        again: bool = False,
        limits: "sandbox.Limits | None" = None,
    ) -> _T:
        with temp_dirs.disposable_folder("hook-", parent=self._work_dir()) as folder:
            (folder / "scratch").mkdir()
            tree = self._tree(subject, folder / "tree")
            return hook(
                hooks.Call(
                    called=str(subject),
                    system=subject.facts.build_system,
                    tree=tree,
                    archive_root=folder / "tree" if tree.parent != folder / "tree" else None,
                    scratch=folder / "scratch",
                    environment=environment,
                    system_path=system_path,
                    confined=self.machine.is_confined(subject.name),
                    config_settings=subject.config_settings,
                    again=again,
                    limits=limits or sandbox.Limits(),
                )
            )

    def _work_dir(self) -> Path:
        if self._folder is None:
            self._folder = self._open.enter_context(temp_dirs.disposable_folder("deep-lock-"))
        return self._folder

    # -- source trees

    def _tree(self, subject: Subject, folder: Path) -> Path:
        folder.mkdir()
        match subject.source:
            case None:
                return _copied(self._project, folder / "project")
            case Directory() as directory:
                return _copied(self._folder_of(directory.path), folder / "project") / directory.subdirectory
            case Vcs() as commit:
                return self._checkout(commit, folder / "project") / commit.subdirectory
            case Archive(file=file, subdirectory=subdirectory):
                return self._unpacked(file, folder) / subdirectory
            case SourceDistribution() as sdist:
                return self._unpacked(sdist, folder)

    def _unpacked(self, archive: Distribution, folder: Path) -> Path:
        with self._client.cached_file(archive).open("rb") as file:
            tree: Path = unpack.unpack(file, archive.filename, folder)
        return tree

    # -- environments

    def _environment(
        self, resolved: Resolved, builds: Builds, target: Target
    ) -> "virtual_environment.VirtualEnvironment":
        """Return the environment of a resolution; its sdists are built first, the deepest before the others."""
        key = self.digest(resolved, target, builds)
        if key not in self._environments:
            for pin, file in self._files(resolved, builds, target):
                if isinstance(file, SourceDistribution):
                    self._build_wheel(builds[key_of_pin(pin)], builds, target)
            self._environments[key] = self._new_environment(resolved, builds, target)
        return self._environments[key]

    def _new_environment(
        self, resolved: Resolved, builds: Builds, target: Target
    ) -> "virtual_environment.VirtualEnvironment":
        interpreter = self.machine.interpreter(target)
        if interpreter is None:
            raise HookRefused(f"this machine has no Python interpreter for {target.label}")
        wheels = [self._wheel(pin, builds, target) for pin in resolved.pins]
        self._count += 1
        folder = self._work_dir() / f"environment-{self._count}"
        environment: virtual_environment.VirtualEnvironment = virtual_environment.make_environment(
            folder, interpreter, wheels
        )
        return environment

    def _files(self, resolved: Resolved, builds: Builds, target: Target) -> list[tuple[Pin, Distribution]]:
        """Return the files of an environment and of the builds that it needs, the deepest first."""
        ordered: dict[BuiltKey, tuple[Pin, Distribution]] = {}
        stack: list[tuple[Pin, bool]] = [(pin, False) for pin in resolved.pins]
        while stack:
            pin, ready = stack.pop()
            key = key_of_pin(pin)
            if key in ordered:
                continue
            file = self._file(pin, target)
            if ready or isinstance(file, Wheel):
                ordered[key] = (pin, file)
                continue
            stack.append((pin, True))
            stack += [(member, False) for member in builds[key].final.pins]
        return list(ordered.values())

    def _file(self, pin: Pin, target: Target) -> Distribution:
        """Return the release's own wheel where one fits, even if the lock has its sdist built: a hook sees no difference."""
        if isinstance(pin.distribution, Wheel):
            return pin.distribution
        if not isinstance(pin.distribution, SourceDistribution):
            raise HookRefused(f"{pin.name}: a direct reference cannot be in a build environment")
        files = self._files_of(pin.distribution)
        return choose(files, target, Selection(), yanked_ok=True) or pin.distribution

    def _wheel(self, pin: Pin, builds: Builds, target: Target) -> tuple[Path, str]:
        """Return the file that is installed for a pin, and its wheel file name."""
        file = self._file(pin, target)
        if isinstance(file, Wheel):
            return self._client.compared_wheel(file, fetch=False), file.filename
        wheel = self._built_wheel(builds[key_of_pin(pin)], builds, target)
        if wheel is None:
            raise HookFailed(f"{pin.name} {pin.version}: the wheel that was built from it no longer exists")
        return wheel

    # -- wheels that are built for an environment

    def _wheel_key(self, built: Built, builds: Builds, target: Target) -> str:
        sdist = built.subject.sdist
        digest = self._client.digest(sdist) if sdist is not None else ""
        return f"{digest} {self.digest(built.final, target, builds)}{settings_key(built.subject)}"

    def _built_wheel(self, built: Built, builds: Builds, target: Target) -> tuple[Path, str] | None:
        record = self._cache.get_record(_WHEELS, self._wheel_key(built, builds, target))
        if record is None:
            return None
        digest, _, filename = record.decode().partition(" ")
        path = self._client.built_file(digest)
        return None if path is None else (path, filename)

    def _build_wheel(self, built: Built, builds: Builds, target: Target) -> None:
        """Build and keep the wheel of an sdist, unless it is kept already; the builds below it were done before."""
        if self._built_wheel(built, builds, target) is not None:
            return
        environment = self._new_environment(built.final, builds, target)

        def build(call: "hooks.Call") -> None:
            out = call.scratch / "wheel"
            out.mkdir()
            path = hooks.build_wheel(call, out)
            _, digest = self._client.cache_built(path)
            key = self._wheel_key(built, builds, target)
            self._cache.put_record(_WHEELS, key, f"{digest} {path.name}".encode())

        self._call(built.subject, environment, system_path=True, hook=build, limits=build_limits())


def build_limits() -> "sandbox.Limits":
    """Return the limits for the build of a wheel: compilers run for long, and side by side."""
    return sandbox.Limits(
        wall_seconds=BUILD_SECONDS,
        cpu_seconds=int(BUILD_SECONDS),
        open_files=1024,
        processes=4096,
        total_memory=16 * 1024**3,
    )


def settings_key(subject: Subject) -> str:
    """Return the part of a cache key for config settings; "" where there are none."""
    return f" {msgspec.json.encode(subject.config_settings).decode()}" if subject.config_settings else ""


def _copied(source: Path, target: Path) -> Path:
    """Copy a folder without what no build reads: environments, caches."""
    named = shutil.ignore_patterns(".venv", "venv", "__pycache__", ".tox", ".nox", "node_modules", "__pypackages__")

    def left_out(folder: str, names: list[str]) -> set[str]:
        return named(folder, names) | {name for name in names if _is_special(os.path.join(folder, name))}  # noqa: PTH118 - called for each file

    try:
        shutil.copytree(source, target, symlinks=True, ignore=left_out)
    except shutil.Error as error:  # a list of texts
        raise_printed_fault(str(error), "a copy of the project")
        raise ProjectInvalid(f"{source}: cannot be copied for its build backend: {show(str(error), 500)}") from None
    return target


def _is_special(path: str) -> bool:
    """Whether a path is a pipe, a socket or a device: to open one can wait for ever."""
    kind = stat.S_IFMT(os.lstat(path).st_mode)
    return kind not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}
