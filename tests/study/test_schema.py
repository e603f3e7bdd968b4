import re
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.study.schema import closed, first_fault, read_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(20)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n + 1}: &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 10)}]}}\n" for n in range(20)
)


def test_reads_what_yaml_reads() -> None:
    text = "a: &anchor [1, 2.0e-4, true, null, text]\nb: *anchor\nc: {<<: {d: 2020-01-01}}\n"
    assert read_yaml(text) == yaml.safe_load(text)
    assert read_yaml("") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!python/object/apply:os.system [true]", r"could not determine a constructor .* \(line 1, column 1\)"),
        ("a: !!python/name:os.system", r"could not determine a constructor .* \(line 1, column 4\)"),
        (LAUGHS, "aliases stand for more than 100000 values"),
        (MERGES, "aliases stand for more than 100000 values"),
        ("&a [*a]", "or for themselves"),
        ("&a {b: *a}", "or for themselves"),
        ("[" * 5000, "nested too deeply"),
        ("2020-13-45", "month must be in 1..12"),
        ("!!timestamp x", "does not fit its tag"),
        ("!!bool x", "does not fit its tag"),
        ("a: [", r"while parsing|expected .* \(line 1, column 5\)"),
        ("a\0b", "special characters are not allowed"),
        ("1" * 5000, "integer string"),
    ],
    ids=lambda value: value[:20],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_yaml(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@given(st.text() | st.text(alphabet="[]{}:,-?!&*<>|'\"%@`# \n.0123456789aexonyt=_"))
def test_any_text_is_a_value_or_one_error(text: str) -> None:
    try:
        read_yaml(text)
    except ValueError as error:
        assert "\n" not in str(error)


#: Every keyword that the study's schemas use.
SCHEMA = closed(
    {
        "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 1},
        "kind": {"enum": ["real", "synthetic", None]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "share": {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, {"type": "null"}]},
        "pairs": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
            "uniqueItems": True,
        },
        "more": {"type": "object", "additionalProperties": closed({"n": {"type": "boolean"}})},
    },
    optional=("more",),
)
GOOD: dict[str, Any] = {
    "name": "a",
    "kind": None,
    "count": 2,
    "share": 0.5,
    "pairs": [[1, 2]],
    "more": {"x": {"n": True}},
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 12)
    | st.floats()
    | st.sampled_from(["", "a", "a\n", "real", "{0}", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["n", "x", "{y}", 1]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "unknown"]), VALUES, max_size=2))
def test_what_is_compiled_passes_what_the_schema_passes_and_no_more(changes: dict[str, Any]) -> None:
    for instance in ({**GOOD, **changes}, changes):
        valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(instance)
        assert (first_fault(instance, SCHEMA) is None) == valid


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"count": 0}, "count: 0 is less than the minimum of 1"),
        ({"count": True}, "count: True is not of type 'integer'"),
        ({"share": "2e-1"}, r"share: '2e-1' is not .*"),
        ({"pairs": [[1]]}, r"pairs\.0: \[1\] is too short"),
        ({"pairs": [[1, 2], [1, 2]]}, "pairs: .* has non-unique elements"),
        ({"other": 1}, r"top level: unknown key other \(known: name, kind, count, share, pairs, more\)"),
        ({"name": 7}, "name: 7 is not of type 'string'"),
    ],
)
def test_names_the_fault(changes: dict[str, Any], fault: str) -> None:
    assert first_fault(GOOD, SCHEMA) is None
    assert re.fullmatch(fault, str(first_fault({**GOOD, **changes}, SCHEMA)))


def test_faults_that_cannot_be_ranked() -> None:
    fault = first_fault({**GOOD, "more": {1: {"n": 0}, "x": {"n": 0}}}, SCHEMA)
    assert fault is not None and re.fullmatch("more.(1|x).n: 0 is not of type 'boolean'", fault)


def test_a_schema_in_the_place_of_another_is_not_taken_for_it() -> None:
    for kind, value in (("string", "a"), ("integer", 1)) * 50:  # each may get the memory of the one before
        assert first_fault(value, {"type": kind}) is None
