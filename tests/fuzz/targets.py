"""The readers of content from outside, each with its seeds: a function of bytes that reads them and uses what was read.

Use is part of it: a specifier or a marker can be read and still fail when it is compared.
"""

import gzip
import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from msgspec.structs import replace
from packaging.utils import canonicalize_name
from packaging.version import Version

from deep_lock.analysis.advisories import vulnerabilities
from deep_lock.analysis.content_diff import Release, dangers, differences, unified
from deep_lock.analysis.diff import every_change
from deep_lock.analysis.vetting import Coverage, without_unused
from deep_lock.builds import hooks
from deep_lock.builds.installed import read_origin
from deep_lock.builds.wheel_install import install_wheel
from deep_lock.config.config import read_config, read_config_file
from deep_lock.config.declared_indexes import declared_indexes, with_declared
from deep_lock.config.options import NetworkOptions
from deep_lock.config.policy import read_policy_file
from deep_lock.errors import (
    ArchiveBroken,
    ConfigError,
    DeepLockError,
    IndexFault,
    LockInvalid,
    ProjectInvalid,
    RequirementsInvalid,
    SafetyError,
    VettingInvalid,
)
from deep_lock.events import silent
from deep_lock.foreign_locks import detect, index_settings
from deep_lock.foreign_locks.load import with_direct_requirements
from deep_lock.index import html, pages
from deep_lock.index.cache import Cache
from deep_lock.index.lazy_wheel import (
    ByteRange,
    metadata_from_wheel,
    read_by_ranges,
    read_content_range,
    reading_metadata,
)
from deep_lock.index.listing import Listing, Notes, build_listing
from deep_lock.index.simple import parse_page
from deep_lock.index.wheel_contents import read_contents
from deep_lock.lockfile.edited_versions import moved_versions
from deep_lock.lockfile.index import index_lock
from deep_lock.lockfile.invariants import broken_invariants
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.selection import every_name, installed_packages
from deep_lock.lockfile.staleness import changed_settings
from deep_lock.lockfile.writer import to_text
from deep_lock.locking.imported_lock import target_hints, targets_outside
from deep_lock.locking.read_inputs import read_project_config
from deep_lock.models.advisory import Advisory, home_rank
from deep_lock.models.metadata import Metadata, parse_metadata
from deep_lock.models.provenance import parse_provenance
from deep_lock.models.receipt import (
    RECEIPT_SCHEMA,
    Receipt,
    ReceiptFile,
    ReceiptPackage,
    decode_receipt,
    encode_receipt,
)
from deep_lock.models.requirement import Requirement
from deep_lock.models.vetting import Vetting
from deep_lock.network import auth
from deep_lock.network.retries import read_retry_after
from deep_lock.operations.advisory_database import open_database
from deep_lock.operations.outdated import read_upgrades
from deep_lock.parsing.openvex import read_openvex
from deep_lock.parsing.osv import read_record, read_release, read_results
from deep_lock.parsing.poetry_constraints import to_python_marker, to_python_specifier, to_specifier
from deep_lock.parsing.record_file import parse_record
from deep_lock.parsing.requirements import parse_requirement
from deep_lock.parsing.text import decode
from deep_lock.parsing.vetting import read_audits, read_imports_lock, read_vetting_config
from deep_lock.project import edit, requirement_lists
from deep_lock.project.folder_config import folder_config
from deep_lock.project.project import Project
from deep_lock.project.pyproject import read_pyproject
from deep_lock.project.requirements_txt import read_requirements
from deep_lock.project.script import read_script
from deep_lock.project.setuptools import read_setup_cfg
from deep_lock.project.vetting_files import record_text
from deep_lock.resolver.dependencies import IneligibleError, dependencies
from deep_lock.sdist import project_tree
from deep_lock.sdist.archive_tree import read_tree, sdist_contents
from deep_lock.sdist.facts import read_sdist
from deep_lock.sdist.source_tree import Members
from deep_lock.targets.factory import make_target
from deep_lock.targets.target import Target, UnevaluableMarker, holds, python_fits, rank
from tests.support.advisories import CRITICAL, record, zip_of
from tests.support.archives import compress, make_tar, make_zip
from tests.support.paths import ROOT
from tests.support.provenance import provenance, publisher
from tests.support.wheels import WHEEL, make_wheel, record_of

