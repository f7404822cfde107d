"""`python -m supplyr`: serve, generate, user, audit, clean, migrate."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from supplyr.commands import audit, clean, generate, migrate, serve, user
from supplyr.db.database import DatabaseError
from supplyr.settings import Settings, SettingsError, from_environment

_EPILOG = """Start with:  python -m supplyr serve --with-data 5000

Settings come from SUPPLYR_... variables too (SUPPLYR_DATABASE, SUPPLYR_PLAN, ...); `serve --help`
lists them. Exit status: 0 fine, 1 found something or failed, 2 used wrongly."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m supplyr",
        description="SUPPLYR, a supplier directory whose heavy work runs on lanewise lanes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data-dir", type=Path, help="embedded database, uploads, exports (default: supplyr-data)"
    )
    parser.add_argument(
        "--database", metavar="URL", help="postgresql://...; default: the embedded one"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in (serve, generate, user, audit, clean, migrate):
        module.add_parser(verbs)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    settings = from_environment()
    if options.data_dir is not None:
        settings = replace(settings, data_dir=options.data_dir)
    if options.database is not None:
        settings = replace(settings, database=options.database)
    return settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(_settings(options), options)
    except SettingsError as error:
        print(f"supplyr: {error}", file=sys.stderr)
        return 2
    except DatabaseError as error:
        print(f"supplyr: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
