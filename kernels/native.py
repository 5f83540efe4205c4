"""From LLVM IR to machine code that can be called, with a disk cache.

Numba's LLVM is used directly: through Numba's own pipeline a module of this kind takes several
times as long, and its cache watches only the file of the jitted function.
"""

import ctypes
import enum
import functools
import hashlib
import itertools
import os
import platform
import struct
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

import vmlab.isa
from vmlab.kernels.order import CAN_REORDER, reordered
from vmlab.kernels.placement import apart
from vmlab.stack import call_deep

ENTER = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)

_numbers = itertools.count()


# How code refers to other code. Near: calls go straight to their target. Far: a jump table holds
# addresses, so that a `switch` is one instruction, but every call goes through a register.
NEAR = ("pic", "small")
FAR = ("static", "large")


@functools.cache
def initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()  # for inline assembly
    if platform.machine() in ("x86_64", "AMD64"):
        # A loop of a few instructions takes up to half as long again where it lies across two of
        # the 64-byte lines that the CPU fetches. LLVM would align to 16 bytes and leave it to luck.
        llvm.set_option("vmlab", "--x86-experimental-pref-innermost-loop-alignment=6")


@functools.cache
def target_machine(model=NEAR, level: int = 3) -> llvm.TargetMachine:
    """This CPU, and everything it has; `level` is the effort at generating code, 0 to 3."""
    reloc, codemodel = model
    initialise()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=level,
        reloc=reloc,
        codemodel=codemodel,
    )


@functools.cache
def _jit() -> llvm.LLJIT:
    # LLJIT takes possession of its target machine, so it gets one of its own.
    return llvm.create_lljit_compiler(target_machine.__wrapped__(), use_jit_link=True)


@dataclass
class Unit:
    """Machine code, loaded. It stays valid as long as this object lives."""

    library: llvm.ResourceTracker
    address: int
    object_code: bytes
    symbol: str
    seconds: float
    from_cache: bool
    assembly: str | None  # of code that is kept in the cache; None for others
    further: tuple[str, ...] = ()  # other symbols that the library has the addresses of

    def relocated(self) -> "Unit":
        """The same code, loaded at another place."""
        library, address = load(self.object_code, self.symbol, *self.further)
        return replace(self, library=library, address=address)

    def reordered(self) -> "Unit":
        """As `relocated`, with an interpreter's handlers in another order where that can be done.
        Only for code that is kept as text."""
        if not CAN_REORDER:
            return self.relocated()
        return replace(self, object_code=assemble(reordered(self.assembly))).relocated()


class Effort(enum.Enum):
    """How long to optimise."""

    FULL = enum.auto()
    LARGE = enum.auto()  # without unrolling and vectorising: for programs where that takes seconds
    QUICK = enum.auto()  # no more than putting values into registers: for builds that count


def _level(effort: Effort) -> int:
    return 0 if effort is Effort.QUICK else 3


def _machine(effort: Effort) -> llvm.TargetMachine:
    return target_machine(level=_level(effort))


