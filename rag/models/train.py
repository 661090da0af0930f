"""Train the shipped encoder: `python -m rag.models.train --data DIR`.

One loop, three kinds of batch. Distillation pulls the student's vector of a Chinese text to the teacher's vector of its
English counterpart (Reimers & Gurevych 2020, arXiv 2004.09813): squared distance plus in-batch contrast, and the
same squared distance for the English side, which keeps English sharp. From `CONTRAST_START` of the way on it alternates
with contrast (InfoNCE, van den Oord et al. 2018, arXiv 1807.03748) between headings and their sections, with hard
negatives mined by BM25, and between questions and the cards that answer them, with the rest of each card's group.
"""

import argparse
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional as F
from tqdm import tqdm

from rag.errors import RagError
from rag.models.batches import (
    Batch,
    aligned_batches,
    card_batches,
    find_homophones,
    make_retell,
    near_neighbours,
    section_batches,
)
from rag.models.data import AlignedPair, Corpus, read_corpus
from rag.models.plain import read_plain_words
from rag.models.restore import restore
from rag.models.student import (
    Student,
    Teacher,
    find_teacher,
    load_teacher,
    start_from_teacher,
    tokens_to_tensors,
)
from rag.models.vocabulary import Vocabulary, build_vocabulary, initial_rows

