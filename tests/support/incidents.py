"""Public incidents, replayed: a small index before and after the attack, a project that uses it, and the gates of the command line.

One TOML file in fixtures/incidents is one incident. What is malicious in it is harmless text that nothing runs.

``title``             the heading in docs/concepts/incidents.md
``days-online``       how long the files of the attack could be installed, by the sources of the page, rounded up; the replay
                      is at the end of this time. Without it the time is not known, and the replay is a day after the upload
``requirements``      what the project requires before the attack
``new-requirements``  what it requires afterwards, if a developer is to take another name
``[before."name version"]``   releases before the attack, see scenario_server
``[after."name version"]``    files that the attack adds
``[private."name version"]``  releases of another index, which the project declares first
``[publishers]``      "name version" to the repository that the index attests (PEP 740)
``options``           of the lock that takes the attack, where `deep-lock lock -U` alone does not take it
``edit``              texts of the lock to others: a change of the lock itself; {origin} is that of the index
``advisory``          the record that was published later: ``id``, ``name``, ``versions``
"""

import json
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.utils import canonicalize_name

from deep_lock.cli.main import run
from tests.support.advisories import record, write_zip
from tests.support.paths import ROOT
from tests.support.provenance import provenance, publisher
from tests.support.scenario_server import Releases, release_files
from tests.support.scenarios import NOW, Bench, Run, bench

FOLDER = ROOT / "fixtures" / "incidents"
KEYS = frozenset(
    {
        "title",
        "days-online",
        "requirements",
        "new-requirements",
        "before",
        "after",
        "private",
        "publishers",
        "options",
        "edit",
        "advisory",
    }
)
GATES = (
    "kept pins",
    "`lock -U`",
    "`diff`",
    "`policy`",
    "`strict`",
    "publishers",
    "`may-build`",
    "`--deep`",
    "age",
    "`audit`",
    "`verify`",
    "`vet`",
)
"""The columns of the table in docs/concepts/incidents.md."""
STOPS = "**stops**"
PUBLISHERS = frozenset({"provenance-lost", "identity-changed", "identity-new", "publisher", "not-attested"})
OF_THE_REPLAY = frozenset({"insecure-url", "license-unknown", "too-new"})
"""Rules that every package of a server on loopback, or without a license, or every new file breaks."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One file of fixtures/incidents."""

    name: str
    table: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.table["title"])


def load(path: Path) -> Incident:
    """Read one incident; a key that means nothing is a mistake."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(table) <= KEYS, set(table) - KEYS
    return Incident(name=path.stem, table=table)


INCIDENTS = tuple(load(path) for path in sorted(FOLDER.glob("*.toml")))


@dataclass(kw_only=True)
class Replay:
    """A project whose lock was made before the attack, and the commands after it."""

    incident: Incident
    made: Bench
    attack: frozenset[str] = frozenset()
    """The sha256 of each file that the attack adds."""

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command line in the project's folder."""
        self.made.capture.readouterr()
        code = run(list(arguments))
        shown = self.made.capture.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    def document(self, *arguments: str) -> Any:
        """Run a command that writes JSON."""
        _, out, err = self.run(*arguments)
        assert out, err
        return json.loads(out)

    def neutral(self, output: str) -> str:
        """Return an output with the address of each server as docs/concepts/incidents.md has it."""
        for name, server in self.made.servers.items():
            host = f"{name or 'index'}.example"
            output = output.replace(server.origin, f"https://{host}").replace(urlsplit(server.origin).netloc, host)
        return output

    def lock(self, *options: str, output: str = "deep.lock") -> Run:
        """Run ``deep-lock lock``."""
        path = self.made.folder / output
        return self.made.lock("--attestations=record", f"--output={path}", *options, output=output)

    def takes(self, *options: str, output: str = "deep.lock") -> bool:
        """Whether a run locks a file of the attack. A name that only the attack has may be one that no index has."""
        ran = self.lock(*options, output=output)
        if ran.code == 1 and "new-requirements" in self.incident.table:
            assert "no configured index has" in ran.stderr or "exclude-newer" in ran.stderr, ran.stderr
            return False
        assert ran.code == 0, ran.stderr
        return any(digest in ran.text for digest in self.attack)

    def cells(self) -> dict[str, str]:
        """Run each gate, and return what it does, by gate."""
        table = self.incident.table
        folder = self.made.folder
        found = dict.fromkeys(GATES, "-")
        if "edit" in table:
            text = (folder / "deep.lock").read_text(encoding="utf-8")
            for old, new in table["edit"].items():
                text = text.replace(self.made.filled(old).replace("{origin}", self.made.server.origin), new)
            (folder / "deep.lock").write_text(text, encoding="utf-8")
            ran = self.lock("-U", "--refresh")
            assert ran.code in {0, 4}, ran.stderr
            found["`lock -U`"] = STOPS if ran.code else "-"
        else:
            if "new-requirements" not in table:
                found["kept pins"] = "-" if self.takes("--refresh") else STOPS
                assert self.lock().text == (folder / "before.lock").read_text(encoding="utf-8")
            shutil.copy(folder / "deep.lock", folder / "aged.lock")
            is_taken = self.takes(
                "-U", "--refresh", "--exclude-newer=P7D", *table.get("options", ()), output="aged.lock"
            )
            found["age"] = "not known" if "days-online" not in table else "-" if is_taken else STOPS
            found["`lock -U`"] = "-" if self.takes("-U", "--refresh") else STOPS
            if "options" in table:
                assert self.takes("-U", *table["options"])
        self._review(found)
        return found

    def _review(self, found: dict[str, str]) -> None:
        plain = self.document("policy", "--against=before.lock", "--format=json")["findings"]
        found["`policy`"] = _worst(plain, lambda code: code not in PUBLISHERS)
        deep = () if "edit" in self.incident.table else ("--deep",)  # a file of another host is not fetched
        strict = self.document("policy", "--policy=policy.toml", "--against=before.lock", *deep, "--format=json")[
            "findings"
        ]
        found["`strict`"] = _worst(
            strict, lambda code: code not in {*PUBLISHERS, "foreign-builder"} and code[:6] != "wheel-"
        )
        found["publishers"] = _worst(strict, PUBLISHERS.__contains__)
        found["`may-build`"] = _worst(strict, "foreign-builder".__eq__)
        found["`--deep`"] = _worst(strict, lambda code: code[:6] == "wheel-")
        changes = self.document("diff", "before.lock", "deep.lock", "--format=json")["changes"]
        weights = {change["weight"] for change in changes if change["code"] not in {*PUBLISHERS, "settings-changed"}}
        found["`diff`"] = next((weight for weight in ("danger", "look") if weight in weights), "-")
        code, out, err = self.run("audit", "--database=advisories.zip")
        assert code == (0 if not out else 4 if "malware: " in out else 1), err
        assert not out or self.incident.table["advisory"]["id"] in out
        found["`audit`"] = STOPS if out else "-"
        code, out, err = self.run("vet", "check")
        assert code in {0, 1}, err
        found["`vet`"] = STOPS if code else "-"
        projects = {name: list(files) for name, files in self.made.server.projects.items()}
        self.remove()
        code, out, err = self.run("verify")
        assert code == (0 if not out else 4 if "edit" in self.incident.table else 1), err
        assert not out or "-gone]" in out or "[foreign-host]" in out
        found["`verify`"] = STOPS if code else "-"
        self.made.server.projects.update(projects)
        assert run(["cache", "clean"]) == 0

    def remove(self) -> None:
        """Let the index remove the files of the attack, as it did."""
        for files in self.made.server.projects.values():
            files[:] = [file for file in files if file.digest not in self.attack]


