"""Op calls written down instead of run: symbols, and their lowering to the text of a kernel's slot.

A `Symbol` stands for one element of a tensor (or for one number per row of a row kernel). Calling ops on symbols builds a
graph of symbols; `lower` prints it as typed scalar statements, each value cast to its dtype, so that nothing is computed in
a wider type by accident. Derivative rules run on symbols too, which is how a gradient becomes one fused kernel.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Container, Iterable

from numtape import dtypes
from numtape.dtypes import dtype
from numtape.op import Op, refuse_complex

PLAIN = {"abs", "sign", "truncate_divide", "isnan", "isinf", "isfinite", "signbit", "angle", "real", "imag"}  # in kernels/floatmath.py
COMPLEX = {"c64", "c128"}  # in kernels/complexmath.py
FULL, ROW = 0, 1  # one value per element, or one per row


class Symbol:
    """A value in a graph: an input, a constant, or an op applied to symbols."""

    __slots__ = ("dtype", "extent", "inputs", "op", "operand_dtypes", "priority", "value")

    def __init__(self, op, inputs, kind: dtype, *, operand_dtypes=(), priority=0, extent=FULL, value=None):
        self.op, self.inputs, self.dtype, self.operand_dtypes = op, inputs, kind, operand_dtypes
        self.priority, self.extent, self.value = priority, extent, value

    def __repr__(self) -> str:
        return f"<symbol {self.op if isinstance(self.op, str) else self.op.name} {self.dtype.name}>"

    def __bool__(self):
        raise RuntimeError("a value is not known while an op is being written down; use where(condition, x, y) instead of if")

    __hash__ = object.__hash__


def leaf(kind: dtype, priority: int = 0, extent: int = FULL, value=None) -> Symbol:
    return Symbol("input", (), kind, priority=priority, extent=extent, value=value)


def as_symbol(value) -> Symbol:
    """A Python number as a weak constant."""
    if isinstance(value, Symbol):
        return value
    return Symbol("constant", (), dtypes.scalar_dtype(value), priority=2, extent=ROW, value=value)


def call(op: Op, args: tuple) -> Symbol:
    """Write down an elementwise op on symbols and numbers."""
    inputs = tuple(as_symbol(a) for a in args)
    operand_dtypes, result = op.rule(op.name, [(s.dtype, s.priority) for s in inputs])
    if not op.traits.get("complex"):
        for kind in operand_dtypes:
            refuse_complex(op.name, kind)
    if all(s.priority == 2 for s in inputs):  # numbers among themselves: as precise as Python
        operand_dtypes, result = [_widest(d) for d in operand_dtypes], _widest(result)
    return Symbol(
        op,
        inputs,
        result,
        operand_dtypes=tuple(operand_dtypes),
        priority=min(s.priority for s in inputs),
        extent=min(s.extent for s in inputs),
    )


def reduction(op: Op, x: Symbol) -> Symbol:
    """Write down a reduction over the row."""
    kind = op.traits["result"](x.dtype)
    if not op.traits.get("complex"):
        refuse_complex(op.name, x.dtype)
    return Symbol(op, (x,), kind, operand_dtypes=(op.traits["operand"](x.dtype),), extent=ROW)


def count() -> Symbol:
    """The number of elements of a row."""
    return Symbol("count", (), dtypes.float64, priority=2, extent=ROW)


def position() -> Symbol:
    """The position of an element in its row."""
    return Symbol("position", (), dtypes.int64, extent=FULL)


def children(node: Symbol) -> tuple[Symbol, ...]:
    """What a symbol is computed from: its inputs, or its body if it is a formula."""
    return (node.value[0],) if isinstance(node.value, tuple) else node.inputs


def _widest(kind: dtype) -> dtype:
    return dtypes.float64 if kind.is_floating_point else dtypes.complex128 if kind.is_complex else kind


def convert(symbol: Symbol, kind: dtype) -> Symbol:
    """`symbol` cast to another dtype."""
    if symbol.dtype is kind:
        return symbol
    return Symbol("convert", (symbol,), kind, priority=0, extent=symbol.extent)


def order(roots: Iterable[Symbol], stop: Container[Symbol] = frozenset(), sources: Callable[[Symbol], tuple[Symbol, ...]] = children) -> list[Symbol]:
    """All symbols that the roots are computed from, sources first; those in `stop`, and what only they need, are left out."""
    done: set[Symbol] = set()
    result: list[Symbol] = []
    stack = [(r, False) for r in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            result.append(node)
        elif node not in done and node not in stop:
            done.add(node)
            stack.append((node, True))
            stack.extend((c, False) for c in reversed(sources(node)))
    return result


# ------------------------------------------------------------------------------------------------ scalar source
class Scalar:
    """The body of a primitive's scalar function, `return <expression>`, ready to be filled in."""

    def __init__(self, op: Op):
        tree = ast.parse(_source_of(op.fn)).body[0]
        body = [s for s in tree.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
        if len(body) != 1 or not isinstance(body[0], ast.Return):
            raise TypeError(f"op {op.name}: a scalar function must be a single return statement")
        self.calls: set[str] = set()
        tree = _Holes(op, self).visit(body[0].value)
        self.text = ast.unparse(tree)
        quotients = _Quotients()
        self.complex_text, self.divides = ast.unparse(quotients.visit(tree)), quotients.found

    def fill(self, operands: list[str], names: tuple[str, ...], kind: dtype) -> tuple[str, set[str]]:
        """The expression on named operands computed in `kind`, and the library functions it calls."""
        suffix = kind.arithmetic if kind.differentiable else "int"
        text = self.complex_text if kind.is_complex else self.text
        for name, operand in zip(names, operands):
            text = text.replace(f"HOLE_{name}_", operand)
        calls = self.calls | {"divide"} if kind.is_complex and self.divides else self.calls
        return text.replace("HOLETYPE", kind.arithmetic).replace("_HOLEKIND", f"_{suffix}"), {f"{c}_{suffix}" for c in calls}


class _Holes(ast.NodeTransformer):
    def __init__(self, op: Op, scalar: Scalar):
        self.op, self.scalar = op, scalar

    def visit_Name(self, node):
        if node.id not in self.op.names:
            raise TypeError(f"op {self.op.name}: its scalar function uses {node.id!r}, which is not one of its parameters")
        return ast.Name(f"HOLE_{node.id}_")

    def visit_Constant(self, node):
        return ast.Call(ast.Name("HOLETYPE"), [node], [])

    def visit_Attribute(self, node):  # m.exp: a function of the kernels' maths library
        self.scalar.calls.add(node.attr)
        return ast.Name(f"{node.attr}_HOLEKIND")


class _Quotients(ast.NodeTransformer):
    """x / y as a call: Numba's complex quotient raises at zero."""

    found = False

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Div):
            self.found = True
            return ast.Call(ast.Name("divide_HOLEKIND"), [node.left, node.right], [])
        return node


