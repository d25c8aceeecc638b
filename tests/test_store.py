import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk import files
from sector_risk.assumptions import Assumptions, Shares
from sector_risk.drivers import driver
from sector_risk.faults import InputError
from sector_risk.files import open_forecast, save_forecast
from sector_risk.planned import Planned, plan_run
from sector_risk.store import disk, write_draws, writing
from sector_risk.unfinished import unfinished_folder

REGION = 10
DRAWS = 35  # three regions and a half
STARTED = ["first"]
GO_ON = "Run the same again to go on from there."
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals and forks")


class Dated(Planned):
    """A plan whose forecasts say that they were made at a time that tests set."""

    def provenance(self):
        return super().provenance() | {"created": STARTED[0]}


def plan(n_draws=DRAWS, *, seed=3, regime=None, by_quarter=False, trusts=4, assumptions=None):
    panel, assumptions = sr.load_case("england-2018-19").isel(trust=slice(trusts)), assumptions or Assumptions()
    run, chosen = plan_run(panel, assumptions, regime, years=1, n_draws=n_draws, seed=seed, by_trust=True)
    return Dated(replace(run, by_quarter=by_quarter), chosen, panel, assumptions)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


def attributes(folder):
    """Attributes of the whole and of every variable, as they are stored."""
    return {str(p.relative_to(folder)): json.loads(p.read_bytes()) for p in folder.rglob(".zattrs")}


@pytest.fixture(autouse=True)
def small_regions(monkeypatch):
    monkeypatch.setattr(writing, "region_length", lambda n_trusts, n_draws: min(REGION, n_draws))
    monkeypatch.setattr(sys.modules[__name__], "STARTED", ["first"])
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no test pulls the plug


@pytest.fixture
def target(tmp_path):
    return tmp_path / "f.zarr"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Digests of the files of a run that was never stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "region_length", lambda n_trusts, n_draws: min(REGION, n_draws))
        return digests(write_draws(plan(), tmp_path_factory.mktemp("unbroken") / "f.zarr"))


def stop_after(regions, error=KeyboardInterrupt):
    """Progress that ends the run when as many regions are done."""

    def tell(done, total):
        if done >= regions * REGION:
            raise error

    return tell


