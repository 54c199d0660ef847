"""An index for an extra, a group or a platform: one project from several indexes in one lock, such as torch."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from deep_lock.cli.main import run
from deep_lock.lockfile.reader import from_text
from deep_lock.targets.target import Target
from tests.support import scenarios
from tests.support.scenario_server import Releases, release_files
from tests.support.scenarios import LINUX, MACOS, WINDOWS, Bench, bench

PUBLIC: Releases = {"torch 3.0": {"requires": ["numpy"]}, "numpy 1.0": {}, "vision 1.0": {"requires": ["torch"]}}
CPU: Releases = {"torch 2.0+cpu": {"requires": ["numpy"]}, "torch 2.0": {"requires": ["numpy"]}, "numpy 9.0": {}}
CUDA: Releases = {"torch 2.0+cu128": {"requires": ["numpy", "driver"]}, "driver 9.0": {}}
INDEXES = """
[[tool.deep-lock.index]]
name = "cpu"
url = "{cpu}"
explicit = true

[[tool.deep-lock.index]]
name = "cuda"
url = "{cuda}"
explicit = true
"""
PROJECT = """\
[project]
name = "app"
version = "1"
dependencies = ["numpy"]

[project.optional-dependencies]
cpu = ["torch"]
cu128 = ["torch"]
vision = ["vision"]
"""
CONFLICTS = '[tool.deep-lock]\nconflicts = [[{extra = "cpu"}, {extra = "cu128"}]]\n'
SOURCES = """
[tool.deep-lock.sources]
torch = [{index = "cpu", extra = "cpu"}, {index = "cuda", extra = "cu128"}]
"""


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    releases = {**PUBLIC, "driver 1.0": {}}
    with bench(tmp_path, capsys, monkeypatch, releases, indexes={"cpu": CPU, "cuda": CUDA}) as own:
        own.platforms = (LINUX, WINDOWS)
        monkeypatch.chdir(own.folder)
        yield own


def selected(text: str, target: Target, extras: str = "") -> list[str]:
    """Return what packaging.pylock selects from a lock."""
    return scenarios.selected(Pylock.from_dict(tomllib.loads(text)), target, extras=extras.split(), groups=())


def indexes(made: Bench, text: str) -> dict[str, str]:
    """Return the name of the index of each package, by "name==version marker"."""
    names = {server.url: name or "public" for name, server in made.servers.items()}
    return {
        f"{own.name}=={own.version} {own.marker or ''}".strip(): names[own.index or ""]
        for own in from_text(text, "deep.lock").packages
    }


def locked(made: Bench, text: str) -> str:
    """Lock, check it, and lock again with and without it: each time the same."""
    made.write({"pyproject.toml": text + INDEXES})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    checked = made.lock("--check")
    assert (checked.code, checked.asked) == (0, ()), checked.stderr
    again = made.lock("--refresh")
    assert (again.code, again.text) == (0, ended.text), again.stderr
    (made.folder / "deep.lock").unlink()
    assert made.lock().text == ended.text
    return ended.text


def test_each_extra_has_its_index(made: Bench) -> None:
    text = locked(made, PROJECT + CONFLICTS + SOURCES)
    linux, windows = made.targets
    assert selected(text, linux) == ["numpy==1.0"]
    assert selected(text, linux, "cpu") == ["numpy==1.0", "torch==2.0+cpu"]
    assert selected(text, windows, "cu128") == ["driver==1.0", "numpy==1.0", "torch==2.0+cu128"]
    assert selected(text, linux, "cu128 vision") == ["driver==1.0", "numpy==1.0", "torch==2.0+cu128", "vision==1.0"]
    assert selected(text, linux, "vision") == ["numpy==1.0", "torch==3.0", "vision==1.0"]
    assert indexes(made, text) == {
        "driver==1.0 'cu128' in extras": "public",
        "numpy==1.0": "public",
        "torch==2.0+cpu 'cpu' in extras": "cpu",
        "torch==2.0+cu128 'cu128' in extras": "cuda",
        "torch==3.0 'vision' in extras and 'cpu' not in extras and 'cu128' not in extras": "public",
        "vision==1.0 'vision' in extras": "public",
    }


def test_no_other_index_is_queried(made: Bench) -> None:
    made.write({"pyproject.toml": PROJECT.replace('vision = ["vision"]', "") + CONFLICTS + SOURCES + INDEXES})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    pages = {path for path in ended.asked if "/simple/" in path}
    assert pages == {"/simple/driver/", "/simple/numpy/", "cpu:/simple/torch/", "cuda:/simple/torch/"}


def test_a_source_for_every_requirement_is_used_where_no_extra_has_one(made: Bench) -> None:
    text = PROJECT + CONFLICTS + SOURCES.replace('"cu128"}', '"cu128"}, {index = "cpu"}')
    made.write({"pyproject.toml": text + INDEXES})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    assert "/simple/torch/" not in ended.asked
    assert selected(ended.text, made.targets[0], "vision") == ["numpy==1.0", "torch==2.0+cpu", "vision==1.0"]
    assert selected(ended.text, made.targets[0], "vision cu128") == [
        "driver==1.0",
        "numpy==1.0",
        "torch==2.0+cu128",
        "vision==1.0",
    ]


def test_one_version_of_two_indexes(made: Bench) -> None:
    made.servers["cpu"].hold({"torch 2.0": {"requires": ["numpy"]}})
    made.servers["cuda"].hold({"torch 2.0": {"requires": ["numpy", "driver"]}})
    text = locked(made, PROJECT + CONFLICTS + SOURCES)
    found = {(own.name, own.version, own.marker): own for own in from_text(text, "deep.lock").packages}
    cpu, cuda = found["torch", "2.0", "'cpu' in extras"], found["torch", "2.0", "'cu128' in extras"]
    assert (cpu.by_index, cuda.by_index) == (True, True)
    assert (cpu.index, cuda.index) == (made.servers["cpu"].url, made.servers["cuda"].url)
    assert cpu.wheels[0].sha256 != cuda.wheels[0].sha256
    linux, _ = made.targets
    assert selected(text, linux, "cpu vision") == ["numpy==1.0", "torch==2.0", "vision==1.0"]
    assert selected(text, linux, "cu128") == ["driver==1.0", "numpy==1.0", "torch==2.0"]


MARKERS = """
[tool.deep-lock.sources]
torch = [{index = "cpu", marker = "sys_platform == 'linux'"}, {index = "cuda", marker = "sys_platform == 'win32'"}]
"""
PLAIN = '[project]\nname = "app"\nversion = "1"\ndependencies = ["torch"]\n'


def test_an_index_of_a_platform(made: Bench) -> None:
    made.platforms = (LINUX, WINDOWS, MACOS)
    text = locked(made, PLAIN + MARKERS)
    linux, windows, macos = made.targets
    assert selected(text, linux) == ["numpy==1.0", "torch==2.0+cpu"]
    assert selected(text, windows) == ["driver==1.0", "numpy==1.0", "torch==2.0+cu128"]
    assert selected(text, macos) == ["numpy==1.0", "torch==3.0"]


def test_one_version_of_two_indexes_on_two_platforms(made: Bench) -> None:
    made.hold({**PUBLIC, "torch 2.0": {"requires": ["numpy"], "modules": {"torch.py": "public"}}})
    made.servers["cpu"].hold({"torch 2.0": {"requires": ["numpy"]}})
    only = MARKERS.partition(", {")[0].replace("[{", "{") + "}\n"
    text = locked(made, PLAIN.replace("torch", "torch<3") + only.replace('"}}', '"}'))
    assert indexes(made, text) == {
        "numpy==1.0": "public",
        "torch==2.0 sys_platform == 'linux'": "cpu",
        "torch==2.0 sys_platform == 'win32'": "public",
    }


def test_extras_with_different_indexes_must_exclude_each_other(made: Bench) -> None:
    made.write({"pyproject.toml": PROJECT + SOURCES + INDEXES})
    ended = made.lock()
    assert (ended.code, ended.asked, ended.text) == (2, (), "")
    cpu, cuda = made.servers["cpu"].url, made.servers["cuda"].url
    assert f"torch must come from different indexes on {made.targets[0].label}: {cpu} for extra 'cpu'" in ended.stderr
    assert f"{cuda} for extra 'cu128'" in ended.stderr
    assert CONFLICTS in ended.stderr


def test_three_extras_of_which_two_share_an_index(made: Bench) -> None:
    project = PROJECT.replace("vision =", 'cu129 = ["torch"]\nvision =')
    sources = SOURCES.replace("}]", '}, {index = "cuda", extra = "cu129"}]')
    made.write({"pyproject.toml": project + sources + INDEXES})
    ended = made.lock()
    lines = 'conflicts = [[{extra = "cpu"}, {extra = "cu128"}], [{extra = "cpu"}, {extra = "cu129"}]]\n'
    assert lines in ended.stderr
    text = locked(made, f"{project}[tool.deep-lock]\n{lines}{sources}")
    assert selected(text, made.targets[0], "cu128 cu129") == ["driver==1.0", "numpy==1.0", "torch==2.0+cu128"]


def test_an_extra_that_requires_another_one_has_its_index(made: Bench) -> None:
    project = PROJECT.replace('vision = ["vision"]', 'all = ["app[cpu]"]')
    made.write({"pyproject.toml": project + CONFLICTS + SOURCES + INDEXES})
    ended = made.lock()
    assert ended.code == 2
    lines = 'conflicts = [[{extra = "all"}, {extra = "cu128"}], [{extra = "cpu"}, {extra = "cu128"}]]\n'
    assert lines in ended.stderr
    text = locked(made, f"{project}[tool.deep-lock]\n{lines}{SOURCES}")
    assert selected(text, made.targets[0], "all") == ["numpy==1.0", "torch==2.0+cpu"]


GROUPS = """[project]
name = "app"
version = "1"

