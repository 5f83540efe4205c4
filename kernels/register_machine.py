"""The interpreters of three-address code: what `vmlab.kernels.registers` makes of a program, as
words, and a handler for every kind of operation, composed with a way of dispatch.

An operation is its opcode, the registers of its results, its sources, and the operand of the stack
instruction if that has one; at last, where control may go elsewhere, its window. Where instructions
are counted, it goes on with how many stack instructions it stands for, up to the one that may trap
and behind it, and with a word for each of them: a place where the program can run out of fuel.

In programs with tasks, what goes elsewhere has its operands in memory, as in other interpreters. In
place of the window stands where those end that it pops; a call and a spawn have the words before
that `encoding` has for them, but that a callee clears its locals itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from vmlab.isa import Flow, Operand, Trap, Variant, further_stack_words
from vmlab.kernels import register_text
from vmlab.kernels.barrier import NO_BARRIER
from vmlab.kernels.encoding import FINISH, FINISH_VALUE, HALT, PSEUDO, Encoded, bits
from vmlab.kernels.interpreter import HandlerEmitter, InterpreterExecutable
from vmlab.kernels.names import function_name, intern
from vmlab.kernels.native import Effort
from vmlab.kernels.registers import (
    ACCUMULATOR,
    CONSTANT,
    REGISTER,
    WINDOWED,
    Constant,
    Operation,
    Register,
    name_of,
    operation_kinds,
    translate,
)
from vmlab.kernels.values import I64, RAW, WORDS, i64, to_word
from vmlab.outcome import Place


@dataclass(frozen=True)
class OperationHandler:
    """What interprets an operation of one kind."""

    name: str
    variants: tuple[Variant, ...]
    kinds: str
    results: str
    operand_words: int = 0
    backward: bool = False  # a jump to itself or to an operation before it

    @property
    def flow(self) -> Flow:
        return self.variants[-1].opcode.flow if self.variants else Flow.NEXT

    @cached_property
    def first_source(self) -> int:
        """The word in which the sources begin."""
        return 1 + self.results.count(REGISTER)

    @cached_property
    def own_operand(self) -> int:
        """The word in which the operand of the stack instruction stands."""
        return self.first_source + len(self.kinds) - self.kinds.count(ACCUMULATOR)

    @cached_property
    def words(self) -> int:
        """All words but those that only serve counting."""
        return self.own_operand + self.operand_words

    @property
    def window(self) -> int:
        """The word in which it stands."""
        return self.words - 1


@dataclass(frozen=True)
class OperationSet:
    """All operations that can be written in words; `tasks` says whether those of coroutines are
    among them."""

    tasks: bool

    values, late, barrier = RAW, False, NO_BARRIER

    @cached_property
    def handlers(self) -> dict[str, OperationHandler]:
        """By name, in the order of their opcodes and in that of their names. The order decides how
        far the low bits of the handlers' addresses differ, from which a CPU predicts the shared
        jump of a `switch`: with others it took up to twice the time (Zen 3)."""
        handlers = sorted(self._handlers(), key=lambda handler: handler.name)
        return {handler.name: handler for handler in handlers}

    @cached_property
    def codes(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.handlers)}

    def _handlers(self):
        for name in self.pseudo:
            yield OperationHandler(name, (), "", "")
        for variants, kinds, results in operation_kinds(self.tasks):
            words = self._operand_words(variants[-1].opcode) if variants else 0
            jumps = bool(variants) and variants[-1].opcode.operand is Operand.LABEL
            for backward in (False, True) if jumps else (False,):
                name = _handler_name(name_of(variants, kinds, results), backward)
                yield OperationHandler(name, variants, kinds, results, words, backward)

    @property
    def pseudo(self) -> tuple[str, ...]:
        """The opcodes that stand before every program."""
        return PSEUDO if self.tasks else (HALT,)

    def _operand_words(self, opcode) -> int:
        match opcode.flow:
            case Flow.CALL:
                return 5 if self.tasks else 2
            case Flow.SPAWN:
                return 6
            case Flow.SWITCH:
                return 1
        return int(opcode.operand in (Operand.GLOBAL, Operand.LABEL))

    def handler(self, operation: Operation, backward: bool) -> OperationHandler:
        return self.handlers[_handler_name(operation.name, backward)]


def _handler_name(operation: str, backward: bool) -> str:
    return f"{operation}.backward" if backward else operation


# By whether the program has tasks.
OPERATIONS = {tasks: OperationSet(tasks) for tasks in (False, True)}


def encode_operations(program, counting: bool) -> Encoded:
    operations, codes = OPERATIONS[program.has_tasks], translate(program)
    handlers = [
        [operations.handler(op, code.is_backward(at)) for at, op in enumerate(code.operations)]
        for code in codes
    ]
    starts, at = [], len(operations.pseudo)
    for code, row in zip(codes, handlers, strict=True):
        offsets = []
        for operation, handler in zip(code.operations, row, strict=True):
            offsets.append(at)
            at += handler.words
            if counting:
                at += 2 + len(operation.before) + len(operation.after)
        starts.append(offsets)
    words: list[int] = []
    places: list[Place | None] = []

    def write(place, *new):
        words.extend(new)
        places.extend([place] * len(new))

    write(None, *(operations.codes[name] for name in operations.pseudo))
    for f, (code, row) in enumerate(zip(codes, handlers, strict=True)):
        for operation, handler, here in zip(code.operations, row, starts[f], strict=True):
            place = Place(f, operation.before[-1]) if operation.before else None
            write(place, operations.codes[handler.name])
            for value in (*operation.results, *operation.sources):
                match value:
                    case Register(index):
                        write(place, index)
                    case Constant(number):
                        write(place, bits(number))
            if operation.flow in (Flow.JUMP, Flow.BRANCH):
                write(place, starts[f][code.starts[operation.operand]] - here)
            elif operation.flow in WINDOWED:
                if operation.operand is not None:
                    write(place, starts[operation.operand][0] - here)
                write(place, *_window(operations, program, operation))
            elif operation.operand is not None:
                write(place, operation.operand)
            if counting:
                write(place, len(operation.before), len(operation.after))
                for instruction in (*operation.before, *operation.after):
                    write(Place(f, instruction), 0)
    names = intern(program)
    functions = {
        names[function_name(function)]: offsets[0]
        for function, offsets in zip(program.functions, starts, strict=True)
    }
    entry, opcodes = starts[program.main_index][0], list(chain.from_iterable(starts))
    return Encoded(words, places, entry, functions, opcodes, list(range(len(operations.pseudo))))


def _window(operations: OperationSet, program, operation: Operation) -> Iterator[int]:
    """The last words of what goes elsewhere."""
    if operation.operand is None:
        yield operation.window + len(operation.variants[0].effect.pops)
    elif not operations.tasks:
        yield operation.window
    else:
        callee = program.functions[operation.operand]
        params = len(callee.params)
        yield from (params, 0)
        if operation.flow is Flow.CALL:
            deepest = program.stack_maps[operation.operand].max_depth
            yield len(callee.slots) - params + deepest
        else:
            yield further_stack_words(program.frame_words(operation.operand))
            yield operations.pseudo.index(FINISH_VALUE if callee.result else FINISH)
        yield operation.window + params


class RegisterExecutable(InterpreterExecutable):
    """`engine` names the composition; `dispatch` is its way of dispatch."""

    def __init__(self, engine, dispatch, program, counting, emitter=None):
        emitter, operations = emitter or OperationEmitter, OPERATIONS[program.has_tasks]
        encoded = encode_operations(program, counting)
        # The handlers that count are many and large: seconds for LLVM to optimise.
        effort = Effort.QUICK if counting else Effort.FULL
        self._load(engine, dispatch, operations, emitter, encoded, program, counting, effort)

    def listing(self):
        return register_text.listing(self.program)


class OperationEmitter(HandlerEmitter):
    """Emits the handler of an operation. What its instructions push stays in LLVM values for those
    behind them; what is left in the end goes to the registers of the results."""

    def emit(self, counting):
        handler = self.handler
        if handler.name == HALT:
            self._stop(i64(0))
            return
        self.counting = counting
        self.next_pc = self._word_address(i64(handler.words))
        if counting:
            self._use_fuel(handler.words, i64(0))
            counts = self.b.add(self._word(handler.words), self._word(handler.words + 1))
            self.next_pc = self._word_address(self.b.add(counts, i64(handler.words + 2)))
        if handler.backward:
            self.safepoint()
        self.pushed = []
        self.sources = len(handler.kinds)
        self.word_behind = handler.own_operand
        after = self.execute(handler.flow)
        self.dispatch.next(self.b, after, self.context, self.heap)

    def execute(self, flow):
        if flow is Flow.CALL:
            return self._call()
        if flow is Flow.RETURN:
            return self._return()
        self._compute_all()
        if self.counting and flow is Flow.NEXT:
            words = self.handler.words
            self._use_fuel(words + 1, self._word(words))
        after = self.registers._replace(pc=self.next_pc)
        if len(self.pushed) == 1:
            after = after._replace(sp=self._accumulator(self.pushed[0]))
        return after

    def _compute_all(self):
        if not self.handler.variants and self.handler.kinds:  # a move
            self.push(self.pop())
        for variant in self.handler.variants:
            self.compute((variant,))
        for word, kept in zip(range(1, self.handler.first_source), self.pushed, strict=False):
            self.values.store(self, kept, self._register(word), "frame")

    # Counting

    def _use_fuel(self, count, used):
        """Use up as much fuel as the word `count` says. Where that is not there, the program stops
        at the first instruction without; `used` are those of this operation that had it."""
        b = self.b
        count, fuel = self._word(count), self.get("fuel")
        rest = b.sub(fuel, count)
        with self.unlikely(b.icmp_signed("<", rest, i64(0))):
            instruction = b.add(used, fuel)
            words = b.add(instruction, i64(self.handler.words + 2))
            self.put("fuel", i64(0))
            self._stop(i64(Trap.OUT_OF_FUEL.code), self._word_address(words))
        self.put("fuel", rest)

    # Sources and results

    def _register(self, word):
        return self.b.gep(self.registers.fp, [self._word(word)], inbounds=True)

    def pop(self):
        if self.pushed:
            return self.pushed.pop()
        self.sources -= 1
        kind = self.handler.kinds[self.sources]
        if kind == ACCUMULATOR:
            return self.b.ptrtoint(self.registers.sp, I64)
        self.word_behind -= 1
        if kind == CONSTANT:
            return self._word(self.word_behind)
        return self.values.load(self, self._register(self.word_behind), "frame")

    def push(self, kept):
        self.pushed.append(kept)

    def _accumulator(self, kept):
        """It takes the place of the stack pointer, which nobody needs here."""
        return self.b.inttoptr(to_word(self.b, kept), WORDS)

    # Linkage

    def _call(self):
        record_end = self._record_caller()
        target = self._word(self.handler.own_operand)
        return self.registers._replace(
            pc=self._word_address(target), fp=self._register(self.handler.window), rp=record_end
        )

    def _return(self):
        after = self.registers
        if self.handler.kinds:
            result = self.pop()
            after = after._replace(sp=self._accumulator(result))
            self.values.store(self, result, after.fp, "frame")
        return after._replace(**self._caller())

    def global_address(self):
        place = self._word(self.handler.own_operand)
        return self.b.gep(self.pointer("globals"), [place], inbounds=True)

    def jump(self):
        self._count_back_edge()
        self.next_pc = self._word_address(self._word(self.handler.own_operand))

    def jump_if(self, condition):
        """Both ways have a dispatch of their own."""
        b = self.b
        taken, following = b.append_basic_block("taken"), b.append_basic_block("following")
        b.cbranch(condition, taken, following)
        b.position_at_end(taken)
        self._count_back_edge()
        target = self._word_address(self._word(self.handler.own_operand))
        self.dispatch.next(b, self.registers._replace(pc=target), self.context, self.heap)
        b.position_at_end(following)
