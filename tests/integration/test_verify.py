"""`deep-lock verify`, through the front door: a lock that was right, and an index, or a lock, that is not what it was."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import ReleaseFile, Releases
from tests.support.scenarios import LINUX, WINDOWS, Bench, bench

ON_LINUX = f"cp313-{LINUX}"
RELEASES: Releases = {
    "app-lib 1.0": {"requires": ["native>=1", "shared"]},
    "native 1.0": {
        "wheels": ["cp313-cp313-win_amd64"],
        "sdist": True,
        "build": ["maker"],
        "backend": "flit_core.buildapi",
    },
    "shared 2.0": {"license": "MIT"},
    "maker 3.0": {"wheels": [], "sdist": True, "build": ["flit_core"], "backend": "flit_core.buildapi"},
    "flit_core 3.9": {},
}


class Verifying:
    """A locked project, and the command."""

    def __init__(self, made: Bench) -> None:
        self.bench = made
        made.platforms = (LINUX, WINDOWS)
        made.ask("app-lib")
        locked = made.lock()
        assert locked.code == 0, locked.stderr

    @property
    def path(self) -> Path:
        return self.bench.folder / "deep.lock"

    def verify(self, *flags: str) -> tuple[int, str, str]:
        self.bench.capture.readouterr()
        code = run(["verify", "--lock", str(self.path), *flags])
        told = self.bench.capture.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    def found(self, *flags: str) -> tuple[int, list[tuple[str, str, str]]]:
        code, out, _ = self.verify("--format", "json", *flags)
        return code, [(one["severity"], one["code"], one["subject"]) for one in json.loads(out).get("findings", [])]

    def change(self, filename: str, **changes: Any) -> None:
        """Let the index have another file in the place of one."""
        for files in self.bench.server.projects.values():
            for place, file in enumerate(files):
                if file.filename == filename:
                    assert isinstance(file, ReleaseFile)
                    files[place] = self.bench.server.known[filename] = replace(file, **changes)
                    return
        raise LookupError(filename)

    def edit(self, old: str, new: str) -> None:
        """Edit the lock, as a hand would."""
        text = self.path.read_text(encoding="utf-8")
        assert text.count(old) >= 1, old
        self.path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def verifying(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Verifying]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        yield Verifying(made)


@pytest.mark.parametrize("flags", [(), ("--deep",)])
def test_a_lock_that_is_right_has_nothing(verifying: Verifying, flags: tuple[str, ...]) -> None:
    code, out, said = verifying.verify(*flags, "--fail-on", "note")
    assert (code, out) == (0, "")
    assert "verified 5 releases, 6 files: nothing found" in said


@pytest.mark.parametrize("signature", ["ignored", "needed"])
def test_another_signature_of_a_link_is_no_other_url(
    signature: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, capsys, monkeypatch, RELEASES, settings={"signature": signature}) as made:
        own = Verifying(made)
        if signature == "needed":
            own.edit("X-Amz-Signature=abc123", "X-Amz-Signature=abc122")
        code, found = own.found()
        assert (code, [each for each in found if each[1] == "url-changed"]) == (0, [])


def test_the_index_is_asked_now_and_the_lock_names_it(verifying: Verifying) -> None:
    before = len(verifying.bench.server.log)
    verifying.verify()
    asked = {request.path for request in verifying.bench.server.log[before:]}
    assert {f"/simple/{name}/" for name in ("app-lib", "native", "shared", "maker", "flit-core")} <= asked


def _sidecar(verifying: Verifying) -> None:
    verifying.change(
        "shared-2.0-py3-none-any.whl",
        metadata=b"Metadata-Version: 2.1\nName: shared\nVersion: 2.0\nRequires-Dist: evil\n",
    )


def _gone(verifying: Verifying) -> None:
    verifying.bench.server.projects["shared"].clear()


def _file_gone(verifying: Verifying) -> None:
    files = verifying.bench.server.projects["native"]
    files[:] = [file for file in files if not file.filename.endswith(".whl")]


def _wheel(verifying: Verifying) -> None:
    more = {**RELEASES, "native 1.0": {**RELEASES["native 1.0"], "wheels": ["cp313-cp313-win_amd64", "py3-none-any"]}}
    verifying.bench.hold(more)


def _late(verifying: Verifying) -> None:
    _wheel(verifying)
    verifying.change("native-1.0-py3-none-any.whl", uploaded="2024-09-01T00:00:00Z")


SHARED, NATIVE = "shared 2.0", "native 1.0"
CASES: Mapping[str, tuple[Callable[[Verifying], None], int, tuple[str, str, str]]] = {
    "yanked": (lambda own: own.change("shared-2.0-py3-none-any.whl", yanked="broken"), 1, ("finding", "yanked", SHARED)),
    "release gone": (_gone, 1, ("finding", "release-gone", SHARED)),
    "file gone": (_file_gone, 1, ("finding", "file-gone", NATIVE)),
    "other bytes": (lambda own: own.change("shared-2.0-py3-none-any.whl", sha256="0" * 64), 4, ("error", "hash-changed", SHARED)),
    "sidecar": (_sidecar, 4, ("error", "sidecar-differs", SHARED)),
    "a wheel": (_wheel, 1, ("finding", "wheel-appeared", NATIVE)),
    "late": (_late, 1, ("note", "late-file", NATIVE)),
    "status": (lambda own: own.bench.server.status.update(shared={"status": "archived", "reason": "moved"}), 1, ("finding", "project-status", "shared")),
    "moved": (lambda own: own.edit("/files/shared-2.0", "/other/shared-2.0"), 0, ("note", "url-changed", SHARED)),
    "time": (lambda own: own.edit("2024-05-06T07:08:09Z", "2019-05-06T07:08:09Z"), 1, ("error", "file-differs", "app-lib 1.0")),
    "size": (lambda own: own.edit("size = ", "size = 1"), 1, ("error", "file-differs", "app-lib 1.0")),
    "law": (lambda own: own.edit("tool.deep-lock.build-only = true\n", ""), 1, ("error", "lock-invalid", "the lock")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_as_it_was_is_found(case: str, verifying: Verifying) -> None:
    change, expected, finding = CASES[case]
    change(verifying)
    code, found = verifying.found()
    assert code == expected
    assert finding in found
    order = ["error", "finding", "note"]
    assert [order.index(one[0]) for one in found] == sorted(order.index(one[0]) for one in found)


def test_reasons_targets_and_remedies_are_told(verifying: Verifying) -> None:
    verifying.change("shared-2.0-py3-none-any.whl", yanked="a \x1b[31mreason\u202e")
    _, out, _ = verifying.verify()
    assert "finding: shared 2.0: the release is yanked: a \\u{1b}[31mreason\\u{202e}  [yanked]" in out
    assert "deep-lock lock -P shared" in out
    _wheel(verifying)
    _, out, _ = verifying.verify()
    assert f"    on {ON_LINUX}\n" in out


def test_a_gone_file_is_told_by_its_name(verifying: Verifying) -> None:
    _file_gone(verifying)
    assert "the index no longer has native-1.0-cp313-cp313-win_amd64.whl" in verifying.verify()[1]


def test_sarif_and_annotations_point_at_the_entry(verifying: Verifying) -> None:
    verifying.change("shared-2.0-py3-none-any.whl", yanked="broken")
    lines = verifying.path.read_text(encoding="utf-8").splitlines()
    number = lines.index('name = "shared"') + 1
    code, out, _ = verifying.verify("--format", "sarif")
    (found,) = json.loads(out)["runs"][0]["results"]
    assert (code, found["ruleId"], found["level"]) == (1, "yanked", "warning")
    assert found["locations"][0]["physicalLocation"]["region"] == {"startLine": number}
    _, out, _ = verifying.verify("--format", "github")
    assert out.startswith("::warning file=")
    assert f",line={number},title=yanked::" in out


DEEP: Mapping[str, tuple[str, str, tuple[str, str, str]]] = {
    "an edge of nobody": ('    {name = "native"},\n', '    {name = "native"},\n    {name = "flit-core"},\n', ("error", "edge-invented", "app-lib 1.0")),
    "another licence": ('license = "MIT"', 'license = "0BSD"', ("error", "license-differs", SHARED)),
    "other classifiers": ('license = "MIT"', 'license-classifiers = ["License :: OSI Approved :: MIT License"]', ("error", "license-differs", SHARED)),
    "another backend": ('backend = "flit_core.buildapi"', 'backend = "evil.backend"', ("error", "record-differs", "maker 3.0")),
    "another requirement": ('    "maker",\n', '    "flit_core",\n', ("error", "record-differs", NATIVE)),
    "another list of a record": ('    "flit_core",\n', '    "flit_core>=3",\n', ("error", "record-differs", "maker 3.0")),
}  # fmt: skip


@pytest.mark.parametrize("case", DEEP)
def test_an_edited_lock_is_found_by_deriving_it_again(case: str, verifying: Verifying) -> None:
    old, new, finding = DEEP[case]
    verifying.edit(old, new)
    assert finding not in verifying.found()[1], "only bytes can tell"
    code, found = verifying.found("--deep")
    assert code == 1
    assert finding in found


BACKEND_KNOWS = {"sdist": True, "metadata-version": "2.1", "build": ["flit_core"], "backend": "own", "backend-path": ["."], "tree": {"own.py": ""}}  # fmt: skip
UNPROVEN: Releases = {
    "app-lib 1.0": {"requires": ["built", "unbuilt", "shared"]},
    "built 1.0": {**BACKEND_KNOWS, "wheels": ["cp313-cp313-win_amd64"], "requires": ["shared"]},
    "unbuilt 1.0": {**BACKEND_KNOWS, "requires": ["shared"]},
    "shared 2.0": {"requires-python": ">= 3.8"},
    "flit_core 3.9": {},
}


@pytest.fixture
def unproven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Verifying]:
    """A lock that lists every sdist."""
    with bench(tmp_path, capsys, monkeypatch, UNPROVEN) as made:
        own = Verifying(made)
        with (made.folder / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write('\n[tool.deep-lock]\nfiles = "all"\n')
        assert made.lock().code == 0
        yield own


@pytest.mark.parametrize(("name", "invented"), [("built", False), ("unbuilt", True)])
def test_edges_of_a_build_are_the_backends_to_tell(name: str, *, invented: bool, unproven: Verifying) -> None:
    """What an sdist does not prove says nothing against an edge, unless every target takes a wheel anyway."""
    head = f'name = "{name}"\nversion = "1.0"\ndependencies = [\n'
    unproven.edit(head, head + '    {name = "app-lib"},\n')
    assert (("error", "edge-invented", f"{name} 1.0") in unproven.found("--deep")[1]) is invented


@pytest.mark.parametrize(("locked", "differs"), [(">=3.8", False), (">=3.7", True), (">=3.8,<4", True)])  # fmt: skip
def test_requires_python_is_compared_by_what_it_admits(locked: str, *, differs: bool, unproven: Verifying) -> None:
    """An index page may spell it otherwise than the metadata."""
    unproven.edit('requires-python = ">= 3.8"', f'requires-python = "{locked}"')
    assert (("error", "python-differs", SHARED) in unproven.found("--deep")[1]) is differs


def test_requires_python_that_the_lock_leaves_out_is_found(unproven: Verifying) -> None:
    unproven.edit('requires-python = ">= 3.8"\n', "")
    assert ("error", "python-differs", SHARED) in unproven.found("--deep")[1]


@pytest.mark.parametrize(("python", "found"), [(">=3.14", True), (">=3.13", False)])
def test_a_wheel_that_is_not_for_the_python_of_its_target_is_found(
    python: str, *, found: bool, verifying: Verifying
) -> None:
    """Its page states no Requires-Python; its metadata do."""
    release = {**RELEASES["shared 2.0"], "requires-python": python, "page-python": ""}
    verifying.bench.hold({**RELEASES, "shared 2.0": release})
    assert (("error", "python-excluded", SHARED) in verifying.found()[1]) is found


def test_deep_finds_bytes_that_the_index_lies_about(verifying: Verifying) -> None:
    """The page promises the old digest, and serves other bytes, as many."""
    truth = verifying.bench.server.known["native-1.0.tar.gz"]
    run(["cache", "clean"])
    verifying.change("native-1.0.tar.gz", content=truth.content[:-1] + b"!", sha256=truth.digest)
    assert verifying.found()[0] == 0
    code, found = verifying.found("--deep")
    assert code == 4
    assert ("error", "hash-changed", NATIVE) in found


def test_exit_codes_by_what_is_to_fail(verifying: Verifying) -> None:
    verifying.change("shared-2.0-py3-none-any.whl", yanked="broken")
    assert verifying.verify()[0] == 1
    assert verifying.verify("--fail-on", "error")[0] == 0
    assert verifying.verify("--fail-on", "note")[0] == 1
    verifying.bench.server.statuses["/simple/shared/"] = 500
    assert verifying.verify()[0] == 3
    verifying.path.unlink()
    assert verifying.verify()[0] == 2


def test_a_login_does_not_follow_an_index_to_where_only_the_lock_says_it_is(
    verifying: Verifying, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEFAULT", "INNER"):
        monkeypatch.setenv(f"DEEP_LOCK_INDEX_{name}_USERNAME", "user")
        monkeypatch.setenv(f"DEEP_LOCK_INDEX_{name}_PASSWORD", "secret")
    server = verifying.bench.server
    verifying.edit(f'default = "{server.url}"', f'default = "{server.url}"\ninner = "{server.url}"')
    before = len(server.log)
    assert verifying.verify()[0] == 0
    assert len(server.log) > before
    assert not [request for request in server.log[before:] if "authorization" in request.headers]
    assert verifying.verify("--default-index", server.url)[0] == 0
    assert [request for request in server.log if "authorization" in request.headers], (
        "a URL that was named has its login"
    )
