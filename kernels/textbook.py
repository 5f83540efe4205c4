"""The control: the interpreter that anyone would write by hand in plain Numba.

It shares the encoding with the composed interpreters and nothing else. If the composed `switch`
were slower than this, the laboratory's own engine would be a straw man. It is written by hand on
purpose: an instruction that joins the table later is missing here, and a program that uses it is
refused by name.
"""

import ctypes
import functools
import math
from enum import IntEnum
from functools import partial

import numpy as np

from vmlab.engines import EngineUnavailable
from vmlab.isa import FRAME_RECORD_WORDS, WORD_BYTES, Trap
from vmlab.kernels import native
from vmlab.kernels.callgraph import CallGraph
from vmlab.kernels.context import FIELDS, INDEX
from vmlab.kernels.encoding import PLAIN, encode, interpreter_needs
from vmlab.kernels.executable import CompiledExecutable

_IDENTIFIER = str.maketrans({".": "_", "[": "", "]": "s"})


def _enum(numbers):
    return IntEnum("_", {name.translate(_IDENTIFIER): number for name, number in numbers.items()})


OP = _enum(PLAIN.codes)
TRAP = _enum({trap.name: trap.code for trap in Trap})
FIELD = _enum(INDEX)

INT_MIN = np.int64(-(2**63))
U1, U2, U3, U4 = (np.uint64(n) for n in range(1, 5))


