"""Pictures, of plain data: what stands where, that nothing is cut off or hidden, and the files."""

import io
import unicodedata

import pytest
from fakes import COUNTING_LOOP, PROGRAM, Script, engines
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.image import imread

from vmlab.measure.compare import compare
from vmlab.report import bars
from vmlab.report.parts import Part, bounded, ladder
from vmlab.report.picture import picture, text_picture
from vmlab.report.plots import FORMATS, rendered, stacked, waterfall, where_time_goes

RUNGS = [
    Part("inlined", 1.0, 0.9, 1.1),
    Part("template", 4.0, 3.5, 5.0),
    Part("switch", -2.0, -2.5, -1.0),
]
BESIDE = [Part("textbook", 3.5, 3.0, 3.75)]
WORDS = {"title": "$a$ program", "subtitle": "11 rounds", "unit": "ns"}
CHARTS = {"title": "$a$ program", "subtitles": ["11 rounds", "7 calls"], "unit": "ns"}


def drawn_bars(figure, axes=None):
    """(row, left, right) of every bar, in the order they were drawn."""
    found = []
    for container in (axes or figure.axes[0]).containers:
        if isinstance(container, BarContainer):
            [bar] = container.patches
            x, width = bar.get_x(), bar.get_width()
            row = round(bar.get_y() + bar.get_height() / 2)
            found.append((row, min(x, x + width), max(x, x + width)))
    return found


def drawn_bounds(figure, axes=None):
    """(low, high) of every pair of bounds that is drawn in black."""
    found = []
    for container in (axes or figure.axes[0]).containers:
        if isinstance(container, ErrorbarContainer):
            [lines] = container[2]
            if lines.get_color()[0][:3].sum() == 0:
                [(low, high)] = [segment[:, 0] for segment in lines.get_segments()]
                found.append((round(low, 9), round(high, 9)))
    return found


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def nothing_is_cut_off(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = []
    for axes in figure.axes:
        shown += [axes.title, axes.xaxis.label, *axes.texts, *axes.get_yticklabels()]
    shown += [text for legend in figure.legends for text in legend.get_texts()]
    inside = figure.bbox.padded(1)
    for text in shown:
        box = text.get_window_extent(canvas.get_renderer())
        assert inside.contains(box.x0, box.y0), text
        assert inside.contains(box.x1, box.y1), text
    return True


def test_each_rung_of_a_waterfall_begins_where_the_one_before_ends():
    figure = waterfall(RUNGS, BESIDE, **WORDS)
    assert drawn_bars(figure) == [(0, 0, 1), (1, 1, 5), (2, 3, 5), (3, 0, 3.5)]
    assert drawn_bounds(figure) == [(0.9, 1.1), (4.5, 6.0), (2.5, 4.0), (3.0, 3.75)]
    assert texts(figure)[1:] == [
        "1.00 (0.900 to 1.10)",
        "+4.00 (3.50 to 5.00)",
        "-2.00 (-2.50 to -1.00)",
        "3.50 (3.00 to 3.75)",
    ]
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "inlined", "template", "switch", "textbook",
    ]  # fmt: skip
    assert (axes.get_title(loc="left"), axes.get_xlabel()) == ("$a$ program", "ns")
    low, high = axes.get_ylim()
    assert low > high  # from the top down
    assert nothing_is_cut_off(figure)


def test_what_saves_looks_different_from_what_adds():
    figure = waterfall(RUNGS, BESIDE, **WORDS)
    styles = {
        (container.patches[0].get_hatch(), container.patches[0].get_facecolor())
        for container in figure.axes[0].containers
        if isinstance(container, BarContainer)
    }
    assert len(styles) == 4
    assert len(figure.legends[0].get_texts()) == 4


def test_stacked_parts_look_the_same_in_every_row_and_savings_stand_left_of_zero():
    rows = [("one", RUNGS), ("another", [RUNGS[1], Part("late", 9.0, 8.0, 9.5)])]
    figure = stacked(rows, **WORDS)
    assert drawn_bars(figure) == [(0, 0, 1), (0, 1, 5), (0, -2, 0), (1, 0, 4), (1, 4, 13)]
    assert drawn_bounds(figure) == [
        (0.9, 1.1), (4.5, 6.0), (-2.5, -1.0), (3.5, 5.0), (12.0, 13.5),
    ]  # fmt: skip
    assert texts(figure)[1:] == ["3.00", "13.0"]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "inlined", "template", "switch", "late",
    ]  # fmt: skip
    patches = [c.patches[0] for c in figure.axes[0].containers if isinstance(c, BarContainer)]
    style = [(patch.get_facecolor(), patch.get_hatch()) for patch in patches]
    assert style[1] == style[3]
    assert len(set(style)) == 4
    assert nothing_is_cut_off(figure)


