"""What is in the wheels of a lock: found by `policy`, `policy --deep`, `diff --deep` and `verify --deep`."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deep_lock.cli.main import run
from tests.support.scenarios import Bench, bench

PLAIN: dict[str, Any] = {"modules": {"maker/__init__.py": "", "maker_more.py": ""}}
RELEASES: dict[str, Any] = {
    "app-lib 1.0": {"requires": ["native>=1", "yaml-reader"]},
    "native 1.0": {"wheels": [], "sdist": True, "build": ["maker"], "backend": "flit_core.buildapi"},
    "yaml-reader 1.0": {"modules": {"yaml/__init__.py": "", "yaml/reader.py": ""}},
    "maker 1.0": PLAIN,
    "setuptools 80.0": {
        "modules": {
            "setuptools/__init__.py": "",
            "pkg_resources/__init__.py": "",
            "_distutils_hack/__init__.py": "",
            "distutils-precedence.pth": "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
            "enabled and __import__('_distutils_hack').add_shim(); \n",
            "setuptools-80.0.dist-info/entry_points.txt": "[console_scripts]\neasy_install = setuptools.command:main\n",
        }
    },
    "pip 25.0": {
        "modules": {
            "pip/__init__.py": "",
            "pip-25.0.dist-info/entry_points.txt": "[console_scripts]\npip = pip:main\npip3 = pip:main\npip3.13 = pip:main\n",
        }
    },
}
INFO = "maker-1.0.dist-info/entry_points.txt"
DATA = "maker-1.0.data"
BAD: dict[str, tuple[dict[str, str], str, str]] = {
    "pth": ({"zz.pth": "import maker_more\n"}, "wheel-pth", "zz.pth, which runs code whenever Python starts"),
    "pth-path": ({"zz.pth": "./elsewhere\n"}, "wheel-pth", "zz.pth, which adds to the module search path"),
    "pth-platlib": ({f"{DATA}/platlib/zz.pth": "import os\n"}, "wheel-pth", "zz.pth"),
    "pth-prefix": ({f"{DATA}/data/lib/python3.13/site-packages/z.pth": "import os"}, "wheel-pth", "z.pth"),
    "pth-windows": ({f"{DATA}/data/Lib/site-packages/z.PTH": "import os"}, "wheel-pth", "z.PTH"),
    "pth-long": ({"zz.pth": "#" * 70_000 + "\nimport os\n"}, "wheel-pth", "zz.pth, which is too long to be read"),
    "pth-of-setuptools": (
        {"distutils-precedence.pth": RELEASES["setuptools 80.0"]["modules"]["distutils-precedence.pth"]},
        "wheel-pth",
        "distutils-precedence.pth",
    ),
    "start": ({"zz.start": "maker_more:main\n"}, "wheel-pth", "zz.start, which runs code"),
    "venv-settings": ({f"{DATA}/data/pyvenv.cfg": "home = /tmp\n"}, "wheel-pth", "pyvenv.cfg"),
    "sitecustomize": ({"sitecustomize.py": ""}, "wheel-pth", "the module sitecustomize"),
    "usercustomize": ({f"{DATA}/purelib/usercustomize/__init__.py": ""}, "wheel-pth", "the module usercustomize"),
    "compiled": ({"sitecustomize.cpython-313-x86_64-linux-gnu.so": ""}, "wheel-pth", "the module sitecustomize"),
    "name-in-lock": ({"native/__init__.py": ""}, "wheel-foreign-top-level", "native, the name of another project"),
    "name-in-lock-added": ({"native/extra.py": ""}, "wheel-foreign-top-level", "files in the package native"),
    "module-in-lock": ({"yaml/__init__.py": ""}, "wheel-foreign-top-level", "the module yaml, which yaml-reader has"),
    "module-in-lock-added": (
        {"yaml/x.py": ""},
        "wheel-foreign-top-level",
        "files in the package yaml, which yaml-reader",
    ),
    "data-in-lock": ({"yaml/data.pem": ""}, "wheel-foreign-top-level", "files in the package yaml, which yaml-reader"),
    "well-known": ({"requests/__init__.py": ""}, "wheel-foreign-top-level", "another, well-known project"),
    "standard": ({"json.py": ""}, "wheel-foreign-top-level", "the module json, a name of the standard library"),
    "standard-removed": ({"distutils/__init__.py": ""}, "wheel-foreign-top-level", "distutils, a name of the standard"),
    "standard-prefix": ({f"{DATA}/data/lib/python3.13/os.py": ""}, "wheel-foreign-top-level", "the module os, a name"),
    "other": ({"surprise.py": ""}, "wheel-other-top-level", "the module surprise, whose name differs from"),
    "console": ({INFO: "[console_scripts]\npython = maker:main\n"}, "wheel-command-shadow", "the script python"),
    "console-version": ({INFO: "[console_scripts]\nPython3.13=m:m\n"}, "wheel-command-shadow", "python3.13"),
    "gui": ({INFO: "[x]\ny = z\n\n[gui_scripts]\n  git = maker:main [extra]\n"}, "wheel-command-shadow", "git"),
    "default-section": ({INFO: "[DEFAULT]\nls = m:m\n[console_scripts]\nm = m:m\n"}, "wheel-command-shadow", "ls"),
    "pip": ({INFO: "[console_scripts]\npip3 = maker:main\n"}, "wheel-command-shadow", "the script pip3"),
    "data-script": ({f"{DATA}/scripts/cc": "#!python\n"}, "wheel-command-shadow", "the script cc"),
    "data-script-windows": ({f"{DATA}/scripts/git.exe": ""}, "wheel-command-shadow", "the script git"),
    "data-bin": ({f"{DATA}/data/bin/ld": ""}, "wheel-command-shadow", "the script ld"),
    "compiler": ({f"{DATA}/scripts/x86_64-linux-gnu-gcc-13": ""}, "wheel-command-shadow", "x86_64-linux-gnu-gcc-13"),
}


class Contents:
    """A locked project, and the commands on its lock."""

    def __init__(self, made: Bench) -> None:
        self.bench = made
        self.held: dict[str, Any] = RELEASES
        made.ask("app-lib")

    @property
    def path(self) -> Path:
        return self.bench.folder / "deep.lock"

    def lock(self, *more: str, **releases: dict[str, str]) -> None:
        """Lock; ``releases`` are modules of a project."""
        told = dict(RELEASES)
        for name, modules in releases.items():
            key = next(key for key in RELEASES if key.startswith(name.replace("_", "-") + " "))
            told[key] = {**RELEASES[key], "modules": {**RELEASES[key].get("modules", {}), **modules}}
        self.held = told
        self.bench.hold(told)
        ran = self.bench.lock("--refresh", *more)
        assert ran.code == 0, ran.stderr

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self.bench.capture.readouterr()
        code = run(list(arguments))
        told = self.bench.capture.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    def policy(self, *flags: str) -> tuple[int, dict[tuple[str, str], tuple[str, str]], str]:
        code, out, err = self.run("policy", "--lock", str(self.path), "--format", "json", *flags)
        found = {
            (one["code"], one["subject"]): (one["severity"], one["message"])
            for one in json.loads(out)["findings"]
            if one["code"].startswith("wheel-")
        }
        return code, found, err

    def forget(self) -> None:
        assert run(["cache", "clean"]) == 0


@pytest.fixture
def contents(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Contents]:
    with bench(tmp_path, capfd, monkeypatch, RELEASES) as made:
        yield Contents(made)


@pytest.mark.parametrize("case", BAD)
def test_what_is_in_a_wheel_of_a_build_is_found(case: str, contents: Contents) -> None:
    modules, rule, says = BAD[case]
    contents.lock(maker=modules)
    level = "note" if rule == "wheel-other-top-level" else "finding"
    code, found, err = contents.policy("--deep")
    assert code == 0, "a finding"
    assert found.keys() == {(rule, "maker 1.0")}
    severity, message = found[rule, "maker 1.0"]
    assert severity == level
    assert says in message
    assert "the contents of 3 of 3 wheels were read\n" in err
    code, out, _ = contents.run("verify", "--lock", str(contents.path), "--deep", "--format", "json")
    assert [(one["code"], one["severity"]) for one in json.loads(out)["findings"]] == [(rule, level)]
    assert code == (0 if level == "note" else 1)


def test_what_is_usual_is_not_found(contents: Contents) -> None:
    contents.bench.told = {}
    contents.lock()
    assert contents.policy("--deep")[:2] == (0, {})
    extra = {**RELEASES, "native 1.0": {**RELEASES["native 1.0"], "build": ["maker", "setuptools", "pip"]}}
    contents.bench.hold(extra)
    assert contents.bench.lock("--refresh", "-U", "--accept-changed-file", "native-1.0.tar.gz").code == 0
    code, found, err = contents.policy("--deep")
    assert (code, found) == (0, {})
    assert "5 of 5 wheels" in err


def test_at_run_time_the_level_is_lower_but_not_of_what_takes_effect_at_start(contents: Contents) -> None:
    contents.lock(app_lib={"zz.pth": "import os\n", "json.py": "", "surprise.py": ""})
    code, found, _ = contents.policy("--deep")
    assert (code, {key: severity for key, (severity, _) in found.items()}) == (
        0,
        {("wheel-foreign-top-level", "app-lib 1.0"): "note", ("wheel-pth", "app-lib 1.0"): "finding"},
    )
    contents.bench.write(
        {
            "deep-lock.toml": '[policy]\nwheel-pth = "error"\nwheel-foreign-top-level = "error"\n'
            'wheel-other-top-level = "finding"\n'
        }
    )
    code, found, _ = contents.policy("--deep")
    assert (code, {key: severity for key, (severity, _) in found.items()}) == (
        1,
        {
            ("wheel-pth", "app-lib 1.0"): "error",
            ("wheel-foreign-top-level", "app-lib 1.0"): "finding",
            ("wheel-other-top-level", "app-lib 1.0"): "note",
        },
    )


def test_only_what_is_at_hand_is_read_without_deep(contents: Contents) -> None:
    contents.lock(maker={"zz.pth": "import os\n"})
    before = len(contents.bench.server.log)
    code, found, err = contents.policy()
    assert (code, found) == (0, {})
    assert "the contents of 0 of 3 wheels were read; --deep fetches the others" in err
    assert len(contents.bench.server.log) == before, "no request"
    assert (
        contents.run("fetch", "--lock", str(contents.path), "-d", str(contents.path.parent / "all"), "--build")[0] == 0
    )
    before = len(contents.bench.server.log)
    code, found, err = contents.policy()
    assert found.keys() == {("wheel-pth", "maker 1.0")}
    assert "the contents of 1 of 3 wheels were read" in err
    assert len(contents.bench.server.log) == before
    code, _, err = contents.policy("--deep", "--offline")
    assert code == 0
    assert "the contents of 1 of 3 wheels were read" in err


def test_a_rule_can_be_an_error_and_be_excepted(contents: Contents) -> None:
    contents.lock(maker={"zz.pth": "import os\n"})
    contents.bench.write({"deep-lock.toml": '[policy]\nwheel-pth = "error"\n'})
    assert contents.policy("--deep")[0] == 1
    accept = ["--accept", "wheel-pth:maker==1.0", "--until", "2999-12-31", "--reason", "read"]
    assert contents.run("policy", "--lock", str(contents.path), "--deep", *accept)[0] == 0
    code, found, _ = contents.policy("--deep")
    assert (code, found["wheel-pth", "maker 1.0"][0]) == (0, "note")
    contents.forget()
    code, out, _ = contents.run("policy", "--lock", str(contents.path))
    assert (code, "exception-unused" in out) == (0, False), "the wheel was not read"


def test_other_bytes_than_locked_are_not_read(contents: Contents) -> None:
    contents.lock()
    server = contents.bench.server
    name = "maker-1.0-py3-none-any.whl"
    server.bodies[f"/files/{name}"] = ("application/octet-stream", b"x" * len(server.known[name].content))
    code, _, err = contents.run("policy", "--lock", str(contents.path), "--deep")
    assert code == 4
    assert name in err


def test_a_wheel_that_is_no_archive_is_named(contents: Contents) -> None:
    contents.lock()
    contents.bench.write({"wheels/.keep": ""})
    text = contents.path.read_text(encoding="utf-8")
    whole = contents.bench.server.known["maker-1.0-py3-none-any.whl"]
    cut = whole.content[:-30]
    contents.bench.server.bodies[f"/files/{whole.filename}"] = ("application/octet-stream", cut)
    text = text.replace(hashlib.sha256(whole.content).hexdigest(), hashlib.sha256(cut).hexdigest())
    contents.path.write_text(text.replace(f"size = {len(whole.content)}", f"size = {len(cut)}"), encoding="utf-8")
    _, found, err = contents.policy("--deep")
    assert found["wheel-unreadable", "maker 1.0"][0] == "finding"
    assert "the contents of 2 of 3 wheels were read" in err


@pytest.mark.parametrize("form", ["text", "json", "markdown", "sarif", "github"])
def test_diff_shows_what_new_wheels_have(form: str, contents: Contents) -> None:
    contents.lock()
    old = contents.path.parent / "old.lock"
    shutil.copy(contents.path, old)
    told = {
        **RELEASES,
        "maker 2.0": {"modules": {"maker/__init__.py": "", "zz.pth": "import maker\n"}},
        "app-lib 2.0": {**RELEASES["app-lib 1.0"], "modules": {"json.py": "", "zz.pth": "import app\n"}},
    }
    contents.bench.hold(told)
    assert contents.bench.lock("-U", "--refresh").code == 0
    pair = [str(old), str(contents.path), "--format", form]
    assert "wheel-" not in contents.run("diff", *pair)[1]
    code, out, err = contents.run("diff", *pair, "--deep")
    assert code == 0, err
    assert "wheel-pth" in out
    assert "wheel-installed" in out
    assert "zz.pth" in out
    assert "ontents of 2 of 2 new wheels were read" in out
    assert contents.run("diff", *pair, "--deep", "--fail-on", "wheel-pth")[0] == 1
    assert "wheel-" not in contents.run("diff", str(old), str(old), "--deep")[1]


def test_diff_shows_what_wheels_bring_and_lack(contents: Contents) -> None:
    info = "maker-{}.dist-info"
    maker = {
        "maker/__init__.py": "",
        "maker/old.so": "\x7fELF\0",
        f"{info.format('1.0')}/sboms/parts.cdx.json": "{}",
        f"{info.format('1.0')}/entry_points.txt": "[console_scripts]\nmake-it = maker:main\n",
    }
    contents.lock(maker=maker, app_lib={"app_lib/__init__.py": "", "space/part/__init__.py": ""})
    old = contents.path.parent / "old.lock"
    shutil.copy(contents.path, old)
    new: dict[str, Any] = {
        "maker 2.0": {"modules": {"maker/__init__.py": "", "maker/new.so": "\x7fELF\0", "maker_b.py": ""}},
        "app-lib 2.0": {
            **RELEASES["app-lib 1.0"],
            "modules": {"app_lib/__init__.py": "", "app_lib/fast.cp.so": "MZ\0", "space/part/__init__.py": ""},
        },
        "yaml-reader 2.0": {"modules": {"yaml/__init__.py": "", "space/part/__init__.py": ""}},
    }
    contents.bench.hold({**contents.held, **new})
    assert contents.bench.lock("-U", "--refresh").code == 0
    codes = {"native-new", "contents-new", "contents-gone", "wheel-shared-import", "wheel-installed"}

    def found(*more: str) -> set[tuple[str, str, str]]:
        code, out, err = contents.run("diff", str(old), str(contents.path), "--deep", "--format", "json", *more)
        assert code == 0, err
        return {
            (own["code"], own["name"], own["message"]) for own in json.loads(out)["changes"] if own["code"] in codes
        }

    shared = ("wheel-installed", "app-lib", "has the import name space.part, which yaml-reader has too")
    reader = ("contents-new", "yaml-reader", "2.0 brings the import name space.part")
    assert found() == {
        shared,
        ("native-new", "app-lib", "2.0 brings the compiled file app_lib/fast (PE)"),
        ("contents-new", "maker", "2.0 brings the compiled file maker/new (ELF); the import name maker_b"),
        (
            "contents-gone",
            "maker",
            "2.0 lacks the compiled file maker/old (ELF); the script make-it; the import name maker_more; the SBOM parts.cdx.json",
        ),
        reader,
    }
    contents.forget()
    assert found("--offline") == set(), "nothing is at hand"
    contents.bench.hold({**RELEASES, **new})  # other bytes than those of the old lock: what was in them is not known
    assert found() == {shared, reader}


MAKER = {
    "maker/__init__.py": "",
    "maker/fast.so": "\x7fELF\0",
    "maker-1.0.dist-info/sboms/parts.cdx.json": "{}",
    "maker-1.0.dist-info/entry_points.txt": "[console_scripts]\nmake-it = maker:main\n",
}


def test_sboms_and_the_page_have_what_files_bring(contents: Contents) -> None:
    contents.lock(maker=MAKER, app_lib={"app_lib.py": "", "space/part/__init__.py": "", "zz.pth": "import os\n"})
    lock, page = str(contents.path), contents.path.parent / "page.html"
    wheel = contents.bench.server.known["maker-1.0-py3-none-any.whl"]
    before = len(contents.bench.server.log)
    plain = contents.run("export", "-f", "cyclonedx", "--lock", lock)[1]
    assert contents.run("report", "--lock", lock, "-o", str(page))[0] == 0
    assert len(contents.bench.server.log) == before, "no request"
    assert "deep-lock:contents" not in plain
    assert '"contents":[]' in page.read_text(encoding="utf-8")
    code, out, err = contents.run("export", "-f", "cyclonedx", "--lock", lock, "--deep")
    assert code == 0, err
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(out) is None
    assert json.loads(out)["serialNumber"] != json.loads(plain)["serialNumber"]
    (maker,) = (own for own in json.loads(out)["components"] if own["name"] == "maker")
    assert [
        (own["name"].removeprefix("deep-lock:contents:"), own["value"])
        for own in maker["properties"]
        if ":contents:" in own["name"]
    ] == [
        ("import-name", "maker"),
        ("import-name", "maker_more"),
        ("import-names-from", "the paths of files"),
        ("native", "1 file (ELF) in maker-1.0-py3-none-any.whl"),
        ("read", "1 of 1 files"),
        ("script", "make-it"),
    ]
    (sbom,) = (own for own in maker["externalReferences"] if own["type"] == "bom")
    assert sbom["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"{}").hexdigest()}]
    assert sbom["url"].endswith(f"{wheel.filename}#maker-1.0.dist-info/sboms/parts.cdx.json")
    out = contents.run("export", "-f", "spdx", "--lock", lock, "--deep", "--offline")[1]
    (maker,) = (own for own in json.loads(out)["packages"] if own["name"] == "maker")
    assert "\ndeep-lock:contents:sbom maker-1.0.dist-info/sboms/parts.cdx.json in maker-1.0-py3" in maker["comment"]
    code, _, err = contents.run("report", "--lock", lock, "-o", str(page), "--deep", "--offline")
    assert code == 0, err
    text = page.read_text(encoding="utf-8")
    assert '["scripts","make-it"]' in text
    assert "app-lib 1.0: app_lib-1.0-py3-none-any.whl has zz.pth, which runs code" in text
    contents.forget()
    err = contents.run("export", "-f", "spdx", "--lock", lock, "--deep", "--offline")[2]
    assert "the contents of 0 of 4 files were read: the others are not in the cache" in err
    assert contents.run("export", "-f", "pylock", "--lock", lock, "--deep")[0] == 2
