"""The same job done by others: index a file of notes on disk, open it in a fresh process, find what answers a question.

`python -m eval.rivals SYSTEM ingest|ask NOTES STORE [--rounds N]`. Each is written as its own introduction writes it, with
all-MiniLM-L6-v2 from a local folder, or (`+ours`) with the shipped encoder, so that only the framework differs. `mianjing`
is the program itself, answer and all, by the same door. `ask` prints one JSON object: `first_ms` and `warm_ms`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

QUERIES = (
    "为什么要除以根号dk",
    "LayerNorm 和 BatchNorm 有什么区别",
    "多头注意力有什么好处",
    "BERT 是怎么做 mask 的",
    "decoder 怎么并行训练",
    "位置编码为什么用三角函数",
    "what is the purpose of the feed-forward network",
)
"""The first is the cold question; all of them are asked warm."""
K = 5
CHUNK_CHARS, CHUNK_OVERLAP_CHARS = 512, 64
"""For the frameworks that leave them to the user."""
Ask = Callable[[str], object]


def find_teacher_folder() -> str:
    """Return the folder of all-MiniLM-L6-v2."""
    from rag.models.student import find_teacher

    return str(find_teacher())


def ingest_llamaindex(notes: Path, store: Path, encoder: Any) -> None:
    """Index as LlamaIndex's starter with Faiss does."""
    import faiss
    from llama_index.core import SimpleDirectoryReader, StorageContext, VectorStoreIndex
    from llama_index.vector_stores.faiss import FaissVectorStore

    documents = SimpleDirectoryReader(input_files=[str(notes)]).load_data()
    context = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss_index=faiss.IndexFlatL2(384)))
    index = VectorStoreIndex.from_documents(documents, storage_context=context, embed_model=encoder)
    index.storage_context.persist(str(store))


def open_llamaindex(store: Path, encoder: Any) -> Ask:
    """Open what `ingest_llamaindex` wrote."""
    from llama_index.core import StorageContext, load_index_from_storage
    from llama_index.vector_stores.faiss import FaissVectorStore

    vectors = FaissVectorStore.from_persist_dir(str(store))
    context = StorageContext.from_defaults(vector_store=vectors, persist_dir=str(store))
    ask: Ask = load_index_from_storage(context, embed_model=encoder).as_retriever(similarity_top_k=K).retrieve
    return ask


def encode_for_llamaindex(ours: bool) -> Any:
    """Load an encoder as LlamaIndex takes it."""
    if ours:
        from rag.adapters.llamaindex import NotesEmbedding

        return NotesEmbedding()
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    return HuggingFaceEmbedding(model_name=find_teacher_folder())


def ingest_langchain(notes: Path, store: Path, encoder: Any) -> None:
    """Index as LangChain's FAISS page does."""
    from langchain_community.document_loaders import TextLoader
    from langchain_community.vectorstores import FAISS
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    documents = TextLoader(str(notes), encoding="utf-8").load()
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_CHARS, chunk_overlap=CHUNK_OVERLAP_CHARS)
    FAISS.from_documents(splitter.split_documents(documents), encoder).save_local(str(store))


def open_langchain(store: Path, encoder: Any) -> Ask:
    """Open what `ingest_langchain` wrote; it unpickles, which is safe here because this run wrote it."""
    from langchain_community.vectorstores import FAISS

    index = FAISS.load_local(str(store), encoder, allow_dangerous_deserialization=True)
    return lambda query: index.similarity_search(query, k=K)


