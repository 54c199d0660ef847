"""Git, by its own program: which commit a name means, and the files of a commit.

Invariant: git reads no configuration of the user, prompts for nothing, runs no hook, follows no submodule, and gets no
argument that it could read as an option. The cache contains bare repositories; a commit is fetched by its full id. A repository
decides nothing about the work: each command has limits, and a tree is measured before it is written.
"""

import gzip
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from msgspec import Struct

from deep_lock.errors import (
    CacheInvalid,
    LimitExceeded,
    NetworkError,
    NotCached,
    RepositoryRefused,
    RequirementInvalid,
    UrlForbidden,
    UsageError,
    raise_machine_fault,
    raise_printed_fault,
)
from deep_lock.files import locked
from deep_lock.network.scopes import Addresses, AddressScope, may_name
from deep_lock.sanitize import show

FETCH_SECONDS = 600.0
"""For one command."""
PROCESSOR_SECONDS = 600
MEMORY_BYTES = 4 * 1024**3
FILE_BYTES = 2 * 1024**3
"""For one process of git. Where the system has no such limit (Windows; memory on macOS), there is none."""
MAX_OUTPUT_BYTES = 64 * 1024 * 1024
MAX_ARCHIVE_BYTES = 1024 * 1024 * 1024
MAX_FOLDER_BYTES = 4 * 1024**3
"""Of a repository and its work tree together, measured while git writes them."""
MAX_FILES = 50_000
"""Files and folders of a tree: as many as an archive may have."""
MAX_REPOSITORY_FILES = 100_000
"""Of a repository and its work tree together. A branch or a tag is a file."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHORT = re.compile(r"[0-9a-f]{7,39}")
_PASSED = (
    "PATH",
    "SSH_AUTH_SOCK",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
)
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "fetch.recurseSubmodules=no",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.version=2",
    "init.defaultBranch=main",
    "advice.detachedHead=false",
    "credential.helper=",
    "transfer.fsckObjects=true",
    "core.packedGitWindowSize=64m",  # git maps less into its memory, which is limited
    "core.packedGitLimit=512m",
    "pack.threads=4",  # each thread takes addresses, on any number of processors
)
_LIMITED = """
    ulimit -c 0; ulimit -S -t "$1"; ulimit -H -t "$2"; ulimit -f "$3"; ulimit -v "$4" 2>/dev/null
    shift 4; exec "$@"
