"""uv.lock: forks, extras that conflict, members without a package, edges back to the project, scripts.

The recorded locks were made by uv 0.13.9; expected.json is what its own `export --frozen` lists with one extra or group
chosen in addition to the project, or to the member that has it (`--package`). A source tree has no version in it: it is
written as version 0.
"""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deep_lock.errors import DeepLockError, LimitExceeded, LockInvalid
from deep_lock.foreign_locks.uv import read_uv_lock
from deep_lock.models.foreign_lock import ForeignLock, ForeignPin, installed_pins
from deep_lock.models.workspace import Member, owners, scope_of
from deep_lock.targets.factory import make_target
from deep_lock.targets.markers import BASE, Scope
from deep_lock.targets.target import Target

FIXTURES = Path(__file__).parents[3] / "fixtures" / "foreign"
CASES = ("uv-conflicts", "uv-member-asks-root", "uv-rich", "uv-script", "uv-workspace")


def _read(case: str) -> ForeignLock:
    return read_uv_lock((FIXTURES / case / "uv.lock").read_text(encoding="utf-8"), "uv.lock", project="")


def _scope(text: str) -> Scope:
    kind, _, name = text.partition(" ")
    return Scope(kind="group" if kind == "group" else "extra", name=name) if text else BASE


def _installed(lock: ForeignLock, target: Target, *chosen: Scope) -> set[str]:
    found = installed_pins(lock, target.environment, chosen)
    return {f"{lock.pins[place].name}=={lock.pins[place].version or 0}" for place in found}


def _with_project(lock: ForeignLock, scope: Scope) -> set[Scope]:
    """Return a scope, and the project or the member that it is a part of."""
    if not lock.members:
        return {BASE, scope}
    found = owners(lock.members).get(scope)  # a group of a root without a project is of no member
    return {scope, scope_of(found[0], BASE)} if found is not None else {scope}


@pytest.mark.parametrize("case", CASES)
def test_what_is_installed_is_what_uv_says(case: str) -> None:
    lock = _read(case)
    expected = json.loads((FIXTURES / case / "expected.json").read_text(encoding="utf-8"))
    assert len(expected) >= 4
    base = set() if lock.members else {""}
    for environment, scopes in expected.items():
        target = make_target(*environment.split(), host=None)
        assert {*scopes} == base | {f"extra {own}" for own in lock.extras} | {f"group {own}" for own in lock.groups}
        for scope, pins in scopes.items():
            assert _installed(lock, target, *_with_project(lock, _scope(scope))) == {*pins}, (environment, scope)


def test_an_extra_that_conflicts_changes_what_the_project_itself_installs() -> None:
    lock, target = _read("uv-conflicts"), make_target("3.12", "x86_64-manylinux_2_28", host=None)
    project = Scope(kind="group", name="confs")
    assert "click==8.0.4" in _installed(lock, target, project)
    found = installed_pins(lock, target.environment, (project, Scope(kind="extra", name="new")))
    assert {str(lock.pins[place].version) for place in found if lock.pins[place].name == "click"} == {"8.5.1"}


def test_what_excludes_what_is_told() -> None:
    stated = [
        ("extra new", "extra old"),
        ("extra mix", "extra new"),
        ("group g1", "group g2"),
        ("group g2", "group g3"),
        ("extra lib-extra-one", "extra lib-extra-two"),
    ]
    # mix and old require lib[one], new requires lib[two]
    followed = [
        ("extra mix", "extra lib-extra-two"),
        ("extra old", "extra lib-extra-two"),
        ("extra new", "extra lib-extra-one"),
    ]
    assert {*_read("uv-conflicts").conflicts} == {frozenset(map(_scope, pair)) for pair in (*stated, *followed)}


def test_each_part_of_a_project_is_alone_with_it_where_none_is_chosen() -> None:
    text = (FIXTURES / "uv-conflicts" / "uv.lock").read_text(encoding="utf-8").replace('    "lib",\n', "", 1)
    lock, target = read_uv_lock(text, "uv.lock"), make_target("3.12", "x86_64-manylinux_2_28", host=None)
    assert (lock.members, len(lock.roots)) == ((), 7)
    alone = installed_pins(lock, target.environment)
    for scope, _ in lock.roots:
        together = installed_pins(lock, target.environment, (BASE, scope))
        assert {place for place, own in alone.items() if scope in own} == {
            place for place, own in together.items() if scope in own
        }


def test_members_that_are_no_packages_are_no_pins_and_what_they_ask_for_is() -> None:
    lock = _read("uv-workspace")
    assert {str(pin.name): pin.url for pin in lock.pins if pin.url} == {"m2": "./packages/m2#editable=true"}
    assert {pin.name for pin in lock.pins if pin.direct} >= {"click", "m2", "zipp", "iniconfig", "pluggy"}


