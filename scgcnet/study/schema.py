"""One checker for what people and programs hand to the study: YAML by hand, study.yml, and the run files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
import jsonschema
import yaml

#: By the identity of a schema: it, so that no other takes its place in memory, and what it was compiled to.
_COMPILED: dict[int, tuple[Mapping[str, Any], Callable[[object], object]]] = {}
_LARGEST = 100_000  # values in a YAML text with every alias written out; study.yml has under 1000


def read_yaml(text: str) -> Any:
    """The plain values of a YAML text.

    No tag makes a Python object, and aliases that stand for more than they could by hand are refused: nine lines
    of ten aliases each would fill the memory as soon as somebody walks through them or prints them.

    Raises:
        ValueError: it is no such text; the message is one line.
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded(node, {}) > _LARGEST:
            raise ValueError(f"its aliases stand for more than {_LARGEST} values, or for themselves")
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(_one_line(error.problem or error.context) + where) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(_one_line(error)) from None
    except (AttributeError, LookupError, TypeError):  # what PyYAML makes of `!!timestamp x` or `!!bool x`
        raise ValueError("a value does not fit its tag") from None


def _expanded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Nodes below this one, each counted as often as aliases repeat it."""
    if id(node) not in sizes:
        sizes[id(node)] = _LARGEST  # met again before it is known: an alias for what holds it
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        pairs = [item if isinstance(item, tuple) else (item,) for item in inner]
        sizes[id(node)] = 1 + sum(_expanded(child, sizes) for pair in pairs for child in pair)
    return sizes[id(node)]


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def closed(properties: Mapping[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """JSON schema of an object with these keys and no others; all are required but the `optional` ones."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [key for key in properties if key not in optional],
        "additionalProperties": False,
    }


def first_fault(instance: object, schema: Mapping[str, Any]) -> str | None:
    """The most telling violation of `schema`, as "key.path: what is wrong", or None where there is none.

    A page reads hundreds of files, nearly all without a fault: a compiled check, thirty times as fast, passes them.
    """
    if _fits(instance, schema):
        return None
    validator = jsonschema.Draft202012Validator(schema)
    try:
        error = jsonschema.exceptions.best_match(validator.iter_errors(instance))
    except TypeError:  # it cannot rank faults under keys of which one is a text and another a number
        error = next(validator.iter_errors(instance))
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


def _fits(instance: object, schema: Mapping[str, Any]) -> bool:
    """Whether there is no violation; False says that there may be one, such as a value of a key that is no text."""
    if id(schema) not in _COMPILED:
        compiled = fastjsonschema.compile(dict(schema), use_default=False, use_formats=False)
        _COMPILED[id(schema)] = schema, compiled
    try:
        _COMPILED[id(schema)][1](instance)
    except (fastjsonschema.JsonSchemaValueException, TypeError):
        return False
    return True


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