def _source_of(fn) -> str:
    """The text of a function, from its `def` line to the end of its body."""
    lines = linecache.getlines(fn.__code__.co_filename)
    start = fn.__code__.co_firstlineno - 1
    while not lines[start].lstrip().startswith("def "):
        start += 1
    indent = len(lines[start]) - len(lines[start].lstrip())
    stop = start + 1
    while stop < len(lines) and (not lines[stop].strip() or len(lines[stop]) - len(lines[stop].lstrip()) > indent):
        stop += 1
    return "".join(line[indent:] if line.strip() else line for line in lines[start:stop])


# ------------------------------------------------------------------------------------------------ lowering
class Lowering:
    """Prints symbols as statements.

    `names` maps symbols to text that already stands for them, in their dtype; `slots` maps numbers to their text and the
    dtype it has, which is wider than the one they are used in.
    """

    def __init__(self, names: dict[Symbol, str] | None = None, prefix: str = "v", slots=None, calls=None):
        self.names: dict[Symbol, str] = dict(names or {})
        self.slots: dict[Symbol, tuple[str, dtype]] = {} if slots is None else slots
        self.calls: set[str] = set() if calls is None else calls
        self.prefix, self.count = prefix, 0

    def lower(self, roots: Iterable[Symbol]) -> list[str]:
        """The statements that compute `roots`; afterwards `names` knows each of them."""
        lines = []
        for node in order(roots, self.names.keys() | self.slots.keys()):
            text = self._expression(node)
            if node.op == "constant" or isinstance(node.value, tuple):
                self.names[node] = text
                continue
            name = f"{self.prefix}{self.count}"
            self.count += 1
            lines.append(f"{name} = {text}")
            self.names[node] = name
        return lines

    def _expression(self, node: Symbol) -> str:
        if node.op == "constant":
            return number(node.value, node.dtype)
        if node.op == "convert":
            return self.cast(node.inputs[0], node.dtype)
        if isinstance(node.value, tuple):
            return self.cast(node.value[0], node.dtype)
        if isinstance(node.op, str) or node.op.rule is None:
            raise RuntimeError(f"{node} cannot be computed inside this kernel")
        if node.op.scalar is None:
            node.op.scalar = Scalar(node.op)
        operands = [self.cast(s, d, exact=node.dtype is not dtypes.bool) for s, d in zip(node.inputs, node.operand_dtypes)]
        kind = next((d for d in reversed(node.operand_dtypes)), node.dtype)
        text, calls = node.op.scalar.fill(operands, node.op.names, kind)
        self.calls |= calls
        return f"{node.dtype.code}({text})"

    def cast(self, symbol: Symbol, kind: dtype, exact: bool = True) -> str:
        """The text of `symbol` as a `kind`; constants are printed in that type.

        A number beside halves stays as precise as the arithmetic (there are more elements to count than a half can tell apart), unless it is
        to be compared with them: `exact` is False then.
        """
        if symbol.op == "constant":
            text = number(symbol.value, kind)
            return text if exact or not kind.is_half else f"round_{kind.code}({text})"
        text, source = self.slots[symbol] if symbol in self.slots else (self.names[symbol], symbol.dtype)
        if symbol.priority == 2 and kind.is_half and exact:
            return conversion(text, source, dtypes.float32)
        return conversion(text, source, kind)

    def imports(self) -> str:
        """The import lines of the library functions that the statements call."""
        modules: dict[str, list[str]] = {}
        for name in sorted(self.calls):
            function, _, kind = name.rpartition("_")
            module = "intmath" if kind == "int" else "complexmath" if kind in COMPLEX or function == "complex" else "floatmath" if function in PLAIN else "vecmath"
            modules.setdefault(module, []).append(name)
        return "".join(f"from numtape.kernels.{module} import {', '.join(names)}\n" for module, names in modules.items())


