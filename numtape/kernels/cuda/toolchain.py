"""Python source to a cubin, and the only module that touches numba-cuda: what others need of it they import from here.

`compile_cubin` lets numba-cuda type and lower a kernel, NVVM make PTX of it and nvJitLink a cubin; none of them asks for a card or a
driver. A kernel has one parameter, the block of its packed slots: the PTX entry that Numba wrote for one int64 is given that block
instead (`entry_of`), whose address the word `slots` takes. Contraction of products and sums is off (`fma`): kernels say fma where they
mean it, so that elementwise results have the CPU's bits.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import operator
import re
import threading
import warnings

import numpy as np
from cuda.bindings import nvjitlink

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of NumPy's about what numba-cuda uses
    shimmed = not hasattr(np, "row_stack")  # NumPy 2.5 has dropped it; numba-cuda 0.30 names it once, when it is imported
    if shimmed:
        np.row_stack = np.vstack  # type: ignore[attr-defined]
    try:
        import numba.cuda.dispatcher as _dispatcher
        from numba.cuda import cgutils, types
        from numba.cuda.compiler import compile_cuda, kernel_fixup
        from numba.cuda.core.errors import RequireLiteralValue
        from numba.cuda.cpython import numbers
        from numba.cuda.cudadrv import nvvm
        from numba.cuda.cudaimpl import registry
        from numba.cuda.datamodel.models import PrimitiveModel as PointerModel
        from numba.cuda.extending import intrinsic, register_model
    finally:
        if shimmed:
            del np.row_stack

from numtape.kernels.compiler import wrapping

__all__ = ["PARAMETER", "PointerModel", "RequireLiteralValue", "cgutils", "compile_cubin", "intrinsic", "lower_getitem", "lower_setitem", "register_model", "types", "versions"]

PARAMETER = "numtape_slots"  # the PTX name of a kernel's one parameter
ENTRY = "kernel"
SLOTS = 96  # 8-byte words in it; the same as kernels.cpu.state.MAX_SLOTS

_lock = threading.RLock()  # the compiler keeps global state


def versions() -> str:
    """What a cubin depends on besides its source."""
    names = ("numba", "numba-cuda", "llvmlite", "nvidia-nvvm", "nvidia-nvjitlink")
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:  # from a toolkit that is installed otherwise
            found.append(f"{name} ?")
    return ", ".join(found)


def lower_getitem(kind):
    """Registers how `pointer[index]` of a type is read."""
    return registry.lower(operator.getitem, kind, types.Integer)


def lower_setitem(kind):
    """Registers how `pointer[index] = value` of a type is written."""
    return registry.lower(operator.setitem, kind, types.Integer, types.Any)


class _Target:
    """Stands for the card that numba-cuda would ask for its compute capability."""

    def __init__(self, capability):
        self.compute_capability = capability


@contextlib.contextmanager
def _target(capability):
    """Compile for this compute capability, whatever card there is."""
    before = _dispatcher.get_current_device
    _dispatcher.get_current_device = lambda: _Target(capability)
    try:
        yield
    finally:
        _dispatcher.get_current_device = before


def compile_ptx(function, threads: int, capability: tuple[int, int]) -> str:
    """PTX of a kernel that is launched with at most `threads` threads in a block."""
    options = {"opt": 3, "fma": False}
    with _lock, warnings.catch_warnings(), wrapping(numbers), _target(capability):
        warnings.simplefilter("ignore")
        result = compile_cuda(function, types.void, (types.int64,), nvvm_options=options, cc=capability)
        library = result.library
        library._entry_name = result.fndesc.llvm_func_name
        kernel = library.get_function(library._entry_name)
        kernel_fixup(kernel, False)
        nvvm.set_launch_bounds(kernel, threads)
        ptx = _nvvm(library.llvm_strs, {**options, "arch": "compute_{}{}".format(*capability)})
    return entry_of(ptx.decode().strip("\x00").strip())


def _nvvm(modules, options) -> bytes:
    """NVVM's PTX of LLVM modules; its own words where it refuses them."""
    unit = nvvm.CompilationUnit(options)
    for text in modules:
        unit.add_module(nvvm.llvm_replace(text).encode())
    try:
        unit.verify()
        unit.lazy_add_module(nvvm.LibDevice().get())
        return unit.compile()
    except Exception as problem:
        raise RuntimeError(f"toolchain: NVVM refused a kernel: {problem}: {unit.get_log() if hasattr(unit, 'get_log') else ''}") from problem


def entry_of(ptx: str) -> str:
    """The PTX with its entry called `kernel` and its one parameter made the block of slots."""
    header = re.compile(r"\.visible \.entry \S+\(\s*\.param \.u64 \S+\s*\)")
    if len(header.findall(ptx)) != 1:
        raise RuntimeError("toolchain: the compiler's PTX has not the one entry that was expected; this version of numba-cuda is not supported")
    ptx = re.sub(r"^\.common \.global .*NumbaEnv.*;$", "", ptx, flags=re.MULTILINE)  # never read, and numbered by the compiler
    return header.sub(f".visible .entry {ENTRY}(\n\t.param .align 8 .b8 {PARAMETER}[{8 * SLOTS}]\n)", ptx)


def link(ptx: str, capability: tuple[int, int]) -> tuple[bytes, str]:
    """The cubin of PTX text, and the assembler's report."""
    handle = nvjitlink.create(2, ["-arch=sm_{}{}".format(*capability), "-verbose"])
    try:
        data = ptx.encode()
        try:
            nvjitlink.add_data(handle, nvjitlink.InputType.PTX, data, len(data), ENTRY)
            nvjitlink.complete(handle)
        except nvjitlink.nvJitLinkError as problem:
            log = bytearray(nvjitlink.get_error_log_size(handle))
            nvjitlink.get_error_log(handle, log)
            raise RuntimeError(f"toolchain: the assembler refused a kernel: {log.decode(errors='replace').strip()}") from problem
        cubin = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, cubin)
        log = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, log)
    finally:
        nvjitlink.destroy(handle)
    return bytes(cubin), log.decode(errors="replace").strip("\x00")


def compile_cubin(function, threads: int, capability: tuple[int, int]) -> tuple[bytes, str]:
    """The cubin of a kernel function for a compute capability such as (9, 0), and the assembler's report.

    `report_figures` of `library` reads registers, spills, stack and shared memory out of the report.
    """
    return link(compile_ptx(function, threads, capability), capability)
