"""Backends that misbehave, results that are no results: each ends in one of four errors, and leaves nothing behind."""

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from deep_lock.builds import hooks
from deep_lock.builds.hooks import Call
from deep_lock.builds.interpreters import inspect_interpreter
from deep_lock.builds.sandbox.sandbox import Limits, probe
from deep_lock.builds.temp_dirs import disposable_folder, remove_folder
from deep_lock.builds.virtual_environment import VirtualEnvironment, make_environment
from deep_lock.errors import DeepLockError, HookBadResult, HookFailed, HookOutputLimit, HookTimeout, LimitExceeded
from deep_lock.models.build_system import BuildSystem
from tests.support.sandbox_layers import WITHOUT, machine_without

pytestmark = pytest.mark.skipif(probe().level != "strong", reason="there is no strong sandbox here")
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def environment() -> Iterator[VirtualEnvironment]:
    found = inspect_interpreter(Path(sys.executable))
    assert found is not None
    with disposable_folder("deep-lock-test-") as folder:
        yield make_environment(folder / "environment", found, [])


def call_of(
    folder: Path, environment: VirtualEnvironment, backend: str, limits: Limits, files: dict[str, str] | None = None
) -> Call:
    tree, scratch = folder / "tree", folder / "scratch"
    tree.mkdir()
    scratch.mkdir()
    for name, text in {"backend.py": backend, **(files or {})}.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")
    return Call(
        called="demo 1.0",
        system=BuildSystem(requires=(), backend="backend", backend_path=(".",)),
        tree=tree,
        scratch=scratch,
        environment=environment,
        limits=limits,
    )


def hook(body: str, name: str = "get_requires_for_build_wheel(config_settings=None)") -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"import os, sys, json\ndef {name}:\n{lines}"


SHORT = Limits(wall_seconds=0.5)
MISBEHAVING: dict[str, tuple[str, Limits, type[DeepLockError], str]] = {
    "spins": ("while True: pass", SHORT, HookTimeout, "did not finish within"),
    "spins at import": ("pass\nwhile True: pass", SHORT, HookTimeout, "did not finish within"),
    "computes": ("while True: pass", Limits(cpu_seconds=1), HookTimeout, "processor time"),
    "talks": ("while True: print('x' * 65536)", Limits(output=MIB), HookOutputLimit, "of output"),
    "talks and answers": ("print('x' * 65536)\nreturn []", Limits(output=4096), HookOutputLimit, "of output"),
    "writes": (
        "for number in range(99):\n    open(str(number), 'wb').write(b'x' * 99_999)\nimport time; time.sleep(60)",
        Limits(folder=MIB),
        HookOutputLimit,
        "of files",
    ),
    "takes memory": ("held = [bytearray(64 << 20) for _ in range(99)]", Limits(memory=1 << 29), HookFailed, "Memory"),
    "raises": ("raise RuntimeError('as told')", Limits(), HookFailed, "as told"),
    "raises escapes": ("raise ValueError('\\x1b[31m\\u202e::error::' * 9999)", Limits(), HookFailed, "failed"),
    "exits": ("sys.exit(3)", Limits(), HookFailed, "exit code 3"),
    "exits as if all were well": ("os._exit(0)", Limits(), HookBadResult, "missing"),
    "kills itself": ("os.kill(os.getpid(), 9)", Limits(), HookFailed, "exit code -9"),
    "recurses": ("return get_requires_for_build_wheel()", Limits(), HookFailed, "RecursionError"),
    "returns None": ("return None", Limits(), HookBadResult, "not a list of strings"),
    "returns letters": ("return 'setuptools'", Limits(), HookBadResult, "not a list of strings"),
    "returns numbers": ("return [1, 2]", Limits(), HookBadResult, "not a list of strings"),
    "returns a table": ("return {'a': 'b'}", Limits(), HookBadResult, "not a list of strings"),
    "returns an object": ("return [object()]", Limits(), HookFailed, "serializable"),
    "returns too many": ("return ['a'] * 501", Limits(), HookBadResult, "at most 500"),
    "returns no requirement": ("return ['a', 'not a requirement']", Limits(), HookBadResult, "not a requirement"),
    "returns escapes": ("return ['\\x1b[31m']", Limits(), HookBadResult, "x1b"),
    "returns brackets": ("return ['a; ' + '(' * 5000]", Limits(), HookBadResult, "get_requires"),
}


