"""Make the index on several processes or machines: the stages of `rag/build.py`, spread by Ray.

Files are read here, so workers need not see them. Each document is parsed and chunked by one worker, and each batch of
rows encoded by one. Labels wait for the whole corpus: they are the shortest that no other question has.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial

import numpy as np

from rag.adapters.ray import BATCH_ROWS, CUT, ROW, Encode, Record, run_stages
from rag.build import (
    IndexVectors,
    Worker,
    assemble,
    chunk_corpus,
    embed_forms,
    hash_rows,
    list_known,
    stack_rows,
    texts_to_embed,
)
from rag.config import Settings
from rag.corpus import corpus_digest, read_corpus
from rag.errors import EncoderError
from rag.index import IndexContent, OpenIndex, pack_records, unpack_passages, unpack_questions
from rag.parse import assign_labels, parse_document
from rag.pipeline import load_encoder
from rag.synonyms import Thesaurus, digest_groups, load_thesaurus
from rag.types import Document, Encoder, Passage, Progress, Question, Vectors


@cache
def _encoder_of(settings: Settings) -> Encoder:
    """Load the encoder once for a process: chunks are sized in its tokens."""
    return load_encoder(settings)


@cache
def _thesaurus_of(data: bytes) -> Thesaurus:
    return Thesaurus.from_bytes(data)


def cut_document(settings: Settings, thesaurus: bytes, item: Record) -> list[Record]:
    """Parse and chunk a document: a record of what was found, and one for each distinct row to embed."""
    document, encoder = Document(**item), _encoder_of(settings)
    questions = parse_document(document)
    passages = chunk_corpus([document], questions, encoder)
    forms = texts_to_embed(questions, passages, _thesaurus_of(thesaurus))
    keys = hash_rows(forms)
    found = {"questions": pack_records(questions), "passages": pack_records(passages), "keys": keys}
    rows = dict(zip(keys, forms, strict=True))
    return [
        {"kind": CUT, "name": document.path, "data": json.dumps(found, ensure_ascii=False)},
        *({"kind": ROW, "name": key, "data": json.dumps(texts, ensure_ascii=False)} for key, texts in rows.items()),
    ]


def load_encode(settings: Settings, known: Sequence[str]) -> Encode:
    """Load the encoder, and return what encodes records: a vector's bytes for each new row, else none."""
    encoder, taken_over = _encoder_of(settings), frozenset(known)
    # The shipped encoder would run a batch on every core, and there is an actor for each.
    step = BATCH_ROWS if settings.encoder else 1

    def encode(records: Sequence[Record]) -> list[bytes]:
        fresh = [at for at, record in enumerate(records) if record["kind"] == ROW and record["name"] not in taken_over]
        vectors = [b""] * len(records)
        for start in range(0, len(fresh), step):
            places = fresh[start : start + step]
            forms = [tuple(json.loads(records[at]["data"])) for at in places]
            for at, vector in zip(places, embed_forms(forms, encoder), strict=True):
                vectors[at] = vector.tobytes()
        return vectors

    return encode


def make_content_on_ray(
    settings: Settings,
    encoder: Encoder,
    former: OpenIndex | None,
    progress: Progress | None,
    index_vectors: IndexVectors,
) -> tuple[IndexContent, tuple[Worker, ...]]:
    """Make the content of a generation as `make_content` does, and tell what each worker did.

    :raises RagError: when there is nothing to read, no Ray, or a worker that fails again and again.
    """
    digest = corpus_digest(settings.corpus, digest_groups(settings.terms))
    reading = read_corpus(settings.corpus)
    thesaurus = load_thesaurus(settings.terms)
    known = list_known(former, encoder)
    cuts: dict[str, Record] = {}
    workers: dict[str, Worker] = {}
    done = run_stages(
        settings.engine,
        [asdict(document) for document in reading.documents],
        partial(cut_document, settings, thesaurus.to_bytes()),
        partial(load_encode, settings, sorted(known)),
    )
    n_known = len(known)
    for record in done:
        if record["kind"] == CUT:
            cuts[record["name"]] = json.loads(record["data"])
        elif record["vector"] and record["name"] not in known:  # two documents may hold the same text
            known[record["name"]] = np.frombuffer(record["vector"], dtype=np.float32)
            _count(workers, record)
            if progress:
                progress(len(known) - n_known, len(known) - n_known + 1)  # how many there will be shows at the end
    content = join_cuts(reading.documents, cuts, known, thesaurus, encoder, index_vectors)
    return replace(content, corpus=digest, problems=reading.problems), tuple(workers[name] for name in sorted(workers))


def _count(workers: dict[str, Worker], record: Record) -> None:
    before = workers.get(record["worker"], Worker(record["worker"], 0, 0.0))
    workers[before.name] = replace(before, n_rows=before.n_rows + 1, busy_s=before.busy_s + record["seconds"])


def join_cuts(
    documents: Sequence[Document],
    cuts: Mapping[str, Record],
    known: Mapping[str, Vectors],
    thesaurus: Thesaurus,
    encoder: Encoder,
    index_vectors: IndexVectors,
) -> IndexContent:
    """Put what the workers handed in back in the order of the documents, rows of passages before rows of titles.

    :raises EncoderError: when a document or a row is missing.
    """
    questions: list[Question] = []
    passages: list[Passage] = []
    keys: tuple[list[str], list[str]] = ([], [])
    try:
        for cut in (cuts[document.path] for document in documents):
            questions += unpack_questions(cut["questions"])
            passages += unpack_passages(cut["passages"])
            n_passages = len(cut["passages"])
            keys[0].extend(cut["keys"][:n_passages])
            keys[1].extend(cut["keys"][n_passages:])
        in_order = (*keys[0], *keys[1])
        vectors = stack_rows(in_order, known)
    except KeyError as error:
        raise EncoderError(f"Ray 没有把 {error.args[0]} 交回来；请再运行一次 python -m rag.ingest") from error
    labelled = assign_labels(questions)
    return assemble(documents, labelled, tuple(passages), vectors, in_order, thesaurus, encoder, index_vectors)
