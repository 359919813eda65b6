"""What several pages draw, and tables."""

import re
from types import SimpleNamespace
from xml.etree import ElementTree

import autograd.numpy as anp
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from rnnbook import pictures
from rnnbook.figures import COLOURS, Picture, figure
from rnnbook.pictures import (
    draw_branch,
    draw_cobweb,
    draw_multipliers,
    draw_noisy_map,
    draw_phase_plane,
    explore_bifurcations,
    principal_plane,
    table,
)

from rnnpedagogy.dynamics import (
    Map,
    basins_of_attraction,
    find_fixed_points,
    follow_branch,
)


@pytest.fixture
def axes():
    return figure()[1]


def line(weight, bias=0.0):
    """The affine map w x + b of one variable, for a number w or an array of them."""
    weight = np.asarray(weight, dtype=float)[..., np.newaxis]
    return Map(lambda x: weight * x + bias)


def pair(weights):
    """Two variables that are multiplied by a weight each."""
    return Map(lambda x: np.array(weights) * x)


def test_a_cobweb_alternates_between_graph_and_diagonal(axes):
    draw_cobweb(axes, line(-0.5), 0.8, steps=3)
    graph, diagonal, stairs, _ = (drawn.get_xydata() for drawn in axes.lines)
    assert np.allclose(graph[:, 1], -0.5 * graph[:, 0])
    assert np.array_equal(diagonal[:, 0], diagonal[:, 1])
    corners = [[0.8, 0.8], [0.8, -0.4], [-0.4, -0.4], [-0.4, 0.2], [0.2, 0.2], [0.2, -0.1]]
    assert np.allclose(stairs[:6], corners)
    assert len(stairs) == 7


def test_noise_makes_a_band_of_a_map_and_a_box_has_a_mirror_image(axes):
    draw_noisy_map(axes, lambda x: 2 * x, 0.25, limit=1.0, box=(0.5, 0.75))
    (band,) = axes.collections
    corners = set(map(tuple, band.get_paths()[0].vertices))
    assert corners >= {(-1, -2.25), (-1, -1.75), (1, 1.75), (1, 2.25)}
    *_, right, left = (drawn.get_xydata() for drawn in axes.lines)
    assert right.tolist() == [[0.5, 0.5], [0.75, 0.5], [0.75, 0.75], [0.5, 0.75], [0.5, 0.5]]
    assert np.array_equal(left, -right)


def test_a_map_without_a_trapping_box_has_none(axes):
    draw_noisy_map(axes, np.sin, 0.1, limit=1.0)
    assert len(axes.lines) == 2


def test_a_branch_is_solid_where_it_is_stable(axes):
    branch = SimpleNamespace(
        values=np.array([0.0, 1.0, 2.0]),
        states=np.array([[5.0, 0.0], [6.0, 0.0], [7.0, 0.0]]),
        stable=np.array([True, True, False]),
    )
    draw_branch(axes, branch)
    solid, dashed = axes.lines
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert np.array_equal(solid.get_ydata(), [5, 6, np.nan], equal_nan=True)
    assert np.array_equal(dashed.get_ydata(), [np.nan, np.nan, 7], equal_nan=True)


def test_multipliers_are_full_discs_if_stable(axes):
    systems = (pair([0.5, -0.2]), pair([2.0, 0.1]))
    stability = [find_fixed_points(one, np.zeros((1, 2))).stability[0] for one in systems]
    draw_multipliers(axes, stability)
    circle, stable, unstable = axes.lines
    assert np.allclose(np.linalg.norm(circle.get_xydata(), axis=1), 1)
    assert axes.get_aspect() == 1
    assert sorted(stable.get_xdata()) == pytest.approx([-0.2, 0.5])
    assert sorted(unstable.get_xdata()) == pytest.approx([0.1, 2.0])
    assert to_rgba(stable.get_markerfacecolor()) == to_rgba(COLOURS[1])
    assert unstable.get_markerfacecolor() == "none"


def two_latches():
    """Two neurons that latch independently: four attractors, one in each quadrant."""
    return Map(lambda x: np.tanh(2 * x), lambda x: np.eye(2) * (2 / np.cosh(2 * x) ** 2)[..., None])


def test_a_phase_plane_marks_what_was_found(axes):
    side = np.linspace(-0.95, 0.95, 4)
    system = two_latches()
    found = find_fixed_points(system, np.random.default_rng(0).uniform(-1, 1, (60, 2)))
    basins = basins_of_attraction(system, side, side, transient=100, steps=256)
    draw_phase_plane(axes, system, found, basins)
    (image,) = axes.images
    colours = image.to_rgba(image.get_array())[..., :3].reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) == len(basins.attractors) == 4
    points = axes.lines[-len(found.points) :]
    marks = {(drawn.get_marker(), drawn.get_markerfacecolor() == "none") for drawn in points}
    assert marks == {("o", False), ("x", True), ("o", True)}  # stable, saddle, unstable


def test_a_phase_plane_without_attractors_is_drawn(axes):
    system = pair([3.0, 3.0])
    side = np.linspace(-0.95, 0.95, 4)
    found = find_fixed_points(system, np.zeros((1, 2)))
    basins = basins_of_attraction(system, side, side, transient=100, steps=256)
    assert not basins.attractors
    draw_phase_plane(axes, system, found, basins)
    assert np.ma.getmaskarray(axes.images[0].get_array()).all()


