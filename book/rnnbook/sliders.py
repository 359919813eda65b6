"""Sliders that move in a running notebook and in the static book."""

import hashlib
import html
import io
import json
import os
import re

from rnnbook.figures import (
    Picture,
    check_alt,
    close,
    figure,
    png,
    prefixed,
    show,
    svg,
    with_alt,
)
from rnnpedagogy._validation import a_collection, a_function, parameters, takes

__all__ = ["explore", "panel"]

#: Set by the book's build, where no kernel answers a slider.
STATIC = "RNNBOOK_STATIC"

LARGEST = 600_000  # bytes of a static slider
STILLS = 4  # frames on paper


@takes(draw=a_function, values=a_collection, alt=a_function, label=a_function)
def explore(draw, *, name, values, alt, label=str, start=None, raster=False):
    """Let the reader move a parameter and see what changes.

    In a running notebook this is a widget that calls `draw`. In the static book all frames are
    drawn beforehand, and the slider changes between them; it needs no kernel and no network. On
    paper it is a grid of stills.

    Parameters
    ----------
    draw : callable
        ``draw(value)`` returns a figure; its size has to be the same for all values.
    name : str
        What the slider changes.
    values : sequence
        From 2 to 24 values.
    alt : callable
        ``alt(value)`` says what is to be seen at this value.
    label : callable
        ``label(value)`` is the value as the reader sees it.
    start : optional
        The value that is shown first; by default the first one.
    raster : bool
        Store lines and points as pixels: smaller when there are thousands of them.

    Returns
    -------
    Picture or ipywidgets.VBox
        Make it the last expression of a cell, or ``display`` it.
    """
    values = list(values)
    if not 2 <= len(values) <= 24:
        raise ValueError(f"values must be 2 to 24 values, got {len(values)}")
    if start is not None and start not in values:
        raise ValueError(f"start must be one of values, got {start!r}")
    if not (isinstance(name, str) and name.strip()):
        raise ValueError(f"name must be a text, got {name!r}")
    labels = [label(value) for value in values]
    if len(set(labels)) < len(labels):
        raise ValueError(f"label must give every value a text of its own, got {labels}")
    first = 0 if start is None else values.index(start)

    def drawn(value):
        fig = draw(value)
        if not hasattr(fig, "savefig"):
            raise TypeError(f"draw must return a figure, got {type(fig).__name__}")
        if raster:
            for axes in fig.axes:
                for artist in (*axes.lines, *axes.collections):
                    artist.set_rasterized(True)
        return fig

    if os.environ.get(STATIC) == "1":
        alts = [alt(value) for value in values]
        return _static([drawn(value) for value in values], name, labels, alts, first)
    return _live(
        lambda index: show(drawn(values[index]), alt=alt(values[index])), name, labels, first
    )


@takes(draw=a_function, sliders=parameters, alt=a_function)
def panel(draw, *, sliders, alt):
    """Let the reader of a running notebook move several parameters at once.

    Too many combinations to be drawn beforehand: the static book shows the picture at the start
    values, and lines through the space of the parameters are for `explore`.

    Parameters
    ----------
    draw : callable
        ``draw(**values)`` returns a figure; one argument for each slider.
    sliders : dict
        ``{name: (low, high, start)}``, the names being those of the arguments of `draw`.
    alt : callable
        ``alt(**values)`` says what is to be seen.

    Returns
    -------
    Picture or ipywidgets.VBox
        Make it the last expression of a cell, or ``display`` it.
    """
    if not sliders:
        raise ValueError(f"sliders must name at least one parameter, got {sliders!r}")
    for name, ends in sliders.items():
        whole = len(a_collection(f"slider {name!r}", ends)) == 3
        if not (whole and ends[0] <= ends[2] <= ends[1] and ends[0] < ends[1]):
            raise ValueError(
                f"slider {name!r} must be (low, high, start) with low ≤ start ≤ high and "
                f"low < high, got {ends}"
            )

    def picture(values):
        return show(draw(**values), alt=alt(**values))

    starts = {name: start for name, (_, _, start) in sliders.items()}
    if os.environ.get(STATIC) == "1":
        return picture(starts)
    import ipywidgets

    moved = {
        name: ipywidgets.FloatSlider(
            start,
            min=low,
            max=high,
            step=(high - low) / 200,
            description=name,
            continuous_update=False,
        )
        for name, (low, high, start) in sliders.items()
    }

    def values():
        return {name: slider.value for name, slider in moved.items()}

    return _framed(lambda: picture(values()), list(moved.values()))


def _live(picture, name, labels, first):
    import ipywidgets

    options = [(label, index) for index, label in enumerate(labels)]
    slider = ipywidgets.SelectionSlider(
        options=options,
        value=first,
        description=name,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "100%"},
    )
    return _framed(lambda: picture(slider.value), [slider])


def _framed(picture, sliders):
    """The picture above its sliders, drawn anew when one of them has moved."""
    import ipywidgets

    frame = ipywidgets.HTML(picture().html)

    def move(_):
        frame.value = picture().html

    for slider in sliders:
        slider.observe(move, "value")
    return ipywidgets.VBox([frame, *sliders])