@pytest.mark.parametrize("name", MISBEHAVING)
def test_a_backend_that_misbehaves(tmp_path: Path, environment: VirtualEnvironment, name: str) -> None:
    body, limits, kind, text = MISBEHAVING[name]
    code = body if "import" in name else hook(body)
    with pytest.raises(kind) as caught:
        hooks.requires_for_wheel(call_of(tmp_path, environment, code, limits))
    assert type(caught.value) is kind
    assert caught.value.message.startswith("demo 1.0: ")
    assert text in caught.value.message
    assert len(caught.value.message) < 5000
    assert not [sign for sign in caught.value.message if sign < " " and sign != "\n"]
    assert "\u202e" not in caught.value.message


@pytest.mark.parametrize("backend", ["nowhere", "backend:missing.thing", "backend.deeper"])
def test_a_backend_that_is_not_there(tmp_path: Path, environment: VirtualEnvironment, backend: str) -> None:
    call = call_of(tmp_path, environment, "", Limits())
    tree = BuildSystem(requires=(), backend=backend, backend_path=(".",))
    with pytest.raises(HookFailed):
        hooks.requires_for_wheel(
            Call(called=call.called, system=tree, tree=call.tree, scratch=call.scratch, environment=environment)
        )


def test_modules_of_the_tree_shadow_nothing_of_ours(tmp_path: Path, environment: VirtualEnvironment) -> None:
    shadow = "raise SystemExit('shadowed')\n"
    names = ("json", "os", "runpy", "socket", "ctypes", "tomllib", "sitecustomize", "usercustomize", "pyproject_hooks")
    files = {f"{name}.py": shadow for name in names} | {"encodings/__init__.py": shadow, "deep_lock/__init__.py": ""}
    code = "def get_requires_for_build_wheel(config_settings=None):\n    return ['answered']\n"
    call = call_of(tmp_path, environment, code, Limits(), files)
    assert hooks.requires_for_wheel(call) == ("answered",)


# -- the result file, which the hook can write too

LEFT: dict[str, str] = {
    "nothing": "",
    "a pipe": "os.mkfifo(path)",
    "a link": "os.symlink('/etc/passwd', path)",
    "a link to itself": "os.symlink(path, path)",
    "a folder": "os.mkdir(path)",
    "much": "open(path, 'w').write('[' + '1,' * 5_000_000 + '1]')",
    "depth": "open(path, 'w').write('[' * 100_000)",
    "balanced depth": "open(path, 'w').write('{\"return_val\": ' + '[' * 90_000 + ']' * 90_000 + '}')",
    "a large number": "open(path, 'w').write('{\"return_val\": ' + '9' * 10_000 + '}')",
    "no JSON": "open(path, 'w').write('return_val')",
    "no text": "open(path, 'wb').write(b'\\xff\\xfe\\x00')",
    "another encoding": "open(path, 'wb').write('{}'.encode('utf-32'))",
    "half a pair": "open(path, 'w').write('{\"return_val\": [\"\\\\ud800\"]}')",
    "a list": "open(path, 'w').write('[]')",
    "a number": "open(path, 'w').write('5')",
    "nothing in it": "open(path, 'w').write('{}')",
    "null": "open(path, 'w').write('null')",
    "no value": "open(path, 'w').write('{\"return_val\": null}')",
    "a wrong value": "open(path, 'w').write('{\"return_val\": [[\"a\"]]}')",
    "what is not a number": "open(path, 'w').write('{\"return_val\": NaN}')",
    "a closed file": "open(path, 'w').write('{}'); os.chmod(path, 0); os.chmod(os.path.dirname(path), 0)",
}
FAULTS_LEFT = {
    "a wrong reason": 'open(path, \'w\').write(\'{"no_backend": true, "traceback": [5], "backend_error": {}}\')',
    "no reason": "open(path, 'w').write('{\"no_backend\": true}')",
    "a hook that is missing": "open(path, 'w').write('{\"hook_missing\": true, \"missing_hook_name\": 5}')",
    "no support": 'open(path, \'w\').write(\'{"unsupported": true, "traceback": {"a": []}}\')',
}


@pytest.mark.parametrize("name", [*LEFT, *FAULTS_LEFT])
def test_what_is_left_as_the_result(tmp_path: Path, environment: VirtualEnvironment, name: str) -> None:
    body = f"path = os.path.join(sys.argv[-1], 'output.json')\n{ {**LEFT, **FAULTS_LEFT}[name] }\nos._exit(0)"
    with pytest.raises(HookBadResult if name in LEFT else (HookBadResult, HookFailed)) as caught:
        hooks.requires_for_wheel(call_of(tmp_path, environment, hook(body), Limits()))
    assert "root:" not in caught.value.message


