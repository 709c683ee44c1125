"""The judge of the chaos suite: what it must not let pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.chaos import verdict
from tests.chaos.verdict import Fate, Line

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PUSHED = {"a": "keyed"}
MOVES = [(1, "queued", "running"), (1, "running", "queued"), (2, "queued", "running")]


def fate(**more) -> Fate:
    usual = {
        "status": "succeeded",
        "result": {"attempt": 2},
        "created_at": NOON,
        "finished_at": NOON + timedelta(seconds=9),
        "outcomes": [(1, "lost"), (2, "succeeded")],
        "moves": [*MOVES, (2, "running", "succeeded")],
    }
    return Fate(**{**usual, **more})


def ledger(*lines: tuple[int, str]) -> list[Line]:
    return [Line(task="a", attempt=attempt, what=what) for attempt, what in lines]


def test_it_works():
    fates = {"a": fate()}
    assert Line.read("a 2 77 tick 1.5") == Line(task="a", attempt=2, what="tick")
    assert not verdict.lost(PUSHED, fates)
    assert not verdict.overlaps(ledger((1, "begin"), (1, "tick"), (2, "begin")))
    assert not verdict.accepted_from_the_fenced(fates)
    assert not verdict.blamed(PUSHED, fates)
    assert not verdict.repeated_effects(PUSHED, ledger((2, "effect")), {"a": 1})
    assert not verdict.stuck(fates, [])


def test_a_task_without_a_row_or_with_another_end_is_lost():
    assert verdict.lost(PUSHED, {})
    assert verdict.lost(PUSHED, {"a": fate(status="failed")})
    assert verdict.lost({"a": "doomed"}, {"a": fate()})


def test_a_sign_of_life_after_the_next_attempt_began_is_an_overlap():
    assert verdict.overlaps(ledger((1, "begin"), (2, "begin"), (1, "tick"), (2, "end")))


def test_nothing_of_a_bygone_attempt_may_have_been_accepted():
    for wrong in (
        {"result": {"attempt": 1}},
        {"outcomes": [(1, "succeeded"), (2, "succeeded")]},
        {"outcomes": [(1, "succeeded"), (2, "lost")]},
        {"outcomes": [(1, ""), (2, "succeeded")]},
        {"moves": [*MOVES, (1, "running", "succeeded")]},
        {"moves": [*MOVES, (2, "queued", "succeeded")]},
    ):
        assert verdict.accepted_from_the_fenced({"a": fate(**wrong)}), wrong


def test_a_job_is_not_to_be_blamed_for_what_hit_the_platform():
    assert verdict.blamed(PUSHED, {"a": fate(outcomes=[(1, "failed"), (2, "succeeded")])})


def test_an_effect_is_there_once():
    assert verdict.repeated_effects(PUSHED, [], {})
    assert verdict.repeated_effects(PUSHED, ledger((1, "effect"), (2, "effect")), {"a": 1})


def test_no_more_take_a_turn_than_may():
    pushed = {"a": "turns", "b": "turns", "c": "turns", "d": "quick"}
    order = [("a", "begin"), ("d", "begin"), ("b", "begin"), ("a", "end"), ("c", "begin")]
    lines = [Line(task=task, attempt=1, what=what) for task, what in order]
    lines += [Line(task=task, attempt=1, what="end") for task in "bcd"]
    assert not verdict.crowded(pushed, lines, {"turns": 2})
    assert verdict.crowded(pushed, lines, {"turns": 1})
    late = [*lines, Line(task="a", attempt=1, what="tick")]
    assert verdict.crowded(pushed, late, {"turns": 2})


def test_half_a_minute_is_stuck_unless_a_fault_went_on():
    late = {"a": fate(finished_at=NOON + timedelta(seconds=40))}
    assert verdict.stuck(late, [])
    assert not verdict.stuck(late, [(NOON, NOON + timedelta(seconds=12))])
    assert verdict.stuck(late, [(NOON - timedelta(seconds=12), NOON + timedelta(seconds=2))])
