"""Kernels: the compiled loops that ops run on, and a window on them.

>>> import numtape as nt
>>> with nt.kernels.log() as launched:
...     y = nt.ones(4).exp()
>>> [k.name for k in launched]
['fill', 'exp']
>>> "exp_f32" in nt.kernels.last().text
True
"""

from __future__ import annotations

import functools
from contextlib import nullcontext
from importlib import import_module


def pattern(device, name: str):
    """The module of a pattern ("elementwise", "rows", ...) for a device: the same functions in kernels/cpu/ and kernels/cuda/."""
    return _module(f"numtape.kernels.{device.type}.{name}")


@functools.cache
def _module(path: str):
    try:
        return import_module(path)
    except ModuleNotFoundError as problem:
        if problem.name != path:
            raise
        name = path.rpartition(".")[2]
        raise NotImplementedError(f"{name}: there are no CUDA kernels for this yet (docs/cuda.md, Limits); move the tensor with .cpu() first") from None


def placing(device):
    """A context in which launches are laid out for a device: of several cards, this one becomes the current one."""
    return _anywhere if device.type == "cpu" else pattern(device, "driver").at_card(device.index)


_anywhere = nullcontext()


def last():
    """The kernel launched last (its `name` and `text`, runnable as it stands), or None. The log holds 256 launches."""
    from numtape.kernels.cpu import driver

    found = driver.launched(max(driver.launch_count() - 1, 0))
    return found[-1] if found else None


def launches() -> int:
    """How many kernels were launched in this process."""
    from numtape.kernels.cpu import driver

    return driver.launch_count()


def compilations() -> int:
    """How many kernels Numba compiled in this process; loading one from the disk cache does not count."""
    from numtape.kernels import library

    return library.counts.compiled


def loaded() -> int:
    """How many kernels came from the disk cache."""
    from numtape.kernels import library

    return library.counts.loaded


def compile_seconds() -> float:
    """The time that compiling took in this process."""
    from numtape.kernels import library

    return library.counts.seconds


def all() -> list:
    """Every kernel of this process, in the order they were first used."""
    from numtape.kernels import library

    return library.all_kernels()


class log:
    """Collects the kernels launched inside a `with` block (the last 256 of them)."""

    def __enter__(self) -> list:
        from numtape.kernels.cpu import driver

        self.first, self.kernels = driver.launch_count(), []
        return self.kernels

    def __exit__(self, *exc_info) -> None:
        from numtape.kernels.cpu import driver

        self.kernels += driver.launched(self.first)
