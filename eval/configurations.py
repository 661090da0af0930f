"""The named configurations of retrieval: a ladder from plain to full, and full with one part left out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from rag.errors import UsageError
from rag.retrieve import Parts

LATER = {
    "history": "追问时带上前文",
    "titles": "单独比对题目",
    "synonyms": "同义词",
    "spelling": "同音和形近的错字",
    "described": "只描述、没说出名字的术语",
    "split": "拆开复合问题",
}
"""Field of `Parts` to what it does, in the order in which the ladder adds them."""


def _switch(parts: Parts, fields: Iterable[str], on: bool) -> Parts:
    switches: dict[str, Any] = dict.fromkeys(fields, on)
    return replace(parts, **switches)


PLAIN = _switch(Parts(), LATER, on=False)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Retrieval with a name."""

    name: str
    description: str
    """One line of Chinese."""
    parts: Parts


def _climb() -> tuple[Configuration, ...]:
    """Add one part after the other to plain learned fusion; the last step is everything."""
    steps, parts = [], PLAIN
    for field, description in list(LATER.items())[:-1]:
        parts = _switch(parts, [field], on=True)
        steps.append(Configuration(f"+{field}", f"再加上：{description}", parts))
    return tuple(steps)


LADDER = (
    Configuration("bm25", "只看词", replace(PLAIN, vectors=False)),
    Configuration("dense", "只看向量", replace(PLAIN, words=False)),
    Configuration("rrf", "词和向量按名次融合", replace(PLAIN, fusion="rrf")),
    Configuration("zscore", "词和向量按标准分相加", replace(PLAIN, fusion="zscore")),
    Configuration("learned", "词和向量按学到的权重融合", PLAIN),
    *_climb(),
    Configuration("full", f"再加上：{list(LATER.values())[-1]}（完整）", Parts()),
)
WITHOUT = tuple(
    Configuration(f"full-{field}", f"完整，去掉：{description}", _switch(Parts(), [field], on=False))
    for field, description in {"words": "词", "vectors": "向量", **LATER}.items()
)
CONFIGURATIONS = {configuration.name: configuration for configuration in (*LADDER, *WITHOUT)}


def find_configuration(name: str) -> Configuration:
    """Return the configuration of that name.

    :raises UsageError: when there is none.
    """
    if name not in CONFIGURATIONS:
        raise UsageError(f"--config {name}: 没有这个配置；可选 {'、'.join(CONFIGURATIONS)}")
    return CONFIGURATIONS[name]
