import pytest

from vmlab.assembler import assemble
from vmlab.engines import ENGINES
from vmlab.measure.folding import only_counts

COUNTING = """
  %stop = load volatile i64, ptr %c, align 8
  %go = icmp eq i64 %stop, 0
  %next = add nsw i64 %n, -1
"""


def function(body, phis="  %n = phi i64 [ 9, %entry ], [ %next, %loop ]"):
    return f"""
define i64 @run(ptr %c) {{
entry:
  br label %loop

loop:                                             ; preds = %entry, %loop
{phis}
{body}
  br i1 %go, label %loop, label %done, !prof !4

done:                                             ; preds = %loop
  ret i64 0
}}
"""


def test_a_loop_that_only_counts():
    assert only_counts(function(COUNTING))


@pytest.mark.parametrize(
    "work",
    [
        "%x = mul i64 %n, %n",
        "%x = add i64 %n, %m",
        "%x = load i64, ptr %p, align 8",
        "store i64 %n, ptr %p, align 8",
        "tail call void @f(ptr %c)",
        "%x = sdiv i64 %n, 3",
    ],
)
def test_a_loop_that_does_something(work):
    assert not only_counts(function(COUNTING + f"  {work}\n"))


def test_a_loop_that_carries_a_second_value():
    phis = """  %n = phi i64 [ 9, %entry ], [ %next, %loop ]
  %m = phi i64 [ 0, %entry ], [ %n, %loop ]"""
    assert not only_counts(function(COUNTING, phis))


def test_code_without_loops_does_not_count():
    assert not only_counts("define i64 @run(ptr %c) {\n  ret i64 0\n}\n")


def test_loops_of_the_harness_which_nobody_can_interrupt_are_not_looked_at():
    harness = function(COUNTING.replace("volatile ", "") + "  store i64 %n, ptr %p, align 8\n")
    assert only_counts(harness + function(COUNTING))
    assert not only_counts(harness)


def test_all_loops_must_count():
    working = function(COUNTING + "  %x = mul i64 %n, %n\n")
    assert not only_counts(function(COUNTING) + working)


def test_a_function_that_is_still_called_may_do_anything():
    call = "define i64 @f(ptr %c) {\n  %x = tail call fastcc i64 @vm.fib(ptr %c)\n  ret i64 %x\n}\n"
    assert not only_counts(function(COUNTING) + call)


NESTED = """
define i64 @run(ptr %c) {
  br label %outer

outer:                                            ; preds = %0, %latch
  %m = phi i64 [ 0, %0 ], [ %more, %latch ]
  %more = add nuw i64 %m, 1
  br label %"the inner"

"the inner":                                      ; preds = %outer, %"the inner"
  %n = phi i64 [ 9, %outer ], [ %next, %"the inner" ]
INNER
  br i1 %go, label %"the inner", label %latch

latch:                                            ; preds = %"the inner"
OUTER
  %on = icmp ult i64 %more, 9
  br i1 %on, label %outer, label %done

done:                                             ; preds = %latch
  ret i64 0
}
"""


@pytest.mark.parametrize(
    ("inner", "outer", "folded"),
    [("", "", True), ("  %x = mul i64 %n, %n", "", False), ("", "  %x = mul i64 %m, %m", False)],
)
def test_nested_loops_must_count_on_every_level(inner, outer, folded):
    ir = NESTED.replace("INNER", COUNTING + inner).replace("OUTER", outer)
    assert only_counts(ir) is folded


# What the real compiler leaves

TOTAL = """
func main(n: int = 50_000) -> int
    local total: int
loop:
    load n
    jz done
    load total
    load n
    add
    store total
    load n
    push 1
    sub
    store n
    jmp loop
done:
    RESULT
    ret
end
"""


UPWARD = """
func square(k: int) -> int
    load k
    dup
    mul
    ret
end

func main(n: int = 300) -> int
    local i: int
    local j: int
    local total: int
rows:
    load i
    load n
    ge
    jnz done
    push 0
    store j
columns:
    load j
    load n
    ge
    jnz next
    load total
    load j
    call square
    add
    store total
    load j
    push 1
    add
    store j
    jmp columns
next:
    load i
    push 1
    add
    store i
    jmp rows
done:
    RESULT
    ret
end
"""


@pytest.mark.parametrize("source", [TOTAL, UPWARD])
@pytest.mark.parametrize(("result", "folded"), [("push 7", True), ("load total", False)])
def test_a_total_that_nobody_reads_is_folded(source, result, folded):
    program = assemble(source.replace("RESULT", result))
    executable = ENGINES["inlined"].build(program, counting=False)
    assert only_counts(executable.ir()) is folded
