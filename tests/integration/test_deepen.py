"""`deep-lock deepen`, through the front door: another tool's pins in, the same pins and what builds them out."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from deep_lock.cli.main import run
from deep_lock.lockfile.reader import from_text
from deep_lock.models.lock import Lock
from tests.support.scenario_server import Releases
from tests.support.scenarios import LINUX, WINDOWS, Bench, bench, selected

ON_LINUX, ON_WINDOWS = f"cp313-{LINUX}", f"cp313-{WINDOWS}"
RELEASES: Releases = {
    "app-lib 1.0": {"requires": ["native>=1", "shared"]},
    "app-lib 2.0": {"requires": ["native>=1", "shared"]},
    "shared 2.0": {},
    "shared 3.0": {},
    "colours 1.0": {},
    "native 1.0": {
        "wheels": ["cp313-cp313-win_amd64"],
        "sdist": True,
        "build": ["maker"],
        "backend": "flit_core.buildapi",
    },
    "maker 2.0": {},
    "maker 3.0": {"wheels": [], "sdist": True, "build": ["flit_core"], "backend": "flit_core.buildapi"},
    "flit_core 3.9": {},
    "flit_core 3.8": {},
}
HEAD = """\
lock-version = "1.0"
created-by = "a test"
extras = ["tint"]
"""
APP = """
[[packages]]
name = "app-lib"
version = "1.0"
wheels = [{name = "app_lib-1.0-py3-none-any.whl", url = "{file:app_lib-1.0-py3-none-any.whl}", hashes = {sha256 = "{sha256:app_lib-1.0-py3-none-any.whl}"}}]
"""
COLOURS = """
[[packages]]
name = "colours"
version = "1.0"
marker = "'tint' in extras and sys_platform == 'win32'"
wheels = [{name = "colours-1.0-py3-none-any.whl", url = "{file:colours-1.0-py3-none-any.whl}", hashes = {sha256 = "{sha256:colours-1.0-py3-none-any.whl}"}}]
"""
NATIVE = """
[[packages]]
name = "native"
version = "1.0"
sdist = {name = "native-1.0.tar.gz", url = "{file:native-1.0.tar.gz}", hashes = {sha256 = "{sha256:native-1.0.tar.gz}"}}
wheels = [{name = "native-1.0-cp313-cp313-win_amd64.whl", url = "{file:native-1.0-cp313-cp313-win_amd64.whl}", hashes = {sha256 = "{sha256:native-1.0-cp313-cp313-win_amd64.whl}"}}]
"""
SHARED = """
[[packages]]
name = "shared"
version = "2.0"
wheels = [{name = "shared-2.0-py3-none-any.whl", url = "{file:shared-2.0-py3-none-any.whl}", hashes = {sha256 = "{sha256:shared-2.0-py3-none-any.whl}"}}]
"""
PYLOCK = HEAD + APP + COLOURS + NATIVE + SHARED


class Deepening:
    """A folder with another tool's lock, and the command."""

    def __init__(self, made: Bench) -> None:
        self.bench = made

    @property
    def path(self) -> Path:
        return self.bench.folder / "deep.lock"

    @property
    def lock(self) -> Lock:
        return from_text(self.path.read_text(encoding="utf-8"), "deep.lock")

    def write(self, text: str, name: str = "pylock.toml") -> None:
        self.bench.write({name: text})

    def deepen(self, *flags: str, name: str = "pylock.toml", declared: bool = True) -> tuple[int, str, list[str]]:
        """Run the command; return its exit code, what it said, and the paths that it asked the index for."""
        server = self.bench.server
        before = len(server.log)
        targets = [f"--platform={LINUX}", f"--platform={WINDOWS}", "--python-version=3.13"] if declared else []
        self.bench.capture.readouterr()
        code = run(
            [
                "deepen",
                str(self.bench.folder / name),
                "--default-index",
                server.url,
                "--hooks=static",
                *targets,
                *flags,
            ]
        )
        told = self.bench.capture.readouterr()
        assert told.out == ""
        assert "Traceback" not in told.err
        return code, told.err, [request.path for request in server.log[before:]]


@pytest.fixture
def deepening(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deepening]:
    with bench(tmp_path, capsys, monkeypatch, RELEASES) as made:
        yield Deepening(made)


def _pins(lock: Lock) -> list[str]:
    return [f"{entry.name}=={entry.version}" for entry in lock.packages if not entry.build_only]


# -- what is kept, and what is added