FIXTURES = ROOT / "fixtures"
NAME = canonicalize_name("sample")
VERSION = Version("1.0")
LIMIT = 64 * 1024
"""Longer seeds are left out: many small cases find more than a few large ones."""


class Reader(NamedTuple):
    """A reader. ``seeds`` are patterns below fixtures, or bytes."""

    name: str
    read: Callable[[bytes], object]
    seeds: tuple[str | bytes, ...]


OUTSIDE = ("advisory", "page", "find-links", "provenance", "metadata", "wheel", "zip", "sdist", "hook")
"""What the names of readers begin with whose content no user wrote: its faults are no error of the user's."""


def is_refusal(reader: Reader, error: Exception) -> bool:
    """Whether an error is one that this reader may raise."""
    if reader.name.startswith(OUTSIDE):
        return isinstance(error, IndexFault | SafetyError)
    return isinstance(error, DeepLockError)


@cache
def _targets() -> tuple[Target, ...]:
    return make_target("3.12", "x86_64-manylinux_2_28", host=None), make_target("3.9", "x86_64-windows", host=None)


def _use_requirement(requirement: Requirement) -> None:
    str(requirement)
    hash(requirement.meaning)
    requirement.specifier.contains("1.0", prereleases=True)
    for target in _targets():
        with suppress(*UnevaluableMarker):
            holds(requirement.marker, target, ("", "x"))


def _use_metadata(metadata: Metadata) -> None:
    for target in _targets():
        python_fits(metadata.requires_python, target)
        for extra in ("", *metadata.provides_extra[:3]):
            with suppress(IneligibleError):
                for requirement in dependencies(metadata, target, canonicalize_name(extra)):
                    _use_requirement(requirement)


def _use_listing(listing: Listing) -> None:
    for version in listing.versions:
        for file in listing.files(version):
            for target in _targets():
                python_fits(file.requires_python, target)
                rank(getattr(file, "tags", "py3-none-any"), target)


def _use_project(project: Project) -> None:
    lists = (project.dependencies, project.build_requires, *(own for _, own in (*project.extras, *project.groups)))
    for requirement in (requirement for own in lists for requirement in own):
        _use_requirement(requirement)
    python_fits(project.requires_python, _targets()[0])


