"""The benchmark command: its arguments, exit codes and files; that its cases come from the op table; its arithmetic."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from numtape.bench import accuracy, digits, engines, runner, timing
from numtape.bench.__main__ import main
from numtape.bench.cases import Case
from numtape.bench.peaks import Peaks
from numtape.bench.report import Progress
from numtape.bench.suites import SUITES, all_cases, elementwise, ops
from numtape.op import TABLE

ONE = ["--quick", "--filter", "^elementwise/add/", "--sizes", "256", "--compare", "numpy"]


def test_list_names_a_case_for_every_op_of_the_table(capsys):
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    for op in TABLE.values():
        if op.family == "elementwise" and op.public is not None and not op.name.startswith("_"):
            assert f" elementwise/{op.name}/" in listed or op.name in elementwise.ELSEWHERE and f" ops/{op.name}" in listed
        elif op.family == "reduction":
            assert f" reduction/{op.name}.all/" in listed
    assert "* train/mlp-16-32-4/batch32" in listed
    assert "  start/import" in listed


def test_list_follows_filter_suite_and_sizes(capsys):
    assert main(["--list", "--suite", "matmul", "--sizes", "100,400"]) == 0
    assert capsys.readouterr().out.split() == ["matmul/matmul/10x10", "matmul/matmul/20x20"]
    assert main(["--list", "--filter", r"/exp/16384$"]) == 0
    assert capsys.readouterr().out.split() == ["*", "elementwise/exp/16384"]


def test_names_of_cases_are_unique():
    names = [c.name for c in all_cases()]
    assert len(names) == len(set(names))
    assert {c.suite for c in all_cases()} == set(SUITES)


def test_a_run_of_one_case_writes_json(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert main([*ONE, "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "elementwise/add/256" in out
    assert "digits" not in out
    document = json.loads(path.read_text())
    assert set(document) == {"schema", "environment", "digits", "peaks", "geometric_means", "cases", "kernels", "seconds"}
    env = document["environment"]
    assert {"numtape", "numba", "numpy", "python", "cpu", "cores", "simd_bits", "threads", "kernel_cache", "peers"} <= set(env)
    (case,) = document["cases"]
    assert (case["name"], case["bytes"], case["problems"]) == ("elementwise/add/256", 3 * 4 * 256, [])
    assert set(case["engines"]) == {"numtape", "numpy"}
    ours, theirs = case["engines"]["numtape"], case["engines"]["numpy"]
    assert 0 < ours["q1_s"] <= ours["median_s"] <= ours["q3_s"]
    assert len(ours["samples_s"]) == ours["rounds"] == len(theirs["samples_s"])
    assert theirs["ratio_to_numtape"] == pytest.approx(theirs["median_s"] / ours["median_s"])
    assert ours["bytes_per_s"] == pytest.approx(case["bytes"] / ours["median_s"])
    assert ours["share_of_peak"] == pytest.approx(ours["bytes_per_s"] / case["peak"]["rate"])


def test_no_peers(capsys):
    assert main([*ONE[:-1], "none"]) == 0
    assert "compared with: none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--suite", "elementwize"], "there is no 'elementwize'; choose from digits, calls, elementwise"),
        (["--suite", ","], "give at least one of"),
        (["--compare", "tensorflow"], "there is no 'tensorflow'; choose from numpy, torch, jax"),
        (["--filter", "no such case"], "no case matches 'no such case'; --list prints the names"),
        (["--filter", "("], "is not a regular expression"),
        (["--sizes", "many"], "expected numbers such as"),
        (["--sizes", "0"], "expected positive numbers"),
        (["--threads", "0"], "expected a positive number"),
        (["--threads", "two"], "invalid int value"),
        (["--json", "/no/such/folder/x.json", "--filter", "exp"], "does not exist"),
        (["--frobnicate"], "unrecognized arguments"),
    ],
)
def test_mistakes_exit_with_2_and_say_what_there_is(arguments, said, capsys):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_missing_peer_that_was_asked_for(monkeypatch, capsys):
    monkeypatch.setattr("numtape.bench.__main__.installed", lambda name: name == "numpy")
    assert main(["--filter", "exp", "--compare", "jax"]) == 2
    assert "jax is not installed; install it, or choose from numpy" in capsys.readouterr().err


def test_missing_scikit_learn(monkeypatch, capsys):
    monkeypatch.setattr(digits, "available", lambda: False)
    assert main(["--suite", "digits"]) == 2
    assert 'pip install "numtape[bench]"' in capsys.readouterr().err


def test_accuracy_below_the_target_exits_with_1(monkeypatch, capsys):
    monkeypatch.setattr(digits, "available", lambda: True)
    monkeypatch.setattr(digits, "train", lambda: digits.Training(1, [2.3], 0.5, 1.0, 0.0, 0))
    assert main(["--suite", "digits"]) == 1
    assert "FAILED digits: test accuracy 50.0 %, expected at least 96 %" in capsys.readouterr().err


def test_a_failing_case_exits_with_1(monkeypatch, capsys):
    monkeypatch.setitem(engines.RENAMED, "add", "subtract")
    assert main(ONE) == 1
    assert "FAILED elementwise/add/256: numtape and numpy differ: " in capsys.readouterr().err


def test_the_module_runs_in_a_process_of_its_own():
    environment = {k: v for k, v in os.environ.items() if k != "NUMTAPE_BENCH_COMPILED"}
    root = str(pathlib.Path(__file__).parents[1])
    command = [sys.executable, "-m", "numtape.bench", *ONE, "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert ", 1 threads" in done.stdout
    assert "\r" not in done.stderr  # no bar where nobody sees it


def test_every_op_has_a_case_in_the_suite_of_ops_or_a_reason_for_none():
    names = {c.name for c in all_cases() if c.suite == "ops"}
    timed = {name.split("/")[1].split(".")[0] for name in names}
    inside = {name for name, case in ops.INSIDE.items() if f"ops/{case}" in names}
    assert set(TABLE) == timed | inside | set(ops.EXCUSED)
    assert inside == set(ops.INSIDE) and not timed & set(ops.EXCUSED)
    assert not any(c.default for c in all_cases() if c.suite == "ops")


def test_a_case_of_an_op_and_of_its_gradients(torch, capsys):
    assert main(["--quick", "--filter", "^ops/(trace|einsum)[.]small|^ops/sum.small.backward", "--compare", "torch"]) == 0
    assert "3 cases, 0 failed" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ the parts
def test_an_engine_that_raises_is_a_problem_and_the_others_are_timed():
    def bind(engine):
        return (lambda: 1.0) if engine.name == "numpy" else (lambda: 1 / 0)

    pair = [engines.Numtape(), engines.Numpy()]
    result = runner.run_case(Case("calls", "broken", bind), pair, Peaks(pair), quick=True)
    assert result.problems == ["numtape: ZeroDivisionError: division by zero"]
    assert set(result.timings) == {"numpy"}
    assert result.ratio("numpy") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ([1.0, np.nan, np.inf], [1.0, np.nan, np.inf], None),
        ([1.0, 2.0], [1.0, 2.1], "1 of 2 elements, the first at (1,): 2 and 2.1"),
        ([1.0], [1.0, 1.0], "shapes (1,) and (2,)"),
    ],
)
def test_mismatch(ours, theirs, said):
    assert runner.mismatch([np.array(ours)], [np.array(theirs)], (1e-4, 1e-5)) == said


def test_timing_takes_turns_and_counts_loops():
    calls = []
    thunks = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    found = timing.measure(thunks, {"a": 0.5, "b": 0.25}, 3, target=0.0)
    assert found["a"].loops == found["b"].loops == 1
    assert "".join(calls[-6:]) == "ababab"
    assert (len(found["a"].samples), found["b"].first_call) == (3, 0.25)


def test_median_and_quartiles():
    t = timing.Timing([5.0, 1.0, 2.0, 4.0, 3.0], 1, 0.0)
    assert (t.median, t.quartiles) == (3.0, (2.0, 4.0))
    assert t.spread == pytest.approx(2 / 3)


def test_progress_draws_a_bar_on_a_terminal_only(capsys):
    class Stream:
        def __init__(self, live):
            self.live, self.text = live, ""

        def isatty(self):
            return self.live

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    for live in (False, True):
        stream = Stream(live)
        with Progress("work", 1, stream=stream) as progress:
            progress.advance("a step")
            progress.say("a line")
        assert ("work [############################] 1/1" in stream.text) is live
        assert capsys.readouterr().out == "a line\n"


def test_digits_split_is_fixed_and_scaled():
    pytest.importorskip("sklearn")
    x, y, x_test, y_test = digits.load()
    assert (x.shape, x_test.shape, y.shape, y_test.shape) == ((1437, 64), (360, 64), (1437,), (360,))
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    spread = x.std(0)
    np.testing.assert_allclose(spread[spread > 0], 1, atol=1e-4)


def test_accuracy_over_the_whole_domain(capsys):
    accuracy.main(["--every", "1000003", "--random", "1000", "--only", "sqrt,exp"])
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert max(float(rows["sqrt"][0]), float(rows["sqrt"][2])) <= 0.5
    assert 0.4 < float(rows["exp"][0]) < 1
