"""Three-address code, made from the stack code of a verified program.

The operand stack is interpreted abstractly: a load or a push emits nothing, but notes where its
value can be found, and the instruction that pops the value takes it from there; a store becomes the
destination of what computed the value. (Shi, Casey, Ertl and Gregg, "Virtual machine showdown:
stack versus registers", ACM TACO 2008; the code is in the style of Ierusalimschy, de Figueiredo and
Celes, "The implementation of Lua 5.0", 2005.)

What an operation computes is also handed on to the next one, in a register of the machine: the
accumulator. A value that is used once and at once is nowhere else.

The registers of a function are the words of its frame: first its slots, then a register for each
height of the operand stack, its *home*. Where paths meet, every operand is at home. A local that is
stored to while operands still mean its old value is copied first. Where control may go elsewhere,
to a callee or another task, all operands that the instruction pops are at home.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product

from vmlab.blocks import basic_blocks
from vmlab.isa import COROUTINES, OPCODES, VARIANTS, Flow, Operand, Type, Variant
from vmlab.kernels.semantics import SEMANTICS
from vmlab.program import Number, Program


@dataclass(frozen=True, slots=True)
class Register:
    """A word of the frame, by its index."""

    index: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that stands in the code itself."""

    number: Number


@dataclass(frozen=True, slots=True)
class Accumulator:
    """What the operation before has computed: it is in a register, and at hand, too."""

    register: Register


Source = Register | Constant | Accumulator


@dataclass(slots=True)
class Operation:
    """An instruction of three-address code.

    variants  the stack instructions that compute, one after the other; none for a move
    sources   what the first of them pop, the top last
    results   where what is left in the end goes, the top last; to the accumulator alone if the
              next operation takes it from there and nobody else wants it
    operand   the operand of the stack instruction that has one: a global, a callee, an instruction
    window    if its flow is one of `WINDOWED`: the home of the first operand that it pops
    before    the stack instructions that it stands for, up to the one that may trap
    after     those behind
    """

    variants: tuple[Variant, ...]
    sources: tuple[Source, ...] = ()
    results: tuple[Register | Accumulator, ...] = ()
    operand: int | None = None
    window: int = 0
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)

    @property
    def flow(self) -> Flow:
        return self.variants[-1].opcode.flow if self.variants else Flow.NEXT

    @property
    def name(self) -> str:
        return name_of(self.variants, kinds_of(self.sources), kinds_of(self.results))


@dataclass(frozen=True)
class RegisterCode:
    """A function. `starts` tells where the code of a stack instruction begins that is jumped to,
    as an index of `operations`."""

    operations: list[Operation]
    starts: dict[int, int]

    def is_backward(self, at: int) -> bool:
        """Whether the operation jumps to itself or to one before it."""
        operation = self.operations[at]
        return operation.flow in (Flow.JUMP, Flow.BRANCH) and self.starts[operation.operand] <= at


def translate(program: Program) -> list[RegisterCode]:
    """All functions, without what no path leads to."""
    return [_Translation(program, index).code() for index in range(len(program.functions))]


# Which operations there are

KINDS = {Register: "r", Constant: "k", Accumulator: "a"}
REGISTER, CONSTANT, ACCUMULATOR = KINDS.values()


def kinds_of(sources: Sequence[Source]) -> str:
    return "".join(KINDS[type(source)] for source in sources)


def name_of(variants: Sequence[Variant], kinds: str, results: str) -> str:
    """The name of an operation with sources and results of these kinds: add.int.rk, but add.int.rk>
    if the result goes to the accumulator alone."""
    computes = "+".join(variant.name for variant in variants) or ("move" if kinds else "nop")
    name = f"{computes}.{kinds}" if kinds else computes
    return f"{name}>" if results == ACCUMULATOR else name


# What makes an operation of two instructions: a comparison, and the branch on its result.
COMPARISONS = [v for v in VARIANTS.values() if v.opcode.group == "comparison"]
BRANCHES = [v for v in VARIANTS.values() if v.opcode.flow is Flow.BRANCH]
OPPOSITE = {VARIANTS["jz"]: VARIANTS["jnz"], VARIANTS["jnz"]: VARIANTS["jz"]}

# Stack instructions that only say where values come from and go to.
_FORWARDED = {"push", "load", "store"}


def _only_moves(variant: Variant) -> bool:
    return variant.opcode.group == "stack" or variant.name in _FORWARDED


# What goes on elsewhere: it finds the operands at home, which may be a callee's first registers,
# and there it leaves what it pushes. Only a return hands that on in the accumulator.
WINDOWED = (Flow.CALL, Flow.SPAWN, Flow.SWITCH)


