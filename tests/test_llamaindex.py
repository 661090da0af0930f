"""Parser, encoder, ranking and answers inside stock LlamaIndex."""

import asyncio
import pickle
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import pytest
from llama_index.core import SimpleDirectoryReader, StorageContext, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, CompletionResponseGen, LLMMetadata
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import CustomLLM, MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.faiss import FaissVectorStore

from rag.adapters.extract import READERS
from rag.adapters.llamaindex import (
    NotesEmbedding,
    NotesReader,
    NotesRetriever,
    QuestionNodeParser,
    notes_chat_engine,
)
from rag.pipeline import Notes
from rag.retrieve import Parts
from rag.types import Query
from tests.conftest import CORPUS
from tests.office import write_pdf

QUERIES = (
    "为什么要除以根号dk",
    "BERT 和 GPT 有什么区别",
    "LayerNorm 为什么不用 BatchNorm",
    "Transformer 的位置编码有什么意义",
    "MLM 任务怎么做的",
)
ASKED, REPLY = "为什么要除以根号dk", "除以根号dk让方差变为1，避免softmax梯度消失[Q4]。"


class ScriptedLLM(CustomLLM):
    """Replies with one text after another, and keeps what it was asked."""

    replies: list[str]
    prompts: list[str] = []

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=8192, num_output=512, model_name="scripted")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self.prompts.append(prompt)
        return CompletionResponse(text=self._next())

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        self.prompts.append(prompt)
        text = self._next()
        for end in range(1, len(text) + 1):
            yield CompletionResponse(text=text[:end], delta=text[end - 1])

    def _next(self) -> str:
        return self.replies[min(len(self.prompts), len(self.replies)) - 1]


