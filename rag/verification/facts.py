"""Read the checkable facts of a clause: its terms, numbers, negations, opposites and the names it speaks of; compare two.

Everything works on words: `find_conflict` says in the reader's language what a claim's clause and the clause of the notes
that is closest to it say differently.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from rag.synonyms import ASKING_MARK, Thesaurus
from rag.tokenize import ENGLISH_STOP_WORDS, STOP_WORDS, normalise

MAX_CACHED = 8192
"""Clauses remembered between answers."""
CONCEPT_WEIGHT, TUPLE_WEIGHT = 1.5, 2.0
"""Beside 1 for a pair of characters, of which a word has several."""
CLAUSE = re.compile(
    r"(?<![A-Za-z0-9])[，,]|[，,](?! ?[A-Za-z0-9.]+ ?(?:[,，、等和及都\])]|$))|[。！？!?；;：:\n]+"
    r"|(?<=[\u3400-\u9fff])、(?=[^、，。]{12})|——|(?<=\w)\. (?=[A-Z])"
)
"""Where a clause ends; lists of names (`RNN，CNN`) and of numbers stay whole."""
FILLERS = re.compile(
    r"因此|于是|从而|也就是|也就|不能|无法|没法|没办法|不会|并不|不是|不要|需要|通过|进行|得到|相当于|本质上|简单|具体|一般|通常|主要|可能"
    r"|能够|用来|为了|作用|目的|好处|只是|仍然|有点|非常|十分|更加|以及|并且|不过|另外|等等|一种|一些|每个|某个|这些|那些|之后|以后"
    r"|这么做|这样做|的话|看作|意味着|意思|说明|发现|必须|一定|全都|都会|不论|无论|不管|直接|本身|所谓|变得|做法|方式|办法"
)
"""What a clause may have or lack whatever it says of the field."""
CJK_RUN = re.compile(r"[\u3400-\u9fff]+")
LATIN = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
TUPLE = re.compile(r"[\[(]\s*[a-z\d+]+(?:\s*,\s*[a-z\d+]+)+\s*[\])]")
NAME = re.compile(
    r"(?<![A-Za-z\[])(?:[A-Z][A-Za-z]*[A-Z]+[A-Za-z]*|[Bb]ert|[Tt]ransformer|[Ee]ncoder|[Dd]ecoder)(?![A-Za-z])|编码器|解码器"
)
"""Names of models, fields and sides, of which a note says one thing or another: `BERT`, `CV`, `encoder`."""
NUMBER = re.compile(
    r"(?<![a-z0-9_./])(\d+(?:\.\d+)?(?:/\d+)?)\s*(%|万|亿)?\s*(层|layers?\b|个头|heads?\b|个|种|处|次|步|倍|位|维|条|篇|方)?"
)
SMALL_WORDS = re.compile(
    r"[的了是在和与也都会就把被将对其这那个得地着又很]|(?<!必)要(?!求)|可以|任何|一种|一个|1个|进行|使用|说明"
)
MIN_SHARED = 2
"""Pairs that must be shared: one alone is chance."""
DIGITS = {
    "零": 0,
    "一": 1,
    "二": 2,
    "两": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
    "十": 10,
    "百": 100,
    "千": 1000,
}
COUNTED = r"(?=\s*(?:层|个|种|处|次|步|倍|位|维|条|篇|方面|类|组|项|头))"
CHINESE_NUMBER = re.compile(
    rf"(?<![第几数])([二两三四五六七八九]?十[一二三四五六七八九]?|[二两三四五六七八九]){COUNTED}|一(?=[层个倍])"
)
FRACTION = re.compile(r"([二三四五六七八九十百千]|(?<!\d)\d+)分之([一二两三四五六七八九]|\d+)")
PERCENT = re.compile(r"百分之([一二两三四五六七八九十]+|\d+(?:\.\d+)?)")
TENTHS = re.compile(r"([一二两三四五六七八九])成")
ENGLISH_NUMBERS = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "ten": 10,
    "twelve": 12,
}
UNITS = {"layer": "层", "layers": "层", "head": "个头", "heads": "个头", "处": "个", "条": "个", "种": "个", "": "个"}
COMMON_NUMBERS = frozenset({"0", "1"})
"""Of English and formulas: too common to say much when a note lacks them."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number with what it counts."""

    value: str
    unit: str
    """`%`, `层`, `个头` …; empty or `个`: anything."""


