"""One call an instruction: what each computes is a function, and a program is the calls of them,
one behind the other (subroutine threading; Berndl et al., "Context threading", CGO 2005). Jumps
are the machine's own, and so are calls and returns of VM functions, as in `template`; what has to
do with tasks and channels, which would not return to where it was called, is as there, too.

An instruction is called like a VM function: it finds its operands where they stand on the stack,
and its results take the place of the first.
"""

from llvmlite import ir

from vmlab.isa import COROUTINES, Flow, Operand
from vmlab.kernels.coroutines import CoroutineEmitter, CoroutineProgramEmitter, PlainEmitter
from vmlab.kernels.emitter import Emitter
from vmlab.kernels.encoding import bits
from vmlab.kernels.operands import Memory
from vmlab.kernels.queues import Account
from vmlab.kernels.straight import ProgramEmitter, StraightExecutable
from vmlab.kernels.straight_function import FunctionEmitter
from vmlab.kernels.task_straight import TaskStraightExecutable
from vmlab.kernels.values import I64, RAW, VOID, WORDS, i64

# With most registers preserved by whoever is called, context and heap stay where they are passed.
CONVENTION = "preserve_mostcc"


def subroutine(program, counting) -> StraightExecutable:
    """The program on the engine `subroutine`."""
    executable, emitter = StraightExecutable, CallsEmitter
    if program.has_tasks:
        executable, emitter = TaskStraightExecutable, TaskCallsEmitter
    return executable("subroutine", Memory, RAW, False, program, counting, emitter)


class CallsEmitter(ProgramEmitter):
    """Emits a program whose instructions are called."""

    @property
    def body(self):
        return CallEmitter

    @property
    def instruction(self):
        """What emits the function of an instruction."""
        return InstructionEmitter


class CallEmitter(FunctionEmitter):
    """Emits a VM function whose instructions are called."""

    def compute(self, variants):
        [variant] = variants
        opcode = variant.opcode
        if opcode.flow is not Flow.NEXT or opcode.group == COROUTINES:
            super().compute(variants)
            return
        self.height -= len(variant.effect.pops)
        first = self.storage.slot(len(self.function.slots) + self.height)
        code = self.b.call(
            instruction_function(self.unit, variant),
            [self.context, self.heap, first, *self._operand_argument(variant)],
            cconv=CONVENTION,
        )
        self.height += len(variant.effect.pushes)
        if opcode.traps:
            self.leave_if(self.b.icmp_unsigned("!=", code, i64(0)), self.stop_block(code))

    def _operand_argument(self, variant):
        operand = self.function.code[self.at].operand
        match variant.opcode.operand:
            case Operand.LITERAL:
                return [i64(bits(operand))]
            case Operand.LOCAL:
                return [self.storage.slot(operand)]
            case Operand.GLOBAL:
                return [i64(operand)]
        return []


def instruction_function(unit: ProgramEmitter, variant) -> ir.Function:
    """What computes an instruction: `(context, heap, first operand, operand of the instruction)`;
    it returns the code of its trap, or 0, or nothing where it cannot trap."""
    name, module = f"op.{variant.name}", unit.module
    if name in module.globals:
        return module.globals[name]
    operand = {Operand.LITERAL: [I64], Operand.LOCAL: [WORDS], Operand.GLOBAL: [I64]}
    parameters = [WORDS, WORDS, WORDS, *operand.get(variant.opcode.operand, [])]
    reply = I64 if variant.opcode.traps else VOID
    function = ir.Function(module, ir.FunctionType(reply, parameters), name=name)
    # Weak, so that LLVM neither inlines it nor makes one of its own for each program; hidden, so
    # that it is called without a detour.
    function.linkage = "weak hidden"
    set.add(function.attributes, "nounwind")
    function.calling_convention = CONVENTION
    unit.instruction(function, variant).emit()
    return function


class InstructionEmitter(Emitter):
    def __init__(self, function, variant):
        context, heap, self.first, *operand = function.args
        super().__init__(ir.IRBuilder(function.append_basic_block()), context, heap, RAW)
        self.variant = variant
        self.height = len(variant.effect.pops)
        self.operand = operand[0] if operand else None

    def emit(self):
        self.compute((self.variant,))
        if self.variant.opcode.traps:
            self.b.ret(i64(0))
        else:
            self.b.ret_void()

    def pop(self):
        self.height -= 1
        return self.load(self.word(self.first, self.height), "frame")

    def push(self, kept):
        self.values.store(self, kept, self.word(self.first, self.height), "frame")
        self.height += 1

    def literal(self):
        return self.operand

    def array_tag(self):
        return None

    def read_local(self):
        return self.load(self.operand, "frame")

    def write_local(self, kept):
        self.store(kept, self.operand, "frame")

    def global_address(self):
        return self.b.gep(self.pointer("globals"), [self.operand], inbounds=True)

    def stop_block(self, code):
        block = self.b.append_basic_block("stop")
        ir.IRBuilder(block).ret(i64(code))
        return block


# The same for programs with tasks.


class TaskCallsEmitter(CoroutineProgramEmitter):
    @property
    def body(self):
        return TaskCallEmitter

    @property
    def resumable_body(self):
        return CallCoroutineEmitter

    @property
    def instruction(self):
        return TaskInstructionEmitter


class TaskCallEmitter(PlainEmitter, CallEmitter):
    pass


class CallCoroutineEmitter(CoroutineEmitter, CallEmitter):
    pass


class TaskInstructionEmitter(Account, InstructionEmitter):
    pass
