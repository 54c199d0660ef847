"""Each reader for a short time: the same cases in every run. More by hand: see `tests.fuzz`."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_lock import boundary
from deep_lock.errors import DeepLockError
from tests.fuzz.mutations import KINDS, TOKENS, Edit, mutated
from tests.fuzz.targets import READERS, Reader, is_refusal, seeds_of

CASES = 40
"""Of each reader: a second or less."""

edits = st.lists(
    st.builds(
        Edit,
        kind=st.sampled_from(KINDS),
        at=st.floats(0, 1, exclude_max=True),
        to=st.floats(0, 1, exclude_max=True),
        token=st.integers(0, len(TOKENS) - 1),
    ),
    max_size=4,
)


def _by_name(reader: Reader) -> str:
    return reader.name


@pytest.mark.parametrize("reader", READERS, ids=_by_name)
def test_a_reader_returns_a_value_or_a_typed_error(reader: Reader) -> None:
    seeds = seeds_of(reader)

    @settings(max_examples=CASES)
    @given(st.sampled_from(range(len(seeds))), edits)
    def read(seed: int, changes: list[Edit]) -> None:
        try:
            reader.read(mutated(seeds[seed], changes, seeds))
        except Exception as error:
            if not is_refusal(reader, error):
                raise

    read()


WITHOUT_BOUNDARY = {
    "headers": "their parsers check each character",
    "requirement": "part of other content, and of the command line",
    "poetry-constraint": "part of other content",
}
"""Readers that are no files of their own."""


@pytest.mark.parametrize("reader", READERS, ids=_by_name)
def test_a_reader_is_behind_the_boundary(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[object] = []

    def enter(self: boundary.reading) -> None:
        entered.append(self)

    monkeypatch.setattr(boundary.reading, "__enter__", enter)
    for seed in seeds_of(reader):
        with suppress(DeepLockError):
            reader.read(seed)
    assert bool(entered) != (reader.name in WITHOUT_BOUNDARY)


@pytest.mark.parametrize("reader", [own for own in READERS if own.name not in WITHOUT_BOUNDARY], ids=_by_name)
@pytest.mark.parametrize("fault", [KeyError("x"), RecursionError(), MemoryError(), ZeroDivisionError()], ids=repr)
def test_a_fault_behind_the_boundary_is_a_typed_error(
    reader: Reader, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block ends with an exception that no parser documents."""
    own_exit = boundary.reading.__exit__

    def fail(
        self: boundary.reading, kind: type[BaseException] | None, raised: BaseException | None, trace: None
    ) -> None:
        own_exit(self, kind or type(fault), raised or fault, trace)

    monkeypatch.setattr(boundary.reading, "__exit__", fail)
    for seed in seeds_of(reader)[:3]:
        with suppress(DeepLockError):
            reader.read(seed)


def test_every_reader_has_seeds_that_it_reads() -> None:
    def is_read(reader: Reader, seed: bytes) -> bool:
        try:
            reader.read(seed)
        except DeepLockError:
            return False
        return True

    assert [own.name for own in READERS if not any(is_read(own, seed) for seed in seeds_of(own))] == []
    assert len({own.name for own in READERS}) == len(READERS)
