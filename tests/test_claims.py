import json
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from rnnbook.claims import ClaimError, check, together


def checked(**settings):
    return check("C1.1", "The sky is blue.", **settings)


@pytest.mark.parametrize(
    ("settings", "bound"),
    [
        ({"measured": 1.0, "at_most": 1}, "≤ 1"),
        ({"measured": 1, "at_least": 1.0}, "≥ 1"),
        ({"measured": 2, "at_least": 1, "at_most": 2}, "between 1 and 2"),
        ({"measured": np.float32(0.5), "at_most": np.array(0.5)}, "≤ 0.5"),
        ({"measured": "the sea is, too", "holds": True}, ""),
        ({"measured": 3, "holds": np.bool_(True)}, ""),
        ({"measured": -math.inf, "at_most": 0}, "≤ 0"),
    ],
)
def test_what_is_within_its_bound_holds(settings, bound):
    claim = checked(**settings)
    assert (claim.verdict, claim.bound) == ("holds", bound)
    with pytest.raises(ClaimError, match="holds"):
        checked(**settings, expected="differs")


@pytest.mark.parametrize(
    "settings",
    [
        {"measured": 1.5, "at_most": 1},
        {"measured": 0.5, "at_least": 1},
        {"measured": 3, "at_least": 1, "at_most": 2},
        {"measured": 0, "at_least": 1, "at_most": 2},
        {"measured": math.inf, "at_most": 1},
        {"measured": "grey", "holds": False},
    ],
)
def test_what_is_outside_differs(settings):
    assert checked(**settings, expected="differs").verdict == "differs"
    with pytest.raises(ClaimError) as raised:
        checked(**settings)
    assert "C1.1" in str(raised.value)
    assert str(settings["measured"]) in str(raised.value)


@pytest.mark.parametrize("expected", ["holds", "differs"])
@pytest.mark.parametrize("decision", [{"at_most": 1}, {"at_least": 1}, {"holds": True}])
def test_nan_decides_nothing(expected, decision):
    with pytest.raises(ClaimError, match="NaN decides nothing"):
        checked(measured=math.nan, **decision, expected=expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"measured": 1}, "either bounds"),
        ({"measured": 1, "at_most": 1, "holds": True}, "either bounds"),
        ({"measured": 1, "at_most": math.nan}, "at_most must be a number, got NaN"),
        ({"measured": "1", "at_most": 1}, "measured must be one real number, got '1'"),
        ({"measured": np.ones(2), "at_most": 1}, "measured must be one real number"),
        ({"measured": True, "at_most": 1}, "measured must be one real number, got True"),
        ({"measured": 1, "holds": 1}, "holds must be True or False, got 1"),
        ({"measured": 1, "at_most": 1, "expected": "maybe"}, "expected must be .* got 'maybe'"),
        ({"measured": 1, "at_least": 2, "at_most": 1}, "at_least must not exceed at_most"),
    ],
)
def test_a_check_that_cannot_decide_is_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        checked(**settings)


@pytest.mark.parametrize("identifier", ["1.1", "C1", "C1.1 ", "c1.1", 1.1])
def test_identifiers_have_one_form(identifier):
    with pytest.raises(ValueError, match=r"identifier must be of the form 'C1\.1'"):
        check(identifier, "The sky is blue.", measured=1, at_most=1)


def test_digits_are_added_where_three_would_contradict_the_verdict():
    claim = checked(measured=1.0001, at_most=1.0, expected="differs")
    assert (claim.measured, claim.bound) == ("1.0001", "≤ 1.0")


def records(shown):
    """The records in what a notebook displays, in order."""
    root = ElementTree.fromstring(shown._repr_mimebundle_()["text/html"])
    assert root.tag == "details"
    return [json.loads(box.attrib["data-record"]) for box in root.iter("div")]


def test_what_is_displayed_carries_the_record_and_the_anchor():
    claim = check("C1.1", "a < b & c", measured="<", holds=True, note="so & so")
    data = claim._repr_mimebundle_()
    (record,) = records(claim)
    assert record["statement"] == "a < b & c"
    assert record["verdict"] == "holds"
    assert f'id="{record["anchor"]}"' in data["text/html"]
    assert "a &lt; b &amp; c" in data["text/html"]
    assert "a < b & c" in data["text/plain"]
    assert re.fullmatch(r"[\w-]+", claim.anchor)  # the theme takes it for a CSS selector
    other = check("C1.1", "another statement", measured="<", holds=True)
    assert other.anchor != claim.anchor


def test_several_checks_share_a_line_and_keep_their_records():
    first = checked(measured=1, at_most=1)
    second = check("C1.2", "One is two.", measured=1, at_least=2, expected="differs")
    shown = together("A & B.", first, second)
    data = shown._repr_mimebundle_()
    assert [record["identifier"] for record in records(shown)] == ["C1.1", "C1.2"]
    assert 'class="rnn-claim rnn-differs"' in data["text/html"]
    assert "<summary>Claims C1.1, C1.2: A &amp; B." in data["text/html"]
    assert str(first) in data["text/plain"]
    assert str(second) in data["text/plain"]
    holding = together("A.", first, first)._repr_mimebundle_()["text/html"]
    assert 'class="rnn-claim rnn-holds"' in holding


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((" ",), "title must be a text, got ' '"), (("A.", 1), "claims must come from check, got 1")],
)
def test_only_checks_are_shown_together(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        together(*arguments)
