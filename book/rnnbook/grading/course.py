"""The course folder, which nbgrader keeps: releases, grade book, feedback, export."""

import csv
import json
import logging
import os
import sys
import zipfile

from rnnbook.grading.grader import load_tests
from rnnbook.grading.submission import STUB, TEXT_STUB, load_notebook
from rnnbook.grading.testing import Report


def _nbgrader(course):
    """nbgrader, with its execution replaced: results are in the notebooks before it sees them."""
    from nbgrader import preprocessors
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    programs = os.path.dirname(sys.executable)  # nbgrader calls alembic, which is there
    if programs not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]
    config = Config()
    config.CourseDirectory.root = str(course.resolve())
    config.CourseDirectory.db_url = f"sqlite:///{course.resolve()}/gradebook.db"
    config.ClearSolutions.code_stub = {"python": f"...  {STUB}"}
    config.ClearSolutions.text_stub = TEXT_STUB
    config.Autograde.sanitize_preprocessors = [
        preprocessors.DeduplicateIds,
        preprocessors.OverwriteKernelspec,
        preprocessors.OverwriteCells,
        preprocessors.CheckCellMetadata,
    ]
    config.Autograde.autograde_preprocessors = [
        preprocessors.SaveAutoGrades,
        preprocessors.CheckCellMetadata,
    ]
    api = NbGraderAPI(config=config)
    api.log_level = logging.ERROR
    return api


def release_path(course, name):
    """Where the student version of an assignment is."""
    return course / "release" / name / f"{name}.ipynb"


def grades_path(course, name):
    """Where the grades of an assignment are."""
    return course / "grades" / f"{name}.csv"


def release(course, source):
    """Make the student version of an assignment, as .ipynb and as .zip."""
    name = source.stem
    notebook = load_notebook(source)
    cells = [cell["metadata"]["nbgrader"]["grade_id"] for cell in notebook["cells"]]
    refused = list(load_tests(source.with_suffix(".py")).HIDDEN)
    notebook["metadata"]["rnnbook"] = {"assignment": name, "cells": cells, "refused": refused}
    copied = course / "source" / name / f"{name}.ipynb"
    copied.parent.mkdir(parents=True, exist_ok=True)
    _write(copied, notebook)
    _done(_nbgrader(course).generate_assignment(name, force=True))
    path = release_path(course, name)
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return path


def outdated(course, source):
    """Whether an assignment has changed since its student version was made."""
    made = course / "source" / source.stem / source.name
    return made.exists() and load_notebook(made)["cells"] != load_notebook(source)["cells"]


def _write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _done(result):
    if not result["success"]:
        raise RuntimeError("".join(result.get(key, "") for key in ("log", "error")))


def record(course, name, graded):
    """Put results into the grade book."""
    for one in graded:
        for cell in one.notebook["cells"]:
            about = cell["metadata"].get("nbgrader", {})
            if about.get("grade") and not about["solution"]:
                report = one.reports.get(_task(about), Report())
                cell["outputs"] = _result(report, about["points"])
        _write(course / "submitted" / one.student / name / f"{name}.ipynb", one.notebook)
    _done(_nbgrader(course).autograde(name, "*"))


def _task(about):
    return about["grade_id"].removeprefix("test_")


def _result(report, points):
    """The outputs of a test: sentences, and a number that nbgrader takes as partial credit."""
    earned = min(report.earned, points)
    lines = [f"{earned:g} of {points:g} points"]
    for one in report:
        mark = "✗" if one.wrong else "✓"
        lines.append(f"{mark} {one.label} ({one.earned:g} of {one.points:g})")
        lines += [f"    {one.wrong}"] if one.wrong else []
    lines += [report.unfinished] if report.unfinished else []
    return [
        {"output_type": "stream", "name": "stdout", "text": "\n".join(lines)},
        {
            "output_type": "execute_result",
            "execution_count": None,
            "metadata": {},
            "data": {"text/plain": f"{earned:g}"},
        },
    ]


def add_manual_points(course, name, table):
    """Enter the points of a table: student, task, points, comment."""
    with open(table, newline="", encoding="utf-8-sig") as file, _nbgrader(course).gradebook as book:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                at = (row["task"], name, name, row["student"])
                grade, comment = book.find_grade(*at), book.find_comment(*at)
                points = float(row["points"])
                if not 0 <= points <= grade.max_score:
                    raise ValueError(f"points are from 0 to {grade.max_score:g}, got {points:g}")
            except KeyError as error:
                raise ValueError(f"{table} has no column {error}, separated by commas") from None
            except (ValueError, LookupError) as error:
                raise ValueError(f"{table}, line {number}: {error}") from None
            grade.manual_score, grade.needs_manual_grade = points, False
            comment.manual_comment = row.get("comment") or None
        book.db.commit()


def export(course, name, graded):
    """Write the feedback pages and the table of grades, and return the rows of that."""
    nbgrader, rows = _nbgrader(course), []
    _done(nbgrader.generate_feedback(name))
    with nbgrader.gradebook as book:
        for one in graded:
            row, remarks = {}, list(one.remarks)
            cells = [cell["metadata"].get("nbgrader", {}) for cell in one.notebook["cells"]]
            for about in (about for about in cells if about.get("grade")):
                task = _task(about)
                grade = book.find_grade(about["grade_id"], name, name, one.student)
                row[task], row[f"{task} (of)"] = grade.score, grade.max_score
                if grade.needs_manual_grade and grade.manual_score is None:
                    remarks.append(f"{task} is to be graded by hand")
            submission = book.find_submission_notebook(name, name, one.student)
            total = {"total": submission.score, "total (of)": submission.max_score}
            rows.append({"student": one.student, **row, **total, "remarks": "; ".join(remarks)})
    path = grades_path(course, name)
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return rows


def _harmless(value):
    """Text that no spreadsheet takes for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(tuple("=+-@\t\r")) else value
