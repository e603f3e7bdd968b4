"""The command line: scgcnet data | study | peers | bench | map.

Commands import what they need when they run, so that `scgcnet --help` answers at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from scgcnet.cli import bench, data, peers, scene, study


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it did what was asked, 1 when a check found faults or the user interrupted, 2 when it could not
        run; then one line on standard error says why.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console of another code page cannot show every folder's name
            stream.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    try:
        status = int(parsed.command(parsed) or 0)
        sys.stdout.flush()  # here, where a closed pipe can be told from an error
        return status
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the first into the second
        kept = "a training goes on from its last whole epoch, a map from its last window"
        print(f"scgcnet: interrupted; what is done is kept: started again, {kept}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads the output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 0
    except Exception as error:
        # The package's own errors carry a message for the user; any other is a bug and shows its traceback.
        if not type(error).__module__.startswith("scgcnet."):
            raise
        print(f"scgcnet: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("scgcnet", description="An open, reproducible study of SCGC-Net.")
    groups = parser.add_subparsers(required=True, metavar="data | study | peers | bench | map")
    for command in (data, study, peers, bench, scene):
        command.add(groups)
    return parser
