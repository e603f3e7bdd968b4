"""The command line. Commands import what they need when they run, so that `scgcnet --help` answers at once."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from scgcnet.arguments import (
    BOUNDS,
    PAIR,
    WHOLES,
    Dataset,
    Folder,
    Model,
    Profile,
    Quiet,
    Threads,
    minutes_of,
    number_or_auto,
)
from scgcnet.bench import commands

app = typer.Typer(
    help="SCGC-Net: map landslides, rerun the study, build its book.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Data sets: check or audit one, write a synthetic one.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(commands.app, name="bench")
_USAGE: Any = typer.BadParameter.__mro__[1]  # of the click that this typer carries

# -------------------------------------------------------------------------------------------------------------- mapping


@app.command("map")
def map_command(
    scene: Annotated[
        list[str], typer.Argument(help="Rasters, folders of rasters, or addresses of rasters or STAC items.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; of several scenes, with one for each.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Published weights by name, a file of weights, or an ONNX file; of several, the mean probability."
        ),
    ] = None,
    views: Annotated[int, typer.Option(help="Views of each window: 1, 2 (mirrored), 4 or 8 (turned too).")] = 1,
    window: Annotated[
        str, typer.Option(help="Side of the network's window, pixels of the working grid; auto: as the weights say.")
    ] = "auto",
    overlap: Annotated[float, typer.Option(help="Share of a window that the next one covers too, 0 to 0.5.")] = 0.25,
    threshold: Annotated[
        str, typer.Option(help="Probability above which a pixel is landslide; auto: the one that the weights carry.")
    ] = "auto",
    min_area: Annotated[float, typer.Option(help="Smallest polygon, square metres (pixels without a CRS).")] = 100.0,
    bands: Annotated[str | None, typer.Option(help="Red, green and blue band, such as 4,3,2.")] = None,
    value_range: Annotated[
        str | None, typer.Option("--range", help="Values shown black and white: LOW,HIGH [default: percentiles].")
    ] = None,
    scale: Annotated[str, typer.Option(help="Pixels of the working grid for one of the scene.")] = "auto",
    metres: Annotated[float | None, typer.Option(help="Side of a pixel, of a scene without a georeference.")] = None,
    bounds: Annotated[
        str | None, typer.Option(help="Map a part: LEFT,BOTTOM,RIGHT,TOP in the scene's coordinates.")
    ] = None,
    asset: Annotated[str | None, typer.Option(help="Asset of a STAC item [default: the visual one].")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Windows at a time [default: one for each core].")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Scenes at a time [default: one for each core].")] = None,
    quiet: Quiet = False,
) -> int:
    """Map landslides of whole scenes for a GIS; exit status 1 if one of several failed.

    Example: scgcnet map scene.tif --out map
    """
    from scgcnet.scene import MapOptions, map_scene
    from scgcnet.scene.many import find_scenes, map_scenes

    side = number_or_auto(window)
    options = MapOptions(
        window=None if side is None else int(side),
        overlap=overlap,
        threshold=number_or_auto(threshold),
        min_area=min_area,
        bands=WHOLES(bands) if bands else None,
        value_range=PAIR(value_range) if value_range else None,  # type: ignore[arg-type]
        scale=number_or_auto(scale),
        views=views,
        metres=metres,
        bounds=BOUNDS(bounds) if bounds else None,  # type: ignore[arg-type]
        asset=asset,
    )
    scenes = find_scenes(scene)
    if len(scene) > 1 or Path(scene[0]).is_dir():
        failed = False
        for found in map_scenes(scenes, out, model or (), options, jobs, threads):
            failed |= isinstance(found, str)
            print(found if isinstance(found, str) else found.summary, flush=True)
        return int(failed)
    done = map_scene(scenes[0], out, model or (), options, threads=threads, progress=not quiet)
    print(done.summary if done.fresh else f"{done.summary} (it was there already)")
    return 0


# ------------------------------------------------------------------------------------------------------------- own data

Own = Annotated[Path, typer.Argument(help="Folder of images and masks, or rasters (or one) beside outlines.")]


@app.command("train")
def train_command(
    source: Own,
    out: Annotated[Path, typer.Option(help="Folder to write weights, report and scores to.")],
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="Published weights, a file, or none [default: the published ones where the bands fit]."
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Of a network from nothing, such as small [default: tiny].")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the ground [default: 30].")] = None,
    image_size: Annotated[
        int | None, typer.Option(min=64, help="Side of a training window, pixels [default: the weights', else 256].")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Time budget instead of epochs, such as 30m.")] = None,
    val: Annotated[str, typer.Option(help="Share of the ground that validates, or a folder.")] = "0.2",
    landslide_free: Annotated[Path | None, typer.Option(help="Folder of images without landslides.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Train on your own data: started again after a stop, it goes on from the last whole epoch.

    Example: scgcnet train myregion --out trained --time 30m
    """
    _set_threads(threads)
    from scgcnet.own.training import TrainOptions, train

    minutes = None if time is None else minutes_of(time)
    options = TrainOptions(start, size, epochs, image_size, minutes, val, landslide_free, seed)
    done = train(source, out, options, progress=not quiet)
    print(done.summary if done.fresh else f"{done.summary} (it was there already)")