"""
_GRACE_SECONDS = 2
"""At the soft limit of processor time the signal is SIGXCPU, which is reported as such; at the hard one SIGKILL."""
_BLOCK = 512
"""Bytes of the unit of `ulimit -f` (POSIX)."""
_LIMIT_REPORTED = re.compile(r"died of signal (?:24|25)\b|out of memory|cannot allocate memory", re.IGNORECASE)
"""How git reports that it, or a program that it started, met a limit: SIGXCPU, SIGXFSZ, memory."""
_SIGXCPU, _SIGXFSZ = 24, 25
_POLL_SECONDS = 0.25
_SHARE = 10
"""Measuring takes one part in so many of the time."""
_ATTRIBUTES = "* -export-ignore -export-subst -text -eol -ident -filter -working-tree-encoding\n"
"""Trees and archives are written as they are in the commit: no attribute of the repository changes a file."""
_NO_REASON = re.compile(
    r"fatal: could not read from remote repository\.|please make sure|and the repository exists", re.IGNORECASE
)
"""Lines that git prints after any reason."""

_REFUSED = re.compile(
    r"dubious ownership|does not appear to be a git repository|not a git repository|^fatal: repository .* not found$"
    r"|authentication failed|could not read (?:username|password)|permission denied \(|host key verification failed",
    re.IGNORECASE | re.MULTILINE,
)
"""How git reports what another attempt does not change."""


class Identity(Struct, frozen=True, kw_only=True):
    """Who makes a commit."""

    name: str
    address: str


class Repositories:
    """The repositories that a run reads, and to which a fleet delivers."""

    def __init__(self, cache_folder: Path, environ: Mapping[str, str], *, offline: bool) -> None:
        self._folder = cache_folder / "git"
        self._environ = environ
        self._offline = offline
        self._commits: dict[tuple[str, str | None], str] = {}
        self._addresses = Addresses()
        self._measured: set[tuple[Path, str]] = set()
        self._ended = threading.Event()

    def end(self) -> None:
        """End the commands of git that run, in other threads too, and those that begin later. They raise NetworkError."""
        self._ended.set()

    def require_nameable(self, url: str, *, by_project: bool) -> None:
        """Raise UrlForbidden for a repository on an address that its namer may not name: see `may_name`.

        The project may name each address but a link-local one, the metadata of a package only public ones. Git looks the name
        up again, and follows redirects itself: what it connects to then is not checked.
        """
        host = _host_of(url)
        namer = AddressScope.LOOPBACK if by_project else AddressScope.PUBLIC
        refused = sorted(own.value for own in self._addresses.scopes(host) if not may_name(namer, own)) if host else []
        if refused:
            raise UrlForbidden(f"{_shown(url)}: not requested, since its host has a {refused[0]} address")

    def commit_of(self, url: str, revision: str | None, *, seconds: float = FETCH_SECONDS) -> str:
        """Return the full id of the commit that a branch, a tag or a commit means; None is the default branch.

        ``seconds`` is the longest time of a look-up. Raises RequirementInvalid where there is none, NetworkError, NotCached when offline, UsageError without git.
        """
        if revision is not None and _COMMIT.fullmatch(revision):
            return revision
        key = (url, revision)
        if key not in self._commits:
            self._commits[key] = self._look_up(url, revision, seconds)
        return self._commits[key]

    def file(self, url: str, commit: str, revision: str | None, path: str, limit: int) -> bytes | None:
        """Return the content of a file of a commit, of at most ``limit`` bytes; None where the commit has no such file.

        ``path`` is relative, with "/". A link is not followed. Raises as `commit_of`, and LimitExceeded.
        """
        folder = self._fetched(url, commit, revision)
        with tempfile.TemporaryFile() as listing, tempfile.TemporaryFile() as content:
            names = ("-z", "--full-tree", commit, "--", f":(literal){path}")
            self._run("ls-tree", *names, folder=folder, output=listing, limit=MAX_OUTPUT_BYTES)
            listing.seek(0)
            fields = listing.read().partition(b"\t")[0].split()
            if len(fields) != 3 or fields[0] not in {b"100644", b"100755"}:
                return None
            self._run("cat-file", "blob", fields[2].decode("ascii"), folder=folder, output=content, limit=limit)
            content.seek(0)
            return content.read()

    @contextmanager
    def archive(self, url: str, commit: str, revision: str | None) -> Iterator[BinaryIO]:
        """Yield the files of a commit as a .tar.gz with one top folder. Raises as `commit_of`, and LimitExceeded."""
        folder = self._fetched(url, commit, revision)
        self._measure(url, commit, folder)
        with tempfile.TemporaryFile() as plain, tempfile.TemporaryFile() as packed:
            try:
                self._run("archive", "--format=tar", "--prefix=tree/", commit, folder=folder, output=plain)
            except LimitExceeded as error:
                raise _too_large(url, commit, f"its archive: {error.message}") from None
            plain.seek(0)
            with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as stream:
                shutil.copyfileobj(plain, stream)
            packed.seek(0)
            yield packed

    def checkout(self, url: str, commit: str, revision: str | None, folder: Path) -> Path:
        """Put a commit into a new folder, with its history and all tags, from which backends derive versions.

        Raises as `commit_of`, and LimitExceeded.
        """
        bare = self._fetched(url, commit, revision)
        self._measure(url, commit, bare)
        with self._held(url):  # no file of a fetch that runs is copied
            if not self._offline:
                with suppress(NetworkError):
                    # a backend that needs them and does not find them reports that itself
                    depth = ("--unshallow",) if (bare / "shallow").exists() else ()
                    self._fetch(bare, url, "+refs/tags/*:refs/tags/*", commit, options=depth)
            folder.mkdir()
            shutil.copytree(bare, folder / ".git")
        self._run("config", "core.bare", "false", folder=folder / ".git")
        self._run("checkout", "--quiet", "--force", "--detach", commit, folder=folder / ".git", work_tree=folder)
        return folder

    # -- changes, in the cache only until they are pushed

    def commit_files(
        self,
        url: str,
        commit: str,
        files: Mapping[str, bytes],
        message: str,
        *,
        author: Identity,
        committer: Identity,
        when: datetime,
    ) -> str:
        """Make a commit on another one, in the cache, and return its id.

        ``files`` are by relative path, with "/". There is no work tree: no hook, filter or attribute of the repository applies.
        The same arguments make the same commit. Raises as `commit_of`, and UsageError for a path that is a link or a folder.
        """
        bare = self._fetched(url, commit, None)
        date = f"{int(when.timestamp())} +0000"
        environ = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.address,
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.address,
            "GIT_COMMITTER_DATE": date,
        }
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            indexed = {**environ, "GIT_INDEX_FILE": str(folder / "index")}
            self._run("read-tree", commit, folder=bare, environ=indexed)
            for path, content in sorted(files.items()):
                mode = self._mode(bare, commit, path)
                (folder / "content").write_bytes(content)
                blob = self._run(
                    "hash-object", "-w", "--no-filters", "--", str(folder / "content"), folder=bare
                ).strip()
                entry = f"{mode},{blob},{path}"
                self._run("update-index", "--add", "--cacheinfo", entry, folder=bare, environ=indexed)
            tree = self._run("write-tree", folder=bare, environ=indexed).strip()
            (folder / "message").write_text(message, encoding="utf-8", newline="\n")
            options = ("-p", commit, "-F", str(folder / "message"))
            return self._run("commit-tree", *options, tree, folder=bare, environ=environ).strip()

    def _mode(self, bare: Path, commit: str, path: str) -> str:
        listed = self._run("ls-tree", "-z", "--full-tree", commit, "--", f":(literal){path}", folder=bare)
        mode = listed.partition(" ")[0] or "100644"
        if mode not in {"100644", "100755"}:
            raise UsageError(f"{path} is a link or a folder in the commit {commit[:12]}: it is not replaced")
        return mode

    def patch(self, url: str, commit: str) -> bytes:
        """Return a commit that `commit_files` made, as `git format-patch` writes it."""
        options = ("--stdout", "--no-signature", "--no-stat", "--no-renames", "--full-index", "--no-ext-diff")
        with tempfile.TemporaryFile() as output:
            folder = self._bare(url)
            self._run("format-patch", *options, "-1", commit, folder=folder, output=output, limit=MAX_OUTPUT_BYTES)
            output.seek(0)
            return output.read()

    def branches(self, url: str, prefix: str) -> dict[str, str]:
        """Return the commits of the branches whose names begin with a prefix. Raises NetworkError and UsageError."""
        self._refuse_offline(url)
        found = {}
        for line in self._run("ls-remote", "--quiet", "--heads", "--", url).splitlines():
            commit, _, name = line.partition("\t")
            branch = name.removeprefix("refs/heads/")
            if _COMMIT.fullmatch(commit) and branch.startswith(prefix):
                found[branch] = commit
        return found

    def push(self, url: str, commit: str, branch: str) -> None:
        """Push a commit that `commit_files` made to a new branch. A branch that exists is never overwritten.

        Raises NetworkError where the server refuses it.
        """
        self._refuse_offline(url)
        refspec = f"{commit}:refs/heads/{branch}"
        # an empty lease is stricter than a push without one: the branch must not exist, so that none is moved forward either
        options = ["--quiet", "--no-verify", f"--force-with-lease=refs/heads/{branch}:"]
        if url.startswith("file:"):  # git runs the other side on this machine
            options.append("--receive-pack=git -c core.hooksPath=/dev/null receive-pack")
        self._run("push", *options, "--", url, refspec, folder=self._bare(url))

    # -- one repository

    def _bare(self, url: str) -> Path:
        return self._folder / sha256(url.encode(errors="surrogateescape")).hexdigest()[:32]

    @contextmanager
    def _held(self, url: str) -> Iterator[None]:
        """Let one thread or process of this machine at a time change a repository of the cache, as far as there are locks."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
        bare = self._bare(url)
        with locked(bare.with_name(f"{bare.name}.lock"), seconds=FETCH_SECONDS):
            yield

    def _look_up(self, url: str, revision: str | None, seconds: float) -> str:
        self._refuse_offline(url)
        wanted = (
            ("HEAD",)
            if revision is None
            else (f"refs/heads/{revision}", f"refs/tags/{revision}", f"refs/tags/{revision}^{{}}")
        )
        found: dict[str, str] = {}
        for line in self._run("ls-remote", "--quiet", "--", url, *wanted, seconds=seconds).splitlines():
            commit, _, name = line.partition("\t")
            if _COMMIT.fullmatch(commit):
                found[name] = commit
        for name in reversed(wanted):
            if name in found:
                if revision is not None and name != wanted[0] and wanted[0] in found:
                    raise RequirementInvalid(
                        f"{_shown(url)}: {revision!r} is a branch and a tag", hint="Name the commit."
                    )
                return found[name]
        if revision is not None and _SHORT.fullmatch(revision):
            raise RequirementInvalid(
                f"{_shown(url)}: has neither a branch nor a tag {revision!r}", hint="A commit is named by its full id."
            )
        if revision is None:
            raise RequirementInvalid(
                f"{_shown(url)}: its default branch has no commits", hint="Name a branch, a tag or a commit."
            )
        raise RequirementInvalid(f"{_shown(url)}: has neither a branch nor a tag {revision!r}")

    def _fetched(self, url: str, commit: str, revision: str | None) -> Path:
        """Return the bare repository that has the commit."""
        folder = self._bare(url)
        if (folder / "HEAD").is_file() and _has_own_attributes(folder) and self._has(folder, commit):
            return folder
        with self._held(url):
            return self._fetched_alone(folder, url, commit, revision)

    def _fetched_alone(self, folder: Path, url: str, commit: str, revision: str | None) -> Path:
        if not (folder / "HEAD").is_file() or not _has_own_attributes(folder):
            self._make(folder)
        if self._has(folder, commit):
            return folder
        self._refuse_offline(url)
        target = f"refs/deep-lock/{commit}"
        try:
            self._fetch(folder, url, f"+{commit}:{target}", options=("--no-tags", "--depth=1"))
        except NetworkError:
            # a server may refuse to serve a commit by its id: fetch all branches and tags
            names = ("+refs/heads/*:refs/deep-lock/heads/*", "+refs/tags/*:refs/deep-lock/tags/*")
            self._fetch(folder, url, *names, options=("--no-tags",))
        if not self._has(folder, commit):
            raise RequirementInvalid(
                f"{_shown(url)}: has no commit {commit}" + (f" for {revision}" if revision else "")
            )
        return folder

    def _fetch(self, folder: Path, url: str, *names: str, options: tuple[str, ...]) -> None:
        """Fetch references into a repository. What is too large does not stay in the cache."""
        try:
            self._run("fetch", "--quiet", *options, "--no-write-fetch-head", "--", url, *names, folder=folder)
        except LimitExceeded as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise LimitExceeded(f"{_shown(url)}: {error.message}") from None

    def _measure(self, url: str, commit: str, folder: Path) -> None:
        """Refuse a tree that is too large to be written: one of a few bytes can name 10**8 files. Raises LimitExceeded."""
        if (folder, commit) in self._measured:
            return
        with tempfile.TemporaryFile() as listing:
            try:
                # -t: folders without files, of which a tree can have any number, are listed too
                options = ("-r", "-t", "-l", "-z", "--full-tree")
                self._run("ls-tree", *options, commit, folder=folder, output=listing, limit=MAX_OUTPUT_BYTES)
            except LimitExceeded as error:
                raise _too_large(url, commit, f"its list of files: {error.message}") from None
            listing.seek(0)
            entries = listing.read().split(b"\0")[:-1]
        sizes = [entry.partition(b"\t")[0].split()[3] for entry in entries]
        if len(entries) > MAX_FILES:
            raise _too_large(url, commit, f"it has more than {MAX_FILES} files and folders")
        if sum(int(size) for size in sizes if size != b"-") > MAX_ARCHIVE_BYTES:
            raise _too_large(url, commit, f"its files have more than {MAX_ARCHIVE_BYTES} bytes")
        self._measured.add((folder, commit))

    def _make(self, folder: Path) -> None:
        try:
            (folder / "info").mkdir(parents=True, exist_ok=True)
            # before HEAD, which shows that the repository is whole
            (folder / "info" / "attributes").write_text(_ATTRIBUTES, encoding="ascii")
            self._run("init", "--quiet", "--bare", "--template=", folder=folder)
        except OSError as error:
            raise_machine_fault(error)
            raise CacheInvalid(f"{folder}: cannot be written: {error.strerror or error}") from None

    def _has(self, folder: Path, commit: str) -> bool:
        try:
            self._run("cat-file", "-e", f"{commit}^{{tree}}", folder=folder)
        except NetworkError:
            return False
        return True

    def _refuse_offline(self, url: str) -> None:
        if self._offline and not url.startswith("file:"):
            raise NotCached(f"the repository {_shown(url)} is not in the cache", hint="Run once without --offline.")

    # -- git

    def _run(
        self,
        name: str,
        *arguments: str,
        folder: Path | None = None,
        output: BinaryIO | None = None,
        limit: int = MAX_ARCHIVE_BYTES,
        work_tree: Path | None = None,
        environ: Mapping[str, str] = {},
        seconds: float = FETCH_SECONDS,
    ) -> str:
        """Run a command of git and return its output, or write it to ``output``, at most ``limit`` bytes.

        Raises NetworkError where it fails, LimitExceeded, UsageError where there is no git.
        """
        program = shutil.which("git", path=self._environ.get("PATH"))
        if program is None:
            raise UsageError("git is needed for a git reference, and is not on the search path", hint="install git")
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        location = [f"--git-dir={folder}"] if folder is not None and name != "init" else []
        location += [f"--work-tree={work_tree}"] if work_tree is not None else []
        own = [program, *settings, *location, name, *arguments, *([str(folder)] if name == "init" else [])]
        written = work_tree or folder if name in {"fetch", "checkout"} else None
        with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as printed:
            streams = (output or printed, errors)
            limits = (limit if output else MAX_OUTPUT_BYTES, MAX_OUTPUT_BYTES)
            variables = {**self._git_environ(), **environ}
            code = _limited(
                own, streams, limits, environ=variables, seconds=seconds, written=written, ended=self._ended
            )
            if code:
                message = _read_errors(errors)
                if code in {-_SIGXCPU, -_SIGXFSZ} or _LIMIT_REPORTED.search(message):
                    raise LimitExceeded(f"git {name} used too much processor time or memory, or wrote too large a file")
                raise_printed_fault(message, "git")
                kind = RepositoryRefused if _REFUSED.search(message) else NetworkError
                raise kind(f"git {name} failed: {_last_line(message)}")
            printed.seek(0)
            return printed.read().decode("utf-8", "replace")

    def _git_environ(self) -> dict[str, str]:
        """Return the whole environment of git: no configuration of the user, and no prompts."""
        passed = {key: self._environ[key] for key in _PASSED if key in self._environ}
        certificates = {"GIT_SSL_CAINFO": passed["SSL_CERT_FILE"]} if "SSL_CERT_FILE" in passed else {}
        return {
            **passed,
            **certificates,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "http:https:ssh:file",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "LC_ALL": "C",
        }


