"""The library tab: every question in a table that is filtered as you type, a reader, and a map of what lies near what."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from rag.answer import is_cut_off
from rag.live import LiveNotes
from rag.markdown import plain_words
from rag.pipeline import Notes
from rag.types import Passage, Question
from ui.library_texts import WORDS
from ui.map import draw_map
from ui.page import Reply, build_page
from ui.pictures import pictures_of
from ui.render import render_markdown
from ui.texts import Texts

Flag = Literal["empty", "picture", "cut", "same", "short"]
FLAGS: tuple[Flag, ...] = get_args(Flag)
SHORT_CHARS = 40
"""An answer with fewer letters and characters than this says little in an interview."""


@dataclass(frozen=True, slots=True)
class Row:
    """A question in the table."""

    id: str
    label: str
    title: str
    group: str
    """Titles of the groups above it."""
    parent: str
    """Label of the question that holds it, or empty."""
    file: str
    place: str
    """`第 3–16 行`."""
    chars: int
    """Letters and characters of its answer."""
    flags: tuple[Flag, ...]
    same: tuple[str, ...]
    """Labels of the others that say the same."""


def list_rows(notes: Notes, texts: Texts) -> list[Row]:
    """List all questions in the order of the notes, sub-questions below theirs."""
    same = notes.group_same_content()
    labels = {question.id: question.label for question in notes.questions}
    rows = []
    for question in notes.questions:
        body = read_body(notes, question)
        others = tuple(label for label in same.get(question.id, ()) if label != question.label)
        chars = len(re.findall(r"\w", plain_words(body)))
        group = " › ".join(question.headings) if not question.parent else ""
        rows.append(
            Row(
                id=question.id,
                label=question.label,
                title=question.title,
                group=group,
                parent=labels.get(question.parent, ""),
                file=question.path,
                place=write_place(question, notes.passages[question.parent or question.id], texts),
                chars=chars,
                flags=flag(question, body, chars, others),
                same=others,
            )
        )
    return rows


def flag(question: Question, body: str, chars: int, same: Sequence[str]) -> tuple[Flag, ...]:
    """Name what is missing of a question's answer."""
    has_text = question.content == "text"
    holds: dict[Flag, bool] = {
        "empty": question.content == "empty",
        "picture": question.content == "picture",
        "cut": has_text and is_cut_off(body),
        "same": bool(same),
        "short": has_text and chars < SHORT_CHARS,
    }
    return tuple(name for name in FLAGS if holds[name])


def read_body(notes: Notes, question: Question) -> str:
    """Return the answer text of a question as it stands in the notes, its heading left out."""
    passages = notes.passages[question.parent or question.id]
    text = "".join(passage.text for passage in passages)  # passages tile their question
    start = passages[0].start if passages else 0
    return text[max(0, question.body_start - start) : max(0, question.end - start)]


def write_place(question: Question, passages: Sequence[Passage], texts: Texts) -> str:
    """Write where a question stands in its file."""
    unit = passages[0].unit if passages else "line"
    one = {"line": texts.line, "page": texts.page, "cell": texts.cell}[unit]
    several = {"line": texts.lines, "page": texts.pages, "cell": texts.cells}[unit]
    first, last = question.lines
    return one.format(first=first) if first == last else several.format(first=first, last=last)


def name_generation(notes: Notes) -> str:
    """Name what the notes were made of, to tell whether a page shows the newest."""
    return f"{notes.index.generation} {notes.index.content.corpus}"


class OncePerGeneration:
    """Makes something from the notes once, and again when they have changed."""

    def __init__(self, live: LiveNotes, make: Callable[[Notes], Reply]) -> None:
        self._live, self._make = live, make
        self._lock = threading.Lock()
        self._made: Reply = {"generation": ""}

    def get(self, known: str) -> Reply:
        """Return it with its generation, or only that where it is the `known` one."""
        notes = self._live.current
        name = name_generation(notes)
        if name == known:
            return {"generation": name}
        with self._lock:
            if self._made["generation"] != name:
                self._made = {"generation": name, **self._make(notes)}
            return self._made


def build_library_tab(live: LiveNotes, texts: Texts) -> None:
    """Fill the tab."""
    rows = OncePerGeneration(live, lambda notes: {"rows": [asdict(row) for row in list_rows(notes, texts)]})
    points = OncePerGeneration(live, lambda notes: asdict(draw_map(notes)))

    def list_questions(known: str) -> Reply:
        return rows.get(str(known))

    def place_questions(known: str) -> Reply:
        return points.get(str(known))

    def read_question(name: str) -> Reply:
        notes = live.current
        question = next((question for question in notes.questions if question.id == name), None)
        if question is None:
            return {"error": WORDS[texts.lang]["gone"]}
        body = read_body(notes, question)
        if not body.strip():
            return {"html": ""}
        return {"html": render_markdown(body, pictures=pictures_of(notes.settings, question.path, texts))}

    build_page("library", WORDS[texts.lang], [list_questions, place_questions, read_question])
