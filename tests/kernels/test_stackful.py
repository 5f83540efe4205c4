"""The stackful switch: it runs on this machine, and keeps what a call must keep."""

import ctypes
import platform

import pytest

from vmlab.kernels import cross, native, stackful

WORDS = 1 << 12
VALUES = 9  # more than the registers that a call keeps

# On its own stack, `counter` adds what it is given to as many sums as `VALUES`, each in turn, and
# gives back the first of them. `drive` does the same, so both want all registers.
PROGRAM = """
@main_sp = internal global i64 0

define internal void @counter() noreturn {{
  br label %again
again:
{counter_phis}
  %given = call i64 @stackful.switch(ptr @counter_sp, ptr @main_sp, i64 %s0)
{counter_steps}
  br label %again
}}

@counter_sp = internal global i64 0

define i64 @drive(ptr %stack, i64 %rounds) {{
  ; What the switch finds on a stack that was left: the registers that it keeps, and where to go on.
  %place = getelementptr i64, ptr %stack, i64 6
  store ptr @counter, ptr %place
  %first = ptrtoint ptr %stack to i64
  store i64 %first, ptr @counter_sp
  %ignored = call i64 @stackful.switch(ptr @main_sp, ptr @counter_sp, i64 0)
  br label %again
again:
  %n = phi i64 [ 0, %0 ], [ %next, %again ]
{drive_phis}
  %given = call i64 @stackful.switch(ptr @main_sp, ptr @counter_sp, i64 %s0)
{drive_steps}
  %next = add i64 %n, 1
  %more = icmp ult i64 %next, %rounds
  br i1 %more, label %again, label %done
done:
  ret i64 %t0
}}
"""


def program():
    def phis(first):
        return "\n".join(
            f"  %s{n} = phi i64 [ {first + n}, %0 ], [ %t{n}, %again ]" for n in range(VALUES)
        )

    steps = "\n".join(
        f"  %u{n} = mul i64 %s{(n + 1) % VALUES}, 3\n  %t{n} = add i64 %u{n}, %given"
        for n in range(VALUES)
    )
    filled = PROGRAM.format(
        counter_phis=phis(1), counter_steps=steps, drive_phis=phis(100), drive_steps=steps
    )
    return stackful.module(cross.HOST) + filled


def expected(rounds):
    """The same in Python, with a generator in place of the stack."""

    def step(sums, given):
        return [(3 * sums[(n + 1) % VALUES] + given) % 2**64 for n in range(VALUES)]

    def counter():
        sums = list(range(1, 1 + VALUES))
        while True:
            sums = step(sums, (yield sums[0]))

    other = counter()
    next(other)
    sums = list(range(100, 100 + VALUES))
    for _ in range(rounds):
        sums = step(sums, other.send(sums[0]))
    return sums[0]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a new stack is laid out for x86-64")
def test_two_stacks_take_turns_and_keep_their_values():
    unit = native.compile_ir(program, "drive")
    stack = (ctypes.c_uint64 * WORDS)()
    # Behind the words that the switch takes, it is aligned as at the start of a function.
    top = ctypes.addressof(stack) + 8 * WORDS
    first = top - top % 16 - 64
    assert native.ENTER(unit.address)(first, 1000) % 2**64 == expected(1000)