def conversion(text: str, source: dtype, target: dtype) -> str:
    """The text of a value of dtype `source` as a `target`, rounded to what that can hold."""
    if source is target:
        return text
    if target is dtypes.bool:
        return f"({text} != {source.arithmetic}(0))"
    if source.is_complex and not target.is_complex:
        text, source = f"{text}.real", source.to_real()
    if target.is_half:
        return f"round_{target.code}({target.arithmetic}({text}))"
    if source.is_floating_point and target is dtypes.uint64:
        return f"u64_of({text})"
    if source.is_floating_point and target.category == dtypes.INT and target is not dtypes.int64:
        return f"{target.code}(i64({text}))"  # as PyTorch on x86: by way of int64, so that 300.0 wraps to 44 in uint8
    return f"{target.code}({text})"


def number(value, kind: dtype) -> str:
    """A Python number as a typed constant."""
    if kind is dtypes.bool:
        return f"b8({bool(value)})"
    if kind.is_floating_point:
        return _real(float(value), kind.arithmetic)
    if kind.is_complex:
        part = kind.to_real().code
        return f"{kind.code}(complex({_real(complex(value).real, part)}, {_real(complex(value).imag, part)}))"
    return f"{kind.code}({int(value)})"


def _real(value: float, code: str) -> str:
    if value != value:
        return f"{code}(nan)"
    if value in (float("inf"), float("-inf")):
        return f"{code}({'inf' if value > 0 else '-inf'})"
    return f"{code}({value!r})"
