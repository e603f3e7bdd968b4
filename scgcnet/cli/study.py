"""`scgcnet study`: runs, trials and chapters of study.yml, and what the paper's claims come to."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scgcnet.cli.values import Groups, count

if TYPE_CHECKING:
    from scgcnet.study.plan import Plan, Run


def add(groups: Groups) -> None:
    """Add the group of commands to the command line."""
    study = groups.add_parser("study", help="runs and chapters of study.yml").add_subparsers(
        required=True,
        metavar="list | status | claims | run | details | trials | replay | publish | chapter | reference | book",
    )
    listing = study.add_parser("list", help="every run with its id and state")
    listing.add_argument("--profile", help="only the runs of this profile")
    listing.add_argument("--trials", action="store_true", help="the trials of learning rates instead")
    listing.set_defaults(command=_list)
    status = study.add_parser("status", help="what of the paper has been measured")
    status.set_defaults(command=_status)
    claims = study.add_parser("claims", help="verdict, condition and runs of every claim of the paper, for programs")
    claims.set_defaults(command=_claims)
    run = study.add_parser("run", help="compute runs that are not stored yet")
    run.add_argument("run_id", nargs="*", help="ids as `study list` prints them, or unique beginnings of such")
    run.add_argument("--profile", help="all runs of this profile, the most urgent first")
    run.add_argument("--force", action="store_true", help="compute again what is stored")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_threads(run)
    run.set_defaults(command=_run)
    details = study.add_parser("details", help="count stored runs image by image, where that is missing")
    details.add_argument("run_id", nargs="*", help="ids of stored runs (default: all whose weights are at hand)")
    details.set_defaults(command=_details)
    trials = study.add_parser(
        "trials", help="show which learning rates won; with ids or a profile, try what is missing"
    )
    trials.add_argument("run_id", nargs="*", help="ids as `study list --trials` prints them, or unique beginnings")
    trials.add_argument("--profile", help="all trials of this profile")
    trials.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_threads(trials)
    trials.set_defaults(command=_trials)
    replay = study.add_parser(
        "replay", help="begin stored trainings again and compare; exit status 1 if a number differs"
    )
    replay.add_argument("run_id", nargs="*", help="ids of runs or trials (default: all that are stale)")
    replay.add_argument("--epochs", type=int, default=1, help="how many to compare (default: %(default)s)")
    replay.add_argument("--rounding", action="store_true", help="compare training losses, to within 0.1 %%")
    replay.set_defaults(command=_replay)
    publish = study.add_parser("publish", help="put a run's weights into results/weights, with a model card")
    publish.add_argument("run_id", help="id of a stored run whose weights are at hand")
    publish.add_argument("name", help="what the weights are called: by what they saw, such as tiny-bijie")
    publish.set_defaults(command=_publish)
    chapter = study.add_parser("chapter", help="execute one chapter")
    chapter.add_argument("name", help="a chapter of study.yml")
    chapter.add_argument("--profile", help="a profile of study.yml (default: what the chapter says)")
    chapter.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
                         help="replace a parameter; VALUE is read as YAML")  # fmt: skip
    chapter.add_argument(
        "-o",
        "--output",
        type=Path,
        help="notebook to write (default: build/by-hand/NAME.ipynb, or with a profile alone the book's own page)",
    )
    chapter.set_defaults(command=_chapter)
    reference = study.add_parser("reference", help="renew what the tests expect a template of the book to print")
    reference.add_argument("name", help="of a template, book/NAME.ipynb")
    reference.set_defaults(command=_reference)
    book = study.add_parser("book", help="bind the executed chapters of a profile; `make book` does it all")
    book.add_argument("--profile", default="smoke", help="a profile of study.yml (default: %(default)s)")
    book.set_defaults(command=_book)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=count, help="threads of a training (default: OMP_NUM_THREADS, else 1)")


def _set_threads(options: argparse.Namespace) -> None:
    """Before torch is imported, which reads the variable once."""
    from scgcnet.study.threads import VARIABLE

    if options.threads:
        os.environ[VARIABLE] = str(options.threads)


def _list(options: argparse.Namespace) -> None:
    from scgcnet.study.plan_reader import load_plan
    from scgcnet.study.store import FOLDERS, find, find_trial, load_all, state

    plan = load_plan()
    if options.trials:
        for trial in plan.select_trials(options.profile):
            found = find_trial(trial.run_id, plan.profile(trial.profile).data)
            print(f"{trial.run_id:<50} {state(found):<8} rate {trial.settings['lr']:g}")
        return
    for run in plan.select(options.profile):
        record = find(run.run_id, plan.profile(run.profile).data)
        print(f"{run.run_id:<50} {state(record):<8} priority {run.priority}  split {run.split}  seed {run.seed}")
    planned = {run.run_id for run in plan.runs}
    for record in (record for kind in FOLDERS for record in load_all(kind) if record.run_id not in planned):
        if options.profile in (None, record.profile):
            where = f"split {record.split}  seed {record.seed}"
            print(f"{record.run_id:<50} {state(record):<8} not in study.yml  {where}")


def _status(options: argparse.Namespace) -> None:
    from scgcnet.chapters.claims import ledger
    from scgcnet.study.overview import exhibit_table, profile_table
    from scgcnet.study.plan_reader import load_plan
    from scgcnet.study.store import load_all

    plan = load_plan()
    real = load_all("real")
    for table in (exhibit_table(plan, ledger(plan)), profile_table(plan, [*real, *load_all("synthetic")])):
        print(table.fitted(), end="\n\n")


def _claims(options: argparse.Namespace) -> None:
    from scgcnet.chapters.claims import as_text, ledger
    from scgcnet.study.plan_reader import load_plan

    print(as_text(ledger(load_plan())))


def _run(options: argparse.Namespace) -> None:
    _set_threads(options)
    from scgcnet.study.plan import PlanError
    from scgcnet.study.plan_reader import load_plan
    from scgcnet.study.runner import run

    plan, began = load_plan(), time.time()
    if bool(options.run_id) == bool(options.profile):
        raise PlanError("name either run ids or a --profile: see `scgcnet study list`")
    runs = [plan.find(run_id) for run_id in options.run_id] or plan.select(options.profile)
    for spec in runs:
        record = run(spec, force=options.force, progress=not options.quiet)
        print(f"{record.file}  IoU {100 * record.metrics['resized']['iou']:.2f} %", flush=True)
        _tell_progress(plan, spec, record.file, began)


def _tell_progress(plan: Plan, spec: Run, file: str, began: float) -> None:
    """Say how much of a profile is left, after a result that was computed and not only read."""
    from scgcnet.study.forecast import progress
    from scgcnet.study.plan import project_root

    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts
    if first and (project_root() / file).stat().st_mtime >= began:
        print(progress(plan, spec.profile), file=sys.stderr)


def _details(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from scgcnet.study.details import find_details
    from scgcnet.study.plan_reader import load_plan
    from scgcnet.study.runner import details_of, weights_for
    from scgcnet.study.store import load_all

    plan = load_plan()
    missing = {record.run_id for record in load_all("real") if not find_details(record) and weights_for(record)}
    wanted = [plan.find(name) for name in options.run_id] or [run for run in plan.runs if run.run_id in missing]
    for spec in tqdm(wanted, desc="details", unit="run", disable=not wanted):
        tqdm.write(details_of(spec).file)


def _trials(options: argparse.Namespace) -> None:
    _set_threads(options)
    from scgcnet.study.comparison_tables import rate_table
    from scgcnet.study.plan import PlanError
    from scgcnet.study.plan_reader import load_plan
    from scgcnet.study.runner import run_trial
    from scgcnet.study.store import load_trials

    plan, began = load_plan(), time.time()
    if options.run_id and options.profile:
        raise PlanError("name either trials or a --profile: see `scgcnet study list --trials`")
    wanted = [plan.find_trial(run_id) for run_id in options.run_id]
    for spec in wanted or (plan.select_trials(options.profile) if options.profile else []):
        trial = run_trial(spec, progress=not options.quiet)
        print(f"{trial.file}  validation IoU {100 * trial.val_iou:.2f} %", flush=True)
        _tell_progress(plan, spec, trial.file, began)
    if not wanted:
        print(rate_table(plan, load_trials("real")))


def _replay(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from scgcnet.data import DatasetError
    from scgcnet.study.ledger import StoreError
    from scgcnet.study.plan import PlanError
    from scgcnet.study.runner import replay
    from scgcnet.study.store import is_stale, load_all, load_trials

    records = [*load_all("real"), *load_trials("real")]
    if unknown := [run_id for run_id in options.run_id if run_id not in {record.run_id for record in records}]:
        raise PlanError(f"nothing is stored under {unknown[0]!r}: see `scgcnet study list`")
    wanted = [record for record in records if (record.run_id in options.run_id if options.run_id else is_stale(record))]
    different = 0
    for record in tqdm(wanted, desc="replays", unit="run", disable=not wanted):
        try:
            difference = replay(record, options.epochs, rounding=options.rounding, progress=False)
        except (DatasetError, PlanError, StoreError) as error:  # of this one: the others can still be replayed
            difference = f"not replayed: {error}"
        different += difference is not None
        tqdm.write(f"{record.run_id}: {difference or 'the same'}")
    print(f"{len(wanted)} to replay, {different or 'none'} different or not replayed", file=sys.stderr)
    return int(different > 0)


def _publish(options: argparse.Namespace) -> None:
    from scgcnet.study.publish import publish

    print(publish(options.run_id, options.name))


def _chapter(options: argparse.Namespace) -> None:
    from scgcnet.study.chapters import BY_HAND, chapter_parameters, execute, executed_file, parse_value
    from scgcnet.study.plan import PlanError, project_root
    from scgcnet.study.plan_reader import load_plan

    plan = load_plan()
    if options.name not in plan.chapters:
        raise PlanError(f"no chapter {options.name!r} in study.yml: there are {', '.join(plan.chapters)}")
    chapter = plan.chapters[options.name]
    changes = {name: parse_value(value) for name, value in options.parameters}
    values = chapter_parameters(plan, chapter, options.profile, changes)
    # What was changed by hand must not become the book's page.
    by_hand = options.parameters or not options.profile
    page = f"{BY_HAND}/{options.name}.ipynb" if by_hand else executed_file(options.name, options.profile)
    output = options.output or project_root() / page
    print(execute(project_root() / chapter.template, output, values))


def _reference(options: argparse.Namespace) -> None:
    from scgcnet.study.reference import write_reference

    print(write_reference(options.name))


def _book(options: argparse.Namespace) -> None:
    from scgcnet.study.book import build_book

    print(build_book(options.profile))
