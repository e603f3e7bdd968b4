"""`scgcnet peers`: every network beside somebody else's count of it."""

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
    from scgcnet.peers.catalogue import ENTRIES
    from scgcnet.study.competitors import check, check_all, reference_table

    checks = check_all() if options.all else [check(name, entry.references[0]) for name, entry in ENTRIES.items()]
    print(reference_table(checks))
    wrong = sum(bool(c.faults) for c in checks)
    print(f"{len(checks)} counts, {wrong or 'none'} out of tolerance", file=sys.stderr)
    return int(wrong > 0)
