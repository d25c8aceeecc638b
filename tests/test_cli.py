import json
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

import sector_risk
from sector_risk import cli
from sector_risk.backtesting.progress import counter
from sector_risk.chances import probability
from sector_risk.cli import progress
from sector_risk.faults import InputWarning
from sector_risk.progress import blocks_done, forecasts_done, points_done, reporter
from sector_risk.readings import _RULES
from sector_risk.regimes.regime import BUNDLED
from sector_risk.simulation import LIMITS

CASE = "england-2018-19"
RUN = "from sector_risk.cli import main; main()"


def run(*arguments):
    result = CliRunner().invoke(cli.commands, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def forecast(*arguments):
    return run("forecast", "--case", CASE, "--draws", 60, *arguments)


@pytest.fixture
def no_simulation(monkeypatch):
    """A simulation is a mistake here: the fault must be found before it."""

    def simulate(*_, **__):
        raise AssertionError("the simulation was started")

    monkeypatch.setattr(sector_risk, "simulate", simulate, raising=False)


@pytest.fixture
def interrupted(monkeypatch):
    def simulate(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sector_risk, "simulate", simulate, raising=False)


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


class TestForecast:
    def test_answers_the_question_on_a_page_of_80_columns(self):
        result = forecast()
        assert result.exit_code == 0
        for words in (
            "Provider sector: plan",
            "Whole NHS: ",
            "chance of breakeven",
            "Trusts in deficit",
            "synthetic",
        ):
            assert words in re.sub(r"\s+", " ", result.output)
        assert max(map(len, result.output.splitlines())) <= 80

    def test_never_claims_a_chance_of_nought(self):
        assert not re.search(r"(?<![\d.,])(0|100)(\.0)?%", forecast().output)

    def test_writes_both_files_and_names_them(self, tmp_path):
        result = forecast("-o", tmp_path / "out/f.nc", "--plot", tmp_path / "out/f.png")
        assert result.exit_code == 0
        assert names_in(tmp_path / "out") == ["f.nc", "f.png"]
        assert "f.nc" in result.output
        assert "f.png" in result.output
        assert sector_risk.open_forecast(tmp_path / "out/f.nc").sizes["draw"] == 60

    def test_the_seed_decides_the_answer(self):
        assert forecast("--seed", 1).output == forecast("--seed", 1, "--threads", 1).output
        assert forecast("--seed", 1).output != forecast("--seed", 2).output

    def test_quiet_says_nothing(self):
        assert forecast("--quiet").output == ""

    def test_one_draw_is_spoken_of_as_one_and_has_no_error(self):
        text = plain(forecast("--draws", 1))
        assert "227 trusts, 1 draw, seed" in text
        assert "Only 1 draw: too few" in text
        assert "Monte Carlo" not in text

    def test_the_error_of_a_chance_that_no_draw_showed_is_the_rule_of_three(self):
        assert "under 5.0 points on its chance of breakeven" in plain(forecast())

    def test_what_was_filled_by_default_is_said(self):
        filled = "efficiency_recurrent_share, 0.91 of the efficiency plan is recurrent"
        assert f"Filled by default (all 227 trusts): {filled}" in plain(forecast())

    def test_warnings_are_plain_lines(self, monkeypatch):
        load_case = sector_risk.load_case

        def warns(name):
            warnings.warn("turnover filled", InputWarning, stacklevel=2)
            return load_case(name)

        monkeypatch.setattr(sector_risk, "load_case", warns, raising=False)
        assert forecast("--quiet").output == "warning: turnover filled\n"


@pytest.mark.usefixtures("no_simulation")
class TestMistakes:
    def test_neither_panel_nor_case_suggests_the_case(self):
        result = run("forecast")
        assert result.exit_code == 2
        assert f"--case {CASE}" in result.output

    def test_panel_and_case(self, tmp_path):
        (tmp_path / "panel.csv").write_text("trust\n")
        assert run("forecast", tmp_path / "panel.csv", "--case", CASE).exit_code == 2

    def test_an_unknown_case_names_the_nearest(self):
        result = run("forecast", "--case", "england-2018-91")
        assert result.exit_code == 2
        assert f"Did you mean '{CASE}'?" in result.output

    @pytest.mark.parametrize("option", [("--draws", 0), ("--draws", "many"), ("--threads", 0), ("--seed", "x")])
    def test_a_number_out_of_range(self, option):
        result = forecast(*option)
        assert result.exit_code == 2
        assert option[0] in result.output

    @pytest.mark.parametrize("option", ["--draws", "--threads", "--seed"])
    def test_what_is_no_whole_number_is_called_so(self, option):
        assert "'40x' is not a valid whole number" in forecast(option, "40x").output

    @pytest.mark.parametrize("option", ["-o", "--plot"])
    def test_an_unknown_ending(self, option, tmp_path):
        result = forecast(option, tmp_path / "forecast.docx")
        assert result.exit_code == 2
        assert "unknown ending '.docx'" in result.output

    @pytest.mark.parametrize(("option", "name"), [("-o", "f.nc"), ("-o", "f.zarr"), ("--plot", "f.png")])
    def test_a_folder_stands_where_the_file_belongs(self, option, name, tmp_path):
        (tmp_path / name).mkdir()
        result = forecast(option, tmp_path / name)
        assert result.exit_code == 2
        assert "is a folder" in result.output

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        assert forecast("-o", tmp_path / "file" / "f.nc").exit_code == 2

    def test_a_panel_that_is_not_there(self, tmp_path):
        assert run("forecast", tmp_path / "none.csv").exit_code == 2

    def test_every_fault_of_a_panel_in_one_report(self, tmp_path):
        panel = tmp_path / "plans.csv"
        panel.write_text(
            "trust,region,trust_type,plan,turnover,efficiency_plan\n"
            "SYN01,London,Acute,-1.5,400,16\n"
            "SYN01,London,Acute,tbc,400,16\n"
            "SYN03,Atlantis,Acute,-2,400,16\n"
        )
        for result in (run("forecast", panel, "-o", tmp_path / "f.nc"), run("check", panel)):
            assert result.exit_code == 2
            assert "SYN01" in result.output
            assert "tbc" in result.output
            assert "Atlantis" in result.output
        assert names_in(tmp_path) == ["plans.csv"]

    @pytest.mark.parametrize("text", ["no_such_section = 1\n", "not toml"])
    def test_assumptions_that_cannot_be_used(self, text, tmp_path):
        (tmp_path / "a.toml").write_text(text)
        assert forecast("--assumptions", tmp_path / "a.toml").exit_code == 2


@pytest.fixture
def without_allocations(tmp_path):
    panel = tmp_path / "plans-2018-19.csv"
    panel.write_text(
        "trust,name,region,trust_type,plan,turnover,efficiency_plan\n"
        "SYN01,One,London,Acute,-1.5,400,16\n"
        "SYN02,Two,Midlands,Community,2,100,4\n"
    )
    return panel


@pytest.mark.parametrize("command", ["forecast", "project"])
def test_rules_that_nobody_asked_for_and_that_are_none_say_how_to_ask(command, without_allocations):
    hint = "Rules: none, since the panel has no support allocations; choose others with --regime."
    arguments = (command, without_allocations, "--draws", 20)
    assert hint in plain(run(*arguments))
    assert "Rules: none. " in plain(run(*arguments, "--regime", "none"))


class TestInterrupt:
    @pytest.mark.usefixtures("interrupted")
    def test_during_the_simulation(self, tmp_path):
        (tmp_path / "f.nc").write_text("earlier")
        result = forecast("-o", tmp_path / "f.nc")
        assert result.exit_code == 130
        assert "Interrupted.\nNothing was written.\n" in result.output
        assert (tmp_path / "f.nc").read_text() == "earlier"

    def test_during_the_plot_nothing_is_written_either(self, tmp_path, monkeypatch):
        def plot_forecast(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("sector_risk.plots.plot_forecast", plot_forecast)
        result = forecast("-o", tmp_path / "f.nc", "--plot", tmp_path / "f.png")
        assert result.exit_code == 130
        assert names_in(tmp_path) == []


def project(*arguments):
    return run("project", "--case", CASE, "--draws", 60, *arguments)


def plain(result):
    return re.sub(r"\s+", " ", result.output)


class TestProject:
    def test_answers_on_a_page_of_80_columns(self):
        result = project("--regime", "2019-20", "--years", 3)
        assert result.exit_code == 0
        for words in (
            "NHS providers in England, 2018-19 to 2020-21",
            "Rules: 2019-20 (sustainability funding, financial recovery fund,",
            "Provider sector: expected -",
            "chance of balance in 2020-21",
            "Trusts in deficit: expected 107 of 227 in 2018-19 and",
            "Underlying position",
            "Loans owed",
            "Provider sector in balance in 2020-21: <5% (met in none of 60 draws).",
            "Every trust in balance in 2023-24: beyond these years; ask for 6 years.",
            "Accelerated turnaround: the 30 trusts chosen at the end of 2018-19 have deficits of",
            "of the sector's net deficit of",
            "Monte Carlo error (95%), 2020-21:",
            "too few for ranges",
            "synthetic",
        ):
            assert words in plain(result)
        assert max(map(len, result.output.splitlines())) <= 80
        assert "…" not in result.output

    def test_every_year_has_the_count_beside_the_total(self):
        lines = project("--years", 4).output.splitlines()
        for year in ("2018-19", "2019-20", "2020-21", "2021-22"):
            (row,) = [line for line in lines if re.match(f"{year} {{2,}}-", line)]
            label, position, chance, count, *_ = row.split()
            assert (label, chance) == (year, "<5%")
            assert int(position.replace(",", "")) < 0 < int(count) < 227

    def test_what_2025_asks_is_reported(self):
        text = plain(project("--regime", "2025-26", "--years", 2))
        assert "trusts in segment 4 in 2018-19 and" in text
        assert "Improvement programme: 15 trusts inside in 2018-19 and" in text
        assert "Loans owed" not in text

    def test_one_year_is_spoken_of_once(self):
        text = plain(project("--years", 1, "--regime", "none"))
        assert "NHS providers in England, 2018-19: the year-end" in text
        assert "What the rules do" not in text
        assert "Each year follows" not in text
        assert "ask for 2 years" in text

    def test_years_are_five_if_not_said(self):
        assert "2018-19 to 2022-23" in project("--regime", "none").output

    def test_never_claims_a_chance_of_nought(self):
        assert not re.search(r"(?<![\d.,])(0|100)(\.0)?%(?! of the sector)", project("--years", 2).output)

    def test_writes_both_files_and_names_them(self, tmp_path):
        result = project("--years", 2, "-o", tmp_path / "out/p.zarr", "--plot", tmp_path / "out/p.png")
        assert result.exit_code == 0
        assert names_in(tmp_path / "out") == ["p.png", "p.zarr"]
        assert "p.zarr" in result.output
        opened = sector_risk.open_forecast(tmp_path / "out/p.zarr")
        assert opened["position"].dims == ("year", "trust", "draw")
        assert json.loads(opened.attrs["regime"])["name"] == "2018-19"

    def test_the_seed_decides_the_answer(self):
        two = ("--years", 2, "--seed", 1)
        assert project(*two).output == project(*two, "--threads", 1).output
        assert project(*two).output != project("--years", 2, "--seed", 2).output

    def test_quiet_says_nothing(self):
        assert project("--years", 2, "--quiet").output == ""

    def test_a_regime_of_ones_own(self, tmp_path):
        own = sector_risk.REGIMES["2018-19"].replace("sustainability_funding", finance_share=0.5)
        (tmp_path / "own.toml").write_text(own.to_toml().replace('"2018-19"', '"softer"'), encoding="utf-8")
        assert (
            "Rules: softer (sustainability funding)." in project("--years", 1, "--regime", tmp_path / "own.toml").output
        )

    def test_a_forecast_takes_a_regime_too(self):
        result = forecast("--regime", "none")
        assert "Rules: none." in result.output
        assert result.output != forecast().output

    def test_an_interrupt_writes_nothing(self, tmp_path, monkeypatch):
        def plot_projection(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("sector_risk.plots.plot_projection", plot_projection)
        result = project("--years", 2, "-o", tmp_path / "p.nc", "--plot", tmp_path / "p.png")
        assert result.exit_code == 130
        assert names_in(tmp_path) == []


class TestProjectMistakes:
    @pytest.mark.parametrize("command", ["project", "forecast"])
    def test_an_unknown_regime_names_the_known_ones(self, command):
        result = run(command, "--case", CASE, "--regime", "2018-91")
        assert result.exit_code == 2
        assert "2018-19, 2019-20" in result.output

    @pytest.mark.parametrize("years", [0, 31, "five"])
    def test_years_out_of_range(self, years):
        result = project("--years", years)
        assert result.exit_code == 2
        assert "--years" in result.output

    def test_the_range_is_the_library_s(self):
        (option,) = [option for option in cli.project.params if option.name == "years"]
        assert (option.type.min, option.type.max) == LIMITS["years"]

    def test_a_rule_that_acts_in_no_year(self, tmp_path):
        (tmp_path / "late.toml").write_text(
            'name = "late"\n[[rules]]\nrule = "payment_reform"\nfirst_year = "2030-31"\n'
        )
        result = project("--regime", tmp_path / "late.toml")
        assert result.exit_code == 2
        assert "payment_reform: acts in none of the years ('2018-19 to 2022-23')" in result.output

    @pytest.mark.parametrize("text", ["rules = 1\n", "not toml", 'name = "x"\n[[rules]]\nrule = "payment_reforn"\n'])
    def test_a_regime_that_cannot_be_read(self, text, tmp_path):
        (tmp_path / "own.toml").write_text(text)
        assert project("--regime", tmp_path / "own.toml").exit_code == 2

    def test_a_regime_that_is_not_there(self, tmp_path):
        result = project("--regime", tmp_path / "none.toml")
        assert result.exit_code == 2
        assert "none.toml" in result.output

    def test_neither_panel_nor_case_suggests_the_case(self):
        assert f"--case {CASE}" in run("project").output


class TestRegimes:
    def test_each_rule_has_a_line_and_every_name_for_a_file_is_there(self):
        output = run("regimes").output
        lines = output.splitlines()
        headings = [line.split(":")[0] for line in lines if not line.startswith(" ")]
        assert headings == [*sector_risk.REGIMES, "in none of these", "names of rules in a file", "to start a file"]
        rules = [rule for regime in sector_risk.REGIMES.values() for rule in regime.rules]
        said = [line for line in lines if re.match("  [A-Z]", line)]
        assert len(said) == len(rules) + len(set(BUNDLED) - {rule.name for rule in rules})
        names = re.sub(r"\s+", " ", output.split("names of rules in a file:")[1].split("to start")[0])
        assert names.strip().split(", ") == list(BUNDLED)
        assert max(map(len, lines)) <= 120

    @pytest.mark.parametrize("name", list(sector_risk.REGIMES))
    def test_a_name_writes_the_regime_down(self, name):
        assert sector_risk.Regime.from_toml(run("regimes", name).output) == sector_risk.REGIMES[name]

    def test_an_unknown_name_names_the_known_ones(self):
        result = run("regimes", "2018-91")
        assert result.exit_code == 2
        assert "2018-19, 2019-20" in result.output


def test_every_rule_of_the_library_has_plain_words():
    assert set(_RULES) == set(BUNDLED)


def test_check_says_what_a_forecast_would_make_of_a_panel(tmp_path):
    panel = tmp_path / "plans.csv"
    panel.write_text(
        "trust,name,region,trust_type,plan,turnover,efficiency_plan\n"
        "SYN01,One,London,Acute,-1.5,400,16\n"
        "SYN02,Two,Midlands,Community,2,100,4\n"
    )
    result = run("check", panel)
    assert result.exit_code == 0
    assert "no faults" in result.output
    assert "2 trusts" in result.output


def test_cases_lists_every_case():
    result = run("cases")
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.output.splitlines()] == list(sector_risk.case_names())


def test_warmup_says_how_long_it_took():
    assert re.search(r"\d\.\d s", run("warmup").output)


def test_a_full_disk_is_one_line(monkeypatch, tmp_path):
    def write(*_):
        raise OSError(28, "No space left on device", "f.nc")

    monkeypatch.setattr("sector_risk.files.write_forecast", write)
    result = forecast("-o", tmp_path / "f.nc")
    assert result.exit_code == 1
    assert "No space left on device" in result.output
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (blocks_done, "\r[##########                    ] 1/3 blocks\r[##############################] 3/3 blocks\n"),
        (points_done, "\rsimulated at 1 of 3 points\rsimulated at 3 of 3 points\n"),
        (forecasts_done, "\rforecast 1 of 3\rforecast 3 of 3\n"),
    ],
)
def test_progress_of_the_library_goes_to_standard_error(line, text, capsys):
    tell = reporter(True, line)
    tell(1, 3)
    tell(3, 3)
    assert capsys.readouterr() == ("", text)
    assert reporter(False, line) is None


