"""The verifier, on the real notes: verdicts with reasons, labels put right, Markdown left alone."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.adapters.hf import HfEntailment
from rag.errors import EncoderError
from rag.pipeline import Notes
from rag.types import Check, Passage
from rag.verification.claims import FLAG, Outcome, find_marks, repair, split_claims
from rag.verification.facts import Number, fold, read_numbers
from rag.verification.polarity import find_negations
from rag.verify import Verifier

RETRIEVED = ("Q4", "Q18", "Q22", "Q25", "Q33")


@pytest.fixture(scope="module")
def sources(notes: Notes) -> Mapping[str, Sequence[Passage]]:
    return {q.label: notes.passages[q.id] for q in notes.questions if q.label in RETRIEVED}


@pytest.fixture(scope="module")
def verifier(notes: Notes) -> Verifier:
    return Verifier(notes.encoder)


def check_one(verifier: Verifier, sources: Mapping[str, Sequence[Passage]], text: str) -> tuple[str, Check]:
    verified = verifier.check(text, sources)
    assert len(verified.checks) == 1
    return verified.text, verified.checks[0]


@pytest.mark.parametrize(
    "sentence",
    [
        "除以 dk 的平方根，是为了让方差变为 1[Q4]。",
        "维度很大时点积会很大，softmax 的梯度就很小，所以要缩放[Q4]。",
        "Decoder 有两层 mha，encoder 有一层[Q18]。",
        "八成的 token 换成 [MASK]，一成换成随机的 token[Q25]。",
        "GPT 不是双向的[Q22]。",
        "残差连接有效地防止了梯度消失，网络才能做得更深[Q33]。",
    ],
)
def test_what_the_notes_say_is_supported_and_stays_as_it_is(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]], sentence: str
) -> None:
    text, check = check_one(verifier, sources, sentence)
    assert (check.verdict, check.reason, text) == ("supported", "", sentence)


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Decoder 有三层 mha，encoder 有一层[Q18]。", "笔记里写的是 2 层，这里写成了 3 层"),
        ("70% 的 token 会被替换为 [MASK] token[Q25]。", "笔记里写的是 80%，这里写成了 70%"),
        ("Q 和 K 的矩阵乘积的方差为 0[Q4]。", "笔记里方差是 1，这里写成了 0"),
        ("GPT 是双向的[Q22]。", "笔记说的是“不是双向的”，这里说反了"),
        ("不需要对点积进行缩放[Q4]。", "这里说“不需要对点积进行缩放”，笔记说的正相反"),
        ("当维度很大时，点积结果会很小[Q4]。", "笔记说的是“很大”，这里说“很小”"),
        ("GPT 在训练中加入了下一个句子预测任务[Q22]。", "笔记里说的是 BERT，这里说成了 GPT"),
        ("BERT 使用 Transformer-decoder 来编码输入[Q33]。", "笔记里说的是 encoder，这里说成了 decoder"),
    ],
)
def test_what_the_notes_say_otherwise_is_flagged_with_what_they_say(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]], sentence: str, reason: str
) -> None:
    text, check = check_one(verifier, sources, sentence)
    assert (check.verdict, check.labels, check.reason) == ("unsupported", (), reason)
    assert text == re.sub(r"\[Q\d+\]", "", sentence) + FLAG


def test_what_the_notes_do_not_say_is_flagged_and_loses_its_label(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]]
) -> None:
    text, check = check_one(verifier, sources, "LSTM 用三个门来控制记忆 [Q4]。")
    assert (check.verdict, check.labels, check.reason) == ("unsupported", (), "引用的 Q4 里没有讲这个")
    assert text == "LSTM 用三个门来控制记忆。" + FLAG


def test_a_sentence_half_of_which_is_new_is_partly_supported(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]]
) -> None:
    text, check = check_one(verifier, sources, "Decoder 有两层 mha，隐藏层的激活函数用的是 GELU[Q18]。")
    assert (check.verdict, check.labels) == ("partly", ("Q18",))
    assert check.reason == "笔记里没有讲“隐藏层的激活函数用的是 GELU”"
    assert FLAG not in text


@pytest.mark.parametrize(
    "cited", ["[Q22]", "【Q22】", "（Q22）", "[Q99]", "[Q22, Q99]", "[Q22][Q33]", "（见 Q22）", ""]
)
def test_a_wrong_label_in_any_form_is_replaced_and_a_missing_one_added(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]], cited: str
) -> None:
    text, check = check_one(verifier, sources, f"方差变为1，避免softmax输出onehot从而梯度消失{cited}。")
    assert (check.verdict, check.labels) == ("supported", ("Q4",))
    assert text == "方差变为1，避免softmax输出onehot从而梯度消失[Q4]。"


def test_a_label_at_the_end_of_a_paragraph_covers_its_sentences(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]]
) -> None:
    answer = "当维度很大时，点积结果会很大。这会导致 softmax 的梯度很小。为了减轻这个影响，对点积进行缩放 [Q4]。"
    verified = verifier.check(answer, sources)
    assert verified.text == answer
    assert [(check.verdict, check.labels) for check in verified.checks] == [("supported", ("Q4",))] * 3


def test_two_questions_together_can_support_a_sentence(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]]
) -> None:
    answer = "GPT不是双向的，没有masking的概念，Decoder有两层mha，encoder有一层mha。"
    text, check = check_one(verifier, sources, answer)
    assert (check.verdict, set(check.labels)) == ("supported", {"Q22", "Q18"})
    assert text.count("[Q22]") == text.count("[Q18]") == 1


def test_without_sources_nothing_is_supported(verifier: Verifier) -> None:
    verified = verifier.check("GPT 不是双向的[Q22]。", {})
    assert verified.text == f"GPT 不是双向的。{FLAG}"
    assert verified.checks[0].reason == "没有可对照的笔记"


def test_an_answer_that_claims_nothing_is_left_alone(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]]
) -> None:
    answer = "## 缩放 [Q4]\n\n总的来说，下面分三点说明：\n\n你想问哪一点？笔记里没有讲到它的参数量。\n\n```python\nx = q[Q4]\n```\n"
    verified = verifier.check(answer, sources)
    assert (verified.text, verified.checks) == (answer, ())


ANSWER = """## 两层注意力

