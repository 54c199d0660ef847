"""Indexes and sources that a project declares for uv, Poetry or PDM: the public index never answers for a private name.

The default index is the public one here; "corp" and "other" are indexes of the company.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import Release, release_files
from tests.support.scenarios import LINUX, WINDOWS, Bench, bench, make_repository

PUBLIC: dict[str, Release] = {"private 9.0": {}, "private-two 9.0": {}, "lib 1.0": {}, "tool 1.0": {}, "torch 9.0": {}}
CORP: dict[str, Release] = {"private 1.0": {}, "private-two 1.0": {}, "lib 5.0": {}}
OTHER: dict[str, Release] = {"private 2.0": {}, "torch 2.0": {}}
APP = '[project]\nname = "app"\nversion = "1"\ndependencies = ["{}"]\n'
POETRY = '[tool.poetry]\nname = "app"\nversion = "1"\n[tool.poetry.dependencies]\npython = ">=3.12"\n'
UV_CORP = '[[tool.uv.index]]\nname = "corp"\nurl = "{corp}"\nexplicit = true\n'
POETRY_CORP = '[[tool.poetry.source]]\nname = "corp"\nurl = "{corp}"\n'
PDM_CORP = '[[tool.pdm.source]]\nname = "corp"\nurl = "{corp}"\n'
LINKS_OF_PDM = '[[tool.pdm.source]]\nname = "links"\nurl = "file:///${PROJECT_ROOT}/in/links"\ntype = "find_links"\n'
BACKEND = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def made(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, PUBLIC, indexes={"corp": CORP, "other": OTHER}) as laid:
        yield laid


def locked(made: Bench, text: str, *options: str) -> list[str]:
    """Return the pins; no request for the private project went to the public index."""
    made.write({"pyproject.toml": text})
    ran = made.lock(*options)
    assert ran.code == 0, ran.stderr
    assert not [path for path in ran.asked if path.startswith("/simple/private")], ran.asked
    assert "foreign-setting-unused" not in ran.stderr
    assert made.lock("--check", *options).code == 0
    return ran.pins(builds=False)


@pytest.mark.parametrize(
    "text",
    [
        APP.format("private") + UV_CORP + '[tool.uv.sources]\nprivate = { index = "corp" }\n',
        APP.format("private") + UV_CORP + '[tool.uv.sources]\nPrivate = [{ index = "corp" }]\n',
        APP.format("private")
        + UV_CORP.replace("explicit", "default")
        + '[tool.uv.sources]\nprivate = { index = "corp" }\n',
        APP.format("private") + UV_CORP.replace("explicit = true\n", ""),
        APP.format("private") + '[tool.uv]\nextra-index-url = ["{corp}"]\n',
        APP.format("private") + POETRY_CORP,
        APP.format("private") + POETRY_CORP + '[tool.poetry.dependencies]\nprivate = { source = "corp" }\n',
        POETRY + 'private = { version = "*", source = "corp" }\n' + POETRY_CORP + 'priority = "explicit"\n',
        POETRY + 'private = { version = "*", source = "Corp" }\n' + POETRY_CORP + 'priority = "supplemental"\n',
        POETRY + 'private = { version = "*", source = "corp" }\n' + POETRY_CORP + "default = true\n",
        POETRY + 'private = { version = "*", source = "corp" }\n' + POETRY_CORP + "secondary = true\n",
        POETRY + 'private = "*"\n' + POETRY_CORP,
        POETRY + '[tool.poetry.group.dev.dependencies]\nprivate = { version = "*", source = "corp" }\n' + POETRY_CORP,
        APP.format("private") + PDM_CORP,
        APP.format("private") + PDM_CORP + 'include_packages = ["priv*"]\n',
        APP.format("private")
        + PDM_CORP
        + 'include_packages = ["Private"]\n[[tool.pdm.source]]\nname = "other"\nurl = "{other}"\n',
    ],
)
def test_a_private_name_comes_from_its_index(made: Bench, text: str) -> None:
    assert "private==1.0" in locked(made, text)


@pytest.mark.parametrize(
    ("text", "public", "private"),
    [
        (POETRY + 'lib = "*"\n' + POETRY_CORP + 'priority = "explicit"\n', "lib==1.0", ()),
        (POETRY + 'lib = "*"\n' + POETRY_CORP + 'priority = "supplemental"\n', "lib==1.0", ()),
        (POETRY + 'tool = "*"\n' + POETRY_CORP + '[[tool.poetry.source]]\nname = "PyPI"\n', "tool==1.0", ("tool",)),
        (APP.format("lib") + PDM_CORP + 'exclude_packages = ["lib"]\n', "lib==1.0", ()),
        (APP.format("lib") + UV_CORP, "lib==1.0", ()),
    ],
)
def test_a_public_name_comes_from_the_public_index(
    made: Bench, text: str, public: str, private: tuple[str, ...]
) -> None:
    made.write({"pyproject.toml": text})
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert ran.pins(builds=False) == [public]
    assert [path for path in ran.asked if path.startswith("corp:")] == [f"corp:/simple/{name}/" for name in private]


def test_a_supplemental_index_is_used_for_what_the_public_one_lacks(made: Bench) -> None:
    made.hold({"tool 1.0": {}})
    made.write({"pyproject.toml": POETRY + 'lib = "*"\n' + POETRY_CORP + 'priority = "supplemental"\n'})
    assert made.lock().pins() == ["lib==5.0"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[tool.uv.sources]\nprivate = [{ url = 'https://x.example/a.zip' }, { path = 'x' }]",
            "must have a marker",
        ),
        ("[tool.uv.sources]\nprivate = []", "must have a marker"),
        (
            UV_CORP + "[tool.uv.sources]\nprivate = { index = 'corp', marker = \"python_version ~= '3.12'\" }",
            "has a marker that cannot be applied",
        ),
        (
            UV_CORP + "[tool.uv.sources]\nprivate = [{ index = 'corp', extra = 'a' }]",
            "a source of private is for extra 'a', which does not require private",
        ),
        (
            UV_CORP + "[tool.uv.sources]\nprivate = { index = 'corp', extra = 'a' }",
            "a source of private is for extra 'a', which does not require private",
        ),
        (
            UV_CORP + "[tool.uv.sources]\nprivate = { index = 'corp', group = 'a' }",
            "a source of private is for group 'a', which does not require private",
        ),
        ("[tool.uv.sources]\nprivate = { index = 'corp' }", "the index 'corp', which is not defined"),
        ("[tool.uv.sources]\nprivate = { path = 'x', package = false }", "'package' cannot be used with 'path'"),
        ("[tool.uv.sources]\nprivate = { workspace = true }", "no such member"),
        ("[tool.uv.sources]\nprivate = { registry = 'corp' }", "must have exactly one of the keys"),
        ("[tool.uv.sources]\nprivate = 'corp'", "must be a table"),
        ('[[tool.uv.index]]\nname = "corp"\nurl = "file:///srv/index"', "the index 'corp' has no plain http(s) URL"),
        ('[[tool.pdm.source]]\nname = "corp"\nurl = "https://${NAME}.corp.example/simple"', "no plain http(s) URL"),
        (
            POETRY_CORP + "[tool.poetry.dependencies]\nprivate = [{version = '1', source = 'corp', python = '3.12'}, "
            "{version = '2', source = 'other', python = '3.13'}]",
            "'private' has several sources",
        ),
        (
            POETRY_CORP
            + "[tool.poetry.dependencies]\nprivate = [{version = '1', source = 'corp', python = '3.12'}, '2']",
            "'private' has several sources",
        ),
        ("[tool.poetry.dependencies]\nprivate = { version = '1', source = 'corp' }", "the index 'corp', which is not"),
        (
            POETRY_CORP + "[tool.poetry.dependencies]\nprivate = { version = '1', source = 'other' }",
            "the index 'other', which is not defined",
        ),
    ],
)
def test_a_source_that_cannot_be_applied_is_an_error(made: Bench, text: str, says: str) -> None:
    made.write({"pyproject.toml": APP.format("private") + text})
    ran = made.lock()
    assert (ran.code, ran.asked, ran.text) == (2, (), "")
    assert says in ran.stderr
    assert "[tool.deep-lock" in ran.stderr


def test_own_settings_have_precedence(made: Bench) -> None:
    own = '[[tool.deep-lock.index]]\nname = "mine"\nurl = "{other}"\nexplicit = true\n'
    sources = "[tool.deep-lock.sources]\nprivate = { index = 'mine' }\n"
    assert locked(made, POETRY + 'private = { version = "*", source = "corp" }\n' + own + sources) == ["private==2.0"]
    same_name = own.replace("mine", "corp")
    text = POETRY + 'private = { version = "*", source = "corp" }\n' + POETRY_CORP + same_name
    assert locked(made, text) == ["private==2.0"]
    # an own list of indexes replaces the other one, except for the projects that are assigned
    text = POETRY + 'private = { version = "*", source = "corp" }\nlib = "*"\n' + POETRY_CORP + own
    assert locked(made, text) == ["lib==1.0", "private==1.0"]


def test_an_assignment_makes_a_lock_stale_that_has_the_project_from_elsewhere(made: Bench) -> None:
    made.write({"pyproject.toml": APP.format("private") + UV_CORP})
    assert made.lock().pins() == ["private==9.0"]
    made.write(
        {"pyproject.toml": APP.format("private") + UV_CORP + "[tool.uv.sources]\nprivate = { index = 'corp' }\n"}
    )
    checked = made.lock("--check")
    assert checked.code == 1
    assert "private must come from the index corp" in checked.stderr
    again = made.lock()
    assert again.code == 0, again.stderr
    assert again.pins() == ["private==1.0"]


def test_a_workspace_of_uv_with_every_kind_of_source(made: Bench) -> None:
    repository = made.folder.parent / "repositories" / "from-git"
    make_repository(
        repository,
        [{"files": {"pyproject.toml": (APP + BACKEND).format("tool").replace("app", "from-git")}, "tag": "v1"}],
    )
    member = APP + BACKEND
    made.write(
        {
            "pyproject.toml": APP.format('a", "outside", "from-git", "lib", "private')
            + UV_CORP
            + '[tool.uv.sources]\na = { workspace = true }\noutside = { path = "../outside", editable = true }\n'
            'from-git = { git = "{git:from-git}", tag = "v1" }\nlib = { url = "{file:lib-1.0-py3-none-any.whl}" }\n'
            'private = { index = "corp" }\n[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/old"]\n',
            "packages/a/pyproject.toml": member.format('b", "private-two').replace("app", "a")
            + '[tool.uv.sources]\nb = { workspace = true }\nprivate-two = { index = "corp" }\n',
            "packages/b/pyproject.toml": member.format("lib").replace("app", "b"),
            "packages/old/pyproject.toml": member.format("lib").replace("app", "b"),
            "../outside/pyproject.toml": member.format("lib").replace("app", "outside"),
        }
    )
    pins = locked(made, (made.folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert pins == ["a", "b", "from-git", "lib==1.0", "outside", "private==1.0", "private-two==1.0", "tool==1.0"]


@pytest.mark.parametrize("folder", ["", "packages/a"])
def test_a_member_of_a_workspace_has_the_sources_of_its_root(made: Bench, folder: str) -> None:
    made.write(
        {
            "pyproject.toml": APP.format("a")
            + UV_CORP
            + '[tool.uv.sources]\na = { workspace = true }\nb = { path = "libs/b" }\nprivate = { index = "corp" }\n'
            '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "packages/a/pyproject.toml": (APP + BACKEND).format('b", "private').replace("app", "a"),
            "libs/b/pyproject.toml": (APP + BACKEND).format("tool").replace("app", "b"),
        }
    )
    root = made.folder
    made.folder = root / folder
    text = (made.folder / "pyproject.toml").read_text(encoding="utf-8")
    alone = ["-o", str(made.folder / "deep.lock")] if folder else []
    assert locked(made, text, *alone)[-3:] == ["b", "private==1.0", "tool==1.0"]


def test_a_folder_that_is_required_assigns_its_private_names(made: Bench) -> None:
    one = APP.format('private", "two').replace("app", "one") + BACKEND + UV_CORP.replace("corp", "mine", 1)
    one += '[tool.uv.sources]\nprivate = { index = "mine" }\ntwo = { path = "../two" }\n'
    two = APP.format("private-two").replace("app", "two") + BACKEND + POETRY_CORP
    two += '[tool.poetry.dependencies]\nprivate-two = { source = "corp" }\n'
    made.write({"one/pyproject.toml": one, "two/pyproject.toml": two})
    pins = locked(made, APP.format("one @ ./one"))
    assert pins == ["one", "private==1.0", "private-two==1.0", "two"]
    made.write(
        {
            "two/pyproject.toml": two.replace('"private-two"]', '"private"]')
            .replace("private-two =", "private =")
            .replace("{corp}", "{other}")
        }
    )
    ran = made.lock("-U")
    assert ran.code == 2
    assert "two: private must come from the index 'corp', and one has another one" in ran.stderr


def test_sources_of_a_script(made: Bench) -> None:
    toml = 'dependencies = ["private"]\n' + UV_CORP + '[tool.uv.sources]\nprivate = { index = "corp" }\n'
    block = "".join(f"# {line}\n" for line in toml.splitlines())
    made.write({"run.py": f"# /// script\n{block}# ///\n"})
    ran = made.lock("--script", str(made.folder / "run.py"), output="run.py.deep.lock")
    assert ran.code == 0, ran.stderr
    assert ran.pins() == ["private==1.0"]
    assert not [path for path in ran.asked if path.startswith("/simple/private")]


def test_a_uv_toml_has_the_indexes(made: Bench) -> None:
    made.write({"uv.toml": UV_CORP.replace("tool.uv.", "")})
    text = APP.format("private") + '[tool.uv.sources]\nprivate = { index = "corp" }\n'
    assert locked(made, text) == ["private==1.0"]


LEGACY = '[package.source]\ntype = "legacy"\nurl = "{corp}"\nreference = "corp"\n'
POETRY_LOCK = """\
[[package]]
name = "private"
version = "1.0"
optional = false
python-versions = ">=3.8"
groups = ["main"]
files = []

