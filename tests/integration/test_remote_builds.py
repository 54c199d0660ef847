"""`deep-lock wheelhouse --scheduler`: a scheduler and two workers as processes on loopback, with TLS and a shared cache."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet_cluster import cluster
from tests.support.scenario_server import Releases
from tests.support.scenarios import HERE
from tests.support.wheelhouses import BASE, HOOKS, STRONG, Made, Yard, sdist, yard

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="there are no locks across processes without flock"),
    pytest.mark.skipif(not STRONG, reason="there is no sandbox here"),
]
SDISTS = int(os.environ.get("DEEP_LOCK_TEST_SDISTS", "12"))
"""How many are built."""
LEVELS = 4
FIRST = "n000-0"


def levels(number: int) -> Releases:
    """Return sdists in levels: the build of each needs one of the level below, and uses it."""
    names = [f"n{at:03}-{at % LEVELS}" for at in range(number)]
    found = {}
    for at, name in enumerate(names):
        below = [names[at - 1]] if at % LEVELS else []
        modules = [own.replace("-", "_") for own in below]
        found[f"{name} 1.0"] = sdist(*below, says={"uses": modules}, **{name.replace("-", "_"): f"AT = {at}\n"})
    return {**BASE, **found}


class Machines:
    """One project, a scheduler with two workers, and a shared cache."""

    def __init__(self, made: Yard, folder: Path, address: str, tls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.yard = made
        self.folder = folder
        self.store = folder / "store"
        self.monkeypatch = monkeypatch
        options = [f"--{own}" for own in ("tls-ca", "tls-cert", "tls-key")]
        files = [str(tls / f"{own}.pem") for own in ("ca", "cert", "key")]
        self.options = ["--scheduler", address, "--remote-cache", self.store.as_uri()]
        self.options += [part for pair in zip(options, files, strict=True) for part in pair]

    def make(self, name: str, *flags: str, hooks: str = HOOKS) -> Made:
        return self.yard.make("-d", str(self.folder / name), *self.options, *flags, hooks=hooks)

    def files(self, name: str) -> dict[str, bytes]:
        folder = self.folder / name
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, Path]]:
    """Start the scheduler and the workers once: their cache folders are not that of the tests."""
    folder = tmp_path_factory.mktemp("cluster")
    environ = {**os.environ, "DEEP_LOCK_CACHE_DIR": str(folder / "cache")}
    with cluster(folder, environ, workers=2, resources=f"sandbox=1,{HERE}=1") as (address, tls):
        yield folder, address, tls


@pytest.fixture
def built(
    machines: tuple[Path, str, Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Machines]:
    _, address, tls = machines
    releases = levels(SDISTS)
    asked = [own.partition(" ")[0] for own in releases if own.startswith("n")]
    with yard(tmp_path, capfd, monkeypatch, releases, *asked) as made:
        yield Machines(made, tmp_path, address, tls, monkeypatch)


def test_other_machines_make_the_same_folder_as_this_one(built: Machines) -> None:
    started = time.monotonic()
    far = built.make("far")
    seconds = time.monotonic() - started
    assert (far.code, far.count("built")) == (0, SDISTS), far.stderr
    assert sum(name.endswith(".whl") for name in built.files("far")) == SDISTS
    started = time.monotonic()
    near = built.yard.make("-d", str(built.folder / "near"))
    sys.stderr.write(f"{SDISTS} sdists: {seconds:.1f} s on two workers, {time.monotonic() - started:.1f} s here\n")
    assert near.code == 0, near.stderr
    assert built.files("far") == built.files("near")
    again = built.make("far")
    assert (again.code, again.count("built"), again.count("built before")) == (0, 0, SDISTS), again.stderr
