"""Git, by its own program: which commit a name means, and the files of a commit.

Invariant: git reads no configuration of the user, prompts for nothing, runs no hook, follows no submodule, and gets no
argument that it could read as an option. The cache contains bare repositories; a commit is fetched by its full id.
"""

import gzip
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from deep_lock.errors import (
    CacheInvalid,
    LimitExceeded,
    NetworkError,
    NotCached,
    RequirementInvalid,
    UrlForbidden,
    UsageError,
)
from deep_lock.network.scopes import Addresses, AddressScope, may_name
from deep_lock.sanitize import show

FETCH_SECONDS = 600.0
"""For one command."""
MAX_OUTPUT_BYTES = 64 * 1024 * 1024
MAX_ARCHIVE_BYTES = 1024 * 1024 * 1024
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
)
_ATTRIBUTES = "* -export-ignore -export-subst\n"
"""`git archive` writes the tree as it is, without the changes of an export."""


class Repositories:
    """The repositories that a run reads."""

    def __init__(self, cache_folder: Path, environ: Mapping[str, str], *, offline: bool) -> None:
        self._folder = cache_folder / "git"
        self._environ = environ
        self._offline = offline
        self._commits: dict[tuple[str, str | None], str] = {}
        self._addresses = Addresses()

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

    def commit_of(self, url: str, revision: str | None) -> str:
        """Return the full id of the commit that a branch, a tag or a commit means; None is the default branch.

        Raises RequirementInvalid where there is none, NetworkError, NotCached when offline, UsageError without git.
        """
        if revision is not None and _COMMIT.fullmatch(revision):
            return revision
        key = (url, revision)
        if key not in self._commits:
            self._commits[key] = self._look_up(url, revision)
        return self._commits[key]

    @contextmanager
    def archive(self, url: str, commit: str, revision: str | None) -> Iterator[BinaryIO]:
        """Yield the files of a commit as a .tar.gz with one top folder. Raises as `commit_of`, and LimitExceeded."""
        folder = self._fetched(url, commit, revision)
        with tempfile.TemporaryFile() as plain, tempfile.TemporaryFile() as packed:
            self._run("archive", "--format=tar", "--prefix=tree/", commit, folder=folder, output=plain)
            if plain.seek(0, os.SEEK_END) > MAX_ARCHIVE_BYTES:
                raise LimitExceeded(f"{_shown(url)}: the tree of {commit} is larger than {MAX_ARCHIVE_BYTES} bytes")
            plain.seek(0)
            with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as stream:
                shutil.copyfileobj(plain, stream)
            packed.seek(0)
            yield packed

    def checkout(self, url: str, commit: str, revision: str | None, folder: Path) -> Path:
        """Put a commit into a new folder, with its history and all tags, from which backends derive versions.

        Raises as `commit_of`.
        """
        bare = self._fetched(url, commit, revision)
        if not self._offline:
            with suppress(NetworkError):
                # a backend that needs them and does not find them reports that itself
                depth = ("--unshallow",) if (bare / "shallow").exists() else ()
                self._run(
                    "fetch",
                    "--quiet",
                    *depth,
                    "--no-write-fetch-head",
                    "--",
                    url,
                    "+refs/tags/*:refs/tags/*",
                    commit,
                    folder=bare,
                )
        folder.mkdir()
        shutil.copytree(bare, folder / ".git")
        self._run("config", "core.bare", "false", folder=folder / ".git")
        self._run(
            "--work-tree", str(folder), "checkout", "--quiet", "--force", "--detach", commit, folder=folder / ".git"
        )
        return folder

    # -- one repository

    def _look_up(self, url: str, revision: str | None) -> str:
        self._refuse_offline(url)
        wanted = (
            ("HEAD",)
            if revision is None
            else (f"refs/heads/{revision}", f"refs/tags/{revision}", f"refs/tags/{revision}^{{}}")
        )
        found: dict[str, str] = {}
        for line in self._run("ls-remote", "--quiet", "--", url, *wanted).splitlines():
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
        raise RequirementInvalid(
            f"{_shown(url)}: has {'no commits' if revision is None else f'neither a branch nor a tag {revision!r}'}"
        )

    def _fetched(self, url: str, commit: str, revision: str | None) -> Path:
        """Return the bare repository that has the commit."""
        folder = self._folder / sha256(url.encode(errors="surrogateescape")).hexdigest()[:32]
        if not (folder / "HEAD").is_file():
            self._make(folder)
        if self._has(folder, commit):
            return folder
        self._refuse_offline(url)
        target = f"refs/deep-lock/{commit}"
        try:
            self._run(
                "fetch",
                "--quiet",
                "--no-tags",
                "--depth=1",
                "--no-write-fetch-head",
                "--",
                url,
                f"+{commit}:{target}",
                folder=folder,
            )
        except NetworkError:
            # a server may refuse to serve a commit by its id: fetch all branches and tags
            names = ("+refs/heads/*:refs/deep-lock/heads/*", "+refs/tags/*:refs/deep-lock/tags/*")
            self._run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", url, *names, folder=folder)
        if not self._has(folder, commit):
            raise RequirementInvalid(
                f"{_shown(url)}: has no commit {commit}" + (f" for {revision}" if revision else "")
            )
        return folder

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._run("init", "--quiet", "--bare", "--template=", folder=folder)
            (folder / "info").mkdir(exist_ok=True)
            (folder / "info" / "attributes").write_text(_ATTRIBUTES, encoding="ascii")
        except OSError as error:
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

    def _run(self, *arguments: str, folder: Path | None = None, output: BinaryIO | None = None) -> str:
        """Run git and return its output. Raises NetworkError where it fails, UsageError where there is none."""
        program = shutil.which("git", path=self._environ.get("PATH"))
        if program is None:
            raise UsageError("git is needed for a git reference, and is not on the search path", hint="install git")
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        location = [f"--git-dir={folder}"] if folder is not None and arguments[0] != "init" else []
        own = [program, *settings, *location, *arguments, *([str(folder)] if arguments[0] == "init" else [])]
        with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as printed:
            try:
                process = subprocess.Popen(  # noqa: S603 - git by its full path; no shell, and no argument is an option
                    own,
                    stdin=subprocess.DEVNULL,
                    stdout=output or printed,
                    stderr=errors,
                    env=self._git_environ(),
                    cwd=tempfile.gettempdir(),
                    start_new_session=os.name == "posix",
                )
            except OSError as error:
                raise UsageError(f"git cannot be run: {error.strerror or error}") from None
            try:
                code = process.wait(FETCH_SECONDS)
            except BaseException as error:
                _end(process)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise NetworkError(f"git {arguments[0]} took more than {FETCH_SECONDS:.0f} s") from None
                raise
            if code:
                raise NetworkError(f"git {arguments[0]} failed: {_last_line(errors)}")
            printed.seek(0)
            return printed.read(MAX_OUTPUT_BYTES).decode("utf-8", "replace")

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


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End git and the helpers that it started."""
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _last_line(file: BinaryIO) -> str:
    file.seek(0)
    lines = file.read(64 * 1024).decode("utf-8", "replace").strip().splitlines()
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
    try:
        ran = subprocess.run(  # noqa: S603 - git by its full path; no shell, and no argument is an option
            command,
            cwd=path.parent,
            env={**environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SHOW_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"git took more than {SHOW_SECONDS:.0f} s to read {path.name} at {revision}") from None
    except OSError as error:
        raise UsageError(f"git cannot be run: {error.strerror or error}") from None
    if ran.returncode:
        return None
    if len(ran.stdout) > MAX_BYTES:
        raise LimitExceeded(f"{path.name} at {revision}: more than {MAX_BYTES} bytes")
    return ran.stdout.decode("utf-8", "replace")


CONFIG_SECONDS = 30.0


def top_of(folder: Path, environ: Mapping[str, str]) -> Path:
    """Return the top folder of the work tree that contains a folder. Raises UsageError where there is none, or no git."""
    code, text = _git(folder, environ, "rev-parse", "--show-toplevel")
    if code:
        raise UsageError(f"{folder}: is not in a git repository", hint="run this command in a git repository")
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


def _git(folder: Path, environ: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    program = shutil.which("git", path=environ.get("PATH"))
    if program is None:
        raise UsageError("git is needed, and is not on the search path", hint="install git")
    try:
        ran = subprocess.run(  # noqa: S603 - git by its full path; no shell
            [program, *arguments],
            cwd=folder,
            env={**environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONFIG_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"git cannot be run: {error}") from None
    return ran.returncode, (ran.stdout if ran.returncode == 0 else ran.stderr).strip()
