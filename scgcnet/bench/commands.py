"""`scgcnet bench`: time and memory of this machine. What is measured is imported when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scgcnet.arguments import REALS, WHOLES, Dataset, Folder, Json, Model

app = typer.Typer(help="Time and memory of this machine.", no_args_is_help=True)
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Quick = Annotated[bool, typer.Option("--quick", help="Small sizes: shows that it runs, not how fast.")]
Against = Annotated[Path | None, typer.Option(help="File of an earlier run to compare with.")]


def _bench_part(name: str, parts: list[str], text: str) -> None:
    def command(device: Device = "cpu", quick: Quick = False, json: Json = None, against: Against = None) -> None:
        from scgcnet.bench.timings import bench

        bench(parts, device, quick, json, against)

    command.__doc__ = f"{text}\n\nExample: scgcnet bench {name} --quick"
    app.command(name)(command)


_bench_part("all", ["scan", "network"], "Time the scan and the networks.")
_bench_part("scan", ["scan"], "Time the selective scan: every backend against plain PyTorch.")
_bench_part("network", ["network"], "Time the networks: training, inference, and where the time goes.")


@app.command("data")
def bench_data_command(name: Dataset, folder: Folder = None) -> None:
    """Time reading and augmenting images beside training on them.

    Example: scgcnet bench data bijie
    """
    from scgcnet.bench.images import bench_data

    bench_data(name, folder)


@app.command("scene")
def bench_scene_command(
    side: Annotated[int, typer.Option(help="Pixels of each side.")] = 20_000,
    window: Annotated[str, typer.Option(help="As for map.")] = "auto",
    scale: Annotated[str, typer.Option(help="As for map.")] = "auto",
    model: Model = "lite0-multisource",
    cores: Annotated[str, typer.Option(help="Numbers of cores.")] = "1",
    repeats: Annotated[int, typer.Option(min=1, help="Maps of each kind; the median counts.")] = 1,
    against: Annotated[Path | None, typer.Option(help="Another checkout, which takes turns with this one.")] = None,
    json: Json = None,
) -> None:
    """Map a large synthetic scene: memory and speed.

    Example: scgcnet bench scene --side 2000 --cores 1,2
    """
    from scgcnet.bench.images import bench_scene

    options = {name: value for name, value in (("window", window), ("scale", scale)) if value != "auto"}
    bench_scene(side, model, options, WHOLES(cores), repeats, against, json)


@app.command("seams")
def bench_seams_command(
    windows: Annotated[str, typer.Option(help="Sides of the windows.")] = "128,256,512,1024",
    scales: Annotated[str, typer.Option(help="As --scale of map.")] = "1,0.5",
    model: Model = "tiny-bijie",
    json: Json = None,
) -> None:
    """Map real mosaics with several windows: seams, IoU and time.

    Example: scgcnet bench seams --windows 128,256
    """
    from scgcnet.bench.images import bench_seams

    bench_seams(model, WHOLES(windows), REALS(scales), json)


@app.command("sides")
def bench_sides_command(
    sides: Annotated[str, typer.Option(help="Sides of the square input, pixels.")] = "64,96,128,192,256",
    json: Json = None,
) -> None:
    """Score trained networks on validation images at several sizes.

    Example: scgcnet bench sides --sides 64,128
    """
    from scgcnet.bench.images import bench_sides

    bench_sides(WHOLES(sides), json)


@app.command("labels")
def bench_labels_command(
    run_id: Annotated[str, typer.Argument(help="A stored run that leaves AMU-Net or Sichuan out.")],
    counts: Annotated[str, typer.Option(help="Numbers of labelled windows.")] = "5,20,80",
    minutes: Annotated[float, typer.Option(min=0.01, help="Time of each training.")] = 4,
    json: Json = None,
) -> None:
    """Train on a few labelled windows of a place never seen, and score other ground of it.

    Example: scgcnet bench labels amunet-scgcnet-lite0 --counts 5,20
    """
    from scgcnet.bench.labels import bench_labels

    bench_labels(run_id, WHOLES(counts), minutes, json)


@app.command("export")
def bench_export_command(json: Json = None) -> None:
    """Export every network: nodes, size, difference from PyTorch, and time. Takes an hour on a slow machine.

    Example: scgcnet bench export --json build/export.json
    """
    from scgcnet.bench.onnx import bench_export

    bench_export(json)
