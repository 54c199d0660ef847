"""`lock --attestations record`: who published the files, as the index attests it (PEP 740), by real requests."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from tests.support.provenance import identity, provenance, publisher
from tests.support.scenarios import LINUX, WINDOWS, Bench, Run, bench

RELEASES: dict[str, Any] = {
    "lib 1.0": {"wheels": ["cp313-cp313-manylinux_2_28_x86_64", "cp313-cp313-win_amd64"], "requires": ["dep"]},
    "dep 1.0": {"wheels": [], "sdist": True, "build": ["backend"], "backend": "backend"},
    "backend 1.0": {"modules": {"backend.py": ""}},
}
WHEELS = ("lib-1.0-cp313-cp313-manylinux_2_28_x86_64.whl", "lib-1.0-cp313-cp313-win_amd64.whl")
SDIST, BACKEND = "dep-1.0.tar.gz", "backend-1.0-py3-none-any.whl"
OURS = provenance(publisher("team/lib"))
RECORD = "--attestations=record"


@pytest.fixture
def own(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as made:
        made.platforms = (LINUX, WINDOWS)
        made.ask("lib")
        made.server.provenance = dict.fromkeys((*WHEELS, SDIST, BACKEND), OURS)
        yield made


def identities(ran: Run) -> dict[str, Any]:
    assert ran.code == 0, ran.stderr
    return {entry.name: entry.attestation_identities for entry in ran.lock.packages}


def requests(ran: Run) -> list[str]:
    return [path for path in ran.asked if "/integrity/" in path]


def test_publishers_are_recorded_with_one_request_for_each_file(own: Bench) -> None:
    ran = own.lock(RECORD)
    assert identities(ran) == {name: (identity("team/lib"),) for name in ("lib", "dep", "backend")}
    assert sorted(requests(ran)) == sorted(f"/integrity/{name}/provenance" for name in (*WHEELS, SDIST, BACKEND))
    assert ("attestations", "record") in ran.lock.options
    assert 'attestation-identities = [{ kind = "GitHub", repository = "team/lib"' in ran.text.replace("{kind", "{ kind")


def test_nothing_is_requested_without_the_option(own: Bench) -> None:
    ran = own.lock()
    assert identities(ran) == {"lib": (), "dep": (), "backend": ()}
    assert requests(ran) == []


LOADED = """
import sys
from deep_lock.cli.main import run
assert run(sys.argv[1:]) == 0
words = ("attestation", "provenance", "sigstore", "audit", "advisor", "osv", "vex", "cvss", "severity", "vet", "contents",
    "content_diff", "receipt", "installed")
