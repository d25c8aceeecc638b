import re
import subprocess
import sys
import warnings

import pytest
from click.testing import CliRunner

import sector_risk
from sector_risk import cli
from sector_risk.faults import InputWarning
from sector_risk.report_text import probability

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


class TestInterrupt:
    @pytest.mark.usefixtures("interrupted")
    def test_during_the_simulation(self, tmp_path):
        (tmp_path / "f.nc").write_text("earlier")
        result = forecast("-o", tmp_path / "f.nc")
        assert result.exit_code == 130
        assert "Interrupted; nothing was written." in result.output
        assert (tmp_path / "f.nc").read_text() == "earlier"

    def test_during_the_plot_nothing_is_written_either(self, tmp_path, monkeypatch):
        def plot_forecast(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("sector_risk.plots.plot_forecast", plot_forecast)
        result = forecast("-o", tmp_path / "f.nc", "--plot", tmp_path / "f.png")
        assert result.exit_code == 130
        assert names_in(tmp_path) == []


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


def test_the_bar_stays_away_from_short_runs():
    bar = cli._LateBar(after=60)
    bar.update(1, 2)
    assert bar._bar is None
    bar.stop()


def test_the_bar_counts_blocks():
    bar = cli._LateBar(after=0)
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
