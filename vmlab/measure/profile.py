"""How often a run executes each instruction: exactly, and at the speed of a native engine.

The program itself is made to count: every basic block begins with `gload`, `push 1`, `add`,
`gstore` on a counter of its own, and a new `main` calls the old one and prints the counters. What
runs is an ordinary program, so any engine can run it, and no engine has to know of profiles. This
needs one counter a block and not one an instruction, since a block that is entered is executed to
its end unless the program traps (Knuth and Stevenson, "Optimal measurement points for program
frequency counts", BIT 13, 1973, which does with fewer counters still).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from vmlab.blocks import basic_blocks
from vmlab.diagnostics import ProgramError
from vmlab.engines import EngineUnavailable, find
from vmlab.isa import INT_MAX, MAX_FRAME_WORDS, OPCODES, Operand, Type, Variant
from vmlab.outcome import Limits
from vmlab.program import Function, Instruction, Number, Program, Variable
from vmlab.supervise import Supervisor

# The engine that profiles run on: it compiles nothing for a program.
_ENGINE = "switch"


@dataclass(frozen=True)
class Profile:
    """`executed[f][i]` is how often instruction i of function f was executed."""

    program: Program
    executed: tuple[tuple[int, ...], ...]

    @property
    def instructions(self) -> int:
        """Executed instructions in all."""
        return sum(map(sum, self.executed))

    def variants(self) -> Counter[Variant]:
        """How often each variant of an instruction was executed; none that never was."""
        counts: Counter[Variant] = Counter()
        for stack_map, executed in zip(self.program.stack_maps, self.executed, strict=True):
            for variant, times in zip(stack_map.variants, executed, strict=True):
                if times:
                    counts[variant] += times
        return counts


def profile(
    supervisor: Supervisor, program: Program, args: Sequence[Number], limits: Limits
) -> Profile | None:
    """Run `main`, and count. None if the run traps: then the last blocks were not executed whole.
    Raises `EngineUnavailable` where a frame has no room for that, KeyboardInterrupt on Ctrl-C, and
    TimeoutError after `limits.timeout`."""
    blocks = [basic_blocks(function, calls_end=True) for function in program.functions]
    counters = sum(map(len, blocks))
    roomier = replace(
        limits,
        fuel=None,
        max_depth=min(limits.max_depth + 1, INT_MAX),
        max_output=min(limits.max_output + counters, INT_MAX),
    )
    try:
        executable = find(_ENGINE).build(_instrumented(program, blocks), counting=False)
    except ProgramError:
        raise EngineUnavailable(
            f"a function has {MAX_FRAME_WORDS:,} words of locals and operands, or nearly so: there"
            " is no room for what counting its instructions takes"
        ) from None
    outcome = supervisor.call(executable, args, roomier).outcome
    if outcome.interrupted:
        if not supervisor.timed_out:
            raise KeyboardInterrupt
        raise TimeoutError(f"counting its instructions takes longer than {limits.timeout:g} s")
    if outcome.trap is not None:
        return None
    counts = iter(outcome.output[len(outcome.output) - counters :])
    executed = []
    for of_function in blocks:
        times: list[int] = []
        for block in of_function:
            times += [int(next(counts))] * len(block)
        executed.append(tuple(times))
    return Profile(program, tuple(executed))


def _instrumented(program: Program, blocks: Sequence[Sequence[range]]) -> Program:
    first_counter = len(program.globals)
    firsts = list(accumulate(map(len, blocks), initial=first_counter))
    functions = [
        _counting(function, of_function, first)
        for function, of_function, first in zip(program.functions, blocks, firsts, strict=False)
    ]
    # Names with a dot are no names of the format, and so belong to nobody else.
    functions[program.main_index] = replace(functions[program.main_index], name="main.counted")
    counters = range(first_counter, firsts[-1])
    functions.append(_main(program, counters))
    variables = (Variable(f"block.{index}", Type.INT, 0) for index in counters)
    return replace(
        program,
        globals=(*program.globals, *variables),
        functions=tuple(functions),
        expectations=(),
    )


def _counting(function: Function, blocks: Sequence[range], first: int) -> Function:
    """The function, counting its blocks in the globals from `first` on."""
    counter = {block.start: first + position for position, block in enumerate(blocks)}
    code: list[Instruction] = []
    moved: list[int] = []  # where an instruction, or the counting before it, is now
    for index, instruction in enumerate(function.code):
        moved.append(len(code))
        if index in counter:
            code += [
                _instruction("gload", counter[index]),
                _instruction("push", 1),
                _instruction("add"),
                _instruction("gstore", counter[index]),
            ]
        code.append(instruction)
    return replace(
        function,
        code=tuple(
            replace(i, operand=moved[i.target]) if i.opcode.operand is Operand.LABEL else i
            for i in code
        ),
        labels=tuple((name, moved[index]) for name, index in function.labels),
    )


def _main(program: Program, counters: range) -> Function:
    """Calls the program's `main`, then prints the counters."""
    main = program.main
    code = [_instruction("load", slot) for slot in range(len(main.params))]
    code.append(_instruction("call", program.main_index))
    for counter in counters:
        code += [_instruction("gload", counter), _instruction("print")]
    code.append(_instruction("ret"))
    return Function("main", main.params, main.result, (), tuple(code))


def _instruction(name: str, operand: Number | None = None) -> Instruction:
    return Instruction(OPCODES[name], operand)