def test_simulate_and_backtest_show_their_own_lines(capsys):
    trusts = sector_risk.load_case(CASE).isel(trust=slice(4))
    sector_risk.simulate(trusts, n_draws=20, block_size=10, threads=1, progress=True)
    assert capsys.readouterr().err.endswith("2/2 blocks\n")
    tick = counter(True, 2)
    tick()
    tick()
    assert capsys.readouterr().err == "\rforecast 1 of 2\rforecast 2 of 2\n"


def test_the_bar_stays_away_from_short_runs():
    bar = progress.LateBar(after=60)
    bar.update(1, 2)
    assert bar._bar is None
    bar.stop()


def test_the_bar_counts_blocks():
    bar = progress.LateBar(after=0)
    bar.update(1, 2)
    assert bar._bar.tasks[0].completed == 1
    bar.stop()


@pytest.mark.parametrize(
    ("share", "n_draws", "text"),
    [
        (0, 10_000, "<0.1%"),
        (1, 10_000, ">99.9%"),
        (0.0004, 10_000, "<0.1%"),
        (0, 100, "<3%"),
        (1, 100, ">97%"),
        (0.004, 10_000, "0.4%"),
        (0.1432, 10_000, "14%"),
        (0.9951, 10_000, "99.5%"),
        (0, 1, "<99%"),
        (float("nan"), 100, "–"),
    ],
)
def test_probabilities_are_as_sure_as_the_draws_allow(share, n_draws, text):
    assert probability(share, n_draws) == text