def test_members_have_the_names_of_a_lock_of_the_workspace() -> None:
    lock = _read("uv-workspace")
    assert lock.members == (
        Member(name="m1", path="packages/m1", extras=("x",), dependency_groups=("dev",)),
        Member(name="m2", path="packages/m2", extras=("big",)),
    )
    assert (set(lock.extras), set(lock.groups)) == (
        {"m1-extra-x", "m2-extra-big"},
        {"m1", "m1-group-dev", "m2", "wsdev"},
    )
    assert [member.root for member in _read("uv-member-asks-root").members] == [False, True]


def test_extras_and_groups_that_ask_for_nothing_are_there() -> None:
    lock = _read("uv-member-asks-root")
    assert set(lock.extras) == {"empty", "m", "x"}


MEMBERS = """version = 1
[manifest]
members = ["a", "b"]
{more}
[[package]]
name = "a"
version = "1"
source = {{ editable = "a" }}
{a}
[[package]]
name = "b"
version = "1"
source = {{ virtual = "b" }}
{b}
"""


@pytest.mark.parametrize(
    ("tables", "place"),
    [
        (
            {"more": '[manifest.dependency-groups]\na = [{ name = "a" }]'},
            "manifest.dependency-groups.a would be the group 'a'",
        ),
        (
            {"more": "[manifest.dependency-groups]\na-group-x = []", "a": "[package.dev-dependencies]\nx = []"},
            "manifest.dependency-groups.a-group-x would be the group 'a-group-x'",
        ),
    ],
)
def test_two_parts_of_one_name_are_refused(tables: dict[str, str], place: str) -> None:
    with pytest.raises(LockInvalid, match=place) as caught:
        read_uv_lock(MEMBERS.format_map({"more": "", "a": "", "b": "", **tables}), "uv.lock")
    assert "uv lock" in (caught.value.hint or "")


@pytest.mark.parametrize("members", ['["a", "c"]', '["a", "six"]'])
def test_a_member_without_a_folder_is_refused(members: str) -> None:
    text = MEMBERS.format(more="", a="", b="").replace('["a", "b"]', members)
    text += '[[package]]\nname = "six"\nversion = "1"\nsource = { registry = "https://index.example/simple" }\n'
    with pytest.raises(LockInvalid, match=r"manifest\.members\[1\] names '(c|six)', and 0 of the packages are folders"):
        read_uv_lock(text, "uv.lock")


def test_the_dev_dependencies_of_a_root_without_a_project_of_older_locks_are_the_group_dev() -> None:
    more = 'requirements = [{ name = "six" }]'
    text = MEMBERS.format(more=more, a="", b="")
    text += '[[package]]\nname = "six"\nversion = "1"\nsource = { registry = "https://index.example/simple" }\n'
    lock, target = read_uv_lock(text, "uv.lock"), make_target("3.12", "x86_64-manylinux_2_28", host=None)
    assert lock.groups == ("a", "b", "dev")
    assert _installed(lock, target, Scope(kind="group", name="dev")) == {"six==1"}


def test_the_lock_of_one_project_has_no_members() -> None:
    text = ROOT + '[manifest]\nmembers = ["app"]\n'
    assert read_uv_lock(text, "uv.lock").members == ()


def test_many_parts_that_exclude_each_other_are_one_set() -> None:
    names = [f"{kind}{number}" for kind in ("one", "two") for number in range(6)]
    extras = (
        "[package.optional-dependencies]\none = []\ntwo = []\n[package.metadata]\nprovides-extras = ['one', 'two']\n"
    )
    text = 'version = 1\nconflicts = [[{ package = "core", extra = "one" }, { package = "core", extra = "two" }]]\n'
    text += f"[manifest]\nmembers = {['core', *names]}\n"
    text += f'[[package]]\nname = "core"\nversion = "1"\nsource = {{ editable = "core" }}\n{extras}'
    for name in names:
        text += f'[[package]]\nname = "{name}"\nversion = "1"\nsource = {{ editable = "{name}" }}\n'
        text += f'dependencies = [{{ name = "core", extra = ["{name[:3]}"] }}]\n'
    lock = read_uv_lock(text, "uv.lock")
    assert [len(conflict) for conflict in lock.conflicts] == [14]
    assert [note.code for note in lock.notes] == ["foreign-conflicts"]
    few = text.replace(str(["core", *names]), "['core', 'one0', 'two0']")
    assert [len(conflict) for conflict in read_uv_lock(few, "uv.lock").conflicts] == [2] * 4


