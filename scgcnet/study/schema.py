"""One checker for what people and programs hand to the study: study.yml and the run files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema


def closed(properties: Mapping[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """JSON schema of an object with these keys and no others; all are required but the `optional` ones."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [key for key in properties if key not in optional],
        "additionalProperties": False,
    }


def first_fault(instance: object, schema: Mapping[str, Any]) -> str | None:
    """The most telling violation of `schema`, as "key.path: what is wrong", or None where there is none."""
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(instance))
    if error is None:
        return None
    path = ".".join(str(key) for key in error.absolute_path) or "top level"
    if error.validator == "additionalProperties" and "properties" in error.schema:
        known = list(error.schema["properties"])
        unknown = [key for key in error.instance if key not in known]
        return f"{path}: unknown key {', '.join(map(str, unknown))} (known: {', '.join(known)})"
    message = error.message if len(error.message) < 200 else error.message[:200] + " ..."
    if error.validator == "type" and isinstance(error.instance, str) and _reads_as_number(error.instance):
        message += " (YAML reads 2e-4 as text: write 2.0e-4)"
    return f"{path}: {message}"


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