@contextmanager
def _file(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        yield path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# -- an index

_PAGE = "https://index.example/simple/sample/"


def _json_page(data: bytes) -> None:
    _use_listing(parse_page(data, "application/vnd.pypi.simple.v1+json", _PAGE, NAME, "https://index.example/simple/"))


def _html_page(data: bytes) -> None:
    _use_listing(parse_page(data, "text/html", _PAGE, NAME, "https://index.example/simple/"))


def _links_page(data: bytes) -> None:
    _use_listing(build_listing(html.read_anchors(data, _PAGE), NAME, index=_PAGE, notes=Notes(NAME)))


def _cached_page(data: bytes) -> None:
    with suppress(ValueError):  # what Listing documents
        listing = Listing(data, name=NAME, index=_PAGE)
        with suppress(ValueError):
            list(listing.versions)
        for version in listing.versions:
            listing.files(version)


def _cached_seed() -> bytes:
    files = [
        {"filename": f"sample-{n}-py3-none-any.whl", "url": f"{n}.whl", "hashes": {"sha256": "0" * 64}} for n in "12"
    ]
    page = {"meta": {"api-version": "1.0"}, "name": "sample", "files": files}
    encoded = str(page).replace("'", '"').encode()
    return bytes(parse_page(encoded, "application/vnd.pypi.simple.v1+json", _PAGE, NAME, _PAGE).data)


def _headers(data: bytes) -> None:
    lines = [*data.decode("latin-1").split("\n"), "", "", ""]
    pages.fresh_seconds({"cache-control": lines[0], "age": lines[1]})
    read_retry_after(lines[0], lines[1])
    read_content_range(lines[2], ByteRange(first=0, last=9), 10, "sample.whl")


# -- metadata and archives


def _provenance(data: bytes) -> None:
    for identity in parse_provenance(data, "sample.whl").identities:
        assert all(text.isprintable() for pair in identity for text in pair)
        assert "kind" in dict(identity)


def _metadata(data: bytes) -> None:
    _use_metadata(parse_metadata(data, "METADATA"))


def _wheel(data: bytes) -> None:
    def fetch(wanted: ByteRange) -> tuple[bytes, int]:
        start = max(0, len(data) - wanted.last) if wanted.first is None else wanted.first
        return data[start : None if wanted.first is None else wanted.last + 1], len(data)

    _each(
        lambda: metadata_from_wheel(io.BytesIO(data), NAME, "1.0", "sample.whl"),
        lambda: read_contents(io.BytesIO(data), "sample.whl"),
        lambda: _compare_tree(data, "sample.whl"),
        lambda: read_by_ranges(reading_metadata(NAME, "1.0", "sample.whl", tail=256), fetch),
        lambda: _install(data),
    )


def _compare_tree(data: bytes, filename: str) -> None:
    tree = read_tree(io.BytesIO(data), filename)
    release = Release(tree=tree, contents=sdist_contents(tree))
    found = differences(None, tree)
    assert not differences(tree, tree)
    dangers(None, release)
    for own in found:
        assert sum(line.startswith("+") for line in unified(own)) in {0, own.added}


def _zip_of(name: bytes, content: bytes) -> bytes:
    """Return an archive with a member of any name: the standard library would correct it."""
    crc = zlib.crc32(content)
    sizes = (crc, len(content), len(content))
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 33, *sizes, len(name), 0) + name + content
    central = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, *sizes, len(name), 0, 0, 0, 0, 0, 0) + name
    return local + central + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)


def _each(*reads: Callable[[], object]) -> None:
    """Run each reader; an error of deep-lock ends none of the others."""
    for read in reads:
        with suppress(IndexFault, SafetyError):
            read()


def _zip_name(data: bytes) -> None:
    raw = _zip_of(data[:300], _PKG_INFO)
    _each(lambda: _wheel(raw), lambda: _sdist(raw, "sample-1.0.zip"), lambda: _install(raw))


def _install(data: bytes) -> None:
    with _file(data, "wheel") as path:
        schemes = {name: path.with_name("site") for name in ("purelib", "platlib", "headers", "scripts", "data")}
        name = "sample-1.0-py3-none-any.whl"
        install_wheel(path, name, schemes=schemes, python=Path("/usr/bin/python3"), owners={})


def _record(data: bytes) -> None:
    _install(make_wheel({"sample.py": b"pass\n"}, record=data or b"\n"))


def _installed_files(data: bytes) -> None:
    _each(
        lambda: parse_record(data, "RECORD", ArchiveBroken),
        lambda: decode_receipt(data, "deep-lock.json", ArchiveBroken),
        lambda: read_origin(data, "direct_url.json", is_direct=True),
    )


def _wheel_file(data: bytes) -> None:
    metadata = b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n"
    files = {"sample.py": b"pass\n", f"{_INFO}/METADATA": metadata, f"{_INFO}/WHEEL": data}
    record = record_of(files, f"{_INFO}/RECORD")
    _install(make_wheel({"sample.py": b"pass\n"}, replaced={f"{_INFO}/WHEEL": data}, record=record))


def _entry_points(data: bytes) -> None:
    _install(make_wheel({"sample.py": b"pass\n"}, entry_points=data.decode("utf-8", "replace")))


