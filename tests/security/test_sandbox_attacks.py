"""Each attack of the table is stopped, and succeeds where the layers that stop it are taken away: it can fail."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

import deep_lock
from deep_lock.builds.sandbox.cgroup import Group, find_parent
from deep_lock.builds.sandbox.landlock import landlock_abi
from deep_lock.builds.sandbox.run import INNER_LAYERS, LayerName, execute
from deep_lock.builds.sandbox.sandbox import probe, run
from tests.support import sandboxed
from tests.support.sandbox_layers import HERE
from tests.support.sandboxed import ATTACKS, EXCESSES, KILLS, LINKS, Bench, bench

pytestmark = pytest.mark.skipif(probe().level != "strong", reason=f"no strong sandbox here: {probe().layers}")

BUBBLEWRAP = next(layer for layer in probe().layers if layer.name == "bubblewrap")


def _may_make_namespaces() -> bool:
    """Whether this machine lets a process without capabilities make a user namespace; some systems forbid it."""
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000) != 0)"
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False).returncode == 0


@pytest.fixture
def place() -> Iterator[Bench]:
    with bench() as made:
        yield made


@pytest.mark.parametrize("layers", HERE)
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_is_stopped(place: Bench, name: str, layers: frozenset[LayerName]) -> None:
    assert not place.attack(name, layers)


@pytest.mark.parametrize("layers", HERE)
@pytest.mark.parametrize("name", LINKS)
def test_no_result_is_read_through_a_link(place: Bench, name: str, layers: frozenset[LayerName]) -> None:
    assert not place.result_is_read(name, layers)


@pytest.mark.skipif(not BUBBLEWRAP.works, reason=f"bubblewrap: {BUBBLEWRAP.reason}")
@pytest.mark.parametrize("name", ["read netrc", "write bashrc", "read the parent's environment", "signal the parent"])
def test_bubblewrap_alone_stops_these(place: Bench, name: str) -> None:
    assert not place.attack(name, frozenset({"bubblewrap"}))


@pytest.mark.skipif(not BUBBLEWRAP.works, reason=f"bubblewrap: {BUBBLEWRAP.reason}")
def test_only_bubblewrap_hides_that_a_file_is_there(place: Bench) -> None:
    code = "import os; print(os.path.exists(it['home'] + '/.netrc'))"
    assert place.run(code).output == "True"
    assert place.run(code, INNER_LAYERS | {"bubblewrap"}).output == "False"


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_succeeds_without_its_layers(place: Bench, name: str) -> None:
    if name == "make a namespace" and not _may_make_namespaces():
        pytest.skip("this machine lets nobody make a user namespace")
    assert place.attack(name, INNER_LAYERS - set(ATTACKS[name].stopped_by))


@pytest.mark.parametrize(
    ("name", "layer"),
    [(name, layer) for name, attack in ATTACKS.items() for layer in attack.stopped_by if len(attack.stopped_by) > 1],
)
def test_each_of_two_layers_stops_it_alone(place: Bench, name: str, layer: LayerName) -> None:
    if layer == "capabilities" and os.geteuid() != 0:
        pytest.skip("only root has capabilities to give up")
    if layer == "landlock" and landlock_abi() < ATTACKS[name].abi:
        pytest.skip(f"Landlock's ABI here is {landlock_abi()}, and {ATTACKS[name].abi} stops this")
    assert not place.attack(name, frozenset({layer}))


@pytest.mark.parametrize("abi", range(1, 7))
@pytest.mark.parametrize("name", ["read netrc", "tcp", "signal the parent", "abstract unix socket", "truncate netrc"])
def test_older_kernels_are_covered_by_the_filter(place: Bench, name: str, abi: int) -> None:
    if abi > landlock_abi():
        pytest.skip(f"Landlock's ABI here is {landlock_abi()}")
    assert not place.attack(name, abi=abi)


def test_truncating_by_opening_for_reading_needs_the_filter_before_abi_3(place: Bench) -> None:
    victim = place.home / "readable"
    code = f"import os; os.open({str(victim)!r}, os.O_RDONLY | os.O_TRUNC)"
    sizes = []
    for layers in (INNER_LAYERS, INNER_LAYERS - {"seccomp"}):
        victim.write_text("here")
        command = place.command(code)
        command = msgspec.structs.replace(command, readable=(*command.readable, victim))
        execute(command, layers, abi=2)
        sizes.append(victim.stat().st_size)
    assert sizes == [4, 0]


@pytest.mark.parametrize("layers", [INNER_LAYERS, None], ids=["inner", "front door"])
def test_the_environment_is_the_command_s(
    place: Bench, monkeypatch: pytest.MonkeyPatch, layers: frozenset[LayerName] | None
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    command = place.command("import os; print(sorted(os.environ.items()) == sorted(json.loads(sys.argv[2]).items()))")
    command = msgspec.structs.replace(command, arguments=(*command.arguments, json.dumps(dict(command.environ))))
    assert (run(command) if layers is None else execute(command, layers)).output == "True"


def test_no_descriptor_of_the_parent_is_open(place: Bench) -> None:
    code = """
        import os
        for number in range(256):
            try:
                os.fstat(number)
            except OSError:
                continue
            print(number)
    """
    with place.script.with_name("kept").open("w") as kept:
        os.set_inheritable(kept.fileno(), True)  # noqa: FBT003 - its only argument
        assert place.run(code).output.splitlines() == ["0", "1", "2"]


def test_there_is_no_terminal(place: Bench) -> None:
    ended = place.run("""
        import os
        print(os.read(0, 10), os.isatty(0), os.isatty(1))
        try:
            print(os.open("/dev/tty", os.O_RDWR))
        except OSError as error:
            print("refused")
    """)
    assert ended.output.splitlines() == ["b'' False False", "refused"]


BUBBLEWRAP_WORKS, CGROUP_WORKS = "Layer(name='bubblewrap', works=True", "Layer(name='cgroup', works=True"
NOBODY = ("--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
OPENED = """
    set -e
    mount --bind "$1" "$2"
    mount -t tmpfs -o mode=755 tmpfs "$3"
    mkdir -p "$1"
    mount --bind "$2" "$1"
    shift 3
    exec "$@"
