"""Submissions for the tests of the grading: a release, with some answers replaced."""

import json
from pathlib import Path

HERE = Path(__file__).parent
TINY = HERE / "data" / "coursework"


def answered(source, answers):
    """A notebook in which the cells that `answers` names say something else."""
    for cell in source["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        cell["source"] = answers.get(name, cell["source"])
    return source


def hand_in(folder, student, source):
    """Write a submission, with lines as Jupyter saves them, and return its path."""
    cells = [one | {"source": one["source"].splitlines(keepends=True)} for one in source["cells"]]
    source = source | {"cells": cells}
    path = folder / student / "answers.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(source), encoding="utf-8")
    return path


def but(source, *changes):
    """An answer with some places changed, `(old, new)`, each of which occurs exactly once."""
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(f"{old!r} occurs {source.count(old)} times")
        source = source.replace(old, new)
    return source
