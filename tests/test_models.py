"""The recipe, end to end on a toy set: vocabulary, training, resuming, export."""

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rag.embed import ShippedEncoder
from rag.errors import RagError
from rag.models import export, train
from rag.models.batches import WAYS, card_batches, find_homophones, make_retell, misspell
from rag.models.data import CARDS, is_held_out, read_cards, read_corpus
from rag.models.plain import PLAIN, PlainWords, read_plain_words
from rag.models.student import tokens_to_tensors

TERMS = {
    "注意力": "attention",
    "位置编码": "positional encoding",
    "残差连接": "residual connection",
    "学习率": "learning rate",
    "归一化": "normalization",
}
FRAMES = {
    "{}是什么？": "What is {}?",
    "{}有什么作用": "the use of {}",
    "我们来看{}的计算过程": "the computation of {}",
    "训练时要用到{}": "{} is used in training",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a toy set in the layout of the real one."""
    folder = tmp_path_factory.mktemp("data")
    aligned = [
        {"zh": zh.format(a), "en": en.format(b), "kind": "sentence", "src": "toy", "licence": "MIT", "ai": at % 2 == 0}
        for at, (a, b) in enumerate(TERMS.items())
        for zh, en in FRAMES.items()
    ]
    sections = [
        {
            "q": f"{a}是什么",
            "ctx": "面试题",
            "d": f"{a}是深度学习里常见的概念。它和{b}有关。我们常常在模型里用到它。",
            "src": "toy",
        }
        for a in TERMS
        for b in TERMS
    ]
    for name, rows in (("parallel", aligned * 3), ("pairs_zh", sections * 2)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "lexicon.tsv").write_text("".join(f"{a}\t{b}\t9\t3\tmined\n" for a, b in TERMS.items()), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train four steps, then two more from the checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    common = [
        "--data",
        str(data),
        "--out",
        str(folder),
        "--batch",
        "8",
        "--section-batch",
        "4",
        "--checkpoint-every",
        "2",
    ]
    assert train.main([*common, "--steps", "4"]) == 0
    assert train.main([*common, "--steps", "6"]) == 0
    return folder


def test_training_goes_on_from_its_checkpoint_to_the_last_step(trained: Path) -> None:
    assert torch.load(trained / "checkpoint.pt", weights_only=True)["step"] == 6


def test_words_of_the_lexicon_become_tokens_that_start_near_their_translation(data: Path) -> None:
    run = train.prepare(data, train.Settings())
    assert run.tokenizers[0].encode("注意力和学习率").tokens == ["[CLS]", "注意力", "##和", "##学习率", "[SEP]"]
    assert run.tokenizers[1].encode("学习率").tokens == ["[CLS]", "学", "##习", "##率", "[SEP]"]
    table = run.student.word_table()
    row = run.tokenizers[0].encode("学习率", add_special_tokens=False).ids[0]
    near = table[run.tokenizers[0].token_to_id("learning")]
    far = table[run.tokenizers[0].token_to_id("residual")]
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(table[row], near, dim=0) > cosine(table[row], far, dim=0) + 0.2


def test_a_simplified_character_and_its_traditional_form_share_a_row(data: Path) -> None:
    run = train.prepare(data, train.Settings())
    assert run.tokenizers[1].encode("學習").ids == run.tokenizers[1].encode("学习").ids


def test_a_batch_of_unlike_lengths_gives_the_vectors_of_its_texts_alone(data: Path) -> None:
    run = train.prepare(data, train.Settings())
    texts = [
        "位置编码有什么作用，和学习率有关吗" * 3,
        "注意力",
        "the residual connection",
        "归一化" * 20,
        "学习率",
        "BERT",
    ]
    with torch.no_grad():
        together = run.student(*tokens_to_tensors(run.tokenizers[0], texts, 64))
        alone = torch.cat([run.student(*tokens_to_tensors(run.tokenizers[0], [text], 64)) for text in texts])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_exported_files_give_the_vectors_of_the_training_code(trained: Path, tmp_path: Path) -> None:
    student, vocabulary, provenance = export.load_checkpoint(trained)
    texts = [
        "注意力是什么？",
        "位置编码有什么作用，和学习率有关吗",
        "the residual connection",
        "训练的时候要用到归一化和残差连接，这样学习率可以设得大一些，模型也更容易收敛。",
    ]
    tokenizer = vocabulary.tokenizer()
    with torch.no_grad():
        expected = np.concatenate([student(*tokens_to_tensors(tokenizer, [text], 256)).numpy() for text in texts])
    onnx.save(export.build_graph(student), tmp_path / "plain.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "plain.onnx")
    plain = []
    for text in texts:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        plain.append(session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
    assert (np.stack(plain) * expected).sum(axis=1).min() >= 0.999
    export.export(student, vocabulary, tmp_path / "shipped", provenance)
    quantised = ShippedEncoder(tmp_path / "shipped").embed_passages(texts)
    assert (quantised * expected).sum(axis=1).min() >= 0.98


def test_training_can_go_on_from_exported_files(data: Path, trained: Path, tmp_path: Path) -> None:
    student, vocabulary, provenance = export.load_checkpoint(trained)
    export.export(student, vocabulary, tmp_path, provenance)
    fresh = train.prepare(data, train.Settings()).student
    again = train.prepare(data, train.Settings(), start_from=tmp_path).student
    ids, mask = tokens_to_tensors(vocabulary.tokenizer(), ["位置编码有什么作用"], 64)
    with torch.no_grad():
        expected = student.eval()(ids, mask)
        assert float((again.eval()(ids, mask) * expected).sum()) >= 0.98
        assert float((fresh.eval()(ids, mask) * expected).sum()) < 0.98


def test_weights_can_be_mixed_with_those_the_run_started_from(trained: Path) -> None:
    one, _, _ = export.load_checkpoint(trained)
    other, _, _ = export.load_checkpoint(trained)
    with torch.no_grad():
        other.pieces.add_(1.0)
    before = one.pieces.detach().clone()
    export.mix_weights(one, other, 0.25)
    torch.testing.assert_close(one.pieces, before + 0.25)


def test_exported_files_of_another_vocabulary_are_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])), tmp_path / "model.onnx")
    with pytest.raises(RagError, match=r"tokenizer\.json: made from other data"):
        train.prepare(data, train.Settings(), start_from=tmp_path)
    with pytest.raises(RagError, match="no exported encoder to start from"):
        train.prepare(data, train.Settings(), start_from=tmp_path / "nowhere")


def test_a_query_is_misspelt_by_a_character_of_the_same_sound_or_a_lost_letter() -> None:
    homophones = find_homophones("码马力利")
    rng = random.Random(1)
    assert {misspell("码", homophones, rng) for _ in range(9)} == {"马"}
    assert misspell("没", homophones, rng) == "没"
    seen = {misspell("attention", homophones, rng) for _ in range(99)}
    assert "atention" in seen
    assert all(len(text) in (8, 9) for text in seen)


def test_terms_are_said_in_plain_words_where_a_chinese_question_names_them() -> None:
    plain = PlainWords({"decoder": ["往外吐字的那一半"], "解码器": ["往外吐字的那一半"], "cls": ["句首的占位符"]})
    said = Counter(plain.say("Decoder和解码器是什么", random.Random(seed)) for seed in range(99))
    assert set(said) == {
        "Decoder和解码器是什么",
        "往外吐字的那一半和解码器是什么",
        "Decoder和往外吐字的那一半是什么",
        "往外吐字的那一半和往外吐字的那一半是什么",
    }
    assert said.most_common(1)[0][0] == "往外吐字的那一半和往外吐字的那一半是什么"
    for stays in ("what does the decoder do", "encoder-decoders 怎么样", "没有术语"):
        assert {plain.say(stays, random.Random(seed)) for seed in range(9)} == {stays}


def test_some_questions_are_retold_and_some_stay() -> None:
    retell = make_retell(PlainWords({"解码器": ["那一半"]}), {"那": ["哪"]})
    seen = {retell("解码器呢", random.Random(seed)) for seed in range(99)}
    assert seen >= {"解码器呢", "那一半呢", "哪一半呢"}


def test_every_term_has_plain_words_that_do_not_name_it() -> None:
    rows = [json.loads(line) for line in PLAIN.read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 100
    assert min(len(set(row["plain"])) for row in rows) >= 3
    assert [
        (row["names"][0], said) for row in rows for said in row["plain"] if any(n in said for n in row["names"])
    ] == []
    assert read_plain_words().say("解码器", random.Random(1)) != "解码器"


def test_a_line_that_is_no_term_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain.jsonl").write_text('{"names": ["a"]}\n', encoding="utf-8")
    with pytest.raises(RagError, match=r"plain\.jsonl:1: not a term"):
        read_plain_words(tmp_path / "plain.jsonl")


def test_held_out_pairs_are_not_trained_on(data: Path) -> None:
    corpus = read_corpus(data, seed=1)
    trained_on = {pair.en for pair in corpus.aligned}
    assert not trained_on & {pair.en for pair in corpus.held_out}


def test_a_missing_data_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RagError, match=r"parallel\.jsonl\.gz: training file not found"):
        read_corpus(tmp_path, seed=1)
    assert train.main(["--data", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "parallel.jsonl.gz" in capsys.readouterr().err


def test_every_card_is_asked_for_in_all_ways_and_no_title_comes_twice() -> None:
    cards = [card for group in read_cards(CARDS) for card in group]
    ways = {"near", "far", "keywords", "english", "mixed", "detail", "spoken"}
    assert [card.title for card in cards if set(card.asked) != ways or not all(card.asked.values())] == []
    assert len({(card.group, card.title) for card in cards}) == len(cards) > 900


def test_some_groups_of_cards_are_held_out_and_never_trained_on(data: Path) -> None:
    groups = read_cards(CARDS)
    held_out = {group[0].group for group in groups if is_held_out(group)}
    assert 5 <= len(held_out) <= len(groups) / 4
    trained_on = {card.group for group in read_corpus(data, seed=1).cards for card in group}
    assert trained_on == {group[0].group for group in groups} - held_out


def test_a_batch_of_cards_pairs_questions_with_the_cards_that_answer_them() -> None:
    groups = read_cards(CARDS)[:6]
    of_question = {text: card for group in groups for card in group for texts in card.asked.values() for text in texts}
    batches = card_batches(groups, make_retell(PlainWords({}), {}), 16, random.Random(1))
    for _, batch in zip(range(12), batches, strict=False):
        assert {len(asked) for asked, _ in batch} == {WAYS}
        found = [(of_question[query], text) for asked, text in batch for query in asked if query in of_question]
        assert len(found) >= 8 * WAYS  # the rest is misspelt
        assert [text for card, text in found if text not in (card.title, card.body, f"{card.title}\n{card.body}")] == []


def test_a_line_that_is_no_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text('{"group": "a", "title": "b"}\n', encoding="utf-8")
    with pytest.raises(RagError, match=r"broken\.jsonl:1: not a card"):
        read_cards(tmp_path)
