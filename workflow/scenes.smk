"""Several scenes mapped, each a job of its own: what `scgcnet map` calls for more than one.

In the working folder, tasks.json has for each name the scene, the folder to write and the options; a job leaves NAME.done
with its line, or NAME.log with what went wrong.
"""

import json
import sys
from pathlib import Path

TASKS = json.loads(Path("tasks.json").read_text("utf-8"))
MAP = [sys.executable, "-m", "scgcnet.cli", "map"]


def command(wildcards):
    task = TASKS[wildcards.name]
    return [*MAP, task["scene"], "--out", task["out"], *task["arguments"]]


rule all:
    input:
        [f"{name}.done" for name in TASKS],


rule scene:
    output:
        "{name}.done",
    log:
        said="{name}.said",
        faults="{name}.log",
    params:
        command=command,
    threads: 1
    resources:
        mem_mb=1500,
    shell:
        # In two steps: the profile keeps what a job that failed has begun to write.
        "{params.command:q} > {log.said:q} 2> {log.faults:q} && cp {log.said:q} {output:q}"