def make_interpreter(counting):
    """`enter(fields, runs, args, initial, code, stack, float_stack, frames, heap, float_heap,
    variables, output)` runs main so many times, each from a fresh state, up to the first that
    traps; it returns the code of the trap, or 0. `fields` are the context's words. Memory that
    holds values of both types is passed as two views of the same words. Indices are unsigned,
    since Numba tests a signed one for being negative at every access.

    It is called as machine code, so Numba makes no functions that Python could call, nor counts
    references to the arrays."""
    from numba import njit  # here, since it is only needed where nothing is in the cache

    @njit(
        boundscheck=False, error_model="numpy",
        no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False,
    )  # fmt: skip
    def enter(
        fields, runs, args, initial,
        code, stack, float_stack, frames, heap, float_heap, variables, output,
    ):  # fmt: skip
        trap = np.int64(0)
        for _ in range(runs):
            fields[FIELD.heap_used] = 0
            fields[FIELD.output_used] = 0
            fields[FIELD.back_edges] = 0
            fields[FIELD.fuel] = fields[FIELD.fuel_given]
            for i in range(len(initial)):
                variables[i] = initial[i]
            for i in range(len(args)):
                stack[i] = args[i]
            pc = np.uint64(fields[FIELD.entry])
            sp = np.uint64(len(args))
            fp = np.uint64(0)
            rp = U2
            frames[0] = 0
            frames[1] = 0
            while True:
                op = code[pc]
                if counting and op != OP.halt:
                    if fields[FIELD.fuel] == 0:
                        trap = np.int64(TRAP.OUT_OF_FUEL)
                        break
                    fields[FIELD.fuel] -= 1

                if op == OP.halt:
                    fields[FIELD.result] = stack[0]
                    break

                # Constants, locals, globals

                elif op == OP.push:
                    stack[sp] = code[pc + U1]
                    sp += U1
                    pc += U2
                elif op == OP.load:
                    stack[sp] = stack[fp + np.uint64(code[pc + U1])]
                    sp += U1
                    pc += U2
                elif op == OP.store:
                    sp -= U1
                    stack[fp + np.uint64(code[pc + U1])] = stack[sp]
                    pc += U2
                elif op == OP.gload:
                    stack[sp] = variables[np.uint64(code[pc + U1])]
                    sp += U1
                    pc += U2
                elif op == OP.gstore:
                    sp -= U1
                    variables[np.uint64(code[pc + U1])] = stack[sp]
                    pc += U2

                # Arithmetic

                elif op == OP.add_int:
                    sp -= U1
                    stack[sp - U1] += stack[sp]
                    pc += U1
                elif op == OP.add_float:
                    sp -= U1
                    float_stack[sp - U1] += float_stack[sp]
                    pc += U1
                elif op == OP.sub_int:
                    sp -= U1
                    stack[sp - U1] -= stack[sp]
                    pc += U1
                elif op == OP.sub_float:
                    sp -= U1
                    float_stack[sp - U1] -= float_stack[sp]
                    pc += U1
                elif op == OP.mul_int:
                    sp -= U1
                    stack[sp - U1] *= stack[sp]
                    pc += U1
                elif op == OP.mul_float:
                    sp -= U1
                    float_stack[sp - U1] *= float_stack[sp]
                    pc += U1
                elif op == OP.div_int:
                    a, b = stack[sp - U2], stack[sp - U1]
                    if b == 0:
                        trap = np.int64(TRAP.DIVIDE_BY_ZERO)
                        break
                    if a == INT_MIN and b == -1:
                        trap = np.int64(TRAP.INTEGER_OVERFLOW)
                        break
                    quotient = a // b
                    if quotient < 0 and quotient * b != a:
                        quotient += 1
                    sp -= U1
                    stack[sp - U1] = quotient
                    pc += U1
                elif op == OP.div_float:
                    sp -= U1
                    float_stack[sp - U1] /= float_stack[sp]
                    pc += U1
                elif op == OP.neg_int:
                    stack[sp - U1] = -stack[sp - U1]
                    pc += U1
                elif op == OP.neg_float:
                    float_stack[sp - U1] = -float_stack[sp - U1]
                    pc += U1
                elif op == OP.abs_int:
                    if stack[sp - U1] < 0:
                        stack[sp - U1] = -stack[sp - U1]
                    pc += U1
                elif op == OP.abs_float:
                    float_stack[sp - U1] = math.fabs(float_stack[sp - U1])
                    pc += U1
                elif op == OP.min_int:
                    sp -= U1
                    if stack[sp] < stack[sp - U1]:
                        stack[sp - U1] = stack[sp]
                    pc += U1
                elif op == OP.min_float:
                    sp -= U1
                    x, y = float_stack[sp - U1], float_stack[sp]
                    below = y < x or y != y or (x == y and math.copysign(1.0, y) < 0)
                    if x == x and below:
                        float_stack[sp - U1] = y
                    pc += U1
                elif op == OP.max_int:
                    sp -= U1
                    if stack[sp] > stack[sp - U1]:
                        stack[sp - U1] = stack[sp]
                    pc += U1
                elif op == OP.max_float:
                    sp -= U1
                    x, y = float_stack[sp - U1], float_stack[sp]
                    above = y > x or y != y or (x == y and math.copysign(1.0, x) < 0)
                    if x == x and above:
                        float_stack[sp - U1] = y
                    pc += U1

                # Integers

                elif op == OP.rem:
                    a, b = stack[sp - U2], stack[sp - U1]
                    if b == 0:
                        trap = np.int64(TRAP.DIVIDE_BY_ZERO)
                        break
                    remainder = np.int64(0)
                    if b != -1:
                        remainder = a % b
                        if remainder != 0 and (a ^ b) < 0:
                            remainder -= b
                    sp -= U1
                    stack[sp - U1] = remainder
                    pc += U1
                elif op == OP.floordiv:
                    a, b = stack[sp - U2], stack[sp - U1]
                    if b == 0:
                        trap = np.int64(TRAP.DIVIDE_BY_ZERO)
                        break
                    if a == INT_MIN and b == -1:
                        trap = np.int64(TRAP.INTEGER_OVERFLOW)
                        break
                    sp -= U1
                    stack[sp - U1] = a // b
                    pc += U1
                elif op == OP.mod:
                    a, b = stack[sp - U2], stack[sp - U1]
                    if b == 0:
                        trap = np.int64(TRAP.DIVIDE_BY_ZERO)
                        break
                    remainder = np.int64(0)
                    if b != -1:
                        remainder = a % b
                    sp -= U1
                    stack[sp - U1] = remainder
                    pc += U1
                elif op == OP["and"]:
                    sp -= U1
                    stack[sp - U1] &= stack[sp]
                    pc += U1
                elif op == OP["or"]:
                    sp -= U1
                    stack[sp - U1] |= stack[sp]
                    pc += U1
                elif op == OP.xor:
                    sp -= U1
                    stack[sp - U1] ^= stack[sp]
                    pc += U1
                elif op == OP.shl:
                    sp -= U1
                    stack[sp - U1] <<= stack[sp] & 63
                    pc += U1
                elif op == OP.shr:
                    sp -= U1
                    stack[sp - U1] >>= stack[sp] & 63
                    pc += U1
                elif op == OP.ushr:
                    sp -= U1
                    shifted = np.uint64(stack[sp - U1]) >> np.uint64(stack[sp] & 63)
                    stack[sp - U1] = np.int64(shifted)
                    pc += U1
                elif op == OP["not"]:
                    stack[sp - U1] = ~stack[sp - U1]
                    pc += U1

                # Comparison

                elif op == OP.eq_int:
                    sp -= U1
                    stack[sp - U1] = 1 if stack[sp - U1] == stack[sp] else 0
                    pc += U1
                elif op == OP.eq_float:
                    sp -= U1
                    stack[sp - U1] = 1 if float_stack[sp - U1] == float_stack[sp] else 0
                    pc += U1
                elif op == OP.ne_int:
                    sp -= U1
                    stack[sp - U1] = 1 if stack[sp - U1] != stack[sp] else 0
                    pc += U1
                elif op == OP.ne_float:
                    sp -= U1
                    stack[sp - U1] = 1 if float_stack[sp - U1] != float_stack[sp] else 0
                    pc += U1
                elif op == OP.lt_int:
                    sp -= U1
                    stack[sp - U1] = 1 if stack[sp - U1] < stack[sp] else 0
                    pc += U1
                elif op == OP.lt_float:
                    sp -= U1
                    stack[sp - U1] = 1 if float_stack[sp - U1] < float_stack[sp] else 0
                    pc += U1
                elif op == OP.le_int:
                    sp -= U1
                    stack[sp - U1] = 1 if stack[sp - U1] <= stack[sp] else 0
                    pc += U1
                elif op == OP.le_float:
                    sp -= U1
                    stack[sp - U1] = 1 if float_stack[sp - U1] <= float_stack[sp] else 0
                    pc += U1
                elif op == OP.gt_int:
                    sp -= U1
                    stack[sp - U1] = 1 if stack[sp - U1] > stack[sp] else 0
                    pc += U1
                elif op == OP.gt_float:
                    sp -= U1
                    stack[sp - U1] = 1 if float_stack[sp - U1] > float_stack[sp] else 0
                    pc += U1
                elif op == OP.ge_int:
                    sp -= U1
                    stack[sp - U1] = 1 if stack[sp - U1] >= stack[sp] else 0
                    pc += U1
                elif op == OP.ge_float:
                    sp -= U1
                    stack[sp - U1] = 1 if float_stack[sp - U1] >= float_stack[sp] else 0
                    pc += U1

                # Conversion and float

                elif op == OP.float:
                    float_stack[sp - U1] = np.float64(stack[sp - U1])
                    pc += U1
                elif op == OP.int:
                    x = float_stack[sp - U1]
                    if not (-9223372036854775808.0 <= x < 9223372036854775808.0):
                        trap = np.int64(TRAP.INTEGER_OVERFLOW)
                        break
                    stack[sp - U1] = np.int64(x)
                    pc += U1
                elif op == OP.sqrt:
                    float_stack[sp - U1] = math.sqrt(float_stack[sp - U1])
                    pc += U1
                elif op == OP.floor:
                    float_stack[sp - U1] = np.floor(float_stack[sp - U1])
                    pc += U1
                elif op == OP.ceil:
                    float_stack[sp - U1] = np.ceil(float_stack[sp - U1])
                    pc += U1

                # Stack

                elif op == OP.dup:
                    stack[sp] = stack[sp - U1]
                    sp += U1
                    pc += U1
                elif op == OP.pop:
                    sp -= U1
                    pc += U1
                elif op == OP.swap:
                    second = stack[sp - U2]
                    stack[sp - U2] = stack[sp - U1]
                    stack[sp - U1] = second
                    pc += U1
                elif op == OP.over:
                    stack[sp] = stack[sp - U2]
                    sp += U1
                    pc += U1
                elif op == OP.rot:
                    third = stack[sp - U3]
                    stack[sp - U3] = stack[sp - U2]
                    stack[sp - U2] = stack[sp - U1]
                    stack[sp - U1] = third
                    pc += U1

                # Control

                elif op == OP.jmp:
                    pc += np.uint64(code[pc + U1])
                elif op == OP.jz:
                    sp -= U1
                    pc += np.uint64(code[pc + U1]) if stack[sp] == 0 else U2
                elif op == OP.jnz:
                    sp -= U1
                    pc += np.uint64(code[pc + U1]) if stack[sp] != 0 else U2
                elif op == OP.jmp_backward:
                    if fields[FIELD.stop] != 0:
                        trap = np.int64(TRAP.INTERRUPTED)
                        break
                    if counting:
                        fields[FIELD.back_edges] += 1
                    pc += np.uint64(code[pc + U1])
                elif op == OP.jz_backward:
                    if fields[FIELD.stop] != 0:
                        trap = np.int64(TRAP.INTERRUPTED)
                        break
                    sp -= U1
                    if counting and stack[sp] == 0:
                        fields[FIELD.back_edges] += 1
                    pc += np.uint64(code[pc + U1]) if stack[sp] == 0 else U2
                elif op == OP.jnz_backward:
                    if fields[FIELD.stop] != 0:
                        trap = np.int64(TRAP.INTERRUPTED)
                        break
                    sp -= U1
                    if counting and stack[sp] != 0:
                        fields[FIELD.back_edges] += 1
                    pc += np.uint64(code[pc + U1]) if stack[sp] != 0 else U2
                elif op == OP.call:
                    if rp >= U2 * np.uint64(fields[FIELD.depth_limit]):
                        trap = np.int64(TRAP.CALL_DEPTH_EXCEEDED)
                        if fields[FIELD.stop] != 0:
                            trap = np.int64(TRAP.INTERRUPTED)
                        break
                    frames[rp] = np.int64(pc + U4)
                    frames[rp + U1] = np.int64(fp)
                    rp += U2
                    fp = sp - np.uint64(code[pc + U2])
                    top = sp + np.uint64(code[pc + U3])
                    while sp < top:
                        stack[sp] = 0
                        sp += U1
                    pc += np.uint64(code[pc + U1])
                elif op == OP.ret:
                    sp = fp
                    rp -= U2
                    pc = np.uint64(frames[rp])
                    fp = np.uint64(frames[rp + U1])
                elif op == OP.ret_value:
                    stack[fp] = stack[sp - U1]
                    sp = fp + U1
                    rp -= U2
                    pc = np.uint64(frames[rp])
                    fp = np.uint64(frames[rp + U1])

                # Arrays: a reference is the index of the array's length word

                elif op == OP.newarr:
                    length = stack[sp - U1]
                    if length < 0:
                        trap = np.int64(TRAP.NEGATIVE_LENGTH)
                        break
                    used = fields[FIELD.heap_used]
                    if length >= fields[FIELD.heap_limit] - used:
                        trap = np.int64(TRAP.OUT_OF_MEMORY)
                        break
                    fields[FIELD.heap_used] = used + length + 1
                    heap[np.uint64(used + 1)] = length
                    for i in range(used + 2, used + 2 + length):
                        heap[np.uint64(i)] = 0
                    stack[sp - U1] = used + 1
                    pc += U1
                elif op == OP.aload_ints:
                    base = np.uint64(stack[sp - U2])
                    index = np.uint64(stack[sp - U1])
                    if index >= np.uint64(heap[base]):
                        trap = np.int64(TRAP.INDEX_OUT_OF_RANGE)
                        break
                    sp -= U1
                    stack[sp - U1] = heap[base + U1 + index]
                    pc += U1
                elif op == OP.aload_floats:
                    base = np.uint64(stack[sp - U2])
                    index = np.uint64(stack[sp - U1])
                    if index >= np.uint64(heap[base]):
                        trap = np.int64(TRAP.INDEX_OUT_OF_RANGE)
                        break
                    sp -= U1
                    float_stack[sp - U1] = float_heap[base + U1 + index]
                    pc += U1
                elif op == OP.astore_ints:
                    base = np.uint64(stack[sp - U3])
                    index = np.uint64(stack[sp - U2])
                    if index >= np.uint64(heap[base]):
                        trap = np.int64(TRAP.INDEX_OUT_OF_RANGE)
                        break
                    heap[base + U1 + index] = stack[sp - U1]
                    sp -= U3
                    pc += U1
                elif op == OP.astore_floats:
                    base = np.uint64(stack[sp - U3])
                    index = np.uint64(stack[sp - U2])
                    if index >= np.uint64(heap[base]):
                        trap = np.int64(TRAP.INDEX_OUT_OF_RANGE)
                        break
                    float_heap[base + U1 + index] = float_stack[sp - U1]
                    sp -= U3
                    pc += U1
                elif op == OP.len_ints or op == OP.len_floats:
                    stack[sp - U1] = heap[np.uint64(stack[sp - U1])]
                    pc += U1

                # Output

                elif op == OP.print_int or op == OP.print_float:
                    printed = np.uint64(fields[FIELD.output_used])
                    if printed >= np.uint64(fields[FIELD.output_limit]):
                        trap = np.int64(TRAP.OUTPUT_LIMIT_EXCEEDED)
                        break
                    output[U2 * printed] = 1 if op == OP.print_float else 0
                    output[U2 * printed + U1] = stack[sp - U1]
                    fields[FIELD.output_used] += 1
                    sp -= U1
                    pc += U1
            fields[FIELD.pc] = np.int64(pc)
            fields[FIELD.rp] = np.int64(rp)
            if trap != 0:
                break
        return trap

    return enter


