"""The benchmark command beside the timing: means of suites, baselines, peaks, rooflines, plots; that training steps agree between libraries."""

from __future__ import annotations

import json

import numpy as np
import pytest

import numtape as nt
from numtape.bench import baseline, engines, report, scaling
from numtape.bench.__main__ import main
from numtape.bench.arguments import UsageError
from numtape.bench.cases import Case
from numtape.bench.peaks import Peak, Peaks
from numtape.bench.runner import Result, run_case
from numtape.bench.suites import train
from numtape.bench.timing import Timing

ONE = ["--quick", "--filter", "^elementwise/add/", "--sizes", "256", "--compare", "numpy"]


def result(name, ours, **peers):
    suite, label = name.split("/", 1)
    timings = {engine: Timing([seconds], 1, 0.0) for engine, seconds in {"numtape": ours, **peers}.items()}
    return Result(Case(suite, label, lambda engine: None), timings)


def document(*results, schema=report.SCHEMA):
    return {"schema": schema, "cases": [r.as_dict() for r in results]}


# ------------------------------------------------------------------------------------------------ means
def test_geometric_means_by_suite_and_peer(capsys):
    results = [result("calls/a", 1.0, torch=2.0), result("calls/b", 1.0, torch=8.0, numpy=0.5), result("copy/c", 2.0, torch=1.0)]
    means = report.geometric_means(results, ["torch", "numpy"])
    assert means["calls"]["torch"] == {"ratio": pytest.approx(4.0), "cases": 2, "lowest": 2.0, "lowest_case": "calls/a"}
    assert (means["calls"]["numpy"]["ratio"], means["copy"]) == (0.5, {"torch": {"ratio": 0.5, "cases": 1, "lowest": 0.5, "lowest_case": "copy/c"}})
    report.print_footer(results, Peaks([]), ["torch", "numpy"])
    assert "geometric mean: calls         4.00 x torch (2 cases; lowest 2.00 calls/a)" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ baselines
def test_a_baseline_compares_ratios_where_both_have_a_peer_and_times_elsewhere(tmp_path):
    path = tmp_path / "before.json"
    path.write_text(json.dumps(document(result("calls/a", 1.0, torch=2.0, numpy=3.0), result("calls/b", 1.0), result("calls/gone", 1.0))))
    now = [result("calls/a", 10.0, torch=10.0), result("calls/b", 4.0, torch=1.0), result("calls/new", 1.0)]
    changes = baseline.compare(now, baseline.read(str(path)))
    assert [(c.case, c.by, c.speed) for c in changes] == [("calls/a", "torch", 0.5), ("calls/b", "time", 0.25)]
    assert str(changes[0]) == "calls/a: 1 x torch, 2 x torch in the baseline; 0.50 of its speed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read"),
        ("not json", "is not JSON"),
        ("[1]", "was not written by --json"),
        ('{"schema": 2}', "was not written by --json"),
        (json.dumps(document(schema=1)), "has schema 1, this version reads"),
        (json.dumps({"schema": report.SCHEMA, "cases": [{"name": "calls/a", "engines": {}}]}), "cases without figures of numtape"),
    ],
)
def test_a_foreign_baseline_is_refused(text, said, tmp_path):
    path = tmp_path / "before.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=said):
        baseline.read(str(path))


def test_a_run_behind_its_baseline_exits_with_1_and_names_the_case(tmp_path, capsys):
    path = tmp_path / "before.json"
    assert main([*ONE, "--json", str(path)]) == 0
    assert "geometric mean: elementwise" in capsys.readouterr().out
    kept = json.loads(path.read_text())
    assert set(kept["geometric_means"]["elementwise"]) == {"numpy"}
    numpy = kept["cases"][0]["engines"]["numpy"]
    numpy["ratio_to_numtape"] *= 1000
    path.write_text(json.dumps(kept))
    assert main([*ONE, "--baseline", str(path)]) == 1
    assert "SLOWER elementwise/add/256: " in capsys.readouterr().err
    assert main([*ONE, "--baseline", str(path), "--fail-below", "0.00001"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-below", "0.9"], "give --baseline FILE"),
        (["--baseline", "x", "--fail-below", "0"], "expected a positive number"),
        (["--baseline", "/no/such/file"], "cannot read /no/such/file"),
        (["--plot", "x.pdf"], "ends in .png or .svg"),
        (["--plot", "/no/such/folder/x.png"], "does not exist"),
        (["--device", "cuda", "--baseline", "x"], "are for the CPU"),
    ],
)
def test_mistakes(arguments, said, capsys):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_baseline_of_other_cases(tmp_path, capsys):
    path = tmp_path / "before.json"
    path.write_text(json.dumps(document(result("calls/a", 1.0))))
    assert main([*ONE, "--baseline", str(path)]) == 2
    assert "has none of the cases of this run" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ peaks and plots
