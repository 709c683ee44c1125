"""Clients that people use send files through an ordeal: twenty cut connections, a web process that
is killed, a token that expires meanwhile."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tusclient.client import TusClient

from tests.uploads.conftest import MB

pytestmark = pytest.mark.timeout(240)

PAGE = "<!doctype html><title>Uppy</title><input type=file id=file><script src=/uppy.js></script>"


def test_it_works(ordeal):
    """tuspy."""
    with ordeal(200 * MB) as going, going.path.open("rb") as file:
        client = TusClient(going.endpoint, headers={"Authorization": f"Bearer {going.token}"})
        uploader = client.uploader(
            file_stream=file,
            chunk_size=8 * MB,
            metadata={"job": "inspect", "filename": "sent.bin"},
            retries=40,
            retry_delay=0.1,
        )
        uploader.upload()
        going.check()


def test_tus_js_client_in_node(ordeal, node_modules):
    with ordeal(200 * MB) as going:
        done = subprocess.run(
            ["node", Path(__file__).parent / "send.js", going.endpoint, going.path],
            env={"PATH": os.environ["PATH"], "TOKEN": going.token},
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, done.stderr
        going.check()


def test_uppy_in_a_browser(ordeal, bundle, browser):
    with ordeal(200 * MB) as going:
        context = browser.new_context(base_url=going.proxy.url)
        page = context.new_page()
        page.route("**/uppy.html", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.route(
            "**/uppy.js", lambda route: route.fulfill(body=bundle, content_type="text/javascript")
        )
        page.goto("/uppy.html")
        page.locator("#file").set_input_files(going.path)
        page.evaluate("token => send(token)", going.token)
        page.wait_for_function("document.title != 'Uppy'", timeout=150_000)
        expect(page).to_have_title("sent")
        context.close()
        going.check()