@pytest.mark.parametrize("kinds", [2, 10])
def test_neighbours_in_a_stack_can_be_told_apart_without_colour(kinds):
    figure = stacked([("x", [Part(f"part {i}", 1, 1, 1) for i in range(kinds)])], **WORDS)
    patches = [c.patches[0] for c in figure.axes[0].containers if isinstance(c, BarContainer)]
    assert len({(p.get_facecolor(), p.get_hatch()) for p in patches}) == kinds
    for patch in patches:
        red, green, blue, _ = patch.get_facecolor()
        assert red == green == blue
    assert nothing_is_cut_off(figure)


def test_the_dearest_instruction_comes_first():
    costs = [Part("add", 1.0, 0.9, 1.2), Part("call", 3.0, 2.5, 3.5), Part("jz", 2.0, 1.0, 4.0)]
    mechanisms = [("work", [Part("whole", 3.0, 2.0, 4.0)])]
    figure = where_time_goes(mechanisms, costs, **CHARTS)
    below = figure.axes[1]
    labels = [label.get_text() for label in below.get_yticklabels()]
    assert labels == ["call", "jz", "add"]
    assert drawn_bars(figure, below) == [(0, 0, 3), (1, 0, 2), (2, 0, 1)]
    assert drawn_bounds(figure, below) == [(2.5, 3.5), (1.0, 4.0), (0.9, 1.2)]
    assert nothing_is_cut_off(figure)
    unit = figure.axes[0].xaxis.label.get_window_extent()
    assert below.texts[0].get_window_extent().y1 <= unit.y0


def test_long_texts_do_not_squeeze_the_charts():
    def width(subtitle, reason):
        mechanisms = [("checks", [Part("added", 2.0, 1.0, 3.0)]), ("names", reason)]
        figure = where_time_goes(mechanisms, [], **(CHARTS | {"subtitles": [subtitle] * 2}))
        figure.draw_without_rendering()
        assert nothing_is_cut_off(figure)
        return figure.axes[0].get_position().width

    subtitle = "mechanisms, added and removed from switch+boxed+late+copy+barrier; medians of 15"
    reason = "template+stackful took no part: machine stacks are exchanged on x86-64 only; not here"
    assert width(subtitle, reason) == pytest.approx(width("s", "r"), rel=0.01)


def test_a_mechanism_has_a_bar_for_each_way_to_measure_it_or_the_reason_for_none():
    added, removed = Part("added", 2.0, 1.0, 3.0), Part("removed", 1.0, -0.5, 1.5)
    mechanisms = [("checks", [added, removed]), ("names", "late was not timed")]
    figure = where_time_goes(mechanisms, [], **CHARTS)
    assert drawn_bars(figure) == [(0, 0, 2), (0, 0, 1)]
    assert drawn_bounds(figure) == [(1.0, 3.0), (-0.5, 1.5)]
    assert texts(figure)[1:] == [
        "2.00 (1.00 to 3.00)",
        "1.00 (-0.500 to 1.50), not resolved",
        "late was not timed",
    ]
    upper, lower = (c.patches[0] for c in figure.axes[0].containers if isinstance(c, BarContainer))
    assert upper.get_y() + upper.get_height() == pytest.approx(lower.get_y())
    assert upper.get_facecolor() != lower.get_facecolor()
    assert nothing_is_cut_off(figure)


@pytest.mark.parametrize("format", FORMATS)
def test_files_are_what_they_are_called_and_the_same_every_time(format):
    first, second = (rendered(waterfall(RUNGS, **WORDS), format) for _ in range(2))
    assert first == second
    assert first.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[format])


def test_a_picture_is_grey():
    image = imread(io.BytesIO(rendered(stacked([("x", RUNGS)], **WORDS), "png")))
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 1] == image[..., 2]).all()
    assert 0 < image[..., 0].mean() < 1


# What they are made of


def timed(**scripts):
    with engines(**scripts) as names:
        return compare(PROGRAM, names, quick=True)


def test_the_parts_of_a_comparison_are_differences_within_rounds():
    speed = iter(range(1, 10**6))

    def drifting():  # the machine gets slower and slower, and the ratio stays
        drifting.now = 1_000_000 * (1 + next(speed) / 100)
        return drifting.now

    comparison = timed(
        inlined=Script(400_000), template=Script(1_600_000), switch=Script(1_200_000),
        textbook=Script(drifting),
    )  # fmt: skip
    parts = ladder(comparison)
    # four instructions
    assert parts.rungs == (
        Part("inlined", 100_000, 100_000, 100_000),
        Part("template", 300_000, 300_000, 300_000),
        Part("switch", -100_000, -100_000, -100_000),
    )
    [textbook] = parts.beside
    assert textbook.label == "textbook"
    assert textbook.low < textbook.value < textbook.high


