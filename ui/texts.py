"""What the interface says, in Chinese and in English."""

from dataclasses import dataclass
from typing import Literal, get_args

from rag.errors import UsageError

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@dataclass(frozen=True, slots=True)
class Texts:
    """The strings of one language; a tab of its own keeps further strings by `lang`."""

    lang: Language
    title: str
    tagline: str
    """With {n}: how many questions the notes have."""
    tab_chat: str
    tab_library: str
    tab_debug: str
    tab_manage: str
    ask_label: str
    ask_hint: str
    send: str
    stop: str
    new_chat: str
    chats: str
    no_chats: str
    untitled: str
    rename: str
    delete: str
    delete_sure: str
    export: str
    export_likes: str
    open_chats: str
    close: str
    mode: str
    modes: tuple[str, str]
    """For quotes, and for what a model writes; the second with {model}."""
    length: str
    lengths: tuple[str, str, str]
    """Short, normal, full."""
    welcome: str
    welcome_more: str
    no_notes: str
    examples: str
    you: str
    answer_by_quotes: str
    answer_by_model: str
    """With {model}."""
    working: str
    stopped: str
    unanswered: str
    failed: str
    """With {error}."""
    retry: str
    edit: str
    copy: str
    copied: str
    like: str
    dislike: str
    reason: str
    save: str
    cancel: str
    thanks: str
    related: str
    took: str
    """With {seconds}."""
    checks_summary: str
    """With {supported}, {partly} and {unsupported}."""
    checks: str
    verdicts: tuple[str, str, str]
    """Supported, partly, unsupported."""
    sources: str
    no_source: str
    no_citations: str
    source_of: str
    """With {label} and {title}: what a citation's button says to a screen reader."""
    stale: str
    stale_note: str
    lines: str
    pages: str
    cells: str
    """With {first} and {last}."""
    line: str
    page: str
    cell: str
    """With {first}."""
    previous: str
    following: str
    raw: str
    rendered: str
    no_text: str
    gone: str
    """With {label}."""
    raw_gone: str
    """With {file}."""
    picture_missing: str
    picture_remote: str
    picture_kind: str
    """With {name}: where a picture cannot be shown."""
    picture_untitled: str
    theme: str
    skip_to_ask: str


ZH = Texts(
    lang="zh",
    title="面经",
    tagline="{n} 道题 · 答案全部出自你的笔记",
    tab_chat="对话",
    tab_library="题库",
    tab_debug="检索",
    tab_manage="笔记",
    ask_label="写下问题",
    ask_hint="问一道面试题，回车发送",
    send="发送",
    stop="停下",
    new_chat="新对话",
    chats="对话记录",
    no_chats="还没有对话",
    untitled="新对话",
    rename="改名",
    delete="删除",
    delete_sure="删掉这个对话？删了就找不回来了。",
    export="导出",
    export_likes="导出评价",
    open_chats="对话记录",
    close="关上",
    mode="怎么答",
    modes=("摘录原文", "生成（{model}）"),
    length="篇幅",
    lengths=("简短", "适中", "全文"),
    welcome="今天想准备哪一题？",
    welcome_more="直接问，或者说题号：第16题。答案里的题号点一下，右边就是原文。",
    no_notes="还没有笔记。到「笔记」里上传几份，或者用 --corpus 指到笔记所在的文件夹。",
    examples="试试这些",
    you="你",
    answer_by_quotes="摘自笔记",
    answer_by_model="{model} 根据笔记写的",
    working="正在翻笔记……",
    stopped="停下了，上面是已经写出来的部分。",
    unanswered="这一问还没有答完。",
    failed="出错了：{error}",
    retry="再答一次",
    edit="改一改再问",
    copy="复制",
    copied="复制好了",
    like="有帮助",
    dislike="没帮助",
    reason="哪里不对？（可以不写）",
    save="保存",
    cancel="取消",
    thanks="记下了",
    related="接着问",
    took="{seconds} 秒",
    checks_summary="逐句核对：{supported} 句有依据，{partly} 句部分有依据，{unsupported} 句没有依据",
    checks="逐句核对",
    verdicts=("支持", "部分", "无依据"),
    sources="出处",
    no_source="点答案里的题号，这里就是它出自的原文。",
    no_citations="这个回答没有引用笔记。",
    source_of="出处 {label}：{title}",
    stale="原文已改",
    stale_note="这段引文在现在的笔记里找不到了：笔记后来改过。",
    lines="第 {first}–{last} 行",
    pages="第 {first}–{last} 页",
    cells="第 {first}–{last} 格",
    line="第 {first} 行",
    page="第 {first} 页",
    cell="第 {first} 格",
    previous="上一题",
    following="下一题",
    raw="打开原文",
    rendered="回到这一题",
    no_text="这一题在笔记里只有题目，还没有写答案。",
    gone="现在的笔记里没有 {label} 了。",
    raw_gone="{file}：现在的笔记里没有这个文件，或者读不了。",
    picture_missing="图片不在笔记文件夹里：{name}",
    picture_remote="网上的图片，不自动下载：{name}",
    picture_kind="这种图片显示不了：{name}",
    picture_untitled="图片",
    theme="浅色或深色",
    skip_to_ask="跳到提问框",
)

