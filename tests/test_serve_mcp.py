"""The MCP tools through the official client, over HTTP and over the standard streams."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from rag.live import LiveNotes
from rag.pipeline import Notes
from tests.conftest import CORPUS
from tests.serving import ROOT, OnThread, get, post, run_thread, wait_for

Use = Callable[[Client], Awaitable[Any]]


@pytest.fixture(scope="module")
def server(notes: Notes) -> Iterator[OnThread]:
    with run_thread(lambda: LiveNotes(notes.settings, lambda line: None)) as made:
        wait_for(lambda: get(f"{made.url}/healthz").status_code == 200)
        yield made


def talk(target: str | StdioServerParameters, use: Use, mode: str = "auto") -> Any:
    async def run() -> Any:
        async with Client(target, mode=mode) as client:
            return await use(client)

    return asyncio.run(run())


def call(server: OnThread, name: str, **arguments: object) -> Any:
    return talk(f"{server.url}/mcp", lambda client: client.call_tool(name, arguments))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_tools_are_listed_with_what_they_take_and_give(server: OnThread, mode: str) -> None:
    listed = talk(f"{server.url}/mcp", lambda client: client.list_tools(), mode)
    tools = {tool.name: tool for tool in listed.tools}
    assert set(tools) == {"search_notes", "get_question", "ask_notes"}
    assert set(tools["ask_notes"].input_schema["properties"]) == {"question", "length"}
    assert all(tool.output_schema and tool.description and tool.annotations.read_only_hint for tool in listed.tools)


def test_a_search_finds_questions_best_first(server: OnThread) -> None:
    result = call(server, "search_notes", query="为什么要除以根号dk", k=3)
    assert not result.is_error
    found = result.structured_content["questions"]
    assert (result.structured_content["covered"], len(found), found[0]["label"]) == (True, 3, "Q4")
    assert found[0]["quote"] in (CORPUS / "transformer-bert.md").read_text(encoding="utf-8")
    assert result.content[0].text.startswith("[Q4] 为什么在进行softmax")


def test_a_search_for_what_is_not_there_says_so(server: OnThread) -> None:
    result = call(server, "search_notes", query="今天股票涨了吗")
    assert result.structured_content["covered"] is False
    assert "多半没有" in result.content[0].text


@pytest.mark.parametrize("label", ["Q29.1", "29.1", "[Q29.1]"])
def test_a_question_is_read_whole_by_its_label_or_number(server: OnThread, notes: Notes, label: str) -> None:
    result = call(server, "get_question", label=label)
    question = next(one for one in notes.questions if one.label == "Q29.1")
    text = (CORPUS / "transformer-bert.md").read_text(encoding="utf-8")[question.start : question.end]
    assert result.structured_content["text"] == text.strip()
    assert result.structured_content["lines"] == list(question.lines)
    assert text.strip() in result.content[0].text


@pytest.mark.parametrize(("label", "near"), [("Q26", "Q25、Q27"), ("没有的题", "Q"), ("Q999", "Q39")])
def test_a_label_that_is_not_there_is_an_error_that_names_near_ones(server: OnThread, label: str, near: str) -> None:
    result = call(server, "get_question", label=label)
    assert result.is_error
    assert f"{label}：笔记里没有这个题号" in result.content[0].text
    assert near in result.content[0].text


def test_an_answer_has_its_citations(server: OnThread) -> None:
    result = call(server, "ask_notes", question="为什么要除以根号dk", length="short")
    told = result.structured_content
    assert (told["abstained"], told["mode"], told["citations"][0]["label"]) == (False, "extractive", "Q4")
    assert told["citations"][0]["quote"] in (CORPUS / "transformer-bert.md").read_text(encoding="utf-8")
    assert told["answer"] in result.content[0].text
    assert "corpus/transformer-bert.md:" in result.content[0].text


def test_what_the_notes_do_not_cover_is_an_answer_too(server: OnThread) -> None:
    result = call(server, "ask_notes", question="红烧肉怎么做")
    assert (result.is_error, result.structured_content["abstained"]) == (False, True)
    assert "mianjing_abstentions_total" in get(f"{server.url}/metrics").text


@pytest.mark.parametrize("arguments", [{"question": ""}, {"question": "x", "length": "huge"}, {}])
def test_arguments_that_make_no_sense_are_an_error(server: OnThread, arguments: dict[str, str]) -> None:
    assert call(server, "ask_notes", **arguments).is_error


def test_pages_of_others_cannot_reach_the_tools(server: OnThread) -> None:
    for headers, status in (({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)):
        assert post(f"{server.url}/mcp", json={}, headers=headers).status_code == status


def test_no_stream_is_held_open_for_nothing(server: OnThread) -> None:
    reply = get(f"{server.url}/mcp", headers={"Accept": "text/event-stream"})
    assert reply.status_code == 405


def test_over_the_standard_streams_it_says_the_same(notes: Notes, tmp_path: Path) -> None:
    arguments = ["-m", "rag.serve", "--mcp-stdio", "--corpus", str(CORPUS), "--index", str(tmp_path / "index")]
    command = StdioServerParameters(command=sys.executable, args=arguments, cwd=str(ROOT), env=dict(os.environ))

    async def use(client: Client) -> tuple[list[str], Any, Any]:
        listed = await client.list_tools()
        lost = await client.call_tool("get_question", {"label": "Q26"})
        return [tool.name for tool in listed.tools], await client.call_tool("ask_notes", {"question": "第16题"}), lost

    names, answer, lost = talk(command, use)
    assert names == ["search_notes", "get_question", "ask_notes"]
    assert answer.structured_content["citations"][0]["label"] == "Q16"
    assert lost.is_error
