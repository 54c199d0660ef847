from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from deep_lock.errors import ConfigError, ProjectInvalid
from deep_lock.project.project import Named, Project
from deep_lock.project.pyproject import read_pyproject
from deep_lock.project.workspace import WorkspaceMember, joined, workspace_member

BUILD = '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n'
VIRTUAL = Project(source="pyproject.toml")


def read(name: str, text: str = "", *, place: str = "", head: str = "") -> WorkspaceMember:
    path = place or f"packages/{name}"
    project = read_pyproject(
        f'[project]\nname = "{name}"\nversion = "1"\n{head}\n{text}', f"{path}/pyproject.toml".removeprefix("./")
    )
    return workspace_member(Path("/project") / path, project, path, is_root=path == ".")


def texts(lists: Named) -> dict[str, list[str]]:
    return {name: list(map(str, own)) for name, own in lists}


EXTRAS = '[project.optional-dependencies]\nfast = ["engine"]\n[dependency-groups]\ndev = ["check"]\n'


def test_a_member_that_is_a_package_is_required_as_its_folder() -> None:
    core = read("Core", EXTRAS + BUILD, head='dependencies = ["shared"]')
    whole = joined(VIRTUAL, [core])
    assert texts(whole.extras) == {"core-extra-fast": ["core[fast] @ ."]}
    assert texts(whole.groups) == {"core": ["core @ ."], "core-group-dev": ["check"]}
    assert (whole.name, whole.dependencies, whole.build_system) == (None, (), None)


def test_of_a_member_that_is_none_its_requirements_are_taken() -> None:
    whole = joined(VIRTUAL, [read("core", EXTRAS, head='dependencies = ["shared"]')])
    assert texts(whole.extras) == {"core-extra-fast": ["engine"]}
    assert texts(whole.groups) == {"core": ["shared"], "core-group-dev": ["check"]}


def test_the_root_keeps_its_names_and_a_virtual_root_its_groups() -> None:
    root, web = read("site", EXTRAS, place="."), read("web", EXTRAS)
    whole = joined(root.project, [root, web])
    assert sorted(dict(whole.extras)) == ["fast", "web-extra-fast"]
    assert sorted(dict(whole.groups)) == ["dev", "site", "web", "web-group-dev"]
    groups = read_pyproject('[dependency-groups]\ndev = ["check"]\n', "pyproject.toml")
    assert texts(joined(groups, [web]).groups) == {"dev": ["check"], "web": [], "web-group-dev": ["check"]}


def test_a_requirement_on_the_member_itself_names_its_folder() -> None:
    text = 'dynamic = ["dependencies"]\n[dependency-groups]\ndev = ["core[fast]", "check"]\n'
    whole = joined(VIRTUAL, [read("core", BUILD, head=text)])
    assert dict(texts(whole.groups))["core-group-dev"] == ["core[fast] @ .", "check"]


def test_extras_that_only_the_backend_knows_are_reported() -> None:
    whole = joined(VIRTUAL, [read("core", BUILD, head='dynamic = ["optional-dependencies"]')])
    assert [(note.code, note.subject) for note in whole.notes] == [
        ("member-extras-unknown", "packages/core/pyproject.toml")
    ]


def test_the_pythons_are_those_of_all_members() -> None:
    core, web = read("core", head='requires-python = ">=3.12"'), read("web", head='requires-python = "<3.14"')
    assert joined(VIRTUAL, [core, web]).requires_python == "<3.14,>=3.12"
    assert joined(VIRTUAL, [core, read("web")]).requires_python == ">=3.12"
    assert joined(VIRTUAL, [read("web")]).requires_python is None
    old = read("old", head='requires-python = "<3.12"')
    with pytest.raises(ConfigError, match=r"no Python fits .*core.* has '>=3.12', .*old.* has '<3.12'"):
        joined(VIRTUAL, [core, old])


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (read("web", place="packages/a"), read("Web", place="packages/b"), "group 'web'"),
        (read("a", EXTRAS), read("a-group-dev"), "group 'a-group-dev'"),
        (
            read("a", '[project.optional-dependencies]\n"b-extra-x" = []\n', place="packages/a"),
            read("a-extra-b", "[project.optional-dependencies]\nx = []\n"),
            "extra 'a-extra-b-extra-x'",
        ),
        (read("site", EXTRAS, place="."), read("dev"), "group 'dev'"),
    ],
)
def test_two_parts_of_one_name_are_refused(first: WorkspaceMember, second: WorkspaceMember, name: str) -> None:
    root = first.project if first.member.root else VIRTUAL
    with pytest.raises(ConfigError, match=f"both would be the {name} of the lock"):
        joined(root, [first, second])


def test_a_member_has_a_name() -> None:
    project = read_pyproject('[dependency-groups]\ndev = ["check"]\n', "packages/core/pyproject.toml")
    with pytest.raises(ProjectInvalid, match=r"packages/core/pyproject\.toml: is in a member of the workspace"):
        workspace_member(Path("/project/packages/core"), project, "packages/core", is_root=False)


def test_a_broken_group_keeps_its_reason() -> None:
    core = read("core", '[dependency-groups]\ndev = [{include-group = "gone"}]\n')
    assert core.member.dependency_groups == ("dev",)
    ((name, reason),) = joined(VIRTUAL, [core]).broken_groups
    assert (name, "gone" in reason) == (canonicalize_name("core-group-dev"), True)
