"""Releases of assignments, and grades of submissions."""

import argparse
import os
import re
import secrets
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from rnnbook.grading import course as courses
from rnnbook.grading.grader import Assignment, grade_submission
from rnnbook.grading.sandbox import problem
from rnnbook.grading.submission import find_submissions

SECRET = Path("~/.config/rnnpedagogy/secret")


def _arguments(given):
    parser = argparse.ArgumentParser(prog="python -m rnnbook.grading", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    release = commands.add_parser("assignments", help="make the student versions")
    grade = commands.add_parser("grade", help="grade a folder of submissions")
    grade.add_argument("name", help="name of the assignment")
    grade.add_argument("submissions", type=Path, help="folder: STUDENT/*.ipynb or STUDENT.ipynb")
    grade.add_argument("--secret", type=Path, default=SECRET, help="file that tests draw from")
    grade.add_argument("--jobs", type=int, default=2, help="submissions at the same time")
    grade.add_argument("--limit", type=float, default=60, help="seconds for a submission")
    grade.add_argument("--manual", type=Path, help="CSV: student,task,points,comment")
    grade.add_argument("--unsafe", action="store_true", help="no sandbox: your own risk")
    release.add_argument("names", nargs="*", help="names of assignments; all without")
    for command in (release, grade):
        command.add_argument("--course", type=Path, default=Path("_grading"), help="its folder")
        command.add_argument("--source", type=Path, default=Path("notebooks/assignments"))
    return parser.parse_args(given)


def _assignments(options):
    known = {path.stem: path for path in sorted(options.source.glob("*.ipynb"))}
    unknown = set(options.names) - set(known)
    if unknown or not known:
        raise SystemExit(f"{options.source} has {sorted(known)}, not {sorted(unknown) or 'more'}")
    for name in options.names or known:
        print(courses.release(options.course, known[name]))


def _secret(path):
    """The teacher's secret, made at the first use; never in a repository."""
    path = path.expanduser().resolve()
    if any((folder / ".git").exists() for folder in path.parents):
        raise SystemExit(f"{path} lies in a repository: give --secret a file outside")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        print(f"made a secret for the hidden tests: {path}; keep it")
    secret = path.read_text(encoding="utf-8").strip()
    if len(re.findall(r"\w", secret)) < 8:
        raise SystemExit(f"{path} has to hold at least eight letters or digits")
    return secret


def _grade(options):
    name, course = options.name, options.course
    source = options.source / f"{name}.ipynb"
    if not source.is_file():
        raise SystemExit(f"there is no {source}: which assignment is it?")
    if not options.submissions.is_dir():
        raise SystemExit(f"{options.submissions} is no folder of submissions")
    if not options.unsafe and (what_to_do := problem()):
        raise SystemExit(what_to_do)
    released = courses.release_path(course, name)
    if not released.exists():
        courses.release(course, source)
    secret = _secret(options.secret)
    folders = options.source, course, options.submissions, options.secret.expanduser().parent
    hidden = tuple(folder.resolve() for folder in folders)
    tests, limit = source.with_suffix(".py"), options.limit
    known = Assignment(name, tests, released, secret, limit, options.unsafe, hidden)
    found = find_submissions(options.submissions)
    if not found:
        raise SystemExit(f"{options.submissions} holds no submission")
    with ProcessPoolExecutor(options.jobs) as pool:
        graded = list(pool.map(partial(grade_submission, known), found, found.values()))
    courses.record(course, name, graded)
    if options.manual:
        courses.add_manual_points(course, name, options.manual)
    for row in courses.export(course, name, graded):
        print(f"{row['student']}: {row['total']:g} of {row['total (of)']:g}. {row['remarks']}")
    print(f"{courses.grades_path(course, name)}, {course / 'feedback'}")
    if courses.outdated(course, source):
        print(f"{source} is not what the student version was made from: grades may be too low")


def main(given=None):
    """Run a command."""
    options = _arguments(given)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="nbgrader")
            {"assignments": _assignments, "grade": _grade}[options.command](options)
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
