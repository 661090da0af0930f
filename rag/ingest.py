"""Build or update the index: `python -m rag.ingest [PATH ...]`."""

import argparse
import sys

from rag.build import BuildReport, build
from rag.config import add_options, read_settings
from rag.pipeline import load_encoder
from rag.shell import EXIT_ANSWERED, guard, tell, write
from rag.terminal import show_controls
from rag.types import Progress

SHOWN_LABELS = 12


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rag.ingest",
        description="读笔记、切题、建索引；没有改动的题不重新计算。",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="笔记的文件或文件夹（默认同 --corpus）")
    parser.add_argument(
        "--engine",
        metavar="local|ray[:HOST:PORT]",
        help="用什么来做：local 是这个进程（默认），ray 在本机开几个进程，ray:主机:端口 用 Ray 集群（RAG_ENGINE）",
    )
    add_options(parser)
    return parser.parse_args(arguments)


def make_progress() -> Progress | None:
    """Return a progress bar's callback on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar = tqdm(desc="编码", unit="段", leave=False, file=sys.stderr)

    def update(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return update


def format_report(report: BuildReport) -> str:
    """Write what was added, changed and removed."""
    lines = []
    for word, labels in (("新增", report.added), ("改动", report.changed), ("删除", report.removed)):
        if labels:
            shown = "、".join(labels[:SHOWN_LABELS]) + (" 等" if len(labels) > SHOWN_LABELS else "")
            lines.append(f"{word} {len(labels)} 题：{shown}")
    lines = lines or ["笔记没有改动"]
    lines.append(
        f"共 {report.n_documents} 个文件、{report.n_questions} 题、{report.n_passages} 段，"
        f"新编码 {report.n_embedded} 条，用时 {report.elapsed_s:.1f} 秒"
    )
    lines += [
        f"{worker.name}：{worker.n_rows} 条，{worker.n_rows / max(worker.busy_s, 1e-9):.1f} 条/秒"
        for worker in report.workers
    ]
    return "\n".join(lines)


def run(arguments: list[str] | None) -> int:
    """Do what the command line asks for."""
    settings = read_settings(parse_arguments(arguments))
    report = build(settings, load_encoder(settings), make_progress())
    for problem in report.problems:
        tell(problem)
    write(show_controls(format_report(report)))
    return EXIT_ANSWERED


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
