"""`[tool.deep-lock.policy]`: what it may hold, and that every fault in it is told."""

import tomllib
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep_lock.config.config import read_config
from deep_lock.config.policy import KEYS, SETTINGS, read_policy, read_policy_file
from deep_lock.errors import ConfigError, DeepLockError
from deep_lock.models.policy import RULES, Exemption, Policy
from deep_lock.parsing.faults import Faults

WHOLE = """\
hosts = ["Files.example", "mirror.example:8080"]
indexes = ["https://index.example/simple"]
backends = ["setuptools.build_meta", "hatchling.build"]
deny = ["Old.Crypto", "evil_*"]
may-build = ["setuptools", "Flit_Core"]
min-age = {runtime = "P7D", build = "14 days", exempt = ["Own.Lib"]}
max-depth = 3
publishers = {"Own.Lib" = {repository = "a/b", kind = "GitHub"}, other = [{kind = "x"}, {kind = "y"}]}
require-attestations = ["Own.Lib", ":all:"]
look-alike = "error"
package-new = "off"

[[exceptions]]
name = "Old_Lib"
version = "1.0"
rule = "assumed"
reason = "its setup.py was read"
until = 2026-12-31

[[exceptions]]
name = "other"
rule = "too-new"
reason = "a fix that we wait for"
until = "2026-12-01"
"""


def test_a_whole_policy_is_read() -> None:
    assert read_policy_file(WHOLE, "policy.toml") == Policy(
        hosts=frozenset({"files.example", "mirror.example:8080"}),
        indexes=frozenset({"https://index.example/simple/"}),
        backends=frozenset({"setuptools.build_meta", "hatchling.build"}),
        deny=("old-crypto", "evil-*"),
        may_build=("setuptools", "flit-core"),
        min_age=timedelta(days=7),
        min_age_build=timedelta(days=14),
        ageless=frozenset({"own-lib"}),
        max_depth=3,
        publishers={
            "own-lib": ((("kind", "GitHub"), ("repository", "a/b")),),
            "other": ((("kind", "x"),), (("kind", "y"),)),
        },
        attested=frozenset({"own-lib", ":all:"}),
        levels={"look-alike": "error", "package-new": "off"},
        exceptions=(
            Exemption(
                name="old-lib",
                version="1.0",
                rule="assumed",
                reason="its setup.py was read",
                until=date(2026, 12, 31),
            ),
            Exemption(name="other", rule="too-new", reason="a fix that we wait for", until=date(2026, 12, 1)),
        ),
    )


def test_it_is_the_same_in_pyproject() -> None:
    config = read_config({"policy": tomllib.loads(WHOLE)}, "pyproject.toml")
    assert config.policy == read_policy_file(WHOLE, "policy.toml")


