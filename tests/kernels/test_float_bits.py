"""Floats are the same to the last bit on every engine: no fused multiply and add, no other order
of additions, nothing flushed to zero."""

from __future__ import annotations

import math
import struct

import pytest
from native_engines import agreed

from vmlab import corpus
from vmlab.program import Number


def loop(body: str, declarations: str = "", after: str = "load x\nprint\nload y\nprint") -> str:
    """`body` in `n` turns, counted by `i` from 0; x and y start as main's arguments."""
    return f"""
    func main(n: int, x: float, y: float)
        local i: int
        {declarations}
    again:
        {body}
        load i
        push 1
        add
        dup
        store i
        load n
        lt
        jnz again
        {after}
        ret
    end"""


def lines(code: str) -> str:
    return "\n".join(line.strip() for line in code.split(","))


LOOPS = {
    "a sum": lines("load x, load i, float, push 0.1, mul, add, store x"),
    "a harmonic sum": lines("load x, push 1.0, load i, float, push 1.0, add, div, add, store x"),
    "multiply and add": lines("load x, push 1.0000001, mul, push 1e-9, add, store x"),
    "add and multiply": lines("load x, load y, add, push 0.9999, mul, store y, load y, store x"),
    "multiply and subtract": lines(
        "load x, load x, mul, load y, load y, mul, sub, push 0.25, add, "
        "push 1e3, min, push -1e3, max, store x, load y, push 0.75, mul, store y"
    ),
    "roots": lines("load x, load i, float, sqrt, add, sqrt, store x"),
    "a polynomial": lines(
        "load i, float, push 1e-3, mul, store x, load y, "
        "load x, push 3.7, mul, push -1.2, add, load x, mul, push 0.3, add, load x, mul, "
        "add, store y"
    ),
    "down to the denormals": lines("load x, push 0.5, mul, store x, load x, load y, add, store y"),
    "up to infinity": lines("load x, push 1.5, mul, store x, load x, load x, sub, store y"),
    "rounding": lines("load x, floor, load y, ceil, add, push 1.1, div, store y"),
    "signs of zero": lines("load x, neg, push 0.0, mul, store x, load x, load y, min, store y"),
    "extremes": lines("load x, load i, float, neg, min, load y, max, store y"),
}
STARTS = (
    *((0.0, 0.0), (-0.0, 0.0), (1.0, -0.0), (0.3, 0.7), (1e300, -1e300), (5e-324, -5e-324)),
    *((math.nan, 1.0), (math.inf, -math.inf), (2.2250738585072014e-308, 1e-320)),
)


@pytest.mark.parametrize("body", LOOPS)
def test_loops(body: str) -> None:
    for start in STARTS:
        for n in (1, 2, 3, 1_100):
            assert agreed(loop(LOOPS[body]), n, *start).trap is None


REDUCTION = loop(
    lines("load a, load i, aload, load b, load i, aload, mul, load x, add, store x"),
    "local a: float[]\nlocal b: float[]\n"
    + lines(
        "load n, newarr float, store a, load n, newarr float, store b, fill:, "
        "load a, load i, load y, astore, load b, load i, load y, push 1.7, add, astore, "
        "load y, push 0.997, mul, push 0.01, add, store y, "
        "load i, push 1, add, dup, store i, load n, lt, jnz fill, push 0, store i"
    ),
)


def test_a_scalar_product() -> None:
    """What compilers vectorise if they may change the order of additions."""
    for n in (1, 3, 4, 7, 8, 63, 64, 65, 5_000):
        expected, y, a = 0.0, 0.3, []
        for _ in range(n):
            a.append((y, y + 1.7))
            y = y * 0.997 + 0.01
        for left, right in a:
            expected = left * right + expected
        assert agreed(REDUCTION, n, 0.0, 0.3).output[0] == expected


def test_a_product_is_rounded_before_it_is_added() -> None:
    """x * x - (1 + 2**-29) is 0 for x = 1 + 2**-30, and 2**-60 in fused arithmetic."""
    x, square = 1 + 2.0**-30, -(1 + 2.0**-29)
    variables = loop(lines("load x, load x, mul, load y, add, print"), after="")
    assert agreed(variables, 1, x, square).output == (0.0,)
    constants = loop(lines(f"push {x!r}, push {x!r}, mul, push {square!r}, add, print"), after="")
    assert agreed(constants, 1, 0.0, 0.0).output == (0.0,)


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 5e-324, -5e-324, 0.1, 1.7976931348623157e308, math.inf, -math.inf]
)
def test_values_pass_through_everywhere(value: float) -> None:
    """Literals, globals, arguments, locals, arrays, calls, results, output."""
    text = f"""
    global first: float = {value!r}
    global second: float
    func same(x: float) -> float
        load x
        ret
    end
    func main(x: float) -> float
        local a: float[]
        local y: float
        push 2
        newarr float
        store a
        load a
        push 1
        load x
        call same
        dup
        gstore second
        astore
        push {value!r}
        dup
        print
        store y
        gload first
        print
        gload second
        print
        load y
        print
        load a
        push 0
        aload
        print
        load a
        push 1
        aload
        ret
    end"""
    outcome = agreed(text, value)
    bits = [struct.pack("<d", x) for x in (*outcome.output, outcome.result)]
    plain = struct.pack("<d", value)
    assert bits == [plain, plain, plain, plain, struct.pack("<d", 0.0), plain]


def test_a_nan_is_a_nan_whatever_its_bits() -> None:
    text = """
    func main(x: float)
        load x
        load x
        sub
        dup
        neg
        dup
        abs
        print
        print
        print
        push inf
        push 0.0
        mul
        push -1.0
        sqrt
        min
        print
        push nan
        dup
        eq
        print
        push nan
        dup
        ne
        print
        ret
    end"""
    for x in (math.nan, math.inf, -math.inf):
        *floats, equal, different = agreed(text, x).output
        assert all(math.isnan(f) for f in floats)
        assert (equal, different) == (0, 1)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("nbody", (100,)),
        ("spectral", (8,)),
        ("mandelbrot", (12,)),
        ("leibniz", (5_000,)),
        ("matmul", (9,)),
    ],
)
def test_the_corpus(name: str, args: tuple[Number, ...]) -> None:
    defaults = [p.value for p in corpus.load(name).main.params]
    values = [*args, *defaults[len(args) :]]
    assert agreed(corpus.source(name), *values).trap is None
