"""The address of the public index: the constant of distlib, without an import of distlib."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from distlib.index import DEFAULT_INDEX

from deep_lock.errors import UsageError
from deep_lock.network.public_index import public_index

LOADED = (
    "import sys; from deep_lock.network import public_index as own; own.public_index(); print('distlib' in sys.modules)"
)


def test_it_is_the_constant_of_distlib() -> None:
    expected = urlsplit(DEFAULT_INDEX)
    assert public_index() == f"{expected.scheme}://{expected.netloc}/simple/"


def test_distlib_is_not_imported() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize("text", [None, "", "# DEFAULT_INDEX = 'https://index.example/'", "DEFAULT_INDEX = OTHER"])
def test_a_distlib_without_the_constant_is_an_error_with_a_remedy(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "distlib"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    if text is not None:
        (folder / "index.py").write_text(text)
    monkeypatch.delitem(sys.modules, "distlib")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(UsageError, match="does not contain it") as caught:
        public_index()
    assert str(folder) in caught.value.message
    assert "--default-index URL" in caught.value.hint


def test_no_distlib_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "distlib")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UsageError, match="it is not installed"):
        public_index()
