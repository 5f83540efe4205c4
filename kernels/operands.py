"""Where straight code keeps locals and operands, and how it passes them to a call.

Two ways: in SSA values, or in a frame of VM memory where each instruction loads its operands and
stores its result. Only with the first is recursion inlined, and do loops have versions: what lies
between `template` and the interpreters is dispatch alone.
"""

from llvmlite import ir

from vmlab.kernels.values import I1, VOID, WORDS, from_word, i64, llvm_type, to_word


class Ssa:
    """Operands are LLVM values, passed as arguments and results. Locals, and operands that live
    from one basic block to another, are stack slots that LLVM turns into SSA values (mem2reg).
    Values are raw: LLVM would see through any other representation and drop it."""

    optimised = True

    def __init__(self, body):
        self.body = body
        self.slots = []
        self.crossing = {}
        self.found = None  # the operands that the block found and has not used
        self.values = []  # those above them

    @staticmethod
    def signature(function) -> tuple[ir.Type, list[ir.Type]]:
        """The result and the parameters behind context and depth. The last word of the result is
        1 if the call trapped."""
        result = [llvm_type(function.result)] if function.result else []
        return ir.LiteralStructType([*result, I1]), [llvm_type(p.type) for p in function.params]

    @classmethod
    def run_main(cls, m, main, function, values):
        """Call `main` with the arguments in the context; its result goes there too."""
        b = m.b
        words = m.pointer("args")
        args = []
        for index, param in enumerate(function.params):
            word = b.load(b.gep(words, [i64(index)]))
            args.append(from_word(b, word, param.type))
        reply = b.call(main, [m.context, i64(1), *args], cconv="fastcc")
        if function.result:
            m.put("result", to_word(b, b.extract_value(reply, 0)))
        trapped = b.extract_value(reply, len(reply.type.elements) - 1)
        return b.select(trapped, m.get("trap"), i64(0))

    def begin(self, args) -> None:
        b = self.body.b
        for index, variable in enumerate(self.body.function.slots):
            type_ = llvm_type(variable.type)
            slot = self.body.alloca(type_, variable.name)
            b.store(args[index] if index < len(args) else ir.Constant(type_, 0), slot)
            self.slots.append(slot)

    def enter_block(self, stack) -> None:
        self.found = stack
        self.values = []

    def leave_block(self) -> None:
        for height, value in enumerate(self.values, self.found.depth):
            self.body.b.store(value, self._crossing(height, value.type))

    def _crossing(self, height, type_):
        key = height, str(type_)
        if key not in self.crossing:
            self.crossing[key] = self.body.alloca(type_, f"operand.{height}")
        return self.crossing[key]

    @property
    def height(self):
        """How many operands there are."""
        return self.found.depth + len(self.values)

    def pop(self):
        if self.values:
            return self.values.pop()
        type_, self.found = self.found.type, self.found.below
        return self.body.b.load(self._crossing(self.found.depth, llvm_type(type_)))

    def push(self, value) -> None:
        self.values.append(value)

    def from_memory(self, kept, type_):
        """What was loaded from elsewhere, as a local or operand of this type is kept here."""
        return from_word(self.body.b, kept, type_)

    def get_local(self, index):
        return self.body.b.load(self.slots[index])

    def set_local(self, index, value) -> None:
        self.body.b.store(value, self.slots[index])

    def after_instruction(self) -> None:
        pass

    # Calls

    def pop_args(self, count):
        return [self.pop() for _ in range(count)][::-1]

    def call(self, callee, linkage, args):
        """Call; the trap flag, and the result if it is a value."""
        reply = self.body.b.call(callee, [self.body.context, *linkage, *args], cconv="fastcc")
        values = [self.body.b.extract_value(reply, i) for i in range(len(reply.type.elements))]
        return values[-1], values[0] if len(values) > 1 else None

    def push_result(self, value) -> None:
        self.push(value)

    def finish(self, trapped: int, value=None):
        """Return from the LLVM function."""
        b = self.body.b
        reply = ir.Constant(b.function.function_type.return_type, ir.Undefined)
        if value is not None:
            reply = b.insert_value(reply, value, 0)
        b.ret(b.insert_value(reply, ir.Constant(I1, trapped), len(reply.type.elements) - 1))


class Memory:
    """Locals and operands stand in a frame of the VM's stack: parameters, locals, then operands.
    A caller's topmost operands become the callee's parameters where they stand, and the result
    takes the place of the first."""

    optimised = False

    def __init__(self, body):
        self.body = body
        self.frame = None
        self.height = 0

    @staticmethod
    def signature(function) -> tuple[ir.Type, list[ir.Type]]:
        return I1, [WORDS]

    @classmethod
    def run_main(cls, m, main, function, values):
        b = m.b
        args, frame = m.pointer("args"), m.pointer("stack")
        for index in range(values.words * len(function.params)):
            b.store(b.load(b.gep(args, [i64(index)])), b.gep(frame, [i64(index)]))
        trapped = b.call(main, [m.context, i64(1), frame], cconv="fastcc")
        with b.if_then(b.not_(trapped)):
            if function.result:
                values.take_result(m, frame)
            values.end_run(m)
        return b.select(trapped, m.get("trap"), i64(0))

    def begin(self, args) -> None:
        [self.frame] = args
        function, values = self.body.function, self.body.values
        for index in range(len(function.params), len(function.slots)):
            zero = self.body.constant(function.slots[index].type, 0)
            values.retain(self.body, zero)
            values.store(self.body, zero, self.slot(index), "frame")

    def slot(self, index):
        """The address of a parameter or local."""
        return self.body.word(self.frame, self.body.values.words * index)

    def _operand(self, height):
        return self.slot(len(self.body.function.slots) + height)

    def enter_block(self, stack) -> None:
        self.height = stack.depth

    def leave_block(self) -> None:
        pass

    def pop(self):
        self.height -= 1
        return self.body.values.load(self.body, self._operand(self.height), "frame")

    def push(self, kept) -> None:
        self.body.values.store(self.body, kept, self._operand(self.height), "frame")
        self.height += 1

    def from_memory(self, kept, _type):
        return kept

    def get_local(self, index):
        return self.body.values.load(self.body, self.slot(index), "frame")

    def set_local(self, index, kept) -> None:
        self.body.values.store(self.body, kept, self.slot(index), "frame")

    def after_instruction(self) -> None:
        """An empty assembler line that may touch any memory: without it LLVM would forward stores
        to loads and so put the operands into registers after all."""
        self.body.b.asm(ir.FunctionType(VOID, []), "", "~{memory}", [], True)

    def pop_args(self, count):
        self.height -= count
        return [self._operand(self.height)]

    def call(self, callee, linkage, args):
        return self.body.b.call(callee, [self.body.context, *linkage, *args], cconv="fastcc"), None

    def push_result(self, _value) -> None:
        self.height += 1  # the callee has put it there

    def finish(self, trapped: int, value=None):
        if value is not None:
            self.body.values.store(self.body, value, self.slot(0), "frame")
        self.body.b.ret(ir.Constant(I1, trapped))