def shell(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300)


def test_the_installed_command_keeps_output_and_errors_apart():
    done = shell(RUN, "forecast", "--case", CASE, "--draws", "60")
    assert done.returncode == 0
    assert "Provider sector" in done.stdout
    assert done.stderr == ""
    done = shell(RUN, "forecast", "--case", "nowhere")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "nowhere" in done.stderr


def test_without_click_one_line_says_what_to_install():
    done = shell("import sys; sys.modules['click'] = None; " + RUN)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["The command line needs two small packages: pip install 'sector-risk[cli]'"]


@pytest.mark.parametrize(("draws", "said"), [("50", True), ("1000", False)])
def test_few_draws_are_said_to_be_few(draws, said):
    result = run("forecast", "--case", CASE, "--draws", draws)
    assert ("too few for ranges" in " ".join(result.output.split())) == said


# A child that interrupts itself. Python drops the interrupt of `swallowed`, as one that comes while it tidies up.
INTERRUPTING = """
import os, signal, sys, weakref
import sector_risk, sector_risk.files, sector_risk.report_text
signal.signal(signal.SIGINT, signal.default_int_handler)

class Thing:
    pass

def hit():
    os.kill(os.getpid(), signal.SIGINT)

def swallowed():
    thing = Thing()
    kept = weakref.ref(thing, lambda _: hit())
    del thing

def first(place, name, interrupt):
    usual = getattr(place, name)
    def interrupted(*arguments, **named):
        interrupt()
        return usual(*arguments, **named)
    setattr(place, name, interrupted)
"""
BEFORE_THE_RUN = (
    "first(sector_risk, 'simulate', swallowed); sector_risk.summarise = lambda *_: print('the run went on')"
)
AS_ANOTHER_ERROR = """
def broken(*_):
    swallowed()
    raise ImportError
sector_risk.load_case = broken
"""


