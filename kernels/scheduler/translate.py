"""From the scheduler's language to LLVM IR.

A function becomes an internal function of the module, as soon as one that is translated calls it.
A function that suspends becomes a switched-resume coroutine of LLVM's: its frame holds what lives
across the suspensions, no more, and comes from the free lists of its worker
(https://llvm.org/docs/Coroutines.html).
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType

from llvmlite import ir
from llvmlite.ir.instructions import CastInstr, StoreAtomicInstr

from vmlab.kernels.scheduler import language
from vmlab.kernels.scheduler.language import External, Intrinsic, Order
from vmlab.kernels.scheduler.structures import Code, Frame, Sharing, Structure, Word, type_of

I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
POINTER = ir.PointerType()
VOID = ir.VoidType()


class _Token(ir.Type):
    def _to_string(self):
        return "token"

    def __eq__(self, other):
        return isinstance(other, _Token)

    def __hash__(self):
        return hash(_Token)


TOKEN = _Token()
NO_TOKEN = ir.Constant(TOKEN, "none")


class Bool:
    """The type of a comparison."""


class Null:
    """The type of None, which any structure may be."""


class Untranslatable(Exception):
    """A function is not in the language; the message says where and why."""


_LLVM_TYPES = {Word: I64, Bool: I1}

_ARITHMETIC = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "udiv", ast.Mod: "urem",
    ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "lshr",
}  # fmt: skip
_COMPARISONS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "==", ast.IsNot: "!=",
}  # fmt: skip

# By architecture, the intrinsic that tells the core that it waits, and its operands. On aarch64
# `isb` of the whole system (15), since `yield` does nothing on most cores.
_ISB = "llvm.aarch64.isb", [ir.Constant(I32, 15)]
_PAUSES = {"x86_64": ("llvm.x86.sse2.pause", []), "aarch64": _ISB, "arm64": _ISB}
# And the one after which nothing begins before all in front of it has been done.
_BARRIERS = {"x86_64": ("llvm.x86.sse2.lfence", []), "aarch64": _ISB, "arm64": _ISB}


def _llvm(type_) -> ir.Type:
    return VOID if type_ is None else _LLVM_TYPES.get(type_, POINTER)


def word(number: int) -> ir.Constant:
    return ir.Constant(I64, number % 2**64)


class Translator:
    """Translates functions into one module.

    `constants` replaces global names of the sources; `PARALLEL` among them decides whether fields
    that workers share are accessed atomically. `replaced` has functions that stand in place of
    others wherever those are called, but in their own source: there the others themselves are."""

    def __init__(
        self,
        module: ir.Module,
        constants: Mapping[str, object],
        frames: "Frames | None",
        replaced: Mapping[FunctionType, FunctionType] = MappingProxyType({}),
    ):
        self.module = module
        self.constants = constants
        self.frames = frames
        self.replaced = replaced
        self._functions: dict[FunctionType, ir.Function] = {}

    @property
    def parallel(self) -> bool:
        return bool(self.constants.get("PARALLEL", language.PARALLEL))

    @property
    def architecture(self) -> str:
        return self.module.triple.split("-")[0]

    def function(self, source: FunctionType, caller: FunctionType | None = None) -> ir.Function:
        """The LLVM function that a caller means by a function of the language."""
        replacement = self.replaced.get(source, source)
        source = source if caller is replacement else replacement
        if source not in self._functions:
            parameters, result = signature(source)
            type_ = ir.FunctionType(_llvm(result), [_llvm(t) for t in parameters.values()])
            made = ir.Function(self.module, type_, symbol(source))
            made.linkage = "internal"
            made.attributes.add("nounwind")
            if source.__dict__.get("outlined"):
                made.attributes.add("noinline")
                made.attributes.add("cold")
            if source.__dict__.get("replicated"):
                made.attributes.add("alwaysinline")
            self._functions[source] = made
            _Body(self, source, made).translate()
        return self._functions[source]

    def declared(self, name: str, result: ir.Type, parameters, variadic=False) -> ir.Function:
        """A function from outside of the module, declared once."""
        return self.module.globals.get(name) or ir.Function(
            self.module, ir.FunctionType(result, parameters, var_arg=variadic), name
        )


class Frames:
    """Where the memory of coroutine frames comes from, as functions of the language:
    `allocate(worker, bytes) -> Word`, 0 if there is none, and `give_back(worker, address, bytes)`.
    If there was none, `no_memory(worker)` is called, and the task leaves its frame for good."""

    def __init__(self, allocate: Callable, give_back: Callable, no_memory: Callable):
        self.allocate = allocate
        self.give_back = give_back
        self.no_memory = no_memory


def symbol(source: FunctionType) -> str:
    """The name of a function in the machine code: `runqueue.put`."""
    return f"{source.__module__.split('.')[-1]}.{source.__name__}"


def signature(source: FunctionType) -> tuple[dict[str, object], object]:
    """The types of the parameters by name, and of the result (None: nothing)."""
    annotations = inspect.get_annotations(source, eval_str=True)
    names = inspect.signature(source).parameters
    return {name: annotations[name] for name in names}, annotations.get("return")


def tree_of(source: FunctionType) -> ast.FunctionDef:
    """The function's syntax tree."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(source))).body
    assert isinstance(tree, ast.FunctionDef)
    return tree


