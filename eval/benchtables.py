"""Write and draw what `python -m eval.bench` measured."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.plots import find_font, finish, render
from eval.readme import fill_section
from eval.rivals import OURS
from eval.scale import ScaleRow, format_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report = dict[str, Any]
SECTION = "bench"
"""Of the README."""
OWN = f"mianjing{OURS}"
NAMES = {
    OWN: "**面经**（自带编码器）",
    "llamaindex": "LlamaIndex 入门写法（all-MiniLM）",
    "langchain": "LangChain（all-MiniLM）",
    "txtai": "txtai（all-MiniLM）",
    f"llamaindex{OURS}": "LlamaIndex + 我们的编码器",
    f"langchain{OURS}": "LangChain + 我们的编码器",
    f"txtai{OURS}": "txtai + 我们的编码器",
}
COLOURS = ("#1f4e9c", "#e07a5f")


def read_rows(report: Report) -> list[ScaleRow]:
    """Read the sizes that were measured."""
    names = [field.name for field in fields(ScaleRow)]
    return [ScaleRow(**{name: row[name] for name in names}) for row in report["scale"]]


def compare(report: Report, system: str, phase: str, unit: str) -> float:
    """Return how many times more another system needed than we did."""
    return float(report["systems"][system][phase][unit] / report["systems"][OWN][phase][unit])


def format_systems(report: Report) -> str:
    """Write the systems as a table: absolute figures, and the ratio to ours behind them."""
    lines = [
        "| | 冷启动问一句 | 内存峰值 | 热的一问 | 建索引 | 大八倍的笔记建索引 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in report["systems"].items():
        cells = [
            (f"{row['cold']['seconds']:.2f} s", compare(report, name, "cold", "seconds")),
            (f"{row['cold']['peak_mb']:,.0f} MB", compare(report, name, "cold", "peak_mb")),
            (f"{row['warm_ms']:.1f} ms", row["warm_ms"] / report["systems"][OWN]["warm_ms"]),
            (f"{row['ingest']['seconds']:.1f} s", compare(report, name, "ingest", "seconds")),
            (f"{row['ingest_many']['seconds']:.1f} s", compare(report, name, "ingest_many", "seconds")),
        ]
        shown = [text if name == OWN else f"{text}（{ratio:.1f}×）" for text, ratio in cells]
        lines.append(f"| {NAMES[name]} | {' | '.join(shown)} |")
    return "\n".join(lines)


def format_own(report: Report) -> str:
    """Write our own figures as a table with what was wanted."""
    cold, warm, encoder = report["cold"], report["warm"], report["encoder"]
    pairs = encoder["pairs"]
    ours, ratios = sorted(a for a, _ in pairs), sorted(a / b for a, b in pairs)
    rows = [
        ("冷启动问一句 / 只加载同样的库和模型", f"{cold['ratio']:.2f}×", "至多 1.3×"),
        ("冷启动问一句：时间、内存", f"{cold['ask']['seconds']:.2f} s，{cold['ask']['peak_mb']:.0f} MB", "200 MB 以内"),
        ("热的一问：第一段话 p50 / p99", f"{warm['first_p50_ms']:.1f} / {warm['first_p99_ms']:.1f} ms", "至多 20 ms"),
        ("热的一问：整个答案 p50 / p99", f"{warm['whole_p50_ms']:.1f} / {warm['whole_p99_ms']:.1f} ms", ""),
        ("编码器：加载", f"{encoder['load_ms']:.0f} ms", "至多 100 ms"),
        ("编码器：一个问题", f"{encoder['query_ms']:.1f} ms", "至多 4 ms"),
        ("编码器：段落", f"每秒 {ours[len(ours) // 2]:.0f} 段", ""),
        ("编码器 / HuggingFaceEmbedding（all-MiniLM）", f"{ratios[len(ratios) // 2]:.1f}×", "至少 3×"),
    ]
    return "\n".join(["| 量什么 | 量得 | 要求 |", "|---|---:|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def format_load(rows: Sequence[Report]) -> str:
    """Write how many clients at once were served how well."""
    lines = ["| 同时来问 | 问 | 丢失 | 每秒 | p50 | p99 |", "|---:|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {row['clients']} | {row['requests']} | {row['lost']} | {row['per_s']:.0f} "
        f"| {row['p50_ms']:.0f} ms | {row['p99_ms']:.0f} ms |"
        for row in rows
    ]
    return "\n".join(lines)


def format_report(report: Report) -> str:
    """Write all tables."""
    rows = read_rows(report)
    parts = [format_own(report), format_systems(report), format_load(report["load"])]
    return "\n\n".join([*parts, format_rows(rows)] if rows else parts)


def fill_readme(readme: Path, report: Report) -> None:
    """Put the tables into the README."""
    fill_section(readme, SECTION, format_report(report))


def draw(report: Report) -> bytes:
    """Draw cold questions of all systems, and how a question's time grows with the notes; PNG."""
    return render(11, 4.2, _draw, report)


def _draw(figure: "Figure", report: Report) -> None:
    left, right = figure.subplots(1, 2)
    chinese = bool(find_font())
    names = list(report["systems"])[::-1]
    seconds = [report["systems"][name]["cold"]["seconds"] for name in names]
    left.barh(range(len(names)), seconds, color=[COLOURS[name != OWN] for name in names])
    for place, value in enumerate(seconds):
        left.annotate(f" {value:.2f} s", (value, place), va="center", fontsize=8)
    left.set_yticks(
        range(len(names)), [NAMES[name].replace("*", "") if chinese else name for name in names], fontsize=8
    )
    left.margins(x=0.15)
    finish(left, "冷启动问一句" if chinese else "one question, cold")
    rows = read_rows(report)
    sizes = [row.n_passages for row in rows]
    for name, values in (("p50", [row.p50_ms for row in rows]), ("p99", [row.p99_ms for row in rows])):
        right.plot(sizes, values, marker="o", label=name, color=COLOURS[name == "p99"])
    right.set_xscale("log")
    right.set_ylim(bottom=0)
    right.set_xlabel("段落" if chinese else "passages")
    right.set_ylabel("ms")
    right.legend(frameon=False)
    finish(right, "检索一问的时间" if chinese else "search, one query")
