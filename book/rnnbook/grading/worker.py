"""What runs in the sandbox: the cells of a student, and calls of the functions that they define.

Each line of the input is a request in JSON, each line of the output an answer. Nothing here is
trusted: the code of the student runs in the same process and can change all of it.
"""

import base64
import io
import json
import os
import sys
from importlib.abc import MetaPathFinder

from rnnbook.grading.exchange import LARGEST, pack, unpack

LONGEST = 10_000  # characters kept of what a cell prints
FIGURES = 4


class _Printed(io.TextIOBase):
    """Keeps the beginning of what is printed."""

    text = ""

    def write(self, text):
        self.text += text[: LONGEST - len(self.text)]
        return len(text)


class _Refused(MetaPathFinder):
    """Refuses imports."""

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        given = name == "rnnbook" or (name + ".").startswith("rnnbook.grading.")
        if top in self.names and not given:
            raise ModuleNotFoundError(f"{top} may not be used in this assignment", name=name)


def _short(error):
    return f"{type(error).__name__}: {error}"[:300]


def _figures():
    """The open figures as PNG."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    found = []
    for number in pyplot.get_fignums()[:FIGURES] if pyplot else ():
        image = io.BytesIO()
        pyplot.figure(number).savefig(image, format="png", dpi=80)
        found.append(base64.b64encode(image.getvalue()).decode())
    if pyplot:
        pyplot.close("all")
    return found


def _shell():
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    shell.showtraceback = shell.showsyntaxerror = lambda *args, **options: None
    shell.enable_matplotlib = lambda gui=None: ("agg", "agg")  # figures are collected below
    return shell


def _run(shell, source):
    printed = sys.stdout = sys.stderr = _Printed()
    done = shell.run_cell(source, store_history=False)
    error = done.error_before_exec or done.error_in_exec
    try:
        figures = _figures()
    except Exception as problem:
        figures, error = [], error or problem
    return {"printed": printed.text, "error": _short(error) if error else None, "png": figures}


def _value(names, request):
    """What a name stands for, or what its function returns."""
    name = request["name"]
    if name not in names:
        return {"wrong": f"there is no `{name}`"}
    value = names[name]
    if "args" in request:
        if not callable(value):
            return {"wrong": f"`{name}` is no function"}
        try:
            value = value(*unpack(request["args"]))
        except BaseException as error:
            return {"wrong": f"`{name}` raised {_short(error)}"}
    try:
        return {"value": pack(value)}
    except BaseException as error:
        return {"wrong": f"what `{name}` is or returns cannot be graded: {_short(error)}"}


def _main():
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for place in (0, 1, 2):
        os.dup2(nothing, place)
    shell = _shell()
    for line in requests:
        request = json.loads(line)
        if "refuse" in request:
            sys.meta_path.insert(0, _Refused(request["refuse"]))
            answer = {}
        elif "run" in request:
            answer = _run(shell, request["run"])
        else:
            answer = _value(shell.user_ns, request)
        text = json.dumps(answer | {"id": request["id"]})
        if len(text) > LARGEST:
            text = json.dumps({"wrong": "the answer is larger than 32 MB", "id": request["id"]})
        answers.write(text.encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    _main()
