"""The parser, the encoder, the ranking and the answers as ordinary LlamaIndex components (extra `llm`).

IngestionPipeline(transformations=[QuestionNodeParser(), NotesEmbedding()])
RetrieverQueryEngine.from_args(NotesRetriever(notes), llm=llm)
notes_chat_engine(llm, notes).chat("为什么要除以根号dk")
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field
from llama_index.core.node_parser import NodeParser
from llama_index.core.readers.base import BaseReader
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import BaseNode, NodeRelationship, NodeWithScore, QueryBundle, TextNode
from llama_index.core.schema import Document as LlamaDocument

from rag.adapters.llamaindex_chat import NotesChatEngine as NotesChatEngine
from rag.adapters.llamaindex_chat import NotesStream as NotesStream
from rag.adapters.llamaindex_chat import notes_chat_engine as notes_chat_engine
from rag.adapters.llamaindex_nodes import describe, exclude_metadata
from rag.build import PASSAGE_TOKENS
from rag.chunk import chunk_document
from rag.cite import hash_text
from rag.corpus import read_corpus
from rag.embed import ShippedEncoder
from rag.errors import EncoderError
from rag.markdown import plain_words
from rag.parse import assign_labels, parse_document
from rag.pipeline import Notes
from rag.types import Document, Encoder, Hit, Passage, Query, Question, Unit

_encoders: dict[str, Encoder] = {}
"""By fingerprint. Components hold the fingerprint alone, for they are copied and sent to other processes."""


class NotesReader(BaseReader):
    """Reads notes of every kind, one document for each file: its id is its path, so that it can be upserted."""

    def __init__(self) -> None:
        self.problems: tuple[str, ...] = ()
        """One line for each file that could not be read."""

    def load_data(self, *paths: str | Path) -> list[LlamaDocument]:
        """Read files and folders.

        :raises CorpusError: when there is nothing to read.
        """
        reading = read_corpus([Path(path) for path in paths])
        self.problems = reading.problems
        return [
            LlamaDocument(
                id_=document.path,
                text=document.text,
                metadata={"file_path": document.path, "stem": document.stem, "unit": document.unit},
            )
            for document in reading.documents
        ]


def _find_encoder(fingerprint: str) -> Encoder:
    """Return the encoder of that fingerprint, or the shipped one, loaded anew in another process.

    :raises EncoderError: when another process has no such encoder.
    """
    if fingerprint not in _encoders:
        shipped = ShippedEncoder()
        if fingerprint not in ("", shipped.fingerprint):
            raise EncoderError(f"{fingerprint}: 这个编码器带不进别的进程；不要用 num_workers")
        _encoders[fingerprint] = shipped
    return _encoders[fingerprint]


class QuestionNodeParser(NodeParser):
    """Cuts documents into passages that never mix two questions, each an exact slice of its document."""

    max_tokens: int = Field(default=PASSAGE_TOKENS, gt=0, description="Size of a passage in the encoder's tokens.")
    fingerprint: str = Field(default="", description="Of the encoder that counts the tokens; empty: the shipped one.")

    def __init__(self, encoder: Encoder | None = None, **options: Any) -> None:
        if encoder:
            _encoders[encoder.fingerprint] = encoder
            options["fingerprint"] = encoder.fingerprint
        super().__init__(**options)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores it under."""
        return "QuestionNodeParser"

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        encoder = _find_encoder(self.fingerprint)
        limit = min(self.max_tokens, encoder.max_tokens)
        documents = _read_documents(nodes)
        questions = assign_labels([question for document in documents for question in parse_document(document)])
        by_path: dict[str, list[Question]] = {}
        for question in questions:
            by_path.setdefault(question.path, []).append(question)
        made: list[BaseNode] = []
        for node, document in zip(nodes, documents, strict=True):
            own = by_path.get(document.path, [])
            passages = chunk_document(document, own, encoder.count_tokens, limit)
            named = {question.id: question for question in own}
            made += [_make_node(passage, named[passage.question], node) for passage in passages]
        return made

    def _postprocess_parsed_nodes(
        self, nodes: list[BaseNode], parent_doc_map: dict[str, LlamaDocument]
    ) -> list[BaseNode]:
        """Add what all parsers add, but keep the offsets: searching for the text finds an earlier repetition of it."""
        places = [(node.start_char_idx, node.end_char_idx) for node in nodes if isinstance(node, TextNode)]
        done = super()._postprocess_parsed_nodes(nodes, parent_doc_map)
        for node, (start, end) in zip((node for node in done if isinstance(node, TextNode)), places, strict=True):
            node.start_char_idx, node.end_char_idx = start, end
            exclude_metadata(node)
        return done