def test_a_result_that_is_replaced_by_a_child(tmp_path: Path, environment: VirtualEnvironment) -> None:
    """No process of the hook is left to change the result once it is read."""
    body = """\
if os.fork() == 0:
    os.setsid()
    path = os.path.join(sys.argv[-1], 'output.json')
    while True:
        try:
            os.unlink(path)
            os.symlink('/etc/passwd', path)
        except OSError:
            continue
return ['answered']"""
    told = ""
    try:
        told = str(hooks.requires_for_wheel(call_of(tmp_path, environment, hook(body), Limits())))
    except HookBadResult as error:
        told = error.message
    assert "root:" not in told
    assert told == "('answered',)" or "not a regular file" in told


# -- metadata and wheels

PREPARE = "prepare_metadata_for_build_wheel(folder, config_settings=None)"
BUILD = "build_wheel(folder, config_settings=None, metadata_directory=None)"
MADE = "os.mkdir(folder + '/x.dist-info')\n"
METADATA: dict[str, tuple[str, type[DeepLockError]]] = {
    "a folder above": ("return '../x.dist-info'", HookBadResult),
    "a whole path": ("return '/etc/x.dist-info'", HookBadResult),
    "a path of the other kind": ("return '..\\\\x.dist-info'", HookBadResult),
    "another name": (MADE + "return 'x'", HookBadResult),
    "only the end of a name": ("os.mkdir(folder + '/.dist-info')\nreturn '.dist-info'", HookBadResult),
    "a name that ends a text": ("return 'x\\0.dist-info'", HookBadResult),
    "a long name": ("return 'x' * 5000 + '.dist-info'", HookBadResult),
    "no name": ("return None", HookBadResult),
    "a list": ("return ['x.dist-info']", HookBadResult),
    "nothing made": ("return 'x.dist-info'", HookBadResult),
    "no METADATA": (MADE + "return 'x.dist-info'", HookBadResult),
    "a link": (
        MADE + "os.symlink('/etc/passwd', folder + '/x.dist-info/METADATA')\nreturn 'x.dist-info'",
        HookBadResult,
    ),
    "a pipe": (MADE + "os.mkfifo(folder + '/x.dist-info/METADATA')\nreturn 'x.dist-info'", HookBadResult),
    "a folder": (MADE + "os.mkdir(folder + '/x.dist-info/METADATA')\nreturn 'x.dist-info'", HookBadResult),
    "a linked folder": (
        """\
os.mkdir('other')
open('other/METADATA', 'w').close()
os.symlink(os.path.abspath('other'), folder + '/x.dist-info')
return 'x.dist-info'""",
        HookBadResult,
    ),
    "a closed file": (
        MADE + "open(folder + '/x.dist-info/METADATA', 'w').close()\nos.chmod(folder + '/x.dist-info', 0)\n"
        "return 'x.dist-info'",
        HookBadResult,
    ),
    "too much": (
        MADE + "open(folder + '/x.dist-info/METADATA', 'w').write('x' * (5 << 20))\nreturn 'x.dist-info'",
        LimitExceeded,
    ),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata(tmp_path: Path, environment: VirtualEnvironment, name: str) -> None:
    body, kind = METADATA[name]
    if name == "a closed file" and os.geteuid() == 0:
        pytest.skip("nothing is closed to root")
    with pytest.raises(kind):
        hooks.read_metadata(call_of(tmp_path, environment, hook(body, PREPARE), Limits()))


def make_victim(folder: Path) -> None:
    """Put METADATA and a wheel where this user can read them, and a hook cannot."""
    victim = folder / "victim"
    (victim / "x.dist-info").mkdir(parents=True)
    (victim / "x.dist-info" / "METADATA").write_text("Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n")
    (victim / "METADATA").write_text("Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n")
    (victim / "x.whl").write_text("a wheel")


VICTIM = "victim = os.path.join(os.path.dirname(os.environ['HOME']), '../victim')\n"
LINKED_METADATA = {
    "its folder": "os.rmdir(folder)\nos.symlink(victim, folder)",
    "its folder through the source": "os.rmdir(folder)\nos.symlink(victim, 'link')\nos.symlink(os.path.abspath('link'), folder)",
    "the dist-info folder": "os.symlink(victim, folder + '/x.dist-info')",
    "a folder in its folder": "os.rename(folder, folder + '2')\nos.symlink('metadata2', folder)\nos.symlink(victim, folder + '/x.dist-info')",
    "the file": "os.mkdir(folder + '/x.dist-info')\nos.symlink(victim + '/METADATA', folder + '/x.dist-info/METADATA')",
}


@pytest.mark.parametrize("lacking", [*WITHOUT, pytest.param(None, id="trusted")])
@pytest.mark.parametrize("name", LINKED_METADATA)
def test_metadata_is_not_read_through_a_link(
    tmp_path: Path, environment: VirtualEnvironment, name: str, lacking: tuple[str, ...] | None
) -> None:
    make_victim(tmp_path)
    backend = hook(f"{VICTIM}{LINKED_METADATA[name]}\nreturn 'x.dist-info'", PREPARE)
    call = replace(call_of(tmp_path, environment, backend, Limits()), confined=lacking is not None)
    machine = machine_without(lacking) if lacking is not None else nullcontext()
    with machine, pytest.raises(HookBadResult, match="METADATA is missing, or is not a regular file"):
        hooks.read_metadata(call)


@pytest.mark.parametrize("confined", [True, False])
@pytest.mark.parametrize("inside", [True, False], ids=["in scratch", "elsewhere"])
def test_a_wheel_is_not_taken_through_a_link(
    tmp_path: Path, environment: VirtualEnvironment, *, inside: bool, confined: bool
) -> None:
    make_victim(tmp_path)
    body = f"{VICTIM}os.rmdir(folder)\nos.symlink(victim, folder)\nreturn 'x.whl'"
    call = replace(call_of(tmp_path, environment, hook(body, BUILD), Limits()), confined=confined)
    out = (call.scratch if inside else tmp_path) / "wheel"
    out.mkdir()
    with pytest.raises((HookBadResult, HookFailed)):
        hooks.build_wheel(call, out)


WHEELS = {
    "a folder above": "return '../x.whl'",
    "a whole path": "return '/x.whl'",
    "another name": "open(folder + '/x.zip', 'w').close()\nreturn 'x.zip'",
    "nothing made": "return 'x.whl'",
    "no name": "return None",
    "a link": "os.symlink('/etc/passwd', folder + '/x.whl')\nreturn 'x.whl'",
    "a pipe": "os.mkfifo(folder + '/x.whl')\nreturn 'x.whl'",
    "a folder": "os.mkdir(folder + '/x.whl')\nreturn 'x.whl'",
}


@pytest.mark.parametrize("name", WHEELS)
def test_wheels(tmp_path: Path, environment: VirtualEnvironment, name: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(HookBadResult):
        hooks.build_wheel(call_of(tmp_path, environment, hook(WHEELS[name], BUILD), Limits()), folder)


@pytest.mark.parametrize("name", ["a link", "a pipe", "no archive"])
def test_metadata_by_a_wheel(tmp_path: Path, environment: VirtualEnvironment, name: str) -> None:
    """Without the hook for metadata a wheel is built, and unpacked by pyproject-hooks, inside the sandbox."""
    body = WHEELS.get(name, "open(folder + '/x.whl', 'w').close()\nreturn 'x.whl'")
    with pytest.raises((HookFailed, HookTimeout)):
        hooks.read_metadata(call_of(tmp_path, environment, hook(body, BUILD), Limits(wall_seconds=1)))


# -- folders that resist

RESISTING: dict[str, str] = {
    "deep": "for _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')",
    "closed": "os.makedirs('a/b/c')\nopen('a/b/c/f', 'w').close()\nos.chmod('a/b/c', 0)\nos.chmod('a/b', 0)",
    "wide": "for number in range(2000):\n    open(f'lifted-{number}', 'w').close()\nos.makedirs('lifted-x/lifted-0')",
    "linked": "os.mkdir('a')\nos.symlink('/', 'a/root')\nos.symlink(os.path.abspath('.'), 'a/up')",
}


@pytest.mark.parametrize("name", RESISTING)
@pytest.mark.parametrize("place", ["os.getcwd()", "os.environ['HOME']", "sys.argv[-1]"])
def test_folders_are_removed(
    tmp_path: Path, environment: VirtualEnvironment, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    body = f"os.chdir({place})\n{RESISTING[name]}\nreturn ['answered']"
    with disposable_folder("around-", parent=tmp_path) as around:
        temporary = around / "temporary"
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        with disposable_folder("hook-", parent=around) as folder:
            call = call_of(folder, environment, hook(body), Limits())
            # what is too deep to be counted is too much, if it was looked at in time
            with suppress(*([HookOutputLimit] if name == "deep" else [])):
                assert hooks.requires_for_wheel(call) == ("answered",)
        assert not folder.exists()
        assert list(temporary.iterdir()) == []


def _make_deep(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)
    try:
        for _ in range(3000):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(here)


def _make_closed(folder: Path) -> None:
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "f").touch()
    inner.chmod(0)
    inner.parent.chmod(0)


@pytest.mark.parametrize("make", [_make_deep, _make_closed])
def test_removing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o750)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(kept)
    make(folder)
    remove_folder(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o750
    remove_folder(folder)  # what is not there needs no removing
