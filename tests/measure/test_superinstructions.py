"""The choice of superinstructions."""

import pytest
from loops import LOOP

from vmlab.assembler import assemble
from vmlab.kernels.superinstructions import Joint
from vmlab.measure.superinstructions import Block, choose, dispatches, profile, validate


def test_a_profile_is_what_is_executed():
    found = profile(assemble(LOOP), [(3,), (5,)])
    loop, end = found
    assert loop.names == ("load", "push", "sub.int", "dup", "store", "jnz")
    assert end.names == ("push", "ret")
    executed = 8 * 6 + 2 * 2
    assert (loop.entered, end.entered) == (8 / executed, 2 / executed)


def names(joint):
    return " ".join(joint.first), " ".join(joint.second)


def test_the_most_frequent_pair_comes_first_and_grows():
    profiles = [(Block(("a", "b", "c"), 0.2), Block(("a", "b"), 0.2)), (Block(("d", "e"), 0.1),)]
    choices = choose(profiles, least_share=0.06)
    assert [(names(c.joint), round(c.share, 6)) for c in choices] == [
        (("a", "b"), 0.2),
        (("a b", "c"), 0.1),
    ]
    assert names(choose(profiles, least_share=0.05)[-1].joint) == ("d", "e")
    assert choose(profiles, least_share=0.3) == []


def test_of_equally_frequent_pairs_the_first_by_name():
    profiles = [(Block(("b", "a"), 0.25), Block(("a", "c"), 0.25))]
    assert [names(c.joint) for c in choose(profiles)] == [("a", "c"), ("b", "a")]


@pytest.mark.parametrize(("length", "saved"), [(2, 1), (3, 1), (4, 2), (5, 2)])
def test_pairs_that_overlap_are_joined_once(length, saved):
    choice = choose([(Block(("a",) * length, 0.1),)], least_share=0.1)[0]
    assert choice.joint == Joint(("a",), ("a",))
    assert choice.share == pytest.approx(0.1 * saved)


def test_what_a_choice_leaves_and_what_that_of_others_leaves():
    profiles = {
        "x": (Block(("a", "b"), 0.5),),
        "y": (Block(("a", "b"), 0.5),),
        "z": (Block(("c", "d", "e"), 1 / 3),),
    }
    assert dispatches(profiles["z"], choose(list(profiles.values()))) == pytest.approx(1 / 3)
    left = {v.program: (v.from_all, v.from_others) for v in validate(profiles)}
    assert left["x"] == left["y"] == (0.5, 0.5)
    assert left["z"] == pytest.approx((1 / 3, 1))
