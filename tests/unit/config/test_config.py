"""deep-lock's own settings."""

import tomllib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from deep_lock.config.config import Config, IndexSetting, Workspace, read_config, read_config_file
from deep_lock.config.exclude_newer import read_exclude_newer
from deep_lock.errors import ConfigError, LimitExceeded
from deep_lock.models.advisory import AuditSettings, Ignored
from deep_lock.models.direct_url import Reference
from deep_lock.models.policy import Policy
from deep_lock.targets.markers import BASE, Scope

WHOLE = """\
python-versions = ["3.12", "3.13t"]
platforms = ["x86_64-manylinux_2_28", "host"]
extras = "all"
groups = ["Dev_Tools"]
default-groups = []
from-lock = "locks/uv.lock"
build-scope = "all"
no-binary = ":all:"
only-binary = ["NumPy"]
allow-wheel = ["Torch"]
resolution = "lowest-direct"
prerelease = "allow"
exclude-newer = "P7D"
exclude-newer-package = { Pip = false, "Ruamel.Yaml" = 2026-01-02 }
fork-strategy = "fewest"
hooks = "sandbox"
observe = true
sources = { Spam = { index = "inner" }, Own = { path = "libs/own", editable = true } }
workspace = { members = ["packages/*"], exclude = ["packages/old"] }
conflicts = [[{ extra = "GPU" }, { extra = "cpu" }], [{ group = "old", package = "Tools" }, { package = "tools" }, { extra = "cpu" }]]
find-links = ["wheels"]
no-index = false
index-strategy = "first-index"
constraints = ["a<2"]
overrides = ["b==1"]
build-constraints = ["setuptools<82"]
package = true
files = "used"
build-resolution = "shared"
require-evidence = true
attestations = "record"

[extra-build-requires]
Old_Lib = ["cython>=3"]
"old.lib" = ["numpy; python_version < '3.13'"]
idle = []

[config-settings]
Old_Lib = {"--global-option" = ["--fast", "--and", "--fast"], "é" = ""}
idle = {}

[config-settings."old.lib"]
editable_mode = "strict"

[[index]]
name = "inner"
url = "https://user:hunter2@index.example/simple/"
explicit = true

[[index]]
name = "main"
url = "https://index.example/simple/"
default = true

[policy]
package-new = "error"

[audit]
database = ["advisories.zip", "https://db.example/all.zip"]
service = "https://osv.example/api"
max-age = "12 hours"
fail-on = "high"
scope = "build"
ignore-until-fixed = ["CVE-1"]
openvex = "a.vex.json"

[[audit.ignore]]
id = "CVE-2"
reason = "not used"
until = 2026-12-31
"""


def test_every_key_is_read() -> None:
    config = read_config_file(WHOLE, "deep-lock.toml")
    assert config.audit == AuditSettings(
        database=("advisories.zip", "https://db.example/all.zip"),
        service="https://osv.example/api",
        max_age=timedelta(hours=12),
        fail_on="high",
        scope="build",
        ignore=(Ignored(id="CVE-2", reason="not used", until=date(2026, 12, 31)),),
        ignore_until_fixed=("CVE-1",),
        openvex=("a.vex.json",),
    )
    assert config.python_versions == ("3.12", "3.13t")
    assert config.extras == "all"
    assert config.groups == ("dev-tools",)
    assert config.default_groups == ()
    assert config.observe is True
    assert config.no_binary == frozenset((":all:",))
    assert config.only_binary == frozenset(("numpy",))
    assert config.allow_wheel == frozenset(("torch",))
    assert config.exclude_newer == timedelta(days=7)
    assert config.exclude_newer_package == (
        ("pip", None),
        ("ruamel-yaml", date(2026, 1, 2)),
    )
    own = Reference(kind="path", place="libs/own", is_path=True, editable=True)
    assert config.sources == (("spam", "inner"), ("own", own))
    assert config.workspace == Workspace(members=("packages/*",), exclude=("packages/old",))
    cpu, gpu, old = Scope(kind="extra", name="cpu"), Scope(kind="extra", name="gpu"), Scope(kind="group", name="old")
    declared = [[(own.package, own.scope) for own in conflict] for conflict in config.conflicts or ()]
    assert declared == [[("", cpu), ("", gpu)], [("", cpu), ("tools", BASE), ("tools", old)]]
    assert config.index == (
        IndexSetting(name="inner", url="https://user:hunter2@index.example/simple/", explicit=True),
        IndexSetting(name="main", url="https://index.example/simple/", default=True),
    )
    assert [str(one.origin) for one in config.constraints or ()] == ["deep-lock.toml:24 [constraints]"]
    assert [(name, list(map(str, own))) for name, own in config.extra_build_requires or ()] == [
        ("old-lib", ["cython>=3", 'numpy; python_version < "3.13"'])
    ]
    assert [str(one.origin) for _, own in config.extra_build_requires or () for one in own] == [
        "deep-lock.toml:34 [extra-build-requires.Old_Lib]",
        "deep-lock.toml:35 [extra-build-requires.old.lib]",
    ]
    assert config.config_settings == (
        ("old-lib", (("--global-option", ("--fast", "--and", "--fast")), ("editable_mode", "strict"), ("é", ""))),
    )
    assert config.policy == Policy(levels={"package-new": "error"})
    assert "hunter2" not in repr(config)
    assert not [name for name in config.__struct_fields__ if getattr(config, name) is None and name != "public_index"]


