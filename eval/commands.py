"""The commands of `python -m eval`: a table of names, options and functions."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval import starter
from eval.beir import choose_queries, find_sets, open_set, run_set
from eval.compare import compare_files, format_differences
from eval.configurations import CONFIGURATIONS, find_configuration
from eval.fit import WEIGHTS, fit
from eval.observe import Workbench, observe_search, open_workbench
from eval.queries import OWN, SPLITS, load_beir
from eval.report import fill_readme, open_board, read_records, write_report
from eval.results import BOARD, COMMITTED, OUT, Board, Result, Row, make_board, slim, write_board, write_result
from eval.scale import format_rows, measure
from eval.tables import format_board, format_sets
from eval.verdict_tables import add_verify, run_verify
from rag.config import add_options, read_settings
from rag.pipeline import load_encoder
from rag.shell import EXIT_ANSWERED, tell, write
from rag.types import LENGTHS, Length

ROOT = Path(__file__).parent.parent
STARTER_ENCODER = "all-MiniLM-L6-v2"
DEFAULT_LENGTH: Length = "normal"
LENGTH_NAMES: Mapping[Length, str] = {"short": "答得短", "normal": "", "full": "整题"}
BEIR_CONFIGURATIONS = ("bm25", "dense", "full")


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand."""

    name: str
    help: str
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]


def _add_out(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="结果写到哪里（默认 build/eval）")


def _add_notes(parser: ArgumentParser) -> None:
    add_options(parser)
    parser.set_defaults(corpus=str(ROOT / "corpus"))
    parser.add_argument("--queries", type=Path, default=OWN, metavar="FILE", help="判好的问题（默认 eval/data）")
    parser.add_argument("--split", choices=SPLITS, default="test", help="用哪一半问题（默认 test）")
    _add_out(parser)


def _add_run(parser: ArgumentParser) -> None:
    _add_notes(parser)
    parser.add_argument("--config", default="full", metavar="NAME", help="、".join(CONFIGURATIONS) + "（默认 full）")
    parser.add_argument("--length", metavar="|".join(LENGTHS), help="答案多长（RAG_LENGTH；默认 normal）")


def _add_ablate(parser: ArgumentParser) -> None:
    _add_notes(parser)
    parser.add_argument("--no-starter", action="store_true", help="不跑 LlamaIndex 的两行基线")
    parser.add_argument("--save", action="store_true", help="把汇总也写进 eval/results.json（README 的表由它生成）")


def _add_beir(parser: ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="BEIR 格式的文件夹，或装着几个的文件夹")
    parser.add_argument(
        "--config", nargs="+", default=BEIR_CONFIGURATIONS, metavar="NAME", help="要跑的配置（默认 bm25 dense full）"
    )
    parser.add_argument("--max-queries", type=int, default=0, metavar="N", help="每个集最多问几问（默认全部）")
    _add_out(parser)


def _add_fit(parser: ArgumentParser) -> None:
    _add_notes(parser)
    parser.set_defaults(split="dev")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, metavar="FILE", help="写到哪里（默认 rag/data）")


def _add_compare(parser: ArgumentParser) -> None:
    parser.add_argument("first", type=Path, metavar="A", help="改之前的结果文件")
    parser.add_argument("second", type=Path, metavar="B", help="改之后的结果文件")


def _add_scale(parser: ArgumentParser) -> None:
    parser.add_argument("--texts", type=Path, default=ROOT / "corpus", metavar="DIR", help="真实笔记，越多越好")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="N", help="多少段")


def _add_report(parser: ArgumentParser) -> None:
    _add_out(parser)
    parser.add_argument("--readme", action="store_true", help="用 eval/results.json 重写 README 里的表")


def _open(options: Namespace) -> Workbench:
    if options.index is None:
        options.index = str(options.out / "index")
    settings = read_settings(options)
    bench = open_workbench(settings, options.queries, options.split, tell)
    queries = (replace(query, query=replace(query.query, length=settings.length)) for query in bench.queries)
    return replace(bench, queries=tuple(queries))


def run_one(options: Namespace) -> int:
    """Measure one configuration."""
    configuration = find_configuration(options.config)
    bench = _open(options)
    result = bench.run(configuration)
    if (length := bench.notes.settings.length) != DEFAULT_LENGTH:
        # A file of its own: the answers differ, though the retrieval does not.
        result = replace(
            result, name=f"{result.name}@{length}", description=f"{result.description}，{LENGTH_NAMES[length]}"
        )
    path = write_result(options.out, result)
    write(format_board(make_board([result])))
    tell(f"写进了 {path}")
    return EXIT_ANSWERED