TEMPERATURE = 0.05
DISTANCE_WEIGHT = 4.0
ENGLISH_SHARE = 0.25
"""Share of a batch whose English side the student embeds too."""
CHARACTERS_SHARE = 0.2
"""Share of batches cut into single characters, so that rare words still have good characters to fall back on."""
NOTHING, NOTHING_WEIGHT = 0.45, 0.5
"""Cosine of "none of these cards answers it", and how much it counts that it wins where it should."""
TOKEN_DROP = 0.1
CONTRAST_START = 0.1
TURNS = ("distil", "cards", "sections", "cards")
"""Kinds of batch, in turn, once contrast has begun."""
WARM_UP = 0.03
MAX_ALIGNED_TOKENS = 64
MAX_QUERY_TOKENS = 80
MAX_BODY_TOKENS = 160


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run depends on besides its data."""

    steps: int = 2600
    batch: int = 96
    section_batch: int = 48
    card_batch: int = 64
    layers: int = 6
    body_lr: float = 1e-4
    chinese_lr: float = 1.5e-3
    seed: int = 20
    bfloat16: int = 0
    """1: multiply in bfloat16, twice as fast where the processor has AMX and slower where it has not."""


@dataclass(slots=True)
class Run:
    """The moving parts of one training run."""

    settings: Settings
    corpus: Corpus
    teacher: Teacher
    vocabulary: Vocabulary
    tokenizers: tuple[Tokenizer, Tokenizer]
    """Cutting into words, and into single characters."""
    student: Student
    optimizer: torch.optim.Optimizer
    step: int = 0


def prepare(data: Path, settings: Settings, start_from: Path | None = None) -> Run:
    """Read the data, build the vocabulary and start the student from the teacher, or from an exported encoder."""
    torch.manual_seed(settings.seed)
    corpus = read_corpus(data, settings.seed)
    teacher = load_teacher(find_teacher())
    vocabulary = build_vocabulary(corpus, teacher.tokenizer)
    table = teacher.model.embeddings.word_embeddings.weight.detach().numpy()
    rows = torch.from_numpy(initial_rows(vocabulary, corpus, teacher.tokenizer, table))
    student = start_from_teacher(teacher, vocabulary.pieces, rows, settings.layers)
    if start_from:
        restore(student, vocabulary.to_json(), start_from)
    groups = [
        {"params": [student.chinese], "lr": settings.chinese_lr, "weight_decay": 0.0},
        {"params": [*student.bert.parameters(), student.pieces], "lr": settings.body_lr, "weight_decay": 0.01},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    tokenizers = (vocabulary.tokenizer(), vocabulary.tokenizer(with_words=False))
    return Run(settings, corpus, teacher, vocabulary, tokenizers, student, optimizer)


def distil(run: Run, pairs: list[AlignedPair], rng: random.Random) -> torch.Tensor:
    """Return the distillation loss of one batch of aligned pairs."""
    tokenizer = run.tokenizers[rng.random() < CHARACTERS_SHARE]
    english = [pair.en for pair in pairs]
    target = run.teacher.embed(english, MAX_ALIGNED_TOKENS)
    vectors = run.student(*tokens_to_tensors(tokenizer, [pair.zh for pair in pairs], MAX_ALIGNED_TOKENS))
    n_english = max(1, int(len(pairs) * ENGLISH_SHARE))
    own = run.student(*tokens_to_tensors(tokenizer, english[:n_english], MAX_ALIGNED_TOKENS))
    distance = (vectors - target).square().sum(1).mean() + (own - target[:n_english]).square().sum(1).mean()
    contrast = F.cross_entropy(vectors @ target.T / TEMPERATURE, torch.arange(len(pairs)))
    loss: torch.Tensor = DISTANCE_WEIGHT * distance + contrast
    return loss


def contrast(run: Run, batch: Batch, rng: random.Random, *, with_nothing: bool) -> torch.Tensor:
    """Return the symmetric InfoNCE loss of queries and the texts that answer them; equal texts are not negatives.

    :param with_nothing: let "none of them" stand among the texts, at a cosine of `NOTHING`: below the text that answers,
        and above all the others once that one is taken away. So cosines can be compared from query to query, which tells
        what the notes do not cover.
    """
    tokenizer = run.tokenizers[rng.random() < CHARACTERS_SHARE]
    bodies = [body for _, body in batch]
    ways = list(zip(*(queries for queries, _ in batch), strict=True))
    ids, mask = tokens_to_tensors(tokenizer, [query for way in ways for query in way], MAX_QUERY_TOKENS)
    dropped = (torch.rand(mask.shape) < TOKEN_DROP) & (mask.sum(1, keepdim=True) > 6)
    dropped[:, 0] = False
    query_vectors = run.student(ids, mask * ~dropped).unflatten(0, (len(ways), len(batch)))
    body_vectors = run.student(*tokens_to_tensors(tokenizer, bodies, MAX_BODY_TOKENS))
    answers = torch.arange(len(batch))
    losses = []
    for queries, vectors in zip(ways, query_vectors, strict=True):
        scores = vectors @ body_vectors.T / TEMPERATURE
        same = [[a == b or bodies[i] == bodies[j] for j, b in enumerate(queries)] for i, a in enumerate(queries)]
        scores = scores.masked_fill(torch.tensor(same).fill_diagonal_(False), -1e4)
        losses.append(_contrast_one_way(scores, answers, with_nothing=with_nothing))
    return torch.stack(losses).mean()


def _contrast_one_way(scores: torch.Tensor, answers: torch.Tensor, *, with_nothing: bool) -> torch.Tensor:
    """Return the symmetric InfoNCE loss of (n, n) scaled scores of queries and texts."""
    loss = 0.5 * F.cross_entropy(scores.T, answers)
    if not with_nothing:
        return loss + F.cross_entropy(scores, answers)
    nothing = torch.full((len(answers), 1), NOTHING / TEMPERATURE)
    among = F.cross_entropy(torch.cat([scores, nothing], dim=1), answers)
    own = torch.eye(len(answers), dtype=torch.bool)
    taken_away = torch.cat([scores.masked_fill(own, -1e4), nothing], dim=1)
    return loss + among + NOTHING_WEIGHT * F.cross_entropy(taken_away, torch.full_like(answers, len(answers)))


def rate_at(progress: float) -> float:
    """Scale of the learning rate: linear warm-up, then linear decay to a fiftieth."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return max(0.02, (1 - progress) / (1 - WARM_UP))


