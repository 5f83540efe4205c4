from vmlab import corpus
from vmlab.blocks import basic_blocks


def test_a_block_ends_with_every_jump_and_before_every_target() -> None:
    [sum_] = corpus.load("sum").functions
    blocks = [range(4), range(4, 13), range(13, 15)]
    assert basic_blocks(sum_) == blocks
    assert basic_blocks(sum_, calls_end=True) == blocks


def test_and_with_calls_if_so_asked() -> None:
    [fib, _] = corpus.load("fib").functions
    assert basic_blocks(fib) == [range(4), range(4, 6), range(6, 16)]
    assert basic_blocks(fib, calls_end=True) == [
        range(4), range(4, 6), range(6, 10), range(10, 14), range(14, 16)
    ]  # fmt: skip


def test_and_where_other_tasks_may_go_on() -> None:
    program = corpus.load("ping_pong")
    for function in program.functions:
        stops = {block.stop for block in basic_blocks(function, calls_end=True)}
        switches = [i for i, x in enumerate(function.code) if x.opcode.name in ("recv", "send")]
        assert stops.issuperset(i + 1 for i in switches)
