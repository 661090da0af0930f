"""Nodes of LlamaIndex for passages and quotes: what they carry, and what of it is embedded or shown to an LLM."""

from collections.abc import Sequence
from typing import Any

from llama_index.core.schema import NodeWithScore, TextNode

from rag.cite import write_numbers
from rag.types import Citation, Question, Unit

EMBEDDED = ("headings",)
"""Metadata that say what a passage is about; all other keys would only pull unlike passages together."""
SHOWN = ("label", "title", "file", "lines")
"""Metadata that a language model reads, to cite them."""


def describe(question: Question, lines: tuple[int, int], unit: Unit) -> dict[str, Any]:
    """Return what a reader of a node must know; plain values, as every vector store takes them."""
    return {
        "label": question.label,
        "title": question.title,
        "file": question.path,
        "lines": write_numbers(lines),
        "unit": unit,
        "question": question.id,
    }


def exclude_metadata(node: TextNode) -> TextNode:
    """Keep all but the named metadata from what is embedded and from what an LLM reads."""
    node.excluded_embed_metadata_keys = [key for key in node.metadata if key not in EMBEDDED]
    node.excluded_llm_metadata_keys = [key for key in node.metadata if key not in SHOWN]
    return node


def list_sources(citations: Sequence[Citation]) -> list[NodeWithScore]:
    """Return one node for each quote that an answer stands on."""
    return [
        NodeWithScore(
            node=exclude_metadata(
                TextNode(
                    id_=f"{one.file}#{one.digest}",
                    text=one.quote,
                    metadata={
                        "label": one.label,
                        "title": one.title,
                        "file": one.file,
                        "lines": write_numbers(one.lines),
                        "unit": one.unit,
                    },
                    metadata_template="{value}",
                )
            ),
            score=one.score,
        )
        for one in citations
    ]
