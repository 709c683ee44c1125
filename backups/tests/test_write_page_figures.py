"""Figures on pages: short, exact where it matters, the same as those that live.js writes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backups.templatetags import formats


def test_it_works():
    assert formats.size(12_431_882) == "11.9 MB"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "—"),
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KB"),
        (1024**2 - 1, "1024.0 KB"),
        (5 * 1024**3, "5.0 GB"),
        (2 * 1024**6, "2048.0 PB"),
    ],
)
def test_sizes_go_in_steps_of_1024(count, text):
    assert formats.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (42, "42 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0.2, "1 s"), (61, "1 min 1 s"), (3660, "1 h 1 min")]
)
def test_what_remains_is_rounded_up(seconds, text):
    assert formats.remaining(seconds) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [(3, "just now"), (45, "45 s ago"), (150, "2 min ago"), (7300, "2 h ago"), (3e5, "3 days ago")],
)
def test_ages_are_rough(ago, text):
    shown = formats.age(timezone.now() - timedelta(seconds=ago))
    assert text in shown
    assert "UTC" in shown


def test_a_moment_to_come_reads_so():
    assert ">in 59 s<" in formats.age(timezone.now() + timedelta(seconds=60))


def test_a_trend_stays_inside_its_box():
    points = formats.spark([5, 0, 10])["line"].split()
    assert points == ["0.0,15.5", "50.0,29.0", "100.0,2.0"]


def test_a_trend_of_nothing_but_zeros_is_flat():
    assert formats.spark([0, 0])["line"] == "0.0,29.0 100.0,29.0"


def test_percent_never_rounds_up():
    assert formats.whole(99.9) == 99
