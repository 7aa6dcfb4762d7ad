"""Python source to object code: the only place where Numba compiles for the CPU.

`compile_object` takes a plain Python function of int64 parameters, lets Numba compile it, and returns object code with one
exported symbol. Such objects hold no Numba run-time, so a later process loads them with llvmlite alone (see `loader`).
This module imports numba: it is only imported when something must be compiled.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import platform
import sys
import threading
import warnings

import llvmlite.binding as llvm
import numba
from numba import types
from numba.core import compiler, errors
from numba.cpython import numbers

_lock = threading.RLock()
# Loops of up to this many instructions are interleaved, two to four steps side by side as registers allow; LLVM's own limit is 20. A long
# formula is a chain of operations that wait for each other, of which a processor sees one or two steps at a time (sigmoid 1.15 ns an
# element, 0.95 side by side; erf 1.5 and 1.2; sin in float64 2.1 and 1.5).
llvm.set_option("", "-small-loop-cost=256")


def compile_object(function, symbol: str, *, parameters: int = 3, returns: bool = False) -> bytes:
    """Object code of `function` (of `parameters` int64s, returning int64 or nothing) under the C name `symbol`."""
    dispatcher = numba.njit(nogil=True, error_model="numpy", boundscheck=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    flags = compiler.Flags()
    target = dispatcher.targetdescr
    target.options.parse_as_flags(flags, dispatcher.targetoptions)
    flags.no_compile = True  # machine code is made below, once; Numba's own copy would take a tenth of the time
    contexts = target.typing_context, target.target_context
    with warnings.catch_warnings(), wrapping(numbers), remembering(target.typing_context), refreshing(*contexts):
        warnings.simplefilter("ignore", errors.NumbaWarning)
        compiled = compiler.compile_extra(
            target.typing_context, target.target_context, function, (types.int64,) * parameters, types.int64 if returns else types.void, flags, {}
        )
    library = compiled.library
    module = library._final_module
    for callee in dict.fromkeys(library._linking_libraries):
        module.link_in(callee._get_module_for_linking(), preserve=True)
    module.link_in(llvm.parse_assembly(_entry(symbol, compiled.fndesc.llvm_func_name, parameters, returns, module)))
    for k, definition in enumerate(d for d in module.functions if not d.is_declaration and d.name != symbol):
        definition.linkage = "internal"  # so that what was inlined everywhere disappears
        definition.name = f"{symbol}.{k}"  # Numba's names count compilations; with ours the object depends on the text alone
    for variable in module.global_variables:
        if variable.name.startswith("_ZN08NumbaEnv") and not variable.is_declaration:  # never read; numbered by Numba, too
            variable.linkage = "internal"
    library._optimize_final_module()
    for definition in module.functions:  # the linker ends the process at a symbol that it does not find
        if definition.is_declaration and not definition.name.startswith("llvm.") and llvm.address_of_symbol(definition.name) is None:
            raise RuntimeError(f"{symbol}: the compiled kernel calls {definition.name!r}, which is nowhere defined")
    return emit(library._codegen, module)


def emit(codegen, module) -> bytes:
    """The object code of a module. On x86-64 under Linux constants stand behind the code in its own section, a 32-bit distance away.

    Numba's own machine lets constants lie anywhere, since a linker in memory may put sections far apart: then each constant takes a
    register for its 64-bit address, and a long formula spends a third of its instructions on moving those about. What a kernel calls of C's
    library is far from it: such calls go by a 64-bit address in r11, which any call may change; the linker's own way, a table of addresses
    in memory of its own, ends the process where that lies more than 2 GiB off.
    """
    if not (sys.platform == "linux" and platform.machine() == "x86_64"):
        return codegen._tm.emit_object(module)
    machine = _near(codegen)
    lines = []
    for line in machine.emit_assembly(module).splitlines():
        word, _, rest = line.strip().partition("\t")
        if word == ".section" and rest.startswith(".rodata"):
            line = "\t.text"
        elif word in (".section", ".data", ".bss", ".comm", ".lcomm") and not rest.startswith((".text", '".note.GNU-stack"')):
            return codegen._tm.emit_object(module)  # something that is written to
        elif rest.endswith("@PLT"):
            lines.append(f"\tmovabsq\t${rest.removesuffix('@PLT')}, %r11")
            line = f"\t{word}\t*%r11"
        elif "@" in rest and not word.startswith("."):
            return codegen._tm.emit_object(module)  # a table of addresses, for something else
        if not word.startswith((".cfi_", ".ident")):  # nothing is unwound
            lines.append(line)
    whole = "\n".join(lines).replace("\\", "\\5C").replace('"', "\\22").replace("\n", "\\0A")
    return machine.emit_object(llvm.parse_assembly(f'target triple = "{module.triple}"\nmodule asm "{whole}"\n'))


@functools.cache
def _near(codegen) -> llvm.TargetMachine:
    """Numba's machine, but with code and constants near to each other."""
    llvm.initialize_native_asmparser()
    options: dict = {}
    codegen._customize_tm_options(options)
    return llvm.Target.from_default_triple().create_target_machine(opt=3, **options | {"codemodel": "small", "reloc": "pic"})


