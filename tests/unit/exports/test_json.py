"""`export -f json`: fits its schema, whose keys are documented, and says what the lock says."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given
from msgspec.structs import replace

from deep_lock.cli.main import cli
from deep_lock.exports import json_document
from deep_lock.exports.view import View, make_view
from deep_lock.lockfile.index import key_of
from deep_lock.lockfile.reader import from_text
from deep_lock.lockfile.targets import chosen_targets
from deep_lock.models.lock import Lock, LockedArchive, LockedVcs
from deep_lock.targets.target import rank
from tests.support import schemas
from tests.support.brute_graph import brute_graph
from tests.support.lock_strategies import closed_locks, in_folder

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "fixtures" / "locks"
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "export.schema.json").read_text(encoding="utf-8"))
NAMES = ("closed.lock", "example.lock", "small.lock", "newer-revision.lock")


def _lock(name: str) -> Lock:
    return from_text((LOCKS / name).read_text(encoding="utf-8"), name)


def _view(lock: Lock, *labels: str, bare: bool = False) -> View:
    chosen = frozenset[str]() if bare else None
    return make_view(lock, "deep.lock", chosen_targets(lock, labels, "deep.lock"), extras=chosen, groups=chosen)


def _document(view: View) -> Any:
    text = json_document.document(view).files[0][1]
    assert text == json_document.document(view).files[0][1]
    document = json.loads(text)
    schemas.check(document)
    return document


def _holds(view: View) -> Any:
    """Hold the document to what brute force finds in the lock."""
    document = _document(view)
    told = {target.label: brute_graph(view.lock, target, view.extras, view.groups) for target in view.targets}
    entries = {json_document.identify(key_of(entry)): entry for entry in view.lock.packages}
    places = sorted({place for own in told.values() for place in own.records})
    packages = {own["id"]: own for own in document["packages"]}
    assert list(packages) == [
        own for own, entry in entries.items() if any(key_of(entry) in at.levels for at in told.values())
    ]
    for identity, own in packages.items():
        key = key_of(entries[identity])
        where = {label: (key in at.runtime, key in at.used, key in at.built) for label, at in told.items()}
        assert own["targets"] == [label for label, found in where.items() if found[0]]
        assert own["used-in-builds"] == [label for label, found in where.items() if found[1]]
        assert own["built"] == [label for label, found in where.items() if found[2]]
        used = "both" if own["used-in-builds"] else "runtime"
        assert own["role"] == (used if own["targets"] else "build-only")
        assert own["level"] == min(at.levels[key] for at in told.values() if key in at.levels)
        assert sum(word.startswith("build of ") for word in own["chain"]) >= own["level"]
        _has_files(view, own, identity, entries)
    edges = {
        (edge["from"], edge["to"], edge["kind"], edge["build"], label)
        for edge in document["edges"]
        for label in edge["targets"]
    }
    assert edges == {
        (
            json_document.identify(above) if above else None,
            json_document.identify(below),
            kind,
            places.index(place) if place is not None else None,
            label,
        )
        for label, at in told.items()
        for above, below, kind, place in at.edges
    }
    assert [(own["name"], own["version"], own["targets"]) for own in document["builds"]] == [
        (
            view.lock.builds[place].name,
            view.lock.builds[place].version,
            [label for label, at in told.items() if place in at.records],
        )
        for place in places
    ]
    return document


def _has_files(view: View, own: Any, identity: str, entries: Any) -> None:
    entry = entries[identity]
    assert [(file["name"], file["sha256"], file["size"]) for file in own["wheels"]] == [
        (wheel.name, wheel.sha256, wheel.size) for wheel in entry.wheels
    ]
    assert (own["sdist"] or {}).get("sha256") == (entry.sdist.sha256 if entry.sdist else None)
    for file in own["wheels"]:
        tags = "-".join(file["name"].removesuffix(".whl").split("-")[-3:])
        assert file["targets"] == [target.label for target in view.targets if rank(tags, target) is not None]


@pytest.mark.parametrize("bare", [False, True], ids=["all", "bare"])
@pytest.mark.parametrize("name", NAMES)
def test_the_document_says_what_the_lock_says(name: str, *, bare: bool) -> None:
    lock = _lock(name)
    _holds(_view(lock, bare=bare))
    for target in lock.targets:
        document = _holds(_view(lock, target.name, bare=bare))
        assert [own["name"] for own in document["targets"]] == [target.name]


@given(closed_locks())
def test_the_document_of_any_lock_fits_its_schema(lock: Lock) -> None:
    document = _holds(_view(lock))
    roles = {own["id"]: own["role"] for own in document["packages"]}
    for entry in lock.packages:
        expected = "build-only" if entry.build_only else "both" if entry.also_build else "runtime"
        assert roles[json_document.identify(key_of(entry))] == expected


def test_role_and_level_are_those_of_what_was_chosen() -> None:
    """What only an extra installs, and a build uses, is a build tool where the extra is not chosen."""
    lock = _lock("closed.lock")
    packages = tuple(
        replace(entry, marker="'postgres' in extras", build_only=False, direct=True)
        if (entry.name, entry.version) == ("setuptools", "84.2.1")
        else entry
        for entry in lock.packages
    )
    found = {}
    for bare in (False, True):
        document = _document(_view(replace(lock, packages=packages), bare=bare))
        (own,) = [own for own in document["packages"] if own["id"] == "setuptools==84.2.1"]
        found[bare] = (own["role"], own["level"], own["chain"])
    assert found == {
        False: ("both", 0, ["setuptools 84.2.1"]),
        True: ("build-only", 1, ["build of shop", "setuptools 84.2.1"]),
    }


def test_chains_lead_through_builds() -> None:
    document = _document(_view(_lock("closed.lock")))
    chains = {own["id"]: own["chain"] for own in document["packages"]}
    assert chains["colorama==0.4.6"] == ["click 8.5.1", "colorama 0.4.6"]
    assert chains["setuptools==84.2.1"] == ["build of shop", "setuptools 84.2.1"]
    assert chains["setuptools==80.9.0"] == ["build of psycopg2 2.9.11", "setuptools 80.9.0"]
    assert chains["ninja==1.13.0"] == ["build of scipydemo 1.2.0", "ninja 1.13.0"]
    bare = _document(_view(_lock("closed.lock"), bare=True))
    assert "setuptools==80.9.0" not in {own["id"] for own in bare["packages"]}


def test_direct_references_have_ids_of_their_own() -> None:
    lock = _lock("small.lock")
    vcs = LockedVcs(url="https://code.example/a.git", commit_id="0" * 40)
    archive = LockedArchive(url="https://files.example/h-1.0.zip", sha256="a" * 64)
    folder = in_folder(lock.packages[1], "links")
    tree = replace(lock.packages[0], version=None, source=vcs, sdist=None, wheels=(), index=None, build_on=())
    named = replace(lock.packages[0], source=archive, sdist=None, wheels=(), index=None, build_on=())
    document = _document(_view(replace(lock, packages=(folder, tree, named), builds=())))
    assert [(own["id"], own["source"]) for own in document["packages"]] == [
        (f"hostile @ git+{vcs.url}@{vcs.commit_id}", f"git+{vcs.url}@{vcs.commit_id}"),
        (f"hostile==1.0 @ {archive.url}", archive.url),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_writes_the_same_bytes(name: str, tmp_path: Path) -> None:
    told = CliRunner().invoke(cli, ["export", "-f", "json", "--lock", str(LOCKS / name)])
    assert told.exit_code == 0
    assert told.stdout == json_document.document(_view_named(name)).files[0][1]
    written = CliRunner().invoke(cli, ["export", "-f", "json", "--lock", str(LOCKS / name), "-d", str(tmp_path)])
    assert written.exit_code == 0
    assert (tmp_path / "deep-lock.json").read_text(encoding="utf-8") == told.stdout


def _view_named(name: str) -> View:
    lock = _lock(name)
    return make_view(lock, name, chosen_targets(lock, (), name), extras=None, groups=None)


# -- the schema and its page


def _objects(node: Any, place: str) -> list[tuple[str, Any]]:
    """Return every object of the schema that has keys of its own."""
    found = [(place, node)] if isinstance(node, dict) and "properties" in node else []
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return found + [item for key, child in children for item in _objects(child, f"{place}/{key}")]


def test_the_schema_is_strict() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    objects = _objects(SCHEMA, "")
    assert len(objects) == 8
    for place, node in objects:
        assert "additionalProperties" not in node, place
        assert node["required"] == list(node["properties"]), place


def test_every_key_of_the_schema_is_documented_and_nothing_else() -> None:
    page = (ROOT / "docs" / "formats" / "export-json.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", page, flags=re.MULTILINE)
    tables = {
        part.split("\n")[0].strip("`"): set(
            re.findall(r"`([a-z0-9-]+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", part, re.MULTILINE)))
        )
        for part in parts
    }
    item = {
        name: SCHEMA["properties"][name]["items"]["properties"] for name in ("targets", "packages", "edges", "builds")
    }
    wanted = {
        **{name: set(keys) for name, keys in item.items()},
        "Files": set(SCHEMA["$defs"]["file"]["properties"]),
        "Members": set(SCHEMA["$defs"]["member"]["properties"]),
    }
    assert {name: keys for name, keys in tables.items() if name in wanted} == wanted
    assert tables[parts[0].split("\n")[0].strip("`")] == set(SCHEMA["properties"])


def test_the_validator_can_say_no() -> None:
    document = _document(_view(_lock("small.lock")))
    for broken in ({"version": 2}, {"more": 1}, {"packages": [{"name": "a"}]}):
        with pytest.raises(jsonschema.ValidationError):
            schemas.check({**document, **broken})
