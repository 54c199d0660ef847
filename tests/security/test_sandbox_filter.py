"""The system call filter, played through without a kernel: what each call comes to, on both machines."""

import errno
import re
from pathlib import Path

import pytest

from deep_lock.builds.sandbox.seccomp import (
    ARCHITECTURES,
    NOTIFY,
    PRETEND,
    Architecture,
    Instruction,
    make_filter,
    make_last_filter,
    notified_calls,
)
from deep_lock.builds.sandbox.syscall_numbers import LAST_KNOWN, NUMBERS

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
DENY = ERRNO | errno.EPERM
ABSENT = ERRNO | errno.ENOSYS
NO_TERMINAL = ERRNO | errno.ENOTTY
MACHINES: tuple[Architecture, ...] = ("x86_64", "aarch64")


def _play(program: list[Instruction], architecture: int, number: int, arguments: tuple[int, ...]) -> int:
    """Run a program as the kernel does; only the instructions that the filter is made of are known."""
    data = {0: number, 4: architecture, **{16 + 8 * at: value & 0xFFFFFFFF for at, value in enumerate(arguments)}}
    at = held = 0
    while True:
        code, met, unmet, value = program[at]
        at += 1
        match code:
            case 0x20:
                held = data[value]
            case 0x54:
                held &= value
            case 0x15:
                at += met if held == value else unmet
            case 0x25:
                at += met if held > value else unmet
            case 0x06:
                return value
            case _:
                raise AssertionError(hex(code))


def _outcome(machine: Architecture, name: str, *arguments: int, abi: int = 7) -> int:
    number = NUMBERS[name][MACHINES.index(machine)]
    given = (*arguments, *[0] * (6 - len(arguments)))
    programs = (make_filter(machine, abi), make_last_filter(machine))
    # of two programs the kernel takes the stricter outcome, which is the lower number as a signed one
    outcomes = [_play(program, ARCHITECTURES[machine], number, given) for program in programs]
    return min(outcomes, key=lambda outcome: outcome ^ KILL)


CASES = [
    ("socket", (1, 1, 0), 7, DENY),
    ("socketpair", (1, 1, 0), 7, ALLOW),
    ("socketpair", (1, 1 | 0o2000000, 0), 7, ALLOW),
    ("socketpair", (1, 2, 0), 7, DENY),
    ("socketpair", (30, 1, 0), 7, DENY),
    ("clone", (17,), 7, ALLOW),
    ("clone", (0x3D0F00,), 7, ALLOW),
    ("clone", (0x10000000 | 17,), 7, DENY),
    ("clone", (0x00020000,), 7, DENY),
    ("clone3", (), 7, ABSENT),
    ("chown", (), 7, PRETEND),
    ("fchownat", (), 7, PRETEND),
    ("setsid", (), 7, PRETEND),
    ("fchmodat", (), 7, NOTIFY),
    ("utimensat", (), 7, NOTIFY),
    ("ioctl", (0, 0x5401), 7, ALLOW),
    ("ioctl", (0, 0x5412), 7, NO_TERMINAL),
    ("ioctl", (0, 0x40305828), 7, NO_TERMINAL),
    ("ioctl", (0, 0x4030582A), 7, NO_TERMINAL),
    ("ioctl", (0, 0x40305839), 7, NO_TERMINAL),
    ("ioctl", (0, 0x40086602), 7, NO_TERMINAL),
    ("ioctl", (0, 0x40049409), 7, ALLOW),
    ("fallocate", (3, 0), 7, ALLOW),
    *[("fallocate", (3, mode), 7, ERRNO | errno.EOPNOTSUPP) for mode in (0x1, 0x3, 0x11, 0x20, 0x40)],
    ("memfd_create", (0, 0), 7, ABSENT),
    ("memfd_secret", (0,), 7, ABSENT),
    ("listmount", (), 7, ABSENT),
    ("statmount", (), 7, ABSENT),
    ("sync", (), 7, PRETEND),
    ("syncfs", (3,), 7, PRETEND),
    ("sendmsg", (3,), 7, DENY),
    ("sendmmsg", (3,), 7, DENY),
    ("getpriority", (0, 0), 7, ALLOW),
    ("getpriority", (0, 9), 7, DENY),
    ("getpriority", (1, 0), 7, DENY),
    ("fcntl", (3, 1024), 7, DENY),
    ("fcntl", (3, 1026), 7, DENY),
    ("fcntl", (3, 1030), 7, ALLOW),
    ("prctl", (4,), 7, DENY),
    ("fcntl", (3, 8), 7, DENY),
    ("fcntl", (3, 1), 7, ALLOW),
    ("prlimit64", (0, 7), 7, ALLOW),
    ("prlimit64", (1, 7), 7, DENY),
    ("prctl", (22,), 7, DENY),
    ("prctl", (15,), 7, ALLOW),
    ("seccomp", (1,), 7, DENY),
    ("kill", (1, 9), 6, ALLOW),
    ("kill", (1, 9), 5, DENY),
    ("openat", (0, 0, 0x200), 3, ALLOW),
    ("openat", (0, 0, 0x200), 2, DENY),
    ("openat", (0, 0, 0x203), 2, DENY),
    ("openat", (0, 0, 0x241), 2, ALLOW),
    ("openat2", (), 2, ABSENT),
    ("openat2", (), 3, ALLOW),
]


@pytest.mark.parametrize(
    ("machine", "name", "arguments", "abi", "wanted"),
    [(machine, *case) for case in CASES for at, machine in enumerate(MACHINES) if NUMBERS[case[0]][at] >= 0],
)
def test_what_a_call_comes_to(
    machine: Architecture, name: str, arguments: tuple[int, ...], abi: int, wanted: int
) -> None:
    assert _outcome(machine, name, *arguments, abi=abi) == wanted


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_machine_kill(machine: Architecture) -> None:
    assert _play(make_filter(machine, 7), 0x40000003, 1, (0,) * 6) == KILL


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("number", [LAST_KNOWN + 1, 0x40000000 | 41, 0xFFFFFFFF])
def test_calls_that_were_not_looked_at_and_those_of_x32_do_not_exist(machine: Architecture, number: int) -> None:
    assert _play(make_filter(machine, 7), ARCHITECTURES[machine], number, (0,) * 6) == ABSENT


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("abi", range(8))
def test_a_program_is_one_that_the_kernel_takes(machine: Architecture, abi: int) -> None:
    program = make_filter(machine, abi)
    assert len(program) <= 4096
    for at, (_, met, unmet, _) in enumerate(program):
        assert at + 1 + max(met, unmet) < len(program) or program[at][0] == 0x06


@pytest.mark.parametrize("machine", MACHINES)
def test_the_notified_calls_are_those_that_are_passed_on(machine: Architecture) -> None:
    passed = {name for name, both in NUMBERS.items() if both[MACHINES.index(machine)] >= 0}
    passed = {name for name in passed if _outcome(machine, name) == NOTIFY}
    assert set(notified_calls(machine).values()) == passed


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
    ids=MACHINES,
)
def test_the_numbers_are_the_kernel_s(column: int, header: str) -> None:
    path = Path(header)
    if not path.is_file():
        pytest.skip(f"no {header}")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    theirs = {name: int(number) for name, number in defined}
    known = {name: both[column] for name, both in NUMBERS.items() if name in theirs}
    assert known == {name: theirs[name] for name in known}
    assert len(known) > 100
    newest = max(theirs.values())
    assert {name for name, both in NUMBERS.items() if 0 <= both[column] <= newest} == set(known)
