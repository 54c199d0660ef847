"""seccomp: which system calls a process and its children may make, for ever.

No socket, no look into other processes, no new namespaces, no keys, no io_uring. Owners are changed in pretence only,
and no file has extended attributes. The supervisor is asked (answers.py) before a mode or a time of a file is changed, which
Landlock does not cover, before a process is started, and before one is sent a signal.
"""

import ctypes
import errno
import platform
import struct

from deep_lock.build.confined import kernel

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_SECCOMP = (317, 277)
_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 8, 32
_KILL, _ERRNO, _NOTIFY, _ALLOW = 0x80000000, 0x00050000, 0x7FC00000, 0x7FFF0000
_REFUSE = _ERRNO | errno.EPERM
_NEW_NAMESPACES, _NEW_THREAD = 0x7E020000, 0x10000
_NONE = -1

# name: numbers on x86_64 and on aarch64; _NONE where there is no such call
_REFUSED = {
    "socket": (41, 198), "truncate": (76, 45), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "kcmp": (312, 272), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162),
    "init_module": (175, 105), "delete_module": (176, 106), "finit_module": (313, 273), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "acct": (163, 89), "quotactl": (179, 60), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "syslog": (103, 116),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "vhangup": (153, 58), "iopl": (172, _NONE),
    "ioperm": (173, _NONE), "fanotify_init": (300, 262),
    # what programs of one user share without any file: no Landlock holds it
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
}  # fmt: skip
_ABSENT = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),
}
"""Answered as an old kernel would: programs then take the older way, whose arguments a filter can see."""
_PRETENDED = {
    "chown": (92, _NONE), "lchown": (94, _NONE), "fchown": (93, 55), "fchownat": (260, 54), "setpriority": (141, 140),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "ioprio_set": (251, 30),
}  # fmt: skip
_UNSUPPORTED = {
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463), "removexattrat": (466, 466),
}  # fmt: skip
"""Answered as a file system without them would. To pretend would lose modes: cp -p sets them by an attribute first."""
ATTRIBUTES = {
    "chmod": (90, _NONE), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "utimensat": (280, 88),
    "utime": (132, _NONE), "utimes": (235, _NONE), "futimesat": (261, _NONE),
}  # fmt: skip
SIGNALS = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip
FORKS = {"fork": (57, _NONE), "vfork": (58, _NONE), "clone": (56, 220)}
_OWN_ONLY = {"prlimit64": (302, 261), "sched_setaffinity": (203, 122)}
"""Their first argument names a process; 0 is the caller."""
_CLONE = FORKS["clone"]
_IOCTL, _IOCTLS = (16, 29), (0x5412, 0x541C, 0x8901, 0x8902)
"""TIOCSTI and TIOCLINUX type for the user; FIOSETOWN and SIOCSPGRP have signals sent, as these of fcntl do:"""
_FCNTL, _FCNTLS = (72, 25), (8, 10, 15)


def asked_name(number: int) -> str:
    """Return the name of a call that the supervisor is asked about."""
    place = _ARCHITECTURES[platform.machine()][1]
    asked = {**ATTRIBUTES, **SIGNALS, **FORKS}
    return next(name for name, numbers in asked.items() if numbers[place] == number)


def restrict() -> int:
    """Install the filter; returns the descriptor on which the supervisor is asked. Raises OSError."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no filter is written for {machine}")
    audit, place = _ARCHITECTURES[machine]
    program = b"".join(_program(audit, place))
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    given = ctypes.create_string_buffer(head, len(head))
    try:  # Linux 5.19: no signal wakes who waits for an answer, so no call is asked for twice
        return kernel.syscall(_SECCOMP[place], _SET_MODE_FILTER, _NEW_LISTENER | _WAIT_KILLABLE, given)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return kernel.syscall(_SECCOMP[place], _SET_MODE_FILTER, _NEW_LISTENER, given)


def _program(audit: int, place: int) -> "list[bytes]":
    """Return the classic BPF program, an instruction an item."""
    made = [_load(4), _jump_if_equal(audit, 1, 0), _return(_KILL), _load(0)]
    if place == 0:  # calls of the x32 kind have other numbers
        made += [_step(0x35, 0, 1, 0x40000000), _return(_ERRNO | errno.ENOSYS)]
    made += _of(_CLONE[place], _new_process())
    for group, answer in (
        (_REFUSED, _REFUSE),
        (_ABSENT, _ERRNO | errno.ENOSYS),
        (_PRETENDED, _ERRNO),
        (_UNSUPPORTED, _ERRNO | errno.EOPNOTSUPP),
        (ATTRIBUTES, _NOTIFY),
        (SIGNALS, _NOTIFY),
        (FORKS, _NOTIFY),
    ):
        for numbers in group.values():
            if numbers[place] != _NONE:
                made += _of(numbers[place], [_return(answer)])
    for numbers in _OWN_ONLY.values():
        made += _of(numbers[place], [_load(16), _jump_if_equal(0, 0, 1), _return(_ALLOW), _return(_REFUSE)])
    made += _of(_IOCTL[place], _unless(_IOCTLS))
    made += _of(_FCNTL[place], _unless(_FCNTLS))
    return [*made, _return(_ALLOW)]


def _of(number: int, steps: "list[bytes]") -> "list[bytes]":
    """Return the steps behind the question whether it is this call. They must end in an answer."""
    return [_jump_if_equal(number, 0, len(steps)), *steps]


def _new_process() -> "list[bytes]":
    """Refuse new namespaces, allow threads, ask for the rest."""
    return [
        _load(16),
        *(_step(0x45, 0, 1, _NEW_NAMESPACES), _return(_REFUSE)),
        *(_step(0x45, 0, 1, _NEW_THREAD), _return(_ALLOW)),
        _return(_NOTIFY),
    ]


def _unless(commands: "tuple[int, ...]") -> "list[bytes]":
    """Refuse where the second argument is one of these commands."""
    asked = [step for command in commands for step in (_jump_if_equal(command, 0, 1), _return(_REFUSE))]
    return [_load(24), *asked, _return(_ALLOW)]


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _load(offset: int) -> bytes:
    return _step(0x20, 0, 0, offset)


def _jump_if_equal(value: int, if_true: int, if_false: int) -> bytes:
    return _step(0x15, if_true, if_false, value)


def _return(value: int) -> bytes:
    return _step(0x06, 0, 0, value)
