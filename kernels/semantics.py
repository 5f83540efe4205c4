"""What each instruction computes, once, for every composed engine.

A semantics function takes an `Emitter` and the popped operands, the top last, and returns what is
pushed: nothing, a value, or a tuple with the top last. Ints and array references are i64, floats
double, and words whose type does not matter (`T`, `A`, `B`, `C` in the table) are what the engine
keeps in a slot. `call`, `ret` and `spawn` are not here: they are the engines' linkage.
"""

from llvmlite import ir

from vmlab.isa import INT_MIN, Trap
from vmlab.kernels.values import F64, I1, I64, i64

ZERO, ONE, MINUS_ONE = i64(0), i64(1), i64(-1)


def _no_zero(m, b):
    m.trap_if(m.b.icmp_signed("==", b, ZERO), Trap.DIVIDE_BY_ZERO)


def _no_overflow(m, a, b):
    extreme = m.b.icmp_signed("==", a, i64(INT_MIN))
    m.trap_if(m.b.and_(extreme, m.b.icmp_signed("==", b, MINUS_ONE)), Trap.INTEGER_OVERFLOW)


def _div(m, a, b):
    _no_zero(m, b)
    _no_overflow(m, a, b)
    return m.b.sdiv(a, b)


def _rem(m, a, b):
    _no_zero(m, b)
    # The remainder by -1 is 0, as by 1; the machine's instruction faults on INT_MIN and -1.
    return m.b.srem(a, m.b.select(m.b.icmp_signed("==", b, MINUS_ONE), ONE, b))


def _crosses_zero(m, remainder, b):
    """Whether rounding toward zero and toward minus infinity differ."""
    inexact = m.b.icmp_signed("!=", remainder, ZERO)
    return m.b.and_(inexact, m.b.icmp_signed("<", m.b.xor(remainder, b), ZERO))


def _floordiv(m, a, b):
    quotient = _div(m, a, b)
    remainder = m.b.sub(a, m.b.mul(quotient, b))
    return m.b.sub(quotient, m.b.zext(_crosses_zero(m, remainder, b), I64))


def _mod(m, a, b):
    remainder = _rem(m, a, b)
    return m.b.select(_crosses_zero(m, remainder, b), m.b.add(remainder, b), remainder)


def _count(m, b):
    return m.b.and_(b, i64(63))


def _compare(operator):
    def ints(m, a, b):
        return m.b.zext(m.b.icmp_signed(operator, a, b), I64)

    def floats(m, a, b):
        # `ne` alone holds where a side is NaN.
        compare = m.b.fcmp_unordered if operator == "!=" else m.b.fcmp_ordered
        return m.b.zext(compare(operator, a, b), I64)

    return ints, floats


def _int(m, a):
    # Both bounds are floats; a NaN fails both comparisons.
    low = m.b.fcmp_ordered(">=", a, ir.Constant(F64, -(2.0**63)))
    high = m.b.fcmp_ordered("<", a, ir.Constant(F64, 2.0**63))
    m.trap_if(m.b.not_(m.b.and_(low, high)), Trap.INTEGER_OVERFLOW)
    return m.b.fptosi(a, I64)


def _aload(type_, kind):
    return lambda m, array, index: m.load(m.array_element(array, index, type_), kind)


def _astore(type_, kind):
    def astore(m, array, index, value):
        m.store(value, m.array_element(array, index, type_), kind)

    return astore


def _jump_if(operator):
    return lambda m, a: m.jump_if(m.b.icmp_signed(operator, a, ZERO))


