"""The system call filter of a hook, as a classic BPF program: it closes what Landlock does not cover.

Pure: the program is data, which `confine.py` passes to the kernel. A call that is not named here is allowed, unless it is
newer than those that were examined. Linux: `seccomp(2)`, `Documentation/userspace-api/seccomp_filter.rst`.
"""

import errno
from typing import Literal

from msgspec import Struct

from deep_lock.builds.sandbox.syscall_numbers import LAST_KNOWN, NUMBERS

Architecture = Literal["x86_64", "aarch64"]
Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, value: one `struct sock_filter`."""

ARCHITECTURES: dict[Architecture, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_*: a 32-bit call on a 64-bit kernel has other numbers, so it must not pass."""

_LOAD, _AND, _EQUAL, _LATER, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000
_DENY = _ERRNO | errno.EPERM
_ABSENT = _ERRNO | errno.ENOSYS
_UNSUPPORTED = _ERRNO | errno.EOPNOTSUPP
PRETEND = _ERRNO
"""The call is not made, and reports success: backends fail when a chmod fails."""
NOTIFY = 0x7FC00000
"""The call is passed on to `seccomp_notify.py`, which makes it if the file is in a writable folder."""


class _When(Struct, frozen=True):
    """A condition on one argument: its low 32 bits, masked, equal to the value, or not."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF
    equal: bool = True


_NOTIFIED = "chmod fchmod fchmodat fchmodat2 utimensat"
_PRETENDED = (
    # Landlock covers none of these, nor those above: a hook could make ~/.ssh accessible to all users.
    "chown fchown lchown fchownat utime utimes futimesat "
    # One session and one process group for all processes of a hook: one signal ends them all.
    "setsid setpgid "
    # They write the files of all programs to the disk, and the caller waits for it.
    "sync syncfs"
)
# As on a kernel without them, for which their callers have another way. Memory of a file descriptor is in no process, so
# no limit counts it; the others list what is mounted.
_MISSING = "memfd_create memfd_secret listmount statmount"
# As on a file system without attributes. To pretend would lose modes: cp -p sets them by an attribute where it can.
_XATTRS = (
    "getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat "
    "setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat"
)
_DENIED = (
    # the network, and sockets by path, which Landlock does not cover
    "socket connect bind listen accept accept4 io_uring_setup io_uring_enter io_uring_register "
    # other processes
    "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd perf_event_open "
    "setpriority ioprio_set sched_setscheduler sched_setparam sched_setattr migrate_pages move_pages "
    # memory and queues that processes of one user share by number or name
    "shmget shmat shmctl semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink "
    # interfaces of the kernel itself
    "userfaultfd bpf keyctl add_key request_key mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig "
    "fsmount fspick mount_setattr open_tree_attr unshare setns open_by_handle_at name_to_handle_at quotactl "
    "quotactl_fd acct swapon swapoff reboot kexec_load kexec_file_load init_module finit_module delete_module iopl "
    "ioperm settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname vhangup syslog lookup_dcookie "
    # watching files that cannot be read, and truncating by path (Landlock's ABI 3; by descriptor it is allowed)
    "fanotify_init fanotify_mark inotify_add_watch truncate"
)
_DENIED_LAST = (
    # a filter of the hook's own could answer instead of these
    "seccomp "
    # an open file that is on its way to another process is in no process, so the supervisor cannot count it
    "sendmsg sendmmsg"
)
_SIGNALLERS = "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal"

_NEW_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
_FCNTLS = (
    *(8, 10, 15),  # F_SETOWN, F_SETSIG, F_SETOWN_EX: a signal to any process, by way of a descriptor
    *(1024, 1026, 1040),  # F_SETLEASE, F_NOTIFY, F_SETDELEG: delays or watches others who open a file
)
_IOCTLS = (
    *(0x5401, 0x802C542A, 0x540F, 0x5413, 0x541B),  # TCGETS, TCGETS2, TIOCGPGRP, TIOCGWINSZ, FIONREAD
    *(0x5421, 0x5450, 0x5451),  # FIONBIO, FIONCLEX, FIOCLEX
    *(0x40049409, 0x4020940D),  # FICLONE, FICLONERANGE: a copy, within the limit of a file
    *(0x80086601, 0xC020660B),  # FS_IOC_GETFLAGS, FS_IOC_FIEMAP
)
"""The only ones: among the others are typing into a terminal, attributes of files, and space past the limit of a file."""
_UNIX, _STREAM, _KIND = 1, 1, 0xF
_SET_DUMPABLE, _SET_SECCOMP = 4, 22
_NO_TERMINAL = _ERRNO | errno.ENOTTY
_TRUNCATE_ON_OPEN, _ACCESS_MODE = 0x200, 0x3


def _rules(landlock_abi: int) -> list[tuple[str, int, _When | None]]:
    rules: list[tuple[str, int, _When | None]] = []
    rules += [(name, NOTIFY, None) for name in _NOTIFIED.split()]
    rules += [(name, PRETEND, None) for name in _PRETENDED.split()]
    rules += [(name, _UNSUPPORTED, None) for name in _XATTRS.split()]
    rules += [(name, _ABSENT, None) for name in _MISSING.split()]
    rules += [(name, _DENY, None) for name in _DENIED.split()]
    # A pair of stream sockets is a pipe. A datagram socket is not: it can send to any path.
    rules += [
        ("socketpair", _DENY, _When(0, _UNIX, equal=False)),
        ("socketpair", _DENY, _When(1, _STREAM, mask=_KIND, equal=False)),
    ]
    # The flags of clone3 are in memory, which a filter cannot read; the C library then calls clone.
    rules.append(("clone3", _ABSENT, None))
    rules += [("clone", _DENY, _When(0, flag, mask=flag)) for flag in _NEW_NAMESPACES]
    rules += [("fcntl", _DENY, _When(1, command)) for command in _FCNTLS]
    rules += [("ioctl", _ALLOW, _When(1, command)) for command in _IOCTLS]
    rules.append(("ioctl", _NO_TERMINAL, None))
    # Each mode but 0 takes space that the limit of a file does not count.
    rules.append(("fallocate", _UNSUPPORTED, _When(1, 0, equal=False)))
    rules += [(name, _DENY, _When(0, 0, equal=False)) for name in ("prlimit64", "sched_setaffinity")]
    rules += [("getpriority", _DENY, _When(argument, 0, equal=False)) for argument in (0, 1)]
    # The supervisor counts the open files of a process, which it cannot read where the process is not dumpable.
    rules.append(("prctl", _DENY, _When(0, _SET_DUMPABLE)))
    if landlock_abi < 6:  # Landlock does not scope signals yet
        rules += [(name, _DENY, None) for name in _SIGNALLERS.split()]
    if landlock_abi < 3:  # opening for reading may truncate
        rules.append(("openat2", _ABSENT, None))
        for name, flags in (("open", 1), ("openat", 2)):
            for mode in (0, _ACCESS_MODE):
                when = _When(flags, _TRUNCATE_ON_OPEN | mode, mask=_TRUNCATE_ON_OPEN | _ACCESS_MODE)
                rules.append((name, _DENY, when))
    return rules


def _instructions(number: int, action: int, when: _When | None) -> list[Instruction]:
    if when is None:
        return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]
    met = (_EQUAL, 0, 1, when.value) if when.equal else (_EQUAL, 1, 0, when.value)
    return [
        (_EQUAL, 0, 5, number),
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * when.argument),  # both machines are little-endian: the low half comes first
        (_AND, 0, 0, when.mask),
        met,
        (_RETURN, 0, 0, action),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]


def make_filter(machine: Architecture, landlock_abi: int) -> list[Instruction]:
    """Return the program for a machine. The lower Landlock's ABI (0: none), the more the filter refuses."""
    return _program(machine, _rules(landlock_abi))


def make_last_filter(machine: Architecture) -> list[Instruction]:
    """Return a second program, loaded after the first: it denies the calls with which the first is set up."""
    rules: list[tuple[str, int, _When | None]] = [(name, _DENY, None) for name in _DENIED_LAST.split()]
    return _program(machine, [*rules, ("prctl", _DENY, _When(0, _SET_SECCOMP))])


def _program(machine: Architecture, rules: list[tuple[str, int, _When | None]]) -> list[Instruction]:
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_LATER, 0, 1, LAST_KNOWN),  # unsigned: this includes the numbers of x32, which have bit 30 set
        (_RETURN, 0, 0, _ABSENT),
    ]
    column = 0 if machine == "x86_64" else 1
    for name, action, when in rules:
        number = NUMBERS[name][column]
        if number >= 0:
            program += _instructions(number, action, when)
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def notified_calls(machine: Architecture) -> dict[int, str]:
    """Return the calls that are passed on to `seccomp_notify.py`, by number."""
    column = 0 if machine == "x86_64" else 1
    return {NUMBERS[name][column]: name for name in _NOTIFIED.split() if NUMBERS[name][column] >= 0}
