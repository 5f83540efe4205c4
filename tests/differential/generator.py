"""Valid .vm programs for hypothesis: every instruction, nested control flow, calls, traps; and, if
asked for, tasks and channels.

The text is generated with the types of the operand stack in mind, so that the verifier accepts it.
Values are not looked at: divisions by zero, indices out of range, endless loops and endless
recursion come about by themselves; and so do deadlocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from vmlab.isa import COROUTINES, OPCODES, TASKS, VARIANTS, Type

INT, FLOAT = Type.INT, Type.FLOAT
ARRAYS = {Type.INT_ARRAY: INT, Type.FLOAT_ARRAY: FLOAT}

INTS = st.one_of(
    st.integers(-3, 8),
    st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 2**31, 63, 64, 65, -64]),
    st.integers(-(2**63), 2**63 - 1),
)
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.5, 0.1, 1e300, -1e300, 5e-324, 2.0**63, -(2.0**63)]),
    st.floats(),
)
NUMBERS = {INT: INTS, FLOAT: FLOATS}
CHANNELS = {Type.INT_CHANNEL: INT, Type.FLOAT_CHANNEL: FLOAT}
DATA = [INT, FLOAT, *ARRAYS]
NAMES = {
    INT: "i",
    FLOAT: "f",
    Type.INT_ARRAY: "ia",
    Type.FLOAT_ARRAY: "fa",
    Type.TASK: "t",
    Type.INT_TASK: "it",
    Type.FLOAT_TASK: "ft",
    Type.INT_CHANNEL: "ic",
    Type.FLOAT_CHANNEL: "fc",
}

# Functions to spawn where nothing else makes a task of the type.
PLAIN_TASKS = {
    Type.TASK: "func idle()\n    yield\n    ret\nend\n",
    Type.INT_TASK: "func seven() -> int\n    yield\n    push 7\n    ret\nend\n",
    Type.FLOAT_TASK: "func half() -> float\n    push 0.5\n    ret\nend\n",
}

# What computes a result from typed operands without an operand of its own: from the table, so that
# a new instruction is generated without a word here.
COMPUTING = {
    type_: [
        variant
        for variant in VARIANTS.values()
        if variant.opcode.operand is None
        and variant.opcode.group != COROUTINES
        and variant.effect.pushes == (type_.value,)
        and set(variant.effect.pops) <= set(Type)
    ]
    for type_ in (INT, FLOAT)
}


def literal(value: int | float) -> str:
    return repr(value)


@dataclass
class FunctionText:
    """A function that is being written. `visible` maps a type to the names of its locals."""

    name: str
    params: list[Type]
    result: Type | None
    visible: dict[Type, list[str]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    labels: int = 0
    targets: list[str] = field(default_factory=list)

    def label(self) -> str:
        self.labels += 1
        return f"l{self.labels}"


class Writer:
    """Writes one program; `draw` is hypothesis's. `coroutines`: whether it has tasks."""

    def __init__(self, draw, coroutines: bool) -> None:
        self.draw = draw
        self.coroutines = coroutines
        self.types = list(Type) if coroutines else DATA
        types = draw(st.lists(st.sampled_from(self.types), max_size=4))
        self.globals = [(f"g{n}", type_) for n, type_ in enumerate(types)]
        if coroutines:
            self.globals += [(f"c{n}", type_) for n, type_ in enumerate(CHANNELS)]
        count = draw(st.integers(1, 3) if coroutines else st.integers(0, 2))
        self.functions = [self._signature(n) for n in range(count)]
        self.room = draw(
            st.integers(5, 120 if coroutines else 40)
        )  # statements and operators still to be written

    def _signature(self, number: int) -> FunctionText:
        params = self.draw(st.lists(st.sampled_from(self.types), max_size=3))
        results = [None, *self.types, *(TASKS if self.coroutines else ())]
        result = self.draw(st.sampled_from(results))
        return FunctionText(f"f{number}", params, result)

    def choose(self, *options):
        return self.draw(st.sampled_from(options))

    def program(self) -> str:
        main = FunctionText(
            "main",
            self.draw(st.lists(st.sampled_from([INT, FLOAT]), max_size=2)),
            self.choose(None, INT, FLOAT),
        )
        text = list(PLAIN_TASKS.values()) if self.coroutines else []
        for name, type_ in self.globals:
            value = f" = {literal(self.draw(NUMBERS[type_]))}" if type_ in NUMBERS else ""
            text.append(f"global {name}: {type_.value}{value}")
        share = self.room // (1 + len(self.functions))
        for function in [*self.functions, main]:
            self.room = share
            text.append(self._function(function))
        return "\n".join(text)

    def _function(self, f: FunctionText) -> str:
        header = []
        for number, type_ in enumerate(f.params):
            name = f"p{number}"
            default = ""
            if f.name == "main":
                default = f" = {literal(self.draw(NUMBERS[type_]))}"
            header.append(f"{name}: {type_.value}{default}")
            f.visible.setdefault(type_, []).append(name)
        declared = []
        for type_ in self.draw(st.lists(st.sampled_from(self.types), max_size=4)):
            name = f"{NAMES[type_]}{len(declared)}"
            declared.append(f"    local {name}: {type_.value}")
            f.visible.setdefault(type_, []).append(name)
        self.f = f
        if f.name == "main" and self.coroutines:
            self._begin()
            for _ in range(2):
                self.block(depth=0)
                self.emit("yield")
        self.block(depth=0)
        if f.result:
            self.value(f.result, 0)
        self.emit("ret")
        arrow = f" -> {f.result.value}" if f.result else ""
        return "\n".join(
            [f"func {f.name}({', '.join(header)}){arrow}", *declared, *f.lines, "end", ""]
        )

    def _begin(self) -> None:
        """Channels for all, and tasks that may use them."""
        for name, type_ in self.globals:
            if name.startswith("c"):
                self.emit(f"push {self.draw(st.integers(0, 3))}", f"chan {CHANNELS[type_].value}")
                self.emit(f"gstore {name}")
        for _ in range(self.draw(st.integers(0, 5))):
            self.do_spawn(0)
        self.emit("yield")

    def emit(self, *instructions: str) -> None:
        self.f.lines += [f"    {instruction}" for instruction in instructions]

    def place(self, label: str) -> None:
        self.f.lines.append(f"{label}:")

    # Statements: the operand stack is as before afterwards

    def block(self, depth: int) -> None:
        for _ in range(self.draw(st.integers(0, 4))):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        self.room -= 1
        kinds = ["store", "gstore", "print", "astore", "stack", "call", "drop"]
        if self.room > 0 and depth < 3:
            kinds += ["if", "while", "until", "counted", "goto", "return"]
        if self.coroutines:
            kinds += ["spawn", "join", "yield", "send", "send", "recv", "recv", "close"]
        getattr(self, "do_" + self.choose(*kinds))(depth)

    def do_store(self, depth: int) -> None:
        if not self.f.visible:
            return
        type_ = self.choose(*self.f.visible)
        self.value(type_, depth)
        self.emit(f"store {self.choose(*self.f.visible[type_])}")

    def do_gstore(self, depth: int) -> None:
        if self.globals:
            name, type_ = self.choose(*self.globals)
            self.value(type_, depth)
            self.emit(f"gstore {name}")

    def do_print(self, depth: int) -> None:
        self.value(self.choose(INT, FLOAT), depth)
        self.emit("print")

    def do_astore(self, depth: int) -> None:
        array = self.choose(*ARRAYS)
        self.value(array, depth)
        self.value(INT, depth)
        self.value(ARRAYS[array], depth)
        self.emit("astore")

    def do_drop(self, depth: int) -> None:
        self.value(self.choose(*self.types), depth)
        self.emit("pop")

    def do_stack(self, depth: int) -> None:
        """Moves words of any types about, and drops or prints what comes of it."""
        types = [self.choose(*self.types) for _ in range(3)]
        for type_ in types:
            self.value(type_, depth + 1)
        for _ in range(self.draw(st.integers(1, 4))):
            move = self.choose("dup", "swap", "over", "rot")
            effect = OPCODES[move].effects[0]
            popped = types[len(types) - len(effect.pops) :]
            del types[len(types) - len(effect.pops) :]
            types += [popped[effect.pops.index(word)] for word in effect.pushes]
            self.emit(move)
        while types:
            self.emit(self.choose("pop", "print") if types.pop() in NUMBERS else "pop")

    def do_call(self, depth: int) -> None:
        if self.functions:
            function = self.choose(*self.functions)
            self.call(function, depth)
            if function.result:
                self.emit("pop")

    def call(self, function: FunctionText, depth: int) -> None:
        self.pass_to("call", function, depth)

    def pass_to(self, instruction: str, function: FunctionText, depth: int) -> None:
        for type_ in function.params:
            self.value(type_, depth + 1)
        self.emit(f"{instruction} {function.name}")

    # Tasks

    def spawnable(self) -> list[FunctionText]:
        return [f for f in self.functions if f.result in TASKS]

    def do_spawn(self, depth: int) -> None:
        if functions := self.spawnable():
            self.pass_to("spawn", self.choose(*functions), depth)
            self.emit("pop")

    def do_join(self, depth: int) -> None:
        result = self.choose(*TASKS)
        self.value(TASKS[result], depth)
        self.emit("join")
        if result is not None:
            self.emit(self.choose("pop", "print"))

    def do_yield(self, depth: int) -> None:
        self.emit("yield")

    def do_send(self, depth: int) -> None:
        channel = self.choose(*CHANNELS)
        self.value(channel, depth)
        self.value(CHANNELS[channel], depth)
        self.emit("send")

    def do_recv(self, depth: int) -> None:
        self.value(self.choose(*CHANNELS), depth)
        self.emit("recv", "print", "print")

    def do_close(self, depth: int) -> None:
        self.value(self.choose(*CHANNELS), depth)
        self.emit("close")

    def do_if(self, depth: int) -> None:
        other, end = self.f.label(), self.f.label()
        self.value(INT, depth)
        self.emit(f"{self.choose('jz', 'jnz')} {other}")
        self.block(depth + 1)
        self.emit(f"jmp {end}")
        self.place(other)
        self.block(depth + 1)
        self.place(end)

    def do_while(self, depth: int) -> None:
        head, end = self.f.label(), self.f.label()
        self.place(head)
        self.value(INT, depth)
        self.emit(f"{self.choose('jz', 'jnz')} {end}")
        self.block(depth + 1)
        self.emit(f"jmp {head}")
        self.place(end)

    def do_until(self, depth: int) -> None:
        head = self.f.label()
        self.place(head)
        self.block(depth + 1)
        self.value(INT, depth)
        self.emit(f"{self.choose('jz', 'jnz')} {head}")

    def do_counted(self, depth: int) -> None:
        """A loop that ends: it counts on the operand stack, under whatever the body does."""
        head, end = self.f.label(), self.f.label()
        self.emit(f"push {self.draw(st.integers(0, 20))}")
        self.place(head)
        self.emit("dup", f"jz {end}", "push 1", "sub")
        self.block(depth + 1)
        self.emit(f"jmp {head}")
        self.place(end)
        self.emit("pop")

    def do_goto(self, depth: int) -> None:
        """A jump to anywhere that the operand stack is empty, irreducible loops included."""
        if depth == 0:
            label = self.f.label()
            self.f.targets.append(label)
            self.place(label)
            self.value(INT, depth)
            self.emit(f"{self.choose('jz', 'jnz')} {self.choose(*self.f.targets)}")

    def do_return(self, depth: int) -> None:
        if depth == 0:
            after = self.f.label()
            self.value(INT, depth)
            self.emit(f"jz {after}")
            if self.f.result:
                self.value(self.f.result, depth)
            self.emit("ret")
            self.place(after)

    # Values: one word more on the operand stack afterwards

    def value(self, type_: Type, depth: int) -> None:
        self.room -= 1
        kinds = ["leaf", "leaf"]
        if self.room > 0 and depth < 4:
            kinds += ["computed", "computed", "chosen"]
            if any(f.result is type_ for f in self.functions):
                kinds.append("called")
        match self.choose(*kinds):
            case "leaf":
                self.leaf(type_)
            case "computed":
                self.computed(type_, depth + 1)
            case "chosen":
                self.chosen(type_, depth + 1)
            case "called":
                self.call(self.choose(*(f for f in self.functions if f.result is type_)), depth + 1)

    def leaf(self, type_: Type) -> None:
        sources = [f"load {name}" for name in self.f.visible.get(type_, [])]
        sources += [f"gload {name}" for name, its in self.globals if its is type_]
        if sources and self.draw(st.booleans()):
            self.emit(self.choose(*sources))
        elif type_ in ARRAYS:
            self.emit(f"push {self.draw(st.integers(-1, 40))}", f"newarr {ARRAYS[type_].value}")
        elif type_ in CHANNELS:
            self.emit(f"push {self.draw(st.integers(-1, 9))}", f"chan {CHANNELS[type_].value}")
        elif type_ in PLAIN_TASKS:
            self.emit(f"spawn {PLAIN_TASKS[type_][5:].partition('(')[0]}")
        else:
            self.emit(f"push {literal(self.draw(NUMBERS[type_]))}")

    def computed(self, type_: Type, depth: int) -> None:
        if type_ in ARRAYS:
            self.value(INT, depth)
            # Keeps arrays small: the heap's limit has tests of its own.
            self.emit("push 63", "and", f"newarr {ARRAYS[type_].value}")
            return
        if type_ in CHANNELS:
            self.value(INT, depth)
            self.emit("push 15", "and", f"chan {CHANNELS[type_].value}")
            return
        if type_ in PLAIN_TASKS:
            functions = [f for f in self.spawnable() if TASKS[f.result] is type_]
            if functions:
                self.pass_to("spawn", self.choose(*functions), depth)
            else:
                self.leaf(type_)
            return
        variant = self.choose(*COMPUTING[type_])
        for word in variant.effect.pops:
            self.value(Type(word), depth)
        self.emit(variant.opcode.name)

    def chosen(self, type_: Type, depth: int) -> None:
        """One of two values, by a condition: operands that live across basic blocks."""
        other, end = self.f.label(), self.f.label()
        self.value(INT, depth)
        self.emit(f"{self.choose('jz', 'jnz')} {other}")
        self.value(type_, depth)
        self.emit(f"jmp {end}")
        self.place(other)
        self.value(type_, depth)
        self.place(end)


@st.composite
def programs(draw, coroutines: bool = False) -> str:
    return Writer(draw, coroutines).program()
