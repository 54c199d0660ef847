"""Where things stand in the text of a lock."""


def lines_of(text: str) -> dict[str, int]:
    """Return the line of each entry's name, from 1; of several entries of one name, the first."""
    found: dict[str, int] = {}
    entry = False
    for number, line in enumerate(text.splitlines(), 1):
        if line == "[[packages]]":
            entry = True
        elif entry and line.startswith('name = "'):
            found.setdefault(line.removeprefix('name = "').rstrip('"'), number)
            entry = False
    return found