NOTHING = "Interrupted.\nNothing was written.\n"


def interrupted_child(how, folder, *options, name="f.nc"):
    files = ("-o", f"{folder}/{name}", "--plot", f"{folder}/f.png")
    return shell(INTERRUPTING + how + "\n" + RUN, "forecast", "--case", CASE, "--draws", "60", *files, *options)


@pytest.mark.parametrize(
    "how",
    [
        BEFORE_THE_RUN,
        AS_ANOTHER_ERROR,
        "first(sector_risk, 'summarise', hit)",
        "first(sector_risk, 'summarise', swallowed)",
        "first(sector_risk.files, 'write_forecast', swallowed)",
    ],
)
def test_an_interrupt_is_never_swallowed(how, tmp_path):
    done = interrupted_child(how, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", NOTHING)
    assert names_in(tmp_path) == []


AS_THE_STORE_GROWS = """
import glob, threading

def watch():
    while len(glob.glob({folder!r} + "/.f-*.zarr/*")) < {count}:
        pass
    hit()

first(sector_risk.files, "_write_store", threading.Thread(target=watch, daemon=True).start)
"""


@pytest.mark.parametrize("count", [4, 10, 12])
def test_an_interrupted_store_is_not_written_on_behind_the_scenes(count, tmp_path):
    how = AS_THE_STORE_GROWS.format(folder=str(tmp_path), count=count)
    options = ("--draws", "6000", "--through-month", "0")  # no months before the year: from memory to a store
    done = interrupted_child(how, tmp_path, *options, name="f.zarr")
    assert (done.returncode, done.stderr) == (130, NOTHING)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "how",
    [
        "first(sector_risk.files, '_replace', hit)",
        "first(sector_risk.report_text, 'report', hit)",
        "first(sector_risk.report_text, 'report', swallowed)",
    ],
)
def test_an_interrupt_after_the_files_are_there_names_them(how, tmp_path):
    done = interrupted_child(how, tmp_path)
    assert done.returncode == 130
    assert done.stderr == f"Interrupted.\n{tmp_path / 'f.nc'} and {tmp_path / 'f.png'} were written.\n"
    assert names_in(tmp_path) == ["f.nc", "f.png"]


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
@pytest.mark.parametrize("seconds", [0.3, 1.2, 2.2])
def test_an_interrupt_from_outside_leaves_both_files_or_none(seconds, ending, tmp_path):
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); print('ready', flush=True); {RUN}"
    files = ["p.png", f"p{ending}"]
    options = ("--draws", "1000", "--years", "3", "-o", tmp_path / files[1], "--plot", tmp_path / files[0], "--quiet")
    command = [sys.executable, "-c", code, "project", "--case", CASE, *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        child.stdout.readline()
        time.sleep(seconds)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=300)
    written = names_in(tmp_path)
    if "Nothing was written" in errors:
        assert (child.returncode, written) == (130, [])
    elif errors:
        assert (child.returncode, written) == (130, sorted(files))
    else:
        assert written == (sorted(files) if child.returncode == 0 else [])


