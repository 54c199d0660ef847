"""Real wheels and sdists from a few lines of data, and indexes over real sockets that serve them.

A release is a table; all keys are optional:

``wheels``           tag sets; default ["py3-none-any"]; [] for none
``requires``         Requires-Dist texts of the wheels, and of the sdist unless ``sdist-requires`` says otherwise
``wheel-requires``   tag set to the Requires-Dist texts of that one wheel: wheels of a release may disagree
``sdist``            true, or the archive's file name (".tar.gz" or ".zip"); default: none
``build``            ``[build-system] requires``; without it, ``backend`` and ``tree`` the sdist has no pyproject.toml
``backend``, ``backend-path``  of ``[build-system]``
``metadata-version``, ``dynamic``  of the sdist's PKG-INFO; default "2.2", nothing dynamic; "" for no PKG-INFO
``tree``             path to text: further files of the sdist, or others in place of the made ones; "/NAME" is put at
                     the top of the archive, before the release's folder
``folder``           the sdist's top folder; default NAME-VERSION
``modules``          path to text: files of the wheels, besides their metadata
``page-python``      the Requires-Python that the index page states, in place of that in the files; "" for none
``requires-python``, ``yanked`` (true or the reason), ``uploaded`` (RFC 3339; "" for none)
``license``          the License-Expression of every file
``classifiers``      the classifiers of every file
``weak``             the index promises no sha256
``comment``          a text in the description of wheels: other bytes that mean the same
``metadata``         raw core metadata in place of the made one
``encoding``         of the texts in ``tree``; default "utf-8"
``cut``              how many bytes the end of the sdist lacks
"""

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from packaging.utils import canonicalize_name

from tests.support.archives import compress
from tests.support.index_server import File, IndexServer

UPLOADED = "2024-05-06T07:08:09.000000Z"
Release = Mapping[str, Any]
Releases = Mapping[str, Release]
"""By "name version"; the name as its files spell it."""

KEYS = frozenset(
    {
        "wheels",
        "requires",
        "wheel-requires",
        "sdist-requires",
        "sdist",
        "build",
        "backend",
        "backend-path",
        "metadata-version",
        "dynamic",
        "tree",
        "folder",
        "page-python",
        "modules",
        "requires-python",
        "yanked",
        "uploaded",
        "license",
        "classifiers",
        "weak",
        "comment",
        "metadata",
        "encoding",
        "cut",
    }
)


@dataclass(kw_only=True)
class ReleaseFile(File):
    """A file as the index page tells of it."""

    uploaded: str = UPLOADED
    weak: bool = False


@dataclass(kw_only=True)
class ScenarioServer(IndexServer):
    """An index whose files have upload times of their own, and perhaps no digest."""

    known: dict[str, ReleaseFile] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Start to serve; without Nagle's algorithm, which makes each answer wait 40 ms."""
        super().__enter__()
        self._server.RequestHandlerClass.disable_nagle_algorithm = True  # type: ignore[attr-defined]  # of StreamRequestHandler
        return self

    def hold(self, releases: Releases) -> None:
        """Serve these releases from now on, and no others."""
        self.projects.clear()
        self.known.clear()
        for key, release in releases.items():
            name = key.split(" ")[0]
            files = release_files(key, release)
            self.projects.setdefault(canonicalize_name(name), []).extend(files)
            self.known.update({file.filename: file for file in files})

    def page(self, name: str) -> tuple[str, bytes] | None:
        """As the plain server's, with what it cannot say."""
        found = super().page(name)
        if found is None or self.html:
            return found
        kind, body = found
        page = json.loads(body)
        for entry in page["files"]:
            file = self.known[entry["filename"]]
            if file.uploaded:
                entry["upload-time"] = file.uploaded
            else:
                del entry["upload-time"]
            if file.weak:
                entry["hashes"] = {"md5": hashlib.md5(file.content, usedforsecurity=False).hexdigest()}
        return kind, json.dumps(page).encode()