def script(*replies: str) -> ScriptedLLM:
    return ScriptedLLM(replies=list(replies), prompts=[])


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("LlamaIndex reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def nodes() -> Sequence[TextNode]:
    """The real notes through a stock pipeline with our parser and encoder."""
    pipeline = IngestionPipeline(transformations=[QuestionNodeParser(), NotesEmbedding()])
    made = pipeline.run(documents=NotesReader().load_data(CORPUS))
    return [node for node in made if isinstance(node, TextNode)]


def test_every_node_is_an_exact_slice_of_its_document(nodes: Sequence[TextNode]) -> None:
    document = NotesReader().load_data(CORPUS)[0]
    assert len(nodes) > 40
    assert all(node.text == document.text[node.start_char_idx : node.end_char_idx] for node in nodes)
    assert nodes[0].ref_doc_id == document.doc_id
    assert nodes[1].prev_node is not None
    assert (nodes[1].prev_node.node_id, nodes[0].next_node and nodes[0].next_node.node_id) == (
        nodes[0].node_id,
        nodes[1].node_id,
    )


def test_nodes_are_the_passages_of_the_index(nodes: Sequence[TextNode], notes: Notes) -> None:
    assert [(node.node_id, node.text) for node in nodes] == [(p.id, p.text) for p in notes.index.content.passages]


def test_offsets_hold_where_an_example_repeats_a_later_question() -> None:
    question = "# 2. 什么是乙？\n\n乙就是乙。\n"
    text = f"# 1. 笔记怎么写？\n\n```\n{question}```\n\n{question}"
    made = QuestionNodeParser().get_nodes_from_documents([LlamaDocument(text=text, metadata={"file_name": "a.md"})])
    ends = [(node.start_char_idx, node.end_char_idx) for node in made if isinstance(node, TextNode)]
    assert ends == [(0, len(text) - len(question)), (len(text) - len(question), len(text))]


def test_metadata_is_named_to_the_llm_but_not_embedded(nodes: Sequence[TextNode]) -> None:
    node = next(node for node in nodes if node.metadata["label"] == "Q4")
    assert node.metadata["file"].endswith("transformer-bert.md")
    first, last = map(int, node.metadata["lines"].split("-"))
    lines = (CORPUS / "transformer-bert.md").read_text(encoding="utf-8").split("\n")
    assert "\n".join(lines[first - 1 : last]) == node.text.strip("\n")
    embedded = node.get_content(MetadataMode.EMBED)
    assert "transformer-bert.md" not in embedded
    assert "stem" not in node.get_content(MetadataMode.LLM)
    assert node.get_content(MetadataMode.LLM).startswith("Q4\n")


def test_documents_of_one_name_get_labels_of_their_own() -> None:
    text = "# 1. 什么是注意力？\n\n把权重分给各个位置。\n"
    documents = [LlamaDocument(text=text, metadata={"file_path": f"{folder}/a.md"}) for folder in ("x", "y")]
    made = QuestionNodeParser().get_nodes_from_documents(documents)
    assert [node.metadata["label"] for node in made] == ["a:Q1", "a-2:Q1"]
    assert len({node.node_id for node in made}) == 2


def test_a_stock_faiss_store_finds_the_questions_that_our_vectors_find(nodes: Sequence[TextNode], notes: Notes) -> None:
    embedding = NotesEmbedding()
    store = FaissVectorStore(faiss_index=faiss.IndexFlatIP(embedding.encoder.dim))
    index = VectorStoreIndex(
        list(nodes), storage_context=StorageContext.from_defaults(vector_store=store), embed_model=embedding
    )
    parts = Parts(words=False, synonyms=False, titles=False, spelling=False, split=False, history=False)
    dense = replace(notes, parts=parts)
    found = [index.as_retriever(similarity_top_k=3).retrieve(text)[0].metadata["label"] for text in QUERIES]
    assert found == [dense.search(Query(text)).hits[0].question.label for text in QUERIES]


def test_a_stock_query_engine_keeps_the_ranking_of_the_notes(notes: Notes) -> None:
    engine = RetrieverQueryEngine.from_args(NotesRetriever(notes, k=5), llm=MockLLM())
    for text in (*QUERIES, "第16题"):
        hits = notes.search(Query(text)).hits[:5]
        nodes = engine.query(text).source_nodes
        assert [(node.metadata["label"], node.score) for node in nodes] == [(h.question.label, h.score) for h in hits]


def test_the_retriever_gives_the_best_passage_of_each_question(notes: Notes) -> None:
    hit = notes.search(Query(ASKED)).hits[0]
    node = asyncio.run(NotesRetriever(notes).aretrieve(ASKED))[0].node
    assert (node.node_id, node.get_content()) == (hit.passages[0][0].id, hit.passages[0][0].text)


def test_the_chat_engine_answers_with_citations(notes: Notes) -> None:
    llm = script(REPLY)
    response = notes_chat_engine(llm, notes).chat(ASKED)
    assert "[Q4]" in str(response)
    assert response.metadata is not None
    assert (response.metadata["mode"], response.metadata["model"]) == ("generated", "scripted")
    assert {node.metadata["label"] for node in response.source_nodes} == {"Q4"}
    assert all(node.text in (CORPUS / "transformer-bert.md").read_text() for node in response.source_nodes)
    assert len(llm.prompts) == 1


def test_a_follow_up_uses_what_was_said(notes: Notes) -> None:
    llm = script(REPLY, "为什么要除以根号dk，公式怎么推导", REPLY)
    engine = notes_chat_engine(llm, notes)
    engine.chat(ASKED)
    response = engine.chat("那公式呢？")
    assert {node.metadata["label"] for node in response.source_nodes} == {"Q4"}
    assert ASKED in llm.prompts[1]
    assert [message.role.value for message in engine.chat_history] == ["user", "assistant"] * 2
    engine.reset()
    assert engine.chat_history == []


def test_a_history_that_is_given_replaces_the_memory(notes: Notes) -> None:
    engine = notes_chat_engine(script(REPLY), notes)
    engine.chat("BERT 的结构是什么", [])
    engine.chat(ASKED, [ChatMessage(role="user", content="你好"), ChatMessage(role="assistant", content="你好。")])
    assert [message.content for message in engine.chat_history][:3] == ["你好", "你好。", ASKED]


def test_what_the_notes_lack_is_said_without_asking_the_llm(notes: Notes) -> None:
    llm = script(REPLY)
    response = notes_chat_engine(llm, notes).chat("明天上海的天气怎么样")
    assert response.metadata is not None
    assert response.metadata["abstained"]
    assert "没有" in str(response)
    assert (response.source_nodes, llm.prompts) == ([], [])


def test_an_answer_streams_piece_by_piece_and_fills_sources_and_memory(notes: Notes) -> None:
    engine = notes_chat_engine(
        script(REPLY), notes, memory=ChatMemoryBuffer.from_defaults(token_limit=500, tokenizer_fn=list)
    )
    stream = engine.stream_chat(ASKED)
    pieces = list(stream.response_gen)
    assert len(pieces) > 3
    assert {node.metadata["label"] for node in stream.source_nodes} == {"Q4"}
    assert engine.chat_history[-1].content == stream.response == str(stream)


def test_an_answer_streams_to_async_code(notes: Notes) -> None:
    async def talk() -> tuple[list[str], str, str]:
        engine = notes_chat_engine(script(REPLY), notes)
        stream = await engine.astream_chat(ASKED)
        pieces = [piece async for piece in stream.async_response_gen()]
        return pieces, stream.response, str(await engine.achat(ASKED))

    pieces, streamed, whole = asyncio.run(talk())
    assert len(pieces) > 3
    assert streamed == whole


def test_an_answer_that_is_broken_off_leaves_no_trace_in_memory(notes: Notes) -> None:
    engine = notes_chat_engine(script(REPLY), notes)
    pieces = engine.stream_chat(ASKED).response_gen
    next(pieces)
    pieces.close()
    assert engine.chat_history == []


def test_a_failing_llm_is_told_and_the_notes_are_quoted(notes: Notes) -> None:
    class Failing(ScriptedLLM):
        def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
            raise RuntimeError("broken")

    response = notes_chat_engine(Failing(replies=[]), notes).chat(ASKED)
    assert response.metadata is not None
    assert "大模型没能回答" in response.metadata["notice"]
    assert (response.metadata["mode"], bool(response.source_nodes)) == ("extractive", True)


def test_the_reader_names_what_it_could_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# 1. 什么是注意力？\n\n权重。\n", encoding="utf-8")
    (tmp_path / "b.md").write_bytes(b"\0")
    reader = NotesReader()
    assert [document.metadata["stem"] for document in reader.load_data(tmp_path)] == ["a"]
    assert [problem.partition(":")[0] for problem in reader.problems] == [str(tmp_path / "b.md")]


def test_our_readers_serve_a_stock_directory_reader(tmp_path: Path) -> None:
    first, second = (18, "1. 什么是注意力？"), (18, "2. 什么是位置编码？")
    write_pdf(tmp_path / "a.pdf", (first, "给各个位置分权重，加起来是一。"), (second, "告诉模型谁先谁后。"))
    extractors = {ending: make() for ending, make in READERS.items()}
    documents = SimpleDirectoryReader(tmp_path, file_extractor=extractors).load_data()
    made = QuestionNodeParser().get_nodes_from_documents(documents)
    places = [(node.metadata["title"], node.metadata["unit"], node.metadata["lines"]) for node in made]
    assert places == [("什么是注意力？", "page", "1"), ("什么是位置编码？", "page", "2")]
    assert {node.metadata["file"] for node in made} == {str(tmp_path / "a.pdf")}


def test_a_pdf_read_as_a_whole_keeps_its_pages(tmp_path: Path) -> None:
    write_pdf(tmp_path / "a.pdf", ((18, "1. 什么是注意力？"), "给各个位置分权重，"), ("加起来是一。",))
    made = QuestionNodeParser().get_nodes_from_documents(NotesReader().load_data(tmp_path))
    assert [(node.metadata["label"], node.metadata["unit"], node.metadata["lines"]) for node in made] == [
        ("Q1", "page", "1-2")
    ]


def test_components_can_be_sent_to_another_process() -> None:
    parser, embedding = pickle.loads(pickle.dumps((QuestionNodeParser(), NotesEmbedding())))
    documents = [LlamaDocument(text="# 1. 什么是注意力？\n\n权重。\n", metadata={"file_name": "a.md"})]
    assert len(embedding(parser(documents))[0].embedding) == embedding.encoder.dim


def test_a_changed_document_replaces_only_its_own_nodes(tmp_path: Path) -> None:
    for name, answer in (("a", "权重。"), ("b", "先后。")):
        (tmp_path / f"{name}.md").write_text(f"# 1. 什么是{name}？\n\n{answer}\n", encoding="utf-8")
    pipeline = IngestionPipeline(
        transformations=[QuestionNodeParser(), NotesEmbedding()],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.DUPLICATES_ONLY,
    )
    assert len(pipeline.run(documents=NotesReader().load_data(tmp_path))) == 2
    (tmp_path / "b.md").write_text("# 1. 什么是b？\n\n位置。\n", encoding="utf-8")
    assert [node.metadata["file"] for node in pipeline.run(documents=NotesReader().load_data(tmp_path))] == [
        str(tmp_path / "b.md")
    ]
