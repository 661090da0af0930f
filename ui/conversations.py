"""Keep what was asked and answered, for each reader apart: one SQLite file in the user's data folder."""

import contextlib
import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rag.errors import UsageError
from rag.types import Answer, Check, Citation, Turn

FILE = "chats.sqlite"
TITLE_CHARS = 40
ID_BYTES = 24
"""192 bits: nobody guesses who a browser is, or the name of a conversation."""
WAIT_S = 10.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, updated REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS conversations_of ON conversations (owner, updated);
CREATE TABLE IF NOT EXISTS exchanges (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    asked TEXT NOT NULL, answer TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
    stopped INTEGER NOT NULL DEFAULT 0, liked INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS exchanges_of ON exchanges (conversation, id);
"""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation, as the list shows it."""

    id: str
    title: str
    updated: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with its answer."""

    id: int
    asked: str
    answer: Answer | None = None
    error: str = ""
    """Why there is no answer, in one line."""
    stopped: bool = False
    liked: int = 0
    """1 helpful, -1 not, 0 not said."""
    reason: str = ""


def make_id() -> str:
    """Make a name that cannot be guessed."""
    return secrets.token_urlsafe(ID_BYTES)


def name_owner(user: str | None, browser: str) -> str:
    """Name the owner of conversations: who signed in, or else the browser by what only it knows."""
    kind, secret = ("user", user) if user else ("browser", browser)
    return f"{kind}:{hashlib.blake2b(secret.encode(), digest_size=16, person=kind.encode()).hexdigest()}"


def read_answer(text: str) -> Answer | None:
    """Read an answer as `write_answer` wrote it; empty text is none."""
    if not text:
        return None
    values: dict[str, Any] = json.loads(text)
    values["citations"] = tuple(Citation(**one | {"lines": tuple(one["lines"])}) for one in values["citations"])
    values["checks"] = tuple(Check(**one | {"labels": tuple(one["labels"])}) for one in values["checks"])
    for name in ("ranking", "related"):
        values[name] = tuple((first, second) for first, second in values[name])
    return Answer(**values)


def write_answer(answer: Answer) -> str:
    """Write an answer as JSON."""
    return json.dumps(asdict(answer), ensure_ascii=False)


def to_history(exchanges: list[Exchange]) -> tuple[Turn, ...]:
    """Turn what was said into the history of the next question."""
    turns = []
    for exchange in exchanges:
        if exchange.answer:
            turns += [Turn("user", exchange.asked), Turn("assistant", exchange.answer.text)]
    return tuple(turns)


class Conversations:
    """The conversations of all readers; every call names whose."""

    def __init__(self, folder: Path) -> None:
        """Open the file, made where there is none.

        :raises UsageError: when it cannot be opened or written.
        """
        self._path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
        except OSError as error:
            raise self._cannot(error) from error
        with self._open() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)

    def _cannot(self, error: Exception) -> UsageError:
        return UsageError(f"{self._path}: 存不了对话（{error}）；换个地方：设环境变量 RAG_DATA=另一个文件夹")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction; each thread has a connection of its own that way."""
        try:
            db = sqlite3.connect(self._path, timeout=WAIT_S)
            with contextlib.closing(db), db:
                db.execute("PRAGMA foreign_keys = ON")
                yield db
        except sqlite3.Error as error:
            raise self._cannot(error) from error

    def of(self, owner: str) -> list[Conversation]:
        """Return an owner's conversations, the last used first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT id, title, updated FROM conversations WHERE owner = ? ORDER BY updated DESC, id", [owner]
            ).fetchall()
        return [Conversation(*row) for row in rows]

    def find(self, owner: str, conversation: str) -> Conversation | None:
        """Return one conversation of an owner, or None when it is not theirs."""
        with self._open() as db:
            row = db.execute(
                "SELECT id, title, updated FROM conversations WHERE owner = ? AND id = ?", [owner, conversation]
            ).fetchone()
        return Conversation(*row) if row else None

    def read(self, owner: str, conversation: str) -> list[Exchange]:
        """Return what was said in a conversation, in order; nothing when it is not the owner's."""
        with self._open() as db:
            rows = db.execute(
                "SELECT e.id, asked, answer, error, stopped, liked, reason FROM exchanges e"
                " JOIN conversations c ON c.id = e.conversation WHERE c.owner = ? AND c.id = ? ORDER BY e.id",
                [owner, conversation],
            ).fetchall()
        return [
            Exchange(key, asked, read_answer(answer), error, bool(stopped), liked, reason)
            for key, asked, answer, error, stopped, liked, reason in rows
        ]

    def begin(self, owner: str, conversation: str, asked: str) -> tuple[str, int]:
        """Add a question, to a new conversation when the named one is not the owner's; return the ids of both."""
        now = time.time()
        with self._open() as db:
            mine = db.execute("SELECT 1 FROM conversations WHERE owner = ? AND id = ?", [owner, conversation])
            if mine.fetchone():
                db.execute("UPDATE conversations SET updated = ? WHERE id = ?", [now, conversation])
            else:
                conversation = make_id()
                title = " ".join(asked.split())[:TITLE_CHARS]
                db.execute("INSERT INTO conversations VALUES (?, ?, ?, ?)", [conversation, owner, title, now])
            key = db.execute("INSERT INTO exchanges (conversation, asked) VALUES (?, ?)", [conversation, asked])
            return conversation, key.lastrowid or 0

    def finish(self, exchange: int, answer: Answer | None, *, error: str = "", stopped: bool = False) -> None:
        """Add the answer to a question that was begun; one taken away meanwhile stays away."""
        with self._open() as db:
            db.execute(
                "UPDATE exchanges SET answer = ?, error = ?, stopped = ? WHERE id = ?",
                [write_answer(answer) if answer else "", error, int(stopped), exchange],
            )

    def cut(self, owner: str, conversation: str, exchange: int) -> None:
        """Take an exchange and all after it out of a conversation."""
        with self._open() as db:
            db.execute(
                "DELETE FROM exchanges WHERE id >= ? AND conversation IN"
                " (SELECT id FROM conversations WHERE owner = ? AND id = ?)",
                [exchange, owner, conversation],
            )

    def rate(self, owner: str, conversation: str, exchange: int, liked: int, reason: str) -> None:
        """Keep what the reader thinks of an answer."""
        with self._open() as db:
            db.execute(
                "UPDATE exchanges SET liked = ?, reason = ? WHERE id = ? AND conversation IN"
                " (SELECT id FROM conversations WHERE owner = ? AND id = ?)",
                [liked, reason, exchange, owner, conversation],
            )

    def rename(self, owner: str, conversation: str, title: str) -> None:
        """Give a conversation another title; an empty one changes nothing."""
        title = " ".join(title.split())[: 2 * TITLE_CHARS]
        if title:
            with self._open() as db:
                db.execute(
                    "UPDATE conversations SET title = ? WHERE owner = ? AND id = ?", [title, owner, conversation]
                )

    def delete(self, owner: str, conversation: str) -> None:
        """Delete a conversation for good."""
        with self._open() as db:
            db.execute("DELETE FROM conversations WHERE owner = ? AND id = ?", [owner, conversation])
