"""Files that are whole or not there, and what is no file at all."""

import os
import threading
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from deep_lock.files import Replacement, write_atomically

LOCK = Path(__file__).parents[2] / "fixtures" / "locks" / "small.lock"
PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@PIPES
def test_an_export_into_a_pipe_is_written_to_it(tmp_path: Path) -> None:
    pipe, plain = tmp_path / "pipe", tmp_path / "plain"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert run(["export", "-f", "json", "--lock", str(LOCK), "-o", str(pipe)]) == 0
    assert run(["export", "-f", "json", "--lock", str(LOCK), "-o", str(plain)]) == 0
    reader.join(10)
    assert pipe.is_fifo(), "it was replaced by a file"
    assert read == [plain.read_bytes()]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o020666, os.makedev(1, 3))
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("devices cannot be made or used here")
    assert run(["report", "--lock", str(LOCK), "-o", str(device)]) == 0
    assert device.is_char_device()


@PIPES
def test_a_link_of_a_checkout_is_replaced_and_not_followed(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "deep.lock"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    write_atomically(link, b"text")
    assert not link.is_symlink()
    assert link.read_bytes() == b"text"
    assert pipe.is_fifo()


def _replacement(path: Path) -> Replacement:
    path.write_bytes(b"old")
    return Replacement(path=path, before=b"old", after=b"new")


def test_a_replacement_is_undone(tmp_path: Path) -> None:
    file = _replacement(tmp_path / "file")
    assert file.is_current()
    file.write()
    assert file.path.read_bytes() == b"new"
    assert not file.is_current()
    file.undo()
    assert file.path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file.path]


def test_a_replacement_does_not_undo_the_work_of_others(tmp_path: Path) -> None:
    file = _replacement(tmp_path / "file")
    file.write()
    file.path.write_bytes(b"theirs")
    file.undo()
    assert file.path.read_bytes() == b"theirs"