def optimise(ir_text: str, effort: Effort = Effort.FULL) -> llvm.ModuleRef:
    module = llvm.parse_assembly(ir_text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = effort is Effort.FULL
    options.loop_unrolling = effort is Effort.FULL
    builder = llvm.create_pass_builder(target_machine(), options)
    if effort is Effort.QUICK:
        manager = llvm.create_new_module_pass_manager()
        manager.add_sroa_pass()
        manager.add_simplify_cfg_pass()
    else:
        manager = builder.getModulePassManager()
    call_deep(lambda: manager.run(module, builder))
    return module


def load(object_code: bytes, symbol: str, *further: str) -> tuple[llvm.ResourceTracker, int]:
    """Make the code executable, at a page drawn at random. The address is that of `symbol`."""
    builder = llvm.JITLibraryBuilder().add_object_img(object_code).add_current_process()
    for name in (symbol, *further):
        builder.export_symbol(name)
    with apart():
        library = builder.link(_jit(), f"vmlab.{next(_numbers)}")
    return library, library[symbol]


def assembly(ir_text: str, effort: Effort = Effort.FULL) -> str:
    module = optimise(ir_text, effort)
    return call_deep(lambda: _machine(effort).emit_assembly(module))


def assemble(text: str) -> bytes:
    """Object code of assembler text, compiled far."""
    escaped = text.replace("\\", r"\5C").replace('"', r"\22").replace("\n", r"\0A")
    module = llvm.parse_assembly(f'module asm "{escaped}"')
    return target_machine(FAR).emit_object(module)


def compile_ir(make_ir, symbol: str, effort: Effort = Effort.FULL) -> Unit:
    """Compile and load the module that `make_ir()` gives as text; `symbol` is its entry."""
    start = time.perf_counter()
    module = optimise(make_ir(), effort)
    object_code = call_deep(lambda: _machine(effort).emit_object(module))
    library, address = load(object_code, symbol)
    return Unit(library, address, object_code, symbol, time.perf_counter() - start, False, None)


def compile_cached(
    name: str, make_ir, symbol: str, effort: Effort = Effort.FULL, further: tuple[str, ...] = ()
) -> Unit:
    """Like `compile_ir` for a module that depends on nothing but vmlab's sources, the versions
    and the CPU: object code and assembly are kept on disk."""

    def make_text():
        return target_machine(FAR, _level(effort)).emit_assembly(optimise(make_ir(), effort))

    return kept_or_made(name, make_text, symbol, further)


def kept_or_made(name: str, make_text, symbol: str, further: tuple[str, ...] = ()) -> Unit:
    """Load what is kept under this name, or what `make_text()` gives as assembler text. The object
    code is made of the text: to generate code from a module once more gives other code."""
    start = time.perf_counter()
    kept = kept_code(name)
    from_cache = kept is not None
    if kept is None:
        text = make_text()
        kept = assemble(text), text
        keep_code(name, *kept)
    library, address = load(kept[0], symbol, *further)
    seconds = time.perf_counter() - start
    return Unit(library, address, kept[0], symbol, seconds, from_cache, kept[1], further)


@functools.cache
def fingerprint() -> str:
    """A digest of everything that shapes the fixed engines: their sources, the instruction table,
    the versions of what compiles them, and the CPU."""
    kernels = Path(__file__).parent
    digest = hashlib.sha256()
    sources = sorted([*kernels.rglob("*.py"), *kernels.glob("*.json")])
    for file in [Path(vmlab.isa.__file__), *sources]:
        digest.update(file.name.encode() + file.read_bytes())
    compilers = (
        llvmlite.__version__,
        version("numba"),
        llvm.llvm_version_info,
        llvm.get_default_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )
    digest.update(repr(compilers).encode())
    return digest.hexdigest()[:16]


def cache_directory() -> Path:
    """$VMLAB_CACHE_DIR, or the user's cache directory; in it a folder a fingerprint. Absolute: Go's
    compiler, which has its cache there, too, takes no other."""
    root = os.environ.get("VMLAB_CACHE_DIR")
    if not root:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmlab"
    return Path(root).absolute() / fingerprint()


def _path(name: str) -> Path:
    return cache_directory() / f"{name}.unit"


def kept_code(name: str) -> tuple[bytes, str] | None:
    """The object code and assembly that `keep_code` put away, or None if they are not whole."""
    try:
        data = _path(name).read_bytes()
    except OSError:
        return None
    seal, body = data[:32], data[32:]
    if hashlib.sha256(body).digest() != seal:
        return None
    (size,) = struct.unpack_from("<Q", body)
    return body[8 : 8 + size], body[8 + size :].decode()


def keep_code(name: str, object_code: bytes, assembly: str) -> None:
    """Put code into the cache, whole or not at all. A cache that cannot be written is no error:
    the code is compiled again next time, and `vmlab doctor` tells."""
    body = struct.pack("<Q", len(object_code)) + object_code + assembly.encode()
    path = _path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            file = Path(folder, path.name)
            file.write_bytes(hashlib.sha256(body).digest() + body)
            file.replace(path)
    except OSError:
        return
