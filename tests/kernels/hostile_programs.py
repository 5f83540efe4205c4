"""Valid programs at the ends of what is allowed, as text."""

from __future__ import annotations


def operands(n: int) -> str:
    """n operands on the stack at once."""
    code = "load x\n" * n + "sub\n" * (n - 1)
    return f"func main(x: int = 5) -> int\n{code}ret\nend\n"


def variables(n: int) -> str:
    """n locals, of which some are used, the first and the last among them."""
    used = sorted({0, n - 1, *range(0, n, 100)})
    return (
        "func main(x: int = 5) -> int\n"
        + "".join(f"local v{k}: int\n" for k in range(n))
        + "".join(f"load x\npush {k}\nmul\nstore v{k}\n" for k in used)
        + "load x\n"
        + "".join(f"load v{k}\nxor\n" for k in used)
        + "ret\nend\n"
    )


def functions(n: int) -> str:
    """n functions, each called by the next."""
    text = "func f0(x: int) -> int\nload x\nret\nend\n"
    for k in range(1, n):
        text += f"func f{k}(x: int) -> int\nload x\npush {k}\nxor\ncall f{k - 1}\nret\nend\n"
    return f"{text}func main(x: int = 5) -> int\nload x\ncall f{n - 1}\nret\nend\n"


def labels(n: int) -> str:
    """n labels, with a branch to each."""
    parts = "".join(f"load x\npush {k}\neq\njz l{k}\npush {k}\nprint\nl{k}:\n" for k in range(n))
    return f"func main(x: int = 5) -> int\n{parts}load x\nret\nend\n"


def parameters(n: int) -> str:
    """n parameters, of both types."""
    types = ["float" if k % 2 else "int" for k in range(n)]
    params = ", ".join(f"p{k}: {type_}" for k, type_ in enumerate(types))
    used = "".join(f"load p{k}\n" + "int\n" * (k % 2) + "sub\n" for k in range(n))
    given = "".join(f"load x\npush {k}\nadd\n" + "float\n" * (k % 2) for k in range(n))
    return (
        f"func f({params}) -> int\npush 0\n{used}ret\nend\n"
        f"func main(x: int = 5) -> int\n{given}call f\nret\nend\n"
    )


def operations(n: int) -> str:
    """n sends and receives, which fill a channel and empty it in turn."""
    send, receive = "load c\nload x\nsend\n", "load c\nrecv\npop\nstore x\n"
    code = "".join(receive if k % 2 else send for k in range(n))
    return (
        "func main(x: int = 5) -> int\nlocal c: chan[int]\npush 1\nchan int\nstore c\n"
        f"{code}load x\nret\nend\n"
    )


def _alive(n: int, call: str) -> str:
    """n values that cannot be computed anew, alive across a call of a function of x."""
    powers = "load x\n" + "dup\nload x\nmul\n" * (n - 1)
    return f"{powers}load x\npush 1\nsub\n{call}\n" + "xor\n" * n + "ret\n"


def large_frames(n: int) -> str:
    """Recursion with n values alive in every frame."""
    return f"""
        func down(x: int) -> int
            load x
            jz bottom
            {_alive(n, "call down")}
        bottom:
            push 1
            ret
        end
        func main(x: int = 5) -> int
            load x
            call down
            ret
        end"""


def large_frames_below_recursion(count: int, n: int) -> str:
    """Recursion, with small frames, at whose bottom `count` functions are called, one by the
    other, with n values alive in each."""
    text = "global k: int\nfunc f0(x: int) -> int\ngload k\npush 1\nadd\ngstore k\nload x\nret\nend"
    for number in range(1, count):
        text += f"\nfunc f{number}(x: int) -> int\n{_alive(n, f'call f{number - 1}')}end"
    return f"""{text}
        func down(x: int) -> int
            load x
            jz bottom
            load x
            push 1
            sub
            call down
            push 3
            mul
            load x
            xor
            ret
        bottom:
            push 7
            call f{count - 1}
            ret
        end
        func main(x: int = 5) -> int
            load x
            call down
            ret
        end"""


def nested_sum(n: int) -> str:
    """One expression, nested n deep: what makes compilers recurse."""
    nested = "dup\npush 1.5\nmul\n" * n + "add\n" * n
    return f"func main(x: int = 5) -> int\nload x\nfloat\n{nested}push 1e18\nmin\nint\nret\nend\n"
