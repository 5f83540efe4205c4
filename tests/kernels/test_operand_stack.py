"""What sets `inlined` and `template` apart, read off their optimised IR: the second loads every
operand that the program pops and stores every one that it pushes, the first none."""

from __future__ import annotations

import re

import pytest

from vmlab import corpus
from vmlab.engines import ENGINES
from vmlab.isa import Flow
from vmlab.program import Program

PROGRAMS = ("fib", "sieve", "nbody", "quicksort", "hanoi")


def frame_accesses(engine: str, program: Program, counting: bool) -> tuple[int, int]:
    """How many loads and stores of words of VM frames there are."""
    ir = ENGINES[engine].build(program, counting=counting).ir()
    assert ir is not None
    kind = re.search(r'^(!\d+) = !\{!"frame", ', ir, re.M)
    if kind is None:
        return 0, 0
    tag = re.search(rf"^(!\d+) = !\{{{kind[1]}, {kind[1]}, i64 0\}}", ir, re.M)
    assert tag is not None
    loads = re.findall(rf"= load .*!tbaa {tag[1]}\b", ir)
    stores = re.findall(rf"^ +store .*!tbaa {tag[1]}\b", ir, re.M)
    return len(loads), len(stores)


@pytest.mark.parametrize("counting", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_operand_stack_is_in_memory_or_nowhere(name: str, counting: bool) -> None:
    program = corpus.load(name)
    computing = [
        variant.effect
        for stack_map in program.stack_maps
        for variant, reachable in zip(stack_map.variants, stack_map.reachable, strict=True)
        if reachable and variant.opcode.flow not in (Flow.CALL, Flow.RETURN)
    ]
    loads, stores = frame_accesses("template", program, counting)
    assert loads >= sum(len(effect.pops) for effect in computing)
    assert stores >= sum(len(effect.pushes) for effect in computing)
    assert frame_accesses("inlined", program, counting) == (0, 0)
