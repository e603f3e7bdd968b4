"""Trials: the same few recipes for every network, judged on validation, so that none is tuned more than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scgcnet.study.plan import Plan, Run
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
        taken: the learning rate of the network's runs in study.yml.
    """

    model: str
    size: str
    profile: str
    dataset: str
    found: dict[float, Trial | None]
    taken: float

    @property
    def best(self) -> float | None:
        """The rate of the highest validation IoU, the first of equals; None while a trial is missing."""
        scores = {lr: trial.val_iou for lr, trial in self.found.items() if trial is not None}
        return max(scores, key=lambda lr: scores[lr]) if len(scores) == len(self.found) else None


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
    return [
        Choice(
            model,
            size,
            profile,
            dataset,
            found={float(run.settings["lr"]): stored.get(run.run_id) for run in runs},
            taken=float(plan.settings(dataset, model, size, profile)["lr"]),
        )
        for (dataset, model, size, profile), runs in networks.items()
    ]
