"""Where strangers' builds are made ready: environments out of exact wheels, fresh trees, and the call of a hook.

Law: an environment holds the wheels of one resolution and nothing else, each checked against its sha256. Whatever is
made here stands in one folder of the run, and goes with it.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

from deep_lock.builds import environment, hooks, temp_dirs, unpack
from deep_lock.builds.host import Machine
from deep_lock.builds.sandbox import sandbox
from deep_lock.closure.model import Built, BuiltKey, Subject, key_of_pin
from deep_lock.errors import HookFailed, HookRefused
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.lazy import load_all, shutil
from deep_lock.models.distribution import Archive, Directory, SourceDistribution, Vcs, Wheel
from deep_lock.models.resolution import Pin, Resolved, Selection
from deep_lock.resolver.candidates import choose
from deep_lock.targets.target import Target

RUNNER_VERSION = 1
"""Part of every key of an answer: counted up when hooks are run otherwise."""

BUILD_SECONDS = 3600.0
_WHEELS = f"built-wheels-{RUNNER_VERSION}"
_T = TypeVar("_T")

Made = Mapping[BuiltKey, Built]
"""What was closed on a target so far: how each sdist there is built."""


class BuildContext:
    """Makes environments and trees for one run. Closed, it leaves nothing but the cache."""

    def __init__(
        self,
        *,
        machine: Machine,
        client: IndexClient,
        cache: Cache,
        project: Path,
        folder_of: Callable[[str], Path],
        checkout: Callable[[Vcs, Path], Path],
    ) -> None:
        """``folder_of`` gives the absolute path of what is seen from the lock; ``checkout`` puts a commit into a new folder."""
        self._machine = machine
        self._client = client
        self._cache = cache
        self._project = project
        self._folder_of = folder_of
        self._checkout = checkout
        self._folder: Path | None = None
        self._open = ExitStack()
        self._environments: dict[str, environment.Environment] = {}
        self._count = 0

    def close(self) -> None:
        """Delete every environment and tree."""
        self._open.close()

    def digest(self, resolved: Resolved, target: Target, made: Made) -> str:
        """Return what tells this environment from every other: its files, and those of the builds below it."""
        parts = [f"{target.label} {target.python_full_version}"]
        for pin, file in self._files(resolved, made, target):
            told = "" if isinstance(file, Wheel) else settings_key(made[key_of_pin(pin)].subject)
            parts.append(f"{file.filename} {self._client.digest(file)}{told}")
        return sha256("\n".join(sorted(parts)).encode()).hexdigest()

    def call(
        self,
        subject: Subject,
        resolved: Resolved,
        made: Made,
        *,
        target: Target,
        ask: "Callable[[hooks.Call], _T]",
    ) -> _T:
        """Call a hook of a subject in an environment, on a fresh copy of its tree.

        A hook that fails without the system's commands is called again with them: what it asks for without them is
        the larger set. Raises SafetyError (HookFailed among them) and IndexFault.
        """
        load_all()
        own = self._environment(resolved, made, target)
        try:
            return self._called(subject, own, system_path=False, ask=ask)
        except HookFailed:
            return self._called(subject, own, system_path=True, ask=ask)

    def _called(
        self,
        subject: Subject,
        own: "environment.Environment",
        *,
        system_path: bool,
        ask: "Callable[[hooks.Call], _T]",
        limits: "sandbox.Limits | None" = None,
    ) -> _T:
        with temp_dirs.disposable_folder("hook-", parent=self._work_dir()) as folder:
            (folder / "scratch").mkdir()
            tree = self._tree(subject, folder / "tree")
            inner = tree.parent != folder / "tree"
            return ask(
                hooks.Call(
                    called=called(subject),
                    system=subject.facts.build_system,
                    tree=tree,
                    archive_root=folder / "tree" if inner else None,
                    scratch=folder / "scratch",
                    environment=own,
                    system_path=system_path,
                    confined=self._machine.is_confined(subject.name),
                    config_settings=subject.config_settings,
                    limits=limits or sandbox.Limits(),
                )
            )

    def _work_dir(self) -> Path:
        if self._folder is None:
            self._folder = self._open.enter_context(temp_dirs.disposable_folder("deep-lock-"))
        return self._folder

    def _tree(self, subject: Subject, folder: Path) -> Path:
        folder.mkdir()
        match subject.source:
            case None:
                return _copied(self._project, folder / "project")
            case Directory() as own:
                return _copied(self._folder_of(own.path), folder / "project") / own.subdirectory
            case Vcs() as commit:
                return self._checkout(commit, folder / "project") / commit.subdirectory
            case Archive(file=file, subdirectory=subdirectory):
                return self._unpacked(file, folder) / subdirectory
            case SourceDistribution() as sdist:
                return self._unpacked(sdist, folder)

    def _unpacked(self, archive: Wheel | SourceDistribution, folder: Path) -> Path:
        with self._client.kept_file(archive).open("rb") as file:
            tree: Path = unpack.unpack(file, archive.filename, folder)
        return tree

    # -- environments

    def _environment(self, resolved: Resolved, made: Made, target: Target) -> "environment.Environment":
        """Return the environment of a resolution; sdists in it are built first, the deepest before the others."""
        key = self.digest(resolved, target, made)
        if key not in self._environments:
            for pin, file in self._files(resolved, made, target):
                if isinstance(file, SourceDistribution):
                    self._build_wheel(made[key_of_pin(pin)], made, target)
            self._environments[key] = self._filled(resolved, made, target)
        return self._environments[key]

    def _filled(self, resolved: Resolved, made: Made, target: Target) -> "environment.Environment":
        interpreter = self._machine.interpreter(target)
        if interpreter is None:
            raise HookRefused(f"no interpreter for {target.label} is on this machine")
        wheels = [self._wheel(pin, made, target) for pin in resolved.pins]
        self._count += 1
        folder = self._work_dir() / f"environment-{self._count}"
        own: environment.Environment = environment.make_environment(folder, interpreter, wheels)
        return own

    def _stand_in(self, pin: Pin, target: Target) -> Wheel | SourceDistribution:
        """Return the release's own wheel where one fits, also of a release that will be built: to ask, it is as good."""
        if not isinstance(pin.distribution, SourceDistribution):
            if isinstance(pin.distribution, Wheel):
                return pin.distribution
            raise HookRefused(f"{pin.name}: a direct reference stands in a build environment")
        files = self._client.files(pin.name, pin.version)
        return choose(files, target, Selection(), yanked_ok=True) or pin.distribution

    def _wheel(self, pin: Pin, made: Made, target: Target) -> tuple[Path, str]:
        file = self._stand_in(pin, target)
        if isinstance(file, Wheel):
            return self._client.kept_file(file), file.filename
        built = self._known_wheel(made[key_of_pin(pin)], made, target)
        if built is None:
            raise HookFailed(f"{pin.name} {pin.version}: the wheel that was built of it is gone")
        return built

    def _wheel_key(self, built: Built, made: Made, target: Target) -> str:
        sdist = built.subject.sdist
        own = self._client.digest(sdist) if sdist is not None else ""
        return f"{own} {self.digest(built.final, target, made)}{settings_key(built.subject)}"

    def _known_wheel(self, built: Built, made: Made, target: Target) -> tuple[Path, str] | None:
        record = self._cache.get_record(_WHEELS, self._wheel_key(built, made, target))
        if record is None:
            return None
        digest, _, filename = record.decode().partition(" ")
        path = self._client.built_file(digest)
        return None if path is None else (path, filename)

    def _build_wheel(self, built: Built, made: Made, target: Target) -> None:
        """Build and keep the wheel of an sdist; what its environment needs was built before."""
        if self._known_wheel(built, made, target) is not None:
            return
        own = self._filled(built.final, made, target)
        limits = sandbox.Limits(wall_seconds=BUILD_SECONDS, cpu_seconds=int(BUILD_SECONDS), open_files=1024)

        def build(call: "hooks.Call") -> None:
            out = call.scratch / "wheel"
            out.mkdir()
            path = hooks.build_wheel(call, out)
            _, digest = self._client.keep_built(path)
            key = self._wheel_key(built, made, target)
            self._cache.put_record(_WHEELS, key, f"{digest} {path.name}".encode())

        self._called(built.subject, own, system_path=True, ask=build, limits=limits)

    # -- what an environment holds

    def _files(self, resolved: Resolved, made: Made, target: Target) -> "list[tuple[Pin, Wheel | SourceDistribution]]":
        """Return the files of an environment and of the builds that it needs, the deepest first."""
        ordered: dict[BuiltKey, tuple[Pin, Wheel | SourceDistribution]] = {}
        stack: list[tuple[Pin, bool]] = [(pin, False) for pin in resolved.pins]
        while stack:
            pin, ready = stack.pop()
            key = key_of_pin(pin)
            if key in ordered:
                continue
            file = self._stand_in(pin, target)
            if ready or isinstance(file, Wheel):
                ordered[key] = (pin, file)
                continue
            stack.append((pin, True))
            stack += [(member, False) for member in made[key].final.pins]
        return list(ordered.values())


def called(subject: Subject) -> str:
    """Return the subject's name for messages."""
    editable = " (editable)" if subject.hook == "editable" else ""
    return f"{subject.name} {subject.version or ''}".rstrip() + editable


def settings_key(subject: Subject) -> str:
    """Return the part of a key that tells config settings apart; nothing where there are none."""
    return f" {msgspec.json.encode(subject.config_settings).decode()}" if subject.config_settings else ""


def _copied(source: Path, target: Path) -> Path:
    """Copy the project without what no build should read: environments, caches, version control."""
    left_out = shutil.ignore_patterns(".venv", "venv", "__pycache__", ".tox", ".nox", "node_modules", "__pypackages__")
    shutil.copytree(source, target, symlinks=True, ignore=left_out)
    return target
