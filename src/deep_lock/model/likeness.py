"""Names that an eye, or a hand on a keyboard, takes for each other."""

_SIGHT = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "_": "-", ".": "-"})


def is_alike(one: str, other: str) -> bool:
    """Whether two names differ by at most two letters, or by letters that look like others."""
    if folded(one) == folded(other):
        return True
    return abs(len(one) - len(other)) <= 2 and 0 < distance(one, other) <= 2


def folded(name: str) -> str:
    """Return a name as a careless eye sees it: two names that fold to one look alike."""
    return name.lower().translate(_SIGHT).replace("rn", "m").replace("vv", "w")


def distance(one: str, other: str) -> int:
    """Return the edit distance with swaps of neighbours (Damerau, optimal string alignment)."""
    rows = [list(range(len(other) + 1))]
    for place, letter in enumerate(one, 1):
        row = [place]
        for column, against in enumerate(other, 1):
            cost = min(rows[-1][column] + 1, row[-1] + 1, rows[-1][column - 1] + (letter != against))
            if place > 1 and column > 1 and letter == other[column - 2] and one[place - 2] == against:
                cost = min(cost, rows[-2][column - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]
