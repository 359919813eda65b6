"""Source code on a page."""

import pytest
from rnnbook.source import show_source


class Example:
    """A class."""

    def method(self, x):
        """Double, in

        several lines.
        """

        return 2 * x  # twice


def test_source_is_shown_without_docstrings_and_indentation():
    shown = show_source(Example.method)
    assert shown.code == f"# {__name__}\ndef method(self, x):\n    return 2 * x  # twice"
    assert shown._repr_mimebundle_()["text/markdown"] == f"```python\n{shown.code}\n```"


def test_source_may_keep_docstrings():
    assert '"""A class."""' in show_source(Example, docstring=True).code
    assert '"""' not in show_source(Example).code


@pytest.mark.parametrize("obj", [3, "text", len])
def test_what_has_no_source_is_refused(obj):
    with pytest.raises(TypeError, match="obj must be a function, a method or a class"):
        show_source(obj)
