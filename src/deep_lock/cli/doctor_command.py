"""`deep-lock doctor`: what this machine can do, a line for each thing. Always exit code 0: it tells, it does not judge."""

from collections.abc import Iterator

import click

from deep_lock.cli.surroundings import Session
from deep_lock.display import show
from deep_lock.examining import Examination, examine

_LEVELS = {
    "strong": "strong: build backends may be asked inside it",
    "partial": "partial: too little to run the code of strangers in, so backends are not asked",
    "none": "none: backends are not asked",
}


@click.command("doctor", short_help="Tell what this machine can do.")
@click.pass_obj
def doctor_command(session: Session) -> None:
    """Tell what this machine can do: the sandbox for build backends and each layer of it, with what would help where
    one does not work; the Pythons found, and for which default targets each speaks; the cache folder; git and a C
    compiler.

    Each line is a name, a tab, a state, a tab, and what there is to say. Nothing is changed, and no code of a stranger is run.
    """  # noqa: D205 - the text of --help
    for line in _lines(examine(session.surroundings)):
        session.printer.data("\t".join(show(cell, limit=500) for cell in line) + "\n")


def _lines(found: Examination) -> Iterator[tuple[str, str, str]]:
    level, _, text = _LEVELS[found.sandbox].partition(": ")
    yield "sandbox", level, text
    for part in found.parts:
        yield f"sandbox {part.name}", "works" if part.works else "missing", part.reason
    for python in found.pythons:
        speaks = f"speaks for {', '.join(python.targets)}" if python.targets else "speaks for no default target"
        yield f"python {python.name}", "found", f"{python.path} {speaks}"
    yield "cache", "works" if found.cache_works else "missing", _cache_text(found)
    for name, path in found.commands:
        yield name, "found" if path else "missing", str(path) if path else "a build that needs it will fail"


def _cache_text(found: Examination) -> str:
    if found.cache_works:
        return str(found.cache)
    return f"{found.cache} cannot be written: every run fetches everything again; set DEEP_LOCK_CACHE_DIR"
