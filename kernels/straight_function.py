"""A VM function as straight machine code, with the versions of its loops and its own recursion
inlined."""

from contextlib import contextmanager

from llvmlite import ir

from vmlab.blocks import basic_blocks
from vmlab.isa import Flow, Trap, Type
from vmlab.kernels.context import MACHINE_STACK
from vmlab.kernels.emitter import Emitter
from vmlab.kernels.encoding import bits
from vmlab.kernels.entry import stack_pointer
from vmlab.kernels.loops import UNCHECKED
from vmlab.kernels.names import function_name, look_up
from vmlab.kernels.strips import Strips
from vmlab.kernels.values import I64, TAG, i64, llvm_type


class FunctionEmitter(Emitter):
    """Emits one VM function: as an LLVM function of its own, or inline where `parent` calls it."""

    def __init__(self, unit, index, llvm_function, levels, parent=None):
        self.unit = unit
        self.index = index
        self.function = unit.program.functions[index]
        self.map = unit.program.stack_maps[index]
        self.llvm_function = llvm_function
        self.levels = levels  # how many calls deep this one may inline its own recursion
        self.parent = parent
        self.storage = unit.storage(self)
        self.at = 0  # the instruction being emitted
        self._raise = self._unwind = None
        if parent is None:
            b = ir.IRBuilder(llvm_function.append_basic_block("entry"))
            context, *passed = llvm_function.args
            super().__init__(b, context, None, unit.values)
            self._take(*passed)
        else:
            super().__init__(parent.b, parent.context, parent.heap, unit.values)
            self.depth = parent.inner_depth()
            self.call_site = parent.site

    def _take(self, depth, *args):
        """What the LLVM function is passed beside the context."""
        self.depth, self.args = depth, args

    @property
    def site(self):
        return self.unit.program.first_site[self.index] + self.at

    def inner_depth(self):
        return self.b.add(self.depth, i64(1))

    def linkage(self):
        """What is passed to a function called here, before its arguments."""
        return [self.inner_depth()]

    def alloca(self, type_, name):
        with self.b.goto_entry_block():
            return self.b.alloca(type_, name=name)

    # The function as a whole

    def emit_function(self, exact):
        if self.index == self.unit.program.main_index:
            self._check_machine_stack()
        self._check_depth(exact)
        self.heap = self.pointer("heap")
        self.storage.begin(self.args)
        self._emit_blocks()

    def emit_inline(self, args):
        """Emit the body here. Afterwards the builder stands where the call returns; the result,
        or None, is the reply."""
        result = self.function.result
        self.reply = self.alloca(llvm_type(result), "result") if result else None
        self.returned = self.b.append_basic_block("returned")
        self.storage.begin(args)
        self._emit_blocks()
        self.b.position_at_end(self.returned)
        return self.b.load(self.reply) if result else None

    def _check_depth(self, exact):
        b = self.b
        recursive = self.unit.graph.cycle[self.index] is not None
        # Recursion has its safepoint here, since stopping lowers the limit; and so has every other
        # function that calls, for a chain of them can call 2**60 times without a loop.
        calls = bool(self.unit.graph.calls[self.index])
        limit = self.get_shared("depth_limit") if calls else self.get("depth_limit")
        deepest = b.add(self.depth, i64(self.levels))
        with self.unlikely(b.icmp_signed(">", deepest, limit)):
            if exact is not None:
                arguments = self.llvm_function.args
                b.ret(b.call(exact, arguments, cconv="fastcc", tail="tail"))
            else:
                self.put("trap", self.refusal())
                self.storage.finish(trapped=1)
        if recursive:
            self._check_machine_stack()

    def _check_machine_stack(self):
        b = self.b
        low = b.icmp_unsigned("<", stack_pointer(b), self.get("native_limit"))
        with self.unlikely(low):
            self.put("trap", i64(MACHINE_STACK))
            self.storage.finish(trapped=1)

    # Basic blocks. Those of an innermost loop are emitted several times: in a row, or as versions
    # of a counted loop.

    def _emit_blocks(self):
        reachable = self.map.reachable
        starts = [block.start for block in basic_blocks(self.function) if reachable[block.start]]
        self.leaders = set(starts)
        self.loops = self.unit.loops[self.index]
        self.blocks = {
            (start, copy): self.b.append_basic_block(f"{self.function.name}.{start}")
            for start in starts
            for copy in self._copies(start)
        }
        counted = [self.loops[i] for i in starts if i in self.loops and self.loops[i].head == i]
        self.strips = {loop.head: Strips(self, loop) for loop in counted if loop.counted}
        self.copy = 0
        self.b.branch(self.entrance(0))
        for strips in self.strips.values():
            strips.emit()
        for start, copy in self.blocks:
            self._emit_block(start, copy)

    def _copies(self, at):
        if at not in self.loops:
            return [0]
        unchecked = [UNCHECKED] if self.loops[at].counted else []
        return [*range(self.loops[at].copies), *unchecked]

    def _loop_with(self, target):
        """The loop with copies that the current instruction is in, if `target` is in it too."""
        loop = self.loops.get(self.at)
        return loop if loop is not None and self.loops.get(target) is loop else None

    def _block(self, target):
        """Where a jump from the current instruction goes: around a loop to the loop's next copy,
        within a loop to the same copy, elsewhere to the only or the first one."""
        loop = self._loop_with(target)
        if loop is None:
            if self.copy == UNCHECKED and self.at == self.loops[self.at].counted.branch:
                return self.strips[self.loops[self.at].head].ended
            return self.entrance(target)
        if target > self.at or self.copy == UNCHECKED:
            return self.blocks[target, self.copy]
        return self.blocks[target, (self.copy + 1) % loop.copies]

    def entrance(self, target):
        """Where control comes to an instruction from outside of a loop."""
        strips = self.strips.get(target)
        return strips.begin if strips else self.blocks[target, 0]

    def _emit_block(self, start, copy):
        code = self.function.code
        self.b.position_at_end(self.blocks[start, copy])
        self.storage.enter_block(self.map.before[start])
        self.copy = copy
        if copy == UNCHECKED and start == self.loops[start].counted.branch + 1:
            self.strips[self.loops[start].head].passed()
        charged = start
        at = start
        while True:
            self.at = at
            if self.unit.counting and at == charged:
                charged = self._charge(at)
            self._emit_instruction(code[at], self.map.variants[at])
            if self.b.block.is_terminated:
                return
            at += 1
            if at in self.leaders:
                self.storage.leave_block()
                self.b.branch(self._block(at))
                return

    def _charge(self, at):
        """Count the instructions up to the first that can trap or jump, or up to the block's end.
        If the fuel ends among them, nothing that can be seen has happened yet: trap right there.
        Returns the instruction behind them."""
        code, end = self.function.code, at
        while True:
            opcode = code[end].opcode
            end += 1
            if opcode.traps or opcode.flow is not Flow.NEXT or end in self.leaders:
                break
        b = self.b
        fuel = self.get("fuel")
        with self.unlikely(b.icmp_signed("<", fuel, i64(end - at))):
            self.put("fuel", i64(0))
            b.branch(self.stop_block(Trap.OUT_OF_FUEL.code, b.add(i64(self.site), fuel)))
        self.put("fuel", b.sub(fuel, i64(end - at)))
        return end

    # Instructions

    def _emit_instruction(self, instruction, variant):
        flow = instruction.opcode.flow
        if flow is Flow.CALL:
            self._call(instruction.target)
        elif flow is Flow.RETURN:
            self._return()
        else:
            self.compute(instruction.opcode.variants if self.values.checked else (variant,))
        if not self.b.block.is_terminated:
            self.storage.after_instruction()

    def pop(self):
        return self.storage.pop()

    def push(self, kept):
        self.storage.push(kept)

    @property
    def height(self):
        return self.storage.height

    @height.setter
    def height(self, height):
        self.storage.height = height

    def _call(self, target):
        storage = self.storage
        callee = self.unit.program.functions[target]
        args = storage.pop_args(len(callee.params))
        cycle = self.unit.graph.cycle
        if self.levels and cycle[target] is not None and cycle[target] == cycle[self.index]:
            inner = self.unit.body(self.unit, target, self.llvm_function, self.levels - 1, self)
            result = inner.emit_inline(args)
        else:
            trapped, result = storage.call(self._callee(target), self.linkage(), args)
            self.leave_if(trapped, self._unwind_block(i64(self.site)))
        if callee.result:
            storage.push_result(result)

    def _return(self):
        value = self.storage.pop() if self.function.result else None
        self._release_locals()
        if self.parent is None:
            self.storage.finish(0, value)
        else:
            if value is not None:
                self.b.store(value, self.reply)
            self.b.branch(self.returned)

    def _release_locals(self):
        if self.values.counted:
            for index in range(len(self.function.slots)):
                self.values.release(self, self.storage.get_local(index))

    # What semantics functions ask for

    def _operand(self):
        return self.function.code[self.at].operand

    def evaluate(self, variant, operands):
        if self.copy == UNCHECKED:
            loop = self.loops[self.at]
            if self.at == loop.counted.branch - 1:
                return self.strips[loop.head].test(operands)
        return super().evaluate(variant, operands)

    def check_index(self, array, index):
        if self.copy != UNCHECKED or self.at not in self.loops[self.at].counted.accesses:
            super().check_index(array, index)

    def literal(self):
        value = self._operand()
        kept = self.constant(Type.FLOAT if isinstance(value, float) else Type.INT, value)
        self.values.retain(self, kept)
        return kept

    def constant(self, type_, value):
        """A constant of this type, as it is kept."""
        if self.values.counted:
            return self.unit.cell(TAG[type_], bits(value))
        return self.values.wrap(self, ir.Constant(llvm_type(type_), value), type_)

    def array_tag(self):
        [made] = self.function.code[self.at].opcode.effects[0].pushes
        return i64(TAG[Type.of(made, self._operand())])

    def read_local(self):
        return self.storage.get_local(self._operand())

    def write_local(self, kept):
        self.storage.set_local(self._operand(), kept)

    def get_global(self):
        variable = self.unit.program.globals[self._operand()]
        return self.storage.from_memory(super().get_global(), variable.type)

    def global_address(self):
        return self.address_of_global(self._operand())

    def address_of_global(self, index):
        words = self.pointer("globals")
        if self.unit.table is None:
            return self.word(words, self.values.words * index)
        name = self.unit.program.globals[index].name
        return self.b.gep(words, [self._look_up(name)], inbounds=True)

    def _callee(self, target):
        declared = self.unit.functions[target]
        if self.unit.table is None:
            return declared
        address = self._look_up(function_name(self.unit.program.functions[target]))
        return self.b.inttoptr(address, declared.type)

    def _look_up(self, name):
        return look_up(self, self.unit.table, i64(self.unit.names[name]))

    def jump(self):
        self._before_jump(None)
        self.b.branch(self._block(self._operand()))

    def jump_if(self, condition):
        self._before_jump(condition)
        self.b.cbranch(condition, self._block(self._operand()), self._block(self.at + 1))

    def _before_jump(self, condition):
        if self._operand() <= self.at:
            # A jump back out of a copied loop is on another way around than the loop's own.
            loop = self._loop_with(self._operand())
            if loop is None or self.copy == loop.copies - 1:
                self.safepoint()
            if self.unit.counting:
                taken = i64(1) if condition is None else self.b.zext(condition, I64)
                self.put("back_edges", self.b.add(self.get("back_edges"), taken))
        self.storage.after_instruction()
        self.storage.leave_block()

    # Traps

    def stop_block(self, code, site=None):
        if self._raise is None:
            block = self.b.append_basic_block("raise")
            with self._emitting_in(block) as b:
                reason, place = b.phi(I64), b.phi(I64)
                self.put("trap", reason)
                b.branch(self._unwind_block(place))
            self._raise = block, reason, place
        block, reason, place = self._raise
        reason.add_incoming(code if isinstance(code, ir.Value) else i64(code), self.b.block)
        place.add_incoming(i64(self.site) if site is None else site, self.b.block)
        return block

    def _unwind_block(self, site):
        """Where to go from the current block for a trap to leave this function at `site`."""
        if self._unwind is None:
            block = self.b.append_basic_block("unwind")
            with self._emitting_in(block) as b:
                place = b.phi(I64)
                used = self.get("trace_used")
                self.store(place, b.gep(self.pointer("trace"), [used], inbounds=True), "trace")
                self.put("trace_used", b.add(used, i64(1)))
                if self.parent is None:
                    self.storage.finish(trapped=1)
                else:
                    with self.parent._emitting_in(block):
                        b.branch(self.parent._unwind_block(i64(self.call_site)))
            self._unwind = block, place
        block, place = self._unwind
        place.add_incoming(site, self.b.block)
        return block

    @contextmanager
    def _emitting_in(self, block):
        here, self.b = self.b, ir.IRBuilder(block)
        yield self.b
        self.b = here
