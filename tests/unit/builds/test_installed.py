"""Reading of environments: where packages are, and metadata that is hostile."""

import os
from pathlib import Path

import pytest

from deep_lock.builds.installed import find_environment, read_environment
from deep_lock.errors import UsageError
from deep_lock.models.installed import EnvironmentFolders, InstalledDistribution

INFO = "sample-1.0.dist-info"


def distribution(site: Path, record: str | bytes, *, name: str = "sample") -> InstalledDistribution:
    info = site / INFO
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_bytes(record if isinstance(record, bytes) else record.encode())
    (found,) = read_environment(find_environment(site)).distributions
    return found


@pytest.mark.parametrize(
    ("folder", "python", "free_threaded"),
    [
        ("lib/python3.13/site-packages", "3.13", False),
        ("lib/python3.14t/site-packages", "3.14", True),
        ("lib/python3/dist-packages", "", False),
        ("Lib/site-packages", "", False),
    ],
)
def test_the_folder_of_packages_and_the_python_are_found(
    tmp_path: Path, folder: str, python: str, *, free_threaded: bool
) -> None:
    site = tmp_path / folder
    site.mkdir(parents=True)
    found = find_environment(tmp_path)
    assert found == EnvironmentFolders(
        prefix=str(tmp_path), packages=(str(site),), python=python, free_threaded=free_threaded
    )
    if "dist-packages" not in folder:
        assert find_environment(site) == found
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.13.2\ninclude-system-site-packages = true\n")
    assert (find_environment(tmp_path).python, find_environment(tmp_path).sees_base) == ("3.13.2", True)


def test_a_folder_without_packages_and_one_of_several_pythons_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not an environment"):
        find_environment(tmp_path)
    for minor in (12, 13):
        (tmp_path / f"lib/python3.{minor}/site-packages").mkdir(parents=True)
    with pytest.raises(UsageError, match="of several Pythons"):
        find_environment(tmp_path)


def test_no_path_outside_is_opened_and_special_files_end(tmp_path: Path) -> None:
    site = tmp_path / "environment" / "lib" / "python3.13" / "site-packages"
    site.mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    digest = "sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE"  # of "x"
    (site / "same").write_text("x")
    rows = [
        f"same,{digest},1",
        f"../../../bin/../../secret,{digest},1",
        f"{tmp_path}/secret,{digest},1",
        "same,md5=0,1",
        "same,,1",
        f"{INFO}/RECORD,,",
        "__pycache__/same.cpython-313.pyc,,",
        f"gone,{digest},1",
        f"folder,{digest},",
    ]
    (site / "folder").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(site / "pipe")
        rows.append(f"pipe,{digest},1")
    found = distribution(site, "\n".join(rows))
    assert found.same == 1
    assert found.faults == (
        ("../../../bin/../../secret", "outside"),
        (f"{tmp_path}/secret", "outside"),
        ("same", "unhashed"),
        ("same", "unhashed"),
        ("gone", "missing"),
        ("folder", "unreadable"),
        *([("pipe", "unreadable")] if hasattr(os, "mkfifo") else []),
    )


@pytest.mark.parametrize(
    "record",
    ["a,b,c,d\n", b"\xff\n", 'a,"b\n', "a,sha256=x,-1\n", "a,sha256=x," + "9" * 5000 + "\n", ",,\n", "a\0b,,\n"],
)
def test_a_record_that_cannot_be_read_is_a_fault_of_the_distribution(tmp_path: Path, record: str | bytes) -> None:
    found = distribution(tmp_path / "site-packages", record)
    assert (found.name, found.version) == ("sample", "1.0")
    assert "RECORD" in found.fault


def test_links_to_folders_and_folders_of_modules_are_unowned(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    distribution(site, f"{INFO}/RECORD,,\n{INFO}/METADATA,,\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "module.py").write_text("")
    (site / "linked").symlink_to(tmp_path / "elsewhere")
    (site / "usercustomize").mkdir()
    (site / "usercustomize" / "__init__.py").write_text("")
    (site / "a.PTH").write_text("")
    (site / "__pycache__").mkdir()
    (site / "__pycache__" / "x.cpython-313.pyc").write_bytes(b"")
    found = read_environment(find_environment(site))
    assert found.startup == ("a.PTH", "usercustomize/__init__.py")
    assert found.unowned == {"linked": 1}


def test_what_cannot_be_read_is_stated(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    info = site / INFO
    info.mkdir(parents=True)
    (info / "direct_url.json").write_text("{")
    (site / "_mark.virtualenv").symlink_to("nowhere")
    found = distribution(site, "")
    assert found.origin is None
    assert "direct_url.json" in found.origin_fault
    assert read_environment(find_environment(site)).unowned["_mark.virtualenv"] == 1


def test_a_folder_that_cannot_be_listed_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site-packages"
    (site / "closed").mkdir(parents=True)
    scandir = os.scandir

    def refusing(path: str) -> object:  # as for another user: root may list every folder
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UsageError, match=r"closed: Permission denied"):
        read_environment(find_environment(site))
