"""The shape of study.yml, as a JSON schema; what the keys mean is said in study.yml and in plan.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scgcnet.study.schema import closed

_NAME = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}
_TEXT = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 1}
_WHOLE = {"type": "integer", "minimum": 0}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_OF_POOL = {**_POSITIVE, "maximum": 20}  # percent: scgcnet/data/increments.py
_OPEN_SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
_NOT_NEGATIVE = {"type": "number", "minimum": 0}
_CLAIMS = {"type": "array", "items": _NAME, "uniqueItems": True}

# Every setting is a field of scgcnet.train.TrainConfig, spelled out because that class imports torch;
# tests/study/test_plan.py holds the two together.
SETTING_KEYS: dict[str, Any] = {
    "image_size": {"type": "integer", "minimum": 32},
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "optimizer": {"enum": ["adam", "adamw"]},
    "lr": _POSITIVE,
    "betas": {"type": "array", "items": _SHARE, "minItems": 2, "maxItems": 2},
    "weight_decay": _NOT_NEGATIVE,
    "warmup_epochs": _NOT_NEGATIVE,
    "gradient_clip": _NOT_NEGATIVE,
    "ema_decay": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "precision": {"enum": ["32", "bf16"]},
    "loss": closed({"dwce": _SHARE, "focal": _SHARE, "lovasz": _SHARE}),
    "focal_exponent": _NOT_NEGATIVE,
    "augment": closed(
        {
            "scale": {"type": "array", "items": _POSITIVE, "minItems": 2, "maxItems": 2},
            "hflip": _SHARE,
            "vflip": _SHARE,
            "rot90": {"type": "boolean"},
            "brightness": _SHARE,
            "contrast": _SHARE,
            "saturation": _SHARE,
            "hue": {"type": "number", "minimum": 0, "maximum": 0.5},
            "tint": _SHARE,
            "resolution": {"type": "array", "items": _POSITIVE, "minItems": 2, "maxItems": 2},
        },
        optional=("tint", "resolution"),
    ),
    "sampling": {"enum": ["proportional", "equal"]},
    "epoch_images": _WHOLE,
}
#: Added when runs were stored already: a profile without them means what it meant, and its runs keep their ids.
LATER_KEYS = ("sampling", "epoch_images")
SETTINGS = closed(SETTING_KEYS, optional=LATER_KEYS)
_PROFILE = closed({"about": _TEXT, "data": {"enum": ["real", "synthetic"]}, **SETTING_KEYS}, optional=LATER_KEYS)
_SPLIT = {"anyOf": [_WHOLE, {"type": "string", "pattern": "^[a-z]+-[0-9]+$"}]}
_ONE_OR_MORE = {"anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1, "uniqueItems": True}]}
_RUN = closed(
    {
        "dataset": _ONE_OR_MORE,
        "model": _ONE_OR_MORE,
        "size": _NAME,
        "profile": _NAME,
        "train": {"type": "array", "items": _NAME, "minItems": 1, "uniqueItems": True},
        "increments": closed(
            {
                "by": {"enum": ["patch", "site"]},
                "percents": {
                    "type": "array",
                    "items": _OF_POOL,
                    "minItems": 1,
                    "uniqueItems": True,
                },
                "settings": {"type": "object"},
            }
        ),
        "splits": {"type": "array", "items": _SPLIT, "minItems": 1, "uniqueItems": True},
        "seeds": {"type": "array", "items": _WHOLE, "minItems": 1, "uniqueItems": True},
        "priority": _COUNT,
        "claims": _CLAIMS,
        "settings": {"type": "object"},
        "prediction": closed(
            {"views": {"enum": [1, 2, 8]}, "thresholds": {"type": "array", "items": _OPEN_SHARE, "minItems": 1}}
        ),
        "overrides": {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}, "minItems": 1}]},
    },
    optional=("claims", "settings", "prediction", "overrides", "train", "increments"),
)
_SAMPLE = {"dataset": _NAME, "profile": _NAME, "split": _WHOLE, "seed": _WHOLE}  # what a trial is made on
_NETWORK = {"model": _NAME, "size": _NAME}
_TRIALS = closed(
    {
        **_SAMPLE,
        "lr": {"type": "array", "items": _POSITIVE, "minItems": 2, "uniqueItems": True},
        "settings": {"type": "object"},
    }
)
_LOSS_WEIGHTS = closed({**_SAMPLE, **_NETWORK, "steps": {**_COUNT, "maximum": 100}, "settings": {"type": "object"}})
_RECIPES = closed(
    {
        **_SAMPLE,
        **_NETWORK,
        "settings": {"type": "array", "items": {"type": "object"}, "minItems": 1, "uniqueItems": True},
    }
)
_CONSTRUCTIONS = closed(
    {
        **_SAMPLE,
        **_NETWORK,
        "settings": {"type": "object"},
        "overrides": {"type": "array", "items": {"type": "object"}, "minItems": 1, "uniqueItems": True},
    }
)
_CHAPTER = closed(
    {
        "template": {"type": "string", "pattern": r"^[\w/-]+\.ipynb$"},
        "parameters": {"type": "object", "propertyNames": _NAME},
        "last": {"type": "boolean"},
        "title": _TEXT,
    },
    optional=("parameters", "last", "title"),
)
_EXHIBIT = closed({"title": _TEXT, "claims": _CLAIMS})


def _named(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": _NAME, "additionalProperties": item}


PLAN = closed(
    {
        "profiles": _named(_PROFILE),
        "runs": {"type": "array", "items": _RUN},
        "trials": {"type": "array", "items": _TRIALS},
        "loss_weights": {"type": "array", "items": _LOSS_WEIGHTS},
        "recipes": {"type": "array", "items": _RECIPES},
        "constructions": {"type": "array", "items": _CONSTRUCTIONS},
        "chapters": _named(_CHAPTER),
        "exhibits": _named(_EXHIBIT),
    },
    optional=("trials", "loss_weights", "recipes", "constructions"),
)