def test_an_engine_that_folded_the_program_has_no_part():
    folded = Script(1_000, ir=COUNTING_LOOP, back_edges=10_000)
    parts = ladder(timed(inlined=folded, template=Script(8_000), switch=Script(16_000)))
    assert [part.label for part in parts.rungs] == ["template", "switch"]
    assert parts.rungs[0].value == 2_000
    with pytest.raises(ValueError, match="nothing to draw"):
        ladder(timed(inlined=folded))


def test_one_comparison_is_a_waterfall_and_several_are_a_stack():
    one = timed(inlined=Script(400_000), switch=Script(800_000), other=Script(4_000))
    assert picture([one], "svg") != picture([one, one], "svg")
    text = text_picture([one, one], 80, ascii_only=True)
    assert text.startswith("What each rung of the ladder adds, ns per VM instruction\n")
    assert text.splitlines()[-1] == "# inlined  . switch"
    none = timed(other=Script(4_000))
    with pytest.raises(ValueError, match="no engine of the ladder was timed"):
        picture([one, none], "svg")


# As text


def test_a_waterfall_in_ascii():
    assert bars.waterfall(RUNGS, BESIDE, width=60, ascii_only=True).splitlines() == [
        "inlined   #####                         1.00 (0.900 to 1.10)",
        "template       #####################    +4.00 (3.50 to 5.00)",
        "switch                    ----------  -2.00 (-2.50 to -1.00)",
        "textbook  ##################             3.50 (3.00 to 3.75)",
    ]


def test_a_waterfall_in_blocks():
    assert bars.waterfall(RUNGS, BESIDE, width=60, ascii_only=False).splitlines() == [
        "inlined   █████▎                        1.00 (0.900 to 1.10)",
        "template       █████████████████████    +4.00 (3.50 to 5.00)",
        "switch                    ░░░░░░░░░░  -2.00 (-2.50 to -1.00)",
        "textbook  ██████████████████▎            3.50 (3.00 to 3.75)",
    ]


def test_a_stack_in_ascii():
    rows = [("one", RUNGS), ("another", [RUNGS[1], Part("late", 8.0, 7.0, 9.5)])]
    assert bars.stacked(rows, width=43, ascii_only=True).splitlines() == [
        "one      ====##........                3.00",
        "another      ........++++++++++++++++  12.0",
        "# inlined  . template  = switch  + late",
    ]


@pytest.mark.parametrize("width", [20, 30, 40, 80, 200])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_text_keeps_to_the_width_where_it_can(width, ascii_only):
    text = bars.waterfall(RUNGS, BESIDE, width=width, ascii_only=ascii_only)
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) == max(width, 27)
    assert ("(" in text) == (width >= 50)
    assert text.isascii() == ascii_only


def test_a_part_too_small_for_a_column_is_still_seen():
    tiny = [Part("a", 100.0, 99, 101), Part("b", 0.001, 0, 0.002), Part("c", -0.001, -1, 0)]
    rows = [line[3:] for line in bars.waterfall(tiny, width=60, ascii_only=True).splitlines()]
    assert [row.partition("(")[0].split() for row in rows[1:]] == [
        ["#", "+0.00100"],
        ["-", "-0.00100"],
    ]
    assert len({len(row) for row in rows}) == 1


def test_nothing_but_zeros_can_be_drawn():
    zero = [Part("a", 0.0, 0.0, 0.0)]
    assert bars.waterfall(zero, width=60, ascii_only=True).endswith("0 (0 to 0)")
    assert bars.stacked([("x", zero)], width=60, ascii_only=True).startswith("x ")
    assert nothing_is_cut_off(waterfall(zero, **WORDS))


def test_a_part_as_text():
    assert bounded(Part("x", 0.5, -0.25, 12_345.6)) == "0.500 (-0.250 to 12,346)"
    assert bounded(Part("x", 0.5, 0.25, 0.75), signed=True) == "+0.500 (0.250 to 0.750)"
    assert bounded(Part("x", -0.5, -1, 0), signed=True) == "-0.500 (-1.00 to 0)"


def test_every_mark_takes_one_column():
    assert all(unicodedata.east_asian_width(mark) not in "WF" for mark in bars.MARKS)
