"""Machine code for other architectures, to be looked at: it is assembled, but nothing here runs it.

LLVM's code generators for all of them come with llvmlite. Its assembler does so for this machine
only: inline assembly for another one would end the process.
"""

import functools
import re
from dataclasses import dataclass

import llvmlite.binding as llvm

from vmlab.kernels import native


class Unsupported(Exception):
    """LLVM as it is installed here cannot make code for an architecture; the message says why."""


@dataclass(frozen=True)
class Architecture:
    """`cpu` and `features` are what its Linux distributions expect at least; `elf_machine` is its
    number in the header of object files."""

    name: str
    triple: str
    cpu: str
    features: str
    elf_machine: int


HOST = "host"
ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture("x86-64", "x86_64-unknown-linux-gnu", "x86-64", "", 62),
        Architecture("aarch64", "aarch64-unknown-linux-gnu", "generic", "", 183),
        Architecture("ppc64le", "powerpc64le-unknown-linux-gnu", "pwr8", "", 21),
        Architecture("riscv64", "riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d,+c", 243),
    )
}


@functools.cache
def target_machine(name: str) -> llvm.TargetMachine:
    """Of an architecture, or of `HOST` with everything it has. Raises `Unsupported`."""
    if name == HOST:
        return native.target_machine()
    architecture = ARCHITECTURES[name]
    native.initialise()  # its options are for all that this process compiles
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple(architecture.triple)
    except RuntimeError as error:
        raise Unsupported(f"this LLVM makes no code for {name}: {error}") from None
    return target.create_target_machine(
        cpu=architecture.cpu,
        features=architecture.features,
        opt=3,
        reloc="pic",
        codemodel="small",
    )


def base(name: str) -> str:
    """The architecture that `HOST` is one of, or the one that has this name. Raises
    `Unsupported`."""
    if name != HOST:
        return name
    triple = native.target_machine().triple
    for architecture in ARCHITECTURES.values():
        if "linux" in triple and triple.split("-")[0] == architecture.triple.split("-")[0]:
            return architecture.name
    raise Unsupported(f"this machine is {triple}, and none of {', '.join(ARCHITECTURES)} on Linux")


def assemble(ir_text: str, name: str) -> tuple[str, bytes]:
    """The assembly text of a module for an architecture, optimised, and its object code. Raises
    `Unsupported`."""
    machine = target_machine(name)
    if name != HOST and re.search(r'\basm (sideeffect )?"[^"]', ir_text):
        raise Unsupported(f"there is inline assembly in it, and no assembler for {name}")
    module = llvm.parse_assembly(ir_text)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    # Generating code changes a module, so each gets one of its own.
    return machine.emit_assembly(module.clone()), machine.emit_object(module.clone())