def test_runtime_pins_stay_and_the_build_layer_is_added(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    code, told, _ = deepening.deepen()
    assert code == 0, told
    lock = deepening.lock
    assert _pins(lock) == ["app-lib==1.0", "colours==1.0", "native==1.0", "shared==2.0"]
    assert [f"{entry.name}=={entry.version}" for entry in lock.packages if entry.build_only] == [
        "flit-core==3.9",
        "maker==3.0",
    ]
    assert [(build.name, build.targets) for build in lock.builds] == [("maker", (ON_LINUX,)), ("native", (ON_LINUX,))]
    markers = {entry.name: entry.marker for entry in lock.packages if not entry.build_only}
    assert markers["app-lib"] is None
    assert markers["colours"] == "'tint' in extras and sys_platform == 'win32'"
    assert lock.extras == ("tint",)
    assert lock.inputs.sources == ("pylock.toml",)
    assert lock.inputs.pinned
    app = next(entry for entry in lock.packages if entry.name == "app-lib")
    assert [reference.name for reference in app.dependencies] == ["native", "shared"]
    assert not app.direct, "a pylock.toml does not say what the project asks for"


def test_the_project_beside_it_says_what_is_direct_and_how_it_is_built(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    deepening.write(
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["app-lib"]\n'
        '[build-system]\nrequires = ["flit_core<3.9"]\nbuild-backend = "flit_core.buildapi"\n',
        "pyproject.toml",
    )
    code, told, _ = deepening.deepen()
    assert code == 0, told
    assert [entry.name for entry in deepening.lock.packages if entry.direct] == ["app-lib"]
    own = [build for build in deepening.lock.builds if build.needed == "project"]
    assert [[f"{member.name}=={member.version}" for member in build.packages] for build in own] == [["flit-core==3.8"]]


def test_lock_from_and_the_configuration_do_the_same(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    assert deepening.deepen()[0] == 0
    first = deepening.path.read_bytes()
    deepening.path.unlink()
    deepening.bench.platforms = (LINUX, WINDOWS)
    assert deepening.bench.lock("--from", str(deepening.bench.folder / "pylock.toml")).code == 0
    assert deepening.path.read_bytes() == first
    deepening.path.unlink()
    deepening.write('from-lock = "pylock.toml"\n', "deep-lock.toml")
    deepening.write('[project]\nname = "app"\nversion = "1"\ndependencies = ["colours"]\n', "pyproject.toml")
    assert deepening.bench.lock().code == 0
    assert _pins(deepening.lock) == ["app-lib==1.0", "colours==1.0", "native==1.0", "shared==2.0"]
    assert deepening.bench.lock("--check").code == 0


def test_from_stands_alone(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    deepening.write("shared\n", "in.txt")
    lock, more = str(deepening.bench.folder / "pylock.toml"), str(deepening.bench.folder / "in.txt")
    ended = deepening.bench.lock("--from", lock, "-r", more)
    assert ended.code == 2
    assert "--from cannot be used with" in ended.stderr


def test_only_the_extras_that_are_asked_for(deepening: Deepening) -> None:
    deepening.write(HEAD.replace('["tint"]', '["tint", "more"]') + APP + COLOURS + NATIVE + SHARED)
    assert deepening.deepen("--extra", "more")[0] == 0
    assert deepening.lock.extras == ("more",)
    assert "colours" not in {entry.name for entry in deepening.lock.packages}


def test_an_unlisted_file_is_not_taken(deepening: Deepening) -> None:
    """A wheel that was uploaded after the lock was made is no choice, though it would fit."""
    deepening.bench.hold({**RELEASES, "native 1.0": {**RELEASES["native 1.0"], "wheels": ["py3-none-any"]}})
    listed = NATIVE.partition("wheels = ")[0]
    deepening.write(HEAD + APP + COLOURS + listed + SHARED)
    code, told, _ = deepening.deepen()
    assert code == 0, told
    native = next(entry for entry in deepening.lock.packages if entry.name == "native")
    assert native.wheels == ()
    assert native.sdist is not None


# -- hashes


def test_other_bytes_on_the_index_are_an_error(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    assert deepening.deepen()[0] == 0
    before = deepening.path.read_bytes()
    digest = deepening.bench.filled("{sha256:shared-2.0-py3-none-any.whl}")
    deepening.write(PYLOCK.replace("{sha256:shared-2.0-py3-none-any.whl}", "0" * 64))
    code, told, asked = deepening.deepen("--check")
    assert (code, asked) == (1, [])
    assert "pylock.toml now has another sha256 for shared-2.0-py3-none-any.whl" in told
    code, told, _ = deepening.deepen()
    assert code == 4
    assert f"shared-2.0-py3-none-any.whl has sha256 {digest} on the index, but sha256 {'0' * 64} in pylock.toml" in told
    assert deepening.path.read_bytes() == before


# -- targets


def test_the_environments_of_the_file_name_the_targets(deepening: Deepening) -> None:
    head = HEAD.replace(
        "extras",
        "environments = [\"sys_platform == 'win32' and python_version == '3.13'\"]\nextras",
    )
    deepening.write(head + APP + COLOURS + NATIVE + SHARED)
    code, told, _ = deepening.deepen(declared=False)
    assert code == 0, told
    assert [target.name for target in deepening.lock.targets] == [ON_WINDOWS]
    assert deepening.lock.builds == ()
    code, told, _ = deepening.deepen(f"--platform={LINUX}", "--python-version=3.13", declared=False)
    assert code == 2
    assert f"pylock.toml is not for {ON_LINUX}" in told


def test_a_default_target_that_cannot_take_a_pin_is_left_out_and_a_declared_one_is_an_error(
    deepening: Deepening,
) -> None:
    only_wheels = NATIVE.replace(NATIVE.partition("wheels")[0].partition("sdist")[2], "").replace(
        "sdistwheels", "wheels"
    )
    assert "tar.gz" not in only_wheels
    deepening.write(
        HEAD.replace("extras", 'requires-python = "==3.13.*"\nextras') + APP + COLOURS + only_wheels + SHARED
    )
    code, told, _ = deepening.deepen(declared=False)
    assert code == 0, told
    assert [target.name for target in deepening.lock.targets] == [ON_WINDOWS]
    assert "all but cp313-x86_64-windows are left out" in " ".join(told.split())
    code, told, _ = deepening.deepen(declared=False)
    assert (code, deepening.lock.targets[0].name) == (0, ON_WINDOWS)
    code, told, _ = deepening.deepen()
    assert code == 1
    assert "pins native==1.0, which" in told
    assert "native-1.0-cp313-cp313-win_amd64.whl: its tags" in told


# -- what the file cannot say


def test_what_its_own_pins_do_not_meet_is_told(deepening: Deepening) -> None:
    deepening.write(HEAD + APP + NATIVE)
    code, told, _ = deepening.deepen()
    assert code == 0, told
    assert "app-lib 1.0: requires shared; pylock.toml does not contain it" in told
    assert _pins(deepening.lock) == ["app-lib==1.0", "native==1.0"], "nothing is added to the run time"
    assert "has no build dependencies for native 1.0" in told


def test_a_pin_without_a_hash_is_told(deepening: Deepening) -> None:
    deepening.write("app-lib==1.0\nnative==1.0\nshared==2.0\n", "requirements.txt")
    code, told, _ = deepening.deepen(name="requirements.txt")
    assert code == 0, told
    assert "has no sha256 for app-lib 1.0, native 1.0, shared 2.0" in told


# -- later runs


def test_check_is_about_the_file_and_asks_no_index(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    assert deepening.deepen("--check")[0] == 1
    assert deepening.deepen()[0] == 0
    code, told, asked = deepening.deepen("--check")
    assert (code, asked) == (0, []), told
    code, told, asked = deepening.deepen()
    assert (code, asked) == (0, []), "an up-to-date lock stays as it is"
    deepening.write(HEAD + APP.replace("1.0", "2.0") + COLOURS + NATIVE + SHARED)
    code, told, asked = deepening.deepen("--check")
    assert (code, asked) == (1, [])
    assert "pylock.toml now requires 'app-lib==2.0' instead of 'app-lib==1.0'" in told
    assert "deep-lock deepen" in told
    assert deepening.deepen()[0] == 0
    assert "app-lib==2.0" in _pins(deepening.lock)


def test_a_build_pin_moves_alone_and_a_runtime_pin_moves_in_its_own_file(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    assert deepening.deepen()[0] == 0
    before = deepening.lock
    assert deepening.deepen("-P", "maker==2.0")[0] == 0
    native = next(build for build in deepening.lock.builds if build.name == "native")
    assert [f"{member.name}=={member.version}" for member in native.packages] == ["maker==2.0"]
    assert _pins(deepening.lock) == _pins(before)
    code, told, _ = deepening.deepen("-P", "shared")
    assert code == 2
    assert "pylock.toml pins it at run time" in told


def test_two_releases_on_one_target_do_not_fit(deepening: Deepening) -> None:
    other = SHARED.replace("2.0", "3.0").replace('version = "3.0"', 'version = "3.0"\nmarker = "\'tint\' in extras"')
    first = SHARED.replace('version = "2.0"', 'version = "2.0"\nmarker = "\'tint\' not in extras"')
    deepening.write(HEAD + APP + NATIVE + first + other)
    code, told, _ = deepening.deepen()
    assert code == 1
    assert "pylock.toml contains shared twice" in told
    assert "--extra" in told


# -- --save

PLAIN = """\
# The project.
[project]
name = "app"
version = "1"
dependencies = ["colours"]

[tool.ruff]
line-length = 100
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PLAIN, f'{PLAIN}\n[tool.deep-lock]\nfrom-lock = "pylock.toml"\n'),
        (
            f"{PLAIN}\n[tool.deep-lock]  # ours\nhooks = 'static'  # none\n\n# Next.\n[tool.x]\n",
            (
                f"{PLAIN}\n[tool.deep-lock]  # ours\nhooks = 'static'  # none\n"
                'from-lock = "pylock.toml"\n\n# Next.\n[tool.x]\n'
            ),
        ),
        (
            f'{PLAIN}\n[tool.deep-lock]\nfrom-lock = "uv.lock"  # pins\n',
            f'{PLAIN}\n[tool.deep-lock]\nfrom-lock = "pylock.toml"  # pins\n',
        ),
    ],
)
def test_save_writes_the_key_and_lock_keeps_the_pins_from_then_on(
    deepening: Deepening, before: str, after: str
) -> None:
    deepening.write(PYLOCK)
    deepening.write(before, "pyproject.toml")
    code, told, _ = deepening.deepen("--save")
    assert code == 0, told
    assert "pyproject.toml: from-lock is pylock.toml" in told
    assert ("until now: uv.lock" in told) == ("uv.lock" in before)
    assert (deepening.bench.folder / "pyproject.toml").read_text(encoding="utf-8") == after
    made = deepening.path.read_bytes()
    deepening.bench.platforms = (LINUX, WINDOWS)
    assert deepening.bench.lock("--check").code == 0
    deepening.path.unlink()
    assert deepening.bench.lock().code == 0
    assert deepening.path.read_bytes() == made
    assert deepening.deepen("--save")[0] == 0
    assert (deepening.bench.folder / "pyproject.toml").read_text(encoding="utf-8") == after


def test_save_without_a_project_makes_a_deep_lock_toml(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    assert deepening.deepen("--save")[0] == 0
    path = deepening.bench.folder / "deep-lock.toml"
    assert path.read_text(encoding="utf-8") == 'from-lock = "pylock.toml"\n'
    deepening.path.unlink()
    deepening.bench.platforms = (LINUX, WINDOWS)
    ended = deepening.bench.lock()
    assert ended.code == 0, ended.stderr
    assert deepening.bench.lock("--check").code == 0
    assert _pins(deepening.lock) == ["app-lib==1.0", "colours==1.0", "native==1.0", "shared==2.0"]


def test_save_writes_to_the_deep_lock_toml_that_is_read(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    deepening.write(PLAIN, "pyproject.toml")
    deepening.write('hooks = "static"\n\n[policy]\nyanked = "error"\n', "deep-lock.toml")
    assert deepening.deepen("--save")[0] == 0
    folder = deepening.bench.folder
    assert (folder / "pyproject.toml").read_text(encoding="utf-8") == PLAIN
    expected = 'hooks = "static"\nfrom-lock = "pylock.toml"\n\n[policy]\nyanked = "error"\n'
    assert (folder / "deep-lock.toml").read_text(encoding="utf-8") == expected


def test_save_changes_nothing_where_the_lock_fails_or_nothing_is_written(deepening: Deepening) -> None:
    deepening.write(PYLOCK.replace("{sha256:shared-2.0-py3-none-any.whl}", "0" * 64))
    deepening.write(PLAIN, "pyproject.toml")
    assert deepening.deepen("--save")[0] == 4
    assert deepening.deepen("--save", "--check")[0] == 2
    assert (deepening.bench.folder / "pyproject.toml").read_text(encoding="utf-8") == PLAIN


UV = """
version = 1
conflicts = [[{ package = "app", extra = "old" }, { package = "app", extra = "new" }]]
[[package]]
name = "app"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "app-lib" }]
[package.optional-dependencies]
old = [{ name = "colours" }]
new = [{ name = "shared" }]
[[package]]
name = "app-lib"
version = "1.0"
source = { registry = "https://index.example/simple" }
dependencies = [{ name = "native", marker = "extra == 'extra-3-app-old'" }]
wheels = [{ url = "{file:app_lib-1.0-py3-none-any.whl}", hash = "sha256:{sha256:app_lib-1.0-py3-none-any.whl}" }]
[[package]]
name = "colours"
version = "1.0"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "{file:colours-1.0-py3-none-any.whl}", hash = "sha256:{sha256:colours-1.0-py3-none-any.whl}" }]
[[package]]
name = "native"
version = "1.0"
source = { registry = "https://index.example/simple" }
sdist = { url = "{file:native-1.0.tar.gz}", hash = "sha256:{sha256:native-1.0.tar.gz}" }
[[package]]
name = "shared"
version = "2.0"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "{file:shared-2.0-py3-none-any.whl}", hash = "sha256:{sha256:shared-2.0-py3-none-any.whl}" }]
"""


def test_extras_that_exclude_each_other_are_locked_together_and_decide_what_the_project_takes(
    deepening: Deepening,
) -> None:
    deepening.write(UV, "uv.lock")
    code, told, _ = deepening.deepen(name="uv.lock")
    assert code == 0, told
    parsed, target = (
        Pylock.from_dict(tomllib.loads(deepening.path.read_text(encoding="utf-8"))),
        deepening.bench.targets[0],
    )
    assert selected(parsed, target, extras=["old"]) == ["app-lib==1.0", "colours==1.0", "native==1.0"]
    assert selected(parsed, target, extras=["new"]) == ["app-lib==1.0", "shared==2.0"]
    assert selected(parsed, target, extras=[]) == ["app-lib==1.0"]
    assert deepening.deepen("--check", name="uv.lock")[0] == 0
    code, told, _ = deepening.deepen("--extra", "new", name="uv.lock")
    assert (code, _pins(deepening.lock)) == (0, ["app-lib==1.0", "shared==2.0"]), told
    code, told, _ = deepening.deepen("--extra", "old", name="uv.lock")
    assert (code, _pins(deepening.lock)) == (0, ["app-lib==1.0", "colours==1.0", "native==1.0"]), told


def test_a_plain_lock_over_a_deepened_one_says_so(deepening: Deepening) -> None:
    deepening.write(PYLOCK)
    assert deepening.deepen()[0] == 0
    deepening.bench.ask("shared")
    ended = deepening.bench.lock()
    assert ended.code == 0
    assert "deep.lock: was made from pylock.toml, and this run resolves the project again" in ended.stderr
    assert "was made from pylock.toml" not in deepening.bench.lock().stderr


# -- round trip


def test_what_is_exported_as_pylock_and_deepened_is_the_same_lock(deepening: Deepening) -> None:
    deepening.bench.platforms = (LINUX, WINDOWS)
    deepening.write(
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["app-lib<2"]\n'
        '[project.optional-dependencies]\ntint = ["colours"]\n'
        '[build-system]\nrequires = ["flit_core<3.9"]\nbuild-backend = "flit_core.buildapi"\n',
        "pyproject.toml",
    )
    assert deepening.bench.lock().code == 0
    first, folder = deepening.lock, deepening.bench.folder
    place = folder / "pylock.toml"
    assert run(["export", "-f", "pylock", "--lock", str(deepening.path), "-o", str(place)]) == 0
    deepening.path.unlink()
    code, told, _ = deepening.deepen()
    assert code == 0, told
    second = deepening.lock
    assert second.packages == first.packages
    assert second.builds == first.builds
    assert (second.targets, second.environments, second.extras) == (first.targets, first.environments, first.extras)


# -- hints lead to a lock

PIPFILE = """{"_meta": {"hash": {"sha256": "x"}, "pipfile-spec": 6, "requires": {"python_version": "3.13"}, "sources": []},
 "default": {"shared": {"version": "==2.0"}}, "develop": {"shared": {"version": "==3.0"}}}"""


def test_two_versions_in_default_and_develop_are_two_locks(deepening: Deepening) -> None:
    deepening.write(PIPFILE, "Pipfile.lock")
    code, told, _ = deepening.deepen(name="Pipfile.lock")
    assert code == 1
    assert "contains shared twice" in told
    assert "groups = [] in [tool.deep-lock]" in told
    assert "Pipfile.lock --only-group develop -o deep-develop.lock" in told
    folder = deepening.bench.folder
    code, told, _ = deepening.deepen(
        "--only-group", "develop", "-o", str(folder / "deep-develop.lock"), name="Pipfile.lock"
    )
    assert code == 0, told
    assert _pins(from_text((folder / "deep-develop.lock").read_text(encoding="utf-8"), "x")) == ["shared==3.0"]
    deepening.write("groups = []\n", "deep-lock.toml")
    code, told, _ = deepening.deepen(name="Pipfile.lock")
    assert code == 0, told
    assert _pins(deepening.lock) == ["shared==2.0"]


@pytest.mark.parametrize(
    "lines",
    [
        "shared==2.0\nshared==2.0 ; python_version < '3.9'\n",
        "shared==2.0\nshared==2.0 ; python_version >= '3.9'\n",
        "shared==2.0 ; python_version >= '3.9'\nshared==2.0 ; python_version < '3.14'\n",
        "shared==2.0 ; python_version >= '3.9'\nshared==2.0.0 ; sys_platform == 'win32'\n",
        "shared==2.0\nshared==2.0\n",
    ],
)
def test_one_version_on_two_lines_is_one_pin(deepening: Deepening, lines: str) -> None:
    deepening.write(lines, "requirements.txt")
    code, told, _ = deepening.deepen(name="requirements.txt")
    assert code == 0, told
    assert _pins(deepening.lock) == ["shared==2.0"]
    assert [entry.marker for entry in deepening.lock.packages] == [None]
    assert deepening.deepen("--check", name="requirements.txt")[0] == 0


def test_two_versions_under_markers_that_overlap_name_both_lines(deepening: Deepening) -> None:
    deepening.write(
        "shared==2.0 ; python_version >= '3.9'\nshared==3.0 ; python_version >= '3.10'\n", "requirements.txt"
    )
    code, told, _ = deepening.deepen(name="requirements.txt")
    assert code == 1
    assert "requirements.txt:1 and requirements.txt:2" in told


def test_the_pin_that_pip_freeze_of_debian_writes_is_left_out(deepening: Deepening) -> None:
    deepening.write("shared==2.0\npkg-resources==0.0.0\n", "requirements.txt")
    code, told, asked = deepening.deepen(name="requirements.txt")
    assert code == 0, told
    assert "pkg-resources==0.0.0" in told
    assert "is written by pip freeze on Debian and Ubuntu, and is not a package: it is left out" in told
    assert not [path for path in asked if "pkg-resources" in path]
    assert _pins(deepening.lock) == ["shared==2.0"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("shared==2.0+cu121", "2.0+cu121 has a local version, whose files are on an index of their own"),
        ("shared==2.7", "name the index that has shared 2.7, with --index URL"),
        ("strange==1.0", "name the index that has strange 1.0, with --index URL"),
    ],
)
def test_a_pin_that_no_index_has_names_the_remedy(deepening: Deepening, line: str, says: str) -> None:
    deepening.write(f"{line}\n", "requirements.txt")
    code, told, _ = deepening.deepen(name="requirements.txt")
    assert code == 1
    assert says in told
    assert "declare the targets" not in told


# -- Requires-Python that only the files state


def _silent(deepening: Deepening, python: str) -> None:
    release = {"requires-python": python, "page-python": ""}
    deepening.bench.hold({**RELEASES, "shared 2.0": release})
    deepening.write(HEAD + SHARED)


def test_a_pin_that_is_not_for_the_python_of_a_declared_target_is_an_error(deepening: Deepening) -> None:
    _silent(deepening, ">=3.14")
    code, told, _ = deepening.deepen()
    assert code == 1
    assert "shared==2.0, which cannot be used on cp313 on Linux, Windows" in told
    assert "its metadata needs Python >=3.14" in told


def test_a_default_target_that_a_pin_is_not_for_is_left_out(deepening: Deepening) -> None:
    _silent(deepening, ">=3.13")
    code, told, _ = deepening.deepen(declared=False)
    assert code == 0, told
    assert "are left out: pylock.toml [packages[0]] pins shared==2.0" in told
    assert {target.python for target in deepening.lock.targets}.isdisjoint({"3.11", "3.12"})
    assert [entry.requires_python for entry in deepening.lock.packages] == [">=3.13"]