@pytest.mark.parametrize("variables", [1, 2])
def test_bifurcations_are_explored_by_a_slider(monkeypatch, variables):
    def family(weight):
        weight = np.asarray(weight)[..., np.newaxis]
        return Map(lambda x: anp.tanh(weight * x))

    monkeypatch.setenv("RNNBOOK_STATIC", "1")
    drawn = []
    monkeypatch.setattr(
        pictures, "explore", lambda draw, **settings: drawn.append(draw(-1.5)) or settings
    )
    branch = follow_branch(family, -0.5, np.zeros(variables), low=-2.0, high=-0.5)
    settings = explore_bifurcations(
        family,
        [branch],
        name="weight w",
        values=[-2.0, -1.5, -0.5],
        starts=np.full((1, variables), 0.5),
        middle=lambda axes, w: axes.set_title(f"w = {w}"),
        alt=lambda w: f"What is seen at weight {w}.",
        start=-1.5,
    )
    left, centre, right = drawn[0].axes
    dots = next(line for line in left.lines if line.get_marker() == ".").get_xydata()
    before = np.abs(dots[dots[:, 0] > -0.9][:, 1])
    beyond = np.abs(dots[dots[:, 0] < -1.9][:, 1])
    assert before.max() < 1e-6  # the fixed point zero
    assert beyond.min() > 0.9  # the two-cycle
    assert centre.get_title() == "w = -1.5"
    assert [drawn.get_markerfacecolor() for drawn in right.lines[1:]] == ["none"]
    assert settings["label"](-0.0) == "0.00"


def test_a_bifurcation_slider_is_a_picture_in_the_static_book(monkeypatch):
    monkeypatch.setenv("RNNBOOK_STATIC", "1")
    picture = explore_bifurcations(
        lambda w: line(w, 0.1),
        [],
        name="weight w",
        values=[0.2, 0.5],
        starts=np.array([[0.5]]),
        middle=lambda axes, w: draw_cobweb(axes, line(w, 0.1), 0.3),
        alt=lambda w: f"One fixed point, stable, at weight {w}.",
        start=0.5,
    )
    assert isinstance(picture, Picture)
    assert picture.html.count('class="rnn-frame"') == 2


def test_the_principal_plane_has_the_directions_of_most_spread():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    sample = rng.normal(size=(20, 50, 5)) * [1e-3, 2.0, 1e-3, 9.0, 1e-3] @ basis.T + 7.0
    plane = principal_plane(sample, sample[:10])
    assert plane.shape == (20, 50, 2)
    expected = (sample - sample[:10].mean(axis=(0, 1))) @ basis[:, [3, 1]]
    flat = np.abs(plane.reshape(-1, 2)), np.abs(expected.reshape(-1, 2))
    assert np.corrcoef(flat[0][:, 0], flat[1][:, 0])[0, 1] > 0.999
    assert np.corrcoef(flat[0][:, 1], flat[1][:, 1])[0, 1] > 0.99


ROWS = [("latch", -0.5, "100%"), ("<trap>", 1, "5%")]


def test_a_table_names_rows_and_columns_for_a_screen_reader():
    page = table(ROWS, ("system", "rate", "kept"), "What is kept & lost")
    root = ElementTree.fromstring(page._repr_mimebundle_()["text/html"])
    assert root.get("aria-label") == root.find("table/caption").text == "What is kept & lost"
    assert root.get("tabindex") == "0"  # it may scroll, so the keyboard has to reach it
    assert [(cell.get("scope"), cell.text) for cell in root.iterfind(".//thead//th")] == [
        ("col", "system"),
        ("col", "rate"),
        ("col", "kept"),
    ]
    assert [(cell.get("scope"), cell.text) for cell in root.iterfind(".//tbody//th")] == [
        ("row", "latch"),
        ("row", "<trap>"),
    ]
    assert [cell.text for cell in root.iterfind(".//td")] == ["−0.5", "100%", "1", "5%"]


def test_a_table_is_text_where_there_is_no_html():
    shown = table(ROWS, ("system", "rate", "kept"), "What is kept")
    assert shown._repr_mimebundle_()["text/plain"] == repr(shown)
    assert repr(shown).splitlines() == [
        "What is kept",
        "system  rate  kept",
        "latch   −0.5  100%",
        "<trap>     1    5%",
    ]


def test_hyphens_of_words_stay_hyphens():
    shown = table([("an end-to-end net-2", "-3 to -1", "1e-3")], ("name", "rate", "size"), "Signs")
    assert shown.rows == (("an end-to-end net-2", "−3 to −1", "1e−3"),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [("latch", 1)]}, "rows must have 3 entries as header has, got ('latch', '1')"),
        ({"caption": " "}, "caption must be a text, got ' '"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(changes, message):
    settings = {"rows": ROWS, "header": ("system", "rate", "kept"), "caption": "What is kept"}
    with pytest.raises(ValueError, match=re.escape(message)):
        table(**settings | changes)