@app.command("evaluate")
def evaluate_command(
    source: Own,
    model: Model,
    out: Annotated[Path | None, typer.Option(help="Folder for the scores as CSV.")] = None,
    quiet: Quiet = False,
) -> None:
    """Score weights on your own data: pooled and by image, by landslide size, and false alarms.

    Example: scgcnet evaluate myregion --model trained/weights.safetensors --out scores
    """
    from scgcnet.own.evaluation import evaluate

    print(evaluate(source, model, out, progress=not quiet))


@app.command()
def export(
    model: Model,
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    tile: Annotated[
        int | None, typer.Option(min=32, help="Side of square images alone, as QGIS' Deepness needs it [default: any].")
    ] = None,
    metres: Annotated[
        float | None, typer.Option(min=0.01, help="Metres per pixel noted for Deepness [default: as trained, else 1].")
    ] = None,
) -> None:
    """Write weights as an ONNX file that gives PyTorch's probabilities, and whose metadata QGIS' Deepness reads.

    Example: scgcnet export --model lite0-multisource --out landslides.onnx --tile 256
    """
    from scgcnet import zoo
    from scgcnet.export import export_weights

    stored = zoo.read_metadata(zoo.find_weights(model))
    if metres is None:
        from scgcnet.scene.models import spans_of

        metres = float(stored.get("seen_at", 0)) or min((finest for finest, _ in spans_of(stored)), default=1.0)
    print("tracing, converting and comparing with PyTorch: a minute or more", file=sys.stderr)
    nodes, difference = export_weights(model, out, metres, tile)
    print(f"{out}: {nodes} nodes, {out.stat().st_size / 1e6:.1f} MB, differs from PyTorch by {difference:.0e}")


# ---------------------------------------------------------------------------------------------------------------- study


@app.command("list")
def list_runs(
    profile: Profile = None,
    trials: Annotated[bool, typer.Option("--trials", help="The trials on validation instead.")] = False,
) -> None:
    """List every run of study.yml with its id and state, and stored runs beyond it.

    Example: scgcnet list --profile cpu
    """
    from scgcnet.study import load_plan, results

    plan = load_plan()
    planned = plan.select_trials(profile) if trials else plan.select(profile)
    stored = {
        one.run_id: one for kind in results.ROOTS for one in results.records(kind, "trials" if trials else "runs")
    }
    for run in planned:
        state = "stored" if run.run_id in stored else "not run"
        print(f"{run.run_id:<52} {state:<8} priority {run.priority}  split {run.split}  seed {run.seed}")
    for run_id in sorted(stored.keys() - {run.run_id for run in planned}):
        if profile in (None, stored[run_id].profile) and not trials:
            print(f"{run_id:<52} stored   not in study.yml")
    done = sum(run.run_id in stored for run in planned)
    print(f"{done} of {len(planned)} {'trials' if trials else 'runs'} stored", file=sys.stderr)