def _read_documents(nodes: Sequence[BaseNode]) -> list[Document]:
    """Turn LlamaIndex documents into documents with paths and stems of their own."""
    documents: list[Document] = []
    paths: Counter[str] = Counter()
    stems: Counter[str] = Counter()
    for node in nodes:
        text = node.get_content()
        path = str(node.metadata.get("file_path") or node.metadata.get("file_name") or node.node_id)
        stem = str(node.metadata.get("stem") or Path(path).stem)
        paths[path] += 1
        stems[stem] += 1
        path = path if paths[path] == 1 else f"{path}#{paths[path]}"
        stem = stem if stems[stem] == 1 else f"{stem}-{stems[stem]}"
        documents.append(Document(path, stem, text, hash_text(text), _read_unit(node)))
    return documents


def _read_unit(node: BaseNode) -> Unit:
    units: tuple[Unit, ...] = get_args(Unit)
    return next((unit for unit in units if node.metadata.get("unit") == unit), "line")


def _make_node(passage: Passage, question: Question, source: BaseNode) -> TextNode:
    # A document may be one page or cell alone; then it tells which.
    number = source.metadata.get(passage.unit)
    lines = (number, number) if isinstance(number, int) else passage.lines
    facts = describe(question, lines, passage.unit) | {"headings": "\n".join(passage.headings[-2:])}
    node = TextNode(
        id_=passage.id,
        text=passage.text,
        start_char_idx=passage.start,
        end_char_idx=passage.end,
        metadata=facts | {"file": source.metadata.get("file_path", question.path)},
        metadata_template="{value}",
        relationships={NodeRelationship.SOURCE: source.as_related_node_info()},
    )
    return exclude_metadata(node)


class NotesEmbedding(BaseEmbedding):
    """Embeds with any encoder of this project; the shipped one needs no download."""

    def __init__(self, encoder: Encoder | None = None, **options: Any) -> None:
        encoder = encoder or _find_encoder("")
        _encoders[encoder.fingerprint] = encoder
        super().__init__(model_name=encoder.fingerprint, **options)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores it under."""
        return "NotesEmbedding"

    @property
    def encoder(self) -> Encoder:
        """What embeds."""
        return _find_encoder(self.model_name)

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self.encoder.embed_queries([query])[0].tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        """Embed the words of Markdown, its marks left out, as the index does."""
        rows: list[list[float]] = self.encoder.embed_passages([plain_words(text) for text in texts]).tolist()
        return rows

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class NotesRetriever(BaseRetriever):
    """Retrieves questions as open notes rank them, each by its best passage."""

    def __init__(self, notes: Notes, k: int | None = None, **options: Any) -> None:
        self._notes, self._k = notes, k
        super().__init__(**options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._notes.search(Query(query_bundle.query_str))
        return [NodeWithScore(node=self._make_node(hit), score=hit.score) for hit in found.hits[: self._k]]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _make_node(self, hit: Hit) -> TextNode:
        question = hit.question
        own = self._notes.passages[question.parent or question.id]
        inside = (passage for passage in own if passage.end > question.start)
        passage = hit.passages[0][0] if hit.passages else next(inside)
        node = TextNode(
            id_=passage.id,
            text=passage.text,
            start_char_idx=passage.start,
            end_char_idx=passage.end,
            metadata=describe(question, passage.lines, passage.unit),
            metadata_template="{value}",
        )
        return exclude_metadata(node)
