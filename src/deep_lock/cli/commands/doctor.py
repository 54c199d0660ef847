"""`deep-lock doctor`: test the sandbox of this machine, and suggest how to make it work."""

import click

from deep_lock.builds.sandbox import sandbox
from deep_lock.cli.session import Session
from deep_lock.sanitize import joined, line, show

_MEANING = {
    "strong": "build hooks can run confined",
    "partial": "build hooks do not run: a required layer is missing",
    "none": "build hooks do not run: no layer works",
}


@click.command("doctor", short_help="Show whether build hooks can run in a sandbox.")
@click.pass_obj
def doctor_command(session: Session) -> None:
    """Show whether build hooks can run in a sandbox on this machine, layer by layer, and where the cache is.

    The sandbox is tested with a harmless script. The exit code is 0 whatever the result.
    """
    ability = sandbox.probe()
    found = [f"sandbox: {ability.level} ({_MEANING[ability.level]})"]
    found += [
        f"  {layer.name}: {'works' if layer.works else 'does not work'} ({show(layer.reason)})"
        for layer in ability.layers
    ]
    found.append(f"cache: {show(str(session.context.cache_folder))}")
    session.printer.data(joined(map(line, found)))