SYMBOL = "enter"

# The words of an array's argument in machine code, of Numba's own convention: its memory's record
# and its Python object, which are nobody's here; its elements, their size, the address; and for its
# one dimension the length and the distance. Before all arguments go the address for the result and
# one for what describes an exception; the value returned says whether there was one.
_ARRAY_WORDS = 7
_ARRAYS = 11


def _array(address, words):
    return (0, 0, words, WORD_BYTES, address, words, WORD_BYTES)


_ENTER = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_int64] * (2 + _ARRAY_WORDS * _ARRAYS + 1))


def _assembly(counting):
    """What Numba makes of the interpreter, as `SYMBOL`."""
    from numba import types

    enter = make_interpreter(counting)
    words, floats = types.int64[::1], types.float64[::1]
    enter.compile(
        (words, types.int64, words, words, words, words, floats, words, words, floats, words, words)
    )
    [compiled] = enter.overloads.values()
    [text] = enter.inspect_asm().values()
    return text.replace(compiled.fndesc.mangled_name, SYMBOL)


@functools.cache
def _written():
    """The names of the opcodes that occur in the interpreter's own code."""
    names = set()
    for inner in make_interpreter.__code__.co_consts:
        if hasattr(inner, "co_names"):
            names.update(inner.co_names, (c for c in inner.co_consts if isinstance(c, str)))
    return names


