"""Submissions for the tests of the grading: a release, with some answers replaced."""

import json
from pathlib import Path

HERE = Path(__file__).parent
TINY = HERE / "data" / "coursework"


def notebook(path):
    """A notebook with the source of each cell as one text."""
    found = json.loads(path.read_text(encoding="utf-8"))
    for cell in found["cells"]:
        cell["source"] = "".join(cell["source"])
    return found


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
