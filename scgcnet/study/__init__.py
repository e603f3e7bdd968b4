"""The study: what is to be run (plan), what was run (store), and what it says (statistics, tables)."""

from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import read_looks
from scgcnet.study.material import data_parts
from scgcnet.study.plan import Plan, PlanError, Run, project_root
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.runner import run, weights_for
from scgcnet.study.selection import chapter_runs, obtain, obtain_trials, page_profiles
from scgcnet.study.store import Record, Trial, load_all, load_trials

__all__ = [
    "Plan",
    "PlanError",
    "Record",
    "Run",
    "StoreError",
    "Trial",
    "chapter_runs",
    "data_parts",
    "load_all",
    "load_plan",
    "load_trials",
    "obtain",
    "obtain_trials",
    "page_profiles",
    "project_root",
    "read_looks",
    "run",
    "weights_for",
]