def _static(figs, name, labels, alts, first):
    for text in alts:
        check_alt(text)
    if len({tuple(fig.get_size_inches()) for fig in figs}) > 1:
        raise ValueError("draw must return figures of one size for all values")
    _align(figs)
    frames, glyphs = _shared_glyphs([svg(fig) for fig in figs])
    key = f"rnn-{hashlib.sha256((name + glyphs + ''.join(frames)).encode()).hexdigest()[:8]}"
    # Glyphs have the prefix of the slider, everything else that of its frame.
    parts = []
    for index, (frame, text, label) in enumerate(zip(frames, alts, labels, strict=True)):
        frame = prefixed(frame, f"{key}-{index}-").replace(f"{key}-{index}-glyph-", f"{key}-glyph-")
        hidden = "" if index == first else " hidden"
        still = ' data-still=""' if index in _stills(len(figs)) else ""
        parts.append(
            f'<div class="rnn-frame" data-label="{html.escape(f"{name}: {label}")}"{still}{hidden}>'
            f"{with_alt(frame, text)}</div>"
        )
    page = SLIDER.format(
        key=key,
        name=html.escape(name),
        label=html.escape(labels[first]),
        labels=html.escape(json.dumps(labels, ensure_ascii=False)),
        last=len(figs) - 1,
        first=first,
        frames="".join(parts),
        glyphs=prefixed(glyphs, f"{key}-"),
        script=re.sub(r"\s*\n\s*", "", SCRIPT),
    )
    if (size := len(page.encode())) > LARGEST:
        raise ValueError(
            f"the slider {name!r} takes {size / 1e3:.0f} kB, at most {LARGEST / 1e3:.0f} kB are "
            "allowed: take fewer values or points, or raster=True"
        )
    grid = _grid(figs, name, labels)
    for fig in figs:
        close(fig)
    return Picture(html=page, png=grid, alt=f"{name}, {labels[first]}: {alts[first]}")


def _align(figs):
    """Give the axes of all frames the same place, so that nothing jumps: where labels need most."""
    if len({len(fig.axes) for fig in figs}) > 1:
        return
    places = []
    for index in _stills(len(figs)):
        figs[index].draw_without_rendering()
        places.append([axes.get_position(original=True) for axes in figs[index].axes])
    narrowest = min(places, key=lambda boxes: sum(box.width for box in boxes))
    lowest = min(places, key=lambda boxes: sum(box.height for box in boxes))
    for fig in figs:
        fig.set_layout_engine("none")
        for axes, across, along in zip(fig.axes, narrowest, lowest, strict=True):
            axes.set_position([across.x0, along.y0, across.width, along.height])


def _shared_glyphs(frames):
    """Take the letters' shapes, the same in all frames, out of the frames."""
    glyphs = {}

    def collect(match):
        glyphs[match[1]] = f'<path id="glyph-{match[1]}"{match[2]}/>'
        return ""

    shape = re.compile(r'<path id="([^"]+)"( d="[^"]*" transform="scale\([^"]*\)")/>')
    frames = [shape.sub(collect, frame).replace("<defs></defs>", "") for frame in frames]
    refer = re.compile('(?<=href="#)(?=(?:' + "|".join(map(re.escape, glyphs)) + ')")')
    return [refer.sub("glyph-", frame) for frame in frames], "".join(glyphs.values())


def _stills(count):
    return {round(index * (count - 1) / (STILLS - 1)) for index in range(STILLS)}


def _grid(figs, name, labels):
    from matplotlib.image import imread

    chosen = sorted(_stills(len(figs)))
    width, height = figs[0].get_size_inches()
    grid, axes = figure(
        width=width,
        height=height * ((len(chosen) + 1) // 2) / 2 + 0.5,
        nrows=(len(chosen) + 1) // 2,
        ncols=2,
        squeeze=False,
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, index in zip(axes.flat, chosen, strict=False):
        ax.imshow(imread(io.BytesIO(png(figs[index]))))
        ax.set_title(f"{name}: {labels[index]}")
    return png(grid)


SLIDER = (
    '<figure class="rnn-figure rnn-slider" id="{key}">'
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true">'
    "<defs>{glyphs}</defs></svg>"
    "{frames}"
    '<div class="rnn-control" hidden><label for="{key}-range">{name}</label>'
    '<input type="range" id="{key}-range" min="0" max="{last}" step="1" value="{first}"'
    ' aria-valuetext="{label}" data-labels="{labels}" autocomplete="off">'
    '<output for="{key}-range" aria-live="off">{label}</output></div>'
    '<p class="rnn-said" aria-live="polite"></p>'
    "<script>{script}</script></figure>"
)

# The range announces its value by itself; what the new picture shows is said when the slider rests.
SCRIPT = """
(() => {
  const slider = document.currentScript.parentElement;
  const frames = slider.querySelectorAll(".rnn-frame");
  const range = slider.querySelector("input");
  const labels = JSON.parse(range.dataset.labels);
  let rest;
  range.addEventListener("input", () => {
    const index = Number(range.value);
    frames.forEach((frame, i) => { frame.hidden = i !== index; });
    range.setAttribute("aria-valuetext", labels[index]);
    slider.querySelector("output").textContent = labels[index];
    clearTimeout(rest);
    rest = setTimeout(() => {
      slider.querySelector(".rnn-said").textContent =
        frames[index].querySelector("svg").getAttribute("aria-label");
    }, 700);
  });
  slider.querySelector(".rnn-control").hidden = false;
})();
"""