def operation_kinds(tasks: bool) -> Iterator[tuple[tuple[Variant, ...], str, str]]:
    """The variants, kinds of sources, and kinds of results, of all operations there are; `tasks`
    says whether those of coroutines are among them."""
    yield (), "", ""
    yield (VARIANTS["swap"],), 2 * REGISTER, 2 * REGISTER
    computing = [
        (variant,)
        for opcode in OPCODES.values()
        for variant in opcode.variants
        if not _only_moves(variant) and (tasks or opcode.group != COROUTINES)
    ]
    branching = [(comparison, branch) for comparison in COMPARISONS for branch in BRANCHES]
    for variants in [(), *computing, *branching]:
        last = variants[-1] if variants else None
        results = last is None or (last.effect.pushes and last.opcode.flow not in WINDOWED)
        for kinds in accepted(variants):
            for result in (REGISTER, ACCUMULATOR) if results else ("",):
                yield variants, kinds, result


@cache
def accepted(variants: tuple[Variant, ...]) -> tuple[str, ...]:
    """The kinds of sources with which there is an operation: registers, of which any one can be
    the accumulator, and any one a constant if it stands beside something else or is only passed
    on. A comparison has its constant on the right, where programs write it."""
    if not variants:
        return tuple(KINDS.values())
    first = variants[0]
    if first.opcode.flow is Flow.RETURN:
        return "", *KINDS.values()
    if first.opcode.flow in WINDOWED:
        return ("",)
    if first.opcode.group == "stack":
        return (2 * REGISTER,)
    pops = first.effect.pops
    constants = [
        at
        for at, type_ in enumerate(pops)
        if type_ == "T" or (len(pops) > 1 and type_ in (Type.INT, Type.FLOAT))
    ]
    if first in COMPARISONS:
        if len(variants) == 1:  # few programs compare other than for a branch
            return (2 * REGISTER,)
        constants = constants[-1:]
    return tuple(
        "".join(kinds)
        for kinds in product(KINDS.values(), repeat=len(pops))
        if kinds.count(CONSTANT) <= 1
        and kinds.count(ACCUMULATOR) <= 1
        and (CONSTANT not in kinds or kinds.index(CONSTANT) in constants)
    )


# A loop's test that is at most so many instructions long is repeated at the loop's end.
REPEATED_TEST = 16


