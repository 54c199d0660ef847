"""`deep-lock doctor`: test the sandbox of this machine, and suggest how to make it work."""

from deep_lock.builds.sandbox import sandbox
from deep_lock.cli.options import TEXT_OR_JSON, sectioned
from deep_lock.cli.session import Session
from deep_lock.reports import document
from deep_lock.sanitize import joined, line, show

HELP = """\
Show whether build hooks can run in a sandbox on this machine, and where the cache is.

Each layer of the sandbox is tested with a harmless script. The exit code is always 0.
"""
_MEANING = {
    "strong": "build hooks can run confined",
    "partial": "build hooks do not run: a required layer is missing",
    "none": "build hooks do not run: no layer works",
}


@sectioned("doctor", output=(TEXT_OR_JSON,), help=HELP, short_help="Show whether build hooks can run in a sandbox.")
def doctor_command(session: Session, /, *, form: str) -> None:
    """Test the sandbox, and write what works."""
    ability = sandbox.probe()
    cache = str(session.context.cache_folder)
    if form == "json":
        layers = [{"name": own.name, "works": own.works, "reason": own.reason} for own in ability.layers]
        payload = {"sandbox": {"level": ability.level, "layers": layers}, "cache": cache}
        session.printer.data(document.document("doctor", 1, payload))
        return
    found = [f"sandbox: {ability.level} ({_MEANING[ability.level]})"]
    found += [
        f"  {layer.name}: {'works' if layer.works else 'does not work'} ({show(layer.reason)})"
        for layer in ability.layers
    ]
    found.append(f"cache: {show(cache)}")
    session.printer.data(joined(map(line, found)))
