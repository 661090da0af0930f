"""Find what a clause of an answer says against the notes, and say it to the reader.

Every check looks for the clause of the notes that says the same of the same thing, and for the one that says the opposite
of it; only when the opposite is closer is there a conflict.
"""

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import replace

from rag.verification.facts import LATIN, NAME, SMALL_WORDS, Clause, Evidence, Number, is_common, weigh_overlap
from rag.verification.polarity import check_negation, check_only, check_open, check_opposites

VAGUE = Number("1", "个")
"""`一个` is said of anything."""
VALUE = re.compile(
    r"([\u3400-\u9fff]{2})(?:一般|通常|大约|本应该|应该|约)?(?:设为|置为|等于|为|是|=)\s*(\d+(?:\.\d+)?%?)(?![\d.]*\s*[个层种处步])"
)
"""Two characters that name a thing, and the number it is given."""
NUMBER_ALIKE = 0.5
NUMBER_TOUCH = 0.1
"""Share of a claim's terms in the notes' clause with another number: where the notes have the claim's number elsewhere, and
where they have it nowhere."""
NAME_ALIKE = 0.7
"""Share of a clause without its names, from which the same said of another name is held to be a mistake."""
MIN_SAID = 1.5
"""Weight of what a clause says beside its names."""
SIDE_CHARS = 24
"""How much of a clause after such a word is its right side."""
ORDERED = (
    re.compile(r"看成|看作|视为"),
    re.compile(r"转化为|转换为|转化成|转换成|转为|变为|变成|转换到|转化到|->|→"),
    re.compile(r"(?<![相对类])比(?![如较例起方喻])|好于|优于|强于|胜过"),
    re.compile(r"替代|取代|代替"),
)
"""Words whose two sides are not alike."""
RATIO = re.compile(r"(?<![a-z_])(_*[a-z][a-z_]*)\s*/\s*(_*[a-z][a-z_]*)")
COUNT = re.compile(r"(?<![第\d.])(\d+)\s*([个层种处次步条])(?!数)\s*([a-z][a-z\-_]*|[\u3400-\u9fff]{2})")
"""A number of things, and what they are."""
FIRST, AFTER = re.compile(r"先"), re.compile(r"然后|再|之后|而后|才|最后")
SIDE = re.compile(r"(?i)encoder|decoder|[编解]码器")
SIDES = frozenset({"编码器", "解码器"})


