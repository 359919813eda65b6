"""What several pages draw: maps, branches, multipliers, phase planes, bands over seeds, tables.

Functions that begin with ``draw`` put something into axes that a page has made with `figure`, and
leave labels, titles and limits that belong to one page to that page.
"""

import html
import re
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import ListedColormap

from rnnbook.figures import COLOURS, INK, figure
from rnnbook.sliders import explore
from rnnpedagogy.dynamics import find_fixed_points, orbit_diagram

__all__ = [
    "Table",
    "draw_branch",
    "draw_cobweb",
    "draw_multipliers",
    "draw_noisy_map",
    "draw_phase_plane",
    "explore_bifurcations",
    "principal_plane",
    "table",
]


def draw_cobweb(axes, system, start, *, steps=30, colour=COLOURS[1]):
    r"""Draw the graph of a map of [-1, 1], the diagonal, and the staircase of an orbit between.

    From :math:`(x_t, x_t)` the staircase goes up or down to the graph, :math:`(x_t, x_{t+1})`, and
    sideways to the diagonal, :math:`(x_{t+1}, x_{t+1})`.

    Parameters
    ----------
    axes : matplotlib Axes
    system : Map or CellMap
        With states of one entry.
    start : float
    steps : int
        Length of the orbit.
    colour : str
        Of the staircase.
    """
    x = np.linspace(-1.05, 1.05, 200)
    axes.plot(x, system.run(x[:, np.newaxis], 0, 1)[0, :, 0], color=COLOURS[0])
    axes.plot(x, x, color=INK, lw=0.8)
    orbit = np.append(start, system.run(np.array([start]), 0, steps)[:, 0])
    stairs = np.repeat(orbit, 2)
    axes.plot(stairs[:-1], stairs[1:], color=colour, lw=1)
    axes.plot(start, start, "o", color=colour, ms=5)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal", xlabel="$x_{t-1}$")


def draw_noisy_map(axes, step, noise, *, limit, box=None):
    """Draw the graph of an odd map, the band that bounded noise makes of it, and trapping boxes.

    Parameters
    ----------
    axes : matplotlib Axes
    step : callable
        The map of one variable; takes arrays.
    noise : float
        Half the height of the band.
    limit : float
        How much is seen to all sides.
    box : (float, float), optional
        An interval that orbits do not leave; its mirror image is drawn as well.
    """
    x = np.linspace(-limit, limit, 300)
    axes.plot(x, x, color=INK, lw=0.7)
    band = {"color": COLOURS[0], "alpha": 0.35, "lw": 0}
    axes.fill_between(x, step(x) - noise, step(x) + noise, **band)
    axes.plot(x, step(x), lw=1, color=COLOURS[0])
    if box is not None:
        low, high = box
        for sign in (1, -1):
            across = sign * np.array([low, high, high, low, low])
            up = sign * np.array([low, low, high, high, low])
            axes.plot(across, up, color=COLOURS[2])
    axes.set(
        xlim=(-limit, limit),
        ylim=(-limit, limit),
        aspect="equal",
        xlabel="$x_{t-1}$",
        ylabel="$x_t$",
    )


def draw_branch(axes, branch, *, colour=COLOURS[0]):
    """Draw the first coordinate of a `Branch`: solid where it is stable, dashed where not."""
    for stable, style in ((True, "-"), (False, "--")):
        x = np.where(branch.stable == stable, branch.states[:, 0], np.nan)
        axes.plot(branch.values, x, style, color=colour, lw=1.8)


def _draw_unit_circle(axes, limit):
    """Draw the unit circle of the complex plane, of which `limit` is seen to all sides."""
    turn = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color=INK, lw=0.8)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")


def draw_multipliers(axes, stability, *, limit=2.7):
    """Draw the multipliers of fixed points about the unit circle: full discs if stable.

    Parameters
    ----------
    axes : matplotlib Axes
    stability : iterable of Stability
        One for each fixed point.
    limit : float
        How much is seen to all sides.
    """
    _draw_unit_circle(axes, limit)
    for point in stability:
        axes.plot(
            point.eigenvalues.real,
            point.eigenvalues.imag,
            "o",
            ms=6,
            color=COLOURS[1],
            mfc=COLOURS[1] if point.stable else "none",
        )
    axes.set(title="multipliers", xticks=[-1, 0, 1], yticks=[-1, 0, 1])


def draw_phase_plane(axes, system, points, basins):
    """Draw the basins, the attractors, the fixed points and four orbits of two neurons.

    Parameters
    ----------
    axes : matplotlib Axes
    system : Map or CellMap
        With two state variables in [-1, 1].
    points : FixedPoints
        Drawn as full discs if stable, as circles if unstable, as crosses if saddles.
    basins : Basins
        A colour for each attractor; a start that has none stays white.
    """
    known = max(len(basins.attractors), 1)
    axes.imshow(
        np.ma.masked_less(basins.labels, 0),
        origin="lower",
        extent=(-1, 1, -1, 1),
        cmap=ListedColormap([COLOURS[k % 5] for k in range(known)]),
        vmin=-0.5,
        vmax=known - 0.5,
        alpha=0.3,
        interpolation="nearest",
    )
    few = np.array([[-0.9, -0.5], [-0.5, 0.9], [0.9, 0.5], [0.5, -0.9]])
    orbits = np.concatenate([few[np.newaxis], system.run(few, 0, 12)])
    axes.plot(orbits[..., 0], orbits[..., 1], color=INK, lw=0.5, alpha=0.7)
    axes.plot(*few.T, ".", color=INK, ms=3)
    for k, attractor in enumerate(basins.attractors):
        size = 7 if attractor.period else 2
        axes.plot(*attractor.states.T, ".", color=COLOURS[k % 5], ms=size)
    _draw_fixed_points(axes, points)
    axes.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")


