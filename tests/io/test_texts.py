"""JSON and TOML that were made to take long, to exhaust the stack or to hold numbers that are none: one reason each."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.io.fields import Fields
from spquant_snn.io.reading import Flaw
from spquant_snn.io.texts import did_you_mean, parse_json, parse_object, parse_toml, short, tomllib

DEEP = 100_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON"),
        ("\ufeff{}", "it is not JSON"),
        ("[" * DEEP, "it is not JSON"),
        ("[" * DEEP + "]" * DEEP, "it is not JSON"),
        ("[" * 40 + "]" * 40, "nested more than 32 levels"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested more than 32 levels"),
        ("1" * 5000, "a number of 5000 digits"),
        ("1" * 400, "a number of 400 digits"),
        ("0." + "1" * 5000, "a number of 5002 digits"),
        ("1e400", "holds the number 1e400, which is too large"),
        ("-1e400", "which is too large"),
        ("[Infinity]", "holds Infinity, which is not a number"),
        ("-Infinity", "holds -Infinity"),
        ("NaN", "holds NaN"),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
    ],
)
def test_json_is_bounded(text, reason):
    with pytest.raises(Flaw, match=reason) as refused:
        parse_json(text.encode())
    assert str(refused.value).isprintable()


def test_bytes_that_are_no_text_are_refused():
    for parse in (parse_json, parse_toml):
        with pytest.raises(Flaw, match="invalid start byte"):
            parse(b"\xff{}")


def test_what_is_no_object_is_refused():
    assert parse_object(b'{"a": [1]}') == {"a": [1]}
    for text, kind in ((b"[1, 2]", "a list of 2"), (b"null", "None"), (b'"a"', "'a'")):
        with pytest.raises(Flaw, match=f"it is {kind}, not a JSON object"):
            parse_object(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = " + "[" * DEEP, "line 1 is nested more than 32 levels"),
        ("\nx = " + "{a = " * 100 + "1" + "}" * 100, "line 2 is nested more than 32 levels"),
        ('"""\n\n"""\nx = ' + "[" * 40 + "]" * 40, "line 4 is nested"),
        (".".join("a" * 9) + " = 1", "line 1 has a key of 9 parts, more than 8"),
        ("[" + ".".join("a" * 9) + "]", "a key of 9 parts"),
        ("x = {" + " . ".join("a" * 20_000) + " = 1}", "a key of 20000 parts"),
        (".".join(['"a.b"'] * 20) + " = 1", "a key of 20 parts"),
        (".".join(["'#'"] * 20) + " = 1", "a key of 20 parts"),
        ('x = {a = """b"""", ' + ".".join("c" * 20) + ' = "d"}', "a key of 20 parts"),
        ("x = " + "1" * 5000, "Exceeds the limit|a number of"),
        ("x = " + "1" * 400, "a number of 1326 bits"),
        ("x = 0x" + "f" * 100_000, "a number of 400000 bits"),
        ("x = 'a", "Expected"),
        ("x = \n", "Invalid value"),
    ],
)
def test_toml_is_bounded(text, reason):
    with pytest.raises(Flaw, match=reason) as refused:
        parse_toml(text.encode())
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "x = 'a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a'  # b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b",
        'x = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[" \\\n'.replace(" \\", ""),
        'x = """a"b""c\\"""d"""""\ny = 1.5',
        "x = '''a'b''c'''''\r\ny = [1.5, 2.5, 1e3]\r\n",
        'x = "\\\\" # "\ny = "\\""',
        "a.b.c.d.e.f.g.h = 1",
        "x = [" + "0.5, " * 1000 + "]",
    ],
)
def test_toml_within_bounds_is_read_as_it_is(text):
    assert parse_toml(text.encode()) == tomllib.loads(text)


def steps(action):
    """Lines of Python that an action runs, here and in what it calls."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except Flaw:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "make",
    [
        lambda n: ".".join("a" * n) + " = 1",
        lambda n: "\n".join(f"x{i}" + ".a" * 7 + " = 1" for i in range(n // 8)),
        lambda n: 'x = """' + '\\"""' * n,
        lambda n: "x = '" * n,
        lambda n: '"' * n,
        lambda n: "x = [" + "[]," * n + "]",
    ],
)
def test_the_steps_that_toml_takes_grow_with_its_length(make):
    small, large = (steps(lambda n=n: parse_toml(make(n).encode())) for n in (500, 4000))
    assert large < 12 * small + 1000


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), st.lists, max_leaves=8))
def test_json_within_bounds_is_read_as_it_is(value):
    assert parse_json(json.dumps({"a": value}).encode()) == {"a": value}


ODD = [None, True, "3", [], {}, 1.5, -1, 10**31, 1e308]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_field_is_what_is_asked_for_or_a_flaw(value):
    def fields():
        return Fields({"a": value})

    asked = {
        "integer": lambda: fields().integer("a", 0, 9),
        "whole_numbers": lambda: fields().whole_numbers("a", 3, 0, 9) or None,
        "number": lambda: fields().number("a", 0, 9),
        "flag": lambda: fields().flag("a"),
        "text": lambda: fields().text("a", 9),
        "row": lambda: fields().row("a", 9),
        "inner": lambda: fields().inner("a"),
        "absent": lambda: fields().integer("b", 0, 9),
    }
    good = {"number": 1.5, "flag": True, "text": "3", "row": [], "whole_numbers": []}
    for name, take in asked.items():
        fits = name in good and type(good[name]) is type(value) and value == good[name]
        if fits or (name == "inner" and value == {}):
            take()
        else:
            with pytest.raises(Flaw, match=r"^a is .*, not|^it has no key 'b'"):
                take()
    assert fields().has("a") == (value is not None)


@pytest.mark.parametrize("key", ["\x1b[31m", "\ud800", "a\nb", "x" * 5000])
def test_a_key_of_the_file_in_a_message_can_be_printed(key):
    with pytest.raises(Flaw) as refused:
        Fields({key: {key: 1}}).inner(key).row(key, 3)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def test_a_value_in_a_message_is_short():
    assert short([1] * 99) == "a list of 99"
    assert short(10**10_000) == "a number of 33220 bits"
    assert len(short("x" * 999)) == 60
    assert short("\x1b") == "'\\x1b'"


def test_the_nearest_name_is_said_where_one_is_near():
    assert did_you_mean("minst", ["digits", "mnist"]) == "; did you mean 'mnist'?"
    assert did_you_mean("epoch", ["epochs", "seed"], ": ") == ": did you mean 'epochs'?"
    assert did_you_mean("wings", ["epochs", "seed"]) == ""
    assert did_you_mean("x" * 100_000, ["x" * 100 + "y"]) != ""