@app.command()
def run(
    run_id: Annotated[list[str] | None, typer.Argument(help="Run ids, or their beginnings.")] = None,
    profile: Profile = None,
    force: Annotated[bool, typer.Option("--force", help="Compute it even if it is stored.")] = False,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Train and score runs that are not stored yet; a stopped training resumes from its last whole epoch.

    Example: scgcnet run bijie-scgcnet-tiny-cpu-s0
    """
    _set_threads(threads)
    from scgcnet import study

    plan = study.load_plan()
    if bool(run_id) == bool(profile):
        raise study.PlanError("name either run ids or a --profile: see `scgcnet list`")
    for spec in [plan.find(name) for name in run_id] if run_id else plan.select(profile):
        record = study.run(spec, force=force, progress=not quiet)
        assert record.metrics is not None
        print(f"{record.file}  IoU {100 * record.metrics.resized['iou']:.2f} %", flush=True)


@app.command()
def trials(
    run_id: Annotated[list[str] | None, typer.Argument(help="Trial ids, or their beginnings.")] = None,
    profile: Profile = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Train trials, which choose recipes on validation alone; without ids or profile, show what won.

    Example: scgcnet trials --profile cpu
    """
    _set_threads(threads)
    from scgcnet import study

    plan = study.load_plan()
    if run_id and profile:
        raise study.PlanError("name either trials or a --profile: see `scgcnet list --trials`")
    wanted = [plan.find_trial(name) for name in run_id or ()] or (plan.select_trials(profile) if profile else [])
    for spec in wanted:
        record = study.run_trial(spec, progress=not quiet)
        print(f"{record.file}  validation IoU {100 * (record.best['val_iou'] or 0):.2f} %", flush=True)
    if not wanted:
        from scgcnet.chapters.recipes import rate_table

        print(rate_table(plan, study.results.trials()))


@app.command()
def claims() -> None:
    """Print a line per claim of the paper: id, kind, verdict, condition, runs, finding; with tabs between.

    Example: scgcnet claims | cut -f 1,3
    """
    from scgcnet.chapters import claims as chapter
    from scgcnet.study import load_plan

    print(chapter.as_text(chapter.ledger(load_plan())))


@app.command("chapter")
def chapter_command(
    name: Annotated[str, typer.Argument(help="A chapter of study.yml.")],
    profile: Profile = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="Replace a parameter; VALUE is read as YAML.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Notebook to write.")] = None,
) -> None:
    """Execute one chapter into build/by-hand, or with a profile alone the book's own page.

    Example: scgcnet chapter bijie -p epochs=5
    """
    from scgcnet.study import PlanError, load_plan, notebooks, project_root

    plan = load_plan()
    if name not in plan.chapters:
        raise PlanError(f"no chapter {name!r} in study.yml: there are {', '.join(plan.chapters)}")
    changes = {}
    for text in parameter or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, not {text!r}", param_hint="-p")
        changes[key] = notebooks.parse_value(value)
    values = notebooks.chapter_parameters(plan, plan.chapters[name], profile, changes)
    # What was changed by hand must not become the book's page.
    by_hand = changes or not profile
    page = f"{notebooks.BY_HAND}/{name}.ipynb" if by_hand else notebooks.executed_file(name, str(profile))
    template = project_root() / plan.chapters[name].template
    print(notebooks.execute(template, output or project_root() / page, values))


@app.command()
def book(
    profile: Annotated[str, typer.Option(help="A profile of study.yml.")] = "smoke",
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the built book into build/book.pdf, by Chromium.")] = False,
) -> None:
    """Bind the executed chapters of a profile, or print what was bound; `make book` and `make pdf` do it all.

    Example: scgcnet book --profile cpu
    """
    from scgcnet.study import book as bound
    from scgcnet.study.runs import project_root

    if not pdf:
        print(bound.build_book(profile))
        return
    root = project_root()
    print(bound.print_book(root / bound.HTML, bound.toc_pages(root / "_toc.yml"), root / "build" / "book.pdf"))


@app.command()
def weights(
    run_id: Annotated[str, typer.Argument(help="A stored run whose weights are in build/weights.")],
    name: Annotated[str, typer.Argument(help="Name to publish them under.")],
) -> None:
    """Publish the weights of a run with the package: threshold, temperature, model card.

    Example: scgcnet weights bijie-scgcnet-tiny-cpu-s0 tiny-bijie
    """
    from scgcnet.study.publish import publish

    print(publish(run_id, name))