def _sdist(data: bytes, filename: str) -> None:
    _each(lambda: _compare_tree(data, filename))
    facts = read_sdist(io.BytesIO(data), filename=filename, name=NAME, version=VERSION)
    for metadata in (facts.metadata, facts.guess):
        if metadata is not None:
            _use_metadata(metadata)


def _sdist_as(filename: str) -> Callable[[bytes], None]:
    return lambda data: _sdist(data, filename)


def _tar(data: bytes) -> None:
    _sdist(compress(data, "gz"), "sample-1.0.tar.gz")


_INFO = "sample-1.0.dist-info"
_PKG_INFO = b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n"
_SETUP = b"from setuptools import setup\nsetup(name='sample', version='1.0', install_requires=['a>=1'])\n"


def _sdist_with(member: str, others: dict[str, bytes]) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        files = {**others, member: data}
        members = Members(top="sample-1.0", files=files, names=frozenset(files))
        project_tree.read_tree(members, "sample-1.0.tar.gz", name=NAME)
        _sdist(make_tar(files), "sample-1.0.tar.gz")

    return read


# -- hooks and programs


def _hook_result(data: bytes) -> None:
    with _file(data, "output.json") as path:
        call: Any = SimpleNamespace(called="sample 1.0")
        hooks._check_result_file(call, path)


# -- files of the user


def _opener(data: bytes) -> Callable[[str, str], str]:
    def open_included(_including: str, relative: str) -> str:
        if relative not in {"setup.cfg", "setup.py", "other.txt", "requirements.txt"}:
            raise FileNotFoundError(relative)
        return "b==1\n" if relative == "other.txt" else _text(data)

    return open_included


def _requirement(data: bytes) -> None:
    _use_requirement(parse_requirement(_text(data)))


def _requirements(data: bytes) -> None:
    text = decode(data, "requirements.txt", RequirementsInvalid)
    read = read_requirements(text, "requirements.txt", _opener(data))
    for requirement in (*read.requirements, *read.constraints):
        _use_requirement(requirement)
    for line in read.unnamed:
        with suppress(*UnevaluableMarker):
            holds(line.marker, _targets()[0])


def _pyproject(data: bytes) -> None:
    text = decode(data, "pyproject.toml", ProjectInvalid)
    project = read_pyproject(text, "pyproject.toml", opener=_opener(b"[options]\ninstall_requires = a\n"))
    _use_project(project)
    tools = project.tools
    table = tools.get("deep-lock")
    own = read_config(table if isinstance(table, dict) else {}, "pyproject.toml", text)
    with_declared(own, declared_indexes(tools))


def _folder(data: bytes) -> None:
    with _file(data, "pyproject.toml") as path:
        with suppress(DeepLockError):
            read_project_config(path.parent)
        folder_config(path.parent)


def _edited(data: bytes) -> None:
    with _file(data, "pyproject.toml") as path:
        document = edit.open_document(path)
        where = requirement_lists.ListName(kind="dependencies")
        document = requirement_lists.with_requirement(document, where, "added>=1")
        requirement_lists.without_requirement(document, where, "added")


def _setup_cfg(data: bytes) -> None:
    _use_project(read_setup_cfg(decode(data, "setup.cfg", ProjectInvalid), "setup.cfg", setup_py=_text(data)))


def _script(data: bytes) -> None:
    _use_project(read_script(decode(data, "script.py", ProjectInvalid), "script.py"))


def _script_block(data: bytes) -> None:
    block = b"# /// script\n" + b"".join(b"# " + line + b"\n" for line in data.split(b"\n")) + b"# ///\n"
    _script(block)


def _config(data: bytes) -> None:
    read_config_file(decode(data, "deep-lock.toml", ConfigError), "deep-lock.toml")


def _policy(data: bytes) -> None:
    read_policy_file(decode(data, "policy.toml", ConfigError), "policy.toml")


def _netrc(data: bytes) -> None:
    with _file(data, "netrc") as path:
        auth.read_logins({"main": "https://index.example/simple/"}, environ={}, netrc_file=path)


