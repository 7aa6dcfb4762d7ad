"""A row op as text: its reductions ordered into stages, each one pass over the row.

Symbols are one value per element or one per row (`graph.FULL`, `graph.ROW`). What is needed from a pass is computed before
it if it is per row, inside it if it is per element; what is costly and needed by the last pass too is kept in the output.
"""

from __future__ import annotations

from numtape import dtypes, graph
from numtape.graph import FULL, ROW, Symbol
from numtape.kernels import pattern

# what the totals of sums are added up in
WIDER = {dtypes.float16: dtypes.float64, dtypes.bfloat16: dtypes.float64, dtypes.float32: dtypes.float64, dtypes.complex64: dtypes.complex128}
WHOLE, FIRST, LAST = range(3)  # a kernel of the whole op, of a reduction's pieces, of the pieces' results


class Program:
    """A traced row op, ordered into stages."""

    def __init__(self, root: Symbol, tensors, numbers, device):
        self.root, self.tensors, self.numbers = root, tensors, numbers
        self.rows, self.columns = pattern(device, "rows"), pattern(device, "columns")
        nodes = graph.order([root])
        found = [n for n in nodes if not isinstance(n.op, str) and n.op.family == "reduction"]
        reductions = set(found)
        level: dict[Symbol, int] = {}
        for n in nodes:
            level[n] = max((level[c] for c in graph.children(n)), default=0) + (n in reductions)
        self.stages = [[n for n in found if level[n] == k] for k in range(1, 1 + max(level.values()))] if found else []
        self.reductions = [_Accumulator(n) for n in found]
        self.nodes = nodes
        self.strips = getattr(self.rows, "strips", None)
        self.single = len(found) == 1 and root.extent == ROW

    def _printer(self, names=None, position="i64(i)"):
        printer = graph.Lowering(names)
        for k, s in enumerate(self.numbers):
            printer.slots[s] = (f"s{k}", dtypes.float64 if s.dtype.is_floating_point else dtypes.int64)
        for n in self.nodes:
            if n.op == "count":
                printer.slots[n] = ("n", dtypes.float64)
            elif n.op == "position":
                printer.slots[n] = (position, dtypes.int64)
        return printer

    def _codes(self):
        return ["f64" if s.dtype.is_floating_point else "i64" for s in self.numbers]

    def text(self, name, out, inputs, out_class, phase=WHOLE, beside=False):
        """The row kernel's text; `inputs` are (dtype code, stride class), `out_class` is None for one number a row.

        With `beside` the text of strips of rows side by side, stride classes being those from row to row."""
        rows = self.strips if beside else self.rows
        row = self._printer({s: f"x{k}" for k, s in enumerate(self.tensors) if s.extent == ROW}, rows.POSITION if beside else "i64(i)")
        elements = {s: f"x{k}" for k, s in enumerate(self.tensors) if s.extent == FULL}
        loads = [_load(k, *inputs[k]) for k, s in enumerate(self.tensors) if s.extent == FULL and inputs[k][1] != "b"]
        body: list[str] = []
        kept: dict[Symbol, str] = {}
        for index, stage in enumerate(self.stages):
            roots = [n.inputs[0] for n in stage]
            if phase != LAST:
                body += row.lower(_frontier(roots))
            if phase == WHOLE and index == len(self.stages) - 1 and self.root.extent == FULL and out_class == "c":
                kept = self._worth_keeping(roots, row, elements, out)
            loop = graph.Lowering(row.names | elements, f"e{index}_", row.slots, row.calls)
            reductions = []
            for k, n in enumerate(stage):
                a = _Accumulator(n)
                lines, value = ([], "x0") if phase == LAST else (loop.lower([n.inputs[0]]), loop.cast(n.inputs[0], a.kind))
                reductions.append(self.rows.Reduction(f"r{index}_{k}", lines, value, *a.parts(row.calls, blocks=phase != LAST)))
            body += rows.stage(loads, reductions, [f"{place} = {loop.names[n]}" for n, place in kept.items()])
            for n, r in zip(stage, reductions):
                row.names[n] = f"t_{r.variable}"
                kind = _Accumulator(n).partial if phase == FIRST else n.dtype
                body.append(f"t_{r.variable} = {kind.code}({r.variable})")
        if phase == FIRST:
            body += rows.once(f"out[0] = {_stored(row.names[self.stages[0][0]], out)}")
        elif self.root.extent == ROW:
            body += row.lower([self.root])
            body += rows.once(f"out[0] = {_stored(row.cast(self.root, self.root.dtype), out)}")
        else:
            body += row.lower(_frontier([self.root], stop=kept))
            loop = graph.Lowering(row.names | elements | kept, "f", row.slots, row.calls)
            lines = loop.lower([self.root])
            place = "i * out_step" if out_class == "s" else "i"
            body += rows.each([*loads, *lines, f"out[{place}] = {_stored(loop.cast(self.root, self.root.dtype), out)}"])
        signature = f"{', '.join(s.dtype.name for s in self.tensors)} -> {out}"
        given = name, signature, row.imports(), (out, out_class), inputs, self._codes(), body
        if beside:
            return rows.text(*given, {text: s.dtype.code for s, text in row.names.items()}, [s.extent == ROW for s in self.tensors])
        return rows.text(*given)

    def column_text(self, name, out, operand, phase=WHOLE):
        """The column kernel's text, for dtype codes of out and operand."""
        row = self._printer()
        node = self.stages[0][0]
        loop = graph.Lowering(row.names | {self.tensors[0]: "x0"}, "e", row.slots, row.calls)
        a = _Accumulator(node)
        if phase == LAST:
            lines, value = [], "x0"
        else:
            lines = row.lower(_frontier([node.inputs[0]])) + loop.lower([node.inputs[0]])
            value = loop.cast(node.inputs[0], a.kind)
        reduction = self.rows.Reduction("r0", lines, value, *a.parts(row.calls, blocks=phase != LAST))
        row.names[node] = "t_r0"
        if phase == FIRST:
            result, value = [f"t_r0 = {a.partial.code}(r0)"], "t_r0"
        else:
            result = [f"t_r0 = {node.dtype.code}(r0)", *row.lower([self.root])]
            value = row.cast(self.root, self.root.dtype)
        signature = f"{self.tensors[0].dtype.name} -> {out}"
        body = (out, operand, self._codes(), reduction, result, value)
        return self.columns.text(name, signature, row.imports(), *body)

    def _worth_keeping(self, roots, row, elements, out) -> dict[Symbol, str]:
        """An element of the last stage that the final pass needs too and that costs more to compute than to store."""
        trial = graph.Lowering(row.names | elements, "e", row.slots, row.calls)
        trial.lower(roots)
        for n in reversed(graph.order([self.root])):
            costly = not isinstance(n.op, str) and n.op.scalar is not None and n.op.scalar.calls - {"maximum", "minimum", "sqrt"}
            if n in trial.names and n.extent == FULL and n.dtype.arithmetic == out and costly and n.dtype.is_floating_point:
                return {n: "out[i]"}
        return {}


