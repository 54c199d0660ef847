"""`export -f cyclonedx` and `-f spdx`: valid by the standards' own schemas, and true to the lock."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace
from packageurl import PackageURL

from deep_lock.exports import cyclonedx, spdx
from deep_lock.exports.sbom import purl_of
from deep_lock.exports.view import View, make_view
from deep_lock.lockfile.index import members
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import Lock, LockedArchive, LockedPackage, LockedVcs
from tests.support.lock_strategies import closed_locks

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "fixtures" / "locks"
SPDX = json.loads((ROOT / "fixtures" / "schemas" / "spdx-2.3.json").read_text(encoding="utf-8"))
PUBLIC = "https://index.example/simple/"
NAMES = ("closed.lock", "small.lock")


def _lock(name: str) -> Lock:
    return from_text((LOCKS / name).read_text(encoding="utf-8"), name)


def _view(lock: Lock) -> View:
    return make_view(lock, "deep.lock", chosen_targets(lock, (), "deep.lock"), extras=None, groups=None)


def _bom(lock: Lock) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cyclonedx.bom(_view(lock), PUBLIC).files[0][1])
    return found


def _spdx(lock: Lock) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(spdx.document(_view(lock), PUBLIC).files[0][1])
    return found


def _ref(entry: LockedPackage) -> str:
    return f"{entry.name}=={entry.version}"


def _edges(lock: Lock) -> set[tuple[str, str]]:
    """Return who needs whom by the lock's tables: (name above, name below), "" for the project."""
    found = {("", entry.name) for entry in lock.packages if entry.direct}
    for entry in lock.packages:
        if not entry.build_only:
            found |= {(entry.name, reference.name) for reference in entry.dependencies}
    for build in lock.builds:
        above = "" if build.needed == "project" else build.name
        found |= {(above, member.name) for member in members(build) if member.name != above}
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(closed_locks())
def test_documents_are_valid_and_hold_every_entry(lock: Lock) -> None:
    text = cyclonedx.bom(_view(lock), PUBLIC).files[0][1]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert len(Bom.from_json(json.loads(text)).components) == len(lock.packages)  # type: ignore[attr-defined]  # added by a decorator
    jsonschema.Draft7Validator(SPDX).validate(_spdx(lock))
    assert {(own["name"], own.get("version")) for own in _bom(lock).get("components", ())} == {
        (entry.name, entry.version) for entry in lock.packages
    }
    assert len(_spdx(lock)["packages"]) == len(lock.packages) + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_lock_gives_the_same_bytes(name: str) -> None:
    lock = _lock(name)
    for made in (cyclonedx.bom, spdx.document):
        assert made(_view(lock), PUBLIC) == made(_view(lock), PUBLIC)
        other = replace(lock, packages=lock.packages[1:])
        assert made(_view(lock), PUBLIC).files[0][1] != made(_view(other), PUBLIC).files[0][1]
    assert _bom(lock)["serialNumber"] != _bom(replace(lock, builds=()))["serialNumber"]


@pytest.mark.parametrize("name", NAMES)
def test_no_edge_is_lost_and_none_is_made_up(name: str) -> None:
    lock = _lock(name)
    names = {_ref(entry): entry.name for entry in lock.packages} | {"project": ""}
    listed = _bom(lock)["dependencies"]
    assert {(names[one["ref"]], names[child]) for one in listed for child in one.get("dependsOn", ())} == _edges(lock)
    document = _spdx(lock)
    ids = {own["SPDXID"]: own["name"] for own in document["packages"]} | {"SPDXRef-project": ""}
    found = set()
    for relation in document["relationships"]:
        one, other = relation["spdxElementId"], relation["relatedSpdxElement"]
        if relation["relationshipType"] == "DEPENDS_ON":
            found.add((ids[one], ids[other]))
        elif relation["relationshipType"] == "BUILD_DEPENDENCY_OF":
            found.add((ids[other], ids[one]))
    assert found == _edges(lock)


