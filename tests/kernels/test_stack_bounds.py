"""No engine writes beside the words of VM stack that it has asked for, however deep the calls."""

from __future__ import annotations

import pytest
from native_engines import NATIVE, program

from vmlab.engines import find
from vmlab.isa import WORD_BYTES, Trap
from vmlab.kernels.context import Region
from vmlab.outcome import Limits

# All frames are of one function, so that the stack has room for those and for nothing else.
WITHOUT_SLOTS = "func main()\ncall main\nret\nend"
WITH_SLOTS = """
func main(n: int = 3) -> int
    local x: float
    load n
    load n
    push 1
    sub
    call main
    add
    ret
end"""
# And here the frames of two take turns below main's.
TWO_FUNCTIONS = """
func odd(n: int, x: float)
    load n
    load x
    call even
    ret
end
func even(n: int, x: float)
    local y: int
    load n
    load n
    push 1
    sub
    load x
    call odd
    pop
    ret
end
func main()
    push 1
    push 2.0
    call even
    ret
end"""

MARGIN, FILL = 16, 0x5A5A_5A5A_5A5A_5A5A

# `inlined` and `cpython` have no such stack; the words of `textbook` are an array of NumPy's.
WITHOUT = ("inlined", "cpython", "textbook")
ENGINES = [*(name for name in NATIVE if name not in WITHOUT), "threaded+cached"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", [WITHOUT_SLOTS, WITH_SLOTS, TWO_FUNCTIONS])
def test_the_deepest_calls_stay_on_the_stack(engine: str, text: str) -> None:
    executable = find(engine).build(program(text), counting=False)
    args = (3,) if program(text).main.params else ()
    for depth in (1, 2, 3, 40):
        limits = Limits(max_depth=depth)
        executable.state.reserve(limits, executable.needs(depth))
        size = executable.state.stack.size // WORD_BYTES
        region = Region(MARGIN + size + MARGIN, "a stack between margins")
        for at in (*range(MARGIN), *range(MARGIN + size, len(region.words))):
            region.words[at] = FILL
        executable.state.context.stack = region.address + MARGIN * WORD_BYTES
        trap = executable.call(args, limits).outcome.trap
        assert trap is not None
        assert trap.trap is Trap.CALL_DEPTH_EXCEEDED
        assert {*region.words[:MARGIN], *region.words[MARGIN + size :]} == {FILL}