def encode_for_langchain(ours: bool) -> Any:
    """Load an encoder as LangChain takes it."""
    if not ours:
        from langchain_huggingface import HuggingFaceEmbeddings

        return HuggingFaceEmbeddings(model_name=find_teacher_folder())
    from langchain_core.embeddings import Embeddings

    from rag.embed import ShippedEncoder

    encoder = ShippedEncoder()

    class Shipped(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return encoder.embed_passages(texts).tolist()  # type: ignore[no-any-return]

        def embed_query(self, text: str) -> list[float]:
            return encoder.embed_queries([text])[0].tolist()  # type: ignore[no-any-return]

    return Shipped()


def ingest_txtai(notes: Path, store: Path, encoder: Any) -> None:
    """Index as txtai's introduction does, paragraphs as its rows."""
    from txtai import Embeddings

    text = notes.read_text(encoding="utf-8")
    rows = [row for paragraph in text.split("\n\n") if (row := paragraph.strip())]
    index = Embeddings(encoder, content=True)
    index.index(rows)
    index.save(str(store))


def open_txtai(store: Path, encoder: Any) -> Ask:
    """Open what `ingest_txtai` wrote."""
    from txtai import Embeddings

    index = Embeddings(encoder, content=True)
    index.load(str(store), config=encoder)
    return lambda query: index.search(query, K)


def encode_for_txtai(ours: bool) -> Any:
    """Describe an encoder as txtai takes it."""
    if not ours:
        return {"path": find_teacher_folder()}
    from rag.embed import ShippedEncoder

    encoder = ShippedEncoder()
    return {"method": "external", "transform": lambda texts: encoder.embed_passages(list(texts))}


def ingest_mianjing(notes: Path, store: Path, encoder: Any) -> None:
    """Index with the program itself."""
    from rag.build import build
    from rag.config import Settings

    build(Settings(corpus=(notes,), index=store), encoder)


def open_mianjing(store: Path, encoder: Any) -> Ask:
    """Open the index as the program does; asking writes the whole answer."""
    from rag.config import Settings
    from rag.index import open_index
    from rag.pipeline import Notes
    from rag.types import Query

    notes = Notes(open_index(store, encoder.fingerprint), encoder, Settings(corpus=(), index=store))
    return lambda query: notes.ask(Query(query))


def encode_for_mianjing(ours: bool) -> Any:
    """Load the shipped encoder, or all-MiniLM-L6-v2 by path."""
    if ours:
        from rag.embed import ShippedEncoder

        return ShippedEncoder()
    from rag.adapters.hf import HfEncoder

    return HfEncoder(find_teacher_folder())


SYSTEMS: dict[str, tuple[Callable[[bool], Any], Callable[[Path, Path, Any], None], Callable[[Path, Any], Ask]]] = {
    "mianjing": (encode_for_mianjing, ingest_mianjing, open_mianjing),
    "llamaindex": (encode_for_llamaindex, ingest_llamaindex, open_llamaindex),
    "langchain": (encode_for_langchain, ingest_langchain, open_langchain),
    "txtai": (encode_for_txtai, ingest_txtai, open_txtai),
}
OURS = "+ours"


def time_ms(ask: Ask, query: str) -> float:
    """Time one question in milliseconds."""
    started = time.perf_counter()
    ask(query)
    return (time.perf_counter() - started) * 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one phase of one system."""
    parser = argparse.ArgumentParser(prog="python -m eval.rivals", description=__doc__.splitlines()[0])
    parser.add_argument("system", choices=[name + end for name in SYSTEMS for end in ("", OURS)])
    parser.add_argument("phase", choices=("ingest", "ask"))
    parser.add_argument("notes", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--rounds", type=int, default=0, help="how often all questions are asked warm")
    options = parser.parse_args(arguments)
    encode, ingest, open_store = SYSTEMS[options.system.removesuffix(OURS)]
    encoder = encode(options.system.endswith(OURS))
    if options.phase == "ingest":
        ingest(options.notes, options.store, encoder)
        return 0
    ask = open_store(options.store, encoder)
    first_ms = time_ms(ask, QUERIES[0])
    times = [time_ms(ask, query) for _ in range(options.rounds) for query in QUERIES]
    print(json.dumps({"first_ms": first_ms, "warm_ms": statistics.median(times) if times else None}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
