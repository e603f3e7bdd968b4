"""Trials: the same few recipes for every network, judged on validation, so that none is tuned more than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scgcnet.study.plan import Plan, Run, at_home
from scgcnet.study.store import Trial


@dataclass(frozen=True)
class Choice:
    """What the trials of one network say.

    Attributes:
        model: name for `create_model`.
        size: preset.
        profile: name in study.yml.
        dataset: name for `open_dataset`.
        found: learning rate and stored trial, None where it has not been made, in the order of study.yml.
        run: the network's planned run with the same split and seed that takes the best rate; where none does, or a
            trial is missing, the first of them.
    """

    model: str
    size: str
    profile: str
    dataset: str
    found: dict[float, Trial | None]
    run: Run

    @property
    def best(self) -> float | None:
        """The rate of the highest validation IoU, the first of equals; None while a trial is missing."""
        return _best(self.found)

    @property
    def taken(self) -> float:
        """The learning rate of the run."""
        return float(self.run.settings["lr"])


def choices(plan: Plan, trials: Sequence[Trial]) -> list[Choice]:
    """One for each network that study.yml makes trials of.

    Args:
        plan: the study.
        trials: stored trials; those that study.yml does not plan are left out.
    """
    stored = {trial.run_id: trial for trial in trials}
    networks: dict[tuple[str, str, str, str], list[Run]] = {}
    for planned in plan.trials:
        networks.setdefault((planned.dataset, planned.model, planned.size, planned.profile), []).append(planned)
    found = []
    for (dataset, model, size, profile), tried in networks.items():
        scores = {float(run.settings["lr"]): stored.get(run.run_id) for run in tried}
        candidates = [
            run
            for run in plan.select(profile)
            if (run.dataset, run.model, run.size) == (dataset, model, size)
            and (run.split, run.seed) == (tried[0].split, tried[0].seed)
            and run.unaltered
            and at_home(run.config)
        ]
        best = _best(scores)
        run = next((run for run in candidates if run.settings["lr"] == best), candidates[0])
        found.append(Choice(model, size, profile, dataset, scores, run))
    return found


def _best(found: dict[float, Trial | None]) -> float | None:
    scores = {lr: trial.val_iou for lr, trial in found.items() if trial is not None}
    return max(scores, key=lambda lr: scores[lr]) if len(scores) == len(found) else None
