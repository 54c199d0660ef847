"""A published file never changes: other bytes under a locked name end with exit code 4, unless the user names the file."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Release, Releases, release_files
from tests.support.scenarios import Bench, bench

FLIT = {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"}
HELD: Releases = {
    "lib 1.0": {"requires": ["dep"]},
    "dep 1.0": {},
    "made 1.0": FLIT,
    "maker 1.0": {},
    "direct 1.0": {},
    "extra 1.0": {},
}
OTHER: dict[str, tuple[str, Release]] = {
    "dep-1.0-py3-none-any.whl": ("dep 1.0", {"comment": "other bytes"}),
    "made-1.0.tar.gz": ("made 1.0", {**FLIT, "tree": {"new.txt": "other bytes"}}),
    "maker-1.0-py3-none-any.whl": ("maker 1.0", {"comment": "other bytes"}),
    "direct-1.0-py3-none-any.whl": ("direct 1.0", {"comment": "other bytes"}),
}
"""By the name of the file: the release that has it, and what it has now."""


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, HELD) as own:
        own.ask("lib", "made", "direct @ {file:direct-1.0-py3-none-any.whl}")
        ran = own.lock()
        assert ran.code == 0, ran.stderr
        yield own


def change(made: Bench, filename: str) -> tuple[str, str]:
    """Let the index have other bytes; return the digest before and the one now."""
    key, release = OTHER[filename]
    digests = [
        hashlib.sha256(file.content).hexdigest()
        for releases in (HELD[key], release)
        for file in release_files(key, releases)
        if file.filename == filename
    ]
    made.hold({**HELD, key: release})
    return digests[0], digests[1]


@pytest.mark.parametrize("filename", OTHER)
@pytest.mark.parametrize("how", ["-U", "-P", "-P==", "--upgrade-build", "lock", "-U, unreadable options"])
def test_other_bytes_are_refused_and_taken_by_name(made: Bench, filename: str, how: str) -> None:
    before = made.lock().text
    was, now = change(made, filename)
    name = filename.partition("-")[0]
    flags = {"-P": ("-P", name), "-P==": ("-P", f"{name}==1.0"), "lock": ("-P", "lib")}.get(
        how, (how.partition(",")[0],)
    )
    if "," in how:
        flags = (*flags, "--prerelease", "allow")
    refused = made.lock("--refresh", *flags)
    if how in {"--upgrade-build", "lock"} and filename.startswith("direct"):
        assert refused.code == 0, "the archive of a kept pin is in the cache, by its digest"
        return
    assert refused.code == 4, refused.stderr
    assert was in refused.stderr
    assert now in refused.stderr
    assert f"--accept-changed-file {filename}" in refused.stderr
    assert refused.text == before
    other = made.lock("--refresh", *flags, "--accept-changed-file", "another-1.0.tar.gz")
    assert (other.code, other.text) == (4, before)
    taken = made.lock("--refresh", *flags, "--accept-changed-file", filename)
    assert taken.code == 0, taken.stderr
    assert now in taken.text
    assert was not in taken.text


def test_a_file_that_is_accepted_needs_no_other_option(made: Bench) -> None:
    digests = [change(made, filename) for filename in OTHER]
    made.hold({**HELD, **dict(OTHER.values())})
    flags = [word for filename in OTHER for word in ("--accept-changed-file", filename)]
    taken = made.lock("--refresh", *flags)
    assert taken.code == 0, taken.stderr
    assert [(now in taken.text, was in taken.text) for was, now in digests] == [(True, False)] * len(OTHER)


def test_add_refuses_other_bytes(made: Bench) -> None:
    was, now = change(made, "dep-1.0-py3-none-any.whl")
    assert run(["add", *made.flags(), "--refresh", "extra"]) == 4
    stderr = made.capture.readouterr().err
    assert was in stderr
    assert now in stderr
    assert "extra" not in (made.folder / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("both", ["one side", "both sides"])
def test_a_merge_refuses_other_bytes(made: Bench, both: str) -> None:
    path = made.folder / "deep.lock"
    base = path.read_text(encoding="utf-8")
    filename = "maker-1.0-py3-none-any.whl"
    was, now = change(made, filename)
    theirs = made.lock("--refresh", "--accept-changed-file", filename).text
    assert now in theirs
    made.hold({**HELD, "dep 1.1": {}, "maker 1.1": {}})
    path.write_text(base, encoding="utf-8")
    ours = made.lock("--refresh", "-P", "maker" if both == "both sides" else "dep").text
    assert ours != base
    files = [made.folder / side for side in ("base", "ours", "theirs")]
    for file, text in zip(files, (base, ours, theirs), strict=True):
        file.write_text(text, encoding="utf-8")
    made.capture.readouterr()
    code = run(["git-merge", *map(str, files), str(path)])
    stderr = made.capture.readouterr().err
    if both == "both sides":  # the newer version is taken: the changed file is in no side of the result
        assert code == 0, stderr
        assert now not in files[1].read_text(encoding="utf-8")
        return
    assert code == 4, stderr
    assert was in stderr
    assert now in stderr
    assert files[1].read_text(encoding="utf-8") == ours


def test_a_merge_that_locks_again_refuses_other_bytes(made: Bench) -> None:
    """Both sides changed a package. One of them took another file, which is what the index has now."""
    path = made.folder / "deep.lock"
    base = path.read_text(encoding="utf-8")
    filename = "maker-1.0-py3-none-any.whl"
    was, now = change(made, filename)
    changed = {**HELD, "maker 1.0": OTHER[filename][1]}
    made.hold({**changed, "dep 1.1": {}})
    theirs = made.lock("--refresh", "-P", "dep", "--accept-changed-file", filename).text
    path.write_text(base, encoding="utf-8")
    made.hold({**HELD, "dep 1.1": {}, "dep 1.2": {}})
    ours = made.lock("--refresh", "-P", "dep").text
    assert (now in theirs, now in ours) == (True, False)
    made.hold({**changed, "dep 1.1": {}, "dep 1.2": {}})
    files = [made.folder / side for side in ("base", "ours", "theirs")]
    for file, text in zip(files, (base, ours, theirs), strict=True):
        file.write_text(text, encoding="utf-8")
    assert run(["cache", "clean"]) == 0
    made.capture.readouterr()
    code = run(["git-merge", *map(str, files), str(path)])
    stderr = made.capture.readouterr().err
    assert code == 4, stderr
    assert "the branches differ" in stderr
    assert was in stderr
    assert now in stderr
    assert files[1].read_text(encoding="utf-8") == ours
