"""`sector-risk report`, `qa` and `forecast --report`: files, messages and exit codes."""

import importlib.util
import re
import shutil

import pytest
from click.testing import CliRunner

import sector_risk as sr
from sector_risk import cli

CASE = "england-2018-19"


def run(*arguments):
    result = CliRunner().invoke(cli.commands, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def plain(result):
    return re.sub(r"\s+", " ", result.output)


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Saved once: a forecast in both formats, a projection, and one with a deficit too many."""
    folder = tmp_path_factory.mktemp("store")
    case = sr.load_case(CASE)
    forecast = sr.simulate(case, n_draws=2_500)
    sr.save_forecast(forecast, folder / "f.nc")
    sr.save_forecast(forecast, folder / "f.zarr")
    sr.save_forecast(forecast.assign(deficit_count=forecast["deficit_count"] + 1), folder / "harmed.nc")
    sr.save_forecast(forecast.assign_attrs(format=0), folder / "old.nc")
    sr.save_forecast(sr.summarise(forecast), folder / "summary.nc")
    sr.save_forecast(sr.project(case, years=2, n_draws=100), folder / "p.nc")
    (folder / "text.nc").write_text("not a forecast")
    (folder / "empty.zarr").mkdir()
    return folder


@pytest.fixture
def saved(store, tmp_path):
    """A folder of one's own with some of what was saved."""

    def copy(*names):
        for name in names:
            if (store / name).is_dir():
                shutil.copytree(store / name, tmp_path / name)
            else:
                shutil.copy(store / name, tmp_path / name)
        return tmp_path

    return copy


@pytest.fixture
def without(monkeypatch):
    """Make a package look as if it were not installed."""
    usual = importlib.util.find_spec

    def hide(missing):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == missing else usual(name))

    return hide


@pytest.fixture
def report_fails(monkeypatch):
    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sector_risk.html_report.write_report", broken)