def _pip_conf(data: bytes) -> None:
    with _file(data, "pip.conf") as path:
        environ = {"PIP_CONFIG_FILE": str(path)}
        index_settings.with_indexes_from("pip", NetworkOptions(), project=path.parent, settings=(), environ=environ)


def _uv_toml(data: bytes) -> None:
    with _file(data, "uv.toml") as path:
        index_settings.with_indexes_from("uv", NetworkOptions(), project=path.parent, settings=(), environ={})
        path.with_name("pyproject.toml").write_text("[tool.uv]\n", encoding="utf-8")
        read_project_config(path.parent)


def _constraint(data: bytes) -> None:
    text = _text(data)
    to_python_marker(text)
    to_python_specifier(text)
    to_specifier(text).contains("1.0", prereleases=True)


# -- locks


def _lock(data: bytes) -> None:
    text = decode(data, "deep.lock", LockInvalid)
    moved_versions(text, "deep.lock")
    lock = from_text(text, "deep.lock")
    written = to_text(lock)
    if to_text(from_text(written, "deep.lock")) != written:
        raise AssertionError("the text of a lock is not read as it is written")
    broken_invariants(lock, _targets())
    index = index_lock(lock)
    for target in _targets():
        installed_packages(index, target, every_name(index.lock))
    list(changed_settings(lock, from_text(_small_lock(), "deep.lock")))
    every_change(from_text(_small_lock(), "deep.lock"), lock)


@cache
def _small_lock() -> str:
    return (FIXTURES / "locks" / "small.lock").read_text(encoding="utf-8")


@cache
def _poetry_project() -> str:
    return (FIXTURES / "foreign" / "poetry1-rich" / "pyproject.toml").read_text(encoding="utf-8")


