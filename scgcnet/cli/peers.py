"""`scgcnet peers`: every network beside a published count of it."""

from __future__ import annotations

import argparse
import sys

from scgcnet.cli.values import Groups


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    peers = groups.add_parser("peers", help="every network beside a published count; exit status 1 if one disagrees")
    peers.add_argument("--all", action="store_true", help="further published sizes too")
    peers.set_defaults(command=_peers)


def _peers(options: argparse.Namespace) -> int:
    from scgcnet.chapters.competitors import AGREES, check_counts, counts_table, published_counts

    published = published_counts()
    checked = check_counts(published if options.all else published.drop_duplicates("network"))
    print(counts_table(checked))
    wrong = int((checked.check != AGREES).sum())
    print(f"{len(checked)} counts, {wrong or 'none'} out of tolerance", file=sys.stderr)
    return int(wrong > 0)
