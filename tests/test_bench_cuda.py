"""The benchmark command on a card: on the emulated one, whose figures mean nothing; and what it does when there is none, or one is lost."""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import numtape as nt
from numtape.bench.__main__ import main
from numtape.bench.arguments import parser
from numtape.bench.cuda import ALL_SUITES, PEERS, SUITES, report, run, steps, worker
from numtape.bench.cuda.case import Case, Draw, Scale, Target, columns, difference, each, first, number, scale_of
from numtape.bench.cuda.machine import Ceiling
from numtape.bench.cuda.supervisor import Lost, Supervisor
from numtape.bench.cuda.worker import Options, Outcome
from numtape.bench.timing import Timing

ON_A_CARD = ["--device", "cuda", "--quick"]
emulated = pytest.mark.skipif(os.environ.get("NUMTAPE_CUDA") != "emulate", reason="for the emulated card")


# ------------------------------------------------------------------------------------------------ the command
@emulated
def test_a_run_on_the_emulated_card(tmp_path, capsys):
    path = tmp_path / "out.json"
    chosen = r"calls/(add/8|chain|empty/8|item)|adam|elementwise/(add|tanh|add-half)|sum\.all|softmax.dim1|cross|transpose/20|square|index_|randn?/"
    assert main([*ON_A_CARD, "--filter", chosen, "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "card: emulated card, compute capability 9.0, 2 multiprocessors" in out
    assert out.count(report.EMULATED) == 2
    assert "digits" not in out
    table = out[out.index("\ncase ") :]
    for line in ("calls/add/8", "training/mlp-6-6-6-adam/batch4", "elementwise/add/140", "reduce/softmax.dim1/20x20", "matmul/square/20"):
        assert f"\n{line} " in table
    assert ">=85% -" in table  # no target is judged on an emulated card
    document = json.loads(path.read_text())
    assert {"schema", "device", "emulated", "environment", "seed", "ceilings", "digits", "cases", "kernels", "problems", "seconds"} == set(document)
    assert document["problems"] == [] and document["emulated"] is True
    assert document["ceilings"]["copy"]["rate"] > 0
    for case in document["cases"]:
        assert (case["wrong"], case["problems"]) == (None, []), case["name"]
        assert case["engines"]["numtape"]["median_s"] > 0
    cases = {c["name"]: c for c in document["cases"]}
    add = cases["elementwise/add/140"]
    assert add["bytes"] == 3 * 4 * 140 and add["target"] == {"kind": "share", "bound": 0.85} and add["target_met"] is None
    assert add["rate"] == pytest.approx(add["bytes"] / add["engines"]["numtape"]["median_s"])
    assert add["share"] == pytest.approx(add["rate"] / document["ceilings"]["copy"]["rate"])
    assert [k["name"] for k in cases["elementwise/tanh/140"]["kernels"]] == ["tanh"]


def test_the_list_of_cases_takes_no_card(capsys):
    assert main(["--device", "cuda", "--list", "--suite", "calls,matmul"]) == 0
    listed = capsys.readouterr().out
    assert "* calls/add/8\n" in listed and "matmul/" in listed and "elementwise" not in listed


def test_names_are_unique_and_all_suites_are_there():
    for scale in (Scale(), Scale(8), Scale(cap=20), Scale(sizes=(4096, 65536))):
        cases = worker.all_cases(scale)
        assert len({c.name for c in cases}) == len(cases)
        assert {c.suite for c in cases} == set(SUITES)
    names = {c.name for c in worker.all_cases(Scale())}
    assert {"elementwise/add/256M", "reduce/sum.dim0/65536x4096", "copy/transpose/16384x16384", "matmul/square/4096"} <= names
    assert {"matmul/skinny/16x4096x4096", "matmul/batched/64x256x256", "training/mlp-784-512-512-10-sgd/batch128"} <= names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--suite", "start"], "there is no 'start'; choose from digits, calls"),
        (["--compare", "numpy"], "there is no 'numpy'; choose from torch, cupy"),
        (["--filter", "no such case"], "no case matches 'no such case'; --list prints the names"),
        (["--threads", "0"], "expected a positive number"),
        (["--json", "/no/such/folder/x.json"], "does not exist"),
        (["--limit", "soon"], "invalid float value"),
    ],
)
def test_mistakes_exit_with_2(arguments, said, capsys):
    assert main([*ON_A_CARD, *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_unknown_device_exits_with_2(capsys):
    assert main(["--device", "tpu"]) == 2
    assert "choose from" in capsys.readouterr().err


@emulated
def test_the_emulated_card_runs_small_sizes_only(capsys):
    assert main(["--device", "cuda"]) == 2
    assert "add --quick" in capsys.readouterr().err


def test_without_a_card_it_says_so_and_exits_with_2():
    environment = os.environ | {"NUMTAPE_CUDA": "off", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("NUMTAPE_BENCH_COMPILED", None)
    root = str(pathlib.Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-m", "numtape.bench", "--device", "cuda"], capture_output=True, text=True, cwd=root, env=environment, timeout=120)
    assert done.returncode == 2
    assert "there is no CUDA card to run on: CUDA is turned off in this process by NUMTAPE_CUDA=off" in done.stderr
    assert 'pip install "numtape[cuda]"' in done.stderr


# ------------------------------------------------------------------------------------------------ what goes wrong
def _adds(draw):
    return [draw.normal(8), draw.normal(8)]


def _broken(scale):
    """Cases that fail in every way there is, and one that does not."""
    add = lambda lib, x, y: x + y
    return [
        Case("calls", "wrong", _adds, add, np.subtract),
        Case("calls", "raises", _adds, lambda lib, x, y: 1 / 0, np.add),
        Case("calls", "dies", _adds, lambda lib, x, y: os.kill(os.getpid(), signal.SIGKILL), np.add),
        Case("calls", "hangs", _adds, lambda lib, x, y: time.sleep(600), np.add),
        Case("calls", "fine", _adds, add, np.add),
    ]


@emulated
def test_a_case_that_fails_does_not_stop_the_rest(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(run, "PATIENCE", 8.0)
    path = tmp_path / "out.json"
    arguments = parser(ALL_SUITES, PEERS, ALL_SUITES, PEERS).parse_args([*ON_A_CARD, "--filter", "calls", "--json", str(path)])
    assert run.run_on_card(arguments, _broken) == 1
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out[out.index("\ncase ") :].splitlines() if line.startswith("calls/")}
    assert "WRONG: numtape and NumPy (float64) differ in rows 0 to 8: 8 of 8 elements, the first at (0,): " in rows["calls/wrong"]
    assert "numtape: ZeroDivisionError: division by zero" in rows["calls/raises"]
    assert "the process died (SIGKILL)" in rows["calls/dies"]
    assert "no answer within 8 s: the process was ended" in rows["calls/hangs"]
    assert "failed" not in rows["calls/fine"] and "WRONG" not in rows["calls/fine"]
    assert out.endswith("4 failed or wrong; " + out.rsplit("; ", 1)[1])
    cases = {c["name"]: c for c in json.loads(path.read_text())["cases"]}
    assert "1 / 0" in cases["calls/raises"]["tracebacks"][0]
    assert cases["calls/wrong"]["engines"]["numtape"]["rounds"] == 1  # it is timed all the same


def _lost(connection, options, cases):
    connection.send("ready")
    assert connection.recv() == ("x",)
    connection.send(Outcome("x", problems=["numtape: the card is gone"], lost=True))


def test_a_worker_that_has_lost_the_card_is_replaced(monkeypatch):
    monkeypatch.setattr("numtape.bench.cuda.supervisor.serve", _lost)
    with Supervisor(Options()) as asked:
        for count in (1, 2):
            assert asked.ask(("x",), 60).lost
            assert (asked.process, asked.started) == (None, count)
        with pytest.raises(Lost, match="the process died"):
            asked.ask(("y",), 60)


def test_what_is_left_when_the_time_is_over_is_said(capsys):
    found = run.Found({"peers": {}})
    cases = worker.all_cases(Scale(cap=20))[:3]
    run.run_cases(argparse.Namespace(started=1), Scale(cap=20), cases, found, time.perf_counter() - 1, lambda: None)
    assert found.problems == ["the time is over (--limit gives more): 3 cases are left out, from calls/add/8 on"]


# ------------------------------------------------------------------------------------------------ the parts
def test_sizes_shrink_with_the_memory():
    assert scale_of(140 << 30, quick=False, emulated=False) == Scale(1)
    assert scale_of(16 << 30, quick=False, emulated=False) == Scale(2)
    assert scale_of(140 << 30, quick=True, emulated=False) == Scale(8)
    assert Scale(4).vectors(1 << 20) == (1 << 18,) and Scale(4).shape(1024, 64) == (256, 64)
    assert Scale(8).sides(512, 4096, 8192) == (512, 4096)
    assert Scale(sizes=(10_000,)).shape(1 << 16, 64) == (100, 100)
    assert [number(n) for n in (1 << 28, 1 << 14, 1000)] == ["256M", "16K", "1000"]


def test_operands_are_new_in_each_run_and_repeat_no_power_of_two():
    x = Draw(1).normal(1 << 23)
    assert (x.dtype, x.shape) == (np.float32, (1 << 23,))
    assert abs(x.mean()) < 0.01 and abs(x.std() - 1) < 0.01
    assert not np.array_equal(x[: 1 << 10], x[1 << 22 :][: 1 << 10])
    assert not np.array_equal(Draw(2).normal(8), Draw(1).normal(8))


def _case(**fields):
    return Case("reduce", "x", lambda draw: [], **fields)


def test_differences_are_found_at_the_ends_of_large_results():
    x = np.random.default_rng(0).standard_normal((3000, 4000)).astype(np.float32)
    right = x.sum(1, dtype=np.float64).astype(np.float32)
    rows = _case(reference=lambda x: x.sum(1), cut=each, tolerance=(1e-5, 1e-3))
    assert difference(rows, right, [x]) is None
    right[-1] += 1
    assert "1 of 262 elements, the first at (261,)" in difference(rows, right, [x])
    right[7] = np.nan
    assert difference(rows, right, [x]) == "1 of 3000 elements are NaN (never written?), the first at (7,)"
    over = _case(reference=lambda x: x.sum(0), cut=columns, tolerance=(1e-5, 1e-3))
    assert difference(over, x.sum(0, dtype=np.float64).astype(np.float32), [x]) is None
    product = _case(reference=np.matmul, cut=first, flops=2.0 * 3000 * 4000**2, tolerance=(1e-5, 1e-2))
    y = np.eye(4000, dtype=np.float32)
    assert difference(product, x, [x, y]) is None
    assert "in rows 0 to" in difference(product, x + 1, [x, y])


def test_targets_and_figures():
    outcome = Outcome("x", {"numtape": Timing([2e-3], 1, 0.0), "torch": Timing([1e-3], 1, 0.0), "cupy": Timing([4e-3], 1, 0.0)})
    ceilings = {"copy": Ceiling(4e9, "")}
    moved = report.Figures.of(_case(nbytes=4_000_000, target=Target("share", 0.75)), outcome, ceilings)
    assert (moved.rate, moved.share, moved.verdict) == (pytest.approx(2e9), pytest.approx(0.5), "MISSED")
    product = report.Figures.of(_case(flops=8e9, target=Target("share", 0.5)), outcome, ceilings)
    assert (product.rate, product.share, product.verdict) == (pytest.approx(4e12), pytest.approx(0.5), "ok")
    step = report.Figures.of(_case(target=Target("slower", 1.5)), outcome, ceilings)
    assert (step.ratios, step.verdict) == ({"torch": pytest.approx(0.5), "cupy": pytest.approx(2.0)}, "MISSED")
    launch = report.Figures.of(_case(target=Target("seconds", 8e-6)), Outcome("x", {"numtape": Timing([5e-6], 1, 0.0)}), {})
    assert (launch.verdict, launch.target.text, launch.line()) == ("ok", "<=8us", "5 us  ok <=8us")
    failed = report.Figures.of(_case(target=Target("share", 0.75)), Outcome("x", problems=["numtape: E: no"]), ceilings)
    assert (failed.ours, failed.met, failed.note) == (None, None, "numtape: E: no")


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_the_reference_of_training_steps(optimizer):
    step = functools.partial(steps._verify, optimizer)
    operands = steps._flat(steps.perceptron((5, 7, 6, 3), 4, seed=1))

    class Engine:
        name, lib, device = "numtape", nt, "cpu"
        array = staticmethod(nt.from_numpy)
        numpy = staticmethod(lambda a: a.detach().numpy())

    assert step(Engine, steps._step(optimizer, Engine, operands), operands) is None
    other = [*operands[:-2], 2 * operands[-2], operands[-1]]
    assert "the losses of 4 steps" in step(Engine, steps._step(optimizer, Engine, other), operands)
