"""A program as a function for the user's own `@njit` code."""

import ctypes
import itertools
import weakref
from collections import Counter

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from vmlab.engines import EngineUnavailable
from vmlab.isa import TRAPS_BY_CODE, Type
from vmlab.kernels import entry
from vmlab.kernels.compose import compose
from vmlab.kernels.context import MACHINE_STACK
from vmlab.kernels.executable import STACK_RESERVE, State
from vmlab.kernels.values import I64, WORDS, from_word, i64, to_word

# Bytes of machine stack that a thread, whichever calls, is taken to have left: by default threads
# have 2 MiB or more.
STACK_LEFT = 3 << 19

# So many threads may be inside one compiled program at once; a further one waits for its turn.
STATES = 16

_NUMBA = {Type.INT: types.int64, Type.FLOAT: types.float64, None: types.none}

# What is taken for a parameter of a type.
_TAKEN = {Type.INT: types.Integer, Type.FLOAT: (types.Integer, types.Float)}

_numbers = itertools.count()
_programs = weakref.WeakValueDictionary()


class Trapped(RuntimeError):
    """A compiled program trapped. `trap` is the name of the trap; the message says where."""

    def __init__(self, number: int, code: int, site: int):
        if code == MACHINE_STACK:
            self.trap = "machine_stack"
            super().__init__("the thread's machine stack is used up; lower max_depth")
            return
        self.trap = TRAPS_BY_CODE[code].value
        super().__init__(f"{self.trap} in {_place(_programs[number], site)}")


def _place(program, site):
    function, _, instruction = next(itertools.islice(program.sites(), site, None))
    span = instruction.span
    name = program.functions[function].name
    return f"'{name}', {program.source.path}:{span.line}:{span.column}"


def compile_program(program, limits):
    """A function of main's parameters, as 64-bit ints and floats, for `@njit` code and for Python;
    parameters left out take their defaults. It runs on `inlined`, without the GIL, in any number
    of threads. A trap raises `Trapped`. Nothing but the limits ends a run: nobody watches it. Of
    functions that call it, Numba keeps no code on disk.

    Raises `EngineUnavailable` for a program that prints, as there is nobody to print for, and for
    one with coroutines, which need memory for tasks beside that of `State`."""
    if program.has_tasks:
        raise EngineUnavailable(
            "a compiled function has no memory for tasks and channels; coroutines need `vmlab run`,"
            " or `Program.run`"
        )
    used = Counter(i.opcode.name for _, _, i in program.sites())
    if used["print"]:
        raise EngineUnavailable("a compiled function has nowhere to print to; remove the 'print's")
    executable = compose(program, False, "inlined")
    stack = STACK_LEFT - STACK_RESERVE - executable.needs(limits.max_depth).machine_stack
    if stack < 0:
        raise EngineUnavailable("the program is too large for the stacks that threads usually have")
    states = [State(program) for _ in range(STATES)]
    for state in states:
        state.reserve(limits, executable.needs(limits.max_depth))
        state.start(limits.max_depth, fuel=0)
    addresses = (ctypes.c_int64 * STATES)(*(ctypes.addressof(s.context) for s in states))
    busy = (ctypes.c_int64 * STATES)()
    number = next(_numbers)
    _programs[number] = program
    run = _intrinsic(
        program, executable.address, ctypes.addressof(addresses), ctypes.addressof(busy), stack
    )

    @njit(nogil=True)
    def call(*args):
        result, code, site = run(args)
        if code != 0:
            raise Trapped(number, code, site)
        return result

    # The machine code and its memory live as long as the function.
    call.vmlab = executable, states, addresses, busy
    return call


def _intrinsic(program, enter_address, states_address, busy_address, stack):
    main = program.main
    result_type = _NUMBA[main.result]

    @intrinsic
    def run(typing, args):
        """(result, code of the trap or 0, site of the trap)"""
        given = len(args)
        needed = sum(param.value is None for param in main.params)
        if not needed <= given <= len(main.params):
            parameters = ", ".join(f"{p.name}: {p.type}" for p in main.params)
            raise TypingError(f"main takes ({parameters}), not {given} arguments")
        for param, type_ in zip(main.params, args, strict=False):
            # Numba would make an int of any float.
            if not isinstance(type_, _TAKEN[param.type]):
                raise TypingError(f"'{param.name}' is {param.type}, and {type_} was given")
        taken = types.Tuple([_NUMBA[p.type] for p in main.params[:given]])
        signature = types.Tuple([result_type, types.int64, types.int64])(taken)

        def codegen(context, b, signature, llvm_args):
            values = cgutils.unpack_tuple(b, llvm_args[0], given)
            values += [
                ir.Constant(ir.DoubleType() if p.type is Type.FLOAT else I64, p.value)
                for p in main.params[given:]
            ]
            # Numba keeps no code on disk that has such addresses: they are of this process alone.
            busy, states, enter = (
                context.add_dynamic_addr(b, address, "vmlab")
                for address in (busy_address, states_address, enter_address)
            )
            busy = b.bitcast(busy, WORDS)
            index = _acquire(b, busy)
            address = b.load(b.gep(b.bitcast(states, WORDS), [index]))
            state = b.inttoptr(address, WORDS)
            limit = b.sub(entry.stack_pointer(b), i64(stack))
            b.store(limit, entry.field(b, state, "native_limit"))
            words = entry.pointer(b, state, "args")
            for place, value in enumerate(values):
                b.store(to_word(b, value), b.gep(words, [i64(place)]))
            enter_type = ir.FunctionType(I64, [WORDS, I64])
            code = b.call(b.bitcast(enter, enter_type.as_pointer()), [state, i64(1)])
            site = b.load(entry.pointer(b, state, "trace"))
            word = entry.get(b, state, "result")
            b.store_atomic(i64(0), b.gep(busy, [index]), "release", 8)
            if main.result is None:
                result = context.get_dummy_value()
            else:
                result = from_word(b, word, main.result)
            return context.make_tuple(b, signature.return_type, [result, code, site])

        return signature, codegen

    return run


def _acquire(b, busy):
    """Take the first free state, going around until there is one; its index."""
    before = b.block
    look = b.append_basic_block("look")
    taken = b.append_basic_block("taken")
    b.branch(look)
    b.position_at_end(look)
    index = b.phi(I64)
    index.add_incoming(i64(0), before)
    reply = b.cmpxchg(b.gep(busy, [index]), i64(0), i64(1), "acquire", "monotonic")
    following = b.urem(b.add(index, i64(1)), i64(STATES))
    index.add_incoming(following, look)
    b.cbranch(b.extract_value(reply, 1), taken, look)
    b.position_at_end(taken)
    return index