[dependency-groups]
dev = ["torch"]
gpu = ["torch"]

[tool.uv]
conflicts = [[{ group = "dev" }, { group = "gpu" }]]

[tool.uv.sources]
torch = [
    { index = "cpu", group = "dev" },
    { index = "cuda", group = "gpu", marker = "sys_platform == 'linux'" },
]

[[tool.uv.index]]
name = "cpu"
url = "{cpu}"
explicit = true

[[tool.uv.index]]
name = "cuda"
url = "{cuda}"
explicit = true
"""


def test_groups_and_the_tables_of_uv(made: Bench) -> None:
    made.write({"pyproject.toml": GROUPS})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    parsed = Pylock.from_dict(tomllib.loads(ended.text))
    linux, windows = made.targets
    dev, gpu = [["numpy==1.0", "torch==2.0+cpu"], ["driver==1.0", "numpy==1.0", "torch==2.0+cu128"]]
    assert scenarios.selected(parsed, linux, groups=["dev"]) == dev
    assert scenarios.selected(parsed, linux, groups=["gpu"]) == gpu
    assert scenarios.selected(parsed, windows, groups=["gpu"]) == ["numpy==1.0", "torch==3.0"]
    assert made.lock("--check").code == 0
    own = '\n[tool.deep-lock.sources]\ntorch = {index = "cpu"}\n'
    made.write({"pyproject.toml": GROUPS + own})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    assert {entry.version for entry in from_text(ended.text, "deep.lock").packages if entry.name == "torch"} == {
        "2.0+cpu"
    }, "ours has precedence"


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ('[{index = "cpu", extra = "gpu"}]', "for extra 'gpu', which does not require torch in pyproject.toml"),
        ('[{index = "cpu", extra = "vision"}]', "for extra 'vision', which does not require torch"),
        ('[{index = "cpu", group = "cpu"}]', "for group 'cpu', which does not require torch"),
        ('[{index = "mirror", extra = "cpu"}]', "the index 'mirror', which is not defined"),
        ('[{index = "cpu", extra = "cpu", group = "dev"}]', "must not have both extra and group"),
        ('[{index = "cpu"}, {index = "cuda", marker = "os_name"}]', "cannot be applied"),
        ('[{index = "cpu", extra = "cpu"}, {index = "cuda", extra = "cpu"}]', "must have a marker"),
        ("[]", "must have a marker"),
        ('{index = "cpu", marker = "extra == \'cpu\'"}', "has a marker with an extra"),
        ('{index = "cpu", marker = "os_name ~= \'nt\'"}', "has a marker that cannot be applied"),
        ('{index = "cpu", extra = 1}', "must be a string"),
        ('{index = "cpu", extra = "-"}', "the name"),
    ],
)
def test_a_source_that_cannot_be_applied_is_an_error(made: Bench, sources: str, says: str) -> None:
    made.write({"pyproject.toml": PROJECT + CONFLICTS + f"[tool.deep-lock.sources]\ntorch = {sources}\n" + INDEXES})
    ended = made.lock()
    assert (ended.code, ended.asked, ended.text) == (2, (), "")
    assert says in ended.stderr
    assert "torch" in ended.stderr


def test_a_changed_source_makes_the_lock_stale(made: Bench) -> None:
    locked(made, PROJECT + CONFLICTS + SOURCES)
    swapped = SOURCES.replace('"cpu", extra = "cpu"', '"cuda", extra = "cpu"')
    made.write({"pyproject.toml": PROJECT + CONFLICTS + swapped + INDEXES})
    ended = made.lock("--check")
    assert (ended.code, ended.asked) == (1, ())
    assert (
        f"torch must come from the index {made.servers['cuda'].url} on {made.targets[0].label} with extra 'cpu', and the"
        f" lock has it from {made.servers['cpu'].url}"
    ) in ended.stderr
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    assert selected(ended.text, made.targets[0], "cpu") == ["driver==1.0", "numpy==1.0", "torch==2.0+cu128"]
    none = SOURCES.replace('{index = "cpu", extra = "cpu"}, ', "")
    made.write({"pyproject.toml": PROJECT + CONFLICTS + none + INDEXES})
    ended = made.lock("--check")
    assert ended.code == 1
    assert "torch must come from an index of every other project" in ended.stderr
    assert selected(made.lock().text, made.targets[0], "cpu") == ["numpy==1.0", "torch==3.0"]


def test_an_unchanged_pin_stays_when_its_index_has_newer_ones(made: Bench) -> None:
    locked(made, PROJECT + CONFLICTS + SOURCES)
    made.servers["cpu"].hold({**CPU, "torch 2.1+cpu": {"requires": ["numpy"]}})
    made.servers["cuda"].hold({**CUDA, "torch 2.1+cu128": {"requires": ["numpy", "driver"]}})
    assert selected(made.lock("--refresh").text, made.targets[0], "cpu") == ["numpy==1.0", "torch==2.0+cpu"]
    upgraded = made.lock("--refresh", "-P", "torch").text
    assert selected(upgraded, made.targets[0], "cpu") == ["numpy==1.0", "torch==2.1+cpu"]
    assert selected(upgraded, made.targets[0], "cu128") == ["driver==1.0", "numpy==1.0", "torch==2.1+cu128"]


def test_other_bytes_of_a_locked_file_are_refused_by_index(made: Bench) -> None:
    made.servers["cpu"].hold({"torch 2.0": {"requires": ["numpy"]}})
    made.servers["cuda"].hold({"torch 2.0": {"requires": ["numpy", "driver"]}})
    locked(made, PROJECT + CONFLICTS + SOURCES)
    made.servers["cpu"].hold({"torch 2.0": {"requires": ["numpy", "driver"]}})
    ended = made.lock("--refresh", "-P", "numpy")
    assert ended.code == 4, ended.stderr
    assert "torch-2.0-py3-none-any.whl: sha256" in ended.stderr


BUILT: Releases = {
    "ext 1.0": {"sdist": True, "wheels": [], "build": ["hatchling", "torch"], "backend": "hatchling.build"},
    "hatchling 1.0": {},
}


def test_builds_use_the_index_of_every_requirement(made: Bench) -> None:
    made.hold({**PUBLIC, **BUILT, "driver 1.0": {}})
    project = PROJECT.replace('dependencies = ["numpy"]', 'dependencies = ["numpy", "ext"]')
    text = locked(made, project + CONFLICTS + SOURCES)
    assert "torch==3.0" in built_with(text)
    text = locked(made, project + CONFLICTS + SOURCES.replace('"cu128"}', '"cu128"}, {index = "cuda"}'))
    assert "torch==2.0+cu128" in built_with(text)
    text = locked(made, PLAIN.replace('"torch"', '"torch", "ext"') + MARKERS)
    assert "torch==2.0+cpu" in built_with(text, made.targets[0])
    assert "torch==2.0+cu128" in built_with(text, made.targets[1])


def test_a_build_queries_no_other_index(made: Bench) -> None:
    made.hold({"numpy 1.0": {}, "driver 1.0": {}, **BUILT})
    sources = SOURCES.replace('"cu128"}', '"cu128"}, {index = "cpu"}')
    project = PROJECT.replace('["numpy"]', '["numpy", "ext"]').replace('vision = ["vision"]', "")
    made.write({"pyproject.toml": project + CONFLICTS + sources + INDEXES})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    assert "torch==2.0+cpu" in built_with(ended.text)
    assert "/simple/torch/" not in ended.asked


def built_with(text: str, target: Target | None = None) -> list[str]:
    """Return the build environment of the one sdist."""
    builds = [own for own in from_text(text, "deep.lock").builds if target is None or target.label in own.targets]
    (build,) = builds
    return [f"{own.name}=={own.version}" for own in build.packages]


def test_one_version_of_two_indexes_in_a_build_is_refused(made: Bench) -> None:
    made.hold({**PUBLIC, **BUILT, "driver 1.0": {}})
    made.servers["cpu"].hold({"torch 3.0": {"requires": ["numpy"]}})
    project = PROJECT.replace('dependencies = ["numpy"]', 'dependencies = ["numpy", "ext"]')
    made.write({"pyproject.toml": project + CONFLICTS + SOURCES + INDEXES})
    ended = made.lock()
    assert (ended.code, ended.text) == (1, "")
    assert "torch 3.0 comes from different indexes, and is a part of a build" in ended.stderr
    assert "[tool.deep-lock.sources]: torch" in ended.stderr


def test_each_command_knows_one_version_of_two_indexes(made: Bench, tmp_path: Path) -> None:
    made.pythons, made.platforms = (scenarios.MINOR,), ("host",)
    made.servers["cpu"].hold({"torch 2.0": {"requires": ["numpy"]}})
    made.servers["cuda"].hold({"torch 2.0": {"requires": ["numpy", "driver"]}})
    text = locked(made, PROJECT + CONFLICTS + SOURCES)
    cpu, cuda = made.servers["cpu"].url, made.servers["cuda"].url
    index = ["--default-index", made.server.url]

    def output(*arguments: str, code: int = 0) -> str:
        made.capture.readouterr()
        assert run(list(arguments)) == code, made.capture.readouterr().err
        shown = made.capture.readouterr()
        return shown.err if code else shown.out

    assert output("verify", "--deep", *index) == ""
    assert f"torch 2.0 of {cpu}: runtime" in output("why", "torch==2.0")
    assert f"torch 2.0 of {cuda}\n├── driver 1.0" in output("tree")
    made.servers["cuda"].hold({"torch 2.0": {"requires": ["numpy", "driver"]}, "torch 2.1": {"requires": ["numpy"]}})
    rows = json.loads(output("outdated", "--format", "json", *index))["outdated"]
    assert [(row["name"], row["version"], row["newest"]) for row in rows] == [("torch", "2.0", "2.1")]
    document = json.loads(output("export", "-f", "cyclonedx"))
    urls = {own["purl"] for own in document["components"] if own["name"] == "torch" and own["version"] == "2.0"}
    assert urls == {f"pkg:pypi/torch@2.0?repository_url={own}" for own in (cpu, cuda)}
    exported = Pylock.from_dict(tomllib.loads(output("export", "-f", "pylock")))
    for extra in ("cpu", "cu128 vision", "vision"):
        assert scenarios.selected(exported, made.targets[0], extras=extra.split(), groups=()) == selected(
            text, made.targets[0], extra
        )
    for name, extra in (("cpu", "cpu"), ("cuda", "cu128")):
        folder = tmp_path / extra
        output("fetch", "-d", str(folder), "--extra", extra, *index)
        wheel = (folder / "torch-2.0-py3-none-any.whl").read_bytes()
        assert wheel == next(
            file.content for file in made.servers[name].known.values() if "torch-2.0-" in file.filename
        )
    assert "two different files cannot be in one folder" in output("fetch", "-d", str(tmp_path / "all"), *index, code=2)


def test_other_bytes_are_found_when_an_index_is_added(made: Bench) -> None:
    made.servers["cuda"].hold({"torch 2.0": {"requires": ["numpy", "driver"]}})
    made.servers["cpu"].hold({"torch 2.0": {"requires": ["numpy"]}})
    before = locked(made, PROJECT + CONFLICTS + SOURCES.replace(', {index = "cuda", extra = "cu128"}', ""))
    (made.folder / "before.lock").write_text(before, "utf-8")
    after = locked(made, PROJECT + CONFLICTS + SOURCES)
    digest = next(own.wheels[0].sha256 for own in from_text(after, "").packages if own.index == made.servers["cpu"].url)
    (made.folder / "after.lock").write_text(after.replace(digest, "0" * 64), "utf-8")
    made.capture.readouterr()
    run(["diff", "before.lock", "after.lock"])
    assert f"sha256 {digest[:16]}... -> {'0' * 16}..., and the version is still 2.0" in made.capture.readouterr().out


ROOT = """\
[tool.uv.workspace]
members = ["packages/*"]

