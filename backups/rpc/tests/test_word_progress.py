"""What people read about a task that runs."""

from __future__ import annotations

from backups.rpc import sentences


def line(done: int, total: int | None, percent: float | None) -> str:
    figures = {"done": done, "total": total, "percent": percent, "rate": 2e6, "unit": "bytes"}
    standing = {"job": "backup", "status": "running", "message": "Dumping", "progress": figures}
    return sentences.line(standing)


def test_it_works():
    assert line(5_000_000, 20_000_000, 25.0) == "Dumping, 5.0 MB of 20.0 MB (25 %), 2.0 MB/s"
    assert line(5_000_000, None, None) == "Dumping, 5.0 MB, 2.0 MB/s"


def test_a_guess_that_was_too_low_is_not_told():
    assert line(349_100_000, 21_400_000, 99.0) == "Dumping, 349.1 MB, 2.0 MB/s"
