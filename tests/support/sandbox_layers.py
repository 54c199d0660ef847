"""The optional layers of the sandbox, as parameters of tests: with and without each, where this machine has them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deep_lock.builds.sandbox import bubblewrap, sandbox
from tests.support.sandboxed import LAYERS

_FOUND = {layer.name: layer for layer in sandbox.probe().layers}
OPTIONAL = ("bubblewrap", "cgroup")
HERE = [
    pytest.param(
        layers,
        id=name,
        marks=[
            pytest.mark.skipif(not _FOUND[optional].works, reason=f"{optional}: {_FOUND[optional].reason}")
            for optional in OPTIONAL
            if optional in layers
        ],
    )
    for name, layers in LAYERS.items()
]
"""Each of the `LAYERS`."""
WITHOUT = [
    pytest.param((), id="all layers"),
    pytest.param(("bubblewrap",), id="no bubblewrap"),
    pytest.param(("cgroup",), id="no cgroup"),
    pytest.param(OPTIONAL, id="neither"),
]
"""The optional layers that a machine does not have, for `machine_without`."""


@contextmanager
def machine_without(lacking: tuple[str, ...]) -> Iterator[None]:
    """Let the product find that this machine lacks these layers. Skips the test where it lacks others that are to be there."""
    absent = [name for name in OPTIONAL if name not in lacking and not _FOUND[name].works]
    if absent:
        pytest.skip(f"{absent[0]}: {_FOUND[absent[0]].reason}")
    with pytest.MonkeyPatch.context() as patch:
        if "bubblewrap" in lacking:
            patch.setattr(bubblewrap, "PLACES", ())
        if "cgroup" in lacking:
            patch.setattr(sandbox, "find_parent", lambda: None)
        sandbox.probe.cache_clear()
        try:
            if sandbox.probe().level != "strong":
                pytest.skip("without these layers there is no strong sandbox on this machine")
            assert {layer.name for layer in sandbox.probe().layers if not layer.works} >= set(lacking)
            yield
        finally:
            sandbox.probe.cache_clear()
