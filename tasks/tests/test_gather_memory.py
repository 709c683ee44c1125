"""Memory in large pages, so that forks copy little."""

from __future__ import annotations

import json
import subprocess
import sys

HAVE = """
import json, os
from tasks import memory

kept = [bytes([number % 250]) * 5000 for number in range(8000)]  # 40 MB in small pieces
before = sum(map(hash, kept))
gathered = memory.gather()
rollup = open("/proc/self/smaps_rollup").read().split()
large = int(rollup[rollup.index("AnonHugePages:") + 1]) // 2048
if os.fork() == 0:
    kept[0] = b"another"
    os._exit(sum(map(len, kept[1:])) != 7999 * 5000)
child = os.waitstatus_to_exitcode(os.wait()[1])
same = before == sum(map(hash, kept))
print(json.dumps({"gathered": gathered, "large": large, "child": child, "same": same}))
"""


def told(*before: str) -> dict[str, int]:
    script = "\n".join((*before, HAVE))
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def test_it_works():
    """As many as the kernel says it has made; none where it is older than Linux 6.1."""
    found = told()
    assert found["large"] == found["gathered"]
    assert (found["child"], found["same"]) == (0, True)


def test_a_kernel_that_has_none_changes_nothing():
    found = told("from tasks import memory", "memory._MADV_COLLAPSE = 9999")
    assert found == {"gathered": 0, "large": 0, "child": 0, "same": True}