"""
"""Opens a Python ($1) that is in a closed folder ($3) to all users, with a mount of its own; $2 is an empty folder."""


def _as_nobody(folder: Path) -> list[str]:
    """Return the start of a command that runs this Python as an unprivileged user."""
    command = ["setpriv", *NOBODY, str(Path(sys.executable).resolve())]
    base = Path(sys.base_prefix).resolve()
    closed = next((path for path in reversed((base, *base.parents)) if not path.stat().st_mode & 0o001), None)
    if closed is None:
        return command
    empty = folder / "python"
    empty.mkdir()
    return ["unshare", "--mount", "sh", "-c", OPENED, "sh", str(base), str(empty), str(closed), *command]


@contextmanager
def _delegated_group() -> Iterator[Group | None]:
    """Make a control group in which another user may make groups; None where this machine allows none."""
    parent = find_parent()
    if parent is None:
        yield None
        return
    group = Group(folder=parent.folder / f"test-{os.getpid()}")
    group.folder.mkdir()
    try:
        for path in (group.folder, group.folder / "cgroup.procs", group.folder / "cgroup.subtree_control"):
            os.chown(path, 65534, 65534)
        yield group
    finally:
        group.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("delegated", [False, True], ids=["no group", "delegated group"])
def test_an_unprivileged_user_is_guarded_too(*, delegated: bool) -> None:
    """With and without bubblewrap, and with and without a control group."""
    if shutil.which("setpriv") is None or shutil.which("unshare") is None:
        pytest.skip("setpriv and unshare (util-linux) are not here")
    with tempfile.TemporaryDirectory() as made, _delegated_group() as group:
        if delegated and group is None:
            pytest.skip("this machine allows no control group of version 2")
        folder = Path(made)
        folder.chmod(0o755)
        for module in (deep_lock, msgspec, sandboxed):  # where they are, another user may not read them
            source = Path(module.__file__ or "")
            if source.name == "__init__.py":
                shutil.copytree(
                    source.parent, folder / source.parent.name, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(source, folder)
        python = [*(group.enter() if delegated and group is not None else ()), *_as_nobody(folder)]
        environ = {"PATH": os.defpath, "PYTHONPATH": made, "PYTHONDONTWRITEBYTECODE": "1"}
        run_it = partial(subprocess.run, env=environ, capture_output=True, cwd="/", text=True)
        asked = run_it([*python, "-c", "import os, sandboxed; print(os.geteuid())"], check=False)
        if (asked.returncode, asked.stdout) != (0, "65534\n"):
            pytest.skip(f"another user cannot read this Python, and no mount can be made: {asked.stderr}")
        code = "from deep_lock.builds.sandbox.sandbox import probe; print(probe().layers)"
        layers = run_it([*python, "-c", code], check=True).stdout
        with_bubblewrap = BUBBLEWRAP_WORKS in layers
        assert (CGROUP_WORKS in layers) is delegated
        wanted = ["cgroup", "all"] if delegated else ["inner", "bubblewrap"]
        tried = run_it([*python, str(folder / "sandboxed.py"), *wanted[: 1 + with_bubblewrap]], check=True)
    found = json.loads(tried.stdout)
    failed = {name for name, succeeds in found.pop("without").items() if not succeeds}
    assert failed == (set() if _may_make_namespaces() else {"make a namespace"})
    for name, own in found.items():
        assert {attack for attack in ATTACKS if own[attack]} == set(), name
        excesses = {excess: tuple(own[excess]) for excess in EXCESSES}
        if name in {"bubblewrap", "all"}:  # the kernel may refuse what is too much before the supervisor sees it
            assert {excess for excess, (done, _) in excesses.items() if done} == set(), name
        else:
            assert excesses == {excess: (False, own_excess.limit) for excess, own_excess in EXCESSES.items()}, name
        assert {kill for kill in KILLS if "ended early" not in own[kill]} == set(), name
        assert {link for link in LINKS if own[link]} == set(), name