PIN = '[[package]]\nname = "x"\nversion = "1"\nsource = {{ registry = "https://user:pass@index.example/simple" }}\n{more}\n'
ROOT = 'version = 1\n[[package]]\nname = "app"\nversion = "1"\nsource = { virtual = "." }\n'


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://files.example/a/x-1%2Bcpu-py3-none-any.whl", "x-1+cpu-py3-none-any.whl"),
        ("https://files.example/a/x-1%252Bcpu-py3-none-any.whl#a", "x-1%2Bcpu-py3-none-any.whl"),
        ("https://files.example/a/..%2Fx-1.whl", None),
        ("https://files.example/a/", None),
        ("https://[files.example/x-1.whl", None),
    ],
)
def test_names_of_files_are_decoded_once(url: str, name: str | None) -> None:
    text = ROOT + PIN.format(more=f'wheels = [{{ url = "{url}", hash = "sha256:{"0" * 64}" }}]')
    if name is None:
        with pytest.raises(LockInvalid, match=r"uv\.lock: package\[1\]\.wheels\[0\]"):
            read_uv_lock(text, "uv.lock")
    else:
        (pin,) = read_uv_lock(text, "uv.lock").pins
        assert [file.name for file in pin.files] == [name]
        assert pin.index == "https://index.example/simple"


def test_other_digests_are_noted() -> None:
    lock = read_uv_lock(
        ROOT + PIN.format(more=f'wheels = [{{ url = "https://files.example/x.whl", hash = "sha512:{"0" * 128}" }}]'),
        "uv.lock",
    )
    assert ([file.sha256 for file in lock.pins[0].files], [note.code for note in lock.notes]) == (
        [None],
        ["foreign-no-sha256"],
    )


@pytest.mark.parametrize("version", ["true", "1.0", '"1"', "2"])
def test_other_versions_of_the_format_are_refused(version: str) -> None:
    with pytest.raises(LockInvalid, match="known is 1"):
        read_uv_lock(f"version = {version}\n", "uv.lock")


def test_locks_of_before_the_format_was_settled_are_refused_with_the_remedy() -> None:
    with pytest.raises(LockInvalid) as caught:
        read_uv_lock('version = 1\n[[distribution]]\nname = "x"\n', "uv.lock")
    assert "uv lock" in (caught.value.hint or "")


def _members(count: int) -> str:
    """Write members without a package, each of which asks for the next in two ways."""
    packages = [
        f'[[package]]\nname = "m{number}"\nversion = "1"\nsource = {{ virtual = "m{number}" }}\n'
        f'dependencies = [{{ name = "m{number + 1}", extra = ["e"] }}]\n[package.optional-dependencies]\n'
        f'e = [{{ name = "m{number + 1}", extra = ["e"] }}]\n'
        for number in range(count)
    ]
    last = f'[[package]]\nname = "m{count}"\nversion = "1"\nsource = {{ virtual = "last" }}\n'
    return 'version = 1\n[manifest]\nmembers = ["m0"]\n' + "".join(packages) + last


@pytest.mark.parametrize("count", [40, 400])
def test_members_that_multiply_are_refused(count: int) -> None:
    with pytest.raises(LimitExceeded, match=r"uv\.lock: package"):
        read_uv_lock(_members(count), "uv.lock")


def test_members_that_ask_for_each_other_are_followed_once() -> None:
    text = _members(3).replace(
        'source = { virtual = "last" }',
        'source = { virtual = "last" }\ndependencies = [{ name = "m0" }, { name = "x" }]',
    )
    (pin,) = read_uv_lock(text + PIN.format(more=""), "uv.lock").pins
    assert pin.direct


def test_lists_are_bounded() -> None:
    with pytest.raises(LockInvalid, match=r"^uv\.lock: manifest\.members has 20001 items; at most 20000 are allowed$"):
        read_uv_lock("version = 1\n[manifest]\nmembers = [" + '"a",' * 20_001 + "]\n", "uv.lock")


@pytest.mark.parametrize(
    ("table", "place"),
    [
        (
            'fine = [{ name = "x" }]\n"x y" = []',
            "package[0].optional-dependencies.'x y' is 'x y', which is not a valid name",
        ),
        (
            'fine = [{ name = "x" }]\nbad = [{ name = 1 }]',
            "package[0].optional-dependencies.bad[0].name must be a string",
        ),
        ('fine = [{ name = "x" }]\nbad = [{}]', "package[0].optional-dependencies.bad[0] lacks the key 'name'"),
        ('fine = [{ name = "x" }]\nbad = {}', "package[0].optional-dependencies.bad must be an array, not a table"),
    ],
)
def test_a_fault_below_any_key_is_named_with_the_key(table: str, place: str) -> None:
    text = ROOT + "[package.optional-dependencies]\n" + table + "\n" + PIN.format(more="")
    with pytest.raises(LockInvalid) as caught:
        read_uv_lock(text, "uv.lock")
    assert caught.value.message.startswith(f"uv.lock: {place}")