def _foreign(source: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        text = decode(data, source, LockInvalid)
        lock = detect.read_foreign(text, source, project=_poetry_project(), opener=_opener(data))
        with_direct_requirements(lock, Project(source="pyproject.toml"))
        target_hints(lock)
        with suppress(*UnevaluableMarker):
            targets_outside(lock, _targets())
        for pin in lock.pins:
            for condition in pin.conditions:
                with suppress(*UnevaluableMarker):
                    holds(condition.marker, _targets()[0])

    return read


def _foreign_project(data: bytes) -> None:
    lock = (FIXTURES / "foreign" / "poetry1-rich" / "poetry.lock").read_text(encoding="utf-8")
    detect.read_foreign(
        lock, "poetry.lock", project=decode(data, "pyproject.toml", ProjectInvalid), opener=_opener(data)
    )


def _foreign_project_2(data: bytes) -> None:
    lock = (FIXTURES / "foreign" / "poetry-standard" / "poetry.lock").read_text(encoding="utf-8")
    detect.read_foreign(
        lock, "poetry.lock", project=decode(data, "pyproject.toml", ProjectInvalid), opener=_opener(data)
    )


def _use_advisory(advisory: Advisory) -> None:
    for version in ("0", "1.0", "2.0+cpu", "1!0.1rc1"):
        for own in vulnerabilities(version, [advisory]):
            str(own.rated)
    home_rank(advisory.id)


def _advisory(data: bytes) -> None:
    for _, advisory in read_record(data, "x.json").advisories:
        _use_advisory(advisory)


def _advisory_release(data: bytes) -> None:
    for advisory in read_release(data, "x", "1.0"):
        _use_advisory(advisory)


def _advisory_results(data: bytes) -> None:
    read_results(data, "x", 2)


def _advisory_zip(data: bytes) -> None:
    with _file(data, "all.zip") as path:
        client: Any = SimpleNamespace(cache=Cache(path.parent / "cache", silent))
        open_database(str(path), client, datetime(2026, 11, 30, tzinfo=UTC), silent).of(["x"])


def _openvex(data: bytes) -> None:
    read_openvex(data, "x.json")


def _vetting(data: bytes) -> None:
    text = decode(data, "supply-chain", VettingInvalid)
    vetting = Vetting()
    with suppress(DeepLockError):
        vetting = replace(vetting, audits=read_audits(text, "audits.toml", silent))
    with suppress(DeepLockError):
        vetting = replace(vetting, config=read_vetting_config(text, "config.toml"))
    with suppress(DeepLockError):
        vetting = replace(vetting, imports=read_imports_lock(text, "imports.lock"))
    coverage = Coverage(vetting)
    without_unused(vetting.config.exemptions, coverage.used([]))
    for audit in vetting.audits:
        record_text(("audits", audit.package), audit)


def _upgrades(data: bytes) -> None:
    with _file(data, "outdated.json") as path:
        read_upgrades(path)


_FOREIGN = {
    "uv.lock": ("foreign/uv-*/uv.lock",),
    "poetry.lock": ("foreign/poetry*/poetry.lock",),
    "pdm.lock": ("foreign/pdm-*/pdm.lock",),
    "Pipfile.lock": ("foreign/pipenv/Pipfile.lock",),
    "pylock.toml": ("foreign/*/pylock.toml",),
    "pins.txt": ("foreign/pins/*.txt",),
}
_TREE = {"PKG-INFO": _PKG_INFO, "setup.py": _SETUP}
_FLIT = b"[build-system]\nrequires = ['flit_core>=3.2,<4']\nbuild-backend = 'flit_core.buildapi'\n[project]\nname = 'sample'\ndynamic = ['version', 'description']\n"
_SETUPTOOLS = b"[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
_RECORD = zipfile.ZipFile(io.BytesIO(make_wheel({"sample.py": b"pass\n"}))).read("sample-1.0.dist-info/RECORD")
_WHEEL = make_wheel({"sample.py": b"pass\n"}, entry_points="[console_scripts]\nx = sample:main\n")

OSV = record(
    "GHSA-1",
    "x",
    "introduced 0",
    "fixed 1.5",
    "introduced 2.0",
    "last_affected 3.0",
    versions=["1.0", "1!0.1rc1"],
    aliases=["CVE-1"],
    score=CRITICAL,
    database_specific={"severity": "HIGH"},
)
_RECORD_OF_OSV = json.dumps(OSV).encode()
_VEX = json.dumps(
    {
        "@context": "https://openvex.example/ns",
        "timestamp": "2026-01-01T00:00:00Z",
        "statements": [
            {
                "vulnerability": {"name": "CVE-1", "aliases": ["X-1"]},
                "products": [{"@id": "pkg:pypi/x@1.0", "subcomponents": [{"@id": "pkg:pypi/y"}]}, "pkg:pypi/z"],
                "status": "not_affected",
                "justification": "component_not_present",
            }
        ],
    }
).encode()
_VETTED = 'version = "1"\ncriteria = ["safe-to-run"]\n'
_VETTED_FILES = f'files = [\n    {{ name = "six-1.tar.gz", sha256 = "{"a" * 64}" }},\n]\n'
_VETTED_BY = 'who = "A <a@files.example>"\ndate = 2026-11-30\n'
_VETTING = (
    f"version = 1\n[[audits.six]]\n{_VETTED}{_VETTED_BY}{_VETTED_FILES}".encode(),
    f"version = 1\n[imports.acme]\nurl = 'https://x.example/'\n[[exemptions.six]]\n{_VETTED}{_VETTED_FILES}".encode(),
    f"version = 1\n[imports.acme]\nurl = 'https://x.example/'\nsha256 = '{'b' * 64}'\n"
    f"[[audits.acme.six]]\n{_VETTED}{_VETTED_BY}{_VETTED_FILES}".encode(),
)
_RECEIPT = encode_receipt(
    Receipt(
        schema=RECEIPT_SCHEMA,
        version=1,
        build="0",
        sdist=ReceiptFile(name="x-1.tar.gz", sha256="0"),
        packages=(ReceiptPackage(name="y", version="1", file=ReceiptFile(name="y-1.tar.gz", sha256="0"), build="1"),),
        target="cp313-x86_64-windows",
        python="3.13.1",
        sandbox=True,
        source_date_epoch=0,
    )
)
READERS: tuple[Reader, ...] = (
    Reader("page-json", _json_page, ()),
    Reader("page-html", _html_page, ("pages/login.html",)),
    Reader("find-links", _links_page, ("fuzz/page-html/*", "pages/*.html")),
    Reader("cached-page", _cached_page, (_cached_seed(),)),
    Reader(
        "headers",
        _headers,
        (b"max-age=600\n5\nbytes 0-9/10\n", b"no-store\n\nbytes */5", b"Wed, 21 Oct 2026 07:28:00 GMT\n"),
    ),
    Reader("provenance", _provenance, (provenance(publisher("a/b"), publisher("a/é", claims={"x": [1]})),)),
    Reader("metadata", _metadata, ("sdists/*/tree/PKG-INFO",)),
    Reader("wheel", _wheel, (_WHEEL,)),
    Reader("zip-name", _zip_name, (b"sample-1.0.dist-info/METADATA", b"sample-1.0/PKG-INFO", b"\0x", b"a/")),
    Reader("wheel-record", _record, (_RECORD,)),
    Reader(
        "wheel-installed",
        _installed_files,
        (
            _RECORD,
            b'{"url": "https://x.example/a", "archive_info": {"hashes": {"sha256": "0"}}, "vcs_info": {"commit_id": "1"}}',
            _RECEIPT,
        ),
    ),
    Reader("wheel-wheel", _wheel_file, (WHEEL,)),
    Reader(
        "wheel-entry-points", _entry_points, (b"[console_scripts]\nx = sample:main [y]\n[gui_scripts]\nz = a.b:c.d\n",)
    ),
    Reader("sdist-zip", _sdist_as("sample-1.0.zip"), (make_zip(_TREE),)),
    Reader("sdist-tar", _tar, (gzip.decompress(make_tar(_TREE)),)),
    Reader("sdist-gz", _sdist_as("sample-1.0.tar.gz"), (make_tar(_TREE),)),
    Reader("sdist-bz2", _sdist_as("sample-1.0.tar.bz2"), (make_tar(_TREE, mode="bz2"),)),
    Reader("sdist-xz", _sdist_as("sample-1.0.tar.xz"), (make_tar(_TREE, mode="xz"),)),
    Reader("sdist-pkg-info", _sdist_with("PKG-INFO", {"pyproject.toml": _SETUPTOOLS}), ("sdists/*/tree/PKG-INFO",)),
    Reader("sdist-pyproject", _sdist_with("pyproject.toml", _TREE), ("sdists/*/tree/pyproject.toml",)),
    Reader("sdist-setup-py", _sdist_with("setup.py", {"PKG-INFO": _PKG_INFO}), ("sdists/*/tree/setup.py",)),
    Reader("sdist-setup-cfg", _sdist_with("setup.cfg", _TREE), ("sdists/*/tree/setup.cfg", "inputs/setup.cfg")),
    Reader(
        "sdist-requires-txt", _sdist_with("sample.egg-info/requires.txt", _TREE), ("sdists/*/tree/src/*/requires.txt",)
    ),
    Reader(
        "sdist-version-file",
        _sdist_with("sample/version.py", {"pyproject.toml": _FLIT}),
        (b'"""x"""\n__version__ = "1.0"\n',),
    ),
    Reader("hook-result", _hook_result, (b'{"return_val": ["setuptools>=40", "wheel"]}',)),
    Reader(
        "requirement",
        _requirement,
        (b"a[x,y]>=1,<2 ; python_version >= '3.8' and extra == 'x'", b"b @ git+https://h.example/b@v1#egg=b"),
    ),
    Reader(
        "requirements-txt",
        _requirements,
        (
            "foreign/pins/*.txt",
            b"-r other.txt\n-c other.txt\n-e ./a\n--index-url https://i.example/\na==1 --hash=sha256:0\n",
        ),
    ),
    Reader("pyproject", _pyproject, ("inputs/*.toml", "foreign/*/pyproject.toml", "sdists/*/tree/pyproject.toml")),
    Reader("folder", _folder, ("inputs/*.toml", "foreign/*/pyproject.toml", "fuzz/pyproject/*")),
    Reader("edit", _edited, ("inputs/pep621.toml", b"[project]\nname = 'x'\ndependencies = [\n  'a>=1', # c\n]\n")),
    Reader("setup-cfg", _setup_cfg, ("inputs/setup.cfg", "sdists/*/tree/setup.cfg")),
    Reader(
        "script", _script, (b"# /// script\n# dependencies = ['a']\n# requires-python = '>=3.11'\n# ///\nprint()\n",)
    ),
    Reader(
        "script-block",
        _script_block,
        (b"dependencies = ['a>=1']\nrequires-python = '>=3.9'\n[tool.deep-lock]\npackage = false",),
    ),
    Reader("config", _config, ("fuzz/config/*",)),
    Reader("policy", _policy, ("fuzz/policy/*",)),
    Reader(
        "netrc", _netrc, (b"machine index.example login a password b\ndefault login c password d\nmacdef x\n y\n\n",)
    ),
    Reader("uv-toml", _uv_toml, ("fuzz/uv-toml/*",)),
    Reader(
        "pip-conf", _pip_conf, (b"[global]\nindex-url = https://a.example/\nextra-index-url =\n  https://b.example/\n",)
    ),
    Reader(
        "poetry-constraint", _constraint, (b"^1.2.3", b"~1.2 || >=2,!=3.*", b"==1.*", b"<2.8 || >=3.5", b"^1.0a1+x")
    ),
    Reader("deep-lock", _lock, ("locks/*.lock",)),
    *(Reader(f"foreign-{source}", _foreign(source), seeds) for source, seeds in _FOREIGN.items()),
    Reader("foreign-project", _foreign_project, ("foreign/poetry*/pyproject.toml",)),
    Reader("foreign-project-2", _foreign_project_2, ("foreign/poetry*/pyproject.toml", "fuzz/pyproject/*")),
    Reader("advisory", _advisory, (_RECORD_OF_OSV, json.dumps({**OSV, "withdrawn": "2026-01-01T00:00:00Z"}).encode())),
    Reader(
        "advisory-release",
        _advisory_release,
        (
            b'{"vulnerabilities": [{"id": "X-1", "aliases": ["CVE-1"], "fixed_in": ["2"], "link": "https://x.example"}]}',
        ),
    ),
    Reader(
        "advisory-results",
        _advisory_results,
        (b'{"results": [{}, {"vulns": [{"id": "X-1", "modified": "t"}], "next_page_token": "2"}]}',),
    ),
    Reader("advisory-zip", _advisory_zip, (zip_of([OSV]), _RECORD_OF_OSV)),
    Reader("openvex", _openvex, (_VEX,)),
    Reader("vetting", _vetting, _VETTING),
    Reader("outdated", _upgrades, ("fuzz/outdated/*",)),
)


def seeds_of(reader: Reader, folders: tuple[Path, ...] = ()) -> tuple[bytes, ...]:
    """Return the seeds of a reader, with those of FOLDER/NAME; a seed is at most LIMIT bytes."""
    found = [seed for seed in reader.seeds if isinstance(seed, bytes)]
    patterns = (*(seed for seed in reader.seeds if isinstance(seed, str)), f"fuzz/{reader.name}/*")
    paths = [path for pattern in dict.fromkeys(patterns) for path in sorted(FIXTURES.glob(pattern))]
    paths += [path for folder in folders for path in sorted(folder.glob(f"{reader.name}/*"))]
    found += [path.read_bytes() for path in dict.fromkeys(paths) if path.stat().st_size <= LIMIT]
    return tuple(dict.fromkeys(found))
