"""A student's notebook checks itself before it is handed in."""

import json
import re
import time
from collections import Counter
from pathlib import Path

from rnnbook.grading.submission import STUB, TEXT_STUB, Unreadable, read_cells, stated_name

LIMIT = 120  # seconds for a cell


def check_notebook(path):
    """Say in sentences what a notebook lacks, or that it is ready to be handed in.

    The saved file is read, and run from its top in a kernel of its own: what only lives in the
    kernel that calls this does not count.

    Parameters
    ----------
    path : str or path
        The notebook, made from the release of an assignment.

    Examples
    --------
    >>> from rnnbook.grading import check_notebook
    >>> check_notebook("my_answers.ipynb")
    There is no my_answers.ipynb: save the notebook, and give check_notebook its name.
    """
    if not isinstance(path, str | Path):
        raise TypeError(f"path must be the name of a file, got {path!r}")
    path = Path(path)
    print("\n".join(_missing(path) or [f"Ready: hand in {path.name}, {_saved(path)}."]))


def _saved(path):
    return f"saved at {time.strftime('%H:%M', time.localtime(path.stat().st_mtime))}"


def _missing(path):
    if not path.is_file():
        return [f"There is no {path}: save the notebook, and give check_notebook its name."]
    try:
        cells, _ = read_cells(path)
        whole = path.read_text(encoding="utf-8")
        released = json.loads(whole)["metadata"]["rnnbook"]
    except Unreadable as reason:
        return [f"It cannot be read: {reason}."]
    except KeyError:
        return [f"{path} is not made from the release of an assignment."]
    found = [] if stated_name(cells) else ['Your name is missing: NAME = "…" in the first cell.']
    count = Counter(name for name, _, _ in cells)
    for name in released["cells"]:
        if count[name] != 1:
            there = "is missing" if not count[name] else f"is there {count[name]} times"
            found.append(f"The cell {name} of the assignment {there}.")
    for name, _, text in cells:
        if name != "name" and (STUB in text or TEXT_STUB in text):
            found.append(f"{name} still says “your answer here”.")
        for package in re.findall(r"^\s*(?:import|from)\s+([\w.]+)", text, re.MULTILINE):
            if package.partition(".")[0] in released["refused"] and package != "rnnbook.grading":
                found.append(f"{package} is imported, which this assignment does not allow.")
    found += _failing(whole, path)
    return [*found, f"This is about {path}, {_saved(path)}."] if found else []


def _failing(whole, path):
    """Run a notebook and say what fails."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    notebook = nbformat.reads(whole, as_version=4)
    notebook.cells = [one for one in notebook.cells if "check_notebook(" not in one.source]
    client = NotebookClient(
        notebook,
        timeout=LIMIT,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # what a kernel warns of is not the student's
        allow_errors=True,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    try:
        client.execute()
    except (CellTimeoutError, DeadKernelError) as error:
        return [f"The notebook does not run to its end: {type(error).__name__}."]
    found = []
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "a cell of yours")
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                kind = "" if output.ename == "Wrong" else f"{output.ename}: "
                found.append(f"{name}: {kind}{output.evalue}")
    return found
