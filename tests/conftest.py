"""Shared fixtures: a home of its own for every test, the real notes opened once, the app in a real browser."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page

from rag.config import Settings
from rag.pipeline import Notes, open_notes
from rag.types import Document
from tests.ui_browser import open_browser, open_chat, serve
from tests.ui_notes import write_notes

# Seeds are fixed, so that a run is red only for what changed; HYPOTHESIS_PROFILE=search looks for new cases.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

CORPUS = Path(__file__).parent.parent / "corpus"
WAIT_S = 20
"""What reads hostile files and texts takes far less."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RAG_") and name != "RAG_TEST_BROWSER"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def ends_in_time() -> Iterator[None]:
    """Whatever waits for a pipe forever fails instead."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError("it waits")  # an OSError would be told as a problem of the file

    former = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(WAIT_S * 3)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    """The real notes, indexed once with the shipped encoder."""
    settings = Settings(corpus=(CORPUS,), index=tmp_path_factory.mktemp("index"))
    return open_notes(settings, lambda line: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notes for the app to show, in `corpus` below it."""
    return write_notes(tmp_path_factory.mktemp("ui"), CORPUS)


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The app on a real server, with those notes."""
    with serve(folder / "corpus", folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The app, in a browser that was never here."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page = context.new_page()
    open_chat(page, address)
    yield page
    context.close()


def make_document(text: str, stem: str = "notes") -> Document:
    """Make a document that is on no disk."""
    return Document(f"{stem}.md", stem, text, "0")
