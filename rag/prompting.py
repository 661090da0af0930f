"""Write what a language model is asked: the passages that fit its context, fenced as data, and the conversation in short."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

from rag.answer import readable
from rag.markdown import ADDRESS, LINK
from rag.types import Generator, Length, Passage, Question, Turn

ANSWER_TOKENS: dict[Length, int] = {"short": 300, "normal": 900, "full": 2_000}
THINKING_TOKENS = 2_000
"""Added where the context has room: a model that thinks first counts its thoughts as part of the reply."""
ROOMY_CONTEXT = 8_000
SOURCE_TOKENS: dict[Length, int] = {"short": 1_500, "normal": 3_000, "full": 6_000}
"""Most that is read of the notes: more makes a laptop slow and an answer vague."""
HISTORY_TOKENS, REWRITE_TOKENS, SPARE_TOKENS = 500, 120, 64
"""Most of the conversation, of a rewritten question, and for the chat template's own marks."""
N_TURNS = 6
LONGEST_TURN_CHARS = 400
FIRST_SHARE = 0.6
"""Most of the tokens that remain which one question's passages may take, while others wait."""
CONTROL_TOKEN = re.compile(
    r"<(?=[|｜])|(?<=[|｜])>|<(?=/?(?:s|think|start_of_turn|end_of_turn)>)|\[(?=/?INST\])", re.IGNORECASE
)
"""Where chat templates' control tokens begin or end; spelt out in notes, a server could read them as its own."""
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question of the notes that the model may read."""

    question: Question
    score: float
    passages: tuple[Passage, ...]
    """In the order of the notes."""
    best_first: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A question of the notes that the model reads."""

    question: Question
    score: float
    passages: tuple[Passage, ...]
    """All of its passages."""
    text: str
    """What of them the model reads."""


@cache
def load_prompt(name: str) -> Template:
    """Load a prompt of `rag/prompts`."""
    return Template((files("rag") / "prompts" / f"{name}.md").read_text(encoding="utf-8"))


def plan_reply(generator: Generator, length: Length) -> int:
    """Return how many tokens a reply may have."""
    room = generator.context_tokens
    thinking = THINKING_TOKENS if room >= ROOMY_CONTEXT else 0
    return min(ANSWER_TOKENS[length] + thinking, room // 2 if thinking else room // 3)


def plan_sources(generator: Generator, length: Length, question: str, history: Sequence[Turn]) -> int:
    """Return how many tokens of the notes fit beside prompt, conversation and reply."""
    fixed = "".join(load_prompt(name).template for name in ("system", "answer", "history", f"length-{length}"))
    count = generator.count_tokens
    taken = count(fixed) + count(question) + count(_write_turns(history, generator)) + SPARE_TOKENS
    return min(SOURCE_TOKENS[length], generator.context_tokens - plan_reply(generator, length) - taken)


def fill_sources(candidates: Sequence[Candidate], budget: int, count: Count) -> list[Source]:
    """Choose passages until some `budget` of tokens is used, the best question's first."""
    sources: list[Source] = []
    for place, one in enumerate(candidates):
        share = budget if place + 1 == len(candidates) else int(budget * FIRST_SHARE)
        chosen: dict[str, str] = {}
        left = share - count(f"[{one.question.label}] {one.question.title}") - SPARE_TOKENS
        for passage in one.best_first:
            text = _read(one.question, passage)
            if not sources and not chosen:
                text = _shorten(text, left, count)
            size = count(text)
            if text and size <= left:
                chosen[passage.id] = text
                left -= size
        if chosen:
            text = "\n\n".join(chosen[passage.id] for passage in one.passages if passage.id in chosen)
            sources.append(Source(one.question, one.score, one.passages, text))
            budget -= share - left
    return sources


def _read(question: Question, passage: Passage) -> str:
    """Return what the model reads of a passage: not the heading, which stands above, nor addresses and pictures."""
    text = readable(passage.text[max(0, question.body_start - passage.start) :])
    return ADDRESS.sub("", LINK.sub(r"\1", text)).strip()


def _shorten(text: str, limit: int, count: Count) -> str:
    """Cut a text at a sentence's end, so that it has at most some `limit` tokens."""
    while text and count(text) > limit:
        kept = text[: int(len(text) * min(0.9, limit / count(text)))]
        ends = [kept.rfind(mark) + 1 for mark in "。！？\n"]
        text = kept[: max(ends) or len(kept)] if limit > 0 else ""
    return text.rstrip()


def write_messages(
    question: str, sources: Sequence[Source], turns: Sequence[Turn], length: Length, generator: Generator
) -> list[Turn]:
    """Write the messages that ask for an answer."""
    told = _write_turns(turns, generator)
    mark = _make_mark(question, told, *(source.text for source in sources))
    parts = {
        "mark": mark,
        "sources": "\n\n".join(_write_source(source, mark) for source in sources),
        "history": load_prompt("history").substitute(mark=mark, turns=told) if told else "",
        "question": defuse(question),
        "length": load_prompt(f"length-{length}").template.strip(),
    }
    return [
        Turn("system", load_prompt("system").template.strip()),
        Turn("user", load_prompt("answer").substitute(parts).strip()),
    ]


def write_rewrite(question: str, turns: Sequence[Turn], generator: Generator) -> list[Turn]:
    """Write the message that asks for a follow-up as a question that stands alone."""
    told = _write_turns(turns, generator)
    parts = {"mark": _make_mark(question, told), "turns": told, "question": defuse(question)}
    return [Turn("user", load_prompt("rewrite").substitute(parts).strip())]


def plan_rewrite(generator: Generator) -> int:
    """Return how many tokens a rewritten question may have, thoughts before it included."""
    return REWRITE_TOKENS + (THINKING_TOKENS if generator.context_tokens >= ROOMY_CONTEXT else 0)


def defuse(text: str) -> str:
    """Break control tokens of chat templates, so that they are read as text."""
    return CONTROL_TOKEN.sub(lambda match: f"{match[0]} " if match[0] != ">" else " >", text)


def _write_source(source: Source, mark: str) -> str:
    title = " ".join(source.question.title.split())
    return f"<<<{mark}\n[{source.question.label}] {defuse(title)}\n{defuse(source.text)}\n{mark}>>>"


def _write_turns(turns: Sequence[Turn], generator: Generator) -> str:
    """Write the last turns of a conversation, the newest kept, within their budget."""
    left = min(HISTORY_TOKENS, generator.context_tokens // 8)
    told: list[str] = []
    for line in _short_turns(turns):
        left -= generator.count_tokens(line)
        if left < 0:
            break
        told.insert(0, line)
    return "\n".join(told)


def _short_turns(turns: Sequence[Turn]) -> Iterator[str]:
    """Yield the last turns in short, newest first."""
    for turn in reversed(turns[-N_TURNS:]):
        text = " ".join(turn.content.split())
        text = text if len(text) <= LONGEST_TURN_CHARS else f"{text[:LONGEST_TURN_CHARS]}……"
        yield f"{'问' if turn.role == 'user' else '答'}：{defuse(text)}"


def _make_mark(*texts: str) -> str:
    """Make a fence mark that no text between fences can hold: it is a hash of all of them."""
    return hashlib.blake2b("\0".join(texts).encode(errors="replace"), digest_size=6).hexdigest()
