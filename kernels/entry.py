"""The two functions by which Python reaches native code: `enter` runs the program as often as it
is told, `run` once, the same for every engine."""

import platform

from llvmlite import ir

from vmlab.kernels.context import INDEX
from vmlab.kernels.values import I1, I64, VOID, WORDS, i64

_STACK_POINTERS = {"x86_64": "rsp", "AMD64": "rsp", "aarch64": "sp", "arm64": "sp"}


def stack_pointer(b: ir.IRBuilder) -> ir.Value:
    return b.load_reg(I64, _STACK_POINTERS[platform.machine()])


def field(b, context, name):
    return b.gep(context, [i64(INDEX[name])], inbounds=True)


def get(b, context, name):
    return b.load(field(b, context, name))


def pointer(b, context, name):
    return b.inttoptr(get(b, context, name), WORDS)


def emit_run(module: ir.Module, emit_body) -> None:
    """`i64 run(context)`: `main` once; the code of its trap, or 0. `emit_body(b, context)` emits
    it and returns the code."""
    run = ir.Function(module, ir.FunctionType(I64, [WORDS]), name="run")
    # Weak, so that LLVM draws no conclusions from the body: it must neither inline a run into the
    # loop of runs nor find out that all of them compute the same.
    run.linkage = "weak"
    b = ir.IRBuilder(run.append_basic_block())
    b.ret(emit_body(b, run.args[0]))


def emit_enter(module: ir.Module) -> None:
    """`i64 enter(context, n)`: n runs, each from a fresh state, up to the first that traps; the
    code of the trap, or 0."""
    enter = ir.Function(module, ir.FunctionType(I64, [WORDS, I64]), name="enter")
    context, runs = enter.args
    entry, again, done = (enter.append_basic_block(name) for name in ("entry", "again", "done"))
    b = ir.IRBuilder(entry)
    target, initial = pointer(b, context, "globals"), pointer(b, context, "globals_initial")
    count = get(b, context, "globals_words")
    b.branch(again)

    b.position_at_end(again)
    left = b.phi(I64)
    left.add_incoming(runs, entry)
    for name in ("heap_used", "output_used", "trace_used", "back_edges"):
        b.store(i64(0), field(b, context, name))
    b.store(get(b, context, "fuel_given"), field(b, context, "fuel"))
    copy_words(b, target, initial, count)
    code = b.call(module.get_global("run"), [context])
    rest = b.sub(left, i64(1))
    left.add_incoming(rest, b.block)
    trapped = b.icmp_signed("!=", code, i64(0))
    b.cbranch(b.or_(trapped, b.icmp_signed("<=", rest, i64(0))), done, again)

    b.position_at_end(done)
    b.ret(code)


def copy_words(b: ir.IRBuilder, target: ir.Value, source: ir.Value, count: ir.Value) -> None:
    copy_bytes(b, target, source, b.shl(count, i64(3)))


def copy_bytes(b: ir.IRBuilder, target: ir.Value, source: ir.Value, size: ir.Value) -> None:
    # A loop would be vectorised, at a tenth of what compiling a small program takes.
    copy = b.module.declare_intrinsic(
        "llvm.memcpy", [WORDS, WORDS, I64], ir.FunctionType(VOID, [WORDS, WORDS, I64, I1])
    )
    b.call(copy, [target, source, size, ir.Constant(I1, 0)])
