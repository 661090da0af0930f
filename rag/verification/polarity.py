"""Compare what two clauses affirm and deny: negations and their scope, opposites (`增大`, `减小`), exclusions, open questions."""

import re
from collections.abc import Sequence, Set
from functools import lru_cache

from rag.verification.facts import MIN_SHARED, SMALL_WORDS, Clause, Evidence, pair_up, share

NEGATOR = re.compile(
    r"并没有|没有|没法|没办法|无法|无需|不用|不能|不会|不可|并不|并非|而不是|不是|不必|从不|尚未|而非|不|没|无|非|未"
    r"|\bnot?\b|\bwithout\b|\bcannot\b|n't\b|\bnever\b"
)
NO_NEGATOR = re.compile(
    r"不仅|不但|不只|不光|不过|不断|不同|不管|不论|无论|不变|非常|无穷|无视|除非|不然|否则|是不是|有没有|(?<!性)能不能|未来|不少|不如|不得不"
    r"|为了不|不让|以免|不一定|如果不|若不|假如不|不[^，。]{0,8}的话|不妨|无监督|莫非|不一样|差不多|不再|不止|没什么用|不起|非线性|不相同|不相等|是否|不一致"
    r"|不好|不佳"
)
"""Words with a negator's character that negate nothing or have an opposite below, and conditions (`不缩放的话`)."""
SOFT_NEGATOR = re.compile(
    r"避免|防止|以免|很差|较差|变差|困难|难以|很难|有限|缺乏|缺少|不佳|消除|移去|移除|去掉|去除|省掉|缓解|减轻|停止|差异|不同|不一样"
    r"|单向|\bignor|\bremov|\bavoid|\bless\b|屏蔽|无视|取消|不足|独立性|不一致|如果|假如|假设|哪个"
)
"""Says as much as a negation where the other side negates, or affirms nothing, as a question does not."""
ONLY = re.compile(r"(?<!不)[只仅](?![要有管好是])|唯一|\bonly\b(?! 1\b)")
CONDITION = re.compile(r"的话|如果|假如|倘若|要是|若不|不然|否则|\bif\b|\bwithout\b")
"""Marks what is said of another case."""
HEDGE = re.compile(r"可能|也许|或许|大概|未必|不一定|存疑|争议|\bmay\b|\bmight\b")
SAID_SHARE = 0.5
"""Of what the notes ask, said elsewhere in them, from which it is no open question."""
QUESTION = re.compile(r"是否|有没有|是不是|吗|？|\?|哪[些个里]")
MODAL = re.compile(r"^(?:任何|需要|能够|可以|能|会|是|必(?!要)|要|用|再|被|有|很|的|做|\s)+")
OPPOSITES: tuple[tuple[str, str], ...] = (
    (
        r"增大|增加|变大|提高|提升|增强|加大|更大|更高|上升|放大|越大|很大|较大|非常大|大很多|大得多|远大于|大于|高于|较高|变得很大",
        r"减小|减少|变小|降低|下降|减弱|更小|更低|缩小|越小|很小|较小|小很多|小得多|远小于|小于|低于|变差|变低|变得很小|不会很大",
    ),
    (r"大很多|大得多|远大于|小很多|小得多|远小于", r"差不多|相似|相近|相当|一样|不变"),
    (r"更快|加快|加速|很快|变快", r"更慢|减慢|变慢|很慢"),
    (r"很强|更强|较强|更好|很好|较好|(?<!不)擅长|要好", r"很弱|更弱|较弱|很差|更差|较差|不好|不佳|不擅长"),
    (r"之前|以前", r"之后|以后"),
    (r"正比", r"反比"),
    (r"相对(?!于)", r"绝对"),
    (r"有监督", r"无监督"),
    (r"(?<!非)线性", r"非线性"),
    (r"(?<!不)可训练|(?<!不)可学习|(?<!不)可以训练|随机生成|随机初始化", r"不可训练|不可以训练|不可学习|固定"),
    (r"并行", r"逐步|串行|一个接着一个|依次"),
    (r"相加|加和|求和|加起来", r"拼接|concat"),
    (r"保留", r"移去|去掉|移除|消除|去除|删掉|删除|取消"),
    (r"正无穷", r"负无穷"),
    (r"简单", r"复杂"),
    (r"最多", r"最少"),
    (r"(?<!单)双向", r"单向"),
    (r"促进|有利|好处", r"负面|阻碍|不利|坏处"),
    (r"梯度爆炸", r"梯度消失"),
    (r"持平|略有提高|略好", r"明显下降|显著下降|大幅下降"),
    (r"(?<!不)一致|(?<!不)一样|(?<!不)相同|(?<!不)相等|同样|同一", r"不一致|不一样|不同|不相等|不等"),
    (r"下一", r"上一"),
    (r"二分", r"多分类|多个类别"),
    (r"(?<![不非])对称", r"不对称|非对称"),
    (r"单层", r"多层"),
    (r"加剧|加重|恶化", r"减轻|缓解|减弱|消除"),
    (r"远离|拉远|偏离", r"靠近|接近|拉近|拉向"),
    (r"陡峭|尖锐", r"平缓|平滑"),
    (r"乘以|乘上|相乘|乘积", r"除以|相除|除上|相加|加和|之和"),
    (r"强大|很强|较强|更强", r"较弱|很弱|更弱|弱小"),
    (r"同时|一次性|一下子", r"逐个|一个接着一个|依次|一步步|逐步"),
    (r"相邻|附近|局部", r"其余|所有|任意|全局|全部"),
    (r"相关(?!性)", r"无关"),
    (r"必须", r"可以不|不必|不一定"),
    (r"容易", r"困难|很难|难以"),
    (r"收敛", r"发散"),
    (r"上限|最大|最高", r"下限|最小|最低"),
    (r"输入(?:层|端|侧)", r"输出(?:层|端|侧)"),
    (r"以内|不超过", r"以上|超过"),
    (r"离散", r"连续"),
    (r"左", r"右"),
    (r"静态", r"动态"),
    (r"稀疏", r"稠密"),
    (r"优点|优势", r"缺点|劣势"),
    (r"高维", r"低维"),
    (r"显式", r"隐式"),
    (r"(?<!不)考虑|关注", r"无视|忽略|不考虑|不管|没有考虑|没考虑"),
)
"""Words of which a clause has one where the notes have the other."""
_OPPOSITES = tuple((re.compile(a), re.compile(b)) for a, b in OPPOSITES)
ASPECT_CHARS = 24
"""How far from a word stands what it is said of."""
MIN_ASPECT = 0.3
"""Share of what stands around a word in a claim that stands around its opposite in the notes too."""
SCOPE_ALIKE = 0.5
"""The same for what stands in a negation's scope."""
NEGATED_CHARS = 10
"""How far a negation reaches to the word it negates."""
HEAD_CHARS = 14
"""Of what is denied, shown to the reader."""
SOFT_CHARS = 8
"""How near to what is denied another way of denying stands."""
WORD_AT = re.compile(r"[\u3400-\u9fffa-z0-9]+")
ASKED_ALIKE = 0.7
"""Share of a clause that the notes ask, from which it is held to answer that."""


