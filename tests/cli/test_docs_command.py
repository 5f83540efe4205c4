"""docs update: tables of documents, made from result files."""

import json
import stat
from pathlib import Path

import pytest
from fakes import COUNTING_LOOP, PROGRAM, Script, engines, trapped

from vmlab.assembler import assemble
from vmlab.cli import exits
from vmlab.comparison import Comparison
from vmlab.isa import Trap
from vmlab.measure.compare import compare
from vmlab.report.text import report

MS = 1_000_000
END = "<!-- vmlab:end -->"


def measure(path, program=PROGRAM, **scripts):
    with engines(**scripts) as names:
        comparison = compare(program, names, quick=True)
    Path(path).write_text(comparison.to_json())
    return comparison


def named(name):
    return assemble(PROGRAM.source.text, f"{name}.vm")


@pytest.fixture
def update(vmlab):
    """Writes a document and updates it; results/a.json and results/b.json are there."""
    Path("results").mkdir()
    measure("results/a.json", named("alpha"), fast=Script(MS), slow=Script(2 * MS))
    measure("results/b.json", named("beta"), fast=Script(MS), slow=Script(8 * MS))

    def run(text, *options, path="doc.md"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(text.encode())
        return vmlab("docs", "update", *options, path)

    return run


def block(marker, content=""):
    return f"before\n\n<!-- vmlab:{marker} -->\n{content}{END}\n\nafter\n"


def content(path="doc.md"):
    """What stands between the markers, without the blank lines around it."""
    text = Path(path).read_text()
    begin = text.index("-->\n") + len("-->\n")
    assert text.startswith("before\n\n<!-- vmlab:")
    assert text.endswith(f"\n\n{END}\n\nafter\n")
    return text[begin : text.index(END)].strip("\n")


def read(path):
    return Comparison.from_json(Path(path).read_text())


# What markers make


def test_a_table(update):
    result = update(block("table results/a.json", "old\nlines\n"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "doc.md: 1 made from results, 1 changed\n"
    assert content() == read("results/a.json").table("github")


def test_what_compare_printed(update):
    update(block("output results/a.json"))
    assert content() == f"```text\n{report(read('results/a.json'))}```"


def test_a_report_has_verdict_notes_and_warnings(update):
    times = iter([MS, MS, 9 * MS, 9 * MS] * 1000)  # two runs a round
    measure("results/wild.json", calm=Script(MS), wild=Script(lambda: next(times)))
    update(block("report results/wild.json"))
    comparison = read("results/wild.json")
    parts = content().split("\n\n")
    assert parts[0] == comparison.table("github")
    assert parts[1] == comparison.verdict
    bullets = parts[2].splitlines()
    assert bullets[0] == f"- {comparison.notes[0]}"
    assert bullets[-1] == f"- Warning: {comparison.warnings[-1]}"


def test_a_report_of_a_program_that_traps_has_no_table(update):
    trap = trapped(Trap.DIVIDE_BY_ZERO, (0, 2))
    program = assemble(PROGRAM.source.text.replace("-> 4", "-> trap divide_by_zero"))
    scripts = {name: Script(outcome=trap) for name in ("a", "b", "reference")}
    measure("results/trap.json", program, **scripts)
    update(block("report results/trap.json"))
    assert content().startswith("On all engines the program traps (divide_by_zero)")


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ratios_of_several_results_and_their_geometric_mean(update):
    update(block("ratios slow/fast fast/slow results/*.json"))
    header, _, *rows = map(cells, content().splitlines())
    assert header == ["ratio of times", "slow / fast", "fast / slow"]
    assert rows == [
        ["alpha", "2.00", "0.500"],
        ["beta", "8.00", "0.125"],
        ["geometric mean", "4.00", "0.250"],
    ]


def test_a_ratio_that_is_not_resolved_is_in_parentheses(update):
    measure("results/e.json", named("epsilon"), fast=Script(MS), slow=Script(MS))
    update(block("ratios slow/fast results/a.json results/e.json"))
    rows = [cells(line) for line in content().splitlines()[2:]]
    assert rows == [["alpha", "2.00"], ["epsilon", "(1.00)"], ["geometric mean", "1.41"]]


def measure_ratios(path, *ratios):
    """A result in which `slow` took these times as long as `fast`, in rounds in this order."""
    data = json.loads(Path("results/a.json").read_text())
    samples = data["rounds"]["samples_nanoseconds"]
    order = data["rounds"]["order"][:1]
    data["rounds"]["order"] = order * len(ratios)
    samples["fast"] = [1000] * len(ratios)
    samples["slow"] = [round(1000 * ratio) for ratio in ratios]
    Path(path).write_text(json.dumps(data))


def mean_of(update, marker):
    update(block(marker))
    return cells(content().splitlines()[-1])[1:]


def test_the_mean_is_taken_in_every_round_and_resolved_if_its_bounds_are_on_one_side(update):
    # The medians are 1 and 4, and in every round the mean is 2 or 4: the bounds leave 1 out.
    measure_ratios("results/c.json", *[1, 1, 1, 1, 16, 16, 16])
    measure_ratios("results/d.json", *[4, 4, 4, 4, 1, 1, 1])
    files = "results/c.json results/d.json"
    assert mean_of(update, f"ratios slow/fast {files}") == ["2.00"]
    # Now the mean is below 1 in two rounds of seven.
    measure_ratios("results/c.json", *[1 / 16, 1 / 16, 4, 4, 4, 4, 4])
    assert mean_of(update, f"ratios slow/fast {files}") == ["(2.00)"]


def test_rounds_that_are_too_few_for_so_many_means_resolve_none(update):
    for path in ("results/c.json", "results/d.json"):
        measure_ratios(path, *[3] * 6)
    files = "results/c.json results/d.json"
    assert mean_of(update, f"ratios slow/fast {files}") == ["3.00"]
    assert mean_of(update, f"ratios slow/fast fast/slow {files}") == ["(3.00)", "(0.333)"]


def test_rounds_that_only_some_programs_have_are_left_out_of_the_mean(update):
    measure_ratios("results/c.json", *[3] * 7, *[9] * 20)
    measure_ratios("results/d.json", *[3] * 7)
    assert mean_of(update, "ratios slow/fast results/c.json results/d.json") == ["3.00"]


def test_ratios_are_to_the_first_engine_unless_told_otherwise(update):
    update(block("ratios results/b.json"))
    header, _, *rows = map(cells, content().splitlines())
    assert header == ["ratio of times", "slow / fast"]
    assert rows == [["beta", "8.00"]]


def test_a_ratio_that_does_not_exist_is_left_out_of_the_mean_which_says_so(update):
    folded = Script(MS, ir=COUNTING_LOOP, back_edges=10_000)
    with engines(inlined=folded, fast=Script(MS), slow=Script(3 * MS)) as names:
        comparison = compare(named("gamma"), names, quick=True)
    Path("results/c.json").write_text(comparison.to_json())
    update(block("ratios slow/inlined slow/fast results/a.json results/c.json"))
    *_, alpha, gamma, mean = map(cells, content().splitlines())
    assert alpha == ["alpha", "–", "2.00"]
    assert gamma == ["gamma", "–", "3.00"]
    assert mean == ["geometric mean", "–", "2.45"]
    update(block("ratios slow/fast fast/inlined results/*.json"))
    assert cells(content().splitlines()[-1])[1] == "3.63"
    measure("results/d.json", named("delta"), fast=Script(MS), other=Script(MS))
    update(block("ratios slow/fast results/*.json"))
    assert cells(content().splitlines()[-1])[1] == "3.63, of 3"


def test_the_books_set_what_the_ladder_predicts_beside_what_cpython_takes(update):
    for name, measured in ("c", 8), ("d", 1):
        measure(f"results/{name}.json", late=Script(2 * MS), cpython=Script(measured * MS))
    measure("results/e.json", named("untimed"), late=Script(MS))
    update(block("books results/c.json results/d.json results/e.json"))
    header, _, *rows = map(cells, content().splitlines())
    assert header[1:3] == ["predicted (late), ns", "measured (cpython), ns"]
    per_instruction = MS / read("results/c.json").agreement.outcome.instructions
    [over, under, untimed, mean] = rows
    assert over[3:] == ["0.250 (0.250 to 0.250)", f"{6 * per_instruction:,.0f}"]
    assert under[3:] == ["2.00 (2.00 to 2.00)", f"-{per_instruction:,.0f}"]
    assert untimed == ["untimed", "–", "–", "–", "–"]
    assert mean == ["geometric mean", "", "", "0.707 (0.707 to 0.707), of 2", ""]


# The document


def test_paths_are_relative_to_the_document_and_may_have_spaces(update):
    Path("results/a.json").rename("results/a b.json")
    update(block("table '../results/a b.json'"), path="guide/doc.md")
    assert content("guide/doc.md") == read("results/a b.json").table("github")


def test_new_lines_end_like_their_marker(update):
    text = block("table results/a.json")
    update(text.replace("\n", "\r\n") + text)
    crlf, lf = Path("doc.md").read_bytes().decode().split("after\r\n")
    assert crlf.count("\n") == crlf.count("\r\n") > text.count("\n")
    assert crlf.replace("\r\n", "\n") + "after\n" == lf


def test_a_byte_order_mark_may_stand_before_a_marker(update):
    text = f"\ufeff<!-- vmlab:table results/a.json -->\n{END}\n"
    assert update(text).exit_code == 0
    assert Path("doc.md").read_text("utf-8").startswith(text.splitlines()[0] + "\n\n|")


def test_an_update_changes_nothing_more_the_second_time(update):
    update(block("table results/a.json") + block("ratios results/*.json"))
    once = Path("doc.md").read_text()
    again = update(once)
    assert Path("doc.md").read_text() == once
    assert again.stderr == "doc.md: 2 made from results, 0 changed\n"


def test_line_ends_and_mode_stay(update):
    update(block("table results/a.json").replace("\n", "\r\n"))
    text = Path("doc.md").read_bytes()
    assert text.count(b"\r\n") == text.count(b"\n") > 8
    Path("doc.md").chmod(0o640)
    update(block("table results/b.json"))
    assert stat.S_IMODE(Path("doc.md").stat().st_mode) == 0o640


def test_markers_in_code_are_text(update):
    code = block("nonsense nowhere.json")
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    text = f"````\n```\n{code}```\n````\n\n~~~ markdown\n{code}~~~\n\n{indented}\n`<!-- vmlab:x`\n"
    result = update(text)
    assert (result.exit_code, Path("doc.md").read_text()) == (0, text)
    assert "0 made from results" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            block("tabel results/a.json"),
            "doc.md:3: no marker is called 'tabel'; did you mean 'table'? (there are: table,",
        ),
        (
            "\n<!-- vmlab:table results/a.json -->\n",
            "doc.md:2: no <!-- vmlab:end --> follows this marker",
        ),
        (
            "<!-- vmlab:table results/a.json -->\n" + block("table results/b.json"),
            "doc.md:1: no <!-- vmlab:end --> follows this marker",
        ),
        (f"text\n{END}\n", "doc.md:2: this ends nothing"),
        ("<!-- vmlab:end table -->\n", "doc.md:1: this marker takes nothing more"),
        ("<!-- vmlab:table results/a.json --> x\n", "doc.md:1: a marker stands alone on its line"),
        (
            block("table results/none.json"),
            "doc.md:3: cannot read 'results/none.json': No such file or directory",
        ),
        (block("table doc.md"), "doc.md:3: doc.md: this is not JSON"),
        (block("table"), "doc.md:3: this marker takes one result file, not 0"),
        (
            block("output results/a.json results/b.json"),
            "doc.md:3: this marker takes one result file, not 2",
        ),
        (block("ratios nothing/*.json"), "doc.md:3: no file matches 'nothing/*.json'"),
        (
            block("ratios /nothing/*.json"),
            "doc.md:3: the pattern '/nothing/*.json' is not relative to the document",
        ),
        (block("ratios slow/fast"), "doc.md:3: this marker takes result files"),
        (
            block("ratios slow results/a.json"),
            "doc.md:3: 'slow' is neither a .json file nor a ratio such as switch/inlined",
        ),
        (
            block("ratios slwo/fast results/a.json"),
            "doc.md:3: 'slwo/fast': no engine of these results is called 'slwo'; did you mean"
            " 'slow'?",
        ),
        (block("table 'results/a.json"), "doc.md:3: No closing quotation"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_nothing_is_written(update, text, message):
    result = update(text)
    assert (result.exit_code, result.stdout) == (exits.INVALID_DATA, "")
    assert result.stderr.startswith(f"Error: {message}")
    assert Path("doc.md").read_text() == text


def test_all_errors_are_told_at_once_and_no_document_is_written(vmlab, update):
    Path("good.md").write_text(block("table results/a.json"))
    Path("bad.md").write_text(block("x") + block("table none.json"))
    result = vmlab("docs", "update", "good.md", "bad.md")
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [
        ["Error:", "bad.md:3:"],
        ["bad.md:9:", "cannot"],
    ]
    assert Path("good.md").read_text() == block("table results/a.json")


def test_a_document_that_cannot_be_read(vmlab):
    result = vmlab("docs", "update", "none.md")
    assert result.exit_code == exits.USAGE
    assert "cannot read 'none.md': No such file or directory" in result.stderr
    Path("latin.md").write_bytes(b"\xe9")
    result = vmlab("docs", "update", "latin.md")
    assert result.exit_code == exits.INVALID_DATA
    assert "latin.md: this is not text in UTF-8" in result.stderr


# --check


def test_check_shows_what_is_out_of_date_and_writes_nothing(update):
    update(block("table results/a.json"))
    fresh = Path("doc.md").read_text()
    assert update(fresh, "--check").exit_code == 0
    stale = fresh.replace("2.00 (2.00 to 2.00)", "1.00 (1.00 to 1.00)")
    result = update(stale + block("ratios results/*.json"), "--check")
    assert result.exit_code == exits.DIFFERS
    assert Path("doc.md").read_text() == stale + block("ratios results/*.json")
    first, old, new, *rest = result.stdout.splitlines()
    assert first == "doc.md:3: out of date: <!-- vmlab:table results/a.json -->"
    assert old.startswith("-| slow") and "1.00 (1.00 to 1.00)" in old
    assert new.startswith("+| slow") and "2.00 (2.00 to 2.00)" in new
    assert rest[0] == "doc.md:15: out of date: <!-- vmlab:ratios results/*.json -->"
    assert result.stderr == "doc.md: 2 made from results, 2 out of date\n"


def test_a_long_difference_is_cut(update):
    result = update(block("output results/a.json"), "--check")
    assert "lines more)" in result.stdout
    assert len(result.stdout.splitlines()) == 8