print(*(name for name in sys.modules if any(word in name for word in words)))
"""


def test_a_plain_lock_loads_nothing_for_attestations_audit_vet_and_contents(own: Bench) -> None:
    def loaded(*flags: str) -> str:
        command = [sys.executable, "-c", LOADED, "lock", *own.flags(), *flags]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert loaded() == ""
    assert loaded("--check") == ""
    assert loaded(RECORD).split() == ["deep_lock.models.provenance", "deep_lock.index.provenance_files"]


def test_the_option_of_the_configuration_is_used(own: Bench) -> None:
    text = (own.folder / "pyproject.toml").read_text(encoding="utf-8")
    own.write({"pyproject.toml": text + '[tool.deep-lock]\nattestations = "record"\n'})
    assert identities(own.lock())["lib"] == (identity("team/lib"),)
    assert identities(own.lock("--attestations=off"))["lib"] == ()


def test_an_identity_is_recorded_only_if_every_file_has_it(own: Bench) -> None:
    own.server.provenance[WHEELS[0]] = provenance(publisher("team/lib"), publisher("other/lib"))
    own.server.provenance[SDIST] = provenance(publisher("other/lib"), publisher("team/lib"))
    assert identities(own.lock(RECORD)) == {
        "lib": (identity("team/lib"),),
        "dep": (identity("other/lib"), identity("team/lib")),
        "backend": (identity("team/lib"),),
    }


def test_one_file_without_an_attestation_leaves_the_package_without_an_identity(own: Bench) -> None:
    del own.server.provenance[WHEELS[1]]
    assert identities(own.lock(RECORD))["lib"] == ()


def test_a_provenance_that_is_promised_and_missing_is_a_warning(own: Bench) -> None:
    own.server.provenance[WHEELS[1]] = None
    ran = own.lock(RECORD)
    assert identities(ran)["lib"] == ()
    assert f"the index lists a provenance file of {WHEELS[1]}" in ran.stderr


def test_texts_are_recorded_and_nothing_else(own: Bench) -> None:
    odd = {
        "kind": "GitHub",
        "repository": "a/é",
        "claims": {"sub": "x"},
        "environment": "",
        "runs": 3,
        "workflow": None,
    }
    own.server.provenance[BACKEND] = provenance(odd)
    assert identities(own.lock(RECORD))["backend"] == ((("kind", "GitHub"), ("repository", "a/é")),)


def test_a_lock_keeps_its_identities_without_a_request(own: Bench) -> None:
    first = own.lock(RECORD)
    own.server.provenance = dict.fromkeys((*WHEELS, SDIST, BACKEND), provenance(publisher("other/lib")))
    assert run(["cache", "clean"]) == 0
    again = own.lock()
    assert (again.text, again.asked) == (first.text, ())
    own.write(
        {"pyproject.toml": (own.folder / "pyproject.toml").read_text(encoding="utf-8").replace("['lib", "['new', 'lib")}
    )
    own.hold({**RELEASES, "new 1.0": {}})
    own.server.provenance["new-1.0-py3-none-any.whl"] = provenance(publisher("new/new"))
    added = own.lock()
    assert identities(added) == {**identities(first), "new": (identity("new/new"),)}
    assert requests(added) == ["/integrity/new-1.0-py3-none-any.whl/provenance"]
    assert identities(own.lock("--refresh"))["lib"] == (identity("other/lib"),)


def test_the_cache_is_used_for_another_lock_and_offline(own: Bench) -> None:
    first = own.lock(RECORD)
    (own.folder / "deep.lock").unlink()
    again = own.lock(RECORD)
    assert (again.text, requests(again)) == (first.text, [])
    (own.folder / "deep.lock").unlink()
    assert own.lock(RECORD, "--offline").text == first.text


def test_offline_without_the_cache_names_what_is_missing(own: Bench) -> None:
    assert own.lock().code == 0
    ran = own.lock(RECORD, "--offline")
    assert ran.code == 3
    assert "the provenance of backend-1.0-py3-none-any.whl is not in the cache" in ran.stderr


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "JSON is malformed"),
        (b'{"version": 2, "attestation_bundles": []}', "not a provenance object (PEP 740)"),
        (b'{"version": 1}', "missing required field `attestation_bundles`"),
        (provenance({"repository": "a/b"}), "a publisher without a kind"),
        (provenance({"kind": 1}), "a publisher without a kind"),
        (provenance({"kind": "x\ny"}), "too long or not printable"),
        (provenance({"kind": "x" * 1001}), "too long or not printable"),
        (provenance({"kind": "x", **{f"k{n}": "v" for n in range(60)}}), "more than 50 keys"),
        (provenance(*[publisher("a/b")] * 101), "more than 100 bundles"),
        (OURS.replace(b"null", b"[" * 100_000), "is nested too deeply"),
        (b" " * (3 * 1024 * 1024), "larger than"),
    ],
)
def test_a_broken_provenance_ends_the_run(own: Bench, body: bytes, reason: str) -> None:
    own.server.provenance[BACKEND] = body
    ran = own.lock(RECORD)
    assert ran.code in {3, 4}
    assert reason in ran.stderr
    assert ran.text == "", "nothing is written"


@pytest.mark.parametrize("status", [500, 403])
def test_a_server_that_fails_ends_the_run(own: Bench, status: int) -> None:
    own.server.statuses[f"/integrity/{BACKEND}/provenance"] = status
    ran = own.lock(RECORD)
    assert (ran.code, ran.text) == (3, "")


def test_another_publisher_of_a_build_tool_is_dangerous_and_breaks_the_policy(
    own: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.folder)
    assert own.lock(RECORD).code == 0
    (own.folder / "deep.lock").rename(own.folder / "old.lock")
    own.server.provenance[BACKEND] = provenance(publisher("other/backend"))
    del own.server.provenance[SDIST]
    assert own.lock(RECORD, "--refresh").code == 0
    own.capture.readouterr()
    assert run(["diff", "old.lock", "deep.lock"]) == 0
    told = own.capture.readouterr().out
    dangers = told.split("Dangerous changes")[1].split("Changes to review")[0]
    changed = (
        "GitHub (repository team/lib, workflow release.yml) -> GitHub (repository other/backend, workflow release.yml)"
    )
    assert f"publisher: {changed}" in dangers
    assert "publisher: GitHub (repository team/lib, workflow release.yml) -> none" in dangers
    assert "build of dep" in dangers
    assert run(["policy", "--against", "old.lock"]) == 1
    told = own.capture.readouterr().out
    assert all(code in told for code in ("identity-changed", "provenance-lost"))


POLICY = """
[tool.deep-lock]
attestations = "record"
[tool.deep-lock.policy]
require-attestations = [":all:"]
publishers = {backend = {kind = "GitHub", repository = "REPOSITORY"}}
"""


@pytest.mark.parametrize(("repository", "code"), [("team/lib", 0), ("Team/other", 1)])
def test_a_policy_that_names_publishers_is_checked_with_the_lock(own: Bench, repository: str, code: int) -> None:
    text = (own.folder / "pyproject.toml").read_text(encoding="utf-8")
    own.write({"pyproject.toml": text + POLICY.replace("REPOSITORY", repository)})
    assert own.lock().code == 0
    ran = own.lock("--check")
    assert (ran.code, ran.asked) == (code, ())
    assert ("publisher:backend==1.0" in ran.stderr) == bool(code)
    assert "not-attested" not in ran.stderr


def test_a_bundle_without_an_attestation_states_nothing(own: Bench) -> None:
    empty = {"version": 1, "attestation_bundles": [{"publisher": publisher("team/lib"), "attestations": []}]}
    own.server.provenance[BACKEND] = json.dumps(empty).encode()
    assert identities(own.lock(RECORD))["backend"] == ()
