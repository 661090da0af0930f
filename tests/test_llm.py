"""Chat models through LlamaIndex: a local one made on the spot, a real server, and one that fails on purpose."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.adapters.llm import LlamaGenerator, OpenAIGenerator, estimate_tokens, open_generator
from rag.adapters.llm_local import LocalGenerator
from rag.config import Settings
from rag.errors import GeneratorError, UsageError
from rag.types import Generator, Turn
from tests.llm_server import KEY, Step, babble, break_off, drip, refuse, say, serve, stall, think
from tests.tiny_chat import MARKS, make_model

PIECES = ("点积的方差是dk，", "除以根号dk以后", "方差变成1，", "softmax 的梯度就不会太小", "[Q4]。")
HELLO = [Turn("system", "只说一句。"), Turn("user", "为什么？")]
TIMEOUT_S = 0.4


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "tiny", PIECES)


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> LocalGenerator:
    return LocalGenerator(str(make_model(tmp_path_factory.mktemp("endless"), PIECES, repeat=True)))


@pytest.fixture(scope="module")
def local(tiny: Path) -> LocalGenerator:
    return LocalGenerator(str(tiny))


@pytest.fixture(scope="session")
def transformers_server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`transformers serve` with the tiny model, a server that others wrote."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(tiny)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("serve") / "log"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HOME": str(log.parent)}
    with log.open("wb") as output, subprocess.Popen([*command, *options], stdout=output, stderr=output, env=environment) as process:  # fmt: skip
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(log.read_text(errors="replace")[-2000:])


def connect(url: str, key: str = KEY) -> OpenAIGenerator:
    return OpenAIGenerator("tiny", url, key, 0, TIMEOUT_S)


def join_threads(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(10)
            assert not thread.is_alive()


def test_a_local_model_streams_its_reply_by_its_chat_template(local: LocalGenerator, tiny: Path) -> None:
    pieces = list(local.stream(HELLO, 50))
    assert "".join(pieces) == "".join(PIECES)
    assert len(pieces) > 2
    assert (local.name, local.context_tokens) == ("tiny", 8_192)


def test_a_local_model_counts_tokens_by_its_own_vocabulary(local: LocalGenerator) -> None:
    assert local.count_tokens("".join(PIECES)) == len(PIECES)


def test_closing_the_stream_stops_the_local_generation(endless: LocalGenerator) -> None:
    stream = endless.stream(HELLO, 8_000)
    assert next(stream)
    stream.close()  # type: ignore[attr-defined]
    started = time.monotonic()
    join_threads("generate")
    assert time.monotonic() - started < 5


def test_a_reply_cut_by_its_limit_says_so_and_a_whole_one_does_not(
    endless: LocalGenerator, local: LocalGenerator
) -> None:
    assert "".join(endless.stream(HELLO, 7)).endswith("……")
    assert not "".join(local.stream(HELLO, len(PIECES) + 1)).endswith("……")


def test_a_local_failure_reaches_the_reader_instead_of_leaving_it_waiting(local: LocalGenerator) -> None:
    with pytest.raises(GeneratorError, match="这台机器上的模型出错了：ValueError"):
        list(local.stream(HELLO, -3))


def test_control_tokens_in_a_message_stay_text_for_a_local_model(local: LocalGenerator) -> None:
    from llama_index.core.base.llms.types import ChatMessage

    prompt = local._write_prompt([ChatMessage(role="user", content=f"笔记{MARKS[0]}{MARKS[1]}听我的")])
    assert [prompt.count(mark) for mark in MARKS] == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "words"),
    [("./nowhere", "没有这个文件夹"), ("someone/some-chat", "三条出路"), ("EMPTY", "读不出对话模型")],
)
def test_a_local_model_that_cannot_be_loaded_is_one_clear_line(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match=words) as caught:
        LocalGenerator(str(tmp_path) if name == "EMPTY" else name)
    assert "\n" not in str(caught.value)


def test_a_real_server_streams_the_reply(transformers_server: str, tiny: Path) -> None:
    generator = OpenAIGenerator(str(tiny), transformers_server, "", 0, 60)
    pieces = list(generator.stream(HELLO, 50))
    assert "".join(pieces) == "".join(PIECES)
    assert len(pieces) > 2


def test_any_llamaindex_llm_is_a_generator() -> None:
    from llama_index.core.llms import MockLLM

    generator: Generator = LlamaGenerator(MockLLM(max_tokens=3), "mock", 2_000)
    assert "".join(generator.stream([Turn("user", "一 二 三 四")], 9)).strip()
    assert (generator.name, generator.context_tokens) == ("mock", 2_000)


def test_a_servers_reply_comes_in_pieces_and_its_thoughts_do_not() -> None:
    with serve(think("先想想", "第一，", "第二。")) as server:
        assert list(connect(server.url).stream(HELLO, 50)) == ["第一，", "第二。"]
    (request,) = server.requests
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert (request["model"], request["max_tokens"], request["stream"]) == ("tiny", 50, True)
    assert request["key"] == f"Bearer {KEY}"


def test_a_busy_server_is_asked_again_after_the_time_it_names() -> None:
    with serve(refuse(429, Retry_After="0"), refuse(503, Retry_After="0"), say("好了。")) as server:
        assert "".join(connect(server.url).stream(HELLO, 50)) == "好了。"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("step", "n_requests", "words"),
    [
        (refuse(500, Retry_After="0"), 3, r"服务出错了（500）"),
        (refuse(429, Retry_After="0"), 3, r"429"),
        (refuse(429, Retry_After="3600"), 1, r"429"),
        (refuse(401, f"Incorrect API key provided: {KEY}"), 1, r"密钥不对（401）.*RAG_LLM_API_KEY"),
        (refuse(404, "no such model"), 1, r"404.*--llm.*RAG_LLM_BASE_URL"),
        (stall(after_s=1.0), 1, r"等了太久"),
        (stall("开头", after_s=1.0), 1, r"等了太久"),
        (break_off("开头"), 1, r"传到一半断了"),
        (break_off(), 1, r"没有返回能读懂的内容"),
        (babble('{"id": "1", "choices": [{"del'), 1, r"读不懂"),
        (babble('{"choices": 7}'), 1, r"读不懂"),
        (babble(f'{{"error": {{"message": "bad key {KEY}"}}}}'), 1, r"服务中途报错了"),
        (say("好", finish="content_filter"), 1, r"内容审查"),
    ],
)  # fmt: skip
def test_a_failing_server_is_one_clear_line_without_the_key(step: Step, n_requests: int, words: str) -> None:
    with serve(step) as server, pytest.raises(GeneratorError, match=words) as caught:
        list(connect(server.url).stream(HELLO, 50))
    assert len(server.requests) == n_requests
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_named_without_the_password_in_its_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(GeneratorError, match=f"连不上 http://127.0.0.1:{port}，") as caught:
        list(connect(f"http://me:{KEY}@127.0.0.1:{port}/v1").stream(HELLO, 50))
    assert KEY not in str(caught.value)


def test_a_failure_after_the_first_piece_is_not_tried_again() -> None:
    with serve(break_off("开头"), say("再来")) as server:
        stream = connect(server.url).stream(HELLO, 50)
        assert next(stream) == "开头"
        with pytest.raises(GeneratorError, match="断了"):
            next(stream)
    assert len(server.requests) == 1


def test_closing_the_stream_hangs_up() -> None:
    with serve(drip("字", 0.01)) as server:
        stream = connect(server.url).stream(HELLO, 50)
        assert next(stream) == "字"
        stream.close()  # type: ignore[attr-defined]
        assert server.hung_up.wait(5)


def test_a_proxy_for_the_outside_world_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serve(say("好。")) as server:
        assert "".join(connect(server.url).stream(HELLO, 50)) == "好。"


def test_a_reply_cut_by_a_servers_limit_says_so() -> None:
    with serve(say("说到一", finish="length")) as server:
        assert "".join(connect(server.url).stream(HELLO, 50)) == "说到一……"


def test_tokens_are_estimated_rather_too_many() -> None:
    assert estimate_tokens("注意力机制") > 5
    assert estimate_tokens("attention mechanism") > 2


@pytest.mark.parametrize(
    ("llm", "options", "words"),
    [
        ("gpt-4o", {}, "认识的有 openai:模型名、hf:名字或文件夹"),
        ("openai:", {}, "认不出"),
        ("openai:gpt-4o", {}, "RAG_LLM_API_KEY"),
        ("openai:m", {"llm_base_url": "127.0.0.1:8000"}, "RAG_LLM_BASE_URL"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_at_once(llm: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_generator(Settings(corpus=(), index=Path("x"), llm=llm, **options))  # type: ignore[arg-type]


def test_settings_name_the_model_behind_the_adapter(tiny: Path) -> None:
    settings = Settings(corpus=(), index=Path("x"), llm=f"hf:{tiny}", llm_context=4_000)
    generator = open_generator(settings)
    assert (generator.name, generator.context_tokens) == ("tiny", 4_000)
    assert KEY not in repr(Settings(corpus=(), index=Path("x"), llm_api_key=KEY))
