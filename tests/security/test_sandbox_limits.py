"""A limit counts what is used: by all processes together, and where no folder and no process shows it."""

from collections.abc import Iterator

import pytest

from deep_lock.builds.sandbox.run import INNER_LAYERS, UNCONFINED, LayerName
from deep_lock.builds.sandbox.sandbox import probe
from tests.support.sandboxed import EXCESSES, Bench, bench

pytestmark = pytest.mark.skipif(probe().level != "strong", reason=f"no strong sandbox here: {probe().layers}")
BUBBLEWRAP = next(layer for layer in probe().layers if layer.name == "bubblewrap")


@pytest.fixture
def place() -> Iterator[Bench]:
    with bench() as made:
        yield made


LAYERS = [
    pytest.param(INNER_LAYERS, id="inner"),
    pytest.param(
        INNER_LAYERS | {"bubblewrap"},
        id="bubblewrap",
        marks=pytest.mark.skipif(not BUBBLEWRAP.works, reason=f"bubblewrap: {BUBBLEWRAP.reason}"),
    ),
    pytest.param(UNCONFINED, id="trusted"),
]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("name", EXCESSES)
def test_every_excess_is_ended(place: Bench, name: str, layers: frozenset[LayerName]) -> None:
    done, stopped = place.excess(name, layers)
    assert (done, stopped) == (False, EXCESSES[name].limit)
