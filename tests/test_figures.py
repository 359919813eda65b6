import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from rnnbook.figures import COLOURS, INK, _short_path, figure, prefixed, show, svg

ALT = "The line rises from the lower left to the upper right."
GROUNDS = {"light": "#ffffff", "dark": "#14181e"}  # the lighter one of the theme's dark grounds

# What a dichromat sees of linear RGB (Machado, Oliveira & Fernandes 2009, severity 1).
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour):
    """sRGB to linear light."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The ratio of the Web Content Accessibility Guidelines."""
    low, high = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    """CIE Lab of linear RGB, D65."""
    xyz = np.clip(rgb, 0, 1) @ np.transpose(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def drawn(**settings):
    fig, ax = figure(**settings)
    ax.plot([0, 1], [0, 1], label="line")
    ax.set(title="$x_t$", xlabel="time")
    ax.legend()
    return fig


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("colour", [*COLOURS, INK])
def test_colours_stand_out_on_both_grounds(colour, ground):
    assert contrast(colour, GROUNDS[ground]) >= 3


def test_contrast_is_that_of_the_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("vision", VISION)
def test_colours_can_be_told_apart_by_everybody(vision):
    seen = [lab(np.array(VISION[vision]) @ linear(colour)) for colour in COLOURS]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) >= 15  # 2.3 is a just noticeable difference


def test_the_ink_is_left_to_the_page_and_the_ground_is_transparent():
    picture = svg(drawn())
    assert INK not in picture
    assert "currentColor" in picture
    assert "#ffffff" not in picture


def test_the_picture_is_the_same_in_every_build():
    assert show(drawn(), alt=ALT) == show(drawn(), alt=ALT)


def test_the_picture_is_well_formed_and_says_what_is_seen():
    data = show(drawn(), alt='Less: a < b & "c" is seen.')._repr_mimebundle_()
    root = ElementTree.fromstring(data["text/html"])
    assert root.tag == "figure"
    assert root[0].attrib["role"] == "img"
    assert root[0].attrib["aria-label"] == 'Less: a < b & "c" is seen.'
    assert "a < b" in data["text/plain"]
    assert data["image/png"].startswith("iVBOR")


def test_every_reference_is_to_an_element_of_the_same_picture():
    page = show(drawn(), alt=ALT).html
    identifiers = re.findall(r' id="([^"]*)"', page)
    assert len(set(identifiers)) == len(identifiers)
    references = re.findall(r'(?:href="|url\()#([^")]*)', page)
    assert references
    assert set(references) <= set(identifiers)


def test_two_pictures_share_no_identifier():
    one, other = (show(drawn(height=height), alt=ALT).html for height in (2, 3))
    names = [set(re.findall(r' id="([^"]*)"', page)) for page in (one, other)]
    assert names[0]
    assert not names[0] & names[1]


def test_prefixes_reach_identifiers_and_references_only():
    before = '<path id="a"/><use href="#a"/><g clip-path="url(#a)" class="a">a</g>'
    after = '<path id="p-a"/><use href="#p-a"/><g clip-path="url(#p-a)" class="a">a</g>'
    assert prefixed(before, "p-") == after


def test_dense_parts_may_be_pixels_of_few_colours():
    def dense(rasterized):
        fig, ax = figure()
        ax.plot(*np.random.default_rng(0).normal(size=(2, 20_000)), ".", rasterized=rasterized)
        return svg(fig)

    pixels = dense(True)
    assert pixels.count("data:image/png") == 1
    assert len(pixels) < 0.2 * len(dense(False))


def test_a_short_path_is_the_same_to_a_hundredth_of_a_point():
    def short(path):
        return re.sub(".*", _short_path, path, count=1)

    assert short("M 10.000 100.004 L 0.001 -20.500 L 3.456 7 z ") == "M10 100 0 -20.5 3.46 7z"
    assert short("M 1 2 Q 3.333 4 5 6 L 7 8 z ") == "M1 2Q3.33 4 5 6L7 8z"


def test_a_curve_is_where_it_was_drawn():
    fig, ax = figure(width=4, height=3)
    fig.set_layout_engine("none")
    ax.set(position=[0, 0, 1, 1], xlim=(0, 1), ylim=(0, 1))
    ax.plot([0.1, 0.3, 0.7], [0.2, 0.9, 0.5], color=COLOURS[0])
    path = re.search(rf'<path d="([^"]*)"[^>]*stroke:{COLOURS[0]}', svg(fig))[1]
    points = np.array(re.findall(r"-?[\d.]+", path), float).reshape(-1, 2) / [288, 216]
    np.testing.assert_allclose(points, [[0.1, 0.8], [0.3, 0.1], [0.7, 0.5]], atol=5e-5)


def test_a_pyplot_figure_is_closed():
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    fig, _ = plt.subplots()
    show(fig, alt=ALT)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("alt", ["", "Plot.", "a line plot", None, 3])
def test_an_alternative_text_that_says_nothing_is_refused(alt):
    with pytest.raises(ValueError, match="alt must say in at least four words"):
        show(drawn(), alt=alt)


@pytest.mark.parametrize("size", [{"width": 0}, {"height": -1}, {"width": float("nan")}])
def test_a_size_that_cannot_be_drawn_is_refused(size):
    with pytest.raises(ValueError, match=f"{next(iter(size))} must be (between 0 and 20|a finite)"):
        figure(**size)


def test_importing_the_package_imports_nothing_to_draw_with():
    code = "import sys, rnnpedagogy; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"matplotlib", "ipywidgets", "IPython"} & set(loaded.stdout.split())
