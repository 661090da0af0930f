"""The benchmark: `python -m eval run|ablate|beir|fit|compare|report`."""

import argparse
import sys

from eval.commands import COMMANDS
from rag.shell import guard


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all subcommands."""
    parser = argparse.ArgumentParser(prog="python -m eval", description="评测检索、拒答、引用和速度")
    commands = parser.add_subparsers(dest="command", required=True, metavar="命令")
    for command in COMMANDS:
        own = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_options(own)
        own.set_defaults(run=command.run)
    return parser


def run(arguments: list[str] | None) -> int:
    """Parse and run."""
    options = make_parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
