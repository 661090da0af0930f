"""Draw the results: bars by category, risk-coverage curves, speed. Figures only; files are `report.py`'s."""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from eval.abstention import trace_risk
from eval.judge import RANKING_MEASURES, Record
from eval.results import Row
from eval.tables import is_mostly_covered, list_categories, name_category

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAIN = ("llamaindex-bm25", "llamaindex", "bm25", "dense", "learned", "full")
"""Configurations that are drawn, where the board has them."""
COLOURS = ("#c7c7c7", "#8c8c8c", "#e3b23c", "#e07a5f", "#6fa8dc", "#1f4e9c")
CJK_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
             "Microsoft YaHei", "SimHei", "PingFang SC", "Heiti SC", "Droid Sans Fallback")  # fmt: skip
DPI = 130
WORDS = {
    "share answered": "作答的比例（最有把握的先答）",
    "share wrong": "其中答错的比例",
    "risk and coverage": "敢答多少，错多少",
    "milliseconds": "毫秒（对数）",
    "search, one query": "检索一问的时间",
    "by category": "nDCG@10，按类别（竖线是 95% 区间）",
}
"""English label to the Chinese one, which is drawn where a font has the characters."""


@cache
def find_font() -> str:
    """Return the name of an installed font with Chinese characters, or an empty text."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in CJK_FONTS if name in installed), "")


def _say(label: str) -> str:
    return WORDS[label] if find_font() else label


def _category_label(category: str) -> str:
    return name_category(category) if find_font() else category


def render(width: float, height: float, draw: Any, *data: Any) -> bytes:
    """Draw on a fresh figure and return it as PNG, dated nowhere so that equal results make equal files."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    families = [name for name in (find_font(), "DejaVu Sans") if name]
    with matplotlib.rc_context({"font.family": families, "axes.unicode_minus": False}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, *data)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def select_main(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Return the rows to draw, in order, each with its colour."""
    by_name = {row.name: row for row in rows}
    return [(by_name[name], colour) for name, colour in zip(MAIN, COLOURS, strict=True) if name in by_name]


def draw_categories(rows: Sequence[Row]) -> bytes:
    """Draw nDCG@10 of the main configurations by category, with intervals; PNG."""
    return render(11, 4.2, _draw_categories, select_main(rows))


def _draw_categories(figure: "Figure", chosen: Sequence[tuple[Row, str]]) -> None:
    axes: Axes = figure.subplots()
    measure = RANKING_MEASURES[0]
    rows = [row for row, _ in chosen]
    names = [name for name in list_categories(rows) if is_mostly_covered(rows[0], name)]
    width = 0.84 / len(chosen)
    for place, (row, colour) in enumerate(chosen):
        found = [(at, row.summary["categories"].get(name, {}).get(measure)) for at, name in enumerate(names)]
        bars = [(at - 0.42 + width * (place + 0.5), value) for at, value in found if value]
        heights = [100 * value["mean"] for _, value in bars]
        errors = [
            [100 * (value["mean"] - value["low"]) for _, value in bars],
            [100 * (value["high"] - value["mean"]) for _, value in bars],
        ]
        style = {"elinewidth": 0.7, "ecolor": "#444444"}
        axes.bar([x for x, _ in bars], heights, width, yerr=errors, color=colour, label=row.name, error_kw=style)
    axes.set_xticks(range(len(names)), [_category_label(name) for name in names])
    axes.set_ylim(0, 105)
    finish(axes, _say("by category"))
    axes.legend(ncols=len(chosen), loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False, fontsize=8)


def draw_risk(rows: Sequence[Row], records: Mapping[str, Sequence[Record]]) -> bytes:
    """Draw risk-coverage curves of the main configurations; PNG.

    :param records: configuration name to its records.
    """
    chosen = [(row, colour) for row, colour in select_main(rows) if row.name in records]
    return render(5.4, 4.2, _draw_risk, chosen, records)


def _draw_risk(figure: "Figure", chosen: Sequence[tuple[Row, str]], records: Mapping[str, Sequence[Record]]) -> None:
    axes: Axes = figure.subplots()
    for row, colour in chosen:
        own = records[row.name]
        points = trace_risk([record.confidence for record in own], [record.loss for record in own])
        label = f"{row.name} ({row.summary['abstention'].get('aurc', 0):.3f})"
        axes.plot([100 * x for x, _ in points], [100 * y for _, y in points], color=colour, label=label, linewidth=1.8)
    axes.set_xlim(0, 100)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"{_say('share answered')} %")
    axes.set_ylabel(f"{_say('share wrong')} %")
    finish(axes, _say("risk and coverage"))
    axes.legend(frameon=False, fontsize=8)


def draw_times(rows: Sequence[Row]) -> bytes:
    """Draw p50 and p99 of the main configurations' search time; PNG."""
    return render(5.4, 4.2, _draw_times, select_main(rows))


def _draw_times(figure: "Figure", chosen: Sequence[tuple[Row, str]]) -> None:
    axes: Axes = figure.subplots()
    for place, (row, colour) in enumerate(reversed(chosen)):
        times = row.summary["search_ms"]
        axes.barh(place, times["p50"], color=colour)
        axes.plot([times["p50"], times["p99"]], [place, place], color="#444444", linewidth=1, marker="|")
        axes.annotate(f" {times['p50']:.1f} / {times['p99']:.1f}", (times["p99"], place), va="center", fontsize=8)
    axes.set_yticks(range(len(chosen)), [row.name for row, _ in reversed(chosen)])
    axes.set_xscale("log")
    axes.margins(x=0.25)
    axes.set_xlabel(f"{_say('milliseconds')}, p50 / p99")
    finish(axes, _say("search, one query"))


def finish(axes: "Axes", title: str) -> None:
    """Give a drawing its title and quiet surroundings."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
