"""The examples in docstrings, executed."""

import doctest
import importlib
import pkgutil

import pytest

import numtape as nt

# Modules that run programs or need another machine when imported.
SKIPPED = ("numtape.bench", "numtape.kernels.cuda", "numtape.__main__")
MODULES = ["numtape", *(m.name for m in pkgutil.walk_packages(nt.__path__, "numtape.") if not m.name.startswith(SKIPPED))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), extraglobs={"nt": nt})
    assert result.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples]
    assert len(found) > 30
