"""Console blocks of a page: a line `$ COMMAND`, then its output. A line `...` is any number of other lines."""

import re
import shlex
from collections.abc import Callable
from itertools import pairwise


def blocks(page: str) -> list[str]:
    """Return the console blocks of a page or a section."""
    return re.findall(r"```console\n(.*?)```", page, re.DOTALL)


def check_block(block: str, run: Callable[[list[str]], list[str]]) -> None:
    """Run the commands of a block, and compare what they print. ``run`` gets the words of a command, and returns lines."""
    for shown in block.split("$ ")[1:]:
        command, *lines = shown.splitlines()
        output = run(shlex.split(command, comments=False))
        at = 0
        for before, line in pairwise(["", *lines]):
            if line != "...":
                found = output.index(line, at) if line in output[at:] else None
                is_next = found == at or (found is not None and before == "...")
                assert is_next, f"{command}: {line}\n" + "\n".join(output)
                assert found is not None
                at = found + 1