EN = Texts(
    lang="en",
    title="Mianjing",
    tagline="{n} questions from your notes",
    tab_chat="Chat",
    tab_library="Questions",
    tab_debug="Retrieval",
    tab_manage="Notes",
    ask_label="Your question",
    ask_hint="Ask an interview question, Enter sends",
    send="Send",
    stop="Stop",
    new_chat="New chat",
    chats="Chats",
    no_chats="No chats yet",
    untitled="New chat",
    rename="Rename",
    delete="Delete",
    delete_sure="Delete this chat? It cannot be brought back.",
    export="Export",
    export_likes="Export ratings",
    open_chats="Chats",
    close="Close",
    mode="Answers",
    modes=("Quoted", "Written ({model})"),
    length="Length",
    lengths=("Short", "Normal", "Full"),
    welcome="What shall we prepare today?",
    welcome_more="Ask away, or name a number: 第16题. Click a number in an answer to read it in the notes.",
    no_notes="There are no notes yet: upload some under “Notes”, or point --corpus at their folder.",
    examples="Try these",
    you="You",
    answer_by_quotes="Quoted from the notes",
    answer_by_model="Written by {model} from the notes",
    working="Looking through the notes…",
    stopped="Stopped; this is what had been written.",
    unanswered="This question was not answered to the end.",
    failed="Something went wrong: {error}",
    retry="Answer again",
    edit="Edit and ask again",
    copy="Copy",
    copied="Copied",
    like="Helpful",
    dislike="Not helpful",
    reason="What was wrong? (optional)",
    save="Save",
    cancel="Cancel",
    thanks="Noted",
    related="Ask next",
    took="{seconds} s",
    checks_summary="Sentence by sentence: {supported} supported, {partly} partly, {unsupported} not",
    checks="Sentence by sentence",
    verdicts=("Supported", "Partly", "Unsupported"),
    sources="Source",
    no_source="Click a number in an answer: the notes it comes from open here.",
    no_citations="This answer quotes nothing from the notes.",
    source_of="Source {label}: {title}",
    stale="Changed since",
    stale_note="This quote is no longer in the notes: they have changed since.",
    lines="Lines {first}–{last}",
    pages="Pages {first}–{last}",
    cells="Cells {first}–{last}",
    line="Line {first}",
    page="Page {first}",
    cell="Cell {first}",
    previous="Previous",
    following="Next",
    raw="Open the file",
    rendered="Back to the question",
    no_text="The notes have this question, but no answer to it yet.",
    gone="The notes have no {label} any more.",
    raw_gone="{file}: not among the notes now, or not readable.",
    picture_missing="Picture not in the notes folder: {name}",
    picture_remote="Picture on the web, not fetched: {name}",
    picture_kind="This kind of picture cannot be shown: {name}",
    picture_untitled="picture",
    theme="Light or dark",
    skip_to_ask="Skip to the question box",
)

_TEXTS: dict[str, Texts] = {texts.lang: texts for texts in (ZH, EN)}


def texts_for(language: str) -> Texts:
    """Return the strings of a language.

    :raises UsageError: when there are none in it.
    """
    if language not in _TEXTS:
        raise UsageError(f"--lang：要 {'、'.join(LANGUAGES)} 中的一个，写的却是 {language!r}")
    return _TEXTS[language]