def run_ablation(options: Namespace) -> int:
    """Measure all configurations and the baselines."""
    bench = _open(options)
    results = [] if options.no_starter else run_starters(bench)
    for configuration in CONFIGURATIONS.values():
        tell(f"{configuration.name}：{configuration.description}")
        results.append(bench.run(configuration))
    for result in results:
        write_result(options.out, result)
    board = _share(make_board(results), bench)
    write_board(options.out / BOARD, board)
    if options.save:
        write_board(COMMITTED, slim(board))
    write(format_board(board))
    return EXIT_ANSWERED


def _share(board: Board, bench: Workbench) -> Board:
    """Name our own encoder on the board, whichever row comes first."""
    return Board(board.split, board.corpus, board.queries, bench.encoder.fingerprint, board.rows)


def run_starters(bench: Workbench) -> list[Result]:
    """Measure the stock LlamaIndex baselines, or say in one line why not."""
    if missing := starter.find_missing():
        tell(f"没有装 {missing}，LlamaIndex 的基线不跑；安装：{starter.INSTALL}")
        return []
    tell("LlamaIndex 的基线")
    results = []
    for name, search in starter.make_searches(bench.source.texts, bench.notes.questions).items():
        seen = observe_search(search, bench.queries)
        result = bench.make_result(name, starter.DESCRIPTIONS[name], STARTER_ENCODER, seen)
        results.append(result)
    return results


def run_beir(options: Namespace) -> int:
    """Measure configurations on BEIR sets."""
    configurations = [find_configuration(name) for name in options.config]
    settings = read_settings(options)
    encoder = load_encoder(settings)
    rows: list[Row] = []
    for folder in find_sets(options.paths):
        data = load_beir(folder)
        queries = choose_queries(data, max(0, options.max_queries))
        tell(f"{data.name}：{len(data.texts)} 篇，{len(queries)} 问")
        notes = open_set(data, encoder, settings)
        results = [run_set(notes, queries, configuration) for configuration in configurations]
        for result in results:
            write_result(options.out / data.name, result)
        rows += [replace(row, description=data.name) for row in make_board(results).rows]
    write(format_sets(rows))
    return EXIT_ANSWERED


def run_fit(options: Namespace) -> int:
    """Fit the weights of retrieval on the dev half."""
    bench = _open(options)
    write(json.dumps(fit(bench.notes, bench.queries, options.weights), indent=1))
    return EXIT_ANSWERED


def run_compare(options: Namespace) -> int:
    """Compare two results."""
    write(format_differences(compare_files(options.first, options.second)))
    return EXIT_ANSWERED


def run_scale(options: Namespace) -> int:
    """Measure retrieval at several sizes."""
    write(format_rows(measure(options.texts, options.sizes)))
    return EXIT_ANSWERED


def run_report(options: Namespace) -> int:
    """Draw the last ablation; or rewrite the README's table."""
    if options.readme:
        fill_readme(ROOT / "README.md", open_board(COMMITTED))
        tell(f"重写了 {ROOT / 'README.md'} 里的表")
        return EXIT_ANSWERED
    board = open_board(options.out / BOARD)
    write(str(write_report(options.out, board, read_records(options.out, board))))
    return EXIT_ANSWERED


COMMANDS: Sequence[Command] = (
    Command("run", "测一个配置", _add_run, run_one),
    Command("ablate", "测全部配置和 LlamaIndex 基线，打印表格", _add_ablate, run_ablation),
    Command("beir", "在 BEIR 格式的检索集上测", _add_beir, run_beir),
    Command("fit", "在 dev 上拟合排序和拒答的权重", _add_fit, run_fit),
    Command("scale", "笔记多到几万、几百万段时，检索有多快、多准", _add_scale, run_scale),
    Command("verify", "测逐句核对：该支持的、该标出的判得准不准", add_verify, run_verify),
    Command("compare", "逐题比较两个结果，说明差别是否可信", _add_compare, run_compare),
    Command("report", "画图，写成一个网页；--readme 重写 README 的表", _add_report, run_report),
)
