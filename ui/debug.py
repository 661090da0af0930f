"""The debug tab: why a query finds what it finds, and whether the notes are taken to cover it."""

from dataclasses import asdict
from typing import Any

from rag.explain import Candidate, ExplainedText, explain
from rag.live import LiveNotes
from rag.types import Query, Turn
from ui.debug_texts import WORDS
from ui.page import Reply, answer_errors, build_page
from ui.texts import Texts

MAX_QUERY_CHARS = 2_000
PASSAGE_CHARS = 400


def build_debug_tab(live: LiveNotes, texts: Texts) -> None:
    """Fill the tab."""

    def explain_query(asked: Any) -> Reply:
        text, before = (str(asked.get(name, ""))[:MAX_QUERY_CHARS].strip() for name in ("text", "before"))
        notes = live.current
        history: tuple[Turn, ...] = ()
        if before:
            history = (Turn("user", before), Turn("assistant", notes.ask(Query(before, generate=False)).text))
        found = explain(notes, Query(text, history))
        return {
            "query": found.query,
            "named": found.named,
            "missing": found.missing,
            "coverage": round(found.coverage, 4),
            "threshold": round(found.threshold, 4),
            "covered": found.covered,
            "timings": found.timings,
            "asked": [_show_text(one) for one in found.asked],
        }

    build_page("debug", WORDS[texts.lang], [answer_errors(explain_query)])


def _show_text(one: ExplainedText) -> Reply:
    return {
        "text": one.text,
        "mended": one.mended,
        "leans": one.leans,
        "described": "、".join(one.described),
        "coverage": round(one.coverage, 4),
        "signs": [asdict(sign) for sign in one.cover_signs],
        "candidates": [_show_candidate(candidate) for candidate in one.candidates],
    }


def _show_candidate(candidate: Candidate) -> Reply:
    question = candidate.question
    return {
        "id": question.id,
        "label": question.label,
        "title": question.title,
        "file": question.path,
        "place": candidate.place,
        "passage": candidate.passage[:PASSAGE_CHARS],
        "score": candidate.score,
        "lexical": candidate.lexical,
        "dense": candidate.dense,
        "strength": candidate.strength,
        "signs": [asdict(sign) for sign in candidate.signs],
        "words": candidate.words,
        "concepts": candidate.concepts,
    }
