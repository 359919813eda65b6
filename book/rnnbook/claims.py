"""What a page asserts: a statement, the number that was measured, and whether it holds."""

import hashlib
import html
import json
import math
import numbers
import re
from dataclasses import asdict, dataclass

__all__ = ["Claim", "ClaimError", "Claims", "check", "together"]

VERDICTS = ("holds", "differs")


class ClaimError(AssertionError):
    """A claim came out otherwise than the page says."""


@dataclass(frozen=True)
class Claim:
    """A checked statement; displayed by a notebook, it is what the claims page lists.

    Attributes
    ----------
    identifier : str
        As in the list of claims, for example ``"C1.1"``.
    statement : str
        What is claimed, as plain text.
    measured : str
        The number (or the finding) that decides.
    bound : str
        What `measured` had to fulfil; empty when the page decided by other means.
    verdict : str
        ``"holds"`` or ``"differs"``.
    note : str
        How the number came about, or why it differs; may be empty.
    """

    identifier: str
    statement: str
    measured: str
    bound: str
    verdict: str
    note: str = ""

    @property
    def anchor(self):
        """The HTML id of the claim, the same in every build."""
        digest = hashlib.sha256(self.statement.encode()).hexdigest()
        return f"claim-{self.identifier.replace('.', '-')}-{digest[:8]}"

    def __str__(self):
        required = f", required {self.bound}" if self.bound else ""
        text = f"Claim {self.identifier}: {self.statement}\n"
        text += f"Measured {self.measured}{required}: {self.verdict}."
        return text + (f"\n{self.note}" if self.note else "")

    def _repr_mimebundle_(self, include=None, exclude=None):
        title = f"Claim {self.identifier}: {html.escape(self.statement)}"
        return {
            "text/html": _folded(self.verdict, title, self._box()),
            "text/plain": str(self),
        }

    def _box(self):
        """What is folded away: the numbers, and the record that the claims page reads."""
        text = {name: html.escape(value) for name, value in asdict(self).items()}
        required = f", required {text['bound']}" if self.bound else ""
        note = f"<p>{text['note']}</p>" if self.note else ""
        record = html.escape(json.dumps(asdict(self) | {"anchor": self.anchor}))
        return (
            f'<div class="rnn-record" id="{self.anchor}" data-record="{record}">'
            f"<p>{self.identifier}. {text['statement']}</p>"
            f'<p>Measured {text["measured"]}{required}: <strong class="rnn-verdict">'
            f"{self.verdict}</strong>.</p>{note}</div>"
        )


@dataclass(frozen=True)
class Claims:
    """Several checked statements under one visible line."""

    title: str
    claims: tuple

    def __str__(self):
        return "\n".join([self.title, *map(str, self.claims)])

    def _repr_mimebundle_(self, include=None, exclude=None):
        differs = any(claim.verdict == "differs" for claim in self.claims)
        names = ", ".join(dict.fromkeys(claim.identifier for claim in self.claims))
        title = f"Claims {names}: {html.escape(self.title)}"
        boxes = "".join(claim._box() for claim in self.claims)
        return {
            "text/html": _folded(VERDICTS[differs], title, boxes),
            "text/plain": str(self),
        }


def together(title, *claims):
    """Show several checks as one line; each stays an entry of the claims page.

    Parameters
    ----------
    title : str
        What the checks say together, as plain text.
    *claims : Claim
        From `check`.
    """
    if not (isinstance(title, str) and title.strip()):
        raise ValueError(f"title must be a text, got {title!r}")
    for claim in claims:
        if not isinstance(claim, Claim):
            raise TypeError(f"claims must come from check, got {claim!r}")
    return Claims(title, claims)


def _folded(verdict, title, boxes):
    """One line to be seen, which opens on a click."""
    return (
        f'<details class="rnn-claim rnn-{verdict}"><summary>{title} '
        f'<strong class="rnn-verdict">({verdict})</strong></summary>{boxes}</details>'
    )


def check(
    identifier,
    statement,
    *,
    measured,
    at_most=None,
    at_least=None,
    holds=None,
    expected="holds",
    note="",
):
    """Assert a claim, and return it for display.

    Parameters
    ----------
    identifier : str
        As in the list of claims; write it as a literal, the book looks for it.
    statement : str
        What is claimed, as plain text.
    measured : float or str
        The number that decides; with `holds` it may be a short text.
    at_most, at_least : float, optional
        Bounds on `measured`, inclusive; both together make an interval.
    holds : bool, optional
        The decision itself, instead of a bound.
    expected : {"holds", "differs"}
        What was found, and is asserted from now on.
    note : str, optional
        How the number came about, or why it differs.

    Returns
    -------
    Claim
        Make it the last expression of a cell, or ``display`` it: only what is displayed is listed.

    Raises
    ------
    ClaimError
        If the verdict is not the expected one, or `measured` is NaN, which decides nothing.
    """
    if not (isinstance(identifier, str) and re.fullmatch(r"C\d+\.\d+", identifier)):
        raise ValueError(f"identifier must be of the form 'C1.1', got {identifier!r}")
    if not (isinstance(statement, str) and statement.strip()):
        raise ValueError(f"statement must be a text, got {statement!r}")
    if not isinstance(note, str | None):
        raise ValueError(f"note must be a text, got {note!r}")
    if expected not in VERDICTS:
        raise ValueError(f"expected must be 'holds' or 'differs', got {expected!r}")
    bounds = [
        _number(name, value)
        for name, value in (("at_least", at_least), ("at_most", at_most))
        if value is not None
    ]
    if bool(bounds) == (holds is not None):
        raise ValueError("give either bounds (at_most, at_least) or holds, and not both")
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        raise ValueError(f"at_least must not exceed at_most, got {bounds[0]} and {bounds[1]}")

    if bounds:
        measured = _number("measured", measured)
        verdict = (at_least is None or measured >= at_least) and (
            at_most is None or measured <= at_most
        )
    else:
        if not isinstance(measured, str):
            measured = _number("measured", measured)
        verdict = _boolean(holds)
    shown, *shown_bounds = _texts(measured, *bounds)
    if len(bounds) == 2:
        bound = f"between {shown_bounds[0]} and {shown_bounds[1]}"
    elif bounds:
        bound = f"{'≤' if at_least is None else '≥'} {shown_bounds[0]}"
    else:
        bound = ""
    claim = Claim(identifier, statement, shown, bound, VERDICTS[not verdict], note or "")
    if isinstance(measured, float) and math.isnan(measured):
        raise ClaimError(f"{claim}\nNaN decides nothing.")
    if claim.verdict != expected:
        raise ClaimError(f"{claim}\nThe page says that it {expected}.")
    return claim


def _plain(value):
    """Turn a NumPy scalar or an array without axes into Python's own number."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _number(name, value):
    """Return `value` as an int or a float; NaN is left to the caller."""
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be one real number, got {value!r}")
    if name != "measured" and math.isnan(value):
        raise ValueError(f"{name} must be a number, got NaN")
    return value if isinstance(value, int) else float(value)


def _boolean(holds):
    holds = _plain(holds)
    if not isinstance(holds, bool):
        raise TypeError(f"holds must be True or False, got {holds!r}")
    return holds


def _texts(measured, *bounds):
    """Write numbers with three digits, or all of them where three would not tell them apart."""
    texts = [_text(value) for value in (measured, *bounds)]
    if any(
        texts[0] == text and measured != bound
        for text, bound in zip(texts[1:], bounds, strict=True)
    ):
        texts = [str(value) for value in (measured, *bounds)]
    return texts


def _text(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)