@dataclass(frozen=True, slots=True)
class Clause:
    """The facts of a clause."""

    text: str
    """As it stands."""
    folded: str
    """Lower case, simplified, numbers in digits."""
    terms: dict[str, float]
    """Content terms with their weights: concepts, Latin words, tuples, pairs of Chinese characters."""
    names: frozenset[str]
    """Names it speaks of, as concepts where the thesaurus knows them."""
    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the notes say that bears on a sentence: clauses of one question, closest sentences first."""

    clauses: tuple[Clause, ...]
    subjects: tuple[frozenset[str], ...]
    """Names each clause is about: its own, or those of the clauses before it in its sentence."""
    numbers: frozenset[str]
    """All numbers of the question."""
    names: frozenset[str]
    """All names of the question."""
    alike: tuple[Clause, ...] = ()
    """The clauses that are not about something else than the claim."""


class Reader:
    """Reads clauses; remembers them."""

    def __init__(self, thesaurus: Thesaurus) -> None:
        self._thesaurus = thesaurus
        self.read = lru_cache(maxsize=MAX_CACHED)(self._read)
        self.list_topics = lru_cache(maxsize=MAX_CACHED)(self._list_topics)
        """Lists the terms of the field that a folded clause calls by their proper names, as they stand in its terms."""

    def join(self, clauses: Sequence[Clause]) -> Clause:
        """Make one clause of several: all they say."""
        return Clause(
            text="，".join(clause.text for clause in clauses),
            folded=",".join(clause.folded for clause in clauses),
            terms={term: weight for clause in clauses for term, weight in clause.terms.items()},
            names=frozenset(name for clause in clauses for name in clause.names),
            numbers=tuple(number for clause in clauses for number in clause.numbers),
        )

    def split(self, text: str) -> list[Clause]:
        """Split a sentence into clauses that have content."""
        parts = (part.strip() for part in CLAUSE.split(text))
        clauses = [self.read(part) for part in parts if part]
        return [clause for clause in clauses if clause.terms or clause.numbers]

    def _read(self, text: str) -> Clause:
        folded = fold(text)
        names = frozenset(self._name(match[0]) for match in NAME.finditer(normalise(text)))
        return Clause(text, folded, dict(self._weigh(folded)), names, tuple(read_numbers(folded)))

    def _name(self, word: str) -> str:
        found = self._thesaurus.find(word)
        return found[0] if found else word.lower()

    def _list_topics(self, folded: str) -> frozenset[str]:
        terms = self._thesaurus.find_terms(folded)
        return frozenset(f"={term}" for term in terms if not term.startswith(ASKING_MARK))

    def _weigh(self, folded: str) -> Iterator[tuple[str, float]]:
        rest = folded
        for concept in self._thesaurus.find(folded):
            if not concept.startswith(ASKING_MARK):
                yield f"={concept}", CONCEPT_WEIGHT
                rest = rest.replace(concept, " ")
        for match in TUPLE.finditer(rest):
            yield re.sub(r"\s", "", match[0]), TUPLE_WEIGHT
        for word in re.split(r"[-_\s]+", " ".join(LATIN.findall(rest))):
            if word and word not in ENGLISH_STOP_WORDS and not self._thesaurus.knows(word):
                yield word, CONCEPT_WEIGHT
        for run in CJK_RUN.findall(STOP_WORDS.sub(" ", FILLERS.sub(" ", rest))):
            yield from ((run[at : at + 2], 1.0) for at in range(len(run) - 1))


def fold(text: str) -> str:
    """Fold case, width and script, and write numbers in digits: `八成` becomes `80%`, `十二层` `12层`."""
    folded = PERCENT.sub(lambda match: f"{_read_chinese(match[1])}%", normalise(text).lower())
    folded = re.sub(r"(?<![a-z])qkv(?![a-z])", "q k v", folded)
    folded = TENTHS.sub(lambda match: f"{DIGITS[match[1]]}0%", folded)
    folded = re.sub(r"一半", "50%", folded)
    folded = FRACTION.sub(lambda match: f"{DIGITS.get(match[2], match[2])}/{DIGITS.get(match[1], match[1])}", folded)
    folded = CHINESE_NUMBER.sub(lambda match: _read_chinese(match[0]), folded)
    return re.sub(r"\b(" + "|".join(ENGLISH_NUMBERS) + r")\b", lambda match: str(ENGLISH_NUMBERS[match[1]]), folded)


def _read_chinese(numeral: str) -> str:
    """Read a numeral below a hundred; digits stay."""
    tens, found, ones = numeral.rpartition("十")
    if not found:
        return str(DIGITS.get(numeral, numeral))
    return str(DIGITS.get(tens, 1) * 10 + DIGITS.get(ones, 0))


def read_numbers(folded: str) -> Iterator[Number]:
    """Yield the numbers of a folded text; digits inside names (`fp16`) are none."""
    for match in NUMBER.finditer(folded):
        unit = match[3] or ""
        value = match[1].removesuffix(".0") + (match[2] if match[2] in ("万", "亿") else "")
        yield Number(value, "%" if match[2] == "%" else UNITS.get(unit, unit))


def is_common(number: Number) -> bool:
    """Tell a number that says little when a note lacks it."""
    return number.value in COMMON_NUMBERS and number.unit in ("", "个")


def weigh_overlap(terms: Mapping[str, float], others: Mapping[str, float]) -> float:
    """Return the share of `terms`, by weight, that `others` has too; 0 when there are none."""
    total = sum(terms.values())
    return sum(weight for term, weight in terms.items() if term in others) / total if total else 0.0


@lru_cache(maxsize=MAX_CACHED)
def pair_up(folded: str) -> frozenset[str]:
    """Return neighbouring characters and Latin words, small words left out."""
    words = re.findall(r"[\u3400-\u9fff]+|[a-z0-9_]+", SMALL_WORDS.sub(" ", folded))
    pairs = {word[at : at + 2] for word in words if word[0] >= "\u3400" for at in range(len(word) - 1)}
    return frozenset(pairs) | {word for word in words if word[0] < "\u3400"}


def share(mine: Set[str], theirs: Set[str]) -> float:
    """Return the share of `mine` that `theirs` has too; 0 when too few are shared to say anything."""
    shared = len(mine & theirs)
    return shared / len(mine) if shared >= MIN_SHARED else 0.0
