"""OpenAI's protocol through its official client: models, answers, streams, refusals."""

import json
import re
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from rag.pipeline import Notes
from rag.server.openai_api import describe_answer, read_request, to_query
from rag.types import Answer, Check
from tests.conftest import CORPUS
from tests.serving import ASKED, KEY, MESSAGES, Running, ask, run_on_copy


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with run_on_copy(tmp_path_factory.mktemp("serve")) as server:
        yield server


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{running.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_the_models_are_listed_and_shown(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["mianjing", "mianjing-extractive"]
    assert client.models.retrieve("mianjing").object == "model"
    with pytest.raises(openai.NotFoundError, match="mianjing-extractive"):
        client.models.retrieve("gpt-9")


def test_an_answer_comes_with_citations_that_are_exact(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="mianjing", messages=MESSAGES)
    assert reply.choices[0].finish_reason == "stop"
    assert "[Q4]" in reply.choices[0].message.content
    assert (reply.abstained, reply.mode, reply.checks, reply.answer) == (
        False,
        "extractive",
        [],
        reply.choices[0].message.content,
    )
    citation = reply.citations[0]
    assert {"label", "title", "file", "lines", "quote", "score"} <= set(citation)
    first, last = citation["lines"]
    lines = (CORPUS / "transformer-bert.md").read_text(encoding="utf-8").split("\n")
    assert citation["label"] == "Q4"
    assert citation["quote"] in "\n".join(lines[first - 1 : last])


def test_usage_is_counted_by_the_encoder(client: OpenAI, notes: Notes) -> None:
    reply = client.chat.completions.create(model="mianjing", messages=MESSAGES)
    count = notes.encoder.count_tokens
    assert reply.usage.prompt_tokens == count(ASKED)
    assert reply.usage.completion_tokens == count(reply.answer)
    assert reply.usage.total_tokens == count(ASKED) + count(reply.answer)


def test_a_stream_says_the_answer_in_pieces_and_its_citations_last(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="mianjing",
        messages=[{"role": "user", "content": "第3到4题"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    *pieces, last, usage = list(stream)
    assert len(pieces) > 2
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content for piece in pieces) == last.answer
    assert (last.choices[0].finish_reason, last.mode, last.abstained) == ("stop", "extractive", False)
    assert {citation["label"] for citation in last.citations} == {"Q3", "Q4"}
    assert (usage.choices, usage.usage.prompt_tokens > 0) == ([], True)


def test_a_follow_up_leans_on_what_was_said(client: OpenAI) -> None:
    messages = [
        {"role": "system", "content": "回答时只谈红烧肉。"},
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": "……"},
        {"role": "user", "content": [{"type": "text", "text": "那它是怎么做的呢"}]},
    ]
    reply = client.chat.completions.create(model="mianjing-extractive", messages=messages)
    assert reply.citations[0]["label"] == "Q4"


def test_what_the_notes_do_not_cover_is_said_plainly(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "今天股票涨了吗"}]
    reply = client.chat.completions.create(model="mianjing", messages=messages)
    assert (reply.abstained, reply.citations) == (True, [])
    assert "笔记里没有" in reply.choices[0].message.content


def test_what_other_servers_take_is_ignored(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model="mianjing", messages=MESSAGES, n=3, temperature=2, max_tokens=1, stop=["\n"], seed=1, user="我",
        tools=[{"type": "function", "function": {"name": "f"}}],
    )  # fmt: skip
    assert len(reply.choices) == 1
    assert "[Q4]" in reply.choices[0].message.content


def test_sources_are_put_below_the_text_where_they_are_wanted(client: OpenAI) -> None:
    body = {"sources": True}
    whole = client.chat.completions.create(model="mianjing", messages=MESSAGES, extra_body=body)
    stream = client.chat.completions.create(model="mianjing", messages=MESSAGES, extra_body=body, stream=True)
    texts = [piece.choices[0].delta.content or "" for piece in stream]
    assert re.search(r"来源\n- \[Q4\] .*transformer-bert\.md:[\d,-]+）$", whole.choices[0].message.content)
    assert "".join(texts) == whole.choices[0].message.content
    assert "来源" not in whole.answer


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{nonsense", 400, "invalid_request", None),
        (b"[" * 50_000, 400, "invalid_request", None),
        (b"\xff\xfe", 400, "invalid_request", None),
        ({"model": "mianjing"}, 400, "invalid_request", "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, 400, "invalid_request", "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "invalid_value", "messages"),
        ({"messages": MESSAGES, "length": "huge"}, 400, "invalid_value", "length"),
        ({"messages": MESSAGES, "model": "gpt-9"}, 404, "model_not_found", "model"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            400, "unsupported_content", "messages.0.content",
        ),
        ({"messages": [{"role": "user", "content": "字" * 8_001}]}, 400, "context_length_exceeded", "messages.0.content"),
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused_as_openai_does(
    running: Running, body: object, status: int, code: str, param: str | None
) -> None:
    reply = ask(running, body)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/json"
    error = reply.json()["error"]
    assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")
    assert len(error["message"].splitlines()) == 1


def test_a_history_is_read_as_far_as_it_helps() -> None:
    long = [{"role": "user", "content": "长" * 100_000}, {"role": "assistant", "content": None}] * 30
    request = read_request(json.dumps({"messages": [*long, *MESSAGES], "length": "short"}).encode())
    query = to_query(request, "normal")
    assert (query.text, query.length, query.generate) == (ASKED, "short", True)
    assert (len(query.history), max(len(turn.content) for turn in query.history)) == (20, 8_000)


def test_the_extractive_model_never_generates() -> None:
    request = read_request(json.dumps({"messages": MESSAGES, "model": "mianjing-extractive"}).encode())
    query = to_query(request, "full")
    assert (query.length, query.generate) == ("full", False)


def test_a_generated_answer_tells_its_checks_and_its_model() -> None:
    check = Check("句子", ("Q4",), "partly", "笔记没说这么多")
    told = describe_answer(Answer("问", "句子 [Q4]", False, "generated", checks=(check,), model="m", notice="慢"))
    assert (told["mode"], told["llm"], told["notice"]) == ("generated", "m", "慢")
    assert told["checks"][0]["verdict"] == "partly"
    assert "model" not in told  # the protocol's own field


def test_an_unpaired_surrogate_is_answered_all_the_same(running: Running) -> None:
    reply = ask(running, b'{"messages": [{"role": "user", "content": "\\ud800 BERT"}]}')
    assert reply.status_code in (200, 400)
    assert ask(running, {"messages": MESSAGES}).status_code == 200