def train(run: Run, folder: Path, checkpoint_every: int) -> None:
    """Run to the last step, writing a checkpoint now and then."""
    settings = run.settings
    rng = random.Random(settings.seed + run.step)
    torch.manual_seed(settings.seed + run.step)
    aligned = aligned_batches(run.corpus.aligned + run.corpus.terms, settings.batch, rng)
    neighbours = near_neighbours(run.corpus.sections, 4)
    homophones = find_homophones(token for token in run.vocabulary.chinese if len(token) == 1)
    retell = make_retell(read_plain_words(), homophones)
    sections = section_batches(run.corpus.sections, neighbours, retell, settings.section_batch, rng)
    cards = card_batches(run.corpus.cards, retell, settings.card_batch, rng)
    base = [settings.chinese_lr, settings.body_lr]
    run.student.train()
    started = time.monotonic()
    bar = tqdm(range(run.step, settings.steps), initial=run.step, total=settings.steps, unit="step", mininterval=5)
    for step in bar:
        progress = step / settings.steps
        for group, rate in zip(run.optimizer.param_groups, base, strict=True):
            group["lr"] = rate * rate_at(progress)
        turn = TURNS[step % len(TURNS)] if progress >= CONTRAST_START else "distil"
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bool(settings.bfloat16)):
            if turn == "distil":
                loss = distil(run, next(aligned), rng)
            else:
                on_cards = turn == "cards"
                loss = contrast(run, next(cards if on_cards else sections), rng, with_nothing=on_cards)
        run.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(run.student.parameters(), 1.0)
        run.optimizer.step()
        run.step = step + 1
        bar.set_postfix({turn: f"{loss.item():.3f}"}, refresh=False)
        if run.step % checkpoint_every == 0 or run.step == settings.steps:
            recall = held_out_recall(run)
            elapsed_s = time.monotonic() - started
            bar.write(f"step {run.step} loss {loss.item():.3f} held-out recall@1 {recall:.3f} {elapsed_s:.0f} s")
            save_checkpoint(run, folder)


@torch.no_grad()
def held_out_recall(run: Run) -> float:
    """Recall@1 of the Chinese side among all held-out pairs, asked with the English side; 0 when none is held out."""
    if not run.corpus.held_out:
        return 0.0
    run.student.eval()
    zh = embed_texts(run, [pair.zh for pair in run.corpus.held_out])
    en = embed_texts(run, [pair.en for pair in run.corpus.held_out])
    run.student.train()
    return float(((en @ zh.T).argmax(1) == torch.arange(len(en))).float().mean())


@torch.no_grad()
def embed_texts(run: Run, texts: list[str], max_tokens: int = 256, batch: int = 64) -> torch.Tensor:
    """Embed texts with the student as it is; (n_texts, dim) float32."""
    tokenizer = run.tokenizers[0]
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    vectors = torch.empty(len(texts), run.student.pieces.shape[1])
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        vectors[rows] = run.student(*tokens_to_tensors(tokenizer, [texts[at] for at in rows], max_tokens))
    return vectors


def save_checkpoint(run: Run, folder: Path) -> None:
    """Write the state of the run, replacing the former checkpoint in one rename."""
    state = {"step": run.step, "student": run.student.state_dict(), "optimizer": run.optimizer.state_dict()}
    torch.save(state, folder / "checkpoint.part")
    (folder / "checkpoint.part").rename(folder / "checkpoint.pt")
    record = {"settings": asdict(run.settings), "vocabulary": asdict(run.vocabulary)}
    (folder / "run.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")


def resume(run: Run, folder: Path) -> None:
    """Take up the run where its checkpoint left it, if there is one."""
    path = folder / "checkpoint.pt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        run.student.load_state_dict(state["student"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.step = state["step"]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m rag.models.train", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with parallel, pairs and lexicon files")
    parser.add_argument("--out", type=Path, default=Path("build/encoder"), help="where checkpoints go")
    parser.add_argument("--start-from", type=Path, metavar="DIR", help="an exported encoder to go on from")
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--checkpoint-every", type=int, default=250, metavar="STEPS")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Train, or go on from the checkpoint in --out."""
    options = parse_arguments(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    settings = Settings(**{name: getattr(options, name) for name in asdict(Settings())})
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        run = prepare(options.data, settings, options.start_from)
    except RagError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    resume(run, options.out)
    train(run, options.out, options.checkpoint_every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
