"""How the future of a task ends, and when the task is tried again: after faults of the network or of a machine, and after a kill."""

from concurrent.futures import CancelledError, Future

from deep_lock.errors import DeepLockError, NetworkError
from deep_lock.fleet.records import Done

RETRIES = 3
"""After a failure of the network or of a machine (exit code 3)."""
MOST_KILLS = 3
"""So many killed workers set a task aside."""
TRY_AGAIN = 3
"""The exit code after which a task is tried again."""
NOT_TRIED_AGAIN = frozenset({"repository-refused"})
"""Kinds of errors with that exit code that a pause does not remove (`errors.RepositoryRefused`)."""
BACK_OFF_SECONDS = (5.0, 25.0, 125.0)
POLL_SECONDS = 1.0
WORKER_WAIT_SECONDS = 60.0
"""So long a run waits for a new worker when the last one is gone."""


def result_of(future: "Future[Done]", *, again: str) -> Done | str:
    """Return what a worker returned; the reason where the worker is gone. Raises NetworkError where the scheduler is gone.

    ``again`` says how the run continues.
    """
    try:
        return future.result()
    except CancelledError:
        raise NetworkError("the connection to the scheduler is lost", hint=again) from None
    except Exception as error:  # noqa: BLE001 - a task raises nothing: what comes is of the engine
        return error.message if isinstance(error, DeepLockError) else type(error).__name__


def no_workers(seconds: float, *, again: str) -> NetworkError:
    """Return the error of a run that has waited for workers. ``again`` says how the run continues."""
    waited = f" for {seconds:.0f} s" if seconds else ""
    return NetworkError(f"the scheduler has had no worker{waited}", hint=f"start workers; {again}")


def pause(
    attempts: int, kills: int, *, is_killed: bool, is_fault: bool, back_off: tuple[float, ...] = BACK_OFF_SECONDS
) -> float | None:
    """Return after how many seconds a task is tried again; None where its result is final.

    ``attempts`` and ``kills`` include the last one, which ended by a kill, or with a fault that another attempt may not have.
    """
    if is_killed:
        return None if kills >= MOST_KILLS else 0.0
    failures = attempts - kills
    if not is_fault or failures > RETRIES:
        return None
    return back_off[min(failures, len(back_off)) - 1]
