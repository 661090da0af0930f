"""Find what an answer cited in the notes as they are now."""

from rag.cite import hash_text
from rag.pipeline import Notes
from rag.types import Citation, Question
from ui.texts import Texts


def text_of(notes: Notes, question: Question) -> str:
    """Return a question's exact text, its heading included: its passages tile it."""
    passages = notes.passages[question.parent or question.id]
    whole = "".join(passage.text for passage in passages)
    start = question.start - passages[0].start if passages else 0
    return whole[start : start + question.end - question.start]


def locate(notes: Notes, citation: Citation, by_label: dict[str, Question]) -> Question | None:
    """Return the question that holds a citation's exact quote now, or None when the notes no longer say it."""
    if citation.digest and hash_text(citation.quote) != citation.digest:
        return None
    own = by_label.get(citation.label)
    if own and citation.quote in text_of(notes, own):
        return own
    outer = (question for question in notes.questions if not question.parent)
    return next((question for question in outer if citation.quote in text_of(notes, question)), None)


def write_place(citation: Citation, texts: Texts) -> str:
    """Write where a citation stands: lines, pages or cells."""
    first, last = citation.lines
    one, several = {
        "line": (texts.line, texts.lines),
        "page": (texts.page, texts.pages),
        "cell": (texts.cell, texts.cells),
    }[citation.unit]
    return several.format(first=first, last=last) if last > first else one.format(first=first)