class _Translation:
    """The translation of a function. `depth` is the height of the operand stack; `away` has the
    sources of those operands that are not at home, by their height, and `holders` the heights by
    the register."""

    def __init__(self, program: Program, index: int):
        self.program = program
        self.function = program.functions[index]
        self.map = program.stack_maps[index]
        self.first_home = len(self.function.slots)
        self.operations: list[Operation] = []
        self.starts: dict[int, int] = {}
        self.depth = 0
        self.away: dict[int, Source] = {}
        self.holders: dict[Register, set[int]] = {}
        self.pending: list[int] = []  # stack instructions that no operation stands for yet
        self.last: Operation | None = None  # the one before, if control comes straight from it
        self.computed: Register | None = None  # whose value is in the accumulator, too

    def code(self) -> RegisterCode:
        blocks = basic_blocks(self.function)
        self._clear_locals(blocks[0].stop)
        for block in blocks:
            if self.map.reachable[block.start]:
                self._block(block.start, block.stop)
        return RegisterCode(self.operations, self.starts)

    def _clear_locals(self, end: int) -> None:
        """Locals start with zero; those need none that the first block, up to `end`, stores to
        before it loads them."""
        first_use: dict[int, str] = {}
        for instruction in self.function.code[:end]:
            if instruction.opcode.operand is Operand.LOCAL:
                first_use.setdefault(instruction.target, instruction.opcode.name)
        for slot in range(len(self.function.params), len(self.function.slots)):
            if first_use.get(slot) != "store":
                self._move(Register(slot), Constant(0))

    def _block(self, start: int, end: int) -> None:
        self.starts[start] = len(self.operations)
        self.depth = self.map.before[start].depth
        self.last = self.computed = None
        at = start
        while at < end:
            at = self._step(at, end)
        if self.function.code[end - 1].opcode.flow in (Flow.NEXT, *WINDOWED):
            self._bring_home(list(self.away))
            self._settle_pending()

    def _settle_pending(self) -> None:
        """What emitted nothing is counted with the operation before, or else with one for that."""
        if self.pending and self.last is not None:
            self.last.after += self.pending
            self.pending = []
        elif self.pending:
            self._emit(Operation(()))

    # The abstract stack

    def _home(self, height: int) -> Register:
        return Register(self.first_home + height)

    def _push(self, source: Source) -> None:
        if source != self._home(self.depth):
            self._send_away(self.depth, source)
        self.depth += 1

    def _pop(self) -> Source:
        self.depth -= 1
        return self._come_back(self.depth)

    def _send_away(self, height: int, source: Source) -> None:
        self.away[height] = source
        if isinstance(source, Register):
            self.holders.setdefault(source, set()).add(height)

    def _come_back(self, height: int) -> Source:
        """Forget where the operand was; that is the result."""
        source = self.away.pop(height, None)
        if source is None:
            return self._home(height)
        if isinstance(source, Register):
            self.holders[source].discard(height)
        return source

    def _heights(self, register: Register) -> list[int]:
        """The operands that are in this register."""
        heights = list(self.holders.get(register, ()))
        height = register.index - self.first_home
        if 0 <= height < self.depth and height not in self.away:
            heights.append(height)
        return heights

    def _replace(self, register: Register, other: Register) -> None:
        """Operands in one register are in another now."""
        for height in self._heights(register):
            self._come_back(height)
            if other != self._home(height):
                self._send_away(height, other)

    def _free(self, height: int, busy: Sequence[Source] = ()) -> Register:
        """A register that holds no operand: this height's home, if that is possible. There is
        always one, since there are as many as there can be operands."""
        count = self.map.max_depth
        for step in range(count):
            register = self._home((height + step) % count)
            if register not in busy and not self._heights(register):
                return register
        raise AssertionError("more operands than the verifier has found")

    # Instructions

    def _step(self, at: int, end: int, jump: int | None = None) -> int:
        """Translate an instruction, and the branch on its result if there is one before `end`; the
        index behind. `jump` is the jump in whose place a loop's test is repeated."""
        instruction = self.function.code[at]
        variant = self.map.variants[at]
        match variant.opcode.flow:
            case Flow.JUMP:
                self._jump(at)
            case Flow.BRANCH:
                self._branch(at, (variant,), jump)
            case Flow.CALL | Flow.SPAWN | Flow.SWITCH:
                self._go_elsewhere(at, variant)
            case Flow.RETURN:
                sources = [self._pop()] if self.function.result else []
                self._emit(Operation((variant,), tuple(sources)), at)
            case _ if variant.name == "push":
                self.pending.append(at)
                self._push(Constant(instruction.operand))
            case _ if variant.name == "load":
                self.pending.append(at)
                self._push(Register(instruction.target))
            case _ if variant.name == "store":
                self._store(at, Register(instruction.target))
            case _ if variant.opcode.group == "stack":
                self.pending.append(at)
                popped = [self._pop() for _ in variant.effect.pops][::-1]
                for source in SEMANTICS[variant.name](None, *popped) or ():
                    self._push(source)
            case _ if variant in COMPARISONS and at + 1 < end and self._is_branch(at + 1):
                self._branch(at + 1, (variant, self.map.variants[at + 1]), jump)
                return at + 2
            case _:
                self._compute(at, variant)
        return at + 1

    def _is_branch(self, at: int) -> bool:
        return self.function.code[at].opcode.flow is Flow.BRANCH

    def _compute(self, at: int, variant: Variant) -> None:
        sources = self._sources((variant,))
        results = [self._free(self.depth)] if variant.effect.pushes else []
        operand = self.function.code[at].operand
        self._emit(
            Operation(
                (variant,), sources, tuple(results), operand if isinstance(operand, int) else None
            ),
            at,
        )
        for register in results:
            self._push(register)

    def _sources(self, variants: tuple[Variant, ...]) -> tuple[Source, ...]:
        """Pop what the first of them pops. Constants are moved to registers where there is no
        operation that takes them as they are."""
        sources = [self._pop() for _ in variants[0].effect.pops][::-1]
        for at, source in enumerate(sources):
            if kinds_of(sources) in accepted(variants):
                break
            if isinstance(source, Constant):
                sources[at] = self._free(self.depth + at, busy=sources)
                self._move(sources[at], source)
        return tuple(sources)

    def _store(self, at: int, local: Register) -> None:
        source = self._pop()
        if source == local:
            self.pending.append(at)
            return
        stale = self._heights(local)
        if not stale and self._is_result_of_last(source):
            # What computed the value puts it into the local, where its copies are then, too.
            self.last.results = (local,)
            self.computed = local
            self._replace(source, local)
            self.last.after += [*self.pending, at]
            self.pending = []
            return
        if stale:
            copy = self._free(min(stale), busy=[source])
            self._move(copy, local)
            self._replace(local, copy)
        self.pending.append(at)
        self._move(local, source)

    def _is_result_of_last(self, source: Source) -> bool:
        return (
            self.last is not None
            and self.last.results == (source,)
            and source.index >= self.first_home
        )

    # Control

    def _jump(self, at: int) -> None:
        """A jump back to a loop's test becomes that test, so that a turn of the loop has one jump
        instead of two."""
        target = self.function.code[at].target
        end = self._end_of_test(target) if target <= at else None
        if end is None:
            self._bring_home(list(self.away))
            self._emit(Operation((self.map.variants[at],), operand=target), at)
            return
        self.pending.append(at)
        while target < end:
            target = self._step(target, end, jump=at)

    def _end_of_test(self, start: int) -> int | None:
        """The end of the test that starts here, behind its branch; None if there is no short
        one."""
        for at in range(start, min(start + REPEATED_TEST, len(self.function.code))):
            match self.function.code[at].opcode.flow:
                case Flow.BRANCH:
                    return at + 1
                case Flow.NEXT:
                    continue
            break
        return None

    def _branch(self, at: int, variants: tuple[Variant, ...], jump: int | None) -> None:
        """Translate a branch, whose comparison is joined with it if there are two variants. In a
        test that is repeated in place of a jump, the branch is the way back, and behind it comes
        a jump the other way."""
        height = self.depth - len(variants[0].effect.pops)
        if any(away < height for away in self.away):
            self._bring_home(list(self.away))
        sources = self._sources(variants)
        taken, following = self.function.code[at].target, at + 1
        if jump is not None and taken > jump:
            variants = (*variants[:-1], OPPOSITE[variants[-1]])
            taken, following = following, taken
        joined = range(at + 1 - len(variants), at + 1)
        self._emit(Operation(variants, sources, operand=taken), *joined)
        if jump is not None:
            self._emit(Operation((VARIANTS["jmp"],), operand=following))

    def _go_elsewhere(self, at: int, variant: Variant) -> None:
        """The operands that it pops, and everything that is in their place or above, go home."""
        target = None
        pops, pushes = len(variant.effect.pops), len(variant.effect.pushes)
        if variant.opcode.operand is Operand.FUNCTION:
            target = self.function.code[at].target
            callee = self.program.functions[target]
            pops = len(callee.params)
            pushes = int(variant.opcode.flow is Flow.SPAWN or callee.result is not None)
        first = self.depth - pops
        self._bring_home(
            height
            for height, source in self.away.items()
            if height >= first or (isinstance(source, Register) and source.index >= self.first_home)
        )
        for _ in range(pops):
            self._pop()
        self._emit(Operation((variant,), operand=target, window=self.first_home + first), at)
        for _ in range(pushes):
            self._push(self._home(self.depth))
        if pushes and variant.opcode.flow is Flow.CALL:
            self.computed = self._home(first)

    # Moves

    def _bring_home(self, heights: Iterable[int]) -> None:
        """Move operands home, all at once: no move overwrites what another one reads. Where they
        form a ring, two registers are exchanged."""
        moves = {self._home(height): self._come_back(height) for height in list(heights)}
        readers = Counter(source for source in moves.values() if source in moves)
        ready = [home for home in moves if not readers[home]]
        while ready:
            home = ready.pop()
            source = moves.pop(home)
            self._move(home, source)
            if source in moves:
                readers[source] -= 1
                if not readers[source]:
                    ready.append(source)
        while moves:
            first = home = next(iter(moves))
            while (source := moves.pop(home)) != first:
                self._emit(Operation((VARIANTS["swap"],), (home, source), (home, source)))
                home = source

    def _move(self, target: Register, source: Source) -> None:
        self._emit(Operation((), (source,), (target,)))

    def _emit(self, operation: Operation, *instructions: int) -> None:
        """Emit an operation that stands for these instructions and those that emitted nothing."""
        self._use_accumulator(operation)
        operation.before = [*self.pending, *instructions]
        self.pending = []
        self.operations.append(operation)
        self.last = operation if operation.flow is Flow.NEXT else None
        if operation.results or operation.flow in WINDOWED:
            self.computed = operation.results[0] if len(operation.results) == 1 else None

    def _use_accumulator(self, operation: Operation) -> None:
        """Take a source from the accumulator if it is there, and from nowhere else if it is
        wanted for nothing else."""
        sources = operation.sources
        at = sources.index(self.computed) if self.computed in sources else None
        if at is None:
            return
        register, others = sources[at], (*sources[:at], *sources[at + 1 :])
        changed = (*sources[:at], Accumulator(register), *sources[at + 1 :])
        if kinds_of(changed) in accepted(operation.variants):
            operation.sources = changed
            # Of several moves home, others may read the same register.
            used_up = operation.variants and register not in others and not self._heights(register)
            if used_up and self._is_result_of_last(register):
                self.last.results = (Accumulator(register),)
