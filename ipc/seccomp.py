"""Seccomp: a filter that refuses system calls to all threads of this process for ever.

The program is classic BPF over `struct seccomp_data` (<linux/seccomp.h>, <linux/filter.h>); the
numbers of the calls are those of x86-64. See seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

SECCOMP = 317
SET_MODE_FILTER = 1
TSYNC = 1  # also the threads that run already
AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000  # numbers from here on are those of another interface
CLONE_THREAD = 0x10000

# Opcodes, and the results of a filter.
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_IF_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
# Offsets in struct seccomp_data.
NUMBER, ARCH, FIRST_ARGUMENT = 0, 4, 16

# Names are for the reader; a decoder needs none of these.
NETWORK = {"socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53}
NETWORK |= {"accept4": 288}
PROCESSES = {"fork": 57, "vfork": 58, "execve": 59, "execveat": 322}
OTHERS = {"ptrace": 101, "tkill": 200, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297}
OTHERS |= {"process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_open": 434}
OTHERS |= {"pidfd_send_signal": 424, "pidfd_getfd": 438, "process_madvise": 440}
SHARED = {"shmget": 29, "shmat": 30, "semget": 64, "msgget": 68, "mq_open": 240}
FILES = {"chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "chown": 92, "fchown": 93}
FILES |= {"lchown": 94, "fchownat": 260, "utime": 132, "utimes": 235, "utimensat": 280}
FILES |= {"futimesat": 261, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190}
FILES |= {"removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "setxattrat": 463}
FILES |= {"removexattrat": 466, "file_setattr": 469, "open_by_handle_at": 304}
MOUNTS = {"pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166, "unshare": 272}
MOUNTS |= {"setns": 308, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431}
MOUNTS |= {"fsmount": 432, "fspick": 433, "mount_setattr": 442}
KERNEL = {"modify_ldt": 154, "acct": 163, "swapon": 167, "swapoff": 168, "reboot": 169}
KERNEL |= {"iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176, "syslog": 103}
KERNEL |= {"kexec_load": 246, "kexec_file_load": 320, "finit_module": 313, "bpf": 321}
KERNEL |= {"perf_event_open": 298, "userfaultfd": 323, "add_key": 248, "request_key": 249}
KERNEL |= {"keyctl": 250, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
DENIED = {**NETWORK, **PROCESSES, **OTHERS, **SHARED, **FILES, **MOUNTS, **KERNEL}

KILL, TGKILL, CLONE, CLONE3 = 62, 234, 56, 435


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict() -> None:
    """Install the filter; raises OSError. Call after PR_SET_NO_NEW_PRIVS."""
    if platform.machine() != "x86_64":
        raise OSError(errno.ENOSYS, f"the filter is not written for {platform.machine()}")
    program = filter_program(os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    pointer = ctypes.byref(_Program(len(program) // 8, program))
    number, mode, flags = (
        ctypes.c_long(SECCOMP),
        ctypes.c_uint(SET_MODE_FILTER),
        ctypes.c_uint(TSYNC),
    )
    if libc.syscall(number, mode, flags, pointer):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def filter_program(pid: int) -> bytes:
    """The filter of the process `pid`: it may start threads, and send signals to itself only."""
    refuse = _step(RETURN, ERRNO | errno.EPERM)
    unknown = _step(RETURN, ERRNO | errno.ENOSYS)
    allow = _step(RETURN, ALLOW)
    to_itself = _step(LOAD, FIRST_ARGUMENT) + _step(JUMP_EQUAL, pid, 0, 1) + allow + refuse
    thread = _step(LOAD, FIRST_ARGUMENT) + _step(JUMP_IF_SET, CLONE_THREAD, 0, 1) + allow + refuse
    program = _step(LOAD, ARCH) + _step(JUMP_EQUAL, AUDIT_ARCH_X86_64, 1, 0)
    program += _step(RETURN, KILL_PROCESS)
    program += _step(LOAD, NUMBER) + _step(JUMP_AT_LEAST, X32_BIT, 0, 1) + unknown
    for number in DENIED.values():
        program += _on(number, refuse)
    program += _on(KILL, to_itself) + _on(TGKILL, to_itself)
    # The flags of clone3 are in memory, which a filter cannot read; glibc then calls clone.
    program += _on(CLONE, thread) + _on(CLONE3, unknown)
    return program + allow


def _on(number: int, steps: bytes) -> bytes:
    """The steps, which end the filter, if the call has this number."""
    return _step(JUMP_EQUAL, number, 0, len(steps) // 8) + steps


def _step(opcode: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One struct sock_filter."""
    return struct.pack("HBBI", opcode, if_true, if_false, operand)
