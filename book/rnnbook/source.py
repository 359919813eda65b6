"""Source code on a page, as it is installed."""

import ast
import inspect
import textwrap
from dataclasses import dataclass

__all__ = ["Source", "show_source"]


@dataclass(frozen=True)
class Source:
    """Source code as a notebook displays it."""

    code: str

    def __repr__(self):
        return self.code

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/markdown": f"```python\n{self.code}\n```", "text/plain": self.code}


def show_source(obj, *, docstring=False):
    """Display the source of a function, a method or a class, as it is installed.

    Parameters
    ----------
    obj : function, method or class
    docstring : bool
        Whether to keep the docstrings.

    Returns
    -------
    Source
        Make it the last expression of a cell, or ``display`` it.
    """
    try:
        if inspect.ismodule(obj):
            raise TypeError
        lines, _ = inspect.getsourcelines(inspect.unwrap(obj))
    except TypeError:
        message = f"obj must be a function, a method or a class, got {obj!r}"
        raise TypeError(message) from None
    code = textwrap.dedent("".join(lines)).rstrip()
    if not docstring:
        code = _without_docstrings(code)
    return Source(f"# {obj.__module__}\n{code}")


def _without_docstrings(code):
    lines = code.splitlines()
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, kinds) and len(node.body) > 1 and ast.get_docstring(node) is not None:
            first = node.body[0]
            for number in range(first.lineno - 1, first.end_lineno):
                lines[number] = None
            if first.end_lineno < len(lines) and lines[first.end_lineno] == "":
                lines[first.end_lineno] = None
    return "\n".join(line for line in lines if line is not None)
