import html
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from rnnbook.figures import Picture, figure
from rnnbook.sliders import STATIC, explore, panel

VALUES = [0.5, 1.0, 2.0]


def draw(gain, **settings):
    fig, ax = figure(**settings)
    ax.plot(np.tanh(gain * np.linspace(-1, 1, 20)) * gain**8)
    ax.set_title(f"gain {gain}")
    return fig


def explored(**changes):
    settings = {
        "draw": draw,
        "name": "gain",
        "values": VALUES,
        "alt": lambda gain: f"The curve at a gain of {gain}.",
    }
    return explore(**settings | changes)


@pytest.fixture
def static(monkeypatch):
    monkeypatch.setenv(STATIC, "1")


@pytest.fixture
def live(monkeypatch):
    monkeypatch.delenv(STATIC, raising=False)


def frames(picture):
    return re.findall(r'<div class="rnn-frame".*?</svg></div>', picture.html)


def test_the_static_slider_shows_one_frame_and_holds_all(static):
    picture = explored(start=1.0)
    assert isinstance(picture, Picture)
    assert [" hidden" in frame.partition(">")[0] for frame in frames(picture)] == [
        True,
        False,
        True,
    ]
    assert re.findall(r'aria-label="([^"]*)"', picture.html) == [
        f"The curve at a gain of {gain}." for gain in VALUES
    ]
    assert picture.png.startswith(b"\x89PNG")
    assert picture.alt == "gain, 1.0: The curve at a gain of 1.0."


def test_the_static_slider_is_a_labelled_range(static):
    page = explored(label=lambda gain: f'{gain} "<"', start=2.0).html
    control = re.search(r"<input[^>]*>", page)[0]
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', control))
    assert (attributes["min"], attributes["max"], attributes["value"]) == ("0", "2", "2")
    assert html.unescape(attributes["aria-valuetext"]) == '2.0 "<"'
    assert json.loads(html.unescape(attributes["data-labels"])) == [f'{g} "<"' for g in VALUES]
    assert f'<label for="{attributes["id"]}">gain</label>' in page


def test_every_reference_of_the_static_slider_is_to_itself(static):
    page = explored().html
    identifiers = re.findall(r' id="([^"]*)"', page)
    assert len(set(identifiers)) == len(identifiers)
    references = re.findall(r'(?:href="|url\()#([^")]*)', page)
    assert set(references) <= set(identifiers)
    other = re.findall(r' id="([^"]*)"', explored(name="weight").html)
    assert not set(identifiers) & set(other)


def test_the_axes_of_all_frames_are_in_the_same_place(static):
    # The tick labels of the frames have different widths.
    boxes = []
    for frame in frames(explored()):
        clip = re.search(r"<clipPath[^>]*><rect([^>]*)>", frame)[1]
        boxes.append(re.findall(r'(?:x|y|width|height)="([^"]*)"', clip))
    assert len(boxes) == len(VALUES)
    assert boxes[0] == boxes[1] == boxes[2]


def test_the_labels_of_a_colour_bar_have_room_in_all_frames(static):
    figs = []

    def draw(gain):
        fig, ax = figure()
        fig.colorbar(ax.imshow([[0, 10.0 ** (4 * gain)]], aspect="auto"))
        figs.append(fig)
        return fig

    explored(draw=draw)
    for fig in figs:
        right = max(ax.get_tightbbox().x1 for ax in fig.axes)
        assert right <= fig.bbox.x1


def test_the_static_slider_is_the_same_in_every_build(static):
    assert explored() == explored()


def test_without_the_script_the_static_slider_is_well_formed(static):
    page = re.sub(r"<script>.*</script>|<input[^>]*>", "", explored().html)
    page = re.sub(r"(<[^>]*) hidden>", r"\1>", page)
    ElementTree.fromstring(page)


def test_a_static_slider_that_is_too_large_names_its_size_and_pixels_help(static):
    def dense(value):
        fig, ax = figure()
        ax.plot(*np.random.default_rng(0).normal(size=(2, 9_000)), ".")
        return fig

    with pytest.raises(ValueError, match=r"the slider 'gain' takes \d+ kB, at most 600 kB"):
        explored(draw=dense, values=range(3))
    assert len(explored(draw=dense, values=range(3), raster=True).html) < 600_000


def test_the_live_slider_draws_what_it_is_moved_to(live):
    box = explored(start=1.0)
    frame, slider = box.children
    assert (slider.description, slider.label) == ("gain", "1.0")
    assert "at a gain of 1.0" in frame.value
    slider.value = 2
    assert "at a gain of 2.0" in frame.value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": [1.0]}, "values must be 2 to 24 values, got 1"),
        ({"values": range(25)}, "values must be 2 to 24 values, got 25"),
        ({"start": 3.0}, "start must be one of values, got 3.0"),
        ({"name": " "}, "name must be a text"),
        ({"label": lambda value: "same"}, "label must give every value a text of its own"),
        ({"alt": lambda value: "plot"}, "alt must say in at least four words"),
        ({"draw": lambda value: None}, "draw must return a figure, got NoneType"),
        ({"draw": lambda value: draw(value, height=1 + value)}, "figures of one size"),
    ],
)
def test_what_cannot_be_explored_is_refused(static, changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        explored(**changes)


def line(slope, offset):
    fig, ax = figure()
    ax.plot([0, 1], [offset, offset + slope])
    return fig


def panelled(**changes):
    settings = {
        "draw": line,
        "sliders": {"slope": (-1, 1, 0.5), "offset": (0.0, 2.0, 0.0)},
        "alt": lambda slope, offset: f"A line of slope {slope:g} from {offset:g}.",
    }
    return panel(**settings | changes)


def test_a_panel_draws_what_all_its_sliders_say(live):
    frame, slope, offset = panelled().children
    assert (slope.description, slope.min, slope.max, slope.value) == ("slope", -1, 1, 0.5)
    assert "A line of slope 0.5 from 0." in frame.value
    slope.value = -0.5
    offset.value = 1.0
    assert "A line of slope -0.5 from 1." in frame.value


def test_on_paper_a_panel_shows_its_start(static):
    picture = panelled()
    assert isinstance(picture, Picture)
    assert picture.alt == "A line of slope 0.5 from 0."


@pytest.mark.parametrize("ends", [(0, 1, 2), (0, 1, -1), (1, 1, 1), (1, 0, 0.5)])
def test_a_panel_refuses_sliders_that_cannot_move(static, ends):
    with pytest.raises(ValueError, match=r"slider .offset. must be \(low, high, start\)"):
        panelled(sliders={"slope": (-1, 1, 0.5), "offset": ends})
    with pytest.raises(ValueError, match="sliders must name at least one parameter"):
        panelled(sliders={})
