"""Whatever bytes come from outside, a run ends with an answer of its own: no traceback, and one bad release ends no run."""

import io
import json
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli import failures, main
from tests.support.archives import make_tar
from tests.support.index_server import JSON_TYPE, File, IndexServer
from tests.support.paths import ROOT
from tests.support.wheels import make_wheel

HUGE = "1" * 5000
GOOD = "thing-1.0-py3-none-any.whl"
BAD = "thing-2.0-py3-none-any.whl"
PLAIN = b"Metadata-Version: 2.1\nName: thing\nVersion: 2.0\n"


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.projects["thing"] = [_wheel("1.0"), _wheel("2.0")]
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    made = tmp_path / "project"
    made.mkdir()
    (made / "in.txt").write_text("thing\n", encoding="utf-8")
    monkeypatch.chdir(made)
    return made


def _wheel(version: str, **changes: Any) -> File:
    metadata = f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n".encode()
    content = make_wheel({"thing.py": b""}, name="thing", version=version)
    return File(
        **({"filename": f"thing-{version}-py3-none-any.whl", "content": content, "metadata": metadata} | changes)
    )


def _lock(index: IndexServer, *more: str) -> int:
    options = ["--default-index", index.url, "--python-version", "3.12", "--platform", "x86_64-manylinux_2_28"]
    return main.run(["lock", "-r", "in.txt", *options, *more])


def _locked(folder: Path) -> str:
    lock = (folder / "deep.lock").read_text(encoding="utf-8")
    return next(line for line in lock.splitlines() if (line.startswith("version = ") and '"1' in line) or '"2' in line)


METADATA = {
    "version": PLAIN.replace(b"Version: 2.0\n", f"Version: {HUGE}\n".encode()),
    "epoch": PLAIN.replace(b"Version: 2.0\n", f"Version: {HUGE}!1\n".encode()),
    "version that is none": PLAIN.replace(b"Version: 2.0\n", b"Version: 1.0-final!!\n"),
    "version of the past": PLAIN.replace(b"Version: 2.0\n", b"Version: 2.0-final-really\n"),
    "requires-python": PLAIN + f"Requires-Python: >={HUGE}\n".encode(),
    "requirement": PLAIN + f"Requires-Dist: other >={HUGE}\n".encode(),
    "requirement with a wildcard": PLAIN + f"Requires-Dist: other ==1.{HUGE}.*\n".encode(),
    "marker": PLAIN + f"Requires-Dist: other ; python_full_version >= '{HUGE}'\n".encode(),
    "nesting": PLAIN + f"Requires-Dist: other ; {'(' * 5000}\n".encode(),
    "metadata-version": PLAIN.replace(b"2.1", HUGE.encode()),
}


