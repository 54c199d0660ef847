"""Names that look like those of well-known projects: typosquatting.

A warning that is mostly wrong is not read, so only patterns that real locks hardly ever have are reported: short names are
similar to others by chance, and must be closer.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

from deep_lock.analysis.popular_projects import KNOWN_NAMES, NEIGHBOURS

_LOOKS_LIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "_": "-", ".": "-"})


def is_alike(one: str, other: str) -> bool:
    """Whether two names differ by at most two letters, or by letters that look alike."""
    if folded(one) == folded(other):
        return True
    return abs(len(one) - len(other)) <= 2 and 0 < distance(one, other) <= 2


def folded(name: str) -> str:
    """Return a name with letters for what looks like them: names that fold to the same look alike."""
    return name.lower().translate(_LOOKS_LIKE).replace("rn", "m").replace("vv", "w")


def distance(one: str, other: str) -> int:
    """Return the edit distance with swaps of neighbours (Damerau, optimal string alignment)."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, other_letter in enumerate(other, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != other_letter))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == other_letter:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


ONE_LETTER = 6
"""Names of fewer letters are similar by chance."""
ONE_LETTER_OF_A_PART = 4
TWO_LETTERS = 10
LONG = 24
"""Of longer names only one letter is compared: there are too many pairs to leave out."""
MAX_LENGTH = 60
_AFFIXES = ("python", "py")


def well_known(name: str) -> str | None:
    """Return the well-known name that a normalized name looks like; None where there is none, or it is one itself."""
    if len(name) > MAX_LENGTH or name in KNOWN_NAMES or name in NEIGHBOURS:
        return None
    known = _known()
    for shape in _shapes(name):
        if shape in known:
            return known[shape]
    near = {other for piece in _pieces(name) for other in _near().get(piece, ())}
    return min((other for other in near if _is_near(name, other)), default=None)


def _is_near(name: str, other: str) -> bool:
    """Whether two names, without the words that both share, differ by few letters for their length."""
    one, two = _apart(name.split("-"), other.split("-"))
    length = min(len(one), len(two))
    apart = distance(one, two)
    if apart == 1:
        return length >= ONE_LETTER or (length >= ONE_LETTER_OF_A_PART and one != name)
    return apart == 2 and length >= TWO_LETTERS and name.count("-") == other.count("-")


def _apart(one: list[str], other: list[str]) -> tuple[str, str]:
    """Return two names without the words that both begin and end with."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return "-".join(one), "-".join(other)


def _shapes(name: str) -> Iterator[str]:
    """Yield other readings of a name: without separators, with letters for digits, without an affix."""
    yield _plain(name)
    for affix in _AFFIXES:
        for bare in (name.removeprefix(f"{affix}-"), name.removesuffix(f"-{affix}")):
            if bare != name and len(bare) >= ONE_LETTER:
                yield _plain(bare)


def _plain(name: str) -> str:
    return folded(name).replace("-", "")


@lru_cache(maxsize=1)
def _known() -> Mapping[str, str]:
    return {_plain(name): name for name in sorted(KNOWN_NAMES, reverse=True)}


@lru_cache(maxsize=1)
def _near() -> Mapping[str, Sequence[str]]:
    """Return well-known names by their pieces: two names within a distance of n share one without at most n letters."""
    found: dict[str, list[str]] = {}
    for name in KNOWN_NAMES:
        for piece in _pieces(name):
            found.setdefault(piece, []).append(name)
    return found


def _pieces(name: str) -> set[str]:
    """Return a name without any one letter, and a long one without any two."""
    ends = range(len(name))
    pieces = {name, *(name[:one] + name[one + 1 :] for one in ends)}
    if TWO_LETTERS <= len(name) <= LONG:
        pieces.update(name[:one] + name[one + 1 : two] + name[two + 1 :] for one, two in combinations(ends, 2))
    return pieces
