"""`scgcnet bench`: what is measured on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from scgcnet.cli.values import Groups, numbers, reals


def add(groups: Groups) -> None:
    """Add the group of commands to the command line."""
    bench = groups.add_parser("bench", help="what is measured on this machine: time, memory, maps, image sizes")
    timed = argparse.ArgumentParser(add_help=False)
    timed.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, not how fast")
    timed.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="(default: %(default)s)")
    timed.add_argument("--json", type=Path, help="file to write the numbers to")
    timed.add_argument("--against", type=Path, help="file of an earlier run to compare with")
    what = bench.add_subparsers(required=True, metavar="all | scan | network | data | scene | seams | sides")
    for name, parts, about in (
        ("all", ["scan", "network"], "the scan and the networks"),
        ("scan", ["scan"], "the selective scan: every backend against plain PyTorch"),
        ("network", ["network"], "the networks: training, inference, and where the time goes"),
    ):
        part = what.add_parser(name, parents=[timed], help=about)
        part.set_defaults(command=_all_or_part, parts=parts)
    images = what.add_parser("data", help="reading and augmenting images, beside training on them")
    images.add_argument("name", help="data set, such as bijie")
    images.add_argument(
        "dir", nargs="?", type=Path, help="folder with the data sets' own folders (default: SCGCNET_DATA or data)"
    )
    images.set_defaults(command=_data)
    scene = what.add_parser("scene", help="a synthetic scene: memory and speed")
    scene.add_argument("--side", type=int, default=20_000, help="pixels of each side (default: %(default)s)")
    scene.add_argument("--window", type=int, default=1024, help="as for map (default: %(default)s)")
    scene.add_argument("--model", default="tiny-bijie", help="as for map (default: %(default)s)")
    scene.add_argument("--json", type=Path, help="file to write the numbers to")
    scene.set_defaults(command=_scene)
    seams = what.add_parser("seams", help="real mosaics cut in several ways: seams, IoU and time by window size")
    seams.add_argument("--windows", type=numbers, default=(128, 256, 512, 1024), help="sides (default: 128 to 1024)")
    seams.add_argument("--scales", type=reals, default=(1.0, 0.5), help="as --scale of map (default: 1,0.5)")
    seams.add_argument("--model", default="tiny-bijie", help="as for map (default: %(default)s)")
    seams.add_argument("--json", type=Path, help="file to write the numbers to")
    seams.set_defaults(command=_seams)
    sides = what.add_parser("sides", help="trained networks fed validation images at several sizes: IoU")
    sides.add_argument("--sides", type=numbers, default=(64, 96, 128, 192, 256), help="(default: 64 to 256)")
    sides.add_argument("--json", type=Path, help="file to write the numbers to")
    sides.set_defaults(command=_sides)


def _all_or_part(options: argparse.Namespace) -> None:
    from scgcnet.bench import bench

    bench(options.parts, options.device, options.quick, options.json, options.against)


def _data(options: argparse.Namespace) -> None:
    from scgcnet.bench_images import bench_data

    bench_data(options.name, options.dir)


def _scene(options: argparse.Namespace) -> None:
    from scgcnet.bench_images import bench_scene

    bench_scene(options.side, options.model, options.window, options.json)


def _seams(options: argparse.Namespace) -> None:
    from scgcnet.bench_images import bench_seams

    bench_seams(options.model, options.windows, options.scales, options.json)


def _sides(options: argparse.Namespace) -> None:
    from scgcnet.bench_images import bench_sides

    bench_sides(options.sides, options.json)