# fmt: off
SEMANTICS = {
    "push":      lambda m: m.literal(),
    "load":      lambda m: m.get_local(),
    "store":     lambda m, a: m.set_local(a),
    "gload":     lambda m: m.get_global(),
    "gstore":    lambda m, a: m.set_global(a),

    "add.int":   lambda m, a, b: m.b.add(a, b),
    "add.float": lambda m, a, b: m.b.fadd(a, b),
    "sub.int":   lambda m, a, b: m.b.sub(a, b),
    "sub.float": lambda m, a, b: m.b.fsub(a, b),
    "mul.int":   lambda m, a, b: m.b.mul(a, b),
    "mul.float": lambda m, a, b: m.b.fmul(a, b),
    "div.int":   _div,
    "div.float": lambda m, a, b: m.b.fdiv(a, b),
    "neg.int":   lambda m, a: m.b.sub(ZERO, a),
    "neg.float": lambda m, a: m.b.fneg(a),
    "abs.int":   lambda m, a: m.intrinsic("llvm.abs", a, ir.Constant(I1, 0)),
    "abs.float": lambda m, a: m.intrinsic("llvm.fabs", a),
    "min.int":   lambda m, a, b: m.intrinsic("llvm.smin", a, b),
    "min.float": lambda m, a, b: m.intrinsic("llvm.minimum", a, b),
    "max.int":   lambda m, a, b: m.intrinsic("llvm.smax", a, b),
    "max.float": lambda m, a, b: m.intrinsic("llvm.maximum", a, b),

    "rem":       _rem,
    "floordiv":  _floordiv,
    "mod":       _mod,
    "and":       lambda m, a, b: m.b.and_(a, b),
    "or":        lambda m, a, b: m.b.or_(a, b),
    "xor":       lambda m, a, b: m.b.xor(a, b),
    "shl":       lambda m, a, b: m.b.shl(a, _count(m, b)),
    "shr":       lambda m, a, b: m.b.ashr(a, _count(m, b)),
    "ushr":      lambda m, a, b: m.b.lshr(a, _count(m, b)),
    "not":       lambda m, a: m.b.xor(a, MINUS_ONE),

    **{
        f"{name}.{type_}": compare
        for name, operator in {
            "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="
        }.items()
        for type_, compare in zip(("int", "float"), _compare(operator), strict=True)
    },

    "float":     lambda m, a: m.b.sitofp(a, F64),
    "int":       _int,
    "sqrt":      lambda m, a: m.intrinsic("llvm.sqrt", a),
    "floor":     lambda m, a: m.intrinsic("llvm.floor", a),
    "ceil":      lambda m, a: m.intrinsic("llvm.ceil", a),

    "dup":       lambda m, a: (a, a),
    "pop":       lambda m, a: None,
    "swap":      lambda m, a, b: (b, a),
    "over":      lambda m, a, b: (a, b, a),
    "rot":       lambda m, a, b, c: (b, c, a),

    "jmp":       lambda m: m.jump(),
    "jz":        _jump_if("=="),
    "jnz":       _jump_if("!="),

    "newarr":         lambda m, a: m.array_new(a),
    "aload.int[]":    _aload(I64, "int"),
    "aload.float[]":  _aload(F64, "float"),
    "astore.int[]":   _astore(I64, "int"),
    "astore.float[]": _astore(F64, "float"),
    "len.int[]":      lambda m, a: m.array_length(a),
    "len.float[]":    lambda m, a: m.array_length(a),

    "print.int":      lambda m, a: m.put_out(a),
    "print.float":    lambda m, a: m.put_out(a),

    "join.task":         lambda m, a: m.join(a, None),
    "join.task[int]":    lambda m, a: m.join(a, "int"),
    "join.task[float]":  lambda m, a: m.join(a, "float"),
    "yield":             lambda m: m.yield_turn(),
    "chan":              lambda m, a: m.channel_new(a),
    "send.chan[int]":    lambda m, a, b: m.channel_send(a, b, "int"),
    "send.chan[float]":  lambda m, a, b: m.channel_send(a, b, "float"),
    "recv.chan[int]":    lambda m, a: m.channel_receive(a, "int"),
    "recv.chan[float]":  lambda m, a: m.channel_receive(a, "float"),
    "close.chan[int]":   lambda m, a: m.channel_close(a, "int"),
    "close.chan[float]": lambda m, a: m.channel_close(a, "float"),
}
# fmt: on