{source}
[metadata]
lock-version = "2.1"
python-versions = ">=3.12"
content-hash = "x"
"""


@pytest.mark.parametrize("priority", ["explicit", "primary", "supplemental"])
@pytest.mark.parametrize("version", ["2.1", "2.0"])
def test_an_imported_lock_of_poetry_has_its_private_names_from_their_index(
    made: Bench, version: str, priority: str
) -> None:
    text = POETRY_LOCK.replace("{source}", LEGACY).replace("2.1", version)
    if version == "2.0":
        text = text.replace('groups = ["main"]\n', "")
    made.write({"poetry.lock": text})
    pyproject = POETRY + 'private = { version = "*", source = "corp" }\n' + POETRY_CORP + f'priority = "{priority}"\n'
    made.write({"pyproject.toml": pyproject})
    ran = made.lock("--from", str(made.folder / "poetry.lock"))
    assert ran.code == 0, ran.stderr
    assert ran.pins() == ["private==1.0"]
    assert not [path for path in ran.asked if path.startswith("/simple/private")]
    assert "which this run does not use" not in ran.stderr


def test_a_pin_of_an_imported_lock_has_the_index_of_the_lock(made: Bench) -> None:
    """The dependency of a private package is in the lock alone."""
    made.write({"poetry.lock": POETRY_LOCK.replace("{source}", LEGACY)})
    made.write({"pyproject.toml": POETRY + 'tool = "*"\n' + POETRY_CORP + 'priority = "explicit"\n'})
    ran = made.lock("--from", str(made.folder / "poetry.lock"))
    assert ran.code == 0, ran.stderr
    assert not [path for path in ran.asked if path.startswith("/simple/private")]


INDEXES = UV_CORP + '[[tool.uv.index]]\nname = "other"\nurl = "{other}"\nexplicit = true\n[tool.uv.sources]\n'


@pytest.mark.parametrize(
    ("source", "linux", "windows"),
    [
        (
            "[{ index = 'corp', marker = \"os_name == 'nt'\" }, { index = 'other', marker = \"os_name != 'nt'\" }]",
            "2.0",
            "1.0",
        ),
        (
            "[{ index = 'corp', marker = \"os_name != 'nt'\" }, { index = 'other', marker = \"os_name == 'nt'\" }]",
            "1.0",
            "2.0",
        ),
        ("{ index = 'other', marker = \"sys_platform == 'linux'\" }", "2.0", "9.0"),
    ],
)
def test_an_index_that_depends_on_the_target(made: Bench, source: str, linux: str, windows: str) -> None:
    text = APP.format("private") + INDEXES + f"private = {source}\n"
    assert locked(made, text) == [f"private=={linux}"]
    made.platforms = [LINUX, WINDOWS]
    ran = made.lock("-U")
    assert ran.code == 0, ran.stderr
    packages = {(entry.version, entry.marker) for entry in ran.lock.packages}
    assert packages == {(linux, "sys_platform == 'linux'"), (windows, "sys_platform == 'win32'")}


def test_a_list_of_an_index_and_a_folder(made: Bench) -> None:
    made.write({"one/pyproject.toml": (APP + BACKEND).format("tool").replace("app", "private")})
    made.platforms = [LINUX, WINDOWS]
    linux = "{ path = 'one', marker = \"sys_platform == 'linux'\" }"
    windows = "{ index = 'corp', marker = \"sys_platform == 'win32'\" }"
    text = APP.format("private") + INDEXES + f"private = [{windows}, {linux}]\n"
    assert locked(made, text) == ["private", "private==1.0", "tool==1.0"]


def test_a_folder_for_an_extra(made: Bench) -> None:
    made.write({"one/pyproject.toml": (APP + BACKEND).format("tool").replace("app", "private")})
    extras = '[project.optional-dependencies]\nlocal = ["private"]\nreleased = ["private"]\nall = ["app[local]"]\n'
    conflicts = '[tool.uv]\nconflicts = [[{ extra = "local" }, { extra = "released" }], [{ extra = "all" }, { extra = "released" }]]\n'
    sources = INDEXES + "private = [{ path = 'one', extra = 'local' }, { index = 'corp', extra = 'released' }]\n"
    assert locked(made, APP.format("tool") + extras + conflicts + sources) == ["private", "private==1.0", "tool==1.0"]
    markers = {(entry.version, entry.marker) for entry in made.lock().lock.packages if entry.name == "private"}
    assert markers == {(None, "'all' in extras or 'local' in extras"), ("1.0", "'released' in extras")}


def test_references_that_depend_on_the_target(made: Bench) -> None:
    made.write({"one/pyproject.toml": (APP + BACKEND).format("tool").replace("app", "private")})
    made.platforms = [LINUX, WINDOWS]
    linux = "{ path = 'one', marker = \"sys_platform == 'linux'\" }"
    text = APP.format("private ; python_version >= '3.8'") + "[tool.uv.sources]\nprivate = "
    windows = "{ url = '{file:private-9.0-py3-none-any.whl}', marker = \"sys_platform == 'win32'\" }"
    assert locked(made, f"{text}[{linux}, {windows}]\n") == ["private", "private==9.0", "tool==1.0"]
    made.write({"pyproject.toml": f"{text}{linux}\n"})
    ran = made.lock("-U")
    assert ran.code == 0, ran.stderr
    packages = {(entry.version, entry.marker) for entry in ran.lock.packages if entry.name == "private"}
    assert packages == {(None, "sys_platform == 'linux'"), ("9.0", "sys_platform == 'win32'")}


def test_a_member_of_a_workspace_of_uv_without_a_source_is_an_error(made: Bench) -> None:
    workspace = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
    member = (APP + BACKEND).format("private-two").replace("app", "private")
    made.write({"pyproject.toml": APP.format("private") + workspace, "packages/private/pyproject.toml": member})
    ran = made.lock()
    assert (ran.code, ran.asked) == (2, ())
    assert "private is a member of the workspace and has no source" in ran.stderr
    made.write({"pyproject.toml": APP.format("tool") + workspace})
    made.folder /= "packages/private"
    alone = "-o", str(made.folder / "deep.lock")
    assert locked(made, member.replace("private-two", "tool"), *alone) == ["tool==1.0"]
    made.write({"pyproject.toml": member.replace("private-two", "app")})
    assert "app is a member of the workspace and has no source" in made.lock("-U", *alone).stderr


def test_outdated_requests_a_private_name_from_its_index_only(made: Bench) -> None:
    one = (APP + BACKEND).format("private").replace("app", "one") + UV_CORP
    made.write({"one/pyproject.toml": one + '[tool.uv.sources]\nprivate = { index = "corp" }\n'})
    text = APP.format('one @ ./one", "private-two') + INDEXES
    text += "private-two = { index = 'corp', marker = \"sys_platform == 'linux'\" }\n"
    assert locked(made, text) == ["one", "private==1.0", "private-two==1.0"]
    before = len(made.server.log)
    run(["outdated", "--lock", str(made.folder / "deep.lock"), "--default-index", made.server.url])
    assert not [request.path for request in made.server.log[before:] if "/private" in request.path]
    assert "private" not in made.capture.readouterr().out


@pytest.mark.parametrize("table", ["tool.uv.sources", "tool.deep-lock.sources"])
def test_a_build_requirement_whose_source_is_a_folder_is_an_error(made: Bench, table: str) -> None:
    built = f'[build-system]\nrequires = ["private"]\n[{table}]\nprivate = {{ path = "../private" }}\n'
    made.write({"pyproject.toml": APP.format("tool") + built})
    ran = made.lock()
    assert (ran.code, ran.asked) == (2, ())
    assert "private is a build requirement, and its source is a folder" in ran.stderr
    assert made.lock("--build-scope=none").code == 0
    made.write({"pyproject.toml": APP.format("one @ ./one")})
    made.write({"one/pyproject.toml": APP.format("tool").replace("app", "one") + built})
    ran = made.lock("-U", "--build-scope=needed")
    assert (ran.code, ran.asked) == (2, ())
    assert "private is a build requirement" in ran.stderr


def test_a_build_requirement_comes_from_its_index(made: Bench) -> None:
    built = '[build-system]\nrequires = ["private"]\n' + UV_CORP + "[tool.uv.sources]\nprivate = { index = 'corp' }\n"
    made.write({"pyproject.toml": APP.format("tool") + built})
    ran = made.lock()
    assert ran.code == 0, ran.stderr
    assert ran.pins() == ["private==1.0", "tool==1.0"]
    assert not [path for path in ran.asked if path.startswith("/simple/private")]


@pytest.mark.parametrize(
    ("files", "flags", "pin"),
    [
        ({"r.txt": "--extra-index-url {corp}\nprivate\n"}, ("-r", "{folder}/r.txt"), "private==1.0"),
        ({"r.txt": "-r in/s.txt\n", "in/s.txt": "--extra-index-url {corp}\nprivate\n"}, ("-r", "{folder}/r.txt"), "private==1.0"),
        ({"r.txt": "private\n-c c.txt\n", "c.txt": "--extra-index-url {corp}\n"}, ("-r", "{folder}/r.txt"), "private==1.0"),
        ({"r.txt": "private\n", "c.txt": "--extra-index-url {corp}\n"}, ("-r", "{folder}/r.txt", "-c", "{folder}/c.txt"), "private==1.0"),
        ({"r.txt": "--extra-index-url {other}\n--extra-index-url {corp}\nprivate\n"}, ("-r", "{folder}/r.txt"), "private==2.0"),
        ({"pyproject.toml": APP.format("private"), "c.txt": "--extra-index-url {corp}\n"}, ("-c", "{folder}/c.txt"), "private==1.0"),
    ],
)  # fmt: skip
def test_an_index_of_a_requirements_file_is_used(
    made: Bench, files: dict[str, str], flags: tuple[str, ...], pin: str
) -> None:
    made.write(files)
    ran = made.lock(*flags)
    assert ran.code == 0, ran.stderr
    assert pin in ran.pins()
    assert " is used in this run" in ran.stderr
    assert not [path for path in ran.asked if path.startswith("/simple/private")], ran.asked
    assert made.lock(*flags, "--check").code == 0


def test_the_index_url_of_a_requirements_file_replaces_the_public_index(made: Bench) -> None:
    made.write({"r.txt": "-i {corp}\nprivate\n"})
    flags = [flag for flag in made.flags() if flag not in {"--default-index", made.server.url}]
    assert run(["lock", *flags, "-r", str(made.folder / "r.txt")]) == 0
    text = (made.folder / "deep.lock").read_text(encoding="utf-8")
    assert f'default = "{made.servers["corp"].url}"' in text
    assert not made.server.asked()
    assert made.lock("-r", "{folder}/r.txt", "-U").pins() == ["private==9.0"]  # the command line names another


def test_a_folder_of_a_requirements_file_is_relative_to_it(made: Bench) -> None:
    made.write({"in/r.txt": "--find-links links\nlib\n"})
    (made.folder / "in" / "links").mkdir()
    for file in release_files("lib 7.0", {}):
        (made.folder / "in" / "links" / file.filename).write_bytes(file.content)
    ran = made.lock("-r", "{folder}/in/r.txt")
    assert ran.pins() == ["lib==7.0"], ran.stderr
    made.write({"pyproject.toml": APP.format("lib") + LINKS_OF_PDM})
    assert made.lock("-U", "--no-index").pins() == ["lib==7.0"]


@pytest.mark.parametrize("form", ["requirements", "PDM"])
def test_variables_for_a_login_are_left_out(made: Bench, form: str) -> None:
    url = made.filled("{corp}").replace("http://", "http://${USER}:${PASS}@")
    made.write(
        {
            "r.txt": f"--extra-index-url {url}\nprivate\n",
            "pyproject.toml": APP.format("private") + f'[[tool.pdm.source]]\nname = "corp"\nurl = "{url}"\n',
        }
    )
    ran = made.lock(*(["-r", "{folder}/r.txt"] if form == "requirements" else []))
    assert (ran.code, ran.pins()) == (0, ["private==1.0"]), ran.stderr
    assert "USER" not in ran.text


def test_an_index_of_a_pinned_requirements_file_is_used(made: Bench) -> None:
    made.write({"r.txt": "--extra-index-url {corp}\nprivate==1.0\n"})
    flags = [flag for flag in made.flags() if flag not in {"--default-index", made.server.url}]
    assert run(["lock", *flags, "--from", str(made.folder / "r.txt")]) == 0
    assert made.servers["corp"].url in (made.folder / "deep.lock").read_text(encoding="utf-8")
    assert not made.server.asked()


def test_an_index_of_a_pinned_requirements_file_that_options_replace_is_named(made: Bench) -> None:
    made.write({"r.txt": "--extra-index-url {corp}\nlib==1.0\n"})
    ran = made.lock("--from", "{folder}/r.txt")
    assert ran.code == 0
    assert f"installs from {made.servers['corp'].url}, which this run does not use" in ran.stderr
