"""`deep-lock wheelhouse`, through the front door: real sdists, real builds, and pip from the folder alone."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from deep_lock.files import is_temporary
from deep_lock.lockfile.reader import from_text
from tests.support import schemas
from tests.support.scenario_server import UPLOADED, Releases
from tests.support.scenarios import HERE, MINOR
from tests.support.wheelhouses import BASE, BUILD, CHAIN, HOOKS, RUNTIME, STRONG, Yard, sdist, yard

C_SOURCE = """
#include <Python.h>
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "answer", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_answer(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "ANSWER", 42)) return NULL;
    return module;
}
"""


@pytest.fixture
def chain(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    with yard(tmp_path, capsys, monkeypatch, CHAIN, "app-lib") as made:
        yield made


@pytest.fixture
def open_yard(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give what locks one sdist "thing 1.0", made from these words, with releases beside it."""
    with ExitStack() as stack:

        def opened(release: Mapping[str, Any], *, hooks: str = HOOKS, beside: Releases | None = None) -> Yard:
            releases = {**BASE, **(beside or {}), "thing 1.0": release}
            return stack.enter_context(yard(tmp_path, capsys, monkeypatch, releases, "thing", hooks=hooks))

        yield opened


def pip_install(folder: Path, target: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--no-index", "--disable-pip-version-check"]
    command += ["--find-links", str(folder), "--require-hashes", "-r", str(folder / "requirements.txt")]
    ended = subprocess.run(
        [*command, "--target", str(target)], env=environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def evaluated(target: Path, code: str) -> str:
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(target)!r})\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# -- what is made


def test_a_chain_is_built_and_pip_installs_it_from_the_folder_alone(chain: Yard, tmp_path: Path) -> None:
    ended = chain.make()
    assert ended.code == 0, ended.stderr
    assert chain.wheels() == RUNTIME
    assert chain.wheels("build") == BUILD
    assert ended.count("built") == 4
    pip_install(chain.folder, tmp_path / "site")
    assert evaluated(tmp_path / "site", "import app_lib; print(app_lib.shared.NAME)") == "shared"
    lines = (chain.folder / "requirements.txt").read_text().splitlines()
    for line in lines:
        name, digest = re.fullmatch(r"([\w-]+)==[\d.]+ --hash=sha256:(\w+)", line).groups()  # type: ignore[union-attr]  # None fails
        (path,) = chain.folder.glob(f"{name.replace('-', '_')}-*.whl")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert [line.partition("==")[0] for line in lines] == ["app-lib", "other", "shared"]


def test_each_hook_has_a_fresh_copy_of_the_tree(chain: Yard) -> None:
    assert chain.make().code == 0
    with zipfile.ZipFile(chain.folder / "app_lib-1.0-py3-none-any.whl") as archive:
        assert "touched-by-the-hook.py" not in archive.namelist()


def test_a_second_run_builds_nothing_and_asks_for_nothing(chain: Yard) -> None:
    assert chain.make().code == 0
    before = {path: path.stat().st_mtime_ns for path in chain.folder.rglob("*") if path.is_file()}
    chain.bench.server.hold({})
    again = chain.make("--offline")
    assert (again.code, again.asked) == (0, ()), again.stderr
    assert (again.count("built"), again.count("built before")) == (0, 4)
    assert {path: path.stat().st_mtime_ns for path in chain.folder.rglob("*") if path.is_file()} == before
    assert chain.make("--offline", hooks="static").code == 0, "where nothing is built, nothing needs leave to run"


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_what_is_lost_or_changed_is_built_again_and_nothing_else(chain: Yard, jobs: str) -> None:
    assert chain.make().code == 0
    (chain.folder / "build" / "tool-0.5-py3-none-any.whl").unlink()
    with (chain.folder / "other-1.0-py3-none-any.whl").open("ab") as file:
        file.write(b"x")
    again = chain.make("--jobs", jobs)
    assert again.code == 0, again.stderr
    assert re.findall(r"^    (\S+) ", again.stderr, re.MULTILINE) == ["other", "tool"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 1, "built": [{"name": "../x.whl", "digest": "", "sha256": ""}]}']
)
def test_notes_that_cannot_be_read_are_none(chain: Yard, text: str) -> None:
    assert chain.make().code == 0
    (chain.folder / "wheelhouse.json").write_text(text)
    again = chain.make()
    assert (again.code, again.count("built")) == (0, 4), again.stderr


