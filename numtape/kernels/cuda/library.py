"""Kernels for cards, by their text: compiled once for a compute capability, kept on disk, loaded into each card that launches them.

The disk cache is the CPU's folder with the CPU's rules. A kernel's files are named by the hash of its text, its largest block, the
compute capability, the versions of all that compiles, and our own sources; beside the machine code stands what the linker said about
registers and memory. For the emulated card nothing is compiled.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import pathlib
import re
import sys
import threading
import time

from numtape.kernels import cache
from numtape.kernels import library as every
from numtape.kernels.cuda import api, card

PACKAGES = ("numba", "llvmlite", "numba-cuda", "nvidia-cuda-nvcc", "nvidia-nvvm", "nvidia-nvjitlink", "cuda-bindings")
_compiling = threading.RLock()


class Kernel:
    """One kernel: its name, its text, and the largest block that it may be launched with.

    `address` stands for it in the log of launches. `report` is what the linker said, empty for the emulated card.
    """

    __slots__ = ("address", "codes", "functions", "name", "report", "text", "threads")

    def __init__(self, name, text, threads):
        self.name, self.text, self.threads, self.report = name, text, threads, ""
        self.address = id(self)
        self.codes: dict[tuple, bytes] = {}  # machine code by compute capability
        self.functions: dict = {}  # handles by card

    def __repr__(self):
        return f"<cuda kernel {self.name}>"

    def on(self, where):
        """The handle of its function on a card; compiled and loaded there if need be."""
        found = self.functions.get(where)
        if found is None:
            with _compiling:
                found = self.functions.get(where)
                if found is None:
                    module = where.call("cuModuleLoadData", self._image(where))
                    found = self.functions[where] = where.call("cuModuleGetFunction", module, b"kernel")
        return found

    def _image(self, where) -> bytes:
        if hasattr(where.api, "emulator"):
            return f"{self.name}\0{self.threads}\0{self.text}".encode()
        if where.capability not in self.codes:
            self.codes[where.capability], self.report = _machine_code(self, where.capability)
        return self.codes[where.capability]


def kernel(name: str, text: str, threads: int = 256) -> Kernel:
    """The kernel defined by `text`, to be launched with blocks of at most `threads`: from memory, from disk, or compiled now."""
    key = (text, "cuda", threads)
    found = every._kernels.get(key)
    if found is None:
        if not 1 <= threads <= 1024:
            raise RuntimeError(f"{name}: a block has 1 to 1024 threads, got {threads}")
        with _compiling:
            found = every._kernels.get(key)
            if found is None:
                found = Kernel(name, text, threads)
                found.on(card.current().card)
                every._kernels[key] = found
    return found


def report(kernel: Kernel) -> dict[str, int]:
    """What the linker said of a kernel, as `figures`; nothing for the emulated card."""
    return figures(kernel.report) if kernel.report else {}


def figures(report: str) -> dict[str, int]:
    """Registers a thread, bytes spilled (stores and loads) and on the stack, bytes of shared memory of a block."""
    patterns = {
        "registers": r"[Uu]sed (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "spill_stores": r"(\d+) bytes spill stores",
        "spill_loads": r"(\d+) bytes spill loads",
        "shared": r"(\d+) bytes smem",
    }
    return {name: max((int(n) for n in re.findall(pattern, report)), default=0) for name, pattern in patterns.items()}


def _machine_code(kernel, capability) -> tuple[bytes, str]:
    """A cubin and the linker's report, from disk or compiled now."""
    if not every.JIT:
        raise RuntimeError("NUMBA_DISABLE_JIT=1 turns compiling off, so nothing can run on a card; NUMTAPE_CUDA=emulate runs kernels in plain Python")
    key = key_of(kernel.text, kernel.threads, capability)
    code = cache.read(key)
    if code is not None:
        every.counts.loaded += 1
        return code, _stored_report(key)
    try:
        from numtape.kernels.cuda import toolchain
    except Exception as problem:  # a version of numba-cuda that this one, or NumPy, does not fit
        raise RuntimeError(f"{kernel.name}: compiling for a card needs numba-cuda: {api.INSTALL} ({type(problem).__name__}: {problem})") from problem
    start = time.perf_counter()
    code, said = toolchain.compile_cubin(every.execute(kernel.name, kernel.text)["kernel"], kernel.threads, capability)
    seconds = time.perf_counter() - start
    every.counts.compiled += 1
    every.counts.seconds += seconds
    if "kernels" in os.environ.get("NUMTAPE_DEBUG", ""):
        print(f"# numtape compiled {kernel.name} for sm_{capability[0]}{capability[1]} in {seconds:.3f} s\n{said}\n{kernel.text}", file=sys.stderr)
    cache.write(key, kernel.text, code)
    if (folder := cache.folder()) is not None:
        cache._write_whole(folder / f"{key}.txt", said.encode())
    return code, said


def _stored_report(key) -> str:
    try:
        return (cache.folder() / f"{key}.txt").read_text()
    except OSError:
        return ""


@functools.cache
def fingerprint() -> str:
    """What machine code for cards depends on besides its text: the compilers, and our library of words and functions."""
    digest = hashlib.sha256()
    here = pathlib.Path(__file__).parent
    for path in sorted(here.parent.glob("*.py")) + sorted(here.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for package in PACKAGES:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "none"
        digest.update(f"{package} {version}\n".encode())
    return digest.hexdigest()


def key_of(text: str, threads: int, capability: tuple[int, int]) -> str:
    """The name of a kernel's files: a hash of all that its machine code depends on."""
    return hashlib.sha256(f"cuda {fingerprint()} {capability} {threads}\0{text}".encode()).hexdigest()[:32]