class TestWhatIsWritten:
    @pytest.mark.parametrize("regime", ["2018-19", "2025-26", "none"])
    @pytest.mark.parametrize("n_draws", [1, REGION, DRAWS])
    def test_the_store_is_that_of_the_whole_forecast(self, regime, n_draws, target, tmp_path):
        planned = plan(n_draws, regime=regime, by_quarter=n_draws == DRAWS)
        write_draws(planned, target)
        whole = save_forecast(planned.forecast(), tmp_path / "whole.zarr")
        xr.testing.assert_identical(open_forecast(target), open_forecast(whole))
        assert attributes(target) == attributes(whole)
        for name, variable in open_forecast(whole).variables.items():
            written, saved = (json.loads((path / name / ".zarray").read_bytes()) for path in (target, whole))
            same = ("dtype", "shape", "fill_value", "order", "filters", "zarr_format")
            assert {key: written[key] for key in same} == {key: saved[key] for key in same}
            assert open_forecast(target).variables[name].dtype == variable.dtype
        assert names_in(tmp_path) == ["f.zarr", "whole.zarr"]

    def test_flags_are_flags(self, target):
        planned = plan(regime="2019-20")
        whole = planned.forecast()
        flags = [name for name, values in whole.variables.items() if values.dtype == bool]
        written = open_forecast(write_draws(planned, target))
        assert flags
        assert all(written[name].dtype == bool and written[name].equals(whole[name]) for name in flags)

    def test_no_central_actions(self, target):
        none = Assumptions(centre=replace(Assumptions().centre, actions=()))
        planned = plan(assumptions=none)
        xr.testing.assert_identical(open_forecast(write_draws(planned, target)), planned.forecast())
        assert names_in(target / "central_action") == [".zarray", ".zattrs"]

    def test_some_draws_of_a_plan_keep_their_numbers(self, target):
        part = plan(100).part(range(41, 66))
        written = open_forecast(write_draws(part, target))
        xr.testing.assert_identical(written, part.forecast())
        assert written["draw"].values.tolist() == list(range(41, 66))

    def test_threads_and_blocks_do_not_change_a_byte(self, target, unbroken):
        assert digests(write_draws(plan(), target, threads=3, block_size=4)) == unbroken

    def test_more_draws_keep_the_first_chunks(self, target, unbroken):
        more = digests(write_draws(plan(2 * DRAWS), target))
        assert more["position/0.0"] == unbroken["position/0.0"]
        assert more["contribution/2.0.2"] == unbroken["contribution/2.0.2"]
        assert {"position/0.6"} == {name for name in more if name.startswith("position/0.")} - {
            f"position/0.{i}" for i in range(6)
        }

    def test_the_consolidated_metadata_is_that_of_the_variables(self, target):
        write_draws(plan(), target)
        consolidated = json.loads((target / ".zmetadata").read_bytes())["metadata"]
        of_files = {str(p.relative_to(target)): json.loads(p.read_bytes()) for p in target.rglob(".z[ag]*")}
        assert consolidated == of_files

    def test_progress_counts_draws(self, target):
        told = []
        write_draws(plan(), target, progress=lambda *numbers: told.append(numbers))
        assert told == [(0, DRAWS), (10, DRAWS), (20, DRAWS), (30, DRAWS), (DRAWS, DRAWS)]

    def test_other_endings_are_refused_with_a_remedy(self, tmp_path):
        with pytest.raises(InputError, match=r"unknown ending '.nc'; use .zarr. For example f.zarr.") as refusal:
            write_draws(plan(), tmp_path / "f.nc")
        assert refusal.value.faults[0].place == str(tmp_path / "f.nc")
        assert names_in(tmp_path) == []

    def test_it_gives_the_full_path_back(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert write_draws(plan(), "f.zarr") == tmp_path / "f.zarr"

    def test_a_missing_extra_says_what_to_install(self, target, monkeypatch):
        monkeypatch.setattr(files, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"pip install 'sector-risk\[files\]'"):
            write_draws(plan(), target)

    def test_memory_does_not_grow_with_draws(self, target):
        def peak(n_draws):
            planned = plan(n_draws, trusts=50)
            planned.part(range(1)).forecast()
            shutil.rmtree(target, ignore_errors=True)
            tracemalloc.start()
            write_draws(planned, target, threads=1)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return used

        peak(5 * REGION)  # what is made once
        few, many = peak(5 * REGION), peak(30 * REGION)
        a_draw = plan(1, trusts=50).forecast().nbytes
        assert many - few < 20 * a_draw, "250 draws more"


STEPS = ("write_forecast", "lengthen", "write_whole", "write_through", "write_chunks", "sync", "rename", "remove")


class Stopped(BaseException):
    """An end that nothing expects."""


def count_calls(monkeypatch, step, at=None, when="before"):
    """Count the calls of a step in a list; stop at one of them, before or after it is done."""
    places = [os] if step == "rename" else [place for place in (writing, disk) if hasattr(place, step)]
    real, calls = getattr(places[0], step), []

    def counted(*args):
        calls.append(args)
        if when == "before" and len(calls) - 1 == at:
            raise Stopped
        real(*args)
        if len(calls) - 1 == at:
            raise Stopped

    for place in places:
        monkeypatch.setattr(place, step, counted)
    return calls


def stop_at(monkeypatch, target, step, call, when="after"):
    with monkeypatch.context() as patch:
        count_calls(patch, step, call, when)
        with pytest.raises(Stopped):
            write_draws(plan(), target)


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """How often each step is taken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "region_length", lambda n_trusts, n_draws: min(REGION, n_draws))
        counted = {step: count_calls(patch, step) for step in STEPS}
        write_draws(plan(), tmp_path_factory.mktemp("counted") / "f.zarr")
    return {step: len(calls) for step, calls in counted.items()}


class TestContinues:
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("step", STEPS)
    def test_after_a_stop_at_any_step(self, step, when, calls, target, unbroken, monkeypatch):
        for call in {0, calls[step] // 2} if when == "before" else {calls[step] - 1}:
            stop_at(monkeypatch, target, step, call, when)
            STARTED[0] = "later" if (unfinished_folder(target) / "manifest.json").exists() else "first"
            assert digests(write_draws(plan(), target)) == unbroken
            assert names_in(target.parent) == ["f.zarr"]
            shutil.rmtree(target)
            STARTED[0] = "first"

    def test_what_is_done_is_not_done_again(self, target, unbroken, monkeypatch):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(2))
        made, told = [], []
        run = Planned.forecast
        monkeypatch.setattr(
            Planned, "forecast", lambda self, *a, **n: made.append(self.run.draws) or run(self, *a, **n)
        )
        STARTED[0] = "later"
        write_draws(plan(), target, progress=lambda *numbers: told.append(numbers))
        assert made == [range(writing.TRIAL), range(20, 30), range(30, 35)]
        assert told == [(20, DRAWS), (30, DRAWS), (DRAWS, DRAWS)]
        assert digests(target) == unbroken

    def test_and_says_when_the_first_start_was(self, target):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(1))
        STARTED[0] = "later"
        assert open_forecast(write_draws(plan(), target)).attrs["created"] == "first"
        STARTED[0] = "later still"
        assert open_forecast(write_draws(plan(), target)).attrs["created"] == "first", "it is left as it is"

    def test_a_region_half_written_is_written_again(self, target, unbroken):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(2))
        growing = unfinished_folder(target) / "store.zarr" / "position"
        (growing / "0.2").write_bytes(b"half")
        assert digests(write_draws(plan(), target)) == unbroken

    def test_a_chunk_that_was_lost_is_found_before_the_store_is_moved(self, target):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(2))
        folder = unfinished_folder(target)
        (folder / "store.zarr" / "position" / "0.1").unlink()
        with pytest.raises(InputError, match=r"position: a chunk is missing \('position/0.1'\). Delete .*unfinished"):
            write_draws(plan(), target)
        assert not target.exists()

    @pytest.mark.parametrize("step", ["rename", "remove"])
    def test_a_store_that_is_in_place_is_not_made_again(self, step, calls, target, unbroken, monkeypatch):
        stop_at(monkeypatch, target, step, calls[step] - 1)
        monkeypatch.setattr(Planned, "forecast", lambda *_: pytest.fail("it was made again"))
        STARTED[0] = "later"
        assert digests(write_draws(plan(), target)) == unbroken
        assert names_in(target.parent) == ["f.zarr"]

    def test_another_forecast_may_follow_one_that_ended_and_left_its_folder(self, target, tmp_path, monkeypatch):
        stop_at(monkeypatch, target, "rename", 0)
        assert "manifest.json" in names_in(unfinished_folder(target))
        target.rename(tmp_path / "elsewhere.zarr")
        write_draws(plan(seed=8), target)
        assert open_forecast(target).attrs["seed"] == "8"

    def test_another_forecast_may_follow_one_that_was_stopped_before_its_first_draws(self, target):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(seed=8), target, progress=stop_after(0))
        assert "manifest.json" in names_in(unfinished_folder(target))
        xr.testing.assert_identical(open_forecast(write_draws(plan(), target)), plan().forecast())


def event_counter(kill_at=None):
    """Count events that change files, as the interpreter announces them; kill this process at one of them."""
    count = [0]

    def hook(event, args):
        if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir") or (event == "open" and writes(*args)):
            if count[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] += 1

    sys.addaudithook(hook)
    return count


def writes(path, mode, flags):
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def in_child(work):
    """Run `work` in a fork of this process; return the signal that ended it, or what `work` returned."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else json.loads(answer)


def written(target, started, kill_at=None):
    """Write the plan; return how many events that took."""
    STARTED[0] = started
    count = event_counter(kill_at)
    write_draws(PLAN[0], target, threads=1)
    return count[0]


PLAN = []


def kill_often(folder, rounds):
    """Kill runs at events chosen by chance, some of them twice; print what ended them and whether bytes differ."""
    folder, chance = Path(folder), Random(4)
    writing.region_length = lambda n_trusts, n_draws: min(REGION, n_draws)
    PLAN.append(plan())
    PLAN[0].part(range(1)).forecast(threads=1)
    events = in_child(lambda: written(folder / "first.zarr", "first"))
    in_child(lambda: written(folder / "later.zarr", "later"))
    wanted = {name: digests(folder / f"{name}.zarr") for name in ("first", "later")}
    seen = []
    for i in range(rounds):
        target = folder / f"{i}.zarr"
        kills = [chance.randrange(events)] + ([chance.randrange(events // 2)] if i % 2 else [])
        started, ends = "first", []
        for kill_at in kills:
            ends.append(in_child(lambda at=kill_at, t=target, s=started: written(t, s, at)))
            begun = (unfinished_folder(target) / "manifest.json").exists() or target.exists()
            started = started if begun else "later"
        in_child(lambda t=target: written(t, "later"))
        seen.append([kills, ends, digests(target) == wanted[started]])
    left = [name for name in names_in(folder) if name.startswith(".")]
    print(json.dumps({"events": events, "seen": seen, "left": left}))


def in_a_process_of_its_own(call):
    code = f"import test_store; test_store.{call}"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@posix
def test_a_run_that_is_killed_ends_in_the_same_bytes(tmp_path):
    told = in_a_process_of_its_own(f"kill_often({str(tmp_path)!r}, 20)")
    assert told["events"] > 100
    assert sum(ends[0] == signal.SIGKILL for _, ends, _ in told["seen"]) == 20
    assert all(same for _, _, same in told["seen"]), told["seen"]
    assert told["left"] == []


def test_a_region_is_done_when_its_chunks_and_their_names_are_on_disk(target, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    touch, by_draw = Path.touch, [name for name, values in plan().forecast().variables.items() if "draw" in values.dims]

    def marked(mark):
        folders = [mark.parents[1] / "store.zarr" / name for name in by_draw]
        chunks = [path for folder in folders for path in folder.iterdir() if path.name.split(".")[-1] == mark.name]
        assert len(chunks) > len(by_draw)
        assert {path.stat().st_ino for path in (*chunks, *folders)} <= set(synced)
        synced.clear()
        touch(mark)

    monkeypatch.setattr(Path, "touch", marked)
    write_draws(plan(trusts=3), target)


class TestRefuses:
    @pytest.mark.parametrize(
        ("other", "named"),
        [
            ({"seed": 4}, {"seed"}),
            ({"n_draws": DRAWS + 1}, {"n_draws", "draws.1"}),
            ({"regime": "none"}, {"regime.name"}),
            ({"by_quarter": True}, {"by_quarter"}),
            ({"trusts": 3}, {"panel_hash"}),
            ({"assumptions": Assumptions(dependence=replace(Assumptions().dependence, tail_dof=5))}, {"dependence"}),
        ],
    )
    def test_another_forecast_and_says_what_differs(self, other, named, target):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(1))
        before = digests(unfinished_folder(target))
        with pytest.raises(InputError, match="give another path, or delete the folder to begin anew") as refusal:
            write_draws(plan(**other), target)
        differ = {fault.variable for fault in refusal.value.faults}
        assert all(any(name in variable for variable in differ) for name in named), differ
        assert unfinished_folder(target).is_absolute()
        assert "created" not in differ
        assert {fault.place for fault in refusal.value.faults} == {str(unfinished_folder(target))}
        assert digests(unfinished_folder(target)) == before

    def test_and_says_how_it_differs(self, target):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(1))
        with pytest.raises(InputError, match=r"seed: .* \('3 there, 4 asked for'\)"):
            write_draws(plan(seed=4), target)

    @pytest.mark.parametrize(
        ("other", "named"),
        [
            ({"seed": 4}, {"seed"}),
            ({"n_draws": DRAWS + 1}, {"n_draws"}),
            ({"by_quarter": True}, {"variables"}),
            ({"trusts": 3}, {"panel_hash"}),
            ({"assumptions": Assumptions(dependence=replace(Assumptions().dependence, tail_dof=5))}, {"dependence"}),
        ],
    )
    @pytest.mark.parametrize("how", ["saved", "written"])
    def test_to_replace_a_finished_store_of_another_forecast(self, how, other, named, target, monkeypatch):
        before = digests(made(how, target))
        monkeypatch.setattr(Planned, "forecast", lambda *_: pytest.fail("a simulation was started"))
        with pytest.raises(InputError, match="Give another path, or delete the folder if you do not") as refusal:
            write_draws(plan(**other), target)
        differ = {fault.variable for fault in refusal.value.faults}
        assert all(any(name in variable for variable in differ) for name in named), differ
        assert "created" not in differ
        assert {fault.place for fault in refusal.value.faults} == {str(target)}
        assert digests(target) == before
        assert names_in(target.parent) == ["f.zarr"]

    def test_a_summary_or_a_part_of_the_forecast_that_was_saved_there(self, target):
        forecast = plan().forecast()
        save_forecast(forecast.drop_vars("underlying"), target)
        with pytest.raises(InputError, match=r"variables: .* \('underlying'\)"):
            write_draws(plan(), target)
        save_forecast(sr.summarise(forecast), target)
        with pytest.raises(InputError, match="variables: one of the stored forecast and the one asked for has these"):
            write_draws(plan(), target)

    def test_a_store_of_something_else(self, target):
        save_forecast(xr.Dataset({"mine": ("x", [1.0])}), target)
        with pytest.raises(InputError, match=r"the store holds something else than a forecast\. Give"):
            write_draws(plan(), target)
        assert open_forecast(target)["mine"].item() == 1.0

    def test_a_store_that_is_damaged_says_to_delete_it(self, target):
        min(made("written", target).glob("position/0.*")).unlink()
        with pytest.raises(InputError, match="It is damaged: delete it and make the forecast again"):
            open_forecast(write_draws(plan(), target))

    def test_a_driver_that_was_changed_under_its_name(self, target):
        def register(size):
            @driver("store_test", items=1, shares=Shares(), source="test")
            def pressure(z, panel):
                return np.full((*z.shape[:1], 12, z.shape[2]), size, np.float32)

        def planned():
            return plan(assumptions=Assumptions(drivers=("store_test",)))

        register(1.0)
        with pytest.raises(KeyboardInterrupt):
            write_draws(planned(), target, progress=stop_after(1))
        register(2.0)
        with pytest.raises(InputError, match="the draws in the folder do not come out the same again") as refusal:
            write_draws(planned(), target)
        assert {"position", "contribution"} <= {fault.variable for fault in refusal.value.faults}
        assert "plan" not in {fault.variable for fault in refusal.value.faults}
        register(1.0)
        xr.testing.assert_identical(open_forecast(write_draws(planned(), target)), planned().forecast())

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"attrs": {}}'])
    def test_a_manifest_that_cannot_be_read(self, text, target):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(1))
        manifest = unfinished_folder(target) / "manifest.json"
        manifest.write_text(text)
        with pytest.raises(InputError, match=r"its manifest cannot be read \('manifest.json'\). Delete the folder"):
            write_draws(plan(), target)
        assert manifest.read_text() == text

    @posix
    def test_a_second_run_at_the_same_target(self, target, unbroken):
        def second(done, total):
            if done == REGION:
                with pytest.raises(InputError, match="another run is writing this forecast"):
                    write_draws(plan(), target)

        assert digests(write_draws(plan(), target, progress=second)) == unbroken

    def test_what_appears_meanwhile_is_not_replaced(self, target, tmp_path, unbroken):
        def appears(done, total):
            if done == REGION:
                save_forecast(plan(seed=8).forecast(), target)

        with pytest.raises(FileExistsError, match="something has come there meanwhile: move it away") as error:
            write_draws(plan(), target, progress=appears)
        assert "35 of 35 draws are kept" in error.value.__notes__[0]
        assert open_forecast(target).attrs["seed"] == "8"
        target.rename(tmp_path / "away.zarr")
        assert digests(write_draws(plan(), target)) == unbroken

    def test_draws_that_wait_for_another_target_are_left_alone(self, target):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(seed=8), target, progress=stop_after(2))
        waiting = digests(unfinished_folder(target))
        save_forecast(plan().forecast(), target)
        write_draws(plan(), target)
        assert digests(unfinished_folder(target)) == waiting