def test_after_fetch_no_network_and_no_cache_is_needed(chain: Yard, tmp_path: Path) -> None:
    files = tmp_path / "files"
    assert run(["fetch", "--lock", str(chain.lock), "-d", str(files)]) == 0
    assert run(["cache", "clean"]) == 0
    lacking = chain.make("--offline")
    assert (lacking.code, lacking.asked) == (3, ())
    ended = chain.make("--offline", "--from", str(files))
    assert (ended.code, ended.asked) == (0, ()), ended.stderr
    assert chain.wheels() == RUNTIME


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
def test_an_extension_is_compiled_in_the_sandbox(open_yard: Any, tmp_path: Path) -> None:
    release = sdist(says={"compiles": "answer.c"})
    release["tree"]["answer.c"] = C_SOURCE
    made = open_yard(release)
    ended = made.make()
    assert ended.code == 0, ended.stderr
    pip_install(made.folder, tmp_path / "site")
    assert evaluated(tmp_path / "site", "import answer; print(answer.ANSWER)") == "42"


def test_a_build_has_the_time_of_its_sdist_or_the_one_that_is_set(
    open_yard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = open_yard({**sdist(), "uploaded": UPLOADED})

    def epoch() -> str:
        with zipfile.ZipFile(made.folder / "thing-1.0-py3-none-any.whl") as archive:
            return archive.read("thing_epoch.py").decode().split()[-1]

    assert made.make().code == 0
    assert epoch() == "1714979289"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert made.make().count("built") == 1
    assert epoch() == "1000000000"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert made.make().code == 2


def test_an_sdist_of_unknown_time_is_built_in_1980(open_yard: Any) -> None:
    made = open_yard({**sdist(), "uploaded": ""})
    assert made.make().code == 0
    with zipfile.ZipFile(made.folder / "thing-1.0-py3-none-any.whl") as archive:
        assert archive.read("thing_epoch.py") == b"EPOCH = 315532800\n"


@pytest.mark.parametrize("suffix", [".zip", ".tar.bz2", ".tar.xz"])
def test_an_sdist_of_an_older_format_is_locked_read_back_checked_and_built(
    open_yard: Any, suffix: str, tmp_path: Path
) -> None:
    release = sdist("helper", says={"uses": ["helper"], "asks": ["helper"]}, thing="NAME = 'thing'\n")
    made: Yard = open_yard(
        {**release, "sdist": f"thing-1.0{suffix}"},
        beside={"helper 1.0": {**sdist(helper=""), "sdist": f"helper-1.0{suffix}"}},
    )
    text = made.lock.read_text(encoding="utf-8")
    assert f'sdist = {{name = "thing-1.0{suffix}"' in text
    lock = from_text(text, "deep.lock")
    assert [build.evidence for build in lock.builds if build.name == "thing"] == ["observed"], "hooks ran on it"
    checked = made.bench.lock("--check")
    assert (checked.code, checked.asked, checked.text) == (0, (), text), checked.stderr
    assert run(["verify", "--lock", str(made.lock), "--deep", "--fail-on", "note"]) == 0
    files = tmp_path / "files"
    assert run(["fetch", "--lock", str(made.lock), "-d", str(files)]) == 0
    ended = made.make("--offline", "--from", str(files))
    assert (ended.code, ended.count("built")) == (0, 2), ended.stderr
    pip_install(made.folder, tmp_path / "site")
    assert evaluated(tmp_path / "site", "import thing; print(thing.NAME)") == "thing"


def test_a_format_that_is_not_read_is_refused_with_the_reason(open_yard: Any) -> None:
    made: Yard = open_yard({**sdist(), "sdist": "thing-1.0.tar.Z", "wheels": ["py3-none-any"]})
    made.bench.ask(f"thing @ {made.bench.server.url.removesuffix('simple/')}files/thing-1.0.tar.Z")
    locked = made.bench.lock("-U")
    assert locked.code == 4
    assert "thing-1.0.tar.Z: not a supported format of source distributions" in locked.stderr


@pytest.mark.parametrize("filename", ["thing-1.0.tar.gz", "thing-1.0-py3-none-any.whl"])
def test_an_archive_that_was_named_directly_is_taken(open_yard: Any, filename: str, tmp_path: Path) -> None:
    made: Yard = open_yard(
        {**sdist(thing="NAME = 'thing'\n"), "wheels": ["py3-none-any"], "modules": {"thing.py": "NAME = 'thing'\n"}}
    )
    made.bench.ask(f"thing @ {made.bench.server.url.removesuffix('simple/')}files/{filename}")
    locked = made.bench.lock("-U")
    assert locked.code == 0, locked.stderr
    ended = made.make()
    assert ended.code == 0, ended.stderr
    assert ended.count("built") == filename.endswith(".tar.gz")
    pip_install(made.folder, tmp_path / "site")
    assert evaluated(tmp_path / "site", "import thing; print(thing.NAME)") == "thing"


def test_a_source_tree_that_was_named_directly_is_refused(open_yard: Any) -> None:
    made: Yard = open_yard(sdist())
    made.bench.write(
        {"tree/pyproject.toml": '[build-system]\nrequires = []\n[project]\nname = "tree"\nversion = "1"\n'}
    )
    made.bench.ask("tree @ file:{folder}/tree", "thing")
    locked = made.bench.lock("-U")
    assert locked.code == 0, locked.stderr
    ended = made.make()
    assert ended.code == 4
    assert "tree @ tree is a source tree" in ended.stderr


def test_what_moves_to_the_run_time_is_not_built_again(chain: Yard) -> None:
    assert chain.make().code == 0
    chain.bench.ask("app-lib", "tool")
    assert chain.bench.lock().code == 0
    again = chain.make()
    assert (again.code, again.count("built")) == (0, 0), again.stderr
    assert (chain.wheels(), chain.wheels("build")) == (
        RUNTIME | {"tool-0.5-py3-none-any.whl"},
        {"maker-3.0-py3-none-any.whl"},
    )


def test_wheels_that_the_lock_does_not_name_are_told_of(chain: Yard) -> None:
    chain.folder.mkdir()
    (chain.folder / "shared-9.0-py3-none-any.whl").write_bytes(b"")
    ended = chain.make()
    assert ended.code == 0
    assert "files that are not in the lock: shared-9.0-py3-none-any.whl" in ended.stderr


# -- which target


def test_a_target_that_does_not_run_here_is_refused(chain: Yard) -> None:
    assert chain.make("--target", "cp399-moon").code == 2
    chain.bench.platforms = ["x86_64-windows"]
    chain.bench.hooks = "static"
    assert chain.bench.lock("-U").code == 0
    ended = chain.make()
    assert ended.code == 2
    assert "no target of deep.lock runs on this machine" in ended.stderr
    ended = chain.make("--target", f"cp3{MINOR[2:]}-x86_64-windows")
    assert ended.code == 2
    assert "does not run on this machine" in ended.stderr


def test_of_two_targets_that_run_here_one_is_named(chain: Yard) -> None:
    platform = HERE.partition("-")[2]
    family, level = platform.rpartition("_")[::2]
    if not platform.startswith(("x86_64-manylinux", "aarch64-manylinux")):
        pytest.skip("this machine has no older platform of its kind")
    older = f"{family}_{int(level) - 1}"
    chain.bench.platforms = ["host", older]
    assert chain.bench.lock("-U").code == 0
    ended = chain.make()
    assert ended.code == 2
    assert "name one: --target" in ended.stderr
    assert chain.make("--target", HERE).code == 0


# -- what is not locked


def test_other_bytes_than_locked_are_refused(chain: Yard, tmp_path: Path) -> None:
    files = tmp_path / "files"
    assert run(["fetch", "--lock", str(chain.lock), "-d", str(files)]) == 0
    assert run(["cache", "clean"]) == 0
    for name in ("tool-0.5.tar.gz", "zipper-1.0-py3-none-any.whl"):
        truth = (files / name).read_bytes()
        (files / name).unlink()
        (files / name).write_bytes(truth[:-1] + bytes([truth[-1] ^ 1]))
        ended = chain.make("--from", str(files))
        assert ended.code == 4
        assert name in ended.stderr
        assert "was expected" in ended.stderr
        assert not chain.wheels("build")
        (files / name).write_bytes(truth)
    assert chain.make("--from", str(files)).code == 0


@pytest.mark.parametrize("name", ["app-lib", "tool"])
def test_a_build_without_a_record_is_refused(chain: Yard, name: str) -> None:
    chain.edit(rf'^\[\[tool\.deep-lock\.builds\]\]\nname = "{name}".*?(?=^\[\[|\Z)', "")
    ended = chain.make()
    assert ended.code == 4
    assert re.search(rf"{name} \S+ lists an sdist, but has no build record", ended.stderr)
    assert "run deep-lock lock" in ended.stderr
    assert not chain.wheels()


def test_a_lock_without_builds_is_refused(chain: Yard) -> None:
    assert chain.bench.lock("--build-scope=none").code == 0
    ended = chain.make()
    assert ended.code == 4
    assert "--build-scope needed" in ended.stderr


EDITED: Mapping[str, tuple[str, str, str]] = {
    "a member is gone": (r'^    \{name = "zipper", version = "1\.0"\},\n', "", "is not closed"),
    "another sdist was recorded": (r'^sdist = "sha256:....', 'sdist = "sha256:0000', "is of another sdist"),
    "no wheel fits": (r"zipper-1\.0-py3-none-any", "zipper-1.0-cp27-cp27-win32", "zipper 1.0 has no file that fits"),
}


@pytest.mark.parametrize("case", EDITED)
def test_a_lock_that_is_not_closed_is_refused(chain: Yard, case: str) -> None:
    pattern, text, message = EDITED[case]
    chain.edit(pattern, text)
    ended = chain.make()
    assert ended.code == 4
    assert message in ended.stderr
    assert not chain.wheels()


@pytest.mark.parametrize("asked", ["more", "shared>=3", "shared[fast]"])
def test_a_backend_that_asks_for_what_is_not_locked_is_refused(open_yard: Any, asked: str) -> None:
    made = open_yard(
        sdist("shared", says={"asks": [asked, "shared; python_version < '3'"]}), hooks="static", beside={"more 1.0": {}}
    )
    ended = made.make()
    assert ended.code == 4
    assert f"the backend of thing 1.0 requires {asked}" in ended.stderr
    assert "run deep-lock lock" in ended.stderr
    assert not made.wheels()


DIFFERENT: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "name": ({"name": "thong"}, "made thong-1.0-py3-none-any.whl, another release"),
    "version": ({"version": "1.1"}, "made thing-1.1-py3-none-any.whl, another release"),
    "tags": ({"tags": "cp27-none-any"}, "does not fit"),
    "filename": ({"tags": "any"}, "is not the name of a wheel"),
    "python": ({"python": "<3"}, "requires Python <3"),
    "one more": ({"requires": ["shared>=1", "more"]}, "requires more, but its entry in the lock does not"),
    "one less": ({"requires": []}, "does not require shared, and its lock entry does"),
    "newer": ({"requires": ["shared>=3"]}, "requires shared>=3 at run time on"),
    "elsewhere": ({"requires": ["shared @ https://files.example/shared.zip"]}, "requires a direct URL"),
    "broken": ({"requires": ["shared >>> 3"]}, "the wheel that was built of thing 1.0"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_wheel_that_is_not_the_locked_one_is_refused(open_yard: Any, case: str) -> None:
    says, message = DIFFERENT[case]
    made = open_yard(sdist(says=says, requires=("shared>=1",)), beside={"more 1.0": {}})
    ended = made.make()
    assert ended.code == 4
    assert message in ended.stderr
    assert not (made.folder / "requirements.txt").exists()


def test_a_requirement_of_an_extra_that_nobody_asks_for_is_no_difference(open_yard: Any) -> None:
    says = {"requires": ["shared>=1", "more; extra == 'x'", "shared>=9; extra == 'x'"]}
    ended = open_yard(sdist(says=says, requires=("shared>=1",))).make()
    assert ended.code == 0, ended.stderr


# -- what fails


def test_a_build_that_fails_leaves_its_log_and_the_rest(chain: Yard) -> None:
    releases = {**CHAIN, "app-lib 1.0": sdist("maker", says={"says": "first\x1b[31m\nsecond", "fails": "no\u202eway"})}
    chain.relock(releases)
    ended = chain.make()
    assert ended.code == 4
    assert "app-lib 1.0: its backend failed" in ended.stderr
    assert r"RuntimeError: no\u{202e}way" in ended.stderr
    log = chain.folder / "logs" / "app-lib-1.0.log"
    assert str(log) in ended.stderr
    text = log.read_text()
    assert "first\\u{1b}[31m\nsecond" in text
    assert chain.wheels("build") == BUILD
    assert not (chain.folder / "requirements.txt").exists()


TOLD = """\
[project]
name = "project"
version = "1"
dependencies = ["thing"]

[tool.deep-lock.config-settings]
thing = {{mode = {}}}
"""
TELLING = """
import zipper
def get_requires_for_build_wheel(settings=None):
    return ["shared"] if settings["mode"] else []
def build_wheel(folder, settings=None, metadata=None):
    with open("thing.py", "w") as file:
        file.write("MODE = {!r}".format(settings["mode"]))
    return zipper.build_wheel(folder, settings, metadata)
"""


def test_a_backend_is_told_what_the_lock_says(open_yard: Any) -> None:
    wrapped = {**sdist(thing="", own=TELLING), "backend": "own", "backend-path": ["."]}
    made = open_yard(sdist(thing=""))
    for mode in (["b", "a"], "fast"):
        made.bench.write({"pyproject.toml": TOLD.format(json.dumps(mode))})
        made.relock({**BASE, "thing 1.0": wrapped})
        built = made.make()
        assert (built.code, built.count("built")) == (0, 1), built.stderr
        with zipfile.ZipFile(made.folder / "thing-1.0-py3-none-any.whl") as wheel:
            assert wheel.read("thing.py").decode() == f"MODE = {mode!r}"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_builds_that_fail_do_not_end_the_others(
    jobs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = {
        **BASE,
        "slow 1.0": sdist(says={"sleeps": 1}),
        "wrong 1.0": sdist(says={"fails": "no way"}),
        "worse 1.0": sdist(says={"fails": "ModuleNotFoundError: No module named 'yaml'"}),
        "above 1.0": sdist("wrong"),
        "top 1.0": sdist("above"),
        "zero 1.0": sdist(),
    }
    with yard(tmp_path, capsys, monkeypatch, releases, "slow", "wrong", "worse", "top", "zero") as made:
        ended = made.make("--jobs", jobs)
        assert ended.code == 4
        assert "2 builds failed:" in ended.stderr
        assert "wrong 1.0: its backend failed" in ended.stderr
        assert "worse 1.0: its backend failed" in ended.stderr
        assert "not built, because their builds need one of these: above 1.0, top 1.0\n" in ended.stderr
        assert '[tool.deep-lock.extra-build-requires]\nworse = ["pyyaml"]\n' in ended.stderr
        assert {path.name for path in (made.folder / "logs").iterdir()} == {"wrong-1.0.log", "worse-1.0.log"}
        assert made.wheels() == {"slow-1.0-py3-none-any.whl", "zero-1.0-py3-none-any.whl"}
        assert not (made.folder / "requirements.txt").exists()
        made.relock({**releases, "wrong 1.0": sdist(), "worse 1.0": sdist()})
        ended = made.make()
        assert (ended.code, ended.count("built"), ended.count("built before")) == (0, 4, 2), ended.stderr


@pytest.mark.parametrize(
    ("requires", "remedy"),
    [
        ((), "add to [tool.deep-lock.extra-build-requires]: for worse, the project that provides the module foolib\n"),
        (("foolib",), '[tool.deep-lock.extra-build-requires]\nworse = ["foolib"]\n'),
    ],
)
def test_a_module_that_a_build_lacks_names_a_project_only_if_that_is_known(
    requires: tuple[str, ...],
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worse = {**sdist(says={"fails": "ModuleNotFoundError: No module named 'foolib'"}), "requires": requires}
    with yard(tmp_path, capsys, monkeypatch, {**BASE, "worse 1.0": worse, "foolib 6.6": {}}, "worse") as made:
        ended = made.make()
        assert ended.code == 4
        assert remedy in ended.stderr


def test_a_build_that_fails_is_named_with_what_needs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = {**BASE, "wrong 1.0": sdist(says={"fails": "no way"}), "above 1.0": sdist("wrong")}
    with yard(tmp_path, capsys, monkeypatch, releases, "above") as made:
        ended = made.make()
        assert ended.code == 4
        assert "1 build failed:\n  wrong 1.0: its backend failed" in ended.stderr
        assert "not built, because their builds need one of these: above 1.0\n" in ended.stderr


def test_static_runs_nothing(chain: Yard) -> None:
    ended = chain.make(hooks="static")
    assert ended.code == 4
    assert "other 1.0, tool 0.5, maker 3.0, app-lib 1.0 have to be built" in ended.stderr
    assert "may not run here" in ended.stderr
    assert not chain.wheels("build")


@pytest.mark.skipif(not STRONG, reason="there is no sandbox here")
def test_a_build_has_no_network_unless_it_is_trusted(open_yard: Any) -> None:
    made: Yard = open_yard(sdist())
    host, port = made.bench.server.url.split("/")[2].split(":")
    made.relock({**BASE, "thing 1.0": sdist(says={"connects": [host, int(port)]})})
    assert made.make().code == 4
    assert made.make("--trust-hooks", "thing").code == 0
    assert made.make().code == 4, "what was built unconfined is not what a confined build makes"


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that cannot be caught")
def test_a_kill_leaves_whole_files(chain: Yard) -> None:
    releases = {**CHAIN, "app-lib 1.0": sdist("maker", says={"sleeps": 600})}
    chain.relock(releases)
    command = [sys.executable, "-m", "deep_lock", "wheelhouse", "--lock", str(chain.lock), "-d", str(chain.folder)]
    process = subprocess.Popen([*command, f"--hooks={HOOKS}"], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while len(chain.wheels("build")) < 2 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for path in chain.folder.rglob("*"):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
        elif path.name == "wheelhouse.json":
            json.loads(path.read_text())
        else:
            assert path.is_dir() or is_temporary(path.name)
    chain.relock(CHAIN)
    again = chain.make()
    assert again.code == 0, again.stderr
    assert again.count("built") <= 2 + 1


# -- receipts


def test_each_built_wheel_has_a_receipt_and_equal_builds_have_equal_wheels(chain: Yard, tmp_path: Path) -> None:
    assert chain.make().code == 0
    wheel = chain.folder / "app_lib-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        receipt = json.loads(archive.read("app_lib-1.0.dist-info/deep-lock.json"))
    schemas.check(receipt)
    schemas.check(json.loads((chain.folder / "wheelhouse.json").read_text(encoding="utf-8")))
    with zipfile.ZipFile(wheel) as archive:
        assert archive.namelist()[-1] == "app_lib-1.0.dist-info/RECORD"
    sdist_sha256 = hashlib.sha256(chain.bench.server.known["app_lib-1.0.tar.gz"].content).hexdigest()
    assert receipt["sdist"] == {"name": "app_lib-1.0.tar.gz", "sha256": sdist_sha256}
    built = {package["name"]: "build" in package for package in receipt["packages"]}
    assert built == {"maker": True, "tool": True, "zipper": False}
    assert (receipt["target"], receipt["sandbox"]) == (HERE, HOOKS == "sandbox")
    again = chain.make("-d", str(tmp_path / "again"))  # the last -d counts
    assert again.code == 0, again.stderr
    for path in (tmp_path / "again").rglob("*.whl"):
        assert path.read_bytes() == (chain.folder / path.relative_to(tmp_path / "again")).read_bytes()
