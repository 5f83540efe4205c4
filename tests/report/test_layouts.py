"""show --task-layout: the tables say what the engines do."""

import re

import pytest

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import run
from vmlab.isa import Trap
from vmlab.kernels import channels, queues, tasks
from vmlab.kernels.scheduler.layout import STRUCTURES
from vmlab.outcome import Limits
from vmlab.report import layouts

# A function whose frame fits into the first words of a stack, and one whose does not.
SPAWNS = """\
func task(a: int, b: float)
{locals}
    load a
    load a
    add
    pop
    ret
end

func main()
    push 1
    push 2.5
    spawn task
    join
    ret
end
"""


def tables(text):
    """By their titles, the rows of the tables as lists of cells."""
    found = re.findall(r"^(\S.*)\n\n *offset.*\n([- ]+)\n((?:[ \d].*\n?)*)", text, re.MULTILINE)
    return {title: [rows(rule, line) for line in body.splitlines()] for title, rule, body in found}


def rows(rule, line):
    return [line[m.start() : m.end()].strip() for m in re.finditer("-+", rule)]


def test_every_structure_has_its_fields_where_the_code_has_them():
    shown = tables(layouts.text(None))
    for structure in STRUCTURES:
        table = shown[f"{structure.name}, {structure.bytes} bytes"]
        assert [(int(row[0]), int(row[2]), row[3]) for row in table] == [
            (place.offset, place.offset // 64, name) for name, place in structure.places.items()
        ]
        ends = [int(row[0]) + int(row[1] or 0) for row in table]
        assert all(end <= int(row[0]) for end, row in zip(ends, table[1:], strict=False))
        assert ends[-1] <= structure.bytes


def test_every_word_of_the_interpreters_has_its_row():
    shown = tables(layouts.text(None))
    for title, indices, size in (
        ("Descriptor, 64 bytes.", vars(queues) | vars(tasks), 8),
        ("Record, 32 bytes.", vars(queues), 4),
        ("Channel, 64 bytes.", vars(channels), 8),
    ):
        [found] = [table for name, table in shown.items() if name.startswith(title)]
        assert [int(row[0]) for row in found] == [8 * index for index in range(size)]
        assert [indices[row[3].upper()] for row in found] == list(range(size))
    [record] = [table for title, table in shown.items() if title.startswith("Frame record, 16 ")]
    assert [row[3] for row in record] == ["return", "caller"]


@pytest.mark.parametrize("more_locals", [0, 9, 10, 100])
@pytest.mark.parametrize("engine", ["reference", "threaded", "tagged"])
def test_a_spawn_costs_what_is_shown(engine, more_locals):
    program = assemble(
        SPAWNS.format(locals="\n".join(f"    local l{i}: int" for i in range(more_locals)))
    )
    shown = layouts.text(program)
    [(size, cost)] = re.findall(r"^task: (\d+) bytes, .*it costs (\d+) bytes", shown, re.MULTILINE)
    assert int(size) == 8 * (2 + more_locals + 2 + 2)
    assert (int(cost) > 224) == (int(size) > 16 * 8)
    for heap, trap in ((int(cost), None), (int(cost) - 8, Trap.OUT_OF_MEMORY)):
        outcome = run(program, engine, {}, Limits(max_heap=heap))
        assert (outcome.trap and outcome.trap.trap) == trap


def test_a_frame_has_slots_then_operands_then_its_record():
    shown = tables(layouts.text(corpus.load("fib")))
    [frame] = [table for title, table in shown.items() if title.startswith("fib: ")]
    assert frame == [
        ["0", "8", "n: int"],
        ["8", "24", "operands"],
        ["", "16", "frame record, at the stack's other end"],
    ]
