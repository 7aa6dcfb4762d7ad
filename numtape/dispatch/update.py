"""Updates: several tensors changed in place by one kernel, such as a parameter and what an optimizer remembers of it.

An update is a formula of elementwise ops that returns the new values of its first parameters. It is not recorded.
"""

from __future__ import annotations

import numpy as np

from numtape import graph, layout
from numtape.autograd import mode, tape
from numtape.device import cpu
from numtape.dispatch import elementwise
from numtape.dispatch.inplace import overlaps
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.calls import update_rows
from numtape.kernels.cpu.driver import launch
from numtape.op import rule_names
from numtape.tensor import Tensor


class Update:
    """A function of tensors of one shape and of numbers that writes into its first `targets` tensors."""

    def __init__(self, name: str, fn, targets: int, static=()):
        self.name, self.fn, self.targets = name, fn, targets
        self.names = rule_names(fn)
        self.static = frozenset(static)
        self.plans: dict = {}

    def __call__(self, *args):
        if mode.state.enabled and any(isinstance(a, Tensor) and tape.needs_grad(a) for a in args):
            raise RuntimeError(f"{self.name}: is not differentiable; call it under numtape.no_grad()")
        key, operands, _, _ = elementwise.scan(self, args)
        changed = args[: self.targets]
        plan = self.plans.get(key)
        if plan is None:
            if len(self.plans) > elementwise.PLANS:
                self.plans.clear()
            plan = self.plans[key] = self._plan(args)
        table, tensors = plan
        if len({id(a._storage) for a in args if isinstance(a, Tensor)}) < tensors:
            self._check_apart(changed, args)
        if table is not None:
            # the addresses of the outputs after the first stand behind those of the inputs, before the numbers
            more = [t._address for t in changed[1:]]
            launch(table.address, operands[0], *operands[:tensors], *more, *operands[tensors:])
        for t in changed:
            t._storage.version += 1
            t._storage.writer = self.name

    def _check_apart(self, changed, args) -> None:
        """Refuse operands that lie in the memory of what is changed, elsewhere than it."""
        tensors = [a for a in args if isinstance(a, Tensor)]
        for i, t in enumerate(changed):
            for k, a in enumerate(tensors):
                if k != i and a._storage is t._storage and (k < self.targets and a._address == t._address or overlaps(a, t)):
                    raise RuntimeError(f"{self.name}: argument '{self.names[k]}' shares memory with '{self.names[i]}', which is changed; clone() it first")

    def _plan(self, args):
        """The launch, and how many tensors are given."""
        specs = [a._spec for a in args if isinstance(a, Tensor)]
        changed = specs[: self.targets]
        shape = changed[0].shape
        elementwise.same_device(self.name, *(a for a in args if isinstance(a, Tensor)))
        for spec in changed:
            if not spec.dtype.is_floating_point:
                raise RuntimeError(f"{self.name}: expected floating-point tensors, got {spec.dtype}")
            if spec.shape != shape or layout.overlaps_itself(spec.shape, spec.strides):
                raise RuntimeError(f"{self.name}: expected tensors of shape {list(shape)} without repeated elements, got {list(spec.shape)} with strides {list(spec.strides)}")
        if layout.broadcast_shapes(self.name, *(s.shape for s in specs)) != shape:
            raise RuntimeError(f"{self.name}: an operand does not broadcast to the shape {list(shape)} of what is updated")
        if not changed[0].numel:
            return None, len(specs)
        symbols, tensors, numbers = elementwise.leaves(self, args)
        results = [graph.convert(r, s.dtype) for r, s in zip(self.fn(*symbols), changed)]
        strides = [layout.expand_strides(s.shape, s.strides, shape) for s in (*specs, *changed[1:])]
        sizes, steps = layout.coalesce(shape, changed[0].strides, *strides)
        printer, codes = elementwise.lowering(tensors, numbers)
        lines = printer.lower(results)
        texts = [printer.cast(r, s.dtype) for r, s in zip(results, changed)]
        signature = f"{', '.join(s.dtype.name for s in specs)} -> {', '.join(s.dtype.name for s in changed)}"
        out, *others = [s.dtype.code for s in changed]
        inputs = [s.dtype.code for s in specs]
        with placing(changed[0].device):
            table = pattern(changed[0].device, "elementwise").table
            more = list(zip(others, texts[1:]))
            return table(self.name, signature, printer.imports(), out, inputs, codes, lines, texts[0], sizes, steps, 0, more), len(specs)


class Rows:
    """Several sets of tensors that an update changes with the same numbers, such as all parameters of a group, by one call.

    What was laid out for the last call serves the next, if the tensors are of the same specs.
    """

    def __init__(self, update: Update, width: int):
        self.update, self.width = update, width
        self.kinds: list = []  # of the settings: the type of a number, any other as it is
        self.words = self.kept = None
        self.address = 0

    def __call__(self, tensors: list, settings: tuple) -> None:
        """tensors: the rows, one after the other. settings: the other arguments of the update."""
        kinds = [type(a) if type(a) is float else a for a in settings]
        if self.address and kinds == self.kinds and update_rows(self.address, tensors, *[a for a in settings if type(a) is float]):
            return
        rows = [tensors[i : i + self.width] for i in range(0, len(tensors), self.width)]
        for row in rows:
            self.update(*row, *settings)
        self._prepare(rows, settings, kinds)

    def _prepare(self, rows: list, settings: tuple, kinds: list) -> None:
        name = self.update.name
        words, self.address, self.kinds, self.kept = [len(rows), self.width, self.update.targets, id(name)], 0, kinds, [name]
        for row in rows:
            key, _, _, _ = elementwise.scan(self.update, (*row, *settings))
            table, tensors = self.update.plans.get(key, (None, 0))
            if table is None or tensors != self.width or row[0]._spec.device is not cpu:
                return
            specs = [t._spec for t in row]
            words += [table.address, *map(id, specs)]
            self.kept += [table, specs]
        self.words = np.array(words, np.int64)
        self.address = self.words.ctypes.data
