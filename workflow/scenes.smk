"""Many scenes mapped on a cluster, a job each; on one machine `scgcnet map FOLDER --out MAPS` does the same.

    snakemake -s workflow/scenes.smk --profile workflow/profiles/slurm --config scenes=FOLDER out=MAPS options="--window 128"

Started again, it resumes the maps that were killed.
"""

import sys
from pathlib import Path

from scgcnet.scene.many import find_scenes

SCENES = {scene.stem: scene.absolute() for scene in find_scenes([Path(config["scenes"])])}
OUT = Path(config["out"])


rule all:
    input:
        [OUT / name / "report.json" for name in SCENES],


rule scene:
    output:
        OUT / "{name}" / "report.json",
    params:
        scene=lambda wildcards: SCENES[wildcards.name],
        folder=lambda wildcards: OUT / wildcards.name,
        options=config.get("options", ""),
    threads: 1
    resources:
        mem_mb=1500,
    shell:
        "{sys.executable} -m scgcnet.cli map {params.scene:q} --out {params.folder:q} --quiet {params.options}"