def _limited(
    command: list[str],
    streams: tuple[BinaryIO, BinaryIO],
    limits: tuple[int, int],
    *,
    environ: Mapping[str, str],
    folder: Path | None = None,
    seconds: float = FETCH_SECONDS,
    written: Path | None = None,
    ended: threading.Event | None = None,
) -> int:
    """Run a command of git in a folder, with limits for all that it uses; return its exit code.

    ``streams`` get its output and its errors. Raises NetworkError after ``seconds``, LimitExceeded where it writes more than
    ``limits`` to a stream, or more than a limit to the folder ``written``; UsageError where it cannot be run.
    """
    if os.name == "posix":
        times = (PROCESSOR_SECONDS, PROCESSOR_SECONDS + _GRACE_SECONDS)
        numbers = (*times, FILE_BYTES // _BLOCK, MEMORY_BYTES // 1024)
        command = ["/bin/sh", "-c", _LIMITED, "sh", *map(str, numbers), *command]
    try:
        process = subprocess.Popen(  # noqa: S603 - git by its full path; no shell reads an argument, and none is an option
            command,
            stdin=subprocess.DEVNULL,
            stdout=streams[0],
            stderr=streams[1],
            env=dict(environ),
            cwd=folder or tempfile.gettempdir(),
            start_new_session=os.name == "posix",
        )
    except OSError as error:
        raise_machine_fault(error)
        raise UsageError(f"git cannot be run: {error.strerror or error}") from None
    try:
        code = _wait(process, streams, limits, seconds=seconds, written=written, ended=ended)
    except BaseException:
        _end(process)
        raise
    _check_streams(streams, limits)
    _check_folder(written)
    return code


def _wait(
    process: "subprocess.Popen[bytes]",
    streams: tuple[BinaryIO, BinaryIO],
    limits: tuple[int, int],
    *,
    seconds: float,
    written: Path | None,
    ended: threading.Event | None,
) -> int:
    end, due = time.monotonic() + seconds, 0.0
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            started = time.monotonic()
        if ended is not None and ended.is_set():
            raise NetworkError("git was ended")
        if started > end:
            raise NetworkError(f"git took more than {seconds:g} s")
        _check_streams(streams, limits)
        if started >= due:
            _check_folder(written)
            measured = time.monotonic()
            due = measured + _SHARE * (measured - started)


def _check_streams(streams: tuple[BinaryIO, BinaryIO], limits: tuple[int, int]) -> None:
    for stream, limit in zip(streams, limits, strict=True):
        if os.fstat(stream.fileno()).st_size > limit:
            raise LimitExceeded(f"git wrote more than {limit} bytes of output")


def _check_folder(folder: Path | None) -> None:
    total = files = 0
    for path, _, names in os.walk(folder) if folder is not None else ():
        files += len(names)
        for name in names:
            with suppress(OSError):
                status = Path(path, name).lstat()
                # Windows does not count blocks
                total += getattr(status, "st_blocks", status.st_size // _BLOCK) * _BLOCK
    if total > MAX_FOLDER_BYTES:
        raise LimitExceeded(f"git wrote more than {MAX_FOLDER_BYTES} bytes of files")
    if files > MAX_REPOSITORY_FILES:
        raise LimitExceeded(f"git wrote more than {MAX_REPOSITORY_FILES} files")


def _has_own_attributes(folder: Path) -> bool:
    """Whether the attributes of a cached repository are those of this version: they decide which bytes a checkout has."""
    try:
        return (folder / "info" / "attributes").read_text(encoding="ascii", errors="replace") == _ATTRIBUTES
    except OSError as error:
        raise_machine_fault(error)
        return False


def _too_large(url: str, commit: str, reason: str) -> LimitExceeded:
    return LimitExceeded(f"{_shown(url)}: the tree of {commit} is too large: {reason}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End git and the helpers that it started."""
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _read_errors(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(64 * 1024).decode("utf-8", "replace").strip()


def _last_line(message: str) -> str:
    every = [line for line in message.splitlines() if line.strip()]
    lines = [line for line in every if not _NO_REASON.match(line)] or every
    wrong = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return show(wrong[-1])[:200] if wrong else "it printed no message"


def _host_of(url: str) -> str:
    """Return the host of a repository, also in the form ``user@host:path``; "" for one of this machine."""
    if "://" not in url:
        return url.partition(":")[0].rpartition("@")[2] if ":" in url else ""
    with suppress(ValueError):
        return urlsplit(url).hostname or ""
    return ""


def _shown(url: str) -> str:
    return show(url)


SHOW_SECONDS = 60.0
MAX_BYTES = 64 * 1024 * 1024


def file_at(path: Path, revision: str, environ: Mapping[str, str]) -> str | None:
    """Return the text of a file in a revision (a branch, a tag, a commit, HEAD~1); None where it does not exist.

    Raises UsageError where there is no git, or git does not end; LimitExceeded.
    """
    if revision.startswith("-") or not revision.isprintable():
        return None
    program = shutil.which("git", path=environ.get("PATH"))
    if program is None:
        raise UsageError("git is needed to read a revision, and is not on the search path", hint="install git")
    command = [program, "-c", "core.fsmonitor=false", "cat-file", "blob", f"{revision}:./{path.name}"]
    quiet = {**environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        streams, limits = (output, errors), (MAX_BYTES, MAX_BYTES)
        try:
            code = _limited(command, streams, limits, environ=quiet, folder=path.parent, seconds=SHOW_SECONDS)
        except NetworkError:
            raise UsageError(f"git took more than {SHOW_SECONDS:.0f} s to read {path.name} at {revision}") from None
        except LimitExceeded:
            raise LimitExceeded(f"{path.name} at {revision}: more than {MAX_BYTES} bytes") from None
        output.seek(0)
        return None if code else output.read().decode("utf-8", "replace")


CONFIG_SECONDS = 30.0


def top_of(folder: Path, environ: Mapping[str, str]) -> Path:
    """Return the top folder of the work tree that contains a folder. Raises UsageError where there is none, or no git."""
    code, text = _git(folder, environ, "rev-parse", "--show-toplevel")
    if code:
        raise UsageError(f"{folder}: is not in a git repository", hint="run this command in a git repository")
    if not text or "\0" in text:
        raise UsageError(f"{folder}: git does not name the top folder of its repository")
    return Path(text)


def setting(folder: Path, key: str, environ: Mapping[str, str]) -> str | None:
    """Return a setting of the repository; None where it is not set."""
    code, text = _git(folder, environ, "config", "--local", "--get", key)
    return None if code else text


def set_setting(folder: Path, key: str, value: str | None, environ: Mapping[str, str]) -> None:
    """Set a setting of the repository, or remove it (None). Raises UsageError."""
    arguments = ("--unset-all", key) if value is None else (key, value)
    code, text = _git(folder, environ, "config", "--local", *arguments)
    if code:
        raise UsageError(f"git config {key}: {text or 'it failed'}")


def author(folder: Path, environ: Mapping[str, str]) -> str:
    """Return the name and the address that git writes into commits, as "NAME <ADDRESS>"; "" where one of them is not set."""
    if shutil.which("git", path=environ.get("PATH")) is None:
        return ""
    found = [_git(folder, environ, "config", "--get", key) for key in ("user.name", "user.email")]
    if any(code or not text for code, text in found):
        return ""
    (_, name), (_, address) = found
    return f"{name} <{address}>"


def ignored(top: Path, paths: Iterable[Path], environ: Mapping[str, str]) -> frozenset[Path]:
    """Return those of the paths in a repository that git ignores; none where there is no git. ``top`` is its top folder.

    What is tracked is not ignored. Raises UsageError where git does not end well.
    """
    if shutil.which("git", path=environ.get("PATH")) is None:
        return frozenset()
    # "./" since the names in the result are then never mistaken for white space at its ends
    names = {f"./{path.relative_to(top).as_posix()}": path for path in paths}
    code, text = _git(
        top, environ, "-c", "core.fsmonitor=false", "check-ignore", "-z", "--stdin", stdin="\0".join([*names, ""])
    )
    if code not in {0, _NONE_IGNORED}:
        raise UsageError(f"git check-ignore: {_last_line(text)}")
    return frozenset(names[name] for name in text.split("\0") if name in names)


_NONE_IGNORED = 1


def _git(folder: Path, environ: Mapping[str, str], *arguments: str, stdin: str = "") -> tuple[int, str]:
    program = shutil.which("git", path=environ.get("PATH"))
    if program is None:
        raise UsageError("git is needed, and is not on the search path", hint="install git")
    try:
        ran = subprocess.run(  # noqa: S603 - git by its full path; no shell
            [program, *arguments],
            cwd=folder,
            env={**environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=CONFIG_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise_machine_fault(error)
        raise UsageError(f"git cannot be run: {error}") from None
    return ran.returncode, (ran.stdout if ran.returncode == 0 else ran.stderr).strip()
