"""Stack maps as words: computed anew they are what the verifier proved."""

import ctypes
from importlib import resources

import pytest

from vmlab.assembler import assemble
from vmlab.kernels.scheduler.bench_stack_maps import STEP_WORDS, compute_maps
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.measure.sched_stack_maps import packed, steps
from vmlab.verifier import verify

PROGRAMS = sorted(
    file.name for file in resources.files("vmlab.programs").iterdir() if file.name.endswith(".vm")
)


@pytest.fixture(scope="module")
def compute():
    return Kernel("test-stack-maps", False, [compute_maps], []).call["compute_maps"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_maps_computed_anew_are_those_of_the_table(name, compute):
    program = assemble(resources.files("vmlab.programs").joinpath(name).read_text("utf-8"))
    for index, proof in enumerate(verify(program)):
        count = len(proof.before)
        code = (ctypes.c_uint64 * (count * STEP_WORDS))(*steps(program, index, proof))
        states = (ctypes.c_uint64 * count)()
        for at in range(count):
            if proof.reachable[at]:
                found = compute(ctypes.addressof(code), count, ctypes.addressof(states), at)
                assert found == packed(proof.before[at])
