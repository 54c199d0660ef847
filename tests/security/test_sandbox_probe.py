"""The probe itself: the other tests skip where it finds nothing strong, so these must not."""

import os
from pathlib import Path

import pytest

from deep_lock.builds.sandbox import sandbox
from deep_lock.builds.sandbox.landlock import landlock_abi
from deep_lock.builds.sandbox.sandbox import probe
from deep_lock.builds.sandbox.seccomp import ARCHITECTURES
from deep_lock.errors import HookFailed


@pytest.mark.skipif(landlock_abi() <= 0, reason="this kernel has no Landlock, or does not allow it here")
def test_where_the_kernel_can_the_level_is_strong() -> None:
    assert os.uname().machine in ARCHITECTURES
    found = probe()
    assert found.level == "strong", found.layers
    assert {layer.name for layer in found.layers if layer.works} >= {"landlock", "seccomp", "limits"}


@pytest.mark.parametrize("name", ["landlock", "seccomp", "limits", "bubblewrap", "cgroup"])
def test_every_layer_is_told_of_with_a_reason(name: str) -> None:
    (layer,) = [layer for layer in probe().layers if layer.name == name]
    assert layer.reason


def test_a_probe_that_cannot_run_is_a_level_and_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox, "_PROBE", tmp_path / "missing.py")
    found = probe.__wrapped__()
    assert found.level == "none"
    assert not any(layer.works for layer in found.layers if layer.name != "cgroup")


def test_a_probe_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise HookFailed("no interpreter")

    monkeypatch.setattr(sandbox, "execute", refuse)
    found = probe.__wrapped__()
    assert found.level == "none"
    assert "no interpreter" in {layer.reason.partition(";")[0] for layer in found.layers}
