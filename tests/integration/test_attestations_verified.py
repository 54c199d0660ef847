"""Attestations of real releases, verified with pypi-attestations and sigstore, without a request beyond this machine.

The objects are in the source distribution of pypi-attestations, in test/assets. They are not copied to this repository, since
the signed statements name a public index. `.ci/run` unpacks the source distribution and sets the variable.
"""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep_lock.cli.main import run
from tests.support.scenario_server import ReleaseFile
from tests.support.scenarios import Bench, bench

ASSETS = os.environ.get("DEEP_LOCK_ATTESTATION_ASSETS", "")
WHEEL = "circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl"
STAGED = "rfc8785-0.1.2-py3-none-any.whl"
OTHER_PROJECT = "00000000-0000-0000-0000-000000000000"
NAME = "circleci-sign-publish-example"
VERIFY = "--attestations=verify"

pytestmark = pytest.mark.skipif(
    not ASSETS, reason="DEEP_LOCK_ATTESTATION_ASSETS does not name test/assets of pypi-attestations"
)


def asset(name: str) -> bytes:
    return Path(ASSETS, name).read_bytes()


@pytest.fixture
def own(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "user"))
    with bench(tmp_path, capfd, monkeypatch, {}) as made:
        serve(made, WHEEL, asset(WHEEL), asset(f"{WHEEL}.provenance"))
        made.ask(f"{NAME}==0.0.1.dev137")
        yield made


def serve(made: Bench, filename: str, content: bytes, provenance: bytes) -> None:
    name = filename.partition("-")[0]
    file = ReleaseFile(filename=filename, content=content)
    made.server.projects[name.replace("_", "-")] = [file]
    made.server.known[filename] = file
    made.server.provenance[filename] = provenance


def repacked(wheel: bytes) -> bytes:
    """Return a wheel with the same files and other bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(stream, "w") as new:
        for member in old.infolist():
            new.writestr(zipfile.ZipInfo(member.filename), old.read(member))
    return stream.getvalue()


def changed(**more: Any) -> bytes:
    """Return the provenance of the wheel with changes: of its publisher, or by dotted key of its attestation."""
    document = json.loads(asset(f"{WHEEL}.provenance"))
    (bundle,) = document["attestation_bundles"]
    for key, value in more.items():
        if key == "publisher":
            bundle["publisher"] |= value
        else:
            place = bundle["attestations"][0]
            *above, last = key.split("__")
            for part in above:
                place = place[int(part) if part.isdecimal() else part]
            assert place[last] != value
            place[last] = value
    return json.dumps(document).encode()


def test_a_valid_attestation_is_verified_and_recorded(own: Bench) -> None:
    ran = own.lock(VERIFY)
    assert ran.code == 0, ran.stderr
    (entry,) = ran.lock.packages
    (identity,) = entry.attestation_identities
    assert dict(identity)["kind"] == "CircleCI"
    assert ("attestations", "verify") in ran.lock.options
    assert "TUF" not in ran.stderr
    assert verified(own, VERIFY) == (0, "")
    again = own.lock()
    assert (again.text, again.asked) == (ran.text, ())


REFUSED = {
    "signature": "invalid signature",
    "statement": "",
    "publisher": "",
    "kind": "",
    "unknown-kind": "does not match any of the expected tags",
    "certificate": "",
    "time": "cert is not valid at validation time",
    "no-log": "",
    "digest": "subject does not match distribution digest",
}
"""By case a part of the message."""


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_valid_is_refused(own: Bench, case: str) -> None:
    other = json.loads(asset("pypi_attestations-0.0.19.tar.gz.publish.attestation"))
    entry = "verification_material__transparency_entries"
    bodies = {
        "signature": {"envelope__signature": other["envelope"]["signature"]},
        "statement": {"envelope__statement": other["envelope"]["statement"]},
        "publisher": {"publisher": {"project_id": OTHER_PROJECT}},
        "kind": {"publisher": {"kind": "GitHub", "repository": "a/b", "workflow": "release.yml"}},
        "unknown-kind": {"publisher": {"kind": "Other"}},
        "certificate": {"verification_material__certificate": other["verification_material"]["certificate"]},
        # the certificate is valid for ten minutes: the log states that it was used then, and signs the time
        "time": {f"{entry}__0__integratedTime": "1900000000"},
        "no-log": {entry: []},
        "digest": {},
    }
    content = repacked(asset(WHEEL)) if case == "digest" else asset(WHEEL)
    serve(own, WHEEL, content, changed(**bodies[case]))
    recorded = own.lock("--attestations=record")
    assert recorded.code == 0, "the index states it, and nothing is verified"
    assert verified(own) == (0, "")
    assert verified(own, VERIFY) == (4, "attestation-invalid")
    ran = own.lock(VERIFY)
    assert ran.code == 4
    assert WHEEL in ran.stderr
    assert REFUSED[case] in ran.stderr
    assert ran.text == recorded.text


def test_an_attestation_of_another_trust_root_is_refused(own: Bench) -> None:
    """The published attestation of this wheel is of the staging instance of sigstore, and by an account of a person."""
    bundle = {
        "publisher": {"kind": "GitHub", "repository": "trailofbits/rfc8785.py", "workflow": "release.yml"},
        "attestations": [json.loads(asset(f"{STAGED}.publish.attestation"))],
    }
    serve(own, STAGED, asset(STAGED), json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode())
    own.ask("rfc8785")
    ran = own.lock(VERIFY)
    assert (ran.code, ran.text) == (4, "")
    assert f"{STAGED}: its attestation by kind GitHub" in ran.stderr


def test_a_stripped_provenance_is_found_without_the_library(own: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own.lock(VERIFY).code == 0
    monkeypatch.setattr("deep_lock.index.attestations.pypi_attestations", None)
    assert verified(own) == (0, "")
    del own.server.provenance[WHEEL]
    assert verified(own) == (4, "attestation-gone")
    assert verified(own, "--attestations=off") == (0, "")
    own.server.provenance[WHEEL] = changed(publisher={"project_id": OTHER_PROJECT})
    assert verified(own) == (4, "publisher-differs")


def test_without_the_library_nothing_is_verified_and_nothing_written(
    own: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deep_lock.index.attestations.pypi_attestations", None)
    ran = own.lock(VERIFY)
    assert (ran.code, ran.text) == (2, "")
    assert "deep-lock[attestations]" in ran.stderr
    assert own.lock("--attestations=record").code == 0
    assert verified(own, VERIFY)[0] == 2


def verified(own: Bench, *flags: str) -> tuple[int, str]:
    """Run ``deep-lock verify``; return its exit code and the code of its finding."""
    own.capture.readouterr()
    code = run(["verify", "--lock", str(own.folder / "deep.lock"), "--format=json", *flags])
    out = own.capture.readouterr().out
    errors = [finding["code"] for finding in json.loads(out).get("findings", []) if finding["severity"] == "error"]
    return code, " ".join(errors)