class _Body:
    """Translates one function. A value is an LLVM value with its type in the language; a condition
    of Python's constants is decided here, and the branch that is never taken left out."""

    def __init__(self, translator: Translator, source: FunctionType, function: ir.Function):
        self.translator = translator
        self.source = source
        self.function = function
        self.entry = ir.IRBuilder(function.append_basic_block("entry"))
        self.b = ir.IRBuilder(function.append_basic_block("begin"))
        self.locals: dict[str, tuple[ir.Value, object]] = {}
        self.loops: list[tuple[ir.Block, ir.Block]] = []
        self.coroutine: _Coroutine | None = None

    def translate(self) -> None:
        tree = tree_of(self.source)
        parameters, self.result = signature(self.source)
        for argument, (name, type_) in zip(self.function.args, parameters.items(), strict=True):
            self._assign(name, argument, type_)
        if any(isinstance(n, ast.Name) and n.id == "suspend" for n in ast.walk(tree)):
            self.coroutine = _Coroutine(self)
        self._statements(tree.body)
        if not self.b.block.is_terminated:
            if self.result is not None:
                self._fail(tree, "may end without a result")
            self._return()
        if self.coroutine:
            self.coroutine.close()
        self.entry.branch(self.function.basic_blocks[1])

    def _fail(self, node, why):
        place = self.source.__code__.co_firstlineno + node.lineno - 1
        file = self.source.__code__.co_filename
        raise Untranslatable(f"{file}:{place}: {ast.unparse(node).splitlines()[0]}: {why}")

    # Statements

    def _statements(self, nodes) -> None:
        for node in nodes:
            if self.b.block.is_terminated:
                return
            handler = getattr(self, f"_{type(node).__name__}", None)
            if handler is None:
                self._fail(node, "no statement of the language")
            handler(node)

    def _Expr(self, node):
        if not isinstance(node.value, ast.Constant):  # a docstring
            self._call(node.value)

    def _Pass(self, node):
        pass

    def _Assign(self, node):
        [target] = node.targets
        self._store(target, *self._value(node.value))

    def _AugAssign(self, node):
        value = ast.BinOp(node.target, node.op, node.value)
        ast.copy_location(value, node)
        self._store(node.target, *self._value(value))

    def _store(self, target, value, type_):
        if isinstance(target, ast.Name):
            self._assign(target.id, value, type_)
            return
        address, field_type, sharing = self._field(target)
        if self._atomic(sharing):
            self._fail(target, "is shared: store(value, order)")
        self.b.store(self._as(target, value, type_, field_type), address)

    def _assign(self, name, value, type_):
        if name not in self.locals:
            if type_ is Null:
                self._fail(ast.Name(name, lineno=1), "begins as None, so its type is not known")
            self.locals[name] = self.entry.alloca(_llvm(type_), name=name), type_
        slot, slot_type = self.locals[name]
        self.b.store(self._as(ast.Name(name, lineno=1), value, type_, slot_type), slot)

    def _Return(self, node):
        if node.value is None:
            self._return()
        else:
            self.b.ret(self._as(node, *self._value(node.value), self.result))

    def _return(self):
        if self.coroutine:
            self.b.branch(self.coroutine.finished)
        else:
            self.b.ret_void()

    def _If(self, node):
        known = self._known(node.test)
        if known is not None:
            self._statements(node.body if known else node.orelse)
            return
        then, done = (self.function.append_basic_block(name) for name in ("then", "done"))
        other = self.function.append_basic_block("else") if node.orelse else done
        self.b.cbranch(self._condition(node.test), then, other)
        reached = self._branch(then, node.body, done)
        if node.orelse:
            reached |= self._branch(other, node.orelse, done)
        self.b.position_at_end(done)
        if node.orelse and not reached:
            self.b.unreachable()

    def _branch(self, block, statements, done) -> bool:
        """Translate statements into a block; whether they lead on to `done`."""
        self.b.position_at_end(block)
        self._statements(statements)
        if self.b.block.is_terminated:
            return False
        self.b.branch(done)
        return True

    def _While(self, node):
        test, body, done = (self.function.append_basic_block(n) for n in ("test", "body", "done"))
        self.b.branch(test)
        self.b.position_at_end(test)
        known = self._known(node.test)
        if known:
            self.b.branch(body)
        else:
            self.b.cbranch(self._condition(node.test), body, done)
        self.loops.append((test, done))
        self._branch(body, node.body, test)
        self.loops.pop()
        self.b.position_at_end(done)
        if known and not self._leaves(node.body):
            self.b.unreachable()

    @staticmethod
    def _leaves(statements) -> bool:
        """Whether a loop of these may be left by `break`."""
        inner = [s for s in statements if not isinstance(s, ast.While | ast.For)]
        return any(isinstance(n, ast.Break) for s in inner for n in ast.walk(s))

    def _For(self, node):
        """`for name in range(end)`; the name is the loop's own."""
        [end] = node.iter.args
        number = node.target.id
        self._assign(number, word(0), Word)
        stop = self._as(end, *self._value(end), Word)
        test, body, step, done = (
            self.function.append_basic_block(n) for n in ("test", "body", "step", "done")
        )
        slot, _ = self.locals[number]
        self.b.branch(test)
        self.b.position_at_end(test)
        self.b.cbranch(self.b.icmp_unsigned("<", self.b.load(slot, typ=I64), stop), body, done)
        self.loops.append((step, done))
        self._branch(body, node.body, step)
        self.loops.pop()
        self.b.position_at_end(step)
        self.b.store(self.b.add(self.b.load(slot, typ=I64), word(1)), slot)
        self.b.branch(test)
        self.b.position_at_end(done)

    def _Break(self, node):
        self.b.branch(self.loops[-1][1])

    def _Continue(self, node):
        self.b.branch(self.loops[-1][0])

    # Expressions

    def _known(self, node):
        """A condition that the constants decide; None for others."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            known = self._known(node.operand)
            return None if known is None else not known
        if isinstance(node, ast.BoolOp):
            known, deciding = self._known(node.values[0]), isinstance(node.op, ast.Or)
            return known if known is deciding else None
        if isinstance(node, ast.Constant):
            return bool(node.value)
        if isinstance(node, ast.Name) and node.id not in self.locals:
            return bool(self._global(node))
        return None

    def _global(self, node):
        if node.id in self.translator.constants:
            return self.translator.constants[node.id]
        try:
            return self.source.__globals__[node.id]
        except KeyError:
            self._fail(node, "is not known")

    def _value(self, node) -> tuple[ir.Value, object]:
        match node:
            case ast.Constant(value=None):
                return ir.Constant(POINTER, None), Null
            case ast.Constant(value=int()):
                return word(node.value), Word
            case ast.Name() if node.id in self.locals:
                slot, type_ = self.locals[node.id]
                return self.b.load(slot, typ=_llvm(type_)), type_
            case ast.Name():
                value = self._global(node)
                if isinstance(value, FunctionType):
                    return self.translator.function(value), Code
                return word(int(value)), Word
            case ast.Attribute(value=ast.Name()) if node.value.id not in self.locals:
                return word(int(getattr(self._global(node.value), node.attr))), Word
            case ast.Attribute() | ast.Subscript():
                address, type_, sharing = self._field(node)
                if isinstance(type_, Structure) and sharing is None:
                    return address, type_  # embedded: its address
                if self._atomic(sharing):
                    self._fail(node, "is shared: load(order)")
                return self.b.load(address, typ=_llvm(type_)), type_
            case ast.BinOp():
                left = self._as(node, *self._value(node.left), Word)
                right = self._as(node, *self._value(node.right), Word)
                return getattr(self.b, _ARITHMETIC[type(node.op)])(left, right), Word
            case ast.UnaryOp(op=ast.Invert()):
                return self.b.not_(self._as(node, *self._value(node.operand), Word)), Word
            case ast.UnaryOp(op=ast.USub()):
                return self.b.neg(self._as(node, *self._value(node.operand), Word)), Word
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return self._condition(node), Bool
            case ast.Call():
                result = self._call(node)
                if result is None:
                    self._fail(node, "has no result")
                return result
        return self._fail(node, "no expression of the language")

    def _condition(self, node) -> ir.Value:
        match node:
            case ast.UnaryOp(op=ast.Not()):
                return self.b.not_(self._condition(node.operand))
            case ast.BoolOp():
                return self._both_or_either(node)
            case ast.Compare():
                [operator], [right] = node.ops, node.comparators
                (a, left_type), (b, right_type) = self._value(node.left), self._value(right)
                if Null not in (left_type, right_type) and left_type is not right_type:
                    self._fail(node, f"compares {left_type} with {right_type}")
                return self.b.icmp_unsigned(_COMPARISONS[type(operator)], a, b)
        value, type_ = self._value(node)
        if type_ is Bool:
            return value
        zero = word(0) if type_ is Word else ir.Constant(POINTER, None)
        return self.b.icmp_unsigned("!=", value, zero)

    def _both_or_either(self, node) -> ir.Value:
        """Short-circuit: the right side is looked at only if the left does not decide."""
        done = self.function.append_basic_block("decided")
        both = isinstance(node.op, ast.And)
        incoming = []
        for value in node.values[:-1]:
            more = self.function.append_basic_block("more")
            condition = self._condition(value)
            incoming.append((ir.Constant(I1, not both), self.b.block))
            self.b.cbranch(condition, *((more, done) if both else (done, more)))
            self.b.position_at_end(more)
        incoming.append((self._condition(node.values[-1]), self.b.block))
        self.b.branch(done)
        self.b.position_at_end(done)
        result = self.b.phi(I1)
        for value, block in incoming:
            result.add_incoming(value, block)
        return result

    def _as(self, node, value, type_, wanted) -> ir.Value:
        """A value of the type that is wanted; a comparison counts as 0 or 1."""
        if type_ is Bool and wanted is Word:
            return self.b.zext(value, I64)
        if type_ is wanted or (type_ is Null and wanted is not Word):
            return value
        return self._fail(node, f"is {type_}, not {wanted}")

    # Fields

    def _field(self, node) -> tuple[ir.Value, object, Sharing | None]:
        """The address of a field, its type, and its sharing: None for an embedded structure."""
        if isinstance(node, ast.Subscript):
            address, type_, sharing = self._field(node.value)
            index = self._as(node, *self._value(node.slice), Word)
            return self.b.gep(address, [index], inbounds=True, source_etype=I64), type_, sharing
        if not isinstance(node, ast.Attribute):
            self._fail(node, "no field")
        owner, structure = self._value(node.value)
        if not isinstance(structure, Structure) or node.attr not in structure.places:
            self._fail(node, f"{structure} has no such field")
        place = structure.places[node.attr]
        offset = word(place.offset)
        address = self.b.gep(owner, [offset], inbounds=True, source_etype=I8)
        embedded = isinstance(place.field.type, Structure)
        return address, type_of(place.field), None if embedded else place.field.sharing

    def _atomic(self, sharing) -> bool:
        return sharing not in (None, Sharing.OWNED)

    def _operation(self, name, target, arguments, node):
        """An access to a shared field."""
        address, type_, sharing = self._field(target)
        if not self._atomic(sharing):
            self._fail(node, "is an operation on a shared field")
        real = self.translator.parallel or sharing is Sharing.ANYBODY
        values = [
            self._as(a, *self._value(a), type_)
            for a in arguments
            if not (isinstance(a, ast.Name) and a.id in Order.__members__)
        ]
        orders = [
            Order[a.id].value
            for a in arguments
            if isinstance(a, ast.Name) and a.id in Order.__members__
        ]
        b, llvm_type = self.b, _llvm(type_)
        match name, values, orders:
            case "load", [], [order]:
                if real:
                    return b.load_atomic(address, order, 8, typ=llvm_type), type_
                return b.load(address, typ=llvm_type), type_
            case "store", [value], [order]:
                if real:
                    # The builder's own method looks into the pointer's type.
                    b._insert(StoreAtomicInstr(b.block, value, address, order, 8))
                else:
                    b.store(value, address)
                return None
            case "exchange" | "fetch_add", [value], []:
                if real:
                    operation = "xchg" if name == "exchange" else "add"
                    return b.atomic_rmw(operation, address, value, "seq_cst"), type_
                old = b.load(address, typ=llvm_type)
                b.store(value if name == "exchange" else b.add(old, value), address)
                return old, type_
            case "compare_exchange", [expected, new], []:
                if real:
                    done = b.cmpxchg(address, expected, new, "seq_cst", "seq_cst")
                    return b.extract_value(done, 1), Bool
                old = b.load(address, typ=llvm_type)
                equal = b.icmp_unsigned("==", old, expected)
                b.store(b.select(equal, new, old), address)
                return equal, Bool
        return self._fail(node, "no operation of the language")

    # Calls

    def _call(self, node):
        if not isinstance(node, ast.Call):
            self._fail(node, "does nothing")
        if isinstance(node.func, ast.Attribute):
            return self._operation(node.func.attr, node.func.value, node.args, node)
        called = self._global(node.func)
        if isinstance(called, Intrinsic):
            return getattr(self, f"_{called.name}")(*node.args)
        values = [self._value(argument) for argument in node.args]
        if isinstance(called, External):
            types = [] if called.variadic else [_llvm(type_) for _, type_ in values]
            function = self.translator.declared(called.name, I64, types, called.variadic)
            return self.b.call(function, [value for value, _ in values]), Word
        if called is Word:
            [(value, type_)] = values
            return (value if type_ is Word else self.b.ptrtoint(value, I64)), Word
        if isinstance(called, Structure) or called in (Code, Frame):
            [(value, type_)] = values
            return (self.b.inttoptr(value, POINTER) if type_ is Word else value), called
        function = self.translator.function(called, self.source)
        parameters, result = signature(called)
        arguments = [
            self._as(node, *value, type_)
            for value, type_ in zip(values, parameters.values(), strict=True)
        ]
        value = self.b.call(function, arguments)
        return None if result is None else (value, result)

    def _fence(self):
        if self.translator.parallel:
            self.b.fence("seq_cst")

    def _pause(self):
        self._tell_core(_PAUSES)

    def _tell_core(self, instructions):
        # Intrinsics of LLVM's: an assembler for the other architectures may not be at hand.
        instruction = instructions.get(self.translator.architecture)
        if instruction:
            name, operands = instruction
            types = [operand.type for operand in operands]
            self.b.call(self.translator.declared(name, VOID, types), operands)

    def _cycles(self):
        # On aarch64 the cycle counter is the kernel's own; the steady one ticks more slowly.
        arm = self.translator.architecture in ("aarch64", "arm64")
        name = "llvm.readsteadycounter" if arm else "llvm.readcyclecounter"
        return self.b.call(self.translator.declared(name, I64, []), []), Word

    def _instant(self):
        self._tell_core(_BARRIERS)
        return self._cycles()

    def _suspend(self):
        self.coroutine.suspend(self)

    def _resume(self, frame):
        resume = self.translator.declared("llvm.coro.resume", VOID, [POINTER])
        self.b.call(resume, [self._as(frame, *self._value(frame), Frame)])

    def _start(self, code, worker, task):
        address = self._as(code, *self._value(code), Code)
        type_ = ir.FunctionType(VOID, [POINTER, POINTER])
        # The builder calls typed pointers only, and finds that none differs from another.
        target = CastInstr(self.b.block, "bitcast", address, type_.as_pointer())
        self.b._insert(target)
        self.b.call(target, [self._value(worker)[0], self._value(task)[0]])

    def _address(self, node):
        return self.b.inttoptr(self._as(node, *self._value(node), Word), POINTER)

    def _word_at(self, address):
        return self.b.load(self._address(address), typ=I64), Word

    def _put_at(self, address, value):
        self.b.store(self._as(value, *self._value(value), Word), self._address(address))

    def _trailing_zeros(self, number):
        value = self._as(number, *self._value(number), Word)
        count = self.translator.declared("llvm.cttz.i64", I64, [I64, I1])
        return self.b.call(count, [value, ir.Constant(I1, 1)]), Word

    def _size_of(self, name):
        return word(self._global(name).bytes), Word

    def _address_of(self, node):
        address, _, _ = self._field(node)
        return self.b.ptrtoint(address, I64), Word


class _Coroutine:
    """The parts of a body that make it a coroutine. Its parameters are the worker that runs it
    first and its task, whose frame it sets."""

    def __init__(self, body: _Body):
        self.body = body
        translator, b, function = body.translator, body.b, body.function
        # llvmlite knows no attribute of this name.
        set.add(function.attributes, "presplitcoroutine")
        null = ir.Constant(POINTER, None)
        begin = translator.declared("llvm.coro.id", TOKEN, [I32, POINTER, POINTER, POINTER])
        self.identity = b.call(begin, [ir.Constant(I32, 64), null, null, null])
        self.size = translator.declared("llvm.coro.size.i64", I64, [])
        worker, _ = function.args
        frames = translator.frames
        room = b.call(translator.function(frames.allocate), [worker, b.call(self.size, [])])
        got, none = function.append_basic_block("frame"), function.append_basic_block("none")
        b.cbranch(b.icmp_unsigned("!=", room, word(0)), got, none)
        b.position_at_end(none)
        b.call(translator.function(frames.no_memory), [worker])
        self.left = function.append_basic_block("left")
        out = function.append_basic_block("out")
        b.branch(out)
        b.position_at_end(got)
        make = translator.declared("llvm.coro.begin", POINTER, [TOKEN, POINTER])
        self.frame = b.call(make, [self.identity, b.inttoptr(room, POINTER)])
        task = body.locals["task"][0]
        offset = word(Structure.known["Task"].offset("frame"))
        place = b.gep(b.load(task, typ=POINTER), [offset], inbounds=True, source_etype=I8)
        b.store(self.frame, place)
        self.finished = function.append_basic_block("finished")
        ir.IRBuilder(out).ret_void()

    def suspend(self, body: _Body) -> None:
        suspend = body.translator.declared("llvm.coro.suspend", I8, [TOKEN, I1])
        way = body.b.call(suspend, [NO_TOKEN, ir.Constant(I1, 0)])
        again = body.function.append_basic_block("again")
        switch = body.b.switch(way, self.left)
        switch.add_case(ir.Constant(I8, 0), again)
        switch.add_case(ir.Constant(I8, 1), self.finished)
        body.b.position_at_end(again)

    def close(self) -> None:
        """At the end the frame goes back to the worker that the task is on then."""
        body, translator = self.body, self.body.translator
        b = ir.IRBuilder(self.finished)
        free = translator.declared("llvm.coro.free", POINTER, [TOKEN, POINTER])
        room = b.ptrtoint(b.call(free, [self.identity, self.frame]), I64)
        task = b.load(body.locals["task"][0], typ=POINTER)
        offset = word(Structure.known["Task"].offset("worker"))
        place = b.gep(task, [offset], inbounds=True, source_etype=I8)
        worker = b.load(place, typ=POINTER)
        give_back = translator.function(translator.frames.give_back)
        b.call(give_back, [worker, room, b.call(self.size, [])])
        b.branch(self.left)
        b = ir.IRBuilder(self.left)
        end = translator.declared("llvm.coro.end", VOID, [POINTER, I1, TOKEN])
        b.call(end, [self.frame, ir.Constant(I1, 0), NO_TOKEN])
        b.ret_void()