@contextlib.contextmanager
def wrapping(numbers):
    """Integers wrap around. Numba promises LLVM that signed ones never overflow, and LLVM leaves out what could not be then.
    `numbers` is the module of Numba's integer arithmetic, of which numba-cuda has one of its own."""
    with _lock:
        flags = numbers._int_arith_flags
        numbers._int_arith_flags = lambda kind: []
        try:
            yield
        finally:
            numbers._int_arith_flags = flags


_OPERATORS = frozenset(f for f in vars(operator).values() if callable(f))
_signatures: dict = {}  # (operator, types) -> signature


@contextlib.contextmanager
def remembering(context):
    """The signatures of `+`, `<` and their like on numbers are found once. Numba tries some hundred templates at each place where one
    stands, also those of NumPy's array functions, which takes half of the time of typing an elementwise kernel (100 of 350 ms in all)."""
    resolve = context.resolve_function_type

    def found(function, args, kws):
        known = function.typing_key if isinstance(function, types.Function) else function
        if kws or isinstance(known, types.Type) or known not in _OPERATORS or not all(isinstance(types.unliteral(a), types.Number) for a in args):
            return resolve(function, args, kws)
        key = known, args
        if key not in _signatures and (signature := resolve(function, args, kws)) is not None:
            _signatures[key] = signature
        return _signatures.get(key)

    with _lock:
        context.resolve_function_type = found
        try:
            yield
        finally:
            del context.resolve_function_type


_registered: dict = {}  # context -> the number of entries of its registries when it was last brought up to date


@contextlib.contextmanager
def refreshing(*contexts):
    """Contexts look through their registries when there is something new in them. Numba lets them look at each call of an intrinsic,
    of which even a simple kernel has ten (a fifth of the time of compiling one)."""

    def entries(context):
        return sum(len(getattr(registry, name)) for registry, loader in context._registries.items() for name in loader.registry_items)

    def when_new(context, refresh):
        def look():
            while _registered.get(context) != (count := entries(context)):  # again, if that has brought new ones
                _registered[context] = count
                refresh()

        return look

    with _lock:
        for context in contexts:
            context.refresh = when_new(context, context.refresh)
        try:
            yield
        finally:
            for context in contexts:
                del context.refresh


def _entry(symbol: str, native: str, parameters: int, returns: bool, module) -> str:
    """A C function that calls Numba's. Kernels raise nothing, so its error status and exception slot are not looked at;
    Numba's own C wrapper would look, and would need Numba's run-time to report."""
    values = ", ".join(f"i64 %{i}" for i in range(parameters))
    slots = "  %result = alloca i64\n  %error = alloca ptr\n  store i64 0, ptr %result\n"
    call = f'  %status = call i32 @"{native}"(ptr %result, ptr %error, {values})\n'
    last = "  %value = load i64, ptr %result\n  ret i64 %value\n" if returns else "  ret void\n"
    kind = "i64" if returns else "void"
    types_ = ", ".join(["i64"] * parameters)
    return (
        f'target datalayout = "{module.data_layout}"\ntarget triple = "{module.triple}"\n'
        f'declare i32 @"{native}"(ptr, ptr, {types_})\n'
        f"define {kind} @{symbol}({values}) {{\n{slots}{call}{last}}}\n"
    )
