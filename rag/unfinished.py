"""Tell an answer text that breaks off: in mid-sentence, or at the word that points to something missing."""

import re

from rag.markdown import ADDRESS, IMAGE, LINK, TAG, split_blocks

NOTES = re.compile(r"\[\d{1,3}\](?=\s*$)|\[\^\w+\](?=\s*$)")
"""Marks of footnotes at the end of a line."""
FINAL = re.compile(r"[。！？!?；;.~～…)）\]】」』》”\"'’>|`]\s*$")
"""What a finished sentence may end in."""
_OPEN = r"(?:(?<!\d)[，,、]|[：:（(「『《【\[])\s*$"
_JOINING = (
    r"(?:以及|或者|并且|而且|但是|然而|因为|由于|如果|虽然|尽管|除非|为了|例如|比如|譬如|通过|根据|关于|对于|包括|分为|以便|从而|使得|"
    r"分别是|主要有|指的是|等价于|取决于)\s*$"
)
_CLAUSE = r"(?:认为|以为|指出|表明|意味着|使得|导致|因为|由于|如果|虽然|为了|通过|根据|对于)[^\W\d_a-zA-Z]{1,2}\s*$"
"""A verb or conjunction that wants a clause, with one or two characters after it."""
_PLACE = r"(?:要|会|能|可以|应该|需要)在\s*[A-Za-z][\w\- ]{0,30}$"
"""`为什么要在Attention`: where, but not what."""
_POINTING = (
    r"(?:详见|参见|参考|请看|见|如|分析见)(?:问题|下图|上图|图|下表|表|附录|链接|下文|下面|以下|下)?(?:所示)?\s*$"
)
_TO_DO = r"(?:\bTODO\b|待补充|待续|待完善|待更新|待整理|未完)[^\w\n]{0,6}$"
_BARE_ITEM = r"^\s*\d{1,3}[.、)）]\s*$"
BREAKS_OFF = re.compile("|".join((_OPEN, _JOINING, _CLAUSE, _PLACE, _POINTING, _TO_DO, _BARE_ITEM)), re.IGNORECASE)
EMPTY_ITEM = re.compile(r"[ \t>]*(?:[-+*][ \t]*)?")
"""A line that is blank or a bullet with nothing after it: left over, not broken off."""
CAPTION = re.compile(r"^[\s>*]*(?:图|表|[Ff]ig(?:ure)?\.?|[Tt]able)\s*\d")
BRACKETS = str.maketrans("（）", "()")


def is_cut_off(text: str) -> bool:
    """Tell whether the answer text of a question ends where it cannot have been meant to end.

    A picture, formula, table or code at the end completes what is before it.
    """
    lines = text.split("\n")
    while len(lines) > 1 and EMPTY_ITEM.fullmatch(lines[-1]):
        lines.pop()
    text = "\n".join(lines)
    blocks = list(split_blocks(text))
    while blocks and blocks[-1].kind == "rule":
        blocks.pop()
    if not blocks or blocks[-1].kind not in ("prose", "list"):
        return False
    line = blocks[-1].slice_of(text).strip().split("\n")[-1]
    if IMAGE.search(line) or LINK.search(line) or ADDRESS.search(line) or CAPTION.match(line):
        return False
    line = re.sub(r"[*_=]+\s*$", "", NOTES.sub("", TAG.sub("", line))).rstrip()
    if BREAKS_OFF.search(line):
        return True
    return not FINAL.search(line) and _is_open(line)


def _is_open(line: str) -> bool:
    """Tell whether the last sentence of a line opens a bracket that it never closes."""
    sentence = re.split(r"[。！？!?；;]", line.translate(BRACKETS))[-1]
    return sentence.count("(") > sentence.count(")")