def metadata_text(name: str, version: str, requires: Iterable[str], release: Release, *, of_sdist: bool) -> bytes:
    """Return core metadata."""
    if "metadata" in release:
        return str(release["metadata"]).encode()
    lines = [
        f"Metadata-Version: {release.get('metadata-version', '2.2') if of_sdist else '2.1'}",
        f"Name: {name}",
        f"Version: {version}",
    ]
    if "requires-python" in release:
        lines.append(f"Requires-Python: {release['requires-python']}")
    lines += [f"License-Expression: {release['license']}"] if "license" in release else []
    lines += [f"Classifier: {text}" for text in release.get("classifiers", ())]
    lines += [f"Dynamic: {text}" for text in release.get("dynamic", ()) if of_sdist]
    lines += [f"Requires-Dist: {text}" for text in requires]
    if "comment" in release and not of_sdist:
        lines += ["", str(release["comment"])]
    return "\n".join(lines).encode() + b"\n"


def wheel_requires(release: Release, tags: str) -> list[str]:
    """Return what one wheel of a release asks for."""
    return list(release.get("wheel-requires", {}).get(tags, release.get("requires", [])))


def sdist_requires(release: Release) -> list[str]:
    """Return what the sdist of a release asks for."""
    return list(release.get("sdist-requires", release.get("requires", [])))


def _wheel(name: str, version: str, release: Release, tags: str) -> tuple[str, bytes, bytes]:
    stem = f"{name.replace('-', '_')}-{version}"
    text = metadata_text(name, version, wheel_requires(release, tags), release, of_sdist=False)
    files = {path: content.encode() for path, content in release.get("modules", {}).items()}
    files[f"{stem}.dist-info/METADATA"] = text
    files[f"{stem}.dist-info/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tags}\n".encode()
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items()]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return f"{stem}-{tags}.whl", stream.getvalue(), text


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _pyproject(release: Release) -> str | None:
    lines = []
    if "build" in release:
        lines.append(f"requires = {json.dumps(list(release['build']))}")
    if "backend" in release:
        lines.append(f"build-backend = {json.dumps(release['backend'])}")
    if "backend-path" in release:
        lines.append(f"backend-path = {json.dumps(list(release['backend-path']))}")
    return "\n".join(["[build-system]", *lines, ""]) if lines else None


def _sdist(name: str, version: str, release: Release) -> tuple[str, bytes]:
    stem = f"{name.replace('-', '_')}-{version}"
    filename = release["sdist"] if isinstance(release["sdist"], str) else f"{stem}.tar.gz"
    tree: dict[str, bytes] = {}
    if release.get("metadata-version", "2.2"):
        tree["PKG-INFO"] = metadata_text(name, version, sdist_requires(release), release, of_sdist=True)
    pyproject = _pyproject(release)
    if pyproject is not None:
        tree["pyproject.toml"] = pyproject.encode()
    tree |= {path: text.encode(release.get("encoding", "utf-8")) for path, text in release.get("tree", {}).items()}
    top = release.get("folder", stem)
    members = {path[1:] if path.startswith("/") else f"{top}/{path}": content for path, content in tree.items()}
    content = pack(filename, dict(sorted(members.items(), key=lambda item: item[0].startswith(f"{top}/"))))
    return filename, content[: len(content) - release.get("cut", 0)]


def pack(filename: str, members: Mapping[str, bytes]) -> bytes:
    """Return an archive, the same bytes each time."""
    stream = io.BytesIO()
    if filename.endswith(".zip"):
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in members.items():
                archive.writestr(zipfile.ZipInfo(path), content)
        return stream.getvalue()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in members.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return compress(stream.getvalue(), {".bz2": "bz2", ".xz": "xz"}.get(filename[filename.rfind(".") :], "gz"))


def release_files(key: str, release: Release) -> list[ReleaseFile]:
    """Return the files of a release."""
    unknown = set(release) - KEYS
    assert not unknown, f"{key}: unknown keys {unknown}"
    name, version = key.split(" ")
    yanked = release.get("yanked", False)
    rest: dict[str, Any] = {
        "requires_python": release.get("page-python", release.get("requires-python")) or None,
        "yanked": yanked,
        "uploaded": release.get("uploaded", UPLOADED),
        "weak": release.get("weak", False),
    }
    files = []
    for tags in release.get("wheels", ["py3-none-any"]):
        filename, content, text = _wheel(name, version, release, tags)
        files.append(ReleaseFile(filename=filename, content=content, metadata=text, **rest))
    if release.get("sdist"):
        filename, content = _sdist(name, version, release)
        files.append(ReleaseFile(filename=filename, content=content, **rest))
    return files
