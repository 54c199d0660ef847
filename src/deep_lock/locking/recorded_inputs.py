"""The inputs of a lock whose folder has no pyproject.toml that describes a project: the lock itself records them."""

from msgspec.structs import replace

from deep_lock.config.options import InputOptions
from deep_lock.errors import LockInvalid, UsageError
from deep_lock.events import silent
from deep_lock.files import is_there
from deep_lock.locking.read_inputs import lock_path, require_lock
from deep_lock.sanitize import show

_SETUPTOOLS = frozenset({"setup.cfg", "setup.py"})


def with_recorded_inputs(options: InputOptions) -> InputOptions:
    """Return the options with the requirements files, or the lock of another tool, that the deep.lock was made from.

    Raises LockInvalid where the lock cannot be read or names a file outside its folder, UsageError where a file is gone.
    """
    path = lock_path(options)
    inputs = require_lock(path, silent).inputs
    if frozenset(inputs.sources) <= _SETUPTOOLS:
        return options
    folder = path.parent.resolve()
    files = tuple(path.parent / source for source in inputs.sources)
    for source, file in zip(inputs.sources, files, strict=True):
        # a lock may come from outside: it names no file that the project does not have
        if not file.resolve().is_relative_to(folder):
            raise LockInvalid(f"{path}: it was made from {show(source)}, which is not in its folder")
        if not is_there(file):
            raise UsageError(
                f"{path}: it was made from {show(source)}, which does not exist",
                hint=f"restore {show(source)}, or delete {path.name}",
            )
    if inputs.pinned:
        return replace(options, from_lock=files[0])
    return replace(options, requirements=files)