def chunks_by_draw(folder):
    """Files of the chunks of variables with draws."""
    names = [name for name, values in plan().forecast().variables.items() if "draw" in values.dims]
    return [path for name in names for path in (folder / name).iterdir() if not path.name.startswith(".")]


def said_of(target, kept, where=""):
    """What a note says of a run that was stopped."""
    return f"{where}{kept} of {DRAWS} draws are kept in {unfinished_folder(target)}. {GO_ON}"


class TestErrors:
    def full(self, monkeypatch, after):
        real = disk.write_through

        def write(path, data):
            if path.name.endswith(f".{after}"):
                path.write_bytes(b"half")
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            real(path, data)

        monkeypatch.setattr(disk, "write_through", write)

    def test_a_full_disk_says_what_is_kept(self, target, unbroken, monkeypatch):
        with monkeypatch.context() as patch:
            self.full(patch, after=2)
            with pytest.raises(OSError, match="No space left on device") as error:
                write_draws(plan(), target)
        assert error.value.errno == errno.ENOSPC
        assert error.value.__notes__ == [said_of(target, 20, "Stopped in draws 20 to 29: ")]
        assert not target.exists()
        STARTED[0] = "later"
        assert digests(write_draws(plan(), target)) == unbroken

    def test_a_disk_that_is_full_from_the_start_leaves_nothing(self, target, tmp_path, monkeypatch):
        def full(forecast, path):
            path.mkdir()
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        monkeypatch.setattr(writing, "write_forecast", full)
        with pytest.raises(OSError, match="No space left on device") as error:
            write_draws(plan(), target)
        assert not hasattr(error.value, "__notes__"), "nothing is kept"
        assert names_in(tmp_path) == []

    def test_too_little_room_is_found_before_the_simulation_and_leaves_nothing(self, target, tmp_path, monkeypatch):
        needed = sum(path.stat().st_size for path in chunks_by_draw(write_draws(plan(), tmp_path / "whole.zarr")))
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**40, 2**40, needed - 1))
        monkeypatch.setattr(Planned, "forecast", lambda *_: pytest.fail("a simulation was started"))
        said = rf"35 draws would take {needed / 1e6:.1f} MB on disk, and {needed / 1e6:.1f} MB are free"
        with pytest.raises(OSError, match=said) as error:
            write_draws(plan(), target)
        assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path))
        assert names_in(tmp_path) == ["whole.zarr"]

    def test_room_for_every_chunk_is_enough(self, target, tmp_path, unbroken, monkeypatch):
        needed = sum(path.stat().st_size for path in chunks_by_draw(write_draws(plan(), tmp_path / "whole.zarr")))
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**40, 2**40, needed))
        assert digests(write_draws(plan(), target)) == unbroken

    def test_room_is_asked_for_the_draws_that_are_missing_alone(self, target, unbroken, monkeypatch):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(3))
        of_a_region = sum(path.stat().st_size for path in chunks_by_draw(unfinished_folder(target) / "store.zarr")) // 3
        free = [of_a_region - 1]
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**40, 2**40, free[0]))
        with pytest.raises(OSError, match="10 draws would take") as error:
            write_draws(plan(), target)
        assert error.value.__notes__ == [said_of(target, 30)]
        free[0] += 1
        assert digests(write_draws(plan(), target)) == unbroken

    @posix
    def test_a_write_that_the_system_refuses(self, tmp_path):
        told = in_a_process_of_its_own(f"with_little_room({str(tmp_path)!r})")
        assert told["errno"] == errno.EFBIG
        assert "10 of 35 draws are kept" in told["said"][0]
        assert told["same"]

    def test_an_interrupt_is_passed_on_with_what_is_kept(self, target, unbroken):
        with pytest.raises(KeyboardInterrupt) as interrupt:
            write_draws(plan(), target, progress=stop_after(2))
        assert interrupt.value.__notes__ == [said_of(target, 20)]
        assert names_in(unfinished_folder(target) / "done") == ["0", "1"]
        STARTED[0] = "later"
        assert digests(write_draws(plan(), target)) == unbroken

    @posix
    @pytest.mark.parametrize("threads", [1, 2])
    def test_an_interrupt_within_a_block_keeps_what_is_done(self, threads, target):
        planned, what = planned_with_driver(at=25, do=lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            write_draws(planned, target, threads=threads, block_size=3)
        assert names_in(unfinished_folder(target) / "done") == ["0", "1"]
        what.clear()
        xr.testing.assert_identical(open_forecast(write_draws(planned, target)), planned.forecast())

    def test_a_driver_that_fails_says_in_which_draws(self, target):
        planned, what = planned_with_driver(at=25, do=lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError) as error:
            write_draws(planned, target, block_size=3)
        assert error.value.__notes__ == [said_of(target, 20, "Stopped in draws 20 to 29: ")]
        what.clear()
        xr.testing.assert_identical(open_forecast(write_draws(planned, target)), planned.forecast())


def planned_with_driver(at, do):
    """A plan with a driver that does something in the block that holds draw `at`, until what it does is cleared."""
    what, mark = [do], []
    assumptions = Assumptions(drivers=("store_test",))

    @driver("store_test", items=1, shares=Shares(), source="test")
    def pressure(z, panel):
        if not mark:
            mark.append(z[0, 0, 0])
        elif what and mark[0] in z[0, 0]:
            what[0]()
        return np.broadcast_to(z[:, :1], (z.shape[0], 12, z.shape[2])).astype(np.float32)

    planned = plan(assumptions=assumptions)
    planned.part(range(at, at + 1)).forecast()
    return planned, what


def with_little_room(folder):
    """Write while the system allows files of a hundred bytes once a region is done; print what came of it."""
    import resource

    writing.region_length = lambda n_trusts, n_draws: min(REGION, n_draws)
    folder, hard = Path(folder), resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def little(done, total):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 if done else hard, hard))

    wanted = digests(write_draws(plan(), folder / "whole.zarr"))
    try:
        write_draws(plan(), folder / "f.zarr", progress=little)
    except OSError as error:
        caught = error
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    same = digests(write_draws(plan(), folder / "f.zarr")) == wanted
    print(json.dumps({"errno": caught.errno, "said": caught.__notes__, "same": same}))


