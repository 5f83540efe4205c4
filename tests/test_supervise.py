"""What watches over runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest
from fakes import FOUR, Fake, Script

from vmlab.outcome import Limits, Outcome
from vmlab.program import Number
from vmlab.supervise import Supervisor


def _press(args: Sequence[Number]) -> Outcome:
    """Ctrl-C during a run that ends by itself, as short ones do before they see it."""
    os.kill(os.getpid(), signal.SIGINT)
    return FOUR


def test_ctrl_c_is_not_lost_where_the_run_ends_by_itself() -> None:
    pressing = Fake(Script(outcome=_press), True)
    printed: list[Sequence[Number]] = []
    with Supervisor() as supervisor:
        with pytest.raises(KeyboardInterrupt):
            supervisor.call(pressing, (0,), Limits())
        with pytest.raises(KeyboardInterrupt):
            supervisor.call(pressing, (0,), Limits(), on_output=printed.append)
        following = Fake(Script(), True)
        assert supervisor.call(following, (0,), Limits()).outcome == FOUR
        assert not following.interrupted.is_set()