class TestEvidence:
    def seen(self, folder, **columns):
        """A small file of trusts with their plans and what they reported by month 6."""
        rows = {"trust": ["ZZ1", "ZZ2"], "region": ["London"] * 2, "trust_type": ["Acute"] * 2}
        rows |= {"turnover": [500.0, 400.0], "efficiency_plan": [20.0, 16.0], "plan": [-10.0, 0.0]}
        rows |= {"variance_ytd_m3": [-1.0, 0.0], "variance_ytd_m6": [-4.0, 0.0], **columns}
        path = folder / "return_2018-19.csv"
        path.write_text("\n".join(",".join(map(str, row)) for row in [list(rows), *zip(*rows.values(), strict=True)]))
        return path

    def test_a_forecast_is_given_the_months_seen(self, tmp_path):
        path, saved = self.seen(tmp_path), tmp_path / "f.nc"
        result = run("forecast", path, "--through-month", 6, "--draws", 60, "-o", saved)
        assert result.exit_code == 0, result.output
        said = " ".join(result.output.split())  # lines are wrapped
        assert "2 of 2 trusts have reported, the last month 6, −£4m against plan to date" in said
        assert sector_risk.open_forecast(saved)["months_seen"].values.tolist() == [6, 6]

    def test_with_nothing_seen_it_is_the_usual_forecast(self, tmp_path):
        path = self.seen(tmp_path)
        usual = run("forecast", path, "--draws", 60)
        assert "give --through-month to forecast in their light" in usual.stderr
        assert run("forecast", path, "--draws", 60, "--through-month", 0).stdout == usual.stdout

    def test_no_month_13(self, tmp_path):
        result = run("forecast", self.seen(tmp_path), "--through-month", 13)
        assert result.exit_code == 2
        assert "0<=x<=12" in result.output

    def test_a_fit_is_saved_and_drawn_from(self, tmp_path):
        fitted = tmp_path / "fitted.toml"
        result = run("calibrate", "--without", "2016-17", "-o", fitted)
        assert result.exit_code == 0, result.output
        assert "(4 years)" in result.output
        assert f"Wrote {fitted}" in result.output
        page = run("forecast", self.seen(tmp_path), "--assumptions", fitted, "--draws", 80, "--parameter-sets", 4)
        assert page.exit_code == 0, page.output
        assert "Parameters are drawn 4 times from a fit" in page.output
        many = run("forecast", self.seen(tmp_path), "--assumptions", fitted, "--draws", 81)
        assert many.exit_code == 2
        assert "multiple of parameter_sets" in many.output
        path = run("project", self.seen(tmp_path), "--assumptions", fitted, "--draws", 40, "--years", 2)
        assert path.exit_code == 0, path.output

    def test_a_fit_is_written_whole_or_not_at_all(self, tmp_path, monkeypatch):
        def broken(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("sector_risk.Calibration.to_toml", broken)
        (tmp_path / "fitted.toml").write_text("earlier")
        result = run("calibrate", "-o", tmp_path / "fitted.toml", "--quiet")
        assert result.exit_code == 1
        assert names_in(tmp_path) == ["fitted.toml"]
        assert (tmp_path / "fitted.toml").read_text() == "earlier"

    def test_an_interrupt_before_a_fit_is_in_place_leaves_the_earlier_one(self, tmp_path, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("sector_risk.files._replace", interrupted)
        result = run("calibrate", "-o", tmp_path / "fitted.toml", "--quiet")
        assert result.exit_code == 130
        assert "Nothing was written" in result.output
        assert names_in(tmp_path) == []

    def test_a_fit_goes_to_a_toml_file_only(self, tmp_path):
        result = run("calibrate", "-o", tmp_path / "fitted.csv")
        assert result.exit_code == 2
        assert ".toml" in result.output

    def test_a_return_is_read_with_its_mapping(self, tmp_path):
        mapping, path = tmp_path / "mapping.toml", tmp_path / "return_2018-19.csv"
        mapping.write_text('unit = "GBP thousand"\n[columns]\nOrg = "trust"\nResult = "actual"\nPeriod = "month"\n')
        header = "Org,Region,Trust type,Period,Turnover,Plan,Efficiency plan,Result\n"
        path.write_text(header + "ZZ1,London,Acute,1,500000,-10000,20000,-900\n")
        result = run("check", path, "--mapping", mapping)
        assert result.exit_code == 0, result.output
        assert "no faults; 1 trusts, 2018-19" in result.output

    def test_a_case_takes_no_options_of_a_file(self):
        result = run("forecast", "--case", CASE, "--sheet", "x")
        assert result.exit_code == 2
        assert "give --sheet with a PANEL file only" in result.output

    def test_options_that_say_nothing_are_refused(self, tmp_path):
        sets = run("forecast", "--case", CASE, "--parameter-sets", 7)
        assert sets.exit_code == 2
        assert "--parameter-sets says something only with --assumptions that are a fit" in sets.output
        years = run("backtest", "--target-month", 6)
        assert years.exit_code == 2
        assert "--target-month says something only with a PANEL" in years.output

    def test_a_year_that_is_not_there_cannot_be_left_out(self):
        result = run("calibrate", "--without", "1999-00")
        assert result.exit_code == 2
        assert "1999-00 is none of 2014-15" in result.output

    def test_a_backtest_scores_a_panel_under_given_assumptions(self, tmp_path):
        assumptions, picture = tmp_path / "a.toml", tmp_path / "bt.png"
        assumptions.write_text("drivers = []\n")
        path = self.seen(tmp_path, variance_ytd_m9=[-6.0, 0.0])
        result = run("backtest", path, "--assumptions", assumptions, "--draws", 200, "--plot", picture)
        assert result.exit_code == 0, result.output
        assert "Back-test of 2 trusts, 2018-19" in result.output
        assert picture.stat().st_size > 10_000


@pytest.fixture
def small_regions(monkeypatch):
    """Stores grow by 20 draws."""
    monkeypatch.setattr("sector_risk.store.writing.region_length", lambda *_: 20)


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr("sector_risk.simulation.memory", lambda: 1000.0)


@pytest.fixture
def plans(tmp_path):
    path = tmp_path / "in" / "plans-2018-19.csv"
    path.parent.mkdir()
    rows = [f"ZZ{i},London,Acute,{i - 3},400,16" for i in range(1, 6)]
    path.write_text("\n".join(["trust,region,trust_type,plan,turnover,efficiency_plan", *rows]))
    return path


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def figures(result):
    """The page without its last lines, that name files."""
    return [line for line in result.stdout.splitlines() if not line.startswith(("Wrote ", "/"))]


def stop_in_region(monkeypatch, number, error):
    """Raise an error in a region of a store before any of it is written."""
    from sector_risk.store.writing import Growing

    keep = Growing.keep

    def stopped(self, region, part):
        if region == number:
            raise error
        keep(self, region, part)

    monkeypatch.setattr(Growing, "keep", stopped)


class TestSummary:
    def test_the_page_has_the_figures_of_the_draws(self):
        many = ("--case", CASE, "--draws", 3000)
        summary, draws = run("forecast", *many, "--keep", "summary"), run("forecast", *many)
        assert summary.exit_code == 0, summary.output
        for start in ("Provider sector: plan", "Whole NHS: ", "Trusts in deficit: plan", "Monte Carlo error"):
            said, wanted = (
                next(line for line in plain_lines(result) if line.startswith(start)) for result in (summary, draws)
            )
            assert said == wanted or wanted.startswith(said.rstrip(".")), (said, wanted)
        assert max(map(len, summary.output.splitlines())) <= 80

    def test_it_is_saved_and_drawn(self, plans, out):
        result = run(
            "forecast", plans, "--draws", 300, "--keep", "summary", "-o", out / "s.nc", "--plot", out / "s.png"
        )
        assert result.exit_code == 0, result.output
        assert names_in(out) == ["s.nc", "s.png"]
        saved = sector_risk.open_forecast(out / "s.nc")
        made = sector_risk.simulate(sector_risk.read_panel(plans), n_draws=300, keep="summary")
        assert "draw" not in saved.dims
        assert made.drop_attrs().equals(saved.drop_attrs())
        assert "Wrote" in result.output

    @pytest.mark.usefixtures("no_simulation")
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--report", "r.html"), "--report needs the draws: leave out --report or --keep summary"),
            (("-o", "s.zarr"), "a summary is one small file; use .nc"),
            (("--through-month", 3), "--keep summary does not go with --through-month"),
            (("--parameter-sets", 3), "--parameter-sets says something only with"),
        ],
    )
    def test_what_makes_no_sense_is_refused_before_the_simulation(self, options, said, plans, out, monkeypatch):
        monkeypatch.chdir(out)
        result = run("forecast", plans, "--keep", "summary", *options)
        assert result.exit_code == 2
        assert said in plain(result)
        assert names_in(out) == []

    @pytest.mark.usefixtures("no_simulation")
    def test_a_fit_has_none(self, plans, tmp_path):
        fit = tmp_path / "fitted.toml"
        fit.write_text(sector_risk.calibrate(sector_risk.load_history()).to_toml(), encoding="utf-8")
        result = run("forecast", plans, "--keep", "summary", "--assumptions", fit)
        assert result.exit_code == 2
        assert "with --assumptions that are a fit" in plain(result)


