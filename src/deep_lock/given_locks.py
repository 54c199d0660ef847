"""Another tool's lock in the shape of ours, to be compared with one: its pins and hashes, and no builds."""

from pathlib import Path

from deep_lock.given_reading import parse_given
from deep_lock.model.foreign import ForeignPin
from deep_lock.model.lock import Lock, LockedFile, LockedInputs, LockedPackage


def lock_of(text: str, path: Path) -> Lock:
    """Return the pins of a lock as entries; files that it gives no sha256 are left out. Raises UserError.

    ``text`` is what stands at ``path``, or stood there in another revision.
    """
    foreign = parse_given(text, path, path.parent)
    entries = {(pin.name, str(pin.version)): _entry(pin) for pin in foreign.pins}
    return Lock(
        inputs=LockedInputs(sources=(path.name,), pinned=True),
        requires_python=foreign.requires_python,
        packages=tuple(entries[key] for key in sorted(entries)),
    )


def _entry(pin: ForeignPin) -> LockedPackage:
    files = tuple(LockedFile(name=file.name, sha256=file.sha256) for file in pin.files if file.sha256 is not None)
    wheels = tuple(file for file in files if file.name.endswith(".whl"))
    return LockedPackage(
        name=pin.name,
        version=str(pin.version) if pin.version is not None else None,
        index=pin.index,
        direct=pin.direct,
        wheels=wheels,
    )
