"""The server while an answer is being written: clients that leave, crowds, time limits, the end."""

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from openai import OpenAI

from rag.errors import EncoderError
from rag.pipeline import Notes
from rag.server.options import ServerOptions
from tests.serving import HeldNotes, LiveStub, OnThread, get, post, run_thread, wait_for

CHAT = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "为什么要除以根号dk"}]}
STREAM = {**BODY, "stream": True}


@pytest.fixture
def held(notes: Notes) -> Iterator[HeldNotes]:
    made = HeldNotes(notes)
    yield made
    made.go_on.set()


def serve_held(held: HeldNotes, **options: object) -> "Iterator[OnThread]":
    return run_thread(lambda: LiveStub(held), ServerOptions(n_threads=1, **options))


def wait_until_open(server: OnThread) -> None:
    wait_for(lambda: get(f"{server.url}/healthz").status_code == 200)


def test_a_client_that_leaves_a_stream_ends_the_answer(held: HeldNotes) -> None:
    with serve_held(held) as server:
        wait_until_open(server)
        with httpx.stream("POST", server.url + CHAT, json=STREAM, timeout=60) as reply:
            next(reply.iter_lines())
            assert not held.closed.is_set()
        assert held.closed.wait(60)


def test_a_client_that_does_not_wait_for_its_answer_ends_it(held: HeldNotes) -> None:
    with serve_held(held) as server:
        wait_until_open(server)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(server.url + CHAT, json=BODY, timeout=httpx.Timeout(10, read=0.5))
        assert held.closed.wait(60)
        wait_for(lambda: 'status="499"' in server.service.metrics.to_text().decode())


def test_a_piece_is_sent_as_soon_as_it_is_written(held: HeldNotes) -> None:
    with serve_held(held) as server:
        wait_until_open(server)
        with httpx.stream("POST", server.url + CHAT, json=STREAM, timeout=60) as reply:
            lines = reply.iter_lines()
            assert json.loads(next(lines).removeprefix("data: "))["choices"][0]["delta"]["content"] == "第一句"
            held.go_on.set()
            assert list(lines)[-2:] == ["data: [DONE]", ""]


def test_a_crowd_beyond_the_queue_is_told_to_come_back(held: HeldNotes) -> None:
    with serve_held(held, n_waiting=1) as server, ThreadPoolExecutor(2) as pool:
        wait_until_open(server)
        first = pool.submit(post, server.url + CHAT, json=BODY)
        assert held.begun.wait(60)
        second = pool.submit(post, server.url + CHAT, json=BODY)
        wait_for(lambda: server.service.metrics.in_flight._value.get() == 2)
        client = OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        with client, pytest.raises(openai.RateLimitError, match="同时来问的太多了") as refused:
            client.chat.completions.create(model="mianjing", **BODY)
        assert refused.value.response.headers["retry-after"] == "2"
        held.go_on.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]
        assert post(server.url + CHAT, json=BODY).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(held: HeldNotes) -> None:
    with serve_held(held, timeout_s=0.3) as server:
        wait_until_open(server)
        late = post(server.url + CHAT, json=BODY)
        assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
        assert held.closed.wait(60)
        client = OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        with client, pytest.raises(openai.APIError, match=r"0\.3 秒内没有答完"):
            list(client.chat.completions.create(model="mianjing", **STREAM))


def test_requests_that_run_are_finished_when_the_server_ends(held: HeldNotes) -> None:
    with serve_held(held) as server, ThreadPoolExecutor(1) as pool:
        wait_until_open(server)
        asking = pool.submit(post, server.url + CHAT, json=BODY)
        assert held.begun.wait(60)
        server.server.should_exit = True
        wait_for(lambda: not server.server.servers[0].is_serving())
        held.go_on.set()
        assert asking.result().json()["answer"] == "第一句，最后一句"


def test_until_the_notes_are_open_it_says_so(notes: Notes) -> None:
    opened = threading.Event()

    def open_late() -> LiveStub:
        assert opened.wait(60)
        return LiveStub(notes)

    with run_thread(open_late) as server:
        for early in (get(f"{server.url}/healthz"), post(server.url + CHAT, json=BODY)):
            assert (early.status_code, early.json()["error"]["code"]) == (503, "not_ready")
            assert early.headers["retry-after"] == "2"
        opened.set()
        wait_until_open(server)
        assert post(server.url + CHAT, json=BODY).status_code == 200


def test_notes_that_cannot_be_opened_are_reported(notes: Notes) -> None:
    def refuse() -> LiveStub:
        raise EncoderError("模型坏了")

    with run_thread(refuse) as server:
        wait_for(lambda: server.failures)
    assert str(server.failures[0]) == "模型坏了"


def test_an_error_the_notes_report_is_passed_on_and_a_crash_keeps_its_words_to_itself(
    held: HeldNotes, caplog: pytest.LogCaptureFixture
) -> None:
    with serve_held(held) as server:
        wait_until_open(server)
        held.error = EncoderError("接口连不上；检查 RAG_API_BASE")
        reported = post(server.url + CHAT, json=STREAM)
        assert (reported.status_code, reported.json()["error"]["code"]) == (500, "notes_error")
        assert reported.json()["error"]["message"] == "接口连不上；检查 RAG_API_BASE"
        held.error = ValueError("紫色大象")
        with caplog.at_level(logging.INFO):
            crashed = post(server.url + CHAT, json=BODY)
            wait_for(lambda: "ValueError" in str([record.__dict__ for record in caplog.records]))
        assert (crashed.status_code, crashed.json()["error"]["code"]) == (500, "internal_error")
        assert "紫色大象" not in crashed.text + str([record.__dict__ for record in caplog.records])


def test_a_page_that_is_allowed_may_ask_from_a_browser(notes: Notes) -> None:
    options = ServerOptions(key="k", origins=("https://chat.example",))
    headers = {"Origin": "https://chat.example"}
    asking = {**headers, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with run_thread(lambda: LiveStub(notes), options) as server:
        asked = httpx.options(server.url + CHAT, headers=asking, timeout=60)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "https://chat.example")
        wrong = get(f"{server.url}/v1/models", headers=headers)
        assert (wrong.status_code, wrong.headers["access-control-allow-origin"]) == (401, "https://chat.example")
        assert httpx.options(server.url + CHAT, headers=asking | {"Origin": "https://x.example"}).status_code == 403


def test_behind_a_proxy_its_name_is_allowed_where_it_is_named(notes: Notes) -> None:
    options = ServerOptions(hosts=("notes.example",))
    with run_thread(lambda: LiveStub(notes), options) as server:
        wait_until_open(server)
        statuses = [
            get(f"{server.url}/healthz", headers={"Host": host}).status_code
            for host in ("notes.example", "NOTES.example:443", "evil.example")
        ]
    assert statuses == [200, 200, 421]
