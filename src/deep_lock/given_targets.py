"""For which targets another tool's lock is taken: those that it tells of, and on which it can be installed.

Law: a target that somebody declared is never left out in silence, nor at all; one that only a default named may be, and
that is told.
"""

from msgspec import Struct
from packaging.markers import InvalidMarker, Marker

from deep_lock.errors import LockInvalid, Unsatisfiable, UsageError
from deep_lock.events import Reporter, Warned
from deep_lock.flags import Flags
from deep_lock.inputs.config import Config
from deep_lock.model.foreign import ForeignLock
from deep_lock.model.resolution import Problem
from deep_lock.model.target import Target, UnevaluableMarker
from deep_lock.model.targets import HOST
from deep_lock.resolve.catalog import Catalog
from deep_lock.resolve.given import misfit

DECLARE = "declare the targets: --python-version and --platform, or python-versions and platforms in [tool.deep-lock]"


class Hints(Struct, frozen=True, kw_only=True):
    """What a lock tells of its targets, as the flags would name them."""

    pythons: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


def hints_of(lock: ForeignLock | None) -> Hints:
    """Return the Pythons and platforms that a lock was made for; nothing where it does not tell."""
    if lock is None:
        return Hints()
    here = (HOST,) if lock.one_environment else ()
    return Hints(pythons=lock.pythons or here, platforms=lock.platforms or here)


def are_declared(flags: Flags, config: Config) -> bool:
    """Whether somebody named the targets."""
    return bool(flags.rules.pythons or flags.rules.platforms or config.python_versions or config.platforms)


def admitted(lock: ForeignLock, targets: tuple[Target, ...], *, declared: bool) -> tuple[Target, ...]:
    """Return the targets that the lock's own environments admit. Raises UsageError where a declared one is not."""
    inside = tuple(target for target in targets if _admits(lock, target))
    for target in targets:
        if declared and target not in inside:
            raise UsageError(
                f"{lock.source} is not for {target.label}: it names the environments {'; '.join(lock.environments)}"
            )
    if not inside:
        raise UsageError(f"{lock.source} is for none of the default targets", hint=DECLARE)
    return inside


def _admits(lock: ForeignLock, target: Target) -> bool:
    if not lock.environments:
        return True
    try:
        return any(Marker(text).evaluate(dict(target.environment)) for text in lock.environments)
    except (InvalidMarker, *UnevaluableMarker) as error:
        raise LockInvalid(f"{lock.source}: an environment in it cannot be evaluated: {error}") from None


def fitting(
    lock: ForeignLock, problems: tuple[Problem, ...], catalog: Catalog, reporter: Reporter, *, declared: bool
) -> tuple[Target, ...]:
    """Return the targets that can take every pin of the lock, and tell of those that cannot.

    Raises Unsatisfiable where a declared target cannot, or none can; IndexFault and HashMismatch.
    """
    stories = {problem.target: misfit(problem, problem.given or (), catalog) for problem in problems}
    left = tuple(target for target, story in stories.items() if not story)
    for target, story in stories.items():
        if not story:
            continue
        if declared or not left:
            raise Unsatisfiable(story, hint=DECLARE)
        message = f"{target.label} is left out: {story}"
        reporter(Warned(code="foreign-target", subject=lock.source, message=message))
    return left
