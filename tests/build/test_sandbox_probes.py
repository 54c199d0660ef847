"""What a stranger tries, under each layer alone and under all of them: which layer stops what.

Under a layer that is not named here the same attempt gets through, so each of these tests can fail.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_users import USERS, command_of, folder_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are those of Linux")
if sys.platform == "linux":
    from deep_lock.build.confined import landlock

DRIVER = Path(__file__).parents[1] / "support" / "sandbox_driver.py"
SINGLE = ("limits", "landlock", "seccomp")
STOPPED_BY: dict[str, set[str]] = {
    "read a file": {"landlock"},
    "read a file through a link": {"landlock"},
    "list a folder": {"landlock"},
    "write a file": {"landlock"},
    "make a file": {"landlock"},
    "remove a file": {"landlock"},
    "move a file out": {"landlock"},
    "link a file in": {"landlock"},
    "link a file out": {"landlock"},
    "truncate a file": {"landlock", "seccomp"},
    "change a mode": {"seccomp"},
    "change a mode through a link": {"seccomp"},
    "change times": {"seccomp"},
    "change an owner": {"seccomp"},
    "change an attribute": {"seccomp"},
    "talk TCP": {"landlock", "seccomp"},
    "talk UDP": {"seccomp"},
    "talk to a unix socket": {"seccomp"},
    "talk to an abstract unix socket": {"landlock", "seccomp"},
    "read the environment of the parent": {"landlock"},
    "signal the parent": {"landlock", "seccomp"},
    "have the parent signalled": {"landlock", "seccomp"},
    "limit the parent": {"seccomp"},
    "be traced": {"seccomp"},
    "make a user namespace": {"seccomp"},
    "make an io_uring": {"seccomp"},
    "type for the user": {"seccomp"},
    "share memory": {"seccomp"},
    "make a device": {"limits", "landlock", "seccomp"},  # the right to it goes with the first of them
    "take much memory": {"limits"},
    "write a large file": {"limits"},
    "open many files": {"limits"},
}
LANDLOCK_SINCE = {
    "truncate a file": 3,
    "talk TCP": 4,
    "talk to an abstract unix socket": 6,
    "signal the parent": 6,
    "have the parent signalled": 6,
}
"""The version of Landlock from which on it stops this too; seccomp does so on every kernel."""
ROOT_LACKS = {"read the environment of the parent"}
"""Where root has given up its rights, the kernel itself keeps it from looking into who has not."""

Answers = dict[str, dict[str, str]]


@pytest.fixture(scope="module", params=USERS)
def answers(request: pytest.FixtureRequest) -> Iterator[Answers]:
    with folder_of(request.param) as folder:
        command = ["env", "SECRET=planted", *command_of(request.param), str(DRIVER), str(folder)]
        subprocess.run(command, check=True, cwd=folder, timeout=300)
        found: Answers = json.loads((folder / "answers.json").read_bytes())
        found["user"] = {"root": "yes" if request.param == "own" and os.geteuid() == 0 else ""}
        yield found


def test_every_attempt_is_judged(answers: Answers) -> None:
    assert set(answers["plain"]) == {*STOPPED_BY, "find a secret in the environment"}


@pytest.mark.parametrize("attempt", STOPPED_BY)
def test_it_is_stopped(answers: Answers, attempt: str) -> None:
    if "needed" not in answers:
        pytest.skip("this machine lacks a layer")
    assert answers["needed"][attempt]
    if "all" in answers:
        assert answers["all"][attempt]


@pytest.mark.parametrize("attempt", STOPPED_BY)
def test_which_layer_stops_it(answers: Answers, attempt: str) -> None:
    if answers["plain"][attempt]:
        pytest.skip(f"here it does not get through without a sandbox either: {answers['plain'][attempt]}")
    if attempt in ROOT_LACKS and answers["user"]["root"]:
        pytest.skip("each layer takes from root what it takes")
    stopping = set(STOPPED_BY[attempt])
    if landlock.abi() < LANDLOCK_SINCE.get(attempt, 1):
        stopping -= {"landlock"}
    for layer in SINGLE:
        if layer in answers:
            assert bool(answers[layer][attempt]) == (layer in stopping), f"{layer}: {answers[layer][attempt]!r}"


def test_no_secret_comes_with_the_environment(answers: Answers) -> None:
    """No layer does that: the environment is what was given, always."""
    assert all(plan["find a secret in the environment"] for name, plan in answers.items() if name != "user")
