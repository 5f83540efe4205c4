"""A short run of `stress.py`, and the same tasks in the composition for one worker."""

import pytest
import stress


def test_every_item_is_accounted_for():
    report = stress.stress(2_000_000, seed=5)
    assert report.stolen > 0
    assert report.parked > 0


@pytest.mark.parametrize("parallel", [False, True], ids=["one", "several"])
def test_one_worker(parallel):
    report = stress.Report()
    stress.trees(report, 1, 10_000, parallel)
    stress.channel(report, 1, 3, 2, 0, 1_000, parallel)
    stress.channel(report, 1, 2, 3, 5, 1_000, parallel)
    stress.families(report, 1, 10, 10, parallel)
    assert report.stolen == 0
