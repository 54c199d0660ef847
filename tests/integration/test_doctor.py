"""`deep-lock doctor` prints what the sandbox can do, layer by layer, and ends well whatever that is."""

import pytest

from deep_lock.builds.sandbox import sandbox
from deep_lock.builds.sandbox.sandbox import Ability, Layer, Level
from deep_lock.cli.main import run


@pytest.mark.parametrize(
    ("level", "word"), [("strong", "can run confined"), ("partial", "do not run"), ("none", "do not run")]
)
def test_doctor_tells_each_layer(
    level: Level, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = (
        Layer(name="landlock", works=False, reason="the kernel says: no\x1b[31m; do this"),
        Layer(name="limits", works=True, reason="found"),
    )
    monkeypatch.setattr(sandbox, "probe", lambda: Ability(level=level, layers=layers))
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", "the-cache")
    assert run(["doctor"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].startswith(f"sandbox: {level} (")
    assert word in shown.out
    assert shown.out.splitlines()[1:] == [
        "  landlock: does not work (the kernel says: no\\u{1b}[31m; do this)",
        "  limits: works (found)",
        "cache: the-cache",
    ]
    assert shown.err == ""