def find_conflict(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Say what a clause says against the notes, or return nothing.

    :param before: the clauses before it in its sentence, which may hold its subject.
    """
    evidence = replace(evidence, alike=_keep_subjects(_subject(claim, before), evidence))
    for check in CHECKS:
        if found := check(claim, before, evidence):
            return found
    return ""


def _subject(claim: Clause, before: Sequence[Clause]) -> frozenset[str]:
    return claim.names or next((clause.names for clause in reversed(before) if clause.names), frozenset())


def _keep_subjects(mine: frozenset[str], evidence: Evidence) -> tuple[Clause, ...]:
    pairs = zip(evidence.clauses, evidence.subjects, strict=True)
    return tuple(clause for clause, theirs in pairs if not (mine and theirs) or mine & theirs)


def _check_numbers(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    mine = {number.value for number in claim.numbers}
    for number in claim.numbers:
        if number == VAGUE or "/" in number.value:
            continue
        is_elsewhere = number.value in evidence.numbers
        is_plain = is_elsewhere or is_common(number)
        best, best_alike = None, NUMBER_ALIKE if is_plain else NUMBER_TOUCH
        same = 0.0
        for clause in evidence.clauses:
            alike = weigh_overlap(claim.terms, clause.terms)
            if any(_is_same(number, other) for other in clause.numbers):
                same = max(same, alike)
                continue
            others = [other for other in clause.numbers if other.unit == number.unit and other.value not in mine]
            if others and alike > best_alike:
                best, best_alike = others[0], alike
        if best and best_alike > same:
            return f"笔记里写的是 {_show(best)}，这里写成了 {_show(number)}"
    return ""


def _is_same(one: Number, other: Number) -> bool:
    return one.value == other.value and (one.unit == other.unit or VAGUE.unit in (one.unit, other.unit))


def _check_values(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Compare the numbers that both sides give to the same thing: `方差为 1`."""
    for match in VALUE.finditer(claim.folded):
        name, value = match.groups()
        theirs = [
            other[2] for clause in evidence.clauses for other in VALUE.finditer(clause.folded) if other[1] == name
        ]
        if theirs and value not in theirs:
            return f"笔记里{name}是 {theirs[0]}，这里写成了 {value}"
    return ""


def _check_counts(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Compare how many of the same thing both sides count: `2 层 mha`."""
    theirs = [match.groups() for clause in evidence.alike for match in COUNT.finditer(clause.folded)]
    for match in COUNT.finditer(claim.folded):
        value, unit, name = match.groups()
        others = [other for other, _, counted in theirs if counted == name]
        if value != VAGUE.value and others and value not in others:
            return f"笔记里写的是 {others[0]} {unit} {name}，这里写成了 {value} {unit}"
    return ""


def _check_sequence(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Compare what comes first and what after it (`先……再……`)."""
    if not (AFTER.search(claim.folded) and before and FIRST.search(before[-1].folded)):
        return ""
    first, last = LATIN.findall(before[-1].folded), LATIN.findall(claim.folded)
    for clause in evidence.clauses:
        if AFTER.search(clause.folded):
            words = LATIN.findall(clause.folded)
            places = [(words.index(a), words.index(b)) for a in first for b in last if a in words and b in words]
            if places and all(a > b for a, b in places):
                return "先后次序跟笔记里相反"
    return ""


def _show(number: Number) -> str:
    return number.value + (number.unit if number.unit in ("%", "") else f" {number.unit}")


def _check_names(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Compare who or what the clauses speak of, where they say the same of it."""
    names = _subject(claim, before)
    for mine, others in ((names & SIDES, SIDES), (names - SIDES, evidence.names - SIDES)):
        rest = {term: weight for term, weight in claim.terms.items() if term.removeprefix("=") not in others}
        if not mine or sum(rest.values()) < MIN_SAID:
            continue
        same, against, other = 0.0, 0.0, ""
        for clause, subjects in zip(evidence.clauses, evidence.subjects, strict=True):
            theirs, alike = subjects & others, weigh_overlap(rest, clause.terms)
            if mine & theirs or not theirs:
                same = max(same, alike)
            elif alike > against:
                against, other = alike, _show_names(clause, theirs)
        if (mine <= SIDES or mine <= evidence.names) and against >= NAME_ALIKE and same < against:
            return f"笔记里说的是 {other}，这里说成了 {_show_names(claim, mine)}"
    return ""


def _show_names(clause: Clause, names: Set[str]) -> str:
    """Show names as a clause writes them, where it does."""
    written = [match[0] for match in NAME.finditer(clause.text)]
    same = [word for word in written if word.lower() in names or names <= SIDES and SIDE.search(word)]
    return "、".join(dict.fromkeys(same)) or "、".join(sorted(names))


def _check_order(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Compare what stands before and after a word that tells two sides apart, and the two sides of a fraction."""
    theirs = {match.groups() for clause in evidence.clauses for match in RATIO.finditer(clause.folded)}
    for match in RATIO.finditer(claim.folded):
        if match.groups() not in theirs and match.groups()[::-1] in theirs:
            return f"笔记里写的是 {match[2]}/{match[1]}，这里上下颠倒了"
    for pattern in ORDERED:
        if (mine := pattern.search(claim.folded)) and _is_crossed(claim, mine, pattern, evidence):
            return f"“{mine[0]}”两边说的跟笔记里正好相反"
    return ""


def _is_crossed(claim: Clause, mine: re.Match[str], pattern: re.Pattern[str], evidence: Evidence) -> bool:
    left, right = _sides(claim.folded, mine)
    straight, crossed = 0, 0
    for clause in evidence.clauses:
        for match in pattern.finditer(clause.folded):
            first, last = _sides(clause.folded, match)
            straight = max(straight, bool(left & first - last) + bool(right & last - first))
            crossed = max(crossed, bool(left & last - first) + bool(right & first - last))
    return crossed == 2 and not straight


def _sides(folded: str, match: re.Match[str]) -> tuple[set[str], set[str]]:
    left, right = _words(folded[: match.start()]), _words(folded[match.end() :][:SIDE_CHARS])
    return left - right, right - left


def _words(folded: str) -> set[str]:
    """Return Latin words with their hyphens, and pairs of characters around `维` and the like."""
    text = SMALL_WORDS.sub(" ", folded)
    return set(re.findall(r"[a-z][a-z0-9\-_]*|[高低大小前后][\u3400-\u9fff]", text))


Check = Callable[[Clause, Sequence[Clause], Evidence], str]
CHECKS: tuple[Check, ...] = (
    _check_values,
    _check_numbers,
    _check_counts,
    check_opposites,
    check_negation,
    _check_order,
    _check_sequence,
    _check_names,
    check_only,
    check_open,
)
"""In the order in which they are tried."""
