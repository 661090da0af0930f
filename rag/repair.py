"""Make what a model writes safe to show: no thinking, no label that was not retrieved, no address the notes lack.

Both work on a stream: a piece is held back only while it may still become something that has to go.
"""

import html
import re
from collections.abc import Collection, Iterator, Mapping

THINKING = re.compile(r"(?<!`)<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
THOUGHT = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
MAYBE_TAG = re.compile(r"`?(?:<[/a-zA-Z]{0,10})?\Z")
WRAPPED = re.compile(r"```(?:markdown|md)?\n((?:(?!```).)*)\n```", re.DOTALL | re.IGNORECASE)
LABEL = r"(?:[^\[\]【】［］\n:,，、]{1,80}:)?Q\d[\w.]*"
LABELS = re.compile(rf"[\[［【] *({LABEL}(?: *[,，、;；和]? *{LABEL})*) *[\]］】]")
ONE_LABEL = re.compile(LABEL)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters could rule the terminal; marks of direction could hide what is written."""
TARGET = re.compile(r"(!\[[^\[\]\n]*|)\]\(((?:[^)\]]|\](?!\()){0,2000})\)")
TAG = re.compile(r"<[a-zA-Z/][^<>]{0,2000}=[^<>]{0,2000}>")
URL_CHAR = r"(?![<>()\[\]\"'`])[!-~]"
URL = re.compile(
    rf"(?:https?|ftp|wss?|file):/*(?:{URL_CHAR})*|(?<![a-zA-Z0-9_:])//[a-z0-9_-]+(?:\.[a-z0-9_-]+)+(?:{URL_CHAR})*",
    re.IGNORECASE,
)
RUN = re.compile(r"(?<![!-~])[!-~]*[&\\][!-~]*")
"""Printable ASCII with what Markdown decodes: an address can be written in escapes."""
OUTSIDE = re.compile(r"(?:[a-z][a-z0-9+.-]*:|//|www\.)", re.IGNORECASE)
OPEN = re.compile(
    r"(?:[\[［【][^\[\]［］【】\n]{0,200}(?:[\]］】](?:\([^)]{0,2000})?)?|\]\([^)]{0,2000}|<[a-zA-Z/][^<>]{0,2000})\Z"
)
CLOSED = re.compile(
    r"[\[［【][^\[\]［］【】\n]{0,200}[\]］】](?:\([^)]{0,2000}\))?|\]\([^)]{0,2000}\)|<[a-zA-Z/][^<>]{0,2000}>"
)
"""What may go on to be a label, a link or a tag; and what is one."""
REMOVED = "（链接已去掉）"


def drop_thinking(pieces: Iterator[str]) -> Iterator[str]:
    """Yield the pieces without what stands between thinking marks, closed or not."""
    held, inside = "", False
    for piece in pieces:
        held += piece
        while mark := (THOUGHT if inside else THINKING).search(held):
            if not inside and mark.start():
                yield held[: mark.start()]
            held, inside = held[mark.end() :], not inside
        if inside:
            held = held[-16:]
            continue
        tail = MAYBE_TAG.search(held)
        at = tail.start() if tail else len(held)
        if at:
            yield held[:at]
        held = held[at:]
    if held and not inside:
        yield held


def strip_thinking(text: str) -> str:
    """Return a whole reply without thinking, also where the prompt itself held the opening mark."""
    closing = THOUGHT.search(text)
    if closing and not THINKING.search(text[: closing.start()]):
        text = text[closing.end() :]
    return "".join(drop_thinking(iter([text]))).strip()


def unwrap(text: str) -> str:
    """Take a whole reply out of the Markdown fence that some models put around it."""
    match = WRAPPED.fullmatch(text)
    return match[1] if match else text


class Guard:
    """Lets through only labels that were retrieved and addresses that the notes hold."""

    def __init__(self, labels: Mapping[str, Collection[str]], addresses: Collection[str]) -> None:
        """Take each label with those of the questions that say the same, itself among them."""
        self._labels, self._addresses = labels, addresses

    def clean(self, text: str) -> str:
        """Return a text with unknown labels, foreign addresses, tags with attributes and control characters gone."""
        text = CONTROL.sub("", text)
        text = TARGET.sub(self._judge_target, text)
        text = TAG.sub("", text)
        text = RUN.sub(self._judge_run, text)
        text = URL.sub(self._judge_url, text)
        return LABELS.sub(self._judge_labels, text)

    def filter(self, pieces: Iterator[str]) -> Iterator[str]:
        """Clean a stream; together the pieces are the cleaned whole."""
        held = ""
        for piece in pieces:
            held += CONTROL.sub("", piece)
            at = _find_safe_end(held)
            if at and (safe := self.clean(held[:at])):
                yield safe
            held = held[at:]
        if safe := self.clean(held):
            yield safe

    def _judge_labels(self, match: re.Match[str]) -> str:
        written = dict.fromkeys(
            label for name in ONE_LABEL.findall(match[1]) for label in self._labels.get(name.strip(), ())
        )
        return "".join(f"[{label}]" for label in written)

    def _judge_target(self, match: re.Match[str]) -> str:
        target = html.unescape(match[2].strip().removeprefix("<").removesuffix(">")).replace("\\", "").strip()
        if not OUTSIDE.match(re.sub(r"\s", "", target)) or target.split(" ")[0] in self._addresses:
            return match[0]
        return "" if match[1] else "]"

    def _judge_run(self, match: re.Match[str]) -> str:
        plain = html.unescape(match[0]).replace("\\", "")
        return REMOVED if URL.search(plain) and not URL.search(match[0]) else match[0]

    def _judge_url(self, match: re.Match[str]) -> str:
        return match[0] if match[0].rstrip(".,:;!?*_") in self._addresses else REMOVED


def _find_safe_end(text: str) -> int:
    """Find where a beginning ends that no further text can change: behind a blank or a Chinese character."""
    end = at = 0
    while at < len(text) and not OPEN.match(text, at):
        closed = CLOSED.match(text, at)
        at = closed.end() if closed else at + 1
        if not closed and not "!" <= text[at - 1] <= "~" and text[at - 1] not in "［】【］":
            end = at
    return end