[tool.uv]
conflicts = [[{ package = "one", extra = "cpu" }, { package = "one", extra = "cu128" }]]

[[tool.uv.index]]
name = "cpu"
url = "{cpu}"
explicit = true

[[tool.uv.index]]
name = "cuda"
url = "{cuda}"
explicit = true
"""
MEMBER = """\
[project]
name = "one"
version = "1"
dependencies = ["numpy"]

[project.optional-dependencies]
cpu = ["torch"]
cu128 = ["torch"]

[tool.uv.sources]
torch = [{ index = "cpu", extra = "cpu" }, { index = "cuda", extra = "cu128" }]
"""
TWO = '[project]\nname = "two"\nversion = "1"\ndependencies = ["vision"]\n'
BACKEND = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.mark.parametrize("build", ["", BACKEND])
def test_extras_of_a_member_of_a_workspace(made: Bench, build: str) -> None:
    made.write({"pyproject.toml": ROOT, "packages/one/pyproject.toml": MEMBER + build})
    made.write({"packages/two/pyproject.toml": TWO + build})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    parsed = Pylock.from_dict(tomllib.loads(ended.text))

    def versions(groups: str, extras: str) -> list[str]:
        pins = scenarios.selected(parsed, made.targets[0], groups=groups.split(), extras=extras.split())
        return [pin for pin in pins if pin.startswith("torch")]

    assert versions("one", "") == []
    assert versions("one", "one-extra-cpu") == ["torch==2.0+cpu"]
    assert versions("one two", "one-extra-cu128") == ["torch==2.0+cu128"]
    assert versions("two", "") == ["torch==3.0"]
    checked = made.lock("--check")
    assert (checked.code, checked.asked) == (0, ()), checked.stderr
    made.write({"pyproject.toml": ROOT.replace("conflicts", "# conflicts")})
    ended = made.lock()
    assert ended.code == 2
    assert "for extra 'cpu' of member 'one'" in ended.stderr
    assert 'conflicts = [[{package = "one", extra = "cpu"}, {package = "one", extra = "cu128"}]]' in ended.stderr


@pytest.mark.parametrize("build", ["", BACKEND])
def test_sources_of_the_root_of_a_workspace(made: Bench, build: str) -> None:
    sources, member = MEMBER.partition("[tool.uv.sources]")[2], MEMBER.partition("[tool.uv.sources]")[0]
    made.write({"pyproject.toml": f"{ROOT}\n[tool.uv.sources]{sources}", "packages/one/pyproject.toml": member + build})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    parsed = Pylock.from_dict(tomllib.loads(ended.text))
    for extra, pin in (("cpu", "torch==2.0+cpu"), ("cu128", "torch==2.0+cu128")):
        assert pin in scenarios.selected(parsed, made.targets[0], groups=["one"], extras=[f"one-extra-{extra}"])
    assert made.lock("--check").code == 0


def test_a_folder_for_an_extra_of_a_member_that_is_built(made: Bench) -> None:
    one = (
        MEMBER.partition("torch = [")[0]
        + "torch = [{ path = '../../torch', extra = 'cpu' }, { index = 'cuda', extra = 'cu128' }]\n"
    )
    made.write({"pyproject.toml": ROOT, "packages/one/pyproject.toml": one + BACKEND})
    made.write({"torch/pyproject.toml": '[project]\nname = "torch"\nversion = "7"\n' + BACKEND})
    ended = made.lock()
    assert ended.code == 0, ended.stderr
    markers = {(own.version, own.marker) for own in from_text(ended.text, "").packages if own.name == "torch"}
    assert markers == {(None, "'one-extra-cpu' in extras"), ("2.0+cu128", "'one-extra-cu128' in extras")}


def test_one_version_of_an_index_and_of_a_folder(made: Bench) -> None:
    (made.folder / "links").mkdir()
    release = {"requires": ["numpy"], "modules": {"torch.py": "folder"}}
    for file in release_files("torch 2.0", release):
        (made.folder / "links" / file.filename).write_bytes(file.content)
    made.servers["cpu"].hold({"torch 2.0": {"requires": ["numpy"]}})
    made.hold({"numpy 1.0": {}, "vision 1.0": {"requires": ["torch"]}})
    only = '[tool.deep-lock]\nfind-links = ["links"]\n[tool.deep-lock.sources]\n'
    source = 'torch = {index = "cpu", marker = "sys_platform == \'linux\'"}\n'
    text = locked(made, PLAIN.replace('"torch"', '"vision"') + only + source)
    found = {own.marker: own for own in from_text(text, "").packages if own.name == "torch"}
    linux, windows = found["sys_platform == 'linux'"], found["sys_platform == 'win32'"]
    assert (linux.index, linux.wheels[0].path) == (made.servers["cpu"].url, None)
    assert (windows.index, windows.wheels[0].path) == (None, "links/torch-2.0-py3-none-any.whl")
    assert linux.by_index
    assert windows.by_index


def test_sources_of_a_script(made: Bench) -> None:
    def script(source: str) -> str:
        table = f'dependencies = ["torch"]\n[tool.uv.sources]\ntorch = {source}\n'
        index = '[[tool.uv.index]]\nname = "cpu"\nurl = "{cpu}"\nexplicit = true\n'
        return "# /// script\n" + "".join(f"# {line}\n" for line in (table + index).splitlines()) + "# ///\n"

    made.write({"run.py": script("{ index = 'cpu', marker = \"sys_platform == 'linux'\" }")})
    path = made.folder / "run.py"
    ended = made.lock("--script", str(path), output="run.py.deep.lock")
    assert ended.code == 0, ended.stderr
    assert selected(ended.text, made.targets[0]) == ["numpy==1.0", "torch==2.0+cpu"]
    assert selected(ended.text, made.targets[1]) == ["numpy==1.0", "torch==3.0"]
    made.write({"run.py": script("{ index = 'cpu', extra = 'cpu' }")})
    ended = made.lock("--script", str(path))
    assert ended.code == 2
    assert "a source of torch is for extra 'cpu', which does not require torch" in ended.stderr
