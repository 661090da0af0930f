"""The command: who may reach the app, and what it says when they may not."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag.config import Settings, read_settings
from rag.errors import UsageError
from rag.live import LiveNotes
from tests.conftest import CORPUS
from ui.__main__ import choose_auth, is_loopback, main, parse_arguments
from ui.app import make_app, make_server
from ui.guard import HEADERS
from ui.texts import LANGUAGES, texts_for


def choose(*arguments: str, environment: str = "") -> tuple[str, str] | None:
    options = parse_arguments(list(arguments))
    return choose_auth(options, read_settings(options, {"RAG_UI_AUTH": environment} if environment else {}))


def test_this_machine_alone_needs_no_password() -> None:
    assert choose() is None
    assert choose("--host", "::1") is None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "example.org"])
def test_others_reach_the_app_only_with_a_password_or_when_told(host: str) -> None:
    with pytest.raises(UsageError, match=f"--host {host}: .*--auth 用户名:密码.*--no-auth"):
        choose("--host", host)
    assert choose("--host", host, "--no-auth") is None
    assert choose("--host", host, "--auth", "me:a:b") == ("me", "a:b")
    assert choose("--host", host, environment="me:secret") == ("me", "secret")


@pytest.mark.parametrize("given", ["me", "me:", ":secret"])
def test_half_a_password_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="要写成 用户名:密码"):
        choose("--auth", given)


def test_loopback_is_told_from_the_rest() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1", "0.0.0.0", "me")] == [
        True, True, True, True, False, False
    ]  # fmt: skip


def test_an_unknown_language_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "fr"]) == 2
    assert capsys.readouterr().err.strip() == "错误：--lang：要 zh、en 中的一个，写的却是 'fr'"


def test_both_languages_say_everything() -> None:
    zh, en = (texts_for(language) for language in LANGUAGES)
    for name in zh.__dataclass_fields__:
        assert getattr(zh, name)
        assert getattr(en, name)
        assert type(getattr(zh, name)) is type(getattr(en, name))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveNotes:
    folder: Path = tmp_path_factory.mktemp("main")
    return LiveNotes(Settings(corpus=(CORPUS,), index=folder / "index", data=folder / "data"), lambda line: None)


def test_nothing_is_served_before_signing_in(live: LiveNotes) -> None:
    with TestClient(make_server(make_app(live), auth=("me", "secret"))) as client:
        assert client.get("/config").status_code == 401
        assert client.post("/gradio_api/call/ask", json={"data": ["为什么"]}).status_code == 401
        assert "道题" not in client.get("/").text
        assert client.post("/login", data={"username": "me", "password": "no"}).status_code == 400
        assert client.post("/login", data={"username": "me", "password": "secret"}).status_code == 200
        assert client.get("/config").status_code == 200


def test_every_response_forbids_fetching_elsewhere(live: LiveNotes) -> None:
    with TestClient(make_server(make_app(live))) as client:
        for path in ("/", "/config", "/nothing"):
            headers = client.get(path).headers
            assert {name: headers.get(name) for name in HEADERS} == HEADERS
        for path in ("/gradio_api/file=https://example.com/a.png", "/gradio_api/proxy=https://example.com/"):
            refused = client.get(path)
            assert (refused.status_code, refused.text) == (403, "这里不替浏览器去取别处的东西。\n")


def test_the_app_works_below_a_path_of_a_proxy(live: LiveNotes) -> None:
    with TestClient(make_server(make_app(live), root_path="/notes")) as client:
        assert client.get("/config").json()["root"].endswith("/notes")