def check_opposites(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Find a word where the notes have its opposite, said of the same thing."""
    if CONDITION.search(claim.folded):
        return ""
    for own, other in (side for pair in _OPPOSITES for side in (pair, pair[::-1])):
        mine = own.search(claim.folded)
        if mine and not other.search(claim.folded) and (word := _find_opposite(claim, mine, own, other, evidence)):
            return f"笔记说的是“{word}”，这里说“{mine[0]}”"
    return ""


def _find_opposite(
    claim: Clause, mine: re.Match[str], own: re.Pattern[str], other: re.Pattern[str], evidence: Evidence
) -> str:
    """Find the word that says the opposite, where it is said of the same thing sooner than the same is."""
    aspect, negated = _around(claim.folded, mine), _is_negated(claim.folded, mine.start())
    same, against, word = 0.0, 0.0, ""
    found = [(c, match, own) for c in evidence.alike for match in own.finditer(c.folded)]
    found += [(c, match, other) for c in evidence.alike for match in other.finditer(c.folded)]
    for clause, match, pattern in found:
        alike = _compare_aspects(aspect, _around(clause.folded, match))
        if (_is_negated(clause.folded, match.start()) == negated) == (pattern is own):
            same = max(same, alike)
        elif alike > against:
            against, word = alike, match[0]
    return word if against >= MIN_ASPECT and against > same and word != mine[0] else ""


def _around(folded: str, match: re.Match[str]) -> tuple[Set[str], Set[str]]:
    """Return what stands before a word and after it."""
    before = folded[max(0, match.start() - ASPECT_CHARS) : match.start()]
    return pair_up(before), pair_up(folded[match.end() : match.end() + ASPECT_CHARS])


def _compare_aspects(mine: tuple[Set[str], Set[str]], theirs: tuple[Set[str], Set[str]]) -> float:
    """Return the larger share of what stands before, after, or around two words alike."""
    around = (mine[0] | mine[1], theirs[0] | theirs[1])
    pairs = [(own, other) for own, other in (around, *zip(mine, theirs, strict=True)) if own]
    return max((share(own, other) or _share_word(own, other) for own, other in pairs), default=0.0)


def _share_word(mine: Set[str], theirs: Set[str]) -> float:
    """Return the share of one Latin word both have: it says more than a pair of characters."""
    return 1 / len(mine) if any(word[0] < "\u3400" and len(word) > MIN_SHARED for word in mine & theirs) else 0.0


def _is_negated(folded: str, at: int) -> bool:
    return any(at - NEGATED_CHARS <= start < at for start, _ in find_negations(folded))


@lru_cache(maxsize=4096)
def find_negations(folded: str) -> list[tuple[int, int]]:
    """Find the words that negate, in a folded clause: (start, end)."""
    spared = [match.span() for match in NO_NEGATOR.finditer(folded)]
    return [
        match.span()
        for match in NEGATOR.finditer(folded)
        if not any(start <= match.start() < end for start, end in spared)
    ]


def check_negation(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Find what one side denies and the other affirms."""
    own = find_negations(claim.folded)
    against, same, word = 0.0, 0.0, ""
    for clause in evidence.alike:
        other = find_negations(clause.folded)
        if QUESTION.search(clause.folded) or CONDITION.search(clause.folded):
            continue
        if bool(own) == bool(other):
            same = max(same, share(pair_up(claim.folded), pair_up(clause.folded)))
            continue
        denied, affirmed = (claim.folded, clause.folded) if own else (clause.folded, claim.folded)
        start, end = (own or other)[0]
        alike = _share_scope(denied, start, end, affirmed)
        if alike >= SCOPE_ALIKE and alike > against:
            head = WORD_AT.search(denied, end)
            against, word = alike, denied[start:end] + (head[0][:HEAD_CHARS] if head and head.start() - end < 2 else "")
    if not word or same >= against:
        return ""
    return f"这里说“{word}”，笔记说的正相反" if own else f"笔记说的是“{word}”，这里说反了"


def _share_scope(denied: str, start: int, end: int, affirmed: str) -> float:
    """Return the share of what is denied that the other side affirms; 0 when it has another way of denying it."""
    words = re.findall(r"[\u3400-\u9fff]{2,}|[a-z0-9_]+", SMALL_WORDS.sub(" ", MODAL.sub("", denied[end:])))
    head = words[0][:2] if words and words[0][0] >= "\u3400" else "".join(words[:1])
    scope, theirs = pair_up(denied[end:]), pair_up(affirmed)
    if head not in theirs and len(scope & theirs) < 2 * MIN_SHARED:
        return 0.0
    at = max(0, affirmed.find(head)) if head else 0
    softener = SOFT_NEGATOR.search(affirmed, max(0, at - SOFT_CHARS), at + len(head) + SOFT_CHARS)
    if softener and softener[0] not in denied:
        return 0.0
    return share(scope, theirs) or share(pair_up(f"{denied[:start]} {denied[end:]}"), theirs)


def check_open(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Doubt what the notes only ask (`是否`)."""
    if QUESTION.search(claim.folded) or HEDGE.search(claim.folded):
        return ""
    own = pair_up(claim.folded)
    asked, said = 0.0, 0.0
    for clause in evidence.clauses:
        alike = share(own, pair_up(clause.folded))
        if "是否" in clause.folded:
            asked = max(asked, alike)
        else:
            said = max(said, alike)
    return "笔记里没有下这个结论" if asked >= ASKED_ALIKE and said < SAID_SHARE * asked else ""


def check_only(claim: Clause, before: Sequence[Clause], evidence: Evidence) -> str:
    """Doubt an exclusion (`只`) the notes do not make."""
    if not (mine := ONLY.search(claim.folded)):
        return ""
    own = pair_up(claim.folded)
    if any(
        ONLY.search(clause.folded) and share(own, pair_up(clause.folded)) >= MIN_ASPECT for clause in evidence.clauses
    ):
        return ""
    return f"笔记里没有说“{mine[0]}”"