class TestQa:
    @pytest.mark.parametrize("name", ["f.nc", "f.zarr"])
    def test_the_pack_is_written_beside_the_forecast(self, saved, name):
        folder = saved(name)
        result = run("qa", folder / name)
        assert result.exit_code == 0, result.output
        assert names_in(folder) == ["f-qa", name]
        assert "15 checks passed, 0 failed, 3 not run." in plain(result)
        assert f"Wrote {folder / 'f-qa'}" in result.output.replace("\n", "")
        assert f"SHA-256 of {name}," in (folder / "f-qa/versions.csv").read_text()

    def test_it_fits_80_columns_and_names_every_check(self, store, tmp_path):
        result = run("qa", store / "f.nc", "-o", tmp_path / "qa")
        lines = [line for line in result.output.splitlines() if str(tmp_path) not in line]
        assert max(map(len, lines)) <= 80
        assert sum(line.rstrip().endswith(" passed") for line in lines) == 15
        assert "…" not in result.output

    def test_a_failed_check_is_status_1_and_the_pack_is_there_all_the_same(self, store, tmp_path):
        result = run("qa", store / "harmed.nc", "-o", tmp_path / "qa")
        assert result.exit_code == 1
        assert "Failed: Trusts in deficit, counted again. 1 trusts, limit 0." in plain(result)
        assert "| Trusts in deficit, counted again | **failed** | 1 |" in (tmp_path / "qa/quality.md").read_text()

    def test_another_format_is_a_failed_check(self, store, tmp_path):
        result = run("qa", store / "old.nc", "-o", tmp_path / "qa")
        assert result.exit_code == 1
        assert (
            "Failed: Format, random numbers, digest and codes are sound. 1 entries, limit 0. format is 0, not 1"
            in plain(result)
        )
        assert "made by another version" in plain(result)

    def test_a_check_without_a_figure_says_what_broke(self, store, tmp_path):
        harmed = sr.open_forecast(store / "f.nc").assign_attrs(assumptions='{"eficiency": {}}')
        result = run("qa", sr.save_forecast(harmed, tmp_path / "f.nc"))
        assert result.exit_code == 1
        failed = "Failed: Assumptions and rules can be read back. 1 fault in assumptions: eficiency: unknown key"
        assert failed in plain(result)
        assert "assumptions.csv could not be made: 1 fault in assumptions" in plain(result)

    def test_quiet_says_nothing_and_has_its_status(self, store, tmp_path):
        good = run("qa", store / "f.nc", "-o", tmp_path / "good", "--quiet")
        bad = run("qa", store / "harmed.nc", "-o", tmp_path / "bad", "--quiet")
        assert [(r.exit_code, r.output) for r in (good, bad)] == [(0, ""), (1, "")]
        assert names_in(tmp_path) == ["bad", "good"]

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("p.nc", "a projection of several years"),
            ("summary.nc", "not a forecast of trusts by draw"),
            ("text.nc", "text.nc cannot be read"),
            ("empty.zarr", "empty.zarr cannot be read"),
            ("none.nc", "none.nc cannot be read: no forecast at"),
        ],
    )
    def test_what_is_no_forecast_is_named_and_nothing_is_written(self, store, tmp_path, name, words):
        result = run("qa", store / name, "-o", tmp_path / "qa")
        assert result.exit_code == 2
        assert words in plain(result)
        assert names_in(tmp_path) == []

    def test_an_unknown_ending(self, tmp_path):
        (tmp_path / "f.csv").write_text("trust\n")
        result = run("qa", tmp_path / "f.csv")
        assert result.exit_code == 2
        assert "unknown ending '.csv'" in plain(result)

    def test_a_folder_of_something_else_is_left_alone_before_any_work(self, store, tmp_path, monkeypatch):
        monkeypatch.setattr("sector_risk.quality.quality_pack", lambda *_, **__: pytest.fail("work was done"))
        (tmp_path / "qa").mkdir()
        (tmp_path / "qa/thesis.txt").write_text("mine")
        result = run("qa", store / "f.nc", "-o", tmp_path / "qa")
        assert result.exit_code == 2
        assert "thesis.txt would be lost" in plain(result)
        assert names_in(tmp_path / "qa") == ["thesis.txt"]

    def test_the_folder_above_cannot_be_the_pack(self, store):
        result = run("qa", store / "f.nc", "-o", "..")
        assert result.exit_code == 2

    def test_a_full_disk_leaves_nothing(self, store, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("sector_risk.quality.folder.write_table", full)
        result = run("qa", store / "f.nc", "-o", tmp_path / "qa")
        assert result.exit_code == 1
        assert "No space left on device" in result.output
        assert names_in(tmp_path) == []

    def test_an_interrupt_leaves_nothing(self, store, tmp_path, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("sector_risk.quality.folder.quality_page", interrupted)
        result = run("qa", store / "f.nc", "-o", tmp_path / "qa")
        assert result.exit_code == 130
        assert "Nothing was written" in result.output
        assert names_in(tmp_path) == []


class TestReport:
    @pytest.mark.parametrize("name", ["f.nc", "f.zarr"])
    def test_it_has_the_name_of_the_forecast(self, saved, name):
        folder = saved(name)
        result = run("report", folder / name)
        assert result.exit_code == 0, result.output
        assert names_in(folder) == ["f.html", name]
        assert result.output == f"Wrote {folder / 'f.html'}\n"
        assert "How bad can it get?" in (folder / "f.html").read_text(encoding="utf-8")

    def test_a_projection_adds_the_years(self, store, tmp_path):
        alone = run("report", store / "f.nc", "-o", tmp_path / "a.html", "--quiet")
        both = run("report", store / "f.nc", "-o", tmp_path / "b.html", "--projection", store / "p.nc", "--quiet")
        assert [(r.exit_code, r.output) for r in (alone, both)] == [(0, ""), (0, "")]
        assert "The years ahead" in (tmp_path / "b.html").read_text(encoding="utf-8")
        assert "The years ahead" not in (tmp_path / "a.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("p.nc", "is a projection. Give a forecast, and the projection with --projection."),
            ("summary.nc", "a summary, which has no draws"),
            ("old.nc", "made by another version"),
            ("text.nc", "text.nc cannot be read"),
            ("empty.zarr", "empty.zarr cannot be read"),
            ("none.nc", "none.nc cannot be read: no forecast at"),
        ],
    )
    def test_what_is_no_forecast_is_named_and_nothing_is_written(self, store, tmp_path, name, words):
        result = run("report", store / name, "-o", tmp_path / "r.html")
        assert result.exit_code == 2
        assert words in plain(result)
        assert names_in(tmp_path) == []

    @pytest.mark.parametrize(("name", "words"), [("f.nc", "is no projection"), ("text.nc", "cannot be read")])
    def test_what_is_no_projection_is_named(self, store, tmp_path, name, words):
        result = run("report", store / "f.nc", "-o", tmp_path / "r.html", "--projection", store / name)
        assert result.exit_code == 2
        assert words in plain(result)
        assert names_in(tmp_path) == []

    @pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
    def test_what_is_not_installed_is_named(self, store, tmp_path, without, package):
        without(package)
        result = run("report", store / "f.nc", "-o", tmp_path / "r.html")
        assert result.exit_code == 1
        assert f"a report needs {package}; install with: pip install 'sector-risk[report]'" in result.output

    def test_another_ending_is_refused(self, store, tmp_path):
        result = run("report", store / "f.nc", "-o", tmp_path / "r.pdf")
        assert result.exit_code == 2
        assert "unknown ending '.pdf'; use .html" in plain(result)

    @pytest.mark.usefixtures("report_fails")
    def test_a_full_disk_leaves_the_earlier_report(self, store, tmp_path):
        (tmp_path / "r.html").write_text("earlier")
        result = run("report", store / "f.nc", "-o", tmp_path / "r.html")
        assert result.exit_code == 1
        assert names_in(tmp_path) == ["r.html"]
        assert (tmp_path / "r.html").read_text() == "earlier"


class TestForecastWithReport:
    def forecast(self, *arguments):
        return run("forecast", "--case", CASE, "--draws", 200, *arguments)

    def test_all_three_are_written_and_named(self, tmp_path):
        result = self.forecast(
            "-o", tmp_path / "f.nc", "--plot", tmp_path / "f.png", "--report", tmp_path / "deep/f.html"
        )
        assert result.exit_code == 0, result.output
        assert names_in(tmp_path) == ["deep", "f.nc", "f.png"]
        for name in ("f.nc", "f.png", "f.html"):
            assert f"{name}\n" in result.output
        assert "How bad can it get?" in (tmp_path / "deep/f.html").read_text(encoding="utf-8")

    def test_it_is_the_report_of_the_saved_forecast(self, tmp_path):
        self.forecast("-o", tmp_path / "f.nc", "--report", tmp_path / "a.html")
        run("report", tmp_path / "f.nc", "-o", tmp_path / "b.html")
        assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()

    @pytest.mark.usefixtures("report_fails")
    def test_a_report_that_fails_leaves_none_of_them(self, tmp_path):
        (tmp_path / "f.nc").write_text("earlier")
        result = self.forecast("-o", tmp_path / "f.nc", "--plot", tmp_path / "f.png", "--report", tmp_path / "f.html")
        assert result.exit_code == 1
        assert names_in(tmp_path) == ["f.nc"]
        assert (tmp_path / "f.nc").read_text() == "earlier"

    def test_its_place_is_checked_before_the_work(self, tmp_path, monkeypatch, without):
        monkeypatch.setattr(sr, "simulate", lambda *_, **__: pytest.fail("work was done"), raising=False)
        wrong = self.forecast("--report", tmp_path / "f.pdf")
        assert (wrong.exit_code, "unknown ending '.pdf'" in plain(wrong)) == (2, True)
        (tmp_path / "f.html").mkdir()
        folder = self.forecast("--report", tmp_path / "f.html")
        assert (folder.exit_code, "is a folder" in plain(folder)) == (2, True)
        without("jinja2")
        missing = self.forecast("--report", tmp_path / "g.html")
        assert (missing.exit_code, "sector-risk[report]" in plain(missing)) == (1, True)


@pytest.mark.parametrize("command", ["qa", "report"])
def test_without_readers_of_files_it_says_what_to_install(store, tmp_path, monkeypatch, command):
    monkeypatch.setattr("sector_risk.files.find_spec", lambda name: None)
    result = run(command, store / "f.nc", "-o", tmp_path / "r.html")
    assert result.exit_code == 1
    assert ".nc files need h5netcdf" in plain(result)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("command", ["qa", "report"])
def test_an_unfinished_store_says_how_to_finish_it(command, tmp_path, monkeypatch):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    monkeypatch.setattr("sector_risk.store.writing.region_length", lambda *_: 10)
    with pytest.raises(KeyboardInterrupt):
        sr.simulate(sr.load_case(CASE).isel(trust=slice(4)), n_draws=30, store=tmp_path / "f.zarr", progress=stop)
    result = run(command, tmp_path / "f.zarr", "-o", tmp_path / "r.html")
    assert result.exit_code == 2
    assert f"10 of 30 draws are kept in {tmp_path / '.f-unfinished.zarr'}" in result.output
    assert "or the command that began it, again with the same settings to finish it" in result.output
    assert names_in(tmp_path) == [".f-unfinished.zarr"]


@pytest.mark.parametrize("command", ["qa", "report"])
def test_more_draws_than_memory_holds_are_not_read(command, store, tmp_path, monkeypatch):
    monkeypatch.setattr("sector_risk.simulation.memory", lambda: 1e6)
    result = run(command, store / "f.zarr", "-o", tmp_path / "r.html")
    assert result.exit_code == 2
    assert "f.zarr holds more draws than memory does." in plain(result)
    assert names_in(tmp_path) == []
