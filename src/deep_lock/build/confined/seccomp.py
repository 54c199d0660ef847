"""seccomp: which system calls a process and its children may make, for ever.

No socket, no look into other processes, no new namespaces, no keys, no io_uring. Owners and extended attributes are
changed in pretence only. Modes and times are asked of the supervisor (attributes.py), which changes them below the
writable folders and nowhere else: Landlock covers neither, and linkers must make programs executable.
"""

import ctypes
import errno
import platform
import struct

from deep_lock.build.confined import kernel

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_SECCOMP = (317, 277)
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_KILL, _ERRNO, _NOTIFY, _ALLOW = 0x80000000, 0x00050000, 0x7FC00000, 0x7FFF0000
_CLONE, _IOCTL = (56, 220), (16, 29)
_NEW_NAMESPACES = 0x7E020000
_TIOCSTI = 0x5412
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
    "ioperm": (173, _NONE),
}  # fmt: skip
_ABSENT = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),
}
"""Answered as an old kernel would: programs then take the older way, whose arguments a filter can see."""
_PRETENDED = {
    "chown": (92, _NONE), "lchown": (94, _NONE), "fchown": (93, 55), "fchownat": (260, 54), "utime": (132, _NONE),
    "utimes": (235, _NONE), "futimesat": (261, _NONE), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463),
    "removexattrat": (466, 466),
}  # fmt: skip
ASKED = {
    "chmod": (90, _NONE), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "utimensat": (280, 88),
}  # fmt: skip


def asked_name(number: int) -> str:
    """Return the name of a call that the supervisor is asked about."""
    place = _ARCHITECTURES[platform.machine()][1]
    return next(name for name, numbers in ASKED.items() if numbers[place] == number)


def restrict() -> int:
    """Install the filter; returns the descriptor on which the supervisor is asked. Raises OSError."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no filter is written for {machine}")
    audit, place = _ARCHITECTURES[machine]
    program = b"".join(_program(audit, place))
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    return kernel.syscall(
        _SECCOMP[place], _SET_MODE_FILTER, _NEW_LISTENER, ctypes.create_string_buffer(head, len(head))
    )


def _program(audit: int, place: int) -> "list[bytes]":
    """Return the classic BPF program, an instruction an item."""
    made = [_load(4), _jump_if_equal(audit, 1, 0), _return(_KILL), _load(0)]
    if place == 0:  # calls of the x32 kind have other numbers
        made += [_step(0x35, 0, 1, 0x40000000), _return(_ERRNO | errno.ENOSYS)]
    for group, answer in (
        (_REFUSED, _ERRNO | errno.EPERM),
        (_ABSENT, _ERRNO | errno.ENOSYS),
        (_PRETENDED, _ERRNO),
        (ASKED, _NOTIFY),
    ):
        for numbers in group.values():
            if numbers[place] != _NONE:
                made += [_jump_if_equal(numbers[place], 0, 1), _return(answer)]
    made += [_jump_if_equal(_CLONE[place], 0, 4), _load(16), _step(0x45, 0, 1, _NEW_NAMESPACES)]
    made += [_return(_ERRNO | errno.EPERM), _return(_ALLOW)]
    made += [_jump_if_equal(_IOCTL[place], 0, 3), _load(24), _jump_if_equal(_TIOCSTI, 0, 1)]
    return [*made, _return(_ERRNO | errno.EPERM), _return(_ALLOW)]


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _load(offset: int) -> bytes:
    return _step(0x20, 0, 0, offset)


def _jump_if_equal(value: int, if_true: int, if_false: int) -> bytes:
    return _step(0x15, if_true, if_false, value)


def _return(value: int) -> bytes:
    return _step(0x06, 0, 0, value)