def textbook(program, counting):
    return TextbookExecutable(program, counting)


class TextbookExecutable(CompiledExecutable):
    """It moves, but in LLVM's order: its handlers share their ends, near which LLVM puts them, and
    in an order drawn at random they take a quarter longer."""

    def __init__(self, program, counting):
        if program.has_tasks:
            raise EngineUnavailable(
                "the hand-written interpreter does not run coroutines: it is a control for"
                " dispatch, and stays short enough to be read"
            )
        for stack_map in program.stack_maps:
            for variant in stack_map.variants:
                if variant.name.translate(_IDENTIFIER) not in _written():
                    raise EngineUnavailable(
                        f"the hand-written interpreter has no instruction '{variant.name}'"
                    )
        name = "textbook.counting" if counting else "textbook"
        unit = native.kept_or_made(name, partial(_assembly, counting), SYMBOL)
        super().__init__(program, counting, unit, make_ir=None)
        self._graph = CallGraph.of(program)
        self._encoded = encode(program)
        self._code = self._encoded.region()
        self.state.context.entry = self._encoded.entry

    def _settle(self, unit):
        self._unit = unit
        self.address = unit.address
        self._enter = _ENTER(unit.address)

    def enter(self, runs):
        state = self.state
        trap, exception = ctypes.c_int64(), ctypes.c_void_p()
        fields = _array(ctypes.addressof(state.context), len(FIELDS))
        regions = (
            state.args.region, state.globals_initial.region, self._code, state.stack, state.stack,
            state.frames, state.heap, state.heap, state.globals, state.output,
        )  # fmt: skip
        words = (word for r in regions for word in _array(r.address, len(r.words)))
        failed = self._enter(
            ctypes.addressof(trap), ctypes.addressof(exception), *fields, runs, *words
        )
        assert not failed, "the control raised an exception"
        return trap.value

    def needs(self, max_depth):
        return interpreter_needs(self.program, self._graph, max_depth)

    def call_chain(self):
        context = self.state.context
        returns = self.state.frames.words[: context.rp : FRAME_RECORD_WORDS]
        return self._encoded.call_chain(context.pc, returns.tolist())

    def ir(self):
        return None

    def standalone(self):
        raise EngineUnavailable(
            "Numba's machine code is not called as the other engines' is, so there is no executable"
            " to count in"
        )