def test_uv_tells_pythons_environments_scopes_and_what_is_direct() -> None:
    lock = _read("uv-rich")
    assert lock.requires_python == ">=3.11"
    assert lock.environments == ("sys_platform == 'linux'", "sys_platform == 'win32'")
    assert (lock.extras, lock.groups) == (("all", "cpu", "gpu"), ("app-x", "dev", "lint", "lib"))
    pins = {str(pin.name): pin for pin in lock.pins}
    assert "app-x" not in pins, "a project that is no package is no pin"
    assert {pin.name for pin in lock.pins if pin.direct} == {
        "celery", "click", "colorama", "lib", "numpy", "other", "pytest", "ruff", "six",
    }  # fmt: skip
    assert (pins["lib"].version, pins["lib"].url) == (None, "./packages/lib#editable=true")
    assert pins["celery"].index == "https://index.example/simple"
    files = {file.name: file.sha256 for file in pins["celery"].files}
    assert set(files) == {"celery-5.6.3.tar.gz", "celery-5.6.3-py3-none-any.whl"}
    assert all(digest is not None and len(digest) == 64 for digest in files.values())


UV = 'version = 1\n[[package]]\nname = "app"\nversion = "1"\nsource = {{ virtual = "." }}\ndependencies = [{{ name = "x" }}]\n[[package]]\nname = "x"\nversion = "1"\nsource = {source}\n{more}\n'


@pytest.mark.parametrize(
    ("source", "more", "url"),
    [
        ('{ git = "https://files.example/x.git?tag=v1&subdirectory=in#0123456789012345678901234567890123456789" }', "",
         "git+https://files.example/x.git@0123456789012345678901234567890123456789#subdirectory=in"),
        ('{ url = "https://files.example/x-1.tar.gz" }', f'sdist = {{ hash = "sha256:{"0" * 64}" , url = "https://files.example/x-1.tar.gz" }}',
         f"https://files.example/x-1.tar.gz#sha256={'0' * 64}"),
        ('{ path = "../dist/x-1-py3-none-any.whl" }', "", "../dist/x-1-py3-none-any.whl"),
        ('{ directory = "x" }', "", "./x"),
    ],
)  # fmt: skip
def test_sources_of_uv(source: str, more: str, url: str) -> None:
    (pin,) = read_uv_lock(UV.format(source=source, more=more), "uv.lock").pins
    assert (pin.url, pin.version, pin.files) == (url, None, ())


FAULTS = [
    ("version = 2\n", "version is '2'; known is 1"),
    ("revision = 3\n", "lacks the key 'version'"),
    ('version = 1\n[[package]]\nname = 1\nsource = {registry = "https://index.example/simple"}\n', "package[0].name must be a string"),
    ('version = 1\n[[package]]\nname = "a"\nversion = "1"\n', "package[0] lacks the key 'source'"),
    ('version = 1\n[[package]]\nname = "a"\nversion = "x y"\nsource = {registry = "https://index.example/simple"}\n', "package[0].version"),
    (UV.format(source='{ registry = "https://index.example/simple" }', more='wheels = [{ url = "https://files.example/a.whl", hash = "sha256:12" }]'), "wheels[0].hash"),
    (UV.format(source='{ svn = "x" }', more=""), "source is of a kind that is not known"),
    (UV.replace('x" }}]', 'missing" }}]').format(source='{ virtual = "x" }', more=""), "dependencies[0] means 0 of the packages"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), FAULTS)
def test_what_is_wrong_in_a_uv_lock_is_named(text: str, told: str) -> None:
    with pytest.raises(LockInvalid) as caught:
        read_uv_lock(text, "uv.lock")
    assert told in caught.value.message
    assert caught.value.message.startswith("uv.lock: ")


WORDS = st.sampled_from(["[", "]", '"', "=", "{", "}", "sha256:", "\n[[package]]\n", "-1", "'", "name", "\\", "é", "0"])


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), st.integers(0, 40), WORDS)
def test_nothing_but_our_errors_come_out_of_a_damaged_lock(start: int, length: int, word: str) -> None:
    text = (FIXTURES / "uv-rich" / "uv.lock").read_text(encoding="utf-8")
    index = start % len(text)
    try:
        lock = read_uv_lock(text[:index] + word + text[index + length :], "uv.lock")
    except DeepLockError:
        return
    assert all(isinstance(pin, ForeignPin) for pin in lock.pins)
