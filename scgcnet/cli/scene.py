"""`scgcnet map`: landslides of whole scenes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scgcnet.cli.values import Groups, count, number_or_auto, numbers, pair


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    mapper = groups.add_parser(
        "map", help="landslides of whole scenes, for a GIS; exit status 1 if one of several failed"
    )
    mapper.add_argument("scene", nargs="+", type=Path, help="rasters, such as GeoTIFFs, or folders of such")
    mapper.add_argument("--out", type=Path, required=True, help="folder to write; of several scenes, with one for each")
    mapper.add_argument("--model", default=None, help="published weights by name, or a file of weights "
                        "(default: tiny-multisource)")  # fmt: skip
    mapper.add_argument("--window", type=int, default=1024, help="side of what the network sees at once, pixels of the "
                        "working grid (default: %(default)s)")  # fmt: skip
    mapper.add_argument("--overlap", type=float, default=0.25, help="share of a window that the next one sees as well, "
                        "0 to 0.5 (default: %(default)s)")  # fmt: skip
    mapper.add_argument("--threshold", type=number_or_auto, help="probability above which a pixel is landslide; auto: "
                        "the one best on validation, which the weights carry (default: auto)")  # fmt: skip
    mapper.add_argument("--min-area", type=float, default=100.0, help="smallest polygon, square metres; pixels where "
                        "the scene has no coordinate reference system (default: %(default)s)")  # fmt: skip
    mapper.add_argument("--bands", type=numbers, help="which bands are red, green and blue, such as 4,3,2 (default: "
                        "those that the scene marks so, else the first three)")  # fmt: skip
    mapper.add_argument("--range", type=pair, dest="value_range", metavar="LOW,HIGH", help="values that are shown "
                        "black and white (default: the 2nd and 98th percentile; 8 bits as they are); --range=-5,300 "
                        "where LOW is negative")  # fmt: skip
    mapper.add_argument("--scale", type=number_or_auto, help="pixels of the working grid for one of the scene; auto: "
                        "what brings the scene to the ground resolution that the weights know")  # fmt: skip
    mapper.add_argument("--jobs", type=count, help="of several scenes, how many at a time (default: one for each core)")
    mapper.add_argument("--quiet", action="store_true", help="no progress bar")
    mapper.set_defaults(command=_map)


def _map(options: argparse.Namespace) -> int:
    from scgcnet.scene import MapOptions, map_scene
    from scgcnet.scene.many import find_scenes, map_scenes
    from scgcnet.zoo import DEFAULT

    how = MapOptions(**{name: getattr(options, name) for name in MapOptions.__dataclass_fields__})
    model = options.model or DEFAULT
    scenes = find_scenes(options.scene)
    if len(options.scene) == 1 and not options.scene[0].is_dir():
        done = map_scene(scenes[0], options.out, model, how, progress=not options.quiet)
        print(done.summary if done.fresh else f"{done.summary} (it was there already)")
        return 0
    failed = 0
    for one in map_scenes(scenes, options.out, model, how, options.jobs):
        failed += isinstance(one, str)
        print(one if isinstance(one, str) else one.summary, flush=True)
        for note in [] if isinstance(one, str) else one.report["scene"]["notes"]:
            print(f"  note: {note}")
    print(f"{len(scenes)} scene{'s' * (len(scenes) != 1)}, {failed or 'none'} failed", file=sys.stderr)
    return int(failed > 0)