def test_the_peak_is_the_one_that_binds():
    class Known(Peaks):
        def copy(self, nbytes):
            return Peak(10.0, "copy")

        def flops(self, dtype="float32", threads=None):
            return Peak(100.0 if dtype == "float32" else 50.0, dtype)

    def of(flops, nbytes, dtype=np.float32):
        case = Case("calls", "x", lambda e: lambda: np.ones(2, dtype), nbytes=nbytes, flops=flops)
        return run_case(case, [engines.Numtape()], Known([]), quick=True)

    assert [(r.bound, r.peak and r.peak.source) for r in (of(100.0, 5), of(10.0, 5), of(None, 5), of(None, None))] == [
        ("flop", "float32"), ("bytes", "copy"), ("bytes", "copy"), ("", None)
    ]  # fmt: skip
    assert of(100.0, None, np.float64).peak.source == "float64"
    assert of(None, 16).operations == 2 and of(None, 400).operations == (400 - 8) / 4  # written, or read and reduced


def test_multiply_adds_of_one_thread_and_of_all():
    peaks = Peaks([])
    one, double = peaks.flops("float32", 1), peaks.flops("float64", 1)
    if not one.rate:
        pytest.skip("kernels are plain Python")
    assert 1e9 < double.rate < one.rate < 1e12
    nt.set_num_threads(2)
    assert peaks.flops().source == "float32 multiply-adds in registers, 2 threads"
    assert nt.get_num_threads() == 2
    assert [p["threads"] for p in peaks.as_dict()["multiply_adds"]] == [1, 2, 1]


def test_scaling_stops_where_a_call_would_take_long(monkeypatch):
    monkeypatch.setattr(scaling, "_seconds", lambda case, chosen: {e.name: 1.0 if e.name == "numpy" else 1e-9 for e in chosen})
    found = scaling.measure([engines.Numtape(), engines.Numpy()], quick=True)
    assert set(found) == {"add", "exp", "sum", "softmax", "matmul"}
    assert len(found["add"]["numpy"]) == 1 and [n for n, _ in found["add"]["numtape"]][-1] == 10**5


def test_a_plot(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(scaling, "measure", lambda engines, quick: {"add": {"numtape": [[1, 1e-6], [10, 1e-5]], "numpy": []}})
    path = tmp_path / "out.svg"
    assert main([*ONE, "--plot", str(path)]) == 0
    assert "operations per byte" in path.read_text() or path.stat().st_size > 10_000  # text may be drawn as outlines


def test_a_plot_without_matplotlib(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*ONE, "--plot", "x.png"]) == 2
    assert 'pip install "numtape[plot]"' in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ training steps
@pytest.mark.parametrize("label", [label for label in train.NETWORKS if label != "gpt-3x256/T128"])
def test_steps_of_both_libraries_lose_the_same(label, torch, monkeypatch):
    """Small relatives of the networks of the suite: the losses of five steps, so every gradient and update stands behind them."""
    small = {
        "cnn": lambda: train.small_cnn(batch=2, side=8),
        "gpt": lambda: train.gpt(1, 8, 6, 2, 2, vocabulary=11),
        "lstm": lambda: train.lstm(steps=3, batch=2, n_in=3, width=4),
        "pinn": lambda: train.pinn(points=8, width=4),
    }
    work = small[label.split("-")[0]]
    losses = [[step().item() for _ in range(5)] for step in (train.step_of_work(work, e()) for e in (engines.Numtape, engines.Torch))]
    np.testing.assert_allclose(*losses, rtol=2e-5)
    assert losses[0][0] != losses[0][4]


def test_a_step_with_adam_is_the_same_in_every_library(torch):
    jax = pytest.importorskip("jax")
    del jax
    (case,) = [c for c in train.cases() if c.label.startswith("mlp-784-1024")]
    problem = lambda: train.perceptron((5, 7, 3), 4)
    calls = [train._perceptron_step(problem, "Adam", e()) for e in (engines.Numtape, engines.Torch)] + [train._step_of_jax(problem, "Adam", engines.Jax())]
    losses = [[float(engines.as_numpy(step())[0]) for _ in range(4)] for step in calls]
    np.testing.assert_allclose(losses, np.broadcast_to(losses[1], (3, 4)), rtol=2e-5)
    assert case.flops == 2.0 * 128 * (2 * 784 * 1024 + 3 * 1024 * 1024 + 3 * 1024 * 10)


def test_one_thread_against_several(monkeypatch, capsys):
    from numtape.bench import threads

    monkeypatch.setattr(threads, "SPAN", 1e-6)
    monkeypatch.setattr(threads, "ROUNDS", 3)
    monkeypatch.setattr(threads, "calls", lambda nt: iter([("exp/64", nt.ones(64).exp)]))
    before = nt.get_num_threads()
    try:
        threads.main(["--threads", "2"])
    finally:
        nt.set_num_threads(before)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["call", "1", "thread", "2", "threads", "ratio"]
    assert lines[1].startswith("exp/64 ") and float(lines[1].split()[-1]) > 0
    with pytest.raises(SystemExit):
        threads.main(["--threads", "0"])