- **解码器**：Decoder 有两层 mha [Q18]。
  1. `x = [Q9]; y` 的方差是 $d_k; [Q9]$，GPT 不是双向的【Q22】。

| 模型 | 双向 |
|:--|--:|
| GPT | GPT 不是双向的 [Q4] |

```
Decoder 有九层。[Q9]
```

$$
a = b [Q9]
$$

> BERT 的 encoder 有九层 mha。看 [论文](http://a.b/[Q9]) 吧

[Q77]
"""


def test_repair_only_puts_labels_and_flags_in_and_takes_labels_out(
    verifier: Verifier, sources: Mapping[str, Sequence[Passage]]
) -> None:
    text = verifier.check(ANSWER, sources).text
    strip = re.compile(r"[ ]?(?:\[Q\d+\]|【Q\d+】)|" + FLAG)
    assert strip.sub("", text) == strip.sub("", ANSWER)
    for kept in ("`x = [Q9]; y`", "$d_k; [Q9]$", "Decoder 有九层。[Q9]\n```", "a = b [Q9]", "(http://a.b/[Q9])"):
        assert kept in text
    assert "| GPT | GPT 不是双向的 [Q22] |" in text
    assert "[Q77]" not in text


@given(st.text(alphabet="Q4[]【】(),。；！a \n|-`$*#0一不", max_size=60))
def test_repair_with_nothing_to_change_changes_nothing_but_strange_labels(text: str) -> None:
    claims = split_claims(text, {"Q4"})
    outcomes = [Outcome(claim.labels) for claim in claims]
    once = repair(text, claims, outcomes, {"Q4": 1})
    strip = re.compile(r"[ \t]*[\[【(（][^\[\]【】()（）\n]*[\]】)）]")
    assert strip.sub("", once) == strip.sub("", text)


def test_marks_are_told_from_other_brackets() -> None:
    line = "[MASK] 和 [4,768]、[1]、(Q4)、【Q4、Q9】、[Q2.16.20]、[notes:Q1b]、[什么是注意力]、[Q4](http://a)"
    names = [names for _, _, names in find_marks(line, {"什么是注意力"})]
    assert names == [("Q4",), ("Q4", "Q9"), ("Q2.16.20",), ("notes:Q1b",), ("什么是注意力",)]


def test_a_label_after_the_full_stop_belongs_to_the_sentence_before_it() -> None:
    claims = split_claims("方差会变大。[Q4] 梯度会变小。[Q9]", set())
    assert [(claim.text, claim.labels) for claim in claims] == [("方差会变大。", ("Q4",)), ("梯度会变小。", ("Q9",))]


def test_numbers_are_read_whatever_they_are_written_in() -> None:
    assert fold("八成、百分之十五、一半、十二层、三分之一") == "80%、15%、50%、12层、1/3"
    numbers = list(read_numbers(fold("12 layers、两个头、fp16、1.5% 和 (4, 768)")))
    assert numbers[:2] == [Number("12", "层"), Number("2", "个头")]
    assert [number.value for number in numbers[2:]] == ["1.5", "4", "768"]


@pytest.mark.parametrize(
    ("clause", "n"), [("这并不必要", 1), ("gpt 不是双向的", 1), ("不仅快", 0), ("方差非常大", 0), ("效果差不多", 0)]
)
def test_words_that_only_look_like_negations_negate_nothing(clause: str, n: int) -> None:
    assert len(find_negations(clause)) == n


class Told:
    """An entailment model that says one thing of everything, and remembers what it was asked."""

    def __init__(self, *chances: float) -> None:
        self.chances, self.asked = chances, [("", "")]

    def score(self, premises: Sequence[str], hypotheses: Sequence[str]) -> npt.NDArray[np.float32]:
        self.asked += zip(premises, hypotheses, strict=True)
        return np.array([self.chances] * len(premises), dtype=np.float32)


def test_an_entailment_model_that_is_sure_has_the_last_word(
    notes: Notes, sources: Mapping[str, Sequence[Passage]]
) -> None:
    model = Told(0.05, 0.05, 0.9)
    _, check = check_one(Verifier(notes.encoder, model), sources, "GPT 不是双向的[Q22]。")
    assert (check.verdict, check.reason) == ("unsupported", "笔记说的跟这里相反")
    assert any("GPT不是双向的" in premise and hypothesis == "GPT 不是双向的。" for premise, hypothesis in model.asked)
    _, check = check_one(Verifier(notes.encoder, Told(0.9, 0.1, 0.0)), sources, "GPT 一次只看一边[Q22]。")
    assert (check.verdict, check.labels) == ("supported", ("Q22",))


def save_classifier(folder: Path, names: Sequence[str]) -> Path:
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    torch.manual_seed(3)
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "[PAD]": 1, "gpt": 2, "bert": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(
        vocab_size=4, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)}, **sizes
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_the_outputs_of_an_entailment_model_are_put_in_order_by_their_names(tmp_path: Path) -> None:
    straight = HfEntailment(str(save_classifier(tmp_path / "a", ["entailment", "neutral", "contradiction"])))
    turned = HfEntailment(str(save_classifier(tmp_path / "b", ["CONTRADICTION", "ENTAILMENT", "NEUTRAL"])))
    first, second = (model.score(["gpt", "bert gpt"], ["bert", "gpt"]) for model in (straight, turned))
    assert first.shape == (2, 3)
    assert first.dtype == np.float32
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(second, first[:, [1, 2, 0]], atol=1e-5)


def test_a_model_with_other_outputs_is_refused_by_name(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path, ["LABEL_0", "LABEL_1"])
    with pytest.raises(EncoderError, match="entailment、neutral、contradiction，它的输出却叫 LABEL_0、LABEL_1"):
        HfEntailment(str(folder))
