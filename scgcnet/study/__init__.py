"""The study: the plan (study.yml), its runs, their stored results, and the book."""

from scgcnet.study import results
from scgcnet.study.pages import chapter_runs, obtain, obtain_trials, page_profile, real_profile
from scgcnet.study.plan import Plan, load_plan
from scgcnet.study.results import Record, ResultError
from scgcnet.study.runner import data_parts, open_test, run, run_trial
from scgcnet.study.runs import PlanError, Run, project_root

__all__ = [
    "Plan",
    "PlanError",
    "Record",
    "ResultError",
    "Run",
    "chapter_runs",
    "data_parts",
    "load_plan",
    "obtain",
    "obtain_trials",
    "open_test",
    "page_profile",
    "project_root",
    "real_profile",
    "results",
    "run",
    "run_trial",
]