@app.command()
def peers(
    every: Annotated[bool, typer.Option("--all", help="Further published sizes too.")] = False,
) -> int:
    """Compare every network with published counts of parameters and MACs; exit status 1 if one disagrees.

    Example: scgcnet peers
    """
    from scgcnet.chapters.competitors import AGREES, check_counts, counts_table, published_counts

    counts = published_counts()
    checked = check_counts(counts if every else counts.groupby("network", sort=False).head(1))
    print(counts_table(checked))
    wrong = int((checked.check != AGREES).sum())
    print(f"{len(checked)} counts, {wrong or 'none'} out of tolerance", file=sys.stderr)
    return int(wrong > 0)


# ----------------------------------------------------------------------------------------------------------------- data


@data_app.command("check")
def check_data(name: Dataset, folder: Folder = None) -> int:
    """List every fault of a data set; exit status 1 if there is one.

    Example: scgcnet data check bijie
    """
    from scgcnet.data import DatasetError, check_dataset, dataset_notes, split_sha256

    faults = check_dataset(name, folder)
    for fault in faults:
        print(fault)
    for note in dataset_notes(name, folder):
        print(f"note: {note}")
    if not faults:
        try:
            split_sha256(name, 0, folder)
        except DatasetError as error:
            print(f"note: the split 0 cannot be made: {error}")
    print(f"{name}: {len(faults) or 'no'} fault{'s' * (len(faults) != 1)}", file=sys.stderr)
    return int(bool(faults))


@data_app.command("audit")
def audit_data(
    name: Dataset,
    folder: Folder = None,
    split: Annotated[str, typer.Option(help="Number or name of a split, or a CSV file.")] = "0",
) -> None:
    """Report copies, shared ground, and how much of the test part was seen in training.

    Example: scgcnet data audit bijie
    """
    from scgcnet.data.overlap import audit, report

    print(report(audit(name, split, folder)))


@data_app.command("facts")
def image_facts(name: Dataset, folder: Folder = None) -> None:
    """List which test images show a cut landslide, or built-up surroundings, in results/facts.

    Example: scgcnet data facts bijie
    """
    from scgcnet.data import open_dataset
    from scgcnet.explain.failures import describe, hard_images
    from scgcnet.study import results

    test, val = ([describe(one, name) for one in open_dataset(name, 0, part, folder)] for part in ("test", "val"))
    print(results.write_facts(name, hard_images(test, val)))


@data_app.command("fake")
def fake_data(
    name: Dataset,
    folder: Annotated[Path, typer.Argument(help="Folder to write into; use it as SCGCNET_DATA.")],
    number: Annotated[int, typer.Option("-n", min=1, help="Number of images.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the images.")] = 0,
) -> None:
    """Write a synthetic data set in the layout of a real one.

    Example: scgcnet data fake cld fakes
    """
    from scgcnet.data import write_fake

    write_fake(name, folder, n=number, seed=seed)
    print(f"wrote {number} synthetic images in the layout of {name} below {folder}")


def _set_threads(threads: int | None) -> None:
    """Before torch is imported, which reads the variable once."""
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)


INTERRUPTED = 130  # exit status of a program stopped by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 if it did what was asked, 1 if a check found faults or the user interrupted, 2 if it could not run; then one
        line on standard error says why.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console of another code page cannot show every folder's name
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app(list(arguments) if arguments is not None else None, prog_name="scgcnet", standalone_mode=False)
        sys.stdout.flush()  # here, where a closed pipe can be told from an error
        if status == INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        return int(status or 0)
    except _USAGE as error:
        error.show()
        return 2
    except (KeyboardInterrupt, SystemExit, typer.Abort) as stop:  # Lightning turns the first into the second
        if isinstance(stop.__context__, BrokenPipeError):  # typer does so too where the reader has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        kept = "a training resumes from its last whole epoch, a map from its last window"
        print(f"scgcnet: interrupted; finished work is kept: started again, {kept}", file=sys.stderr)
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


if __name__ == "__main__":
    sys.exit(main())
