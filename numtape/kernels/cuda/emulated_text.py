"""A kernel's text as a Python function that the emulator can run.

The text runs as it stands, but for these changes, which keep every line where it is:

- a call that waits for other threads becomes a ``yield`` of what it waits for, and a function that waits a generator: ``barrier()``
  is ``(yield 3)``, where 3 is the number of this call; ``shuffle_xor_f32(x, 1)`` is ``(yield 4, f32(x), 1)``; the call of a helper that
  waits is ``(yield from helper(x))``
- ``shared_f32(64)`` is ``shared_f32(64, 5)``, so that all threads find one array
- ``f32(0.5)`` is computed once; ``0.5`` is a float64, as for Numba
- imports bring the emulator's words and the twins of library functions
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import linecache

import numpy as np

from numtape.kernels.cuda.emulated_state import EmulatorError
from numtape.kernels.cuda.emulated_words import CASTS, WAITING, words
from numtape.kernels.cuda.plain_twins import plain

INTRINSICS = ("numtape.kernels.cuda.intrinsics", "numtape.kernels.intrinsics")
SHARED = {word for word in words if word.startswith("shared_")}
COUNTED = {word for word in words if word.startswith(("shared_", "stack_"))}


class Function:
    """A kernel that the emulator can run.

    name, text: as given. file: the name under which tracebacks and debuggers know its lines. kernel: the Python function of one
    parameter; waits: whether it is a generator. calls: the line and the text of each call that waits or makes a shared array, by number.
    """

    __slots__ = ("calls", "file", "kernel", "name", "text", "waits")

    def __init__(self, name, text):
        self.name, self.text = name, text
        self.file = f"<numtape cuda {name} {hashlib.sha256(text.encode()).hexdigest()[:8]}>"
        linecache.cache[self.file] = (len(text), None, text.splitlines(keepends=True), self.file)
        tree = ast.parse(text, self.file)
        rewrite = Rewrite(name, tree)
        tree = ast.fix_missing_locations(rewrite.visit(tree))
        names = {"__name__": self.file, **words, **rewrite.names}
        exec(compile(tree, self.file, "exec"), names)
        if "kernel" not in names:
            raise EmulatorError(f"{name}: the text defines no function named kernel")
        self.kernel, self.waits, self.calls = names["kernel"], "kernel" in rewrite.waiting, rewrite.calls

    def __repr__(self):
        return f"<emulated kernel {self.name}>"

    def told(self, number):
        """Call number `number` in words."""
        line, call = self.calls[number]
        return f"line {line} `{call}`"


@functools.lru_cache(None)
def function(name: str, text: str) -> Function:
    """The kernel defined by a text, which defines ``kernel(args)``; read once."""
    return Function(name, text)


def called(node):
    """The name of the function that a syntax node calls, or None."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None


class Rewrite(ast.NodeTransformer):
    """The changes to one text. `names`: what it needs to find; `waiting`: its functions that wait; `calls`: see `Function`."""

    def __init__(self, name, tree):
        self.name, self.names, self.calls, self.top = name, {}, [], set(tree.body)
        calls = {f.name: {called(node) for node in ast.walk(f)} for f in tree.body if isinstance(f, ast.FunctionDef)}
        self.waiting, before = set(WAITING), 0
        while len(self.waiting) > before:
            before = len(self.waiting)
            self.waiting |= {caller for caller, callees in calls.items() if callees & self.waiting}
        self.constants = {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}

    def fault(self, node, message):
        raise EmulatorError(f"kernel {self.name}, line {node.lineno} `{ast.unparse(node)}`: {message}")

    def visit_ImportFrom(self, node):
        if node.module is None or not node.module.startswith("numtape."):
            return node
        if node.module in INTRINSICS:
            for alias in node.names:
                if alias.asname or alias.name not in ("*", *words, *WAITING):
                    self.fault(node, "the words of kernels are imported by their own names, or all with *")
        else:
            module = importlib.import_module(node.module)
            for alias in node.names:
                if alias.name == "*":
                    self.fault(node, "library functions are imported by name")
                self.names[alias.asname or alias.name] = plain(getattr(module, alias.name))
        return ast.copy_location(ast.Pass(), node)

    def visit_Constant(self, node):
        return self.constant(node, "f64", node.value) if isinstance(node.value, float) else node

    def visit_Call(self, node):
        name = called(node)
        if name in CASTS and len(node.args) == 1:
            try:
                return self.constant(node, name, ast.literal_eval(node.args[0]))
            except ValueError:
                pass  # not a number but an expression
        number = len(self.calls)
        if name in WAITING or name in SHARED:
            self.calls.append((node.lineno, ast.unparse(node)))
        if name in COUNTED:
            self.check_count(node)
        node = self.generic_visit(node)
        if name == "barrier":
            return ast.copy_location(ast.Yield(ast.Constant(number)), node)
        if name in WAITING:
            value, mask = node.args
            value = ast.Call(ast.Name(WAITING[name], ast.Load()), [value], [])
            return ast.copy_location(ast.Yield(ast.Tuple([ast.Constant(number), value, mask], ast.Load())), node)
        if name in self.waiting:
            return ast.copy_location(ast.YieldFrom(node), node)
        if name in SHARED:
            node.args.append(ast.Constant(number))
        return node

    def constant(self, node, cast, value):
        """A name for a number, so that it is cast once."""
        name = f"{cast}({value!r})"
        with np.errstate(all="ignore"):
            self.names[name] = CASTS[cast](value)
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def check_count(self, node):
        names = {n.id for a in node.args for n in ast.walk(a) if isinstance(n, ast.Name)}
        if len(node.args) != 1 or names - self.constants:
            self.fault(node, "takes one number of elements, known when the kernel is compiled")

    def check_inner(self, node):
        for inner in ast.walk(node):
            if called(inner) in self.waiting:
                self.fault(inner, "waits for other threads, which only a function of the module may do, not one inside another")
        return self.generic_visit(node)

    def visit_FunctionDef(self, node):
        return self.generic_visit(node) if node in self.top else self.check_inner(node)

    visit_Lambda = visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = check_inner
