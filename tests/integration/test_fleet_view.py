"""A fleet that is locked through the command line, and then looked at: questions, the page, metrics, and a file that was replaced."""

import json
import re
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support import schemas
from tests.support.fleet_repositories import add_file, make_fleet, releases, write_list
from tests.support.scenario_server import ScenarioServer

SHA256 = 'sha256 = "([0-9a-f]{64})"'


def test_a_fleet_is_locked_and_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = make_fleet(tmp_path / "repositories", 4, workspaces=0, broken=1, hostile=0)
    write_list(made, tmp_path / "repos.toml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEP_LOCK_FLEET_FILE", str(tmp_path / "repos.toml"))
    with ScenarioServer() as server:
        server.hold(releases())
        monkeypatch.setenv("DEEP_LOCK_DEFAULT_INDEX", server.url)
        assert run(["fleet", "lock", "--workers", "1"]) == 1  # the broken one
        _, err = capfd.readouterr()
        assert re.search(r"^\[1/4\] .* \(\d+\.\d s; \d+\.\d/(s|min), .* left\)$", err, re.MULTILINE), err
        state = tmp_path / ".deep-lock-fleet"
        assert 'deep_lock_fleet_projects{status="changed"} 3\n' in (state / "fleet.prom").read_text(encoding="utf-8")
        assert "poetry-core" in (state / "fleet.html").read_text(encoding="utf-8")
        assert run(["fleet", "ask", "builds-with", "poetry-core", "--format", "json"]) == 0
        found = json.loads(capfd.readouterr().out)
        schemas.check(found)
        assert {own["repository"] for own in found["uses"]} >= {"app0001"}
        first = next(own for own in found["uses"] if own["repository"] == "app0001")
        assert first["backend"] == "poetry.core.masonry.api"
        assert first["chain"][-1] == "poetry-core 2.1.0"
        assert [own["repository"] for own in found["unread"]] == ["broken0"]
        assert run(["fleet", "ask", "hash-conflicts"]) == 0
        # a lock is edited in one repository: no index is used, and each lock by itself is in order
        locks = {own.name: own.read_text(encoding="utf-8") for own in (state / "locks").iterdir()}
        rows = map(json.loads, (state / "fleet.jsonl").read_text(encoding="utf-8").splitlines())
        digests = {own["repository"]: own["projects"][0]["lock-sha256"] for own in rows if own.get("projects")}
        one, two = (locks[f"{digests[name]}.lock"] for name in ("app0000", "app0002"))
        common = min({*re.findall(SHA256, one)} & {*re.findall(SHA256, two)})
        add_file(made, "app0000", "deep.lock", one)
        add_file(made, "app0001", "deep.lock", locks[f"{digests['app0001']}.lock"])
        add_file(made, "app0002", "deep.lock", two.replace(common, common[::-1]))
        assert run(["fleet", "check", "--workers", "1", "--except", "broken*", "--format", "json"]) == 4
        out, err = capfd.readouterr()
        assert json.loads(out)["exit-code"] == 4
        assert "warning: fleet: 1 file has more than one sha256 in the locks" in err
        assert run(["fleet", "ask", "hash-conflicts"]) == 4
        assert f"sha256:{common[::-1]}" in capfd.readouterr().out
        # a new lock is not delivered before a person has looked at this
        add_file(made, "app0001", "deep.lock", "lost")
        options = ("--except", "broken*", "--deliver", "patch", "--patches", str(tmp_path / "patches"))
        assert run(["fleet", "lock", "--workers", "1", *options]) == 4
        assert "nothing is delivered: one index has a file with several sha256" in capfd.readouterr().err
        assert not (tmp_path / "patches").exists()
