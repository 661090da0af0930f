"""Write results as Markdown tables, in points of 100."""

from collections.abc import Iterable, Mapping, Sequence

from eval.judge import CITATION_HIT, CITATION_PRECISION, DECISION, FIRST_RIGHT, POINTS, RANKING_MEASURES
from eval.results import Board, Row

CATEGORIES = {
    "near": "换句话说",
    "far": "不用原词",
    "keyword": "关键词",
    "english": "英文",
    "mixed": "中英夹杂",
    "typo": "错字、繁体",
    "body": "正文细节",
    "number": "题号",
    "followup": "追问",
    "several": "一问几件事",
    "long": "很长的话",
    "adversarial": "刁难",
    "absent": "笔记没有",
    "offtopic": "闲聊",
}
MEASURES = {
    FIRST_RIGHT: "首位正确",
    DECISION: "答与不答正确",
    CITATION_HIT: "引用命中",
    CITATION_PRECISION: "引用准确",
    POINTS: "要点齐全",
}
COLUMNS = (*RANKING_MEASURES, FIRST_RIGHT, CITATION_HIT, CITATION_PRECISION, POINTS)
ABSTENTION = {"f1": "拒答 F1", "auroc": "AUROC"}
NONE = "–"


def name_category(category: str) -> str:
    """Name a category in Chinese, where it has a name."""
    return CATEGORIES.get(category, category)


def name_measure(measure: str) -> str:
    """Name a measure as the tables do."""
    return MEASURES.get(measure, measure)


def format_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def format_overall(rows: Sequence[Row]) -> str:
    """Write one row for each configuration: all measures over all queries, with 95% intervals."""
    header = ["配置", *map(name_measure, COLUMNS), *ABSTENTION.values(), "检索 p50/p99"]
    return format_rows(header, ([_title(row), *_overall_cells(row)] for row in rows))


def _overall_cells(row: Row) -> list[str]:
    overall, abstention, times = (row.summary[key] for key in ("overall", "abstention", "search_ms"))
    cells = [format_interval(overall.get(name)) for name in COLUMNS]
    cells += [f"{100 * abstention[name]:.1f}" if name in abstention else NONE for name in ABSTENTION]
    return [*cells, f"{times['p50']:.1f} / {times['p99']:.1f} ms"]


def format_categories(rows: Sequence[Row]) -> str:
    """Write one row for each configuration: nDCG@10 by category; where little is covered, how often it is right to answer or not."""
    names = list_categories(rows)
    header = ["配置", *(f"{name_category(name)} ({rows[0].summary['sizes'][name]['n']})" for name in names)]
    return format_rows(header, ([_title(row), *(_category_cell(row, name) for name in names)] for row in rows))


def list_categories(rows: Sequence[Row]) -> list[str]:
    """List the categories in the order of `CATEGORIES`, unknown ones last."""
    known = list(CATEGORIES)
    return sorted(rows[0].summary["sizes"], key=lambda name: (known.index(name) if name in known else len(known), name))


def is_mostly_covered(row: Row, category: str) -> bool:
    """Tell whether a category is about ranking, not about abstaining."""
    size = row.summary["sizes"][category]
    return bool(2 * size["n_covered"] > size["n"])


def _category_cell(row: Row, category: str) -> str:
    measure = RANKING_MEASURES[0] if is_mostly_covered(row, category) else DECISION
    value = row.summary["categories"].get(category, {}).get(measure)
    return f"{100 * value['mean']:.0f}" if value else NONE


def format_sets(rows: Sequence[Row]) -> str:
    """Write one row for each retrieval set and configuration; the set's name is the row's description."""
    header = ["检索集", "配置", "题数", *RANKING_MEASURES, "检索 p50/p99"]
    cells = []
    for row in rows:
        times, overall = row.summary["search_ms"], row.summary["overall"]
        values = [format_interval(overall.get(name)) for name in RANKING_MEASURES]
        speed = f"{times['p50']:.1f} / {times['p99']:.1f} ms"
        cells.append([row.description, f"`{row.name}`", str(row.summary["n"]), *values, speed])
    return format_rows(header, cells)


def _title(row: Row) -> str:
    return f"`{row.name}` {row.description}"


def format_interval(value: Mapping[str, float] | None) -> str:
    """Write a mean with its interval."""
    if not value:
        return NONE
    return f"{100 * value['mean']:.1f} ({100 * value['low']:.0f}–{100 * value['high']:.0f})"


def format_board(board: Board) -> str:
    """Write both tables with a line on what they show; this is what stands in the README."""
    first = board.rows[0].summary
    n, n_covered = first["n"], first["n_covered"]
    lead = (
        f"{board.split} 的 {n} 问（{n_covered} 问笔记里有答案，其余该拒答），满分 100，括号里是 95% 区间。"
        "一问可以有几题相关，所以 R@1 到不了 100；首位正确只看第一题答不答得上。"
        "引用按原文的位置判，要点齐全是引文里有该有的话；拒答 F1 和 AUROC 看分不分得清笔记里有没有答案。"
    )
    second = "按类别，nDCG@10；笔记里多半没有答案的类别（刁难、笔记没有、闲聊）是答与不答正确的百分比："
    return "\n\n".join([lead, format_overall(board.rows), second, format_categories(board.rows)])
