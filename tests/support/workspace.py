"""A workspace of four members, as files, and an index that has what they require."""

from collections.abc import Mapping

from tests.support.scenario_server import Releases

BACKEND = '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n'
ROOT = """\
[project]
name = "umbrella"
version = "1"
dependencies = ["web"]

[dependency-groups]
dev = ["linter"]

[tool.uv.workspace]
members = ["packages/*", "tools/*"]

[tool.uv.sources]
web = {workspace = true}
"""
MEMBERS: Mapping[str, str] = {
    "packages/core/pyproject.toml": '[project]\nname = "core"\nversion = "1"\ndependencies = [\n    "clicker",\n]\n'
    + BACKEND,
    "packages/web/pyproject.toml": '[project]\nname = "web"\nversion = "1"\ndependencies = [\n    "core",\n    "flask",\n]\n'
    '[project.optional-dependencies]\ndb = [\n    "driver",\n]\n[dependency-groups]\ndev = [\n    "tester",\n]\n'
    f"{BACKEND}[tool.uv.sources]\ncore = {{workspace = true}}\n",
    "packages/worker/pyproject.toml": '[project]\nname = "worker"\nversion = "1"\ndependencies = [\n    "core",\n    "queue",\n]\n'
    '[project.optional-dependencies]\ndb = [\n    "driver",\n]\n[dependency-groups]\ndev = [\n    "tester",\n]\n'
    f"{BACKEND}[tool.uv.sources]\ncore = {{workspace = true}}\n",
    "tools/cli/pyproject.toml": '[project]\nname = "cli"\nversion = "1"\ndependencies = [\n    "rich",\n]\n' + BACKEND,
}
FILES: Mapping[str, str] = {"pyproject.toml": ROOT, **MEMBERS}
RELEASES: Releases = {
    "clicker 8.0": {},
    "driver 3.0": {},
    "extra-tool 1.0": {},
    "flask 2.0": {"requires": ["clicker", "werk"]},
    "flask 3.0": {"requires": ["clicker", "werk"]},
    "flit-core 3.9": {},
    "helper 2.0": {"requires": ["werk"]},
    "linter 1.0": {},
    "queue 5.0": {},
    "rich 13.0": {},
    "tester 8.0": {},
    "werk 1.0": {},
}
