"""How much is drawn by lot. Each run draws the same, and ends in bounded time; to look deeper, by
hand, say how many times as much, and get something else each time:

    FUZZ=20 python -m pytest tests/api tasks/uploads/tests/test_take_nonsense.py
    FUZZ=100 FUZZ_ONLY='POST /api/plans/' python -m pytest tests/api/test_hold_schema.py
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

DEPTH = int(os.environ.get("FUZZ", "1"))
ONLY = os.environ.get("FUZZ_ONLY", "")
"""The beginning of the operations that are looked at."""


def drawing(examples: int, **more) -> settings:
    """Hypothesis's settings for a test that talks to the database or to a process."""
    return settings(
        max_examples=examples * DEPTH,
        derandomize=DEPTH == 1,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        **more,
    )
