"""Straight code in programs with tasks: what belongs to no VM function.

An operation is what an instruction does with tasks and channels, as a function of the module. In a
program with few such instructions, each is emitted where it stands, where it is fastest. But it is
as much code as dozens of others, so a program with many of them calls: what is left at each place
is to keep what lives, and to go on.
"""

from llvmlite import ir

from vmlab.isa import FIRST_STACK_WORDS, Flow, further_stack_words
from vmlab.kernels.channels import Channels
from vmlab.kernels.semantics import SEMANTICS
from vmlab.kernels.values import I1, I64, WORDS, i64, llvm_type

# A descriptor, around what `queues` has there: the words of the VM's stack that the task has paid
# for; and what the instruction that it waits at pushes, or would send. The rest is for the ways to
# leave a task.
ROOM = 3
GIVEN = 5

# Main's stack costs nothing.
UNLIMITED = 1 << 62

# What an operation replies first: that it has passed, and its results stand behind; the code of a
# trap; or, from the first that can be an address, that the running task waits, and what goes on.
PASSED = 0
FIRST_ADDRESS = 1 << 8


class Descriptors(Channels):
    """What is emitted for tasks and channels. `unit` is the program."""

    def given(self, task, index):
        """Where a task finds a value that it goes on with."""
        return self.word(task, GIVEN + self.values.words * index)

    def push_to(self, task, *kept):
        self.store_all(kept, self.given(task, 0))

    def store_all(self, kept, area):
        for index, value in enumerate(kept):
            self.values.store(self, value, self.word(area, self.values.words * index), "frame")

    def sent_by(self, task):
        return self.load(self.given(task, 0), "frame")

    def note_wait(self, task, place, awaited, sent):
        """What the running task waits for goes to this word of its descriptor, and what it would
        send to where that is found; None where there is none."""
        if awaited is not None:
            self.write(task, place, awaited)
        if sent is not None:
            self.store(sent, self.given(task, 0), "frame")

    def further_words(self, task):
        """What its stack costs beside the first words."""
        room = self.read(task, ROOM)
        first = self.b.icmp_signed("==", room, i64(FIRST_STACK_WORDS))
        return self.b.select(first, i64(0), room)

    give_stack_back = further_words

    def launch(self, target, entry, args):
        """The number of a new task for a function, which begins at the address `entry`."""
        further = further_stack_words(self.unit.program.frame_words(target))
        task, record = self.new_task(self.unit.block_words, i64(further))
        self.prepare(task, target, entry, args)
        self.write(task, ROOM, i64(further or FIRST_STACK_WORDS))
        self.get_ready(task)
        return self.number(record)

    def prepare(self, task, target, entry, args):
        """What a new task begins with."""
        raise NotImplementedError


class Routine(Descriptors):
    """Emits what belongs to no instruction."""

    def __init__(self, unit, b, context):
        super().__init__(b, context)
        self.unit = unit
        self.values = unit.values


class Growth(Routine):
    """Emits the function `grow`, which leaves the trap in the context."""

    def trap_if(self, condition, trap):
        with self.b.if_then(condition):
            self.put("trap", i64(trap.code))
            self.b.ret(ir.Constant(I1, 1))


def emit_grow(unit) -> ir.Function:
    """`i1 grow(context, needed)`: the running task pays for a stack of so many words. 1, and the
    trap in the context, if that is too much."""
    function = ir.Function(unit.module, ir.FunctionType(I1, [WORDS, I64]), name="grow")
    function.linkage = "internal"
    for attribute in ("cold", "noinline", "nounwind"):
        set.add(function.attributes, attribute)
    context, needed = function.args
    b = ir.IRBuilder(function.append_basic_block())
    routine = unit.emitter(Growth)(unit, b, context)
    task = routine.pointer("current")
    words = routine.power_of_two(needed)
    routine.charge(b.sub(words, routine.further_words(task)))
    routine.write(task, ROOM, words)
    b.ret(ir.Constant(I1, 0))
    return function


class Operation(Routine):
    """Emits an operation. `link` is what the emitter of a VM function calls so."""

    def __init__(self, unit, function, switches):
        context, self.site, *operands = function.args
        super().__init__(unit, ir.IRBuilder(function.append_basic_block()), context)
        self.link = operands.pop(0) if switches else None
        self.operands = operands

    def place(self):
        return self.site

    def reply(self, way, *results):
        reply = ir.Constant(self.b.function.function_type.return_type, ir.Undefined)
        for index, word in enumerate((way, *results)):
            reply = self.b.insert_value(reply, word, index)
        self.b.ret(reply)

    def trap_if(self, condition, trap):
        with self.b.if_then(condition, likely=False):
            self.reply(i64(trap.code))


def operation(unit, variant) -> ir.Function:
    """What an instruction does: `{way, results} (context, site, operands)`. One that can suspend
    gets `link` before its operands."""

    def emit(m):
        results = SEMANTICS[variant.name](m, *m.operands)
        if not isinstance(results, tuple):
            results = () if results is None else (results,)
        m.reply(i64(PASSED), *results)

    switches = variant.opcode.flow is Flow.SWITCH
    operands = [WORDS] if switches else []
    operands += map(llvm_type, variant.effect.pops)
    results = [*map(llvm_type, variant.effect.pushes)]
    return _emitted(unit, f"op.{variant.name}", operands, results, emit, switches)


def launch(unit, target: int, words: list[ir.Type]) -> ir.Function:
    """`Descriptors.launch` of a function: `{way, number} (context, site, entry, arguments)`, these
    as the words that they are made of."""

    def emit(m):
        entry, *parts = m.operands
        each = unit.values.parts_each
        args = [unit.values.whole(*parts[i : i + each]) for i in range(0, len(parts), each)]
        m.reply(i64(PASSED), m.launch(target, entry, args))

    name = f"spawn.{unit.program.functions[target].name}"
    return _emitted(unit, name, [I64, *words], [I64], emit, switches=False)


def _emitted(unit, name, operands, results, emit, switches):
    """The operation of this name, which is emitted when it is asked for first."""
    if name in unit.module.globals:
        return unit.module.globals[name]
    reply = ir.LiteralStructType([I64, *results])
    function = ir.Function(unit.module, ir.FunctionType(reply, [WORDS, I64, *operands]), name=name)
    function.linkage = "internal"
    function.calling_convention = "fastcc"
    for attribute in ("noinline", "nounwind"):
        set.add(function.attributes, attribute)
    emit(unit.emitter(unit.OPERATION)(unit, function, switches))
    return function