def _draw_fixed_points(axes, points):
    marks = {"stable": "o", "saddle": "x", "unstable": "o", "marginal": "s"}
    for point, stability in zip(points.points, points.stability, strict=True):
        mark = marks[stability.kind.split()[0]]
        inside = INK if stability.stable else "none"
        axes.plot(*point, mark, color=INK, ms=7, mew=1.6, mfc=inside)


def explore_bifurcations(family, branches, *, name, values, starts, middle, alt, start):
    """A slider over a parameter: the bifurcation diagram, the map itself, the multipliers.

    Parameters
    ----------
    family : callable
        ``family(values)`` is a `Map` or a `CellMap` for a number or an array of numbers.
    branches : sequence of Branch
        Drawn into the diagram, as lines; dots are what orbits settle on.
    name : str
        Of the parameter.
    values : sequence of float
        Where the slider stops.
    starts : array, shape (starts, state)
        Of the orbits, for every value.
    middle : callable
        ``middle(axes, value)`` draws the map or the plane into the axes between the other two.
    alt, start
        As in `explore`.
    """
    every = np.linspace(min(values), max(values), 121)
    planar = starts.shape[-1] == 2
    dots = orbit_diagram(family, every, starts, steps=40 if planar else 4, transient=1500).states[
        ..., 0
    ]
    dots = np.moveaxis(dots, 1, 0).reshape(len(every), -1)
    guesses = np.linspace(-1, 1, 9)[:, np.newaxis]
    if planar:
        guesses = np.random.default_rng(0).uniform(-1, 1, (12, 2))

    def draw(value):
        fig, (left, centre, right) = figure(ncols=3, height=2.6)
        at = np.repeat(every, dots.shape[1])
        for branch in branches:
            draw_branch(left, branch)
        left.plot(at, dots.ravel(), ".", ms=2, color=COLOURS[2])
        left.axvline(value, color=COLOURS[1], lw=1)
        limits = {"xlim": (min(values), max(values)), "ylim": (-1.05, 1.05)}
        left.set(xlabel=name, title="fixed points, attractors", **limits)
        middle(centre, value)
        draw_multipliers(right, find_fixed_points(family(np.array(value)), guesses).stability)
        return fig

    return explore(
        draw,
        name=name,
        values=values,
        alt=alt,
        start=start,
        raster=True,
        label=lambda value: f"{value + 0.0:.2f}",  # no minus before a zero
    )


def principal_plane(states, sample):
    r"""Project states onto the plane in which a sample of them is spread most.

    :math:`\bigl((x - \bar x) \cdot v_1,\; (x - \bar x) \cdot v_2\bigr)` with the mean
    :math:`\bar x` of the sample and the leading eigenvectors :math:`v_1, v_2` of its covariance.

    Parameters
    ----------
    states : array, shape (…, n)
    sample : array, shape (…, n)

    Returns
    -------
    array, shape (…, 2)
    """
    sample = sample.reshape(-1, sample.shape[-1])
    _, directions = np.linalg.eigh(np.cov(sample, rowvar=False))
    return (states - sample.mean(axis=0)) @ directions[:, :-3:-1]


@dataclass(frozen=True)
class Table:
    """Rows of text below a header; the first entry of a row names it."""

    rows: tuple
    header: tuple
    caption: str

    def __repr__(self):
        lines = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = (
            [first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])] for first, *rest in lines
        )
        return "\n".join([self.caption, *("  ".join(line).rstrip() for line in padded)])

    def _repr_mimebundle_(self, include=None, exclude=None):
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.header)
        body = "".join(
            f'<tr><th scope="row">{html.escape(first)}</th>'
            + "".join(f"<td>{html.escape(entry)}</td>" for entry in rest)
            + "</tr>"
            for first, *rest in self.rows
        )
        caption = html.escape(self.caption)
        page = (
            f'<div class="rnn-table" role="region" aria-label="{caption}" tabindex="0">'
            f'<table class="table"><caption>{caption}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
        return {"text/html": page, "text/plain": repr(self)}


def table(rows, header, caption):
    """Set a table as the page shows it, for a screen reader and without HTML as well.

    Parameters
    ----------
    rows : iterable of sequences
        Entries of any kind are written with ``str``; the first of each row names it.
    header : sequence of str
        One for each column.
    caption : str
        What the table shows.

    Returns
    -------
    Table
        Make it the last expression of a cell, or ``display`` it.
    """
    header = tuple(header)
    rows = tuple(tuple(map(_typeset, row)) for row in rows)
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"rows must have {len(header)} entries as header has, got {row}")
    if not (isinstance(caption, str) and caption.strip()):
        raise ValueError(f"caption must be a text, got {caption!r}")
    return Table(rows, header, caption)


def _typeset(entry):
    """Write an entry, with a minus before a negative number."""
    return re.sub(r"(?:(?<!\w)|(?<=\de))-(?=\d)", "−", str(entry))
