"""Static files, as a real web process answers them."""

from __future__ import annotations

PATH = "/static/backdrop/live.js"


def test_it_works(web):
    with web.client() as client:
        answer = client.get(PATH)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "data-live" in answer.text


def test_what_a_browser_has_already_is_not_sent_again(web):
    with web.client() as client:
        dated = {"If-Modified-Since": client.get(PATH).headers["last-modified"]}
        again = client.get(PATH, headers=dated)
        assert (again.status_code, again.content) == (304, b"")


def test_the_headers_come_alone_when_asked_for(web):
    with web.client() as client:
        whole = client.get(PATH)
        head = client.head(PATH)
        assert head.status_code == 200
        assert head.headers["content-length"] == whole.headers["content-length"]


def test_a_path_that_is_no_file_s_goes_on_to_the_pages(web):
    with web.client() as client:
        assert client.get("/static/nothing.js").status_code == 404
        assert client.get("/task/status/x").headers["content-type"] == "application/problem+json"


def test_it_makes_no_warning(web):
    with web.client() as client:
        client.get(PATH)
    assert "Warning" not in web.log.read_text()
