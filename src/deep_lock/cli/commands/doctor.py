"""`deep-lock doctor`: what this machine can do, found by trying, and what would help where it cannot."""

import click

from deep_lock.builds.sandbox import sandbox
from deep_lock.cli.context import Session
from deep_lock.sanitize import show

_MEANING = {
    "strong": "build hooks can run confined",
    "partial": "build hooks do not run: a layer that they need is lacking",
    "none": "build hooks do not run: nothing here confines them",
}


@click.command("doctor", short_help="Tell what this machine can do.")
@click.pass_obj
def doctor_command(session: Session) -> None:
    """Tell what this machine can do: whether build hooks can run in a sandbox, layer by layer, and where the cache is.

    The sandbox is tried for real, with a harmless script. The exit code is 0 whatever is found.
    """
    ability = sandbox.probe()
    lines = [f"sandbox: {ability.level} ({_MEANING[ability.level]})"]
    lines += [
        f"  {layer.name}: {'works' if layer.works else 'does not work'} ({show(layer.reason)})"
        for layer in ability.layers
    ]
    lines.append(f"cache: {show(str(session.surroundings.cache_folder))}")
    session.printer.data("".join(f"{line}\n" for line in lines))