@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA)
@pytest.mark.parametrize("place", ["sidecar", "wheel", "sdist"])
def test_a_release_with_such_metadata_is_passed_over(
    metadata: bytes, place: str, index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = _wheel("2.0", metadata=metadata)
    if place == "wheel":
        file.metadata = None
        file.content = make_wheel(
            {"thing.py": b""}, name="thing", version="2.0", replaced={"thing-2.0.dist-info/METADATA": metadata}
        )
    if place == "sdist":
        content = make_tar({"PKG-INFO": metadata.replace(b"2.1\n", b"2.2\n", 1)}, top="thing-2.0")
        file = File(filename="thing-2.0.tar.gz", content=content)
    index.projects["thing"][1] = file
    code = _lock(index, "--hooks", "static")
    err = capfd.readouterr().err
    assert code == 0, err
    assert '"1.0"' in (folder / "deep.lock").read_text(encoding="utf-8")
    assert "Traceback" not in err
    assert HUGE not in err
    assert "thing 2.0" in err or b"\nRequires-" in metadata
    (folder / "in.txt").write_text("thing==2.0\n", encoding="utf-8")
    assert _lock(index, "--hooks", "static") in {1, 4}
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert "thing" in err
    assert re.search("not a valid|Version|Python|characters|Metadata-Version", err)


BACKEND = """
import os

def get_requires_for_build_wheel(settings=None):
    return []

def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(folder + "/thing-2.0.dist-info")
    with open(folder + "/thing-2.0.dist-info/METADATA", "wb") as file:
        file.write({metadata!r})
    return "thing-2.0.dist-info"
"""


@pytest.mark.skipif(os.name != "posix", reason="hooks run on Linux and macOS")
@pytest.mark.parametrize("metadata", [PLAIN, *METADATA.values()], ids=["plain", *METADATA])
def test_a_release_whose_hook_returns_such_metadata_is_passed_over(
    metadata: bytes, index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree = {
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.format(metadata=metadata).encode(),
        "PKG-INFO": PLAIN,
    }
    index.projects["thing"][1] = File(filename="thing-2.0.tar.gz", content=make_tar(tree, top="thing-2.0"))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = ["--default-index", index.url, "--python-version", python, "--platform", "host", "--hooks", "trust"]
    code = main.run(["lock", "-r", "in.txt", *options])
    err = capfd.readouterr().err
    assert (code, "Traceback" in err) == (0, False), err
    taken = "thing-2.0.tar.gz" if metadata == PLAIN else GOOD
    assert taken in (folder / "deep.lock").read_text(encoding="utf-8")


def _page(index: IndexServer, **changes: Any) -> None:
    files = [
        {"filename": file.filename, "url": f"/files/{file.filename}", "hashes": {"sha256": file.digest}}
        for file in index.projects["thing"]
    ]
    files[1].update(changes)
    body = json.dumps({"meta": {"api-version": "1.1"}, "name": "thing", "files": files}).encode()
    index.bodies["/simple/thing/"] = (JSON_TYPE, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"requires-python": f">={HUGE}"},
        {"requires-python": f"==3.{HUGE}.*"},
        {"requires-python": f">=3,!={HUGE}!1"},
        {"requires-python": "," * 100_000},
        {"filename": f"thing-{HUGE[:4400]}-py3-none-any.whl"},
        {"filename": f"thing-2.0-{HUGE[:250]}-py3-none-any.whl"},
        {"size": -1},
        {"size": 10**30},
        {"size": "12"},
        {"url": "http://[::1"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_file_of_a_page_with_such_a_field_is_left_out(
    changes: dict[str, Any], index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    index.sidecars = "none"
    _page(index, **changes)
    code = _lock(index)
    err = capfd.readouterr().err
    assert (code, "Traceback" in err) == (0, False), err
    assert GOOD in (folder / "deep.lock").read_text(encoding="utf-8")
    assert BAD not in (folder / "deep.lock").read_text(encoding="utf-8")


def _zip_of(members: list[tuple[bytes, bytes]], extra: bytes = b"") -> bytes:
    """Return an archive with members of any name: the standard library would correct it."""
    body, directory = b"", b""
    for name, content in members:
        sizes = (zlib.crc32(content), len(content), len(content))
        directory += (
            struct.pack(
                "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, *sizes, len(name), len(extra), 0, 0, 0, 0, len(body)
            )
            + name
            + extra
        )
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 33, *sizes, len(name), 0) + name + content
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return body + directory + end


@pytest.mark.parametrize("name", [b"\0", b"\0thing/x", b"thing-2.0/\0", b"\xff\xfe", b"", b"thing-2.0/\xc3("])
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_archive_with_such_a_member_is_passed_over(
    name: bytes, kind: str, index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    index.sidecars = "none"
    if kind == "wheel":
        content = _zip_of([(name, b""), (b"thing-2.0.dist-info/METADATA", PLAIN)])
        index.projects["thing"][1] = _wheel("2.0", content=content, metadata=None)
    else:
        content = _zip_of([(name, b""), (b"thing-2.0/PKG-INFO", PLAIN), (b"thing-2.0/\0", b"")])
        index.projects["thing"][1] = File(filename="thing-2.0.zip", content=content)
    code = _lock(index, "--hooks", "static")
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert code == 0, err
    readable = kind == "wheel" and name in {b"\xff\xfe", b"thing-2.0/\xc3("}
    assert (BAD if readable else GOOD) in (folder / "deep.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("second", [b"\0", b"\0x", b"", b"../../x", b"thing/other.py"])
def test_a_member_with_a_second_name_is_refused(
    second: bytes, index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = b"thing.py"
    field = struct.pack("<2HBL", 0x7075, 5 + len(second), 1, zlib.crc32(name)) + second
    content = _zip_of([(name, b""), (b"thing-2.0.dist-info/METADATA", PLAIN)], extra=field)
    index.projects["thing"][1] = _wheel("2.0", content=content, metadata=None)
    assert _lock(index) == 0
    assert "second name" in capfd.readouterr().err
    assert GOOD in (folder / "deep.lock").read_text(encoding="utf-8")


def _other_dist_info(folder: str) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("thing.py", "")
        archive.writestr(f"{folder}/METADATA", PLAIN)
    return raw.getvalue()


@pytest.mark.parametrize(
    "name", ["thing-1.0.dist-info", "thing-2.0.1.dist-info", "thing-2.0-final!!.dist-info", "thing-.dist-info"]
)
def test_the_metadata_folder_of_another_version(
    name: str, index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    index.projects["thing"][1] = _wheel("2.0", content=_other_dist_info(name), metadata=None)
    assert _lock(index) == 0
    assert GOOD in (folder / "deep.lock").read_text(encoding="utf-8")
    assert "thing 2.0" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["thing-2.0.dist-info", "thing-2.dist-info", "Thing-2.0.0.dist-info"])
def test_the_metadata_folder_of_the_same_version(name: str, index: IndexServer, folder: Path) -> None:
    index.projects["thing"][1] = _wheel("2.0", content=_other_dist_info(name), metadata=None)
    assert _lock(index) == 0
    assert BAD in (folder / "deep.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["3.0", "1.0-final!!", "2.0.post1"])
@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2"])
def test_a_direct_reference_to_metadata_of_another_version(
    version: str, suffix: str, index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    info = f"Metadata-Version: 2.2\nName: thing\nVersion: {version}\n".encode()
    mode = {".tar.gz": "gz", ".tar.bz2": "bz2"}[suffix]
    (folder / f"thing-2.0{suffix}").write_bytes(
        make_tar({"PKG-INFO": info, "setup.py": b""}, top="thing-2.0", mode=mode)
    )
    (folder / "in.txt").write_text(f"thing @ ./thing-2.0{suffix}\n", encoding="utf-8")
    assert _lock(index, "--hooks", "static") == 4
    assert version.replace("!!", "") in capfd.readouterr().err
    assert not (folder / "deep.lock").exists()


POETRY = '[tool.poetry]\nname = "x"\nversion = "1"\n[tool.poetry.dependencies]\npython = "^3.12"\n'
PROJECTS = {
    "extras of a group": POETRY + '[tool.poetry.group.dev.dependencies]\nthing = { version = "1", extras = 1.5 }\n',
    "extras of a dependency": POETRY + 'thing = { version = "1", extras = 1.5 }\n',
    "extras with a number": POETRY + 'thing = { version = "1", extras = ["a", 1] }\n',
    "version": POETRY + "thing = 1.5\n",
    "constraint": POETRY + f'thing = "^{HUGE}"\n',
    "python": POETRY.replace("^3.12", f">={HUGE}"),
    "marker": POETRY + f"""thing = {{ version = "1", markers = "python_version >= '{HUGE}'" }}\n""",
    "group": POETRY + "[tool.poetry.group]\ndev = 1.5\n",
    "source": POETRY + "[[tool.poetry.source]]\nname = 1.5\nurl = 2026-01-01\npriority = []\n",
    "uv source": '[project]\nname = "x"\nversion = "1"\n[tool.uv.sources]\nthing = { index = 1.5 }\n',
    "uv marker": '[project]\nname = "x"\nversion = "1"\n[tool.uv.sources]\nthing = [{ git = "https://h.example/x", marker = 1.5 }]\n',
    "uv index": '[project]\nname = "x"\nversion = "1"\n[[tool.uv.index]]\nurl = 1.5\n',
    "pdm": '[project]\nname = "x"\nversion = "1"\n[[tool.pdm.source]]\nname = 1.5\nurl = "x"\ninclude_packages = 1.5\n',
    "number": f'[project]\nname = "x"\nversion = "1"\n[tool.deep-lock]\nmax = {HUGE}\n',
    "path": '[project]\nname = "x"\nversion = "1"\n[tool.deep-lock]\nfrom-lock = "a\\u0000"\n',
    "requires-python": f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">={HUGE}"\n',
    "dependency": f'[project]\nname = "x"\nversion = "1"\ndependencies = ["thing>={HUGE}"]\n',
    "project version": f'[project]\nname = "x"\nversion = "{HUGE}"\n',
}


@pytest.mark.parametrize("text", PROJECTS.values(), ids=PROJECTS)
def test_a_bad_project_is_named(text: str, index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    options = ["--default-index", index.url, "--python-version", "3.12", "--platform", "x86_64-manylinux_2_28"]
    code = main.run(["lock", *options])
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert code in {0, 2, 4}, err
    if code:
        assert "pyproject.toml" in err
    for command in (["add", "other", "--no-lock"], ["policy"], ["lock", "--check", *options]):
        assert main.run(command) in {0, 1, 2, 4}, capfd.readouterr().err
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("version", ["poetry-rich", "poetry-standard", "poetry1-rich"])
@pytest.mark.parametrize("value", ["1.5", "1", "true", "2026-01-01", '"x"', "[1.5]", "{ a = 1 }", "[[1]]"])
@pytest.mark.parametrize("table", ["group.test.dependencies", "dev-dependencies", "group.test.extras"])
def test_a_bad_group_next_to_a_poetry_lock(
    version: str, value: str, table: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fixture = ROOT / "fixtures" / "foreign" / version
    (folder / "poetry.lock").write_bytes((fixture / "poetry.lock").read_bytes())
    text = POETRY + f'[tool.poetry.{table}]\nthing = {{ version = "1", extras = {value} }}\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    code = main.run(["diff", "poetry.lock", "poetry.lock"])
    err = capfd.readouterr().err
    assert ("Traceback" in err, code in {0, 1, 2}) == (False, True), err


@pytest.mark.parametrize(
    "environments",
    [f"""["python_full_version >= '{HUGE}'"]""", "1.5", "[1.5]", "{ a = 1 }", "['x']", f"""['{"(" * 5000}']"""],
    ids=lambda text: text[:30],
)
def test_bad_environments_of_uv(environments: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = f'[project]\nname = "x"\nversion = "1"\n[tool.uv]\nenvironments = {environments}\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    code = main.run(["init"])
    err = capfd.readouterr().err
    assert ("Traceback" in err, code in {0, 2}) == (False, True), err


@pytest.mark.parametrize(
    "line",
    [
        f"""environments = ["python_full_version >= '{HUGE}'"]""",
        f'requires-python = ">={HUGE}"',
        f"packages = [{{name = 'thing', version = '{HUGE}'}}]",
        f"""packages = [{{name = 'thing', version = '1.0', marker = "python_version > '{HUGE}'"}}]""",
        "extras = 1.5",
        "packages = 1.5",
    ],
    ids=lambda text: text[:40],
)
def test_a_bad_pylock_is_named(line: str, index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = f"lock-version = '1.0'\ncreated-by = 'x'\n{line}\n" + ("" if "packages" in line else "packages = []\n")
    (folder / "pylock.toml").write_text(text, encoding="utf-8")
    options = ["--default-index", index.url, "--python-version", "3.12", "--platform", "x86_64-manylinux_2_28"]
    code = main.run(["deepen", "pylock.toml", *options])
    err = capfd.readouterr().err
    assert ("Traceback" in err, code, "pylock.toml" in err) == (False, 2, True), err


LOCKED = [
    "audit",
    "verify",
    "policy",
    "why",
    "tree",
    "export",
    "report",
    "diff",
    "lock",
    "outdated",
    "fetch",
    "wheelhouse",
    "git-textconv",
]


@pytest.mark.parametrize(
    "change",
    [
        ('requires-python = ">=3.12"', f'requires-python = ">={HUGE[:4400]}"'),
        ('version = "1.0"', f'version = "{HUGE}"'),
        ('lock-version = "1.0"', f'lock-version = "{HUGE}"'),
        ("revision = 0", f"revision = {HUGE}"),
        ("size = ", f"size = {HUGE}"),
        ("[[packages]]", f"[[packages]]\nmarker = \"python_version >= '{HUGE}'\""),
        ("[[packages]]", "[[packages]]\nmarker = 1.5"),
        ("created-by", "[" * 5000),
    ],
    ids=lambda change: change[1][:30],
)
def test_a_bad_lock_is_named(
    change: tuple[str, str], index: IndexServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _lock(index) == 0
    text = (folder / "deep.lock").read_text(encoding="utf-8")
    (folder / "deep.lock").write_text(text.replace(*change, 1), encoding="utf-8")
    capfd.readouterr()
    for command in LOCKED:
        more = {
            "why": ["thing"],
            "export": ["-f", "requirements"],
            "diff": ["deep.lock", "deep.lock"],
            "git-textconv": ["deep.lock"],
            "audit": ["--database", "all.zip"],
        }
        code = _lock(index) if command == "lock" else main.run([command, *more.get(command, [])])
        err = capfd.readouterr().err
        assert "Traceback" not in err, command
        assert code != failures.INTERNAL, (command, err)


@contextmanager
def _as_user() -> Iterator[None]:
    """Run as a user whom the modes of files apply to."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="folders have no search permission")
@pytest.mark.parametrize("command", [["export", "-f", "requirements"], ["policy"], ["tree"], ["fetch", "-d", "out"]])
def test_a_lock_in_a_folder_that_may_not_be_searched(
    command: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    closed = folder / "closed"
    closed.mkdir()
    (closed / "deep.lock").write_text("", encoding="utf-8")
    main.run([*command, "--lock", "closed/deep.lock"])  # loads the modules, which another user may not read
    capfd.readouterr()
    closed.chmod(0o000)
    try:
        with _as_user():
            code = main.run([*command, "--lock", "closed/deep.lock"])
    finally:
        closed.chmod(0o700)
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert (code, "Permission denied" in err) == (2, True), err


@pytest.mark.skipif(os.name != "posix", reason="the program is a shell script")
@pytest.mark.parametrize("printed", [r"\377\376", r"/\000x", "", r"a\nb", r"\033[2J"])
@pytest.mark.parametrize("command", [["git-setup"], ["git-setup", "--check"], ["diff", "HEAD~1"]])
def test_output_of_git(
    printed: str, command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = folder / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '{printed}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (folder / "deep.lock").write_bytes((ROOT / "fixtures" / "locks" / "small.lock").read_bytes())
    code = main.run(command)
    err = capfd.readouterr().err
    assert ("Traceback" in err, code in {0, 1, 2}, "\033" in err) == (False, True, False), err