ONE = 'name = "a"\nrule = "assumed"\nreason = "x"\nuntil = 2026-01-01\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("look-alikes = 'error'", "'look-alikes' is not a known key; did you mean 'look-alike'?"),
        ("min_age = 'P7D'", "did you mean 'min-age'?"),
        ("look-alike = 'warning'", 'look-alike: must be one of "error", "finding", "note", "off", not \'warning\''),
        ("look-alike = true", "not a boolean"),
        ("exception-expired = 'off'", "'exception-expired' is not a known key"),
        ("no-yanked = true", 'write yanked = "error"'),
        ("licences = ['MIT']", "write licenses"),
        ("licenses = 'MIT'", "licenses: must be a list of strings, not a string"),
        ("licenses = ['Mine']", "'Mine' is not an SPDX license identifier"),
        ("licenses = ['MIT OR BSD-3-Clause']", "is an expression; list each license by itself"),
        ("licenses = ['(MIT)']", "is an expression; list each license by itself"),
        ("hosts = 'files.example'", "hosts: must be a list of strings, not a string"),
        ("hosts = ['https://files.example']", "is not a host name"),
        ("hosts = ['files.example/x']", "is not a host name"),
        ("hosts = ['me@files.example']", "is not a host name"),
        ("hosts = ['files.example:x']", "is not a host name"),
        ("hosts = ['']", "is not a host name"),
        ("indexes = ['index.example']", "an index must be an http(s) URL"),
        ("indexes = ['https://me:secret@index.example/']", "without a login"),
        ("backends = [1]", "backends: must be a list of strings"),
        ("extends = 'strikt'", "extends: there is no profile 'strikt'; profiles are baseline, strict"),
        ("extends = {}", "extends: must have either path or url"),
        ("extends = {path = 'a', url = 'https://a.example/'}", "must have either path or url"),
        ("extends = {url = 'https://a.example/x.toml'}", "sha256 is missing"),
        ("extends = {url = 'https://a.example/x.toml', sha256 = '12'}", "sha256 must be 64 hexadecimal digits"),
        (f"extends = {{url = 'https://me:secret@a.example/', sha256 = '{'ab' * 32}'}}", "url must be an http(s) URL"),
        (f"extends = {{url = 'file:///etc/x', sha256 = '{'ab' * 32}'}}", "url must be an http(s) URL"),
        ("deny = 'six'", "deny: must be a list of strings, not a string"),
        ("deny = ['a b']", "deny: the name 'a b' is not a valid name"),
        ("may-build = ['[a-z]']", "may-build: the name '[a-z]' is not a valid name"),
        ("may-build = ['']", "may-build: the name '' is not a valid name"),
        ("min-age = 7", "min-age: a time limit must be a string"),
        ("min-age = '2026-01-01'", 'must be an age such as "P7D"'),
        ("min-age = {}", "must have the key runtime, the key build, or both"),
        ("min-age = {runtime = 'P7D', test = 'P1D'}", "'test' is not a known key; known are runtime, build, exempt"),
        ("min-age = {runtime = 'P7D', exempt = ['a b']}", "the name 'a b' is not a valid name"),
        ("publishers = 'x'", "a table of names with publishers"),
        ("publishers = {a = 'x'}", "the publisher of 'a' must be a table such as"),
        ("publishers = {a = []}", "the publisher of 'a' must be a table such as"),
        ("publishers = {a = {repository = 'a/b'}}", "the publisher of 'a' must be a table such as"),
        ("publishers = {a = [{kind = 'x'}, {}]}", "the publisher of 'a' must be a table such as"),
        ("publishers = {a = {kind = 1}}", "'kind' of the publisher of 'a' must be a text"),
        ("publishers = {a = {kind = ''}}", "'kind' of the publisher of 'a' must be a text"),
        ("publishers = {'a b' = {kind = 'x'}}", "the name 'a b' is not a valid name"),
        ("require-attestations = 'a'", "must be a list of strings"),
        ("require-attestations = ['a b']", "the name 'a b' is not a valid name"),
        ("max-depth = -1", "must be a number of builds, from 0 to 1000"),
        ("max-depth = true", "must be a number of builds"),
        ("exceptions = {}", "exceptions: must be an array of tables, not a table"),
        ("[[exceptions]]\nname = 'a'", "exceptions, entry 1: rule, reason, until are missing"),
        (f"[[exceptions]]\n{ONE}why = 1", "'why' is not a known key; known are name, version, rule, reason, until"),
        (f"[[exceptions]]\n{ONE}".replace('"assumed"', '"asumed"'), "no rule 'asumed'; did you mean 'assumed'?"),
        (f"[[exceptions]]\n{ONE}".replace('"x"', '" "'), "reason must be one line of text"),
        (f"[[exceptions]]\n{ONE}".replace('"x"', '"a\\nb"'), "reason must be one line of text"),
        (f"[[exceptions]]\n{ONE}".replace('"x"', '"a\\u202Eb"'), "reason must be one line of text"),
        (f"[[exceptions]]\n{ONE}".replace("2026-01-01", "2026-01-01T00:00:00Z"), "until must be a day such as"),
        (f"[[exceptions]]\n{ONE}".replace("2026-01-01", "'next year'"), "until must be a day such as"),
        (f"[[exceptions]]\n{ONE}".replace('"a"', "1"), "name must be a string, not a number"),
    ],
)
def test_faults(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_policy_file(text, "policy.toml")
    assert caught.value.message.startswith("policy.toml: ")
    assert says in caught.value.message
    assert "secret" not in caught.value.message


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_policy_file("look-alike = 1\nmax-depth = 'x'\n[[exceptions]]\nname = 'a'\n", "policy.toml")
    assert "3 faults" in caught.value.message


def test_every_rule_is_a_key() -> None:
    assert set(RULES) | set(SETTINGS) == KEYS
    assert not set(RULES) & set(SETTINGS)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.dates() | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(["name", "rule", "until", "runtime", "exempt"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(KEYS)) | st.text(max_size=8), values, max_size=4))
def test_nothing_but_an_error_of_ours_comes_out(table: dict[str, object]) -> None:
    faults = Faults("policy.toml", ConfigError)
    try:
        read_policy(table, "policy", faults)
    except DeepLockError:
        return
    error = faults.to_error()
    assert error is None or error.message.startswith("policy.toml: ")