def test_both_places_say_the_same() -> None:
    table = "[tool.deep-lock]\n" + WHOLE.replace("[[index", "[[tool.deep-lock.index").replace(
        "[policy", "[tool.deep-lock.policy"
    ).replace("[extra-build", "[tool.deep-lock.extra-build").replace(
        "[config-settings", "[tool.deep-lock.config-settings"
    ).replace("[audit", "[tool.deep-lock.audit")
    settings = tomllib.loads(table)["tool"]["deep-lock"]
    inside = read_config(settings, "deep-lock.toml", table)
    assert inside == read_config_file(WHOLE, "deep-lock.toml")
    assert [str(one.origin) for one in inside.constraints or ()] == ["deep-lock.toml:25 [tool.deep-lock.constraints]"]


def test_nothing_set_is_none() -> None:
    assert read_config({}, "pyproject.toml") == Config(source="pyproject.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("python-version = []", "'python-version' is not a known key; did you mean 'python-versions'?"),
        ("no_binary = []", "did you mean 'no-binary'?"),
        ("zzzzzz = 1", "'zzzzzz' is not a known key"),
        ("platforms = 'linux'", "platforms: must be a list of strings, not a string"),
        ("platforms = ['a', 1]", "platforms: must be a list of strings, not a list with a number in it"),
        ("extras = 'some'", "extras: must be \"all\" or a list of names, not 'some'"),
        ("groups = ['a b']", "groups: the name 'a b' is not a valid name"),
        ("build-scope = 'most'", 'build-scope: must be one of "needed", "all", "none", not \'most\''),
        ("resolution = ['highest']", "resolution: must be one of"),
        ("package = 'yes'", "package: must be true or false, not a string"),
        ("hooks = 'trust'", "hooks: 'trust' is not allowed in a file: with it, a change of this file"),
        ("hooks = ['trust']", 'hooks: must be one of "static", "sandbox"'),
        ("trust-hooks = ['a']", "trust-hooks is not allowed in a file"),
        ("audit = 1", "audit: must be a table, not a number"),
        ("audit.databases = []", "'audit.databases' is not a known key; did you mean 'database'?"),
        ("audit.database = 1", "audit.database: must be a string or a list of strings, not a number"),
        ("audit.database = ['']", "audit.database: '' must be one line of text"),
        ("audit.service = 'osv'", "audit.service: the service is not an http(s) URL"),
        ("audit.service = 'https://u:hunter2@x.example/?a'", "audit.service: the service is not an http(s) URL"),
        ("audit.max-age = 2026-01-01", 'audit.max-age: must be an age such as "P7D"'),
        ("audit.max-age = 'P1Y'", "audit.max-age: 'P1Y' is neither"),
        ("audit.fail-on = 'severe'", 'audit.fail-on: must be one of "any", "low", "medium", "high", "critical"'),
        ("audit.scope = 'none'", 'audit.scope: must be one of "runtime", "build", "all"'),
        ("audit.ignore = ['CVE-1']", "audit.ignore: must be an array of tables"),
        ("audit.ignore = [{id = 'CVE-1', reason = 'x'}]", "audit.ignore: entry 1: until is missing"),
        ("audit.ignore = [{id = 'CVE-1', reason = ' ', until = 2026-01-01}]", "entry 1: ' ' must be one line of text"),
        ("audit.ignore = [{id = 'CVE-1', reason = 'x', until = 'soon'}]", "until must be a day such as 2026-11-01"),
        ("policy = 1", "policy: must be a table, not a number"),
        ("constraints = ['a b']", "x.toml:1 [constraints]"),
        ("overrides = 'a'", "overrides must be a list of strings, not a string"),
        ("build-constraints = ['a @ https://files.example/a.whl']", "a is required from a URL"),
        ("sources = { a = 'b' }", "sources.a: must be a table, not a string"),
        ("sources = { a = {} }", "sources.a: must have exactly one of the keys index, workspace, path, git, url"),
        ("sources.a = { path = 'x', git = 'https://files.example/a.git' }", "sources.a: must have exactly one"),
        ("sources.a = { git = 'https://files.example/a.git', rev = '-x' }", "sources.a: its revision is not valid"),
        ("sources.a = { git = 'https://files.example/a.git', rev = 'a', tag = 'b' }", "has rev and tag"),
        ("sources.a = { path = 'x', subdirectory = '../y' }", "its subdirectory is outside of the source tree"),
        ("sources.a = { path = 'x', rev = 'main' }", "'rev' cannot be used with 'path'"),
        ("sources.a = { workspace = false }", "workspace must be true"),
        ("sources.a = { url = 'ftp://files.example/a.whl' }", "its URL scheme is not supported, 'ftp'"),
        ("conflicts = [[{ extra = 'a' }]]", "conflicts: must have lists of two tables or more"),
        ("conflicts = [[{ extra = 'a' }, { extra = 'A' }]]", "conflicts: names extra 'a' twice in one list"),
        ("conflicts = [['a', 'b']]", "conflicts: must have tables such as {extra ="),
        ("conflicts = [[{ extra = 'a', group = 'b' }, { extra = 'b' }]]", "with one of the keys extra and group"),
        ("conflicts = [[{ extra = 'a', package = '-' }, { extra = 'b' }]]", "conflicts: name is invalid: '-'"),
        ("conflicts = 'a'", "conflicts: must be a list of lists of tables"),
        ("workspace = ['x']", "workspace: must be a table, not a list"),
        ("workspace = { include = ['x'] }", "'include' is not a known key; known are members, exclude"),
        ("workspace = { exclude = ['/x'] }", "workspace.exclude contains '/x', which is not a relative path"),
        ("workspace = { members = ['/x'] }", "which is not a relative path with '/'"),
        (
            "extra-build-requires = ['a']",
            "extra-build-requires: must be a table of names with lists of requirements, not a list",
        ),
        ("extra-build-requires = { a = 'b' }", "extra-build-requires.a must be a list of strings, not a string"),
        (
            "extra-build-requires = { a = [{ requirement = 'b' }] }",
            "extra-build-requires.a must be a list of strings, not a list with a table in it",
        ),
        ("[extra-build-requires]\na = ['b c']", "x.toml:2 [extra-build-requires.a]"),
        ("[extra-build-requires]\na = ['b @ https://files.example/b.whl']", "b is required from a URL"),
        ("extra-build-requires = { 'a b' = ['c'] }", "extra-build-requires: the name 'a b' is not a valid name"),
        (
            "config-settings = ['a']",
            "config-settings: must be a table of names with tables of settings, not a list",
        ),
        (
            "[config-settings]\nb = {}\na = 'x'",
            "x.toml:3 [config-settings]: 'a' must be a table of settings, not a string",
        ),
        (
            "[config-settings.a]\nx = 'y'\nk = 1",
            "x.toml:3 [config-settings.a]: 'k' must be a string or a list of strings, not a number",
        ),
        (
            "[config-settings]\n\na = {k = [true]}",
            "x.toml:3 [config-settings.a]: 'k' must be a string or a list of strings",
        ),
        ("[config-settings.a]\nk = {x = 'y'}", "'k' must be a string or a list of strings, not a table"),
        ("[config-settings.a]\n'' = 'y'", "'' is not the name of a setting"),
        ('[config-settings.a]\nk = "x\\ny"', "'k' contains a line break or another control character"),
        ('[config-settings.a]\nk = ["x", "\\u0085"]', "'k' contains a line break or another control character"),
        ('[config-settings.a]\n"a\\tb" = "x"', "contains a line break or another control character"),
        (f"[config-settings.a]\nk = '{'x' * 20000}'", "'k' is 20000 characters long; at most"),
        ("[config-settings]\n'a b' = {k = 'v'}", "x.toml:2 [config-settings]: the name 'a b' is not a valid name"),
        ("[config-settings]\na-b = {k = 'v'}\na_b = {k = 'v'}", "'k' is set under two spellings of the name"),
        ("config-setting = {}", "did you mean 'config-settings'?"),
        ("extra-build-require = {}", "did you mean 'extra-build-requires'?"),
        ("sources = 1", "sources: must be a table of names, not a number"),
        ("index = 'https://index.example'", "index: must be an array of tables"),
        ("[[index]]\nname = 'a'", "index, entry 1: url is missing"),
        ("[[index]]\nurl = 'https://index.example'", "index, entry 1: name is missing"),
        ("[[index]]\nname = 'a'\nurl = 'file:///a'", "the url of 'a' is not an http(s) URL"),
        ("[[index]]\nname = 'a'\nurl = 'https://[x'", "the url of 'a' is not an http(s) URL"),
        ("[[index]]\nname = 'a'\nurl = 5", "url must be a string, not a number"),
        ("[[index]]\nname = 'a'\nurl = 'https://a.example'\nexplicit = 1", "explicit must be true or false"),
        ("[[index]]\nname = 'a'\nurl = 'https://a.example'\nverify = false", "'verify' is not a known key"),
        ("[[index]]\nname = 'a b'\nurl = 'https://a.example'", "the name 'a b' must have"),
        (2 * "[[index]]\nname = 'a'\nurl = 'https://a.example'\ndefault = true\n", "more than one has the same name"),
        (2 * "[[index]]\nname = 'a'\nurl = 'https://a.example'\ndefault = true\n", "more than one has default = true"),
        ("exclude-newer = 5", "exclude-newer: a time limit must be a string or a date, not a number"),
        ("exclude-newer-package = 5", "exclude-newer-package: must be a table"),
        ("exclude-newer-package.a = true", "a time limit must be a string or a date, not a boolean"),
        ("= 1", "x.toml: is not valid TOML"),
    ],
)
def test_faults(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config_file(text, "x.toml")
    assert says in caught.value.message
    assert "x.toml" in caught.value.message


def test_a_password_in_a_bad_url_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        read_config_file("[[index]]\nname = 'a'\nurl = 'ftp://u:hunter2@a.example'", "x.toml")
    assert "hunter2" not in caught.value.message


def test_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_config({"package": 1, "nonsense": 1, "constraints": ["a b", "c d"]}, "pyproject.toml")
    message = caught.value.message
    assert "4 faults" in message
    assert "tool.deep-lock.package" in message


def test_a_flood_of_settings_is_refused() -> None:
    with pytest.raises(LimitExceeded, match=r"x\.toml:1 \[config-settings\.a\]: 1001 settings; at most 1000"):
        read_config_file("[config-settings.a]\n" + "".join(f"k{number} = ''\n" for number in range(1001)), "x.toml")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-01", date(2026, 11, 1)),
        ("2026-11-01T12:00:00Z", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01t14:00:00.5+02:00", datetime(2026, 11, 1, 12, 0, 0, 500000, tzinfo=UTC)),
        (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
        ("P7D", timedelta(days=7)),
        ("P2W", timedelta(weeks=2)),
        ("P1DT12H", timedelta(hours=36)),
        ("PT90M", timedelta(minutes=90)),
        ("7 days", timedelta(days=7)),
        ("1 week", timedelta(weeks=1)),
        ("36hours", timedelta(hours=36)),
    ],
)
def test_time_limits(value: Any, expected: Any) -> None:
    limit = read_exclude_newer(value)
    assert (type(limit), limit) == (type(expected), expected)


@pytest.mark.parametrize(
    "value",
    [
        "", "P", "PT", "P1M", "P1Y", "P0D", "0 days", "P99999W", "7", "soon", "7 months", "-7 days",
        "2026-13-01", "2026-02-30", "2026-11-01T12:00:00", "2026-11-01T25:00:00Z", "٢٠٢٦-01-01",
        datetime(2026, 1, 1), None, [], {},  # noqa: DTZ001  a time without zone is what is refused
    ],
)  # fmt: skip
def test_time_limits_that_are_none(value: Any) -> None:
    with pytest.raises(ConfigError):
        read_exclude_newer(value)


def test_sources_with_conditions_are_in_order_of_precedence() -> None:
    text = """
[sources]
Torch = [
    {index = "a"},
    {index = "b", extra = "CU_128", marker = "os_name == 'nt'"},
    {index = "c", group = "Dev"},
    {path = "x", extra = "cu-128", marker = "os_name != 'nt'"},
]
Only = [{index = "a"}]
"""
    config = read_config_file(text, "deep-lock.toml")
    assert config.sources is not None
    torch, only = config.sources
    assert only == ("only", "a")
    assert isinstance(torch[1], tuple)
    assert [(own.source if isinstance(own.source, str) else own.source.place, own.scope) for own in torch[1]] == [
        ("b", Scope(kind="extra", name="cu-128")),
        ("c", Scope(kind="group", name="dev")),
        ("x", Scope(kind="extra", name="cu-128")),
        ("a", None),
    ]
    assert [str(own.marker) for own in torch[1]] == ['os_name == "nt"', "None", 'os_name != "nt"', "None"]
