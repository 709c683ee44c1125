"""What settings make of REDIS_URL, with a real Redis."""

from __future__ import annotations

import os
import subprocess
import sys

from django.conf import settings

from tests.redis import redis_server

CACHE = "from django.core.cache import cache; cache.set('a', 1); print(cache.get('a'))"
LAYER = """
import asyncio
from channels.layers import get_channel_layer

async def main():
    layer = get_channel_layer()
    await layer.group_add("all", "mine")
    await layer.group_send("all", {"type": "told"})
    print(await layer.receive("mine"))

asyncio.run(main())
"""


def run(code: str, folder, **values: str) -> str:
    shell = [sys.executable, str(settings.BASE_DIR / "manage.py"), "shell", "-v0", "-c", code]
    environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(folder), **values}
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_works(tmp_path):
    with redis_server(tmp_path) as url:
        (tmp_path / "url").write_text(f"{url}\n")
        assert run(CACHE, tmp_path, REDIS_URL_FILE=str(tmp_path / "url")) == "1"
        assert run(LAYER, tmp_path, REDIS_URL=url) == "{'type': 'told'}"


def test_without_one_cache_and_layer_are_those_of_the_process(tmp_path):
    assert run(CACHE, tmp_path) == "1"
    assert run(LAYER, tmp_path) == "{'type': 'told'}"
