"""Progress: fractions by cost, never backwards, one at the end; seconds from a clock."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.harmonize import progress as module
from backend.harmonize.progress import LOSSES_EVERY, Progress, Stage

stages = st.lists(
    st.builds(Stage, st.sampled_from(["first pass", "second pass"]), st.integers(0, 6), st.floats(0.01, 100)),
    max_size=4,
)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when told."""
    now = [50.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@given(stages, st.integers(0, 4))
def test_fractions_rise_to_one(listed, skipped):
    """Also if the first stages are not run at all, because their results were kept."""
    listed = [*listed, Stage("postprocess", 1, 12.0)]
    steps = []
    progress = Progress(listed, steps.append)
    for index, stage in enumerate(listed):
        if index >= min(skipped, len(listed) - 1):
            for iteration in range(1, stage.iterations + 1):
                progress.tick(index, iteration)
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions) and 0 < fractions[0]
    assert fractions[-1] == 1
    told = [step.seconds_left for step in steps if step.seconds_left is not None]
    assert all(left >= 0 for left in told) and (not told or told[-1] == 0)


def test_a_loss_that_is_no_number_is_not_told():
    steps = []
    progress = Progress([Stage("first pass", 1, 1.0)], steps.append)
    progress.tick(0, 1, {"terms": torch.tensor(2.0), "variation": torch.tensor(torch.nan)})
    assert progress.losses == {"first pass": {"terms": 2.0}} and steps[0].losses == {"terms": 2.0}


def test_fractions_and_seconds_follow_the_cost(clock):
    steps = []
    progress = Progress([Stage("first pass", 2, 1.0), Stage("second pass", 1, 6.0)], steps.append)
    clock[0] += 3
    progress.tick(0, 1)
    assert steps[0].fraction == pytest.approx(1 / 8)
    clock[0] += 5
    progress.tick(0, 2)
    clock[0] += 7
    progress.tick(1, 1)
    assert progress.seconds == {"first pass": 8, "second pass": 7}
    assert progress.iterations == {"first pass": 2, "second pass": 1}
    assert [(s.stage, s.iteration, s.iterations) for s in steps] == [
        ("first pass", 1, 2),
        ("first pass", 2, 2),
        ("second pass", 1, 1),
    ]


def test_time_left_is_measured_on_iterations_alone(clock):
    """A minute of loading and matching before a stage says nothing of how long its iterations take."""
    steps = []
    progress = Progress([Stage("first pass", 3, 1.0), Stage("second pass", 4, 2.0)], steps.append)
    for index, iteration, seconds in ((0, 1, 60), (0, 2, 5), (0, 3, 5), (1, 1, 60), (1, 2, 10), (1, 3, 10)):
        clock[0] += seconds
        progress.tick(index, iteration)
    left = [step.seconds_left for step in steps]
    assert left[0] is None and left[1:] == pytest.approx([45, 40, 30, 20, 10])


def test_time_left_follows_a_machine_that_gets_busy(clock):
    steps = []
    progress = Progress([Stage("second pass", 200, 1.0)], steps.append)
    for iteration in range(1, 151):
        clock[0] += 1 if iteration < 50 else 3
        progress.tick(0, iteration)
    assert steps[-1].seconds_left == pytest.approx(150, rel=0.02)


def test_many_small_iterations_of_uneven_length_do_not_shake_the_time_left(clock):
    """Patch synthesis between two levels: its large blocks take a tenth of the time that its small ones do."""
    listed = [
        Stage("second pass", 20, 1.0),
        Stage("patch synthesis", 200, 0.01),
        Stage("second pass", 20, 1.0),
    ]
    steps = []
    progress = Progress(listed, steps.append)
    for index, stage in enumerate(listed):
        for iteration in range(1, stage.iterations + 1):
            uneven = 0.2 if iteration <= 100 else 1.8
            clock[0] += 2 * stage.cost * (uneven if index == 1 else 1)
            progress.tick(index, iteration)
    left = [step.seconds_left for step in steps if step.stage == "patch synthesis"]
    assert all(36 < seconds < 46 for seconds in left)  # 44 at first, 40 in the end


def test_losses_are_read_now_and_then_and_at_the_end():
    steps = []
    count = LOSSES_EVERY + 3
    progress = Progress([Stage("second pass", count, 1.0)], steps.append)
    for iteration in range(1, count + 1):
        progress.tick(0, iteration, {"terms": torch.tensor(float(iteration))})
    read = [step.iteration for step in steps if step.losses]
    assert read == [LOSSES_EVERY, count]
    assert progress.losses == {"second pass": {"terms": float(count)}}


def test_a_run_without_iterations_has_no_division_by_zero():
    steps = []
    Progress([Stage("first pass", 0, 1.0)], steps.append)
    assert steps == []
