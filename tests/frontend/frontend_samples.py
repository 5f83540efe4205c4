"""Valid programs that between them use the whole format, and makers of large ones."""

from pathlib import Path

import vmlab

FIB = """\
; fib.vm: naive recursion
global calls: int = 0              ; a module variable, found by name

func fib(n: int) -> int
    gload calls
    push 1
    add
    gstore calls
    load n
    push 2
    lt
    jz recurse
    load n
    ret
recurse:                           ; labels are local
                                   ; to their function
    load n
    push 1
    sub
    call fib
    load n
    push 2
    sub
    call fib
    add
    ret
end
func main(n: int = 30) -> int      ; defaults are what is run


    ; nothing to prepare
    load n
    call fib
    ret
end
expect main(10) -> 55
expect main(0 ) -> 0
"""

EVERYTHING = """\
global big: int = 0x8000_0000_0000_0000
global mask: int = 0b1010_1010
global rate: float = 2e-3
global zero: float
global count: int
global table: float[]

func fill(a: float[], value: float)
    local i: int
    jmp test
loop:
again:
    load a
    load i
    load value
    astore
    load i
    push 1
    add
    store i
test:
    load i
    load a
    len
    lt
    jnz loop
    ret
end

func mixed(n: int, x: float) -> float
    load n
    float
    load x
    over
    swap
    rot
    pop
    mul
    push inf
    min
    push -0.0
    max
    ret
    push nan        ; not reached
    ret
end

func pop(int: int)  ; names and instructions do not get in each other's way
    ret
end

func main(n: int = 1_000, x: float = -inf)
    local data: int[]
    local func: float[]
    load n
    push 7
    and
    dup
    newarr int
    store data
    newarr float
    dup
    gstore table
    dup
    store func
    push 1.5
    call fill
    load n
    load x
    call mixed
    print
    push -9223372036854775808
    print
    load data
    push 3
    aload
    call pop
    ret
end

expect main(-1, 1e300) -> prints "-0.0 -9223372036854775808"
expect main(3, nan) -> trap index_out_of_range
expect main(7, inf) -> nothing
"""

CORPUS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(vmlab.__file__).parent / "programs").glob("*.vm"))
}
SAMPLES = {"recursion": FIB, "everything": EVERYTHING, **CORPUS}


def wide(instructions: int) -> str:
    """A program of at least so many instructions, with a label every ten."""
    block = """\
l{i}:
    load n
    push {i}
    add
    store n
    load n
    push 2.5
    pop
    pop
    load n
    jnz l{i}
"""
    blocks = "".join(block.format(i=i) for i in range(instructions // 10))
    return f"func main(n: int = 3) -> int\n{blocks}    load n\n    ret\nend\n"


def deep(pushes: int) -> str:
    """A program that pushes so many values and adds them up."""
    body = "    push 1\n" * pushes + "    add\n" * (pushes - 1)
    return f"func main() -> int\n{body}    ret\nend\n"
