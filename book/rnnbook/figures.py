"""The house style of the figures, and how a figure gets onto a page that has light, dark and paper.

A figure is drawn in a neutral ink on a transparent ground. On the page it becomes an SVG whose ink
is the page's own text colour, so that it can be read in the light and in the dark; the other
colours are chosen to stand out on both.
"""

import base64
import hashlib
import html
import io
import re
import sys
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

from rnnpedagogy._validation import an_instance, finite, takes

__all__ = ["COLOURS", "INK", "Picture", "figure", "show"]

#: Colour of axes, text and reference lines, which the page replaces by its own text colour.
INK = "#737475"

#: Colours of data (blue, vermilion, green, violet, brown), taken in this order.
COLOURS = ("#0072b2", "#d55e00", "#00a878", "#8d3fd6", "#94573f")

#: Width of the book's text column in inches.
WIDTH = 7.0

STYLE = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "figure.dpi": 96,
    "figure.edgecolor": "none",
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.alpha": 0.3,
    "grid.color": INK,
    "hatch.color": INK,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "mathtext.fontset": "dejavusans",
    "patch.edgecolor": INK,
    "savefig.dpi": 144,
    "savefig.facecolor": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "rnnpedagogy",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": INK,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}


@dataclass(frozen=True)
class Picture:
    """What a notebook displays of a figure: for a page, for paper, and as a sentence."""

    html: str
    png: bytes
    alt: str

    def __repr__(self):
        return f"[Figure: {self.alt}]"

    def _repr_mimebundle_(self, include=None, exclude=None):
        png = base64.b64encode(self.png).decode()
        return {"text/html": self.html, "image/png": png, "text/plain": repr(self)}


@takes(width=finite, height=finite)
def figure(*, width=WIDTH, height=3.2, **subplots):
    """Make a figure in the house style, which stays switched on.

    Parameters
    ----------
    width, height : float
        Size in inches; the default width fills the book's column.
    **subplots
        Passed on to `matplotlib.figure.Figure.subplots`, for example ``ncols=2, sharey=True``.

    Returns
    -------
    (Figure, Axes or array of Axes)
    """
    for name, value in (("width", width), ("height", height)):
        if not 0 < value <= 20:
            raise ValueError(f"{name} must be between 0 and 20 inches, got {value!r}")
    matplotlib.rcParams.update(STYLE)
    drawing = Figure(figsize=(width, height), layout="constrained")
    return drawing, drawing.subplots(**subplots)


@takes(fig=an_instance(Figure))
def show(fig, *, alt):
    """Turn a figure into what a page displays, and close it.

    Parameters
    ----------
    fig : Figure
    alt : str
        What is to be seen, for a reader who does not see it: the finding, not the kind of plot.

    Returns
    -------
    Picture
        Make it the last expression of a cell, or ``display`` it.
    """
    check_alt(alt)
    picture = svg(fig)
    prefix = f"rnn-{hashlib.sha256((picture + alt).encode()).hexdigest()[:8]}-"
    page = f'<figure class="rnn-figure">{with_alt(prefixed(picture, prefix), alt)}</figure>'
    image = png(fig)
    close(fig)
    return Picture(html=page, png=image, alt=alt)


def check_alt(alt):
    """Refuse an alternative text that cannot say what is to be seen."""
    if not isinstance(alt, str) or len(alt.split()) < 4:
        raise ValueError(f"alt must say in at least four words what is to be seen, got {alt!r}")


def close(fig):
    """Forget a figure that was made with pyplot, or the notebook shows it a second time."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)


def png(fig):
    """Draw a figure on white, for paper."""
    image = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        fig.savefig(image, format="png", facecolor="white", metadata={"Software": None})
    return image.getvalue()


def svg(fig):
    """Draw a figure as an SVG element: transparent, the ink left to the page, small."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(STYLE):
        fig.savefig(text, format="svg", metadata=nothing)
    picture = text.getvalue()
    picture = picture[picture.index("<svg") :]
    picture = re.sub(r"data:image/png;base64,([^\"]*)", _with_palette, picture)
    # A style element would hold for the whole page; as a property of the root it is inherited.
    picture = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", picture, flags=re.DOTALL)
    root = 'style="max-width:100%;height:auto;stroke-linejoin:round;stroke-linecap:butt"'
    picture = picture.replace("<svg", f"<svg {root}", 1)
    picture = picture.replace(INK, "currentColor")
    # What nobody refers to, and digits that nobody sees.
    picture = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", picture, flags=re.DOTALL)
    picture = re.sub(r"<g id=\"[^\"]*\"", "<g", picture)
    picture = re.sub(r"\s+", " ", picture).replace("> <", "><").replace("xlink:href", "href")
    picture = re.sub(r"(?<= )(?:x|y)=\"[^\"]*\"|translate\([^)]*\)", _short_numbers, picture)
    picture = re.sub(r"(?<= d=\")[^\"]*", _short_path, picture)
    return re.sub(r"(?<= style=\")[^\"]*", _without_spaces, picture).strip()


def prefixed(picture, prefix):
    """Put `prefix` before every identifier, so that pictures on one page do not share any."""
    return re.sub(r"(?<= id=\")|(?<=href=\"#)|(?<=url\(#)", prefix, picture)


def with_alt(picture, alt):
    """Tell a screen reader what an SVG element shows."""
    return picture.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


def _short_numbers(match):
    """Round to a hundredth of a point."""

    def short(number):
        return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")

    return re.sub(r"-?\d+\.\d+", short, match[0])


def _short_path(match):
    """Round, and write no spaces and no repeated commands where a path can do without."""
    path = re.sub(r" ?([A-Za-z]) ?", r"\1", _short_numbers(match))
    return path if re.search("[CQ]", path) else path.replace("L", " ")


def _without_spaces(match):
    return re.sub(r"(?<=[:;]) ", "", match[0])


def _with_palette(match):
    """Store a dense part of a figure, which matplotlib drew as pixels, with 64 colours."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(re.sub(r"\s", "", match[1]))))
    small = io.BytesIO()
    image.convert("RGBA").quantize(64, Image.Quantize.FASTOCTREE).save(small, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"
