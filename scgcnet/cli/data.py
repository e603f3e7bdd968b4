"""`scgcnet data`: check or audit a data set, write a synthetic one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scgcnet.cli.values import Groups, whole


def add(groups: Groups) -> None:
    """Add the group of commands to the command line."""
    data = groups.add_parser("data", help="data sets: check or audit one, write a synthetic one").add_subparsers(
        required=True, metavar="check | audit | fake"
    )
    check = data.add_parser("check", help="list every fault of a data set; exit status 1 if there is one")
    check.add_argument("name", help="data set, such as bijie")
    check.add_argument(
        "dir",
        nargs="?",
        type=Path,
        help="folder with the data sets' own folders, or of the data set `folder` (default: SCGCNET_DATA or data)",
    )
    check.set_defaults(command=_check)
    audit = data.add_parser("audit", help="copies and shared ground, and what a split gives away of its test part")
    audit.add_argument("name", help="data set, such as bijie")
    audit.add_argument("dir", nargs="?", type=Path, help="as for check")
    audit.add_argument("--split", default="0", help="number or name of a split, or a CSV file (default: %(default)s)")
    audit.set_defaults(command=_audit)
    fake = data.add_parser("fake", help="write a synthetic data set in the layout of a real one")
    fake.add_argument("name", help="whose layout, such as bijie")
    fake.add_argument("dir", type=Path, help="folder to write into; use it as SCGCNET_DATA")
    fake.add_argument("-n", type=int, default=60, help="number of images (default: %(default)s)")
    fake.add_argument("--seed", type=whole, default=0, help="default: %(default)s")
    fake.set_defaults(command=_fake)


def _check(options: argparse.Namespace) -> int:
    from scgcnet.data import DatasetError, check_dataset, dataset_notes, split_sha256

    faults = check_dataset(options.name, options.dir)
    for fault in faults:
        print(fault)
    for note in dataset_notes(options.name, options.dir):
        print(f"note: {note}")
    if not faults:
        try:
            split_sha256(options.name, 0, options.dir)
        except DatasetError as error:
            print(f"note: the split 0 cannot be made: {error}")
    print(f"{options.name}: {len(faults) or 'no'} fault{'s' * (len(faults) != 1)}", file=sys.stderr)
    return int(bool(faults))


def _audit(options: argparse.Namespace) -> None:
    from scgcnet.data.overlap import audit, report

    print(report(audit(options.name, options.split, options.dir)))


def _fake(options: argparse.Namespace) -> None:
    from scgcnet.data import write_fake

    write_fake(options.name, options.dir, n=options.n, seed=options.seed)
    print(f"wrote {options.n} synthetic images in the layout of {options.name} below {options.dir}")
