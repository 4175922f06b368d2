# SPDX-License-Identifier: Apache-2.0
"""Calls to the kernel out of a running process, as somebody makes them who has taken it over.

    with Inside(pid) as worker:
        worker.call("openat", AT_FDCWD, b"/etc/passwd", os.O_RDONLY)    # a descriptor, or minus the error's number

and its end between two of its own: Dying.

x86-64, as root. The process stands still meanwhile, and goes on where it was.

OWNS the process while it is inside. PROCESS tests. TRUST none. SPEC ptrace(2), syscall(2).
"""
import ctypes
import os
import signal
import time

NUMBERS = {"getpid": 39, "socket": 41, "fork": 57, "execve": 59, "mkdir": 83, "ptrace": 101, "openat": 257}
AT_FDCWD = -100
_ATTACH, _DETACH, _STEP, _CALL, _GETREGS, _SETREGS = 16, 17, 9, 24, 12, 13
_ALL = 0x40000000  # __WALL
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()]


class Inside:
    def __init__(self, pid):
        self.pid = int(pid)
        self.gone = False

    def _ptrace(self, what, data=None):
        if _LIBC.ptrace(what, self.pid, None, data) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {what}")

    def _wait(self):
        _, status = os.waitpid(self.pid, _ALL)
        self.gone = os.WIFSIGNALED(status) or os.WIFEXITED(status)
        return status

    def __enter__(self):
        self._ptrace(_ATTACH)
        self._wait()
        self.before = _Registers()
        self._ptrace(_GETREGS, ctypes.byref(self.before))
        self.memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR)
        self.kernel = self._find(b"\x0f\x05")
        return self

    def __exit__(self, *what):
        os.close(self.memory)
        if not self.gone:
            self._ptrace(_SETREGS, ctypes.byref(self.before))
            self._ptrace(_DETACH)

    def _find(self, code):
        with open(f"/proc/{self.pid}/maps", encoding="ascii", errors="replace") as file:
            for words in (line.split() for line in file):
                if words[1].startswith("r-x") and words[-1].endswith(("libc.so.6", "[vdso]")):
                    begin, end = (int(part, 16) for part in words[0].split("-"))
                    at = os.pread(self.memory, end - begin, begin).find(code)
                    if at >= 0:
                        return begin + at
        raise AssertionError("no call to the kernel in its code")

    def call(self, name, *words):
        """What the kernel says; bytes are put below its stack. SIGSYS: it was killed for that."""
        now = _Registers.from_buffer_copy(self.before)
        room = (self.before.rsp - 4096) & ~15
        for register, word in zip(("rdi", "rsi", "rdx", "r10"), words):
            if isinstance(word, bytes):
                os.pwrite(self.memory, word + b"\0", room)
                word, room = room, room + len(word) + 16
            setattr(now, register, word % (1 << 64))
        now.rax, now.rip, now.orig_rax = NUMBERS[name], self.kernel, (1 << 64) - 1
        self._ptrace(_SETREGS, ctypes.byref(now))
        status = None
        while status is None or (not self.gone and os.WSTOPSIG(status) not in (signal.SIGTRAP, signal.SIGSYS)):
            self._ptrace(_STEP)  # it may stop for something else first
            status = self._wait()
        if self.gone:
            return "killed"
        if os.WSTOPSIG(status) == signal.SIGSYS:
            return "SIGSYS"
        self._ptrace(_GETREGS, ctypes.byref(now))
        return ctypes.c_longlong(now.rax).value


class Dying:
    """A process that stands still, goes on until something has come to pass, and is killed.

        with Dying(pid) as core:
            ...
            core.until(lambda: it_is_in_the_store())    # it has not called the kernel since

    It is killed in any case.
    """

    def __init__(self, pid):
        self.pid = int(pid)

    def _ptrace(self, what, data=None):
        if _LIBC.ptrace(what, self.pid, None, data) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {what}")

    def __enter__(self):
        self._ptrace(_ATTACH)
        os.waitpid(self.pid, _ALL)
        return self

    def __exit__(self, *what):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, _ALL)

    def until(self, happened, seconds=60):
        end = time.monotonic() + seconds
        number = 0
        while not happened():
            assert time.monotonic() < end, "it never came to pass"
            self._ptrace(_CALL, number)
            _, status = os.waitpid(self.pid, _ALL)
            assert os.WIFSTOPPED(status), status
            number = os.WSTOPSIG(status)
            number = 0 if number in (signal.SIGTRAP, signal.SIGSTOP) else number