@pytest.mark.parametrize("name", NAMES)
def test_build_only_is_excluded_and_files_have_their_hashes(name: str) -> None:
    lock = _lock(name)
    components = {own["bom-ref"]: own for own in _bom(lock)["components"]}
    for entry in lock.packages:
        own = components[_ref(entry)]
        assert (own["scope"] == "excluded") == entry.build_only
        told = {(one["name"], one["value"]) for one in own["properties"]}
        assert (("deep-lock:sdist-only", "true") in told) == entry.sdist_only
        digests = {file.sha256 for file in (*entry.wheels, entry.sdist) if file is not None}
        assert {reference["hashes"][0]["content"] for reference in own.get("externalReferences", ())} == digests
        assert ("hashes" in own) == (len(digests) == 1)


def test_licences_that_are_expressions_are_declared_and_what_was_yanked_is_told() -> None:
    lock = _lock(NAMES[0])
    said = ("mit or 0BSD", "all of it", None)
    entries = tuple(replace(entry, license=text) for entry, text in zip(lock.packages, said, strict=False))
    lock = replace(
        lock, packages=(replace(entries[0], yanked="broken"), replace(entries[1], yanked=""), *lock.packages[2:])
    )
    components = {own["bom-ref"]: own for own in _bom(lock)["components"]}
    packages = {own["name"]: own for own in _spdx(lock)["packages"]}
    first, second = (components[_ref(entry)] for entry in lock.packages[:2])
    assert first["licenses"] == [{"expression": "MIT OR 0BSD", "acknowledgement": "declared"}]
    assert "licenses" not in second
    assert packages[lock.packages[0].name]["licenseDeclared"] == "MIT OR 0BSD"
    assert packages[lock.packages[1].name]["licenseDeclared"] == "NOASSERTION"
    told = [{(one["name"], one["value"]) for one in own["properties"]} for own in (first, second)]
    assert ("deep-lock:yanked", "broken") in told[0]
    assert ("deep-lock:yanked", "true") in told[1]


def test_an_entry_that_only_an_extra_brings_is_optional() -> None:
    lock = _lock("closed.lock")
    named = [
        entry for entry in lock.packages if entry.marker and ("in extras" in entry.marker or "in dep" in entry.marker)
    ]
    some = next(entry for entry in named if not entry.build_only)
    scopes = {own["bom-ref"]: own["scope"] for own in _bom(lock)["components"]}
    assert scopes[_ref(some)] == "optional"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"index": PUBLIC}, "pkg:pypi/some-lib@1.0%2Blocal"),
        (
            {"index": "https://files.example/simple/"},
            "pkg:pypi/some-lib@1.0%2Blocal?repository_url=https://files.example/simple/",
        ),
        (
            {
                "version": None,
                "index": None,
                "source": LockedVcs(url="https://files.example/r.git", commit_id="a" * 40),
            },
            f"pkg:pypi/some-lib?vcs_url=git%2Bhttps://files.example/r.git%40{'a' * 40}",
        ),
        (
            {"index": None, "source": LockedArchive(url="https://files.example/a b&c.whl", sha256="0" * 64)},
            "pkg:pypi/some-lib@1.0%2Blocal?download_url=https://files.example/a%20b%26c.whl",
        ),
    ],
)
def test_package_urls(changes: dict[str, Any], expected: str) -> None:
    entry = replace(LockedPackage(name="some-lib", version="1.0+local"), **changes)
    assert purl_of(entry, PUBLIC) == expected
    assert PackageURL.from_string(expected).name == "some-lib"


def test_a_document_without_times_is_of_the_epoch() -> None:
    lock = _lock("small.lock")
    bare = replace(
        lock,
        packages=tuple(
            replace(
                entry,
                wheels=tuple(replace(wheel, upload_time=None) for wheel in entry.wheels),
                sdist=replace(entry.sdist, upload_time=None) if entry.sdist else None,
            )
            for entry in lock.packages
        ),
    )
    assert _bom(bare)["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"
    assert _spdx(bare)["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