def made(how, target):
    if how == "saved":
        return save_forecast(plan().forecast(), target)
    return write_draws(plan(), target)


class TestOpening:
    @pytest.mark.parametrize("how", ["saved", "written"])
    @pytest.mark.parametrize("lazy", [False, True])
    def test_a_chunk_that_is_missing_is_named(self, how, lazy, target):
        chunk = min(made(how, target).glob("position/0.*"))
        chunk.unlink()
        with pytest.raises(InputError, match=f"a chunk is missing .'position/{chunk.name}'.*make the forecast again"):
            open_forecast(target, lazy=lazy)

    def test_all_that_are_missing_are_named(self, target):
        made("written", target)
        for name in ("position/0.1", "draw/3", "trust/0"):
            (target / name).unlink()
        with pytest.raises(InputError) as error:
            open_forecast(target)
        assert {fault.variable for fault in error.value.faults} == {"position", "draw", "trust"}

    @pytest.mark.parametrize("lazy", [False, True])
    def test_a_chunk_that_is_too_short_is_named(self, lazy, target):
        chunk = made("written", target) / "contribution" / "0.0.1"
        whole = chunk.read_bytes()
        chunk.write_bytes(whole[:100])
        with pytest.raises(InputError, match=r"a chunk has 100 bytes instead of 160 \('contribution/0.0.1'\)"):
            open_forecast(target, lazy=lazy)

    def test_a_chunk_that_cannot_be_read_names_its_variable(self, target):
        min(made("saved", target).glob("variance/0.*")).write_bytes(b"nonsense")
        with pytest.raises(InputError, match="variance cannot be read"):
            open_forecast(target)

    @pytest.mark.parametrize("how", ["saved", "written"])
    def test_a_variable_whose_folder_is_missing_is_named(self, how, target):
        folder = made(how, target) / "plan"
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
        with pytest.raises(InputError, match="plan/0"):
            open_forecast(target)

    def test_metadata_that_is_missing_or_broken_is_named(self, target):
        made("written", target)
        metadata = target / ".zmetadata"
        for text in ("", "{", "{}", '{"metadata": []}', '{"metadata": {".zattrs": {}, "position/.zarray": {}}}'):
            metadata.write_text(text)
            with pytest.raises(InputError, match="cannot be read"):
                open_forecast(target)
        metadata.unlink()
        with pytest.raises(InputError, match=r"metadata is missing \('.zmetadata'\)"):
            open_forecast(target)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_an_unfinished_one_says_how_much_is_there_and_how_to_finish_it(self, lazy, target, tmp_path, monkeypatch):
        with pytest.raises(KeyboardInterrupt):
            write_draws(plan(), target, progress=stop_after(2))
        folder, finish = (
            unfinished_folder(target),
            r"Run simulate\(..., store=...\), or the command that began it, again",
        )
        said = f"20 of 35 draws are kept in {folder}. {finish} with the same settings"
        with pytest.raises(FileNotFoundError, match=f"no forecast at {target}; it is unfinished: {said}"):
            open_forecast(target, lazy=lazy)
        for path in (folder, folder / "store.zarr"):
            with pytest.raises(InputError, match=f"the store is unfinished: {said}"):
                open_forecast(path, lazy=lazy)
        write_draws(plan(), target)
        assert open_forecast(target).sizes["draw"] == DRAWS

    def test_a_manifest_of_somebody_else_is_not_ours(self, target):
        made("written", target)
        (target.parent / "manifest.json").write_text("{}")
        (target / "manifest.json").write_text("{}")
        assert open_forecast(target.rename(target.with_name("store.zarr"))).sizes["draw"] == DRAWS

    def test_values_that_are_all_empty_are_written_too(self, target):
        forecast = plan().forecast().assign(particles_worth=("trust", np.full(4, np.nan)))
        xr.testing.assert_identical(open_forecast(save_forecast(forecast, target)), forecast)
        (target / "particles_worth" / "0").unlink()
        with pytest.raises(InputError, match="particles_worth/0"):
            open_forecast(target)

    @pytest.mark.parametrize("name", ["f.nc", "f.zarr"])
    def test_lazily_it_is_the_same_forecast(self, name, tmp_path):
        forecast = plan(regime="2019-20").forecast()
        path = save_forecast(forecast, tmp_path / name)
        with open_forecast(path, lazy=True) as lazy:
            assert lazy.attrs == forecast.attrs
            xr.testing.assert_identical(lazy.isel(draw=slice(8, 22)).load(), forecast.isel(draw=slice(8, 22)))
            xr.testing.assert_identical(lazy.load(), forecast)
        xr.testing.assert_identical(open_forecast(path), forecast)

    def test_lazily_it_reads_what_is_asked_for_and_keeps_nothing(self, target, monkeypatch):
        monkeypatch.setattr(writing, "region_length", lambda n_trusts, n_draws: 1000)
        write_draws(plan(20_000, trusts=20), target)
        tracemalloc.start()
        lazy = open_forecast(target, lazy=True)
        tracemalloc.reset_peak()
        for name in ("position", "variance", "underlying"):
            assert lazy[name].isel(draw=slice(1000)).values.shape == (20, 1000)
            lazy[name].values  # noqa: B018
        used, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert used < lazy["position"].nbytes
        assert lazy["position"].nbytes <= peak < 3 * lazy["position"].nbytes
