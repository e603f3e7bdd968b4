"""The command line: scgcnet data | study | peers | bench | map.

Commands import what they need when they run, so that `scgcnet --help` answers at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scgcnet.study.plan import Plan, Run


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
        print("scgcnet: interrupted; a training goes on from its last whole epoch when started again", file=sys.stderr)
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
    check.set_defaults(command=_data_check)
    audit = data.add_parser("audit", help="copies and shared ground, and what a split gives away of its test part")
    audit.add_argument("name", help="data set, such as bijie")
    audit.add_argument("dir", nargs="?", type=Path, help="as for check")
    audit.add_argument("--split", default="0", help="number or name of a split, or a CSV file (default: %(default)s)")
    audit.set_defaults(command=_data_audit)
    fake = data.add_parser("fake", help="write a synthetic data set in the layout of a real one")
    fake.add_argument("name", help="whose layout, such as bijie")
    fake.add_argument("dir", type=Path, help="folder to write into; use it as SCGCNET_DATA")
    fake.add_argument("-n", type=int, default=60, help="number of images (default: %(default)s)")
    fake.add_argument("--seed", type=_whole, default=0, help="default: %(default)s")
    fake.set_defaults(command=_data_fake)

    study = groups.add_parser("study", help="runs and chapters of study.yml").add_subparsers(
        required=True,
        metavar="list | status | claims | run | details | trials | replay | publish | chapter | reference | book",
    )
    listing = study.add_parser("list", help="every run with its id and state")
    listing.add_argument("--profile", help="only the runs of this profile")
    listing.add_argument("--trials", action="store_true", help="the trials of learning rates instead")
    listing.set_defaults(command=_study_list)
    status = study.add_parser("status", help="what of the paper has been measured")
    status.set_defaults(command=_study_status)
    claims = study.add_parser("claims", help="verdict, condition and runs of every claim of the paper, for programs")
    claims.set_defaults(command=_study_claims)
    run = study.add_parser("run", help="compute runs that are not stored yet")
    run.add_argument("run_id", nargs="*", help="ids as `study list` prints them, or unique beginnings of such")
    run.add_argument("--profile", help="all runs of this profile, the most urgent first")
    run.add_argument("--force", action="store_true", help="compute again what is stored")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_threads(run)
    run.set_defaults(command=_study_run)
    details = study.add_parser("details", help="count stored runs image by image, where that is missing")
    details.add_argument("run_id", nargs="*", help="ids of stored runs (default: all whose weights are at hand)")
    details.set_defaults(command=_study_details)
    trials = study.add_parser(
        "trials", help="show which learning rates won; with ids or a profile, try what is missing"
    )
    trials.add_argument("run_id", nargs="*", help="ids as `study list --trials` prints them, or unique beginnings")
    trials.add_argument("--profile", help="all trials of this profile")
    trials.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_threads(trials)
    trials.set_defaults(command=_study_trials)
    replay = study.add_parser(
        "replay", help="begin stored trainings again and compare; exit status 1 if a number differs"
    )
    replay.add_argument("run_id", nargs="*", help="ids of runs or trials (default: all that are stale)")
    replay.add_argument("--epochs", type=int, default=1, help="how many to compare (default: %(default)s)")
    replay.add_argument("--rounding", action="store_true", help="compare training losses, to within 0.1 %%")
    replay.set_defaults(command=_study_replay)
    publish = study.add_parser("publish", help="put a run's weights into results/weights, with a model card")
    publish.add_argument("run_id", help="id of a stored run whose weights are at hand")
    publish.add_argument("name", help="what the weights are called: by what they saw, such as tiny-bijie")
    publish.set_defaults(command=_study_publish)
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
    chapter.set_defaults(command=_study_chapter)
    reference = study.add_parser("reference", help="renew what the tests expect a template of the book to print")
    reference.add_argument("name", help="of a template, book/NAME.ipynb")
    reference.set_defaults(command=_study_reference)
    book = study.add_parser("book", help="bind the executed chapters of a profile; `make book` does it all")
    book.add_argument("--profile", default="smoke", help="a profile of study.yml (default: %(default)s)")
    book.set_defaults(command=_study_book)

    peers = groups.add_parser("peers", help="every network beside a published count; exit status 1 if one disagrees")
    peers.add_argument("--all", action="store_true", help="further published sizes too")
    peers.set_defaults(command=_peers)

    bench = groups.add_parser("bench", help="timings on this machine: scan and networks, or one of them")
    timed = argparse.ArgumentParser(add_help=False)
    timed.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, not how fast")
    timed.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="(default: %(default)s)")
    timed.add_argument("--json", type=Path, help="file to write the numbers to")
    timed.add_argument("--against", type=Path, help="file of an earlier run to compare with")
    what = bench.add_subparsers(required=True, metavar="all | scan | network | data | scene | seams")
    for name, parts, about in (
        ("all", ["scan", "network"], "the scan and the networks"),
        ("scan", ["scan"], "the selective scan: every backend against plain PyTorch"),
        ("network", ["network"], "the networks: training, inference, and where the time goes"),
    ):
        part = what.add_parser(name, parents=[timed], help=about)
        part.set_defaults(command=_bench, parts=parts)
    images = what.add_parser("data", help="reading and augmenting images, beside training on them")
    images.add_argument("name", help="data set, such as bijie")
    images.add_argument(
        "dir", nargs="?", type=Path, help="folder with the data sets' own folders (default: SCGCNET_DATA or data)"
    )
    images.set_defaults(command=_bench_data)
    scene = what.add_parser("scene", help="a made-up scene: memory, speed, and the same map after a kill")
    scene.add_argument("--side", type=int, default=20_000, help="pixels of each side (default: %(default)s)")
    scene.add_argument("--window", type=int, default=1024, help="as for map (default: %(default)s)")
    scene.add_argument("--model", default="tiny-bijie", help="as for map (default: %(default)s)")
    scene.add_argument("--kills", type=int, default=2, help="how often the second run is killed (default: %(default)s)")
    scene.add_argument("--json", type=Path, help="file to write the numbers to")
    scene.set_defaults(command=_bench_scene)
    seams = what.add_parser("seams", help="real mosaics cut in several ways: seams, IoU and time by window size")
    seams.add_argument("--windows", type=_numbers, default=(128, 256, 512, 1024), help="sides (default: 128 to 1024)")
    seams.add_argument("--scales", type=_reals, default=(1.0, 0.5), help="as --scale of map (default: 1,0.5)")
    seams.add_argument("--model", default="tiny-bijie", help="as for map (default: %(default)s)")
    seams.add_argument("--json", type=Path, help="file to write the numbers to")
    seams.set_defaults(command=_bench_seams)
    _add_map(groups.add_parser("map", help="landslides of whole scenes, for a GIS; exit status 1 if a scene failed"))
    return parser


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_count, help="threads of a training (default: OMP_NUM_THREADS, else 1)")


def _set_threads(options: argparse.Namespace) -> None:
    """Before torch is imported, which reads the variable once."""
    from scgcnet.study.threads import VARIABLE

    if options.threads:
        os.environ[VARIABLE] = str(options.threads)


def _count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _add_map(mapper: argparse.ArgumentParser) -> None:
    mapper.add_argument("scene", nargs="+", type=Path, help="rasters, such as GeoTIFFs, or folders of such")
    mapper.add_argument("--out", type=Path, required=True, help="folder to write; of several scenes, with one for each")
    mapper.add_argument("--model", default=None, help="weights of results/weights by name, or a file of weights "
                        "(default: tiny-multisource)")  # fmt: skip
    mapper.add_argument("--window", type=int, default=1024, help="side of what the network sees at once, pixels of the "
                        "working grid (default: %(default)s)")  # fmt: skip
    mapper.add_argument("--overlap", type=float, default=0.25, help="share of a window that the next one sees as well, "
                        "0 to 0.5 (default: %(default)s)")  # fmt: skip
    mapper.add_argument("--threshold", type=_number_or_auto, help="probability above which a pixel is landslide; auto: "
                        "the one best on validation, which the weights carry (default: auto)")  # fmt: skip
    mapper.add_argument("--min-area", type=float, default=100.0, help="smallest polygon, square metres; pixels where "
                        "the scene has no coordinate reference system (default: %(default)s)")  # fmt: skip
    mapper.add_argument("--bands", type=_numbers, help="which bands are red, green and blue, such as 4,3,2 (default: "
                        "those that the scene marks so, else the first three)")  # fmt: skip
    mapper.add_argument("--range", type=_pair, dest="value_range", metavar="LOW,HIGH", help="values that are shown "
                        "black and white (default: the 2nd and 98th percentile; 8 bits as they are)")  # fmt: skip
    mapper.add_argument("--scale", type=_number_or_auto, help="pixels of the working grid for one of the scene; auto: "
                        "what brings the scene to the ground resolution that the weights know")  # fmt: skip
    mapper.add_argument("--jobs", type=int, help="of several scenes, how many at a time (default: one for each core)")
    mapper.add_argument("--quiet", action="store_true", help="no progress bar")
    mapper.set_defaults(command=_map)


def _number_or_auto(text: str) -> float | None:
    return None if text == "auto" else float(text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _reals(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _pair(text: str) -> tuple[float, float]:
    low, high = (float(part) for part in text.split(","))
    return low, high


def _whole(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def _data_check(options: argparse.Namespace) -> int:
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


def _data_audit(options: argparse.Namespace) -> None:
    from scgcnet.data.audit import audit, report

    print(report(audit(options.name, options.split, options.dir)))


def _data_fake(options: argparse.Namespace) -> None:
    from scgcnet.data import write_fake

    write_fake(options.name, options.dir, n=options.n, seed=options.seed)
    print(f"wrote {options.n} synthetic images in the layout of {options.name} below {options.dir}")


def _study_list(options: argparse.Namespace) -> None:
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


def _study_status(options: argparse.Namespace) -> None:
    from scgcnet.study.claims import ledger
    from scgcnet.study.overview import exhibit_table, profile_table
    from scgcnet.study.plan_reader import load_plan
    from scgcnet.study.store import load_all

    plan = load_plan()
    real = load_all("real")
    for table in (exhibit_table(plan, ledger(plan, real)), profile_table(plan, [*real, *load_all("synthetic")])):
        print(table.fitted(), end="\n\n")


def _study_claims(options: argparse.Namespace) -> None:
    from scgcnet.study.claims import ledger
    from scgcnet.study.plan_reader import load_plan
    from scgcnet.study.store import load_all

    for entry in ledger(load_plan(), load_all("real")):
        print(entry.line)


def _study_run(options: argparse.Namespace) -> None:
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


def _study_details(options: argparse.Namespace) -> None:
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


def _study_trials(options: argparse.Namespace) -> None:
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


def _study_replay(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from scgcnet.study.plan import PlanError
    from scgcnet.study.runner import replay
    from scgcnet.study.store import is_stale, load_all, load_trials

    records = [*load_all("real"), *load_trials("real")]
    if unknown := [run_id for run_id in options.run_id if run_id not in {record.run_id for record in records}]:
        raise PlanError(f"nothing is stored under {unknown[0]!r}: see `scgcnet study list`")
    wanted = [record for record in records if (record.run_id in options.run_id if options.run_id else is_stale(record))]
    different = 0
    for record in tqdm(wanted, desc="replays", unit="run", disable=not wanted):
        difference = replay(record, options.epochs, rounding=options.rounding, progress=False)
        different += difference is not None
        tqdm.write(f"{record.run_id}: {difference or 'the same'}")
    print(f"{len(wanted)} replayed, {different or 'none'} different", file=sys.stderr)
    return int(different > 0)


def _study_publish(options: argparse.Namespace) -> None:
    from scgcnet.study.publish import publish

    print(publish(options.run_id, options.name))


def _study_chapter(options: argparse.Namespace) -> None:
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


def _study_reference(options: argparse.Namespace) -> None:
    from scgcnet.study.reference import write_reference

    print(write_reference(options.name))


def _study_book(options: argparse.Namespace) -> None:
    from scgcnet.study.book import build_book

    print(build_book(options.profile))


def _peers(options: argparse.Namespace) -> int:
    from scgcnet.peers.catalogue import ENTRIES
    from scgcnet.study.competitors import check, check_all, reference_table

    checks = check_all() if options.all else [check(name, entry.references[0]) for name, entry in ENTRIES.items()]
    print(reference_table(checks))
    wrong = sum(bool(c.faults) for c in checks)
    print(f"{len(checks)} counts, {wrong or 'none'} out of tolerance", file=sys.stderr)
    return int(wrong > 0)


def _bench(options: argparse.Namespace) -> None:
    from scgcnet.bench.report import bench

    bench(options.parts, options.device, options.quick, options.json, options.against)


def _bench_data(options: argparse.Namespace) -> None:
    from scgcnet.bench.data import bench_data

    bench_data(options.name, options.dir)


def _bench_scene(options: argparse.Namespace) -> int:
    from scgcnet.bench.scene import bench_scene

    done = bench_scene(options.side, options.model, options.window, kills=options.kills, json_file=options.json)
    return int(not done.the_same)


def _bench_seams(options: argparse.Namespace) -> None:
    from scgcnet.bench.scene import bench_seams

    bench_seams(options.model, options.windows, options.scales, options.json)


def _map(options: argparse.Namespace) -> int:
    from scgcnet.pretrained import DEFAULT
    from scgcnet.scene import MapOptions, map_scene
    from scgcnet.scene.many import find_scenes, map_scenes

    how = MapOptions(**{name: getattr(options, name) for name in MapOptions.__dataclass_fields__})
    model = options.model or DEFAULT
    scenes = find_scenes(options.scene)
    if len(options.scene) > 1 or options.scene[0].is_dir():
        return map_scenes(scenes, options.out, model, how, options.jobs)
    done = map_scene(scenes[0], options.out, model, how, progress=not options.quiet)
    print(done.summary if done.fresh else f"{done.summary} (it was there already)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
