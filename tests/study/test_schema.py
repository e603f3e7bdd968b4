import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.study.schema import read_yaml

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