def plain_lines(result):
    """Sentences and rows of a page, each on a line of its own."""
    return [re.sub(r"\s+", " ", line) for line in re.sub(r"\n(?=[a-z0-9])", " ", result.output).splitlines()]


@pytest.mark.usefixtures("small_regions")
class TestStore:
    def store(self, plans, path, *options):
        return run("forecast", plans, "--draws", 60, "-o", path, *options)

    def test_it_holds_the_draws_and_the_page_is_the_same(self, plans, out):
        result = self.store(plans, out / "f.zarr")
        assert result.exit_code == 0, result.output
        assert (out / "f.zarr" / "position" / "0.2").exists(), "three regions"
        assert names_in(out) == ["f.zarr"]
        in_memory = run("forecast", plans, "--draws", 60, "-o", out / "f.nc")
        assert figures(result) == figures(in_memory)
        one, other = (sector_risk.open_forecast(out / name) for name in ("f.zarr", "f.nc"))
        assert one.drop_attrs().equals(other.drop_attrs())
        assert "Wrote" in result.stdout

    def test_a_picture_and_a_report_go_with_it(self, plans, out):
        result = self.store(plans, out / "f.zarr", "--plot", out / "f.png", "--report", out / "f.html")
        assert result.exit_code == 0, result.output
        assert names_in(out) == ["f.html", "f.png", "f.zarr"]

    def test_what_is_there_is_not_made_again(self, plans, out, monkeypatch):
        first = self.store(plans, out / "f.zarr")
        monkeypatch.setattr("sector_risk.planned.Planned.forecast", lambda *_: pytest.fail("it was made again"))
        again = self.store(plans, out / "f.zarr")
        assert again.exit_code == 0, again.output
        assert again.stderr == f"{out / 'f.zarr'} has these draws already.\n"
        assert figures(again) == figures(first)
        assert "Wrote" not in again.stdout

    def test_an_interrupt_says_what_is_kept_and_the_same_command_goes_on(self, plans, out, monkeypatch):
        with monkeypatch.context() as patch:
            stop_in_region(patch, 1, KeyboardInterrupt())
            result = self.store(plans, out / "f.zarr")
        assert result.exit_code == 130
        kept = f"20 of 60 draws are kept in {out / '.f-unfinished.zarr'}. Run the same again to go on from there."
        assert result.stderr == f"Interrupted.\nStopped in draws 20 to 39: {kept}\n"
        assert names_in(out) == [".f-unfinished.zarr"]
        assert self.store(plans, out / "f.zarr").exit_code == 0
        assert names_in(out) == ["f.zarr"]

    def test_an_interrupt_that_became_another_error_says_it_too(self, plans, out, monkeypatch):
        monkeypatch.setattr("sector_risk.cli.interrupt.INTERRUPT.check", lambda: None)
        monkeypatch.setattr("sector_risk.cli.interrupt.INTERRUPT.foremost", as_an_interrupt)
        stop_in_region(monkeypatch, 1, ValueError("a library lost its way"))
        result = self.store(plans, out / "f.zarr")
        assert result.exit_code == 130
        assert "20 of 60 draws are kept" in result.stderr
        assert "Nothing" not in result.stderr

    def test_a_full_disk_says_what_is_kept(self, plans, out, monkeypatch):
        stop_in_region(monkeypatch, 2, OSError(28, "No space left on device", "f.zarr"))
        result = self.store(plans, out / "f.zarr")
        assert result.exit_code == 1
        said, kept = result.stderr.splitlines()
        assert said == "error: No space left on device (f.zarr)"
        assert "40 of 60 draws are kept" in kept

    def test_too_little_room_is_said_before_the_simulation(self, plans, out, monkeypatch):
        monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(2**40, 2**40, 5000))
        monkeypatch.setattr("sector_risk.planned.Planned.forecast", lambda *_: pytest.fail("a simulation was started"))
        result = self.store(plans, out / "f.zarr")
        assert result.exit_code == 1
        assert re.search(r"error: 60 draws would take 0.\d MB on disk, and 0.0 MB are free: make room", result.stderr)
        assert names_in(out) == []

    def test_another_forecast_is_not_replaced(self, plans, out):
        self.store(plans, out / "f.zarr")
        result = self.store(plans, out / "f.zarr", "--seed", 7)
        assert result.exit_code == 2
        assert str(out / "f.zarr") in result.stderr
        assert "seed: the store holds another forecast ('0 there, 7 asked for'). Give another path" in result.stderr
        assert "written" not in result.stderr
        assert sector_risk.open_forecast(out / "f.zarr").attrs["seed"] == "0"

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device", "f.png")])
    def test_an_error_after_it_is_in_place_names_it(self, error, plans, out, monkeypatch):
        def broken(*_, **__):
            raise error

        monkeypatch.setattr("sector_risk.plots.plot_forecast", broken)
        result = self.store(plans, out / "f.zarr", "--plot", out / "f.png")
        assert result.exit_code in (1, 130)
        assert f"{out / 'f.zarr'} was written.\n" in result.stderr
        assert names_in(out) == ["f.zarr"]

    def test_quiet_simulates_once_and_says_nothing(self, plans, out, monkeypatch):
        monkeypatch.setattr(sector_risk, "summarise", lambda *_: pytest.fail("nobody asked"), raising=False)
        assert self.store(plans, out / "f.zarr", "--quiet").output == ""
        assert self.store(plans, out / "f.zarr", "--quiet").output == ""

    @pytest.mark.usefixtures("little_memory")
    def test_more_than_memory_has_the_page_and_picture_of_a_summary(self, plans, out):
        result = self.store(plans, out / "f.zarr", "--plot", out / "f.png")
        assert result.exit_code == 0, result.output
        assert names_in(out) == ["f.png", "f.zarr"]
        summary = run("forecast", plans, "--draws", 60, "--keep", "summary")
        assert figures(result) == figures(summary)

    @pytest.mark.usefixtures("little_memory", "no_simulation")
    @pytest.mark.parametrize(
        ("options", "remedy"),
        [
            ((), "Use --keep summary, or -o FILE.zarr."),
            (("-o", "f.nc"), "Use --keep summary, or -o FILE.zarr."),
            (("-o", "f.zarr", "--report", "f.html"), "--report needs them all there: leave it out."),
        ],
    )
    def test_more_than_memory_is_refused_where_it_must_hold_all(self, options, remedy, plans, out, monkeypatch):
        monkeypatch.chdir(out)
        result = run("forecast", plans, "--draws", 2_000_000, *options)
        assert result.exit_code == 2
        assert "Invalid value for --draws: 2,000,000: its draws take" in plain(result)
        assert remedy in plain(result)
        assert names_in(out) == []

    def test_with_months_to_be_seen_draws_are_made_in_memory_and_saved(self, plans, out, monkeypatch):
        monkeypatch.setattr("sector_risk.simulation.write_draws", lambda *_, **__: pytest.fail("a store was begun"))
        result = self.store(plans, out / "f.zarr", "--through-month", 0)
        assert result.exit_code == 0, result.output
        assert sector_risk.open_forecast(out / "f.zarr").sizes["draw"] == 60


@contextmanager
def as_an_interrupt():
    """Take any error for an interrupt."""
    try:
        yield
    except Exception:
        raise KeyboardInterrupt  # noqa: B904 (the error is its context, as where an interrupt was lost)
