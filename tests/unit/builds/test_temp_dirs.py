"""Temporary folders, while another run removes those that no run holds."""

import tempfile
from pathlib import Path

import pytest

from deep_lock.builds.temp_dirs import own_temporary_folder


def test_a_folder_that_another_run_removes_before_it_is_opened_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made: list[Path] = []
    make = tempfile.mkdtemp

    def swept_at_first(prefix: str) -> str:
        made.append(Path(make(prefix=prefix)))
        if len(made) == 1:
            made[0].rmdir()
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", swept_at_first)
    with own_temporary_folder() as folder:
        assert folder == made[1]
        assert folder.is_dir()
    assert not any(path.exists() for path in made)
