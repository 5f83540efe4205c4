"""The composed engines as aarch64 code, run by an emulator.

The code is made and linked as on an aarch64 machine: by the same functions, for another target
machine. The memory of this process is the emulator's, at the same addresses, but only what a
program may reach: all else ends the run with an error. So nothing is copied, and whoever looks at
memory after a run finds there what the code has left.

Three things differ. LLVM as it comes with llvmlite has no assembler for another machine, so the
object code of interpreters is made without the detour through text; and what is a line of comment
in inline assembly is an empty line with an operand that stands for the comment, which keeps the
same blocks apart. The machine's stack is one of the emulator's own. Functions of the C library are
those of this machine.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import re
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import llvmlite.binding as llvm
import unicorn
from unicorn import arm64_const as arm64

from vmlab.kernels import cross, entry, executable, interpreter, native
from vmlab.kernels.context import Context, Region
from vmlab.stack import MachineStack

AARCH64 = cross.ARCHITECTURES["aarch64"]

# Functions that compiled code may call, and what they take.
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t
CALLED = {
    "memcpy": (_POINTER, _POINTER, _SIZE),
    "memmove": (_POINTER, _POINTER, _SIZE),
    "memset": (_POINTER, ctypes.c_int, _SIZE),
}

STACK_BYTES = 4 << 20

_PAGE = mmap.PAGESIZE
_ALL = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
_CODE = unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC

# What a function leaves as it was (AAPCS64).
_PRESERVED = [
    getattr(arm64, f"UC_ARM64_REG_{name}")
    for name in (*(f"X{n}" for n in range(19, 30)), "SP", *(f"D{n}" for n in range(8, 16)))
]

_COMMENT = re.compile(r'asm sideeffect "# ([^"]*)", ""\(\)')


class Emulator:
    """A CPU, and what it sees of this process's memory."""

    def __init__(self) -> None:
        self._cpu = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self._stack = Region(STACK_BYTES // 8, "the emulator's stack")
        self._show(self._stack.address, self._stack.size, _ALL)
        for number, register in enumerate(_PRESERVED):
            self._cpu.reg_write(register, number)
        # A return to here ends a call.
        self._end = Region(1, "the end of a call")
        self._show(self._end.address, _PAGE, _CODE)
        libc = ctypes.CDLL(None)
        self._called: dict[int, tuple[Callable[..., int], int]] = {}
        for name, parameters in CALLED.items():
            function = libc[name]
            function.restype, function.argtypes = ctypes.c_void_p, parameters
            address = ctypes.cast(function, ctypes.c_void_p).value
            assert address
            self._called[address] = function, len(parameters)

    @property
    def stack(self) -> MachineStack:
        return MachineStack(self._stack.address, self._stack.size)

    def _show(self, address: int, size: int, how: int) -> None:
        self._cpu.mem_map_ptr(address, size, how, address)

    def load(
        self, object_code: bytes, symbol: str, *further: str
    ) -> tuple[llvm.ResourceTracker, int]:
        """As `native.load`."""
        library, address = _link(object_code, symbol, *further)
        segments = list(_segments(address))
        for place, how in segments:
            self._show(place.start, len(place), how)
        weakref.finalize(library, self._forget, segments)
        return library, address

    def _forget(self, segments: list[tuple[range, int]]) -> None:
        for place, _ in segments:
            self._cpu.mem_unmap(place.start, len(place))
            self._cpu.ctl_remove_cache(place.start, place.stop)

    def enter(self, built: executable.CompiledExecutable, runs: int) -> int:
        """As its own method."""
        context = ctypes.addressof(built.state.context)
        shown = [(m.region.address, m.region.size) for m in built.memory().values()]
        shown.append((context, ctypes.sizeof(Context)))
        with ExitStack() as stack:
            for address, size in shown:
                first = address & -_PAGE
                size = (address + size - first + _PAGE - 1) & -_PAGE
                self._show(first, size, _ALL)
                stack.callback(self._cpu.mem_unmap, first, size)
            return self._call(built.address, context, runs)

    def _call(self, address: int, *arguments: int) -> int:
        cpu = self._cpu
        for number, argument in enumerate(arguments):
            cpu.reg_write(arm64.UC_ARM64_REG_X0 + number, argument)
        cpu.reg_write(arm64.UC_ARM64_REG_SP, self._stack.address + self._stack.size)
        cpu.reg_write(arm64.UC_ARM64_REG_LR, self._end.address)
        before = list(map(cpu.reg_read, _PRESERVED))
        while address != self._end.address:
            try:
                cpu.emu_start(address, self._end.address)
            except unicorn.UcError as error:
                called = cpu.reg_read(arm64.UC_ARM64_REG_PC)
                if error.errno != unicorn.UC_ERR_FETCH_UNMAPPED or called not in self._called:
                    raise AssertionError(f"{error} at {called:#x}") from None
                self._call_here(*self._called[called])
                address = cpu.reg_read(arm64.UC_ARM64_REG_LR)
            else:
                break
        assert list(map(cpu.reg_read, _PRESERVED)) == before, "a register has changed"
        code: int = cpu.reg_read(arm64.UC_ARM64_REG_X0)
        return code

    def _call_here(self, function: Callable[..., int], parameters: int) -> None:
        registers = range(arm64.UC_ARM64_REG_X0, arm64.UC_ARM64_REG_X0 + parameters)
        result = function(*map(self._cpu.reg_read, registers))
        self._cpu.reg_write(arm64.UC_ARM64_REG_X0, result)


def _segments(address: int) -> Iterator[tuple[range, int]]:
    """Of the library whose code has this address: the code, which comes last, what is written to,
    and what is only read."""
    start = None
    for line in reversed(Path("/proc/self/maps").read_text().splitlines()):
        addresses, rights = line.split()[:2]
        place = range(*(int(address, 16) for address in addresses.split("-")))
        if address in place or place.stop == start:
            start = place.start
            yield place, _ALL if rights[1] == "w" else _CODE
            if rights.startswith("r--"):
                return


_link = native.load
_optimise = native.optimise


@functools.cache
def _target_machine(model: tuple[str, str] = native.NEAR, level: int = 3) -> llvm.TargetMachine:
    reloc, codemodel = model
    native.initialise()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(AARCH64.triple).create_target_machine(
        cpu=AARCH64.cpu, features=AARCH64.features, opt=level, reloc=reloc, codemodel=codemodel
    )


@functools.cache
def _jit() -> llvm.LLJIT:
    return llvm.create_lljit_compiler(_target_machine.__wrapped__(), use_jit_link=True)


def _optimised(ir_text: str, effort: native.Effort = native.Effort.FULL) -> llvm.ModuleRef:
    def empty(line: re.Match[str]) -> str:
        return f'asm sideeffect "", "i"(i64 {zlib.crc32(line[1].encode())})'

    return _optimise(_COMMENT.sub(empty, ir_text), effort)


_interpreters: dict[str, native.Unit] = {}


def _compile_cached(
    name: str,
    make_ir: Callable[[], str],
    symbol: str,
    effort: native.Effort = native.Effort.FULL,
    further: tuple[str, ...] = (),
) -> native.Unit:
    """Kept for this process only."""
    if name not in _interpreters:
        module = native.optimise(make_ir(), effort)
        machine = native.target_machine(native.FAR, native._level(effort))
        text, code = machine.emit_assembly(module.clone()), machine.emit_object(module)
        library, address = native.load(code, symbol, *further)
        _interpreters[name] = native.Unit(library, address, code, symbol, 0.0, False, text, further)
    return _interpreters[name]


@functools.cache
def _emulator() -> Emulator:
    return Emulator()


@contextmanager
def on_aarch64() -> Iterator[None]:
    """Engines are built for the emulator, and run on it."""
    emulator = _emulator()
    replaced: list[tuple[Any, str, Any]] = [
        (native, "target_machine", _target_machine),
        (native, "_jit", _jit),
        (native, "optimise", _optimised),
        (native, "load", emulator.load),
        (interpreter, "compile_cached", _compile_cached),
        (executable, "machine_stack", lambda: emulator.stack),
        (executable.CompiledExecutable, "enter", lambda built, runs: emulator.enter(built, runs)),
    ]
    with ExitStack() as stack:
        for where, name, what in replaced:
            stack.enter_context(patch.object(where, name, what))
        pointer = {platform.machine(): entry._STACK_POINTERS["aarch64"]}
        stack.enter_context(patch.dict(entry._STACK_POINTERS, pointer))
        yield
