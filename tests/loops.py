"""Programs that go around, whose executed instructions are known."""

# n turns of six instructions, and two behind them.
LOOP = """
func main(n: int) -> int
again:
    load n
    push 1
    sub
    dup
    store n
    jnz again
    push 7
    ret
end
"""
