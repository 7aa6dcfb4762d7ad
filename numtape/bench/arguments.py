"""The arguments of `python -m numtape.bench`, and what their values mean."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
from collections.abc import Sequence
from typing import Any

DEVICES = ("cpu", "cuda")


class UsageError(Exception):
    """A mistake in the arguments, or something missing that they ask for."""


def parser(suites: Sequence[str], peers: Sequence[str], suites_on_a_card: Sequence[str], peers_on_a_card: Sequence[str]) -> argparse.ArgumentParser:
    """The command line; the names are those that `--suite` and `--compare` take on each device."""
    p = argparse.ArgumentParser(
        prog="python -m numtape.bench",
        description="Train a digits classifier, then time ops and workloads against NumPy, PyTorch and JAX; "
        "on a CUDA card against PyTorch and CuPy, and against what the card can do.",
        epilog="With no arguments: the training run and a chosen set of cases. "
        "Exit codes: 0 fine, 1 a case failed, fell behind the baseline, or the accuracy is too low, 2 wrong arguments, or no card.",
    )
    p.add_argument("--device", choices=DEVICES, default="cpu", help="where to run: cpu (default) or cuda")
    p.add_argument("--list", action="store_true", help="print the names of the cases and stop; * marks the default set")
    p.add_argument("--all", action="store_true", help="every case of every suite")
    p.add_argument("--filter", metavar="REGEX", help="the cases whose name matches, of all cases; no training run")
    names = f"{', '.join(suites)}; on a card {', '.join(suites_on_a_card)}"
    p.add_argument("--suite", "--suites", metavar="NAMES", help=f"every case of these suites, comma-separated: {names}")
    p.add_argument("--sizes", metavar="N,N", help="elements of an operand; matrices have the square root of it as their side")
    p.add_argument("--threads", metavar="N", type=int, help="threads of every engine (default: all cores)")
    names = f"{', '.join(peers)}; on a card {', '.join(peers_on_a_card)}"
    p.add_argument("--compare", metavar="NAMES", help=f"the peers, of {names}; or none (default: those that are installed)")
    p.add_argument("--json", metavar="FILE", help="also write the environment and all numbers there")
    p.add_argument("--baseline", metavar="FILE", help="compare with an earlier --json file: ratios to a peer where both runs have one, else times")
    p.add_argument("--fail-below", metavar="RATIO", type=float, help="with --baseline: fail where a case has less of its speed than this (default 0.8)")
    p.add_argument("--plot", metavar="FILE", help="also draw a roofline of the cases, and time against size, into a .png or .svg file")
    p.add_argument("--quick", action="store_true", help="small sizes and few rounds")
    p.add_argument("--limit", metavar="SECONDS", type=float, help="on a card: begin no case after so many seconds (default 400)")
    return p


def chosen(cases: Sequence[Any], arguments: argparse.Namespace, suites: Sequence[str]) -> list[Any]:
    """The cases that the arguments ask for."""
    found = [c for c in cases if c.suite in suites]
    if arguments.filter:
        try:
            pattern = re.compile(arguments.filter)
        except re.error as problem:
            raise UsageError(f"--filter: {arguments.filter!r} is not a regular expression: {problem}") from None
        found = [c for c in found if pattern.search(c.name)]
        if not found:
            raise UsageError(f"--filter: no case matches {arguments.filter!r}; --list prints the names")
    elif not (arguments.all or arguments.suite or arguments.list):
        found = [c for c in found if c.default]
    return found


def check_outputs(arguments: argparse.Namespace) -> None:
    """What would only be found out after minutes of measuring: where files are to go, and what needs what."""
    for option, path in (("--json", arguments.json), ("--plot", arguments.plot)):
        if path and not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise UsageError(f"{option}: the folder of {path} does not exist")
    if arguments.plot and not arguments.plot.endswith((".png", ".svg")):
        raise UsageError(f"--plot: expected a name that ends in .png or .svg, got {arguments.plot!r}")
    if arguments.plot and importlib.util.find_spec("matplotlib") is None:
        raise UsageError('--plot: matplotlib is not installed: pip install "numtape[plot]"')
    if arguments.fail_below is not None:
        if not arguments.baseline:
            raise UsageError("--fail-below: give --baseline FILE, the run to compare with")
        if not arguments.fail_below > 0:
            raise UsageError(f"--fail-below: expected a positive number such as 0.9, got {arguments.fail_below}")
    if arguments.device == "cuda" and (arguments.baseline or arguments.plot):
        raise UsageError("--baseline and --plot are for the CPU; leave out --device cuda")


def names_of(option: str, text: str, known: Sequence[str]) -> list[str]:
    """Comma-separated names, each of which must be known."""
    names = [n.strip() for n in text.split(",") if n.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"{option}: there is no {name!r}; choose from {', '.join(known)}")
    if not names:
        raise UsageError(f"{option}: give at least one of {', '.join(known)}")
    return names


def sizes_of(text: str | None) -> list[int] | None:
    """The numbers of `--sizes`."""
    if text is None:
        return None
    try:
        sizes = [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--sizes: expected numbers such as 16384,1048576, got {text!r}") from None
    if min(sizes) < 1:
        raise UsageError(f"--sizes: expected positive numbers, got {text!r}")
    return sizes