def _worst(findings: Sequence[Mapping[str, str]], about: Callable[[str], bool]) -> str:
    """Return what a policy does about the findings with these codes."""
    severities = {one["severity"] for one in findings if one["code"] not in OF_THE_REPLAY and about(one["code"])}
    return STOPS if "error" in severities else "shows" if "finding" in severities else "-"


@contextmanager
def replay(
    incident: Incident, policy: str, folder: Path, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replay]:
    """Lock the project, and let the attack begin: new files on the index, and perhaps another requirement."""
    table = incident.table
    uploaded = (NOW - timedelta(days=table.get("days-online", 1)) + timedelta(hours=1)).isoformat()
    before: Releases = table.get("before", {})
    after: Releases = {key: {"uploaded": uploaded, **own} for key, own in table.get("after", {}).items()}
    private: Releases = table.get("private", {})
    with bench(folder, capture, monkeypatch, before, indexes={"private": private} if private else None) as made:
        made.named = ["private"] if private else []
        made.ask(*table["requirements"])
        made.server.provenance = {
            file.filename: provenance(publisher(repository))
            for key, repository in table.get("publishers", {}).items()
            for file in release_files(key, {**before, **after}[key])
        }
        played = Replay(incident=incident, made=made)
        assert played.lock().code == 0
        shutil.copy(made.folder / "deep.lock", made.folder / "before.lock")
        code, _, err = played.run("vet", "init", "--lock", str(made.folder / "deep.lock"))
        assert code == 0, err
        assert played.run("vet", "check", "--lock", str(made.folder / "deep.lock"))[0] == 0
        added = {key: release_files(key, own) for key, own in after.items()}
        for key, files in added.items():
            made.server.projects.setdefault(canonicalize_name(key.split(" ")[0]), []).extend(files)
            made.server.known.update({file.filename: file for file in files})
        played.attack = frozenset(file.digest for files in added.values() for file in files)
        made.ask(*table.get("new-requirements", table["requirements"]))
        made.write({"policy.toml": policy})
        own = table["advisory"]
        write_zip(made.folder / "advisories.zip", record(own["id"], own["name"], versions=own["versions"]))
        monkeypatch.chdir(made.folder)
        flags = dict(flag.removeprefix("--").split("=", 1) for flag in made.flags() if "=" in flag)
        flags["default-index"] = made.server.url
        for flag, value in flags.items():
            monkeypatch.setenv(f"DEEP_LOCK_{flag.replace('-', '_').upper()}", value)
        yield played
