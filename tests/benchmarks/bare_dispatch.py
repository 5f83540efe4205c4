"""How much of an interpreter's time its dispatch takes alone:
`python -m tests.benchmarks.bare_dispatch [PROGRAM...]`.

Beside each engine runs, in the same rounds, the same dispatch with handlers that do nothing but go
on to the next. They go through instructions that the program executes in the middle of its run, in
that order, fewer than `WINDOW`. What is left out is what handlers do, and the jumps inside of
them; how the dispatch's own jumps follow each other is as it was.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import click
from tabulate import tabulate

from vmlab import corpus
from vmlab.engines import find
from vmlab.isa import WORD_BYTES
from vmlab.kernels.dispatch import Direct, Switch, Threaded, replicated
from vmlab.kernels.encoding import HALT, PLAIN, Encoded, encode
from vmlab.kernels.executable import Needs
from vmlab.kernels.interpreter import HandlerEmitter, InterpreterExecutable
from vmlab.kernels.values import I64, i64
from vmlab.measure.clock import measure_clock
from vmlab.measure.sampling import Subject, sample, silent
from vmlab.outcome import Limits, bind_arguments
from vmlab.program import Program
from vmlab.supervise import Supervisor

from . import arguments

ENGINES = {
    "threaded": Threaded, "switch": Switch, "direct": Direct, "replicated": replicated(Threaded)
}  # fmt: skip
PROGRAMS = ("collatz", "fib", "matmul", "nbody", "quicksort", "sieve", "stream_random", "sum")
ROUNDS = 15
WINDOW = 1 << 15  # instructions; as many words lie in the second cache


class RecordingEmitter(HandlerEmitter):
    """Keeps the places of the last instructions, as words of the code."""

    def emit_instruction(self, counting):
        slot = self.b.and_(self.get("fuel"), i64(WINDOW - 1))
        at = self.b.gep(self.pointer("trace"), [slot])
        self.store(self.b.ptrtoint(self.registers.pc, I64), at, "trace")
        return super().emit_instruction(counting)


class Recording(InterpreterExecutable):
    def __init__(self, program: Program):
        encoded = encode(program)
        self._load("recording", Threaded, PLAIN, RecordingEmitter, encoded, program, True)

    def needs(self, max_depth):
        found = super().needs(max_depth)
        return Needs(found.stack, found.frames, trace=WINDOW)


class BareEmitter(HandlerEmitter):
    """Goes on to the next word."""

    def emit(self, counting):
        if self.handler.name == HALT:
            self._halt()
            return
        after = self.registers._replace(pc=self._word_address(i64(1)))
        self.dispatch.next(self.b, after, self.context, self.heap)


def executed(program: Program, args: Sequence[int | float], total: int) -> list[int]:
    """The places in the code of the instructions in the middle, in the order of execution."""
    recording = Recording(program)
    recording.call(args, Limits(fuel=min(total, (total + WINDOW) // 2)))
    places, code = recording.state.trace.words.tolist(), recording.state.context.code
    # Fuel goes down to 1; in slot 0 is the instruction that had none.
    return [(places[fuel] - code) // WORD_BYTES for fuel in range(min(total, WINDOW - 1), 0, -1)]


def bare(name: str, program: Program, places: list[int]) -> InterpreterExecutable:
    """The dispatch of an engine, on these instructions."""
    dispatch = ENGINES[name]
    code = encode(program).replicated(len(PLAIN.handlers), dispatch.REPLICAS)
    halt = PLAIN.codes[HALT]
    words = [halt, *(code.words[place] for place in places), halt]
    trace = Encoded(words, [None] * len(words), 1, {}, [], list(range(len(words))))
    executable = object.__new__(InterpreterExecutable)
    executable._load(f"bare.{name}", dispatch, PLAIN, BareEmitter, trace, program, False)
    return executable


def nanoseconds(program: Program) -> dict[str, float]:
    """Of an instruction on the engines, and of its dispatch alone."""
    clock, args = measure_clock(), bind_arguments(program, {})
    total = find("switch").build(program, counting=True).call(args, Limits()).outcome.instructions
    assert total is not None
    places = executed(program, args, total)
    subjects, instructions = [], {}
    with Supervisor() as supervisor:
        for engine in ENGINES:
            whole = find(engine).build(program, counting=False)
            alone = bare(engine, program, places)
            for label, made, count in (
                (engine, whole, total),
                (f"{engine} alone", alone, len(places)),
            ):
                agreed = supervisor.call(made, args, Limits()).outcome
                subjects.append(Subject(label, made, args, agreed))
                instructions[label] = count
        rounds = sample(supervisor, subjects, ROUNDS, 0, Limits(), clock, silent)
    return {
        label: statistics.median(rounds.samples[label]) / rounds.iterations / count
        for label, count in instructions.items()
    }


@click.command(help=__doc__)
@click.argument("programs", type=arguments.program_without_tasks, metavar="[PROGRAM...]", nargs=-1)
def main(programs: Sequence[Program]) -> None:
    rows = []
    for program in programs or map(corpus.load, PROGRAMS):
        times = nanoseconds(program)
        rows.append((arguments.title(program), *times.values()))
    headers = ("ns an instruction", *times)
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main()