def _load(k, code, kind):
    test = " != 0" if code == "b8" else ""
    return f"x{k} = in{k}[i * step{k}]{test}" if kind == "s" else f"x{k} = in{k}[i]{test}"


def _stored(text, code):
    return f"u8({text})" if code == "b8" else text


def _frontier(roots, stop=frozenset()):
    """The per-row values that per-element ones need."""
    found, stack, seen = [], list(roots), set()
    while stack:
        node = stack.pop()
        if node in seen or node in stop:
            continue
        seen.add(node)
        if node.extent == ROW:
            if node.op != "constant":
                found.append(node)
        else:
            stack.extend(graph.children(node))
    return found


class _Accumulator:
    """How a reduction's value is gathered: the dtype of elements, of blocks, and of the sum over blocks."""

    def __init__(self, node: Symbol):
        self.op, self.kind = node.op, node.operand_dtypes[0]
        self.wide = node.op.traits.get("wide", False) and self.kind in WIDER
        self.partial = WIDER[self.kind] if self.wide else self.kind

    def parts(self, calls, blocks=True):
        """How it combines, its identity, the dtype codes of parts and total; without `blocks` over partial results, in their dtype already."""
        part = self.kind if blocks else self.partial
        function = self.op.traits.get("library")
        if function:
            function = f"{function}_{part.arithmetic if part.differentiable else 'int'}"
            calls.add(function)
            combine = lambda a, b: f"{function}({a}, {b})"
        else:
            combine = lambda a, b: self.op.traits["combine"].format(a=a, b=b)
        total = self.partial.code if self.op.traits.get("wide") and part.differentiable and blocks else None
        return combine, self.op.traits["identity"](part), part.code, total
