"""Submissions: found in a folder, read without trust, rebuilt from the release."""

import copy
import io
import json
import re
import stat
import zipfile

LARGEST = 20 * 2**20  # bytes of a notebook
SUFFIXES = (".ipynb", ".zip")
MOODLE = re.compile(r"_\d+_assignsubmission_\w+$")
STUB = "# your answer here"
TEXT_STUB = "*Your answer here.*"


class Unreadable(ValueError):  # noqa: N818 – its text is a remark
    """A submission that cannot be read; the text says why."""


def find_submissions(folder):
    """Student → file, or None where a student's folder has none.

    ``folder/Ada Lovelace/….ipynb`` and ``folder/Ada Lovelace.ipynb`` are both Ada Lovelace's; .zip
    as well. The ending that Moodle gives is cut.
    """
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__")):
            continue
        if path.is_dir():
            files = [one for one in sorted(path.iterdir()) if one.suffix in SUFFIXES]
            file, name = (files[-1] if files and not path.is_symlink() else None), path.name
        elif path.suffix in SUFFIXES:
            file, name = path, path.stem
        else:
            continue
        student = MOODLE.sub("", name)
        student = re.sub(r"[^\w .@'-]", "_", student).strip(" .") or "_"
        if student in found:  # two of one name: Moodle's numbers tell them apart
            student = re.sub(r"[^\w .@'-]", "_", name)
        found[student] = file
    return found


def load_notebook(path):
    """A notebook of ours, the source of each cell as one text."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def read_cells(path):
    """The cells of a submission, as (grade_id or None, cell_type, source), and its kernel."""
    if path is None:
        raise Unreadable("there is no notebook")
    text = _content(path)
    try:
        notebook = json.loads(text)
        cells = [_cell(one) for one in notebook["cells"]]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise Unreadable(f"{path.name} is no notebook") from None
    try:
        kernel = str(notebook["metadata"]["kernelspec"]["language"])[:40]
    except (KeyError, TypeError):
        kernel = "python"
    return cells, kernel


def _content(path):
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Unreadable(f"{path.name} is no file but a link or something else")
    if path.stat().st_size > LARGEST:
        raise Unreadable(f"{path.name} is larger than {LARGEST // 2**20} MB")
    content = path.read_bytes()
    if path.suffix != ".zip":
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = [
                one
                for one in archive.infolist()
                if one.filename.endswith(".ipynb") and not one.filename.startswith("__MACOSX")
            ]
            if len(inside) != 1:
                raise Unreadable(f"{path.name} holds {len(inside)} notebooks")
            with archive.open(inside[0]) as file:  # what it says of its size is not trusted
                content = file.read(LARGEST + 1)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        raise Unreadable(f"{path.name} is no archive that can be read") from error
    if len(content) > LARGEST:
        raise Unreadable(f"{path.name} holds more than {LARGEST // 2**20} MB")
    return content


def _cell(cell):
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(source)
    text = text.encode(errors="replace").decode()
    metadata = cell.get("metadata")
    about = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = about.get("grade_id") if isinstance(about, dict) else None
    return (name if isinstance(name, str) else None), str(cell["cell_type"]), text


def stated_name(cells):
    """The name that the student has put into the cell `name`; empty where there is none."""
    source = "\n".join(text for name, _, text in cells if name == "name")
    stated = re.findall(r"""^NAME\s*=\s*(["'])(.+)\1""", source, re.MULTILINE)
    return stated[-1][1] if stated else ""


def rebuild(release, cells):
    """The release with the answers of a submission, and what was changed in it.

    Answers are found by their `grade_id`; of several cells with one the last is taken, as in a
    kernel. Cells that the student added stay behind the cell that they followed. Text of the
    student's is fenced, so that nothing in it is markup.
    """
    names = [cell["metadata"]["nbgrader"]["grade_id"] for cell in release["cells"]]
    given, added, place, remarks = {}, {}, None, []
    for name, kind, text in cells:
        if name in names:
            if name in given:
                remarks.append(f"there are several cells {name}: the last one counts")
            given[name], place = text, name
        elif text.strip():
            added.setdefault(place, []).append((kind, text))
    rebuilt = copy.deepcopy(release)
    rebuilt["cells"] = [_new_cell(*one) for one in added.get(None, [])]
    for name, cell in zip(names, copy.deepcopy(release["cells"]), strict=True):
        about, text = cell["metadata"]["nbgrader"], given.get(name)
        if text is None:
            remarks.append(f"cell {name} is missing")
        elif not about["solution"]:
            if text.strip() != cell["source"].strip() and cell["cell_type"] == "code":
                remarks.append(f"cell {name} was changed")
        elif text.strip() != cell["source"].strip():
            cell["source"] = text if cell["cell_type"] == "code" else _fence(text)
        rebuilt["cells"] += [cell, *(_new_cell(*one) for one in added.get(name, []))]
    return rebuilt, remarks


def _new_cell(kind, text):
    if kind == "code":
        empty = {"execution_count": None, "outputs": []}
        return {"cell_type": "code", "metadata": {}, "source": text} | empty
    return {"cell_type": "markdown", "metadata": {}, "source": _fence(text)}


def _fence(text):
    """Text as a block that Markdown shows as it is."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{text}\n{ticks}"
