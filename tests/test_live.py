"""Notes that stay open: refreshed, followed and watched."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.build import build
from rag.config import Settings
from rag.errors import CorpusError
from rag.live import LiveNotes
from rag.types import Query

NOTES = "## 1. 什么是困惑度\n\n困惑度是交叉熵的指数，越低越好。\n"
ADDED = "\n## 2. 什么是束搜索\n\n束搜索每一步保留概率最高的几个候选。\n"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def live(tmp_path: Path, said: list[str]) -> Iterator[LiveNotes]:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text(NOTES, encoding="utf-8")
    live = LiveNotes(Settings(corpus=(tmp_path / "notes",), index=tmp_path / "index"), said.append)
    yield live
    live.close()


def test_a_refresh_switches_and_leaves_the_former_notes_as_they_were(live: LiveNotes, tmp_path: Path) -> None:
    former = live.current
    (tmp_path / "notes" / "a.md").write_text(NOTES + ADDED, encoding="utf-8")
    assert live.is_stale()
    assert live.refresh().added == ("Q2",)
    assert not live.is_stale()
    assert [question.label for question in live.current.questions] == ["Q1", "Q2"]
    assert [question.label for question in former.questions] == ["Q1"]


def test_a_generation_of_another_process_is_followed_once(live: LiveNotes, tmp_path: Path) -> None:
    assert not live.follow()
    (tmp_path / "notes" / "a.md").write_text(NOTES + ADDED, encoding="utf-8")
    build(live.current.settings, live.current.encoder)
    assert live.follow()
    assert len(live.current.questions) == 2
    assert not live.follow()


def test_notes_taken_away_are_not_answered_from_any_more(live: LiveNotes, tmp_path: Path) -> None:
    (tmp_path / "notes" / "a.md").unlink()
    assert live.refresh().removed == ("Q1",)
    assert live.current.ask(Query("什么是困惑度")).abstained
    assert not live.is_stale()


def test_notes_whose_folder_is_gone_stay_open(live: LiveNotes, tmp_path: Path) -> None:
    (tmp_path / "notes").rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match="没有这个文件或文件夹"):
        live.refresh()
    assert not live.current.ask(Query("什么是困惑度")).abstained


def test_an_empty_folder_opens_and_takes_the_first_notes(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "notes").mkdir()
    live = LiveNotes(Settings(corpus=(tmp_path / "notes",), index=tmp_path / "index"), said.append)
    assert "没有找到笔记" in said[-1]
    assert live.current.ask(Query("什么是困惑度")).abstained
    (tmp_path / "notes" / "a.md").write_text(NOTES, encoding="utf-8")
    assert live.refresh().added == ("Q1",)
    assert not live.current.ask(Query("什么是困惑度")).abstained


def test_watched_notes_are_read_again_when_they_change(live: LiveNotes, tmp_path: Path) -> None:
    live.watch(0.02)
    (tmp_path / "notes" / "a.md").write_text(NOTES + ADDED, encoding="utf-8")
    waiting = threading.Event()
    for _ in range(500):
        if len(live.current.questions) == 2 or waiting.wait(0.02):
            break
    assert len(live.current.questions) == 2
    live.close()
    assert not live.watching


def test_what_a_watch_cannot_read_is_said_once(live: LiveNotes, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "notes").rename(tmp_path / "elsewhere")
    live.watch(0.01)
    waiting = threading.Event()
    for _ in range(500):
        if said or waiting.wait(0.02):
            break
    waiting.wait(0.1)
    assert len([line for line in said if "没有这个文件或文件夹" in line]) == 1
