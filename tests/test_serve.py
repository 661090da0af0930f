"""The server as a command on a real port: who may ask, what it logs and counts, many at once, its start and its end."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from eval.load import Address, measure
from eval.load import main as load
from eval.queries import load_queries
from rag.pipeline import Notes, open_notes
from tests.conftest import CORPUS
from tests.serving import (
    CHAT,
    HEADERS,
    KEY,
    MESSAGES,
    ROOT,
    Running,
    ask,
    get,
    post,
    run_command,
    run_on_copy,
    wait_for,
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with run_on_copy(tmp_path_factory.mktemp("serve")) as server:
        yield server


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", "Basic abc"])
def test_without_the_key_nothing_is_told(running: Running, key: str) -> None:
    for path in ("/v1/models", "/metrics", "/mcp", "/nowhere"):
        reply = get(running.url + path, headers={"Authorization": key} if key else {})
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
    wrong = OpenAI(base_url=f"{running.url}/v1", api_key="wrong", max_retries=0)
    with wrong, pytest.raises(openai.AuthenticationError, match="密钥不对"):
        wrong.models.list()


def test_health_needs_no_key_and_counts_the_questions(running: Running, notes: Notes) -> None:
    health = get(f"{running.url}/healthz").json()
    assert (health["status"], health["documents"]) == ("ok", 1)
    assert health["questions"] >= len(notes.questions)
    assert health["generation"].startswith("gen-")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_big_is_refused(running: Running, chunked: bool) -> None:
    content = (b"x" * 10_000 for _ in range(30)) if chunked else b"x" * 300_000
    reply = post(running.url + CHAT, content=content, headers=HEADERS)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8620"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:8620"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8620", "Origin": "http://localhost:8620"}, 200),
    ],
)
def test_other_hosts_and_other_pages_are_refused(running: Running, headers: dict[str, str], status: int) -> None:
    assert get(f"{running.url}/v1/models", headers={**HEADERS, **headers}).status_code == status


def test_an_unknown_address_and_a_wrong_method_are_told_in_the_same_shape(running: Running) -> None:
    lost = get(f"{running.url}/v2/models", headers=HEADERS)
    assert (lost.status_code, "/v1/models" in lost.json()["error"]["message"]) == (404, True)
    assert get(running.url + CHAT, headers=HEADERS).json()["error"]["code"] == "method_not_allowed"


def test_the_log_holds_one_line_a_request_and_no_word_of_it(running: Running) -> None:
    secret = "紫色大象zebra42"
    ask(running, {"messages": [{"role": "user", "content": secret}]})
    get(f"{running.url}/{secret}?q={secret}", headers=HEADERS)
    wait_for(lambda: '"path": "other"' in running.log.read_text(encoding="utf-8"))
    text = running.log.read_text(encoding="utf-8")
    assert "zebra42" not in text
    assert KEY not in text
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    chats = [row for row in rows if row.get("path") == CHAT]
    assert {"time", "level", "method", "path", "status", "ms"} == set(chats[-1])


def test_requests_answers_and_abstentions_are_counted(running: Running) -> None:
    def read() -> dict[str, float]:
        lines = get(f"{running.url}/metrics", headers=HEADERS).text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    before = read()
    ask(running, {"messages": MESSAGES})
    ask(running, {"messages": [{"role": "user", "content": "今天股票涨了吗"}]})
    after = read()

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert grown('mianjing_requests_total{route="/v1/chat/completions",status="200"}') == 2
    assert grown('mianjing_request_seconds_count{route="/v1/chat/completions"}') == 2
    assert grown('mianjing_answers_total{mode="extractive"}') == 2
    assert grown("mianjing_abstentions_total") == 1
    assert after["mianjing_requests_in_flight"] == 1  # the one that asks
    assert after["mianjing_questions"] > 0


def test_changed_notes_are_answered_from_while_requests_run(running: Running) -> None:
    statuses: list[int] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            statuses.append(ask(running, {"messages": MESSAGES}).status_code)

    def knows_it() -> bool:
        body = {"messages": [{"role": "user", "content": "第77题"}]}
        return "猫头鹰" in ask(running, body).json()["answer"]

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(keep_asking) for _ in range(4)]
        try:
            assert not knows_it()
            (running.log.parent / "corpus" / "extra.md").write_text(
                "# 77. 猫头鹰吃什么？\n\n猫头鹰吃老鼠。\n", encoding="utf-8"
            )
            wait_for(knows_it, 120)
        finally:
            stop.set()
        for one in asking:
            one.result()
    assert set(statuses) == {200}
    (running.log.parent / "corpus" / "extra.md").unlink()
    wait_for(lambda: not knows_it(), 120)


def test_no_request_is_lost_with_64_clients_at_once(running: Running) -> None:
    address = Address(running.address.host, running.address.port, KEY)
    queries = [judged.query for judged in load_queries()]
    rows = [measure(address, 64, 128, queries, stream=stream) for stream in (False, True)]
    assert [row.lost for row in rows] == [0, 0]


def test_the_load_test_writes_what_it_measured(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--url", running.url, "--key", KEY, "--json", str(tmp_path / "load.json")]
    assert load([*places, "--clients", "2", "4", "--requests", "8"]) == 0
    rows = json.loads((tmp_path / "load.json").read_text())
    assert [(row["clients"], row["requests"], row["lost"]) for row in rows] == [(2, 8, 0), (4, 8, 0)]
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert load([*places, "--key", "wrong", "--clients", "1", "--requests", "1"]) == 2


def test_threads_that_ask_at_once_get_what_one_gets(notes: Notes) -> None:
    queries = [judged.query for judged in load_queries()][::80]
    alone = [notes.ask(query) for query in queries]
    fresh = open_notes(notes.settings, lambda line: None)  # nothing that is made when first needed is there yet
    start = threading.Barrier(16)

    def ask(at: int) -> list[str]:
        start.wait()
        order = [(at + step) % len(queries) for step in range(len(queries))]
        texts = {place: repr((fresh.ask(queries[place]).text, fresh.search(queries[place]))) for place in order}
        return [texts[place] for place in range(len(queries))]

    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, range(16)))
    expected = [repr((answer.text, notes.search(query))) for answer, query in zip(alone, queries, strict=True)]
    assert all(texts == expected for texts in together)


def run_briefly(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rag.serve", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "要先设密钥"),
        (["--no-key", "--api-key", "x"], "只能要一个"),
        (["--api-key", "钥匙"], "只能用"),
        (["--port", "99999"], "127.0.0.1:99999: 这个端口用不了"),
    ],
)
def test_a_start_that_makes_no_sense_is_one_line(arguments: list[str], words: str) -> None:
    result = run_briefly(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_one_line(running: Running) -> None:
    result = run_briefly("--port", str(running.address.port))
    assert result.returncode == 2
    assert f"--port {running.address.port + 1}" in result.stderr


def test_notes_that_cannot_be_opened_end_the_server_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_bytes(b"\xff\xfe")
    result = run_briefly("--port", "0", "--terms", str(tmp_path / "bad.tsv"), "--index", str(tmp_path / "index"))
    assert result.returncode == 2
    assert "bad.tsv" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "mcp", "prometheus_client"])
def test_a_missing_package_names_the_extra(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from rag.serve import main; sys.exit(main([]))"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "pip install '.[serve]'" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_being_told_to_end_is_no_error(tmp_path: Path, notes: Notes) -> None:
    with run_command(tmp_path, "--corpus", str(CORPUS), "--index", str(notes.settings.index)) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert "Traceback" not in server.log.read_text(encoding="utf-8")
