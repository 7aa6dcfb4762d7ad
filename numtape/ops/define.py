"""The words that ops are defined with: `elementwise`, `formula`, `reduction`, `row`, `composite`.

Each decorator takes a function, files the op in the table under the function's name, and returns the public function. The
function's parameters are x, y, ...; they are called input and other in public, as in PyTorch.
"""

from __future__ import annotations

from numtape import dtypes
from numtape import op as rules
from numtape.dispatch import derive, functions
from numtape.op import Op


def elementwise(rule, vjp=None, *, inplace=True, **traits):
    """A primitive: the function is one return statement on scalars, `m.` reaching the kernels' maths library.

    `vjp` is one derivative rule per operand (None: no derivative), written in the public vocabulary; its parameters say what
    it needs: `g` (the gradient of the result), `out` (the result), or the op's own parameters.
    """

    def define(fn):
        return publish(Op(fn.__name__, "elementwise", fn, rule, vjp, inplace=inplace, **traits).register())

    return define


def formula(fn=None, *, vjp=None, inplace=True, **traits):
    """An elementwise op written in terms of others; without `vjp` its derivative follows from its parts."""

    def define(fn):
        op = Op(fn.__name__, "elementwise", fn, None, vjp, inplace=inplace, **traits)
        return publish(derived(op).register())

    return define if fn is None else define(fn)


def derived(op: Op) -> Op:
    """Give a formula the derivative that follows from its parts, if it has none of its own."""
    if op.vjp is None:
        operands = [i for i, n in enumerate(op.names) if n not in op.static]
        op.vjp = tuple(derive.Derived(op, i) if i in operands else None for i in range(len(op.names)))
        op.saves = tuple(("g", *op.names) if i in operands else () for i in range(len(op.names)))
    return op


def publish(op: Op):
    """Make the public function of an elementwise op."""
    if len(op.names) == 1:
        function = functions.unary(op)
    elif op.names == ("x", "y") and not op.static and not op.defaults:
        function = functions.binary(op)
    else:
        function = functions.general(op)
    return named(op, function)


def named(op: Op, function):
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = op.doc
    function.op = op
    op.public = function
    return function


def reduction(result, combine, identity, vjp=None, *, operand=None, **traits):
    """A reduction over any dims. The function is the scalar combination of two values and serves as its documentation;
    `combine` is the kernel's text of it, or the name of a function of the maths library."""

    def define(fn):
        kinds = {"combine": combine, "identity": identity if callable(identity) else lambda code: f"{identity}"}
        if combine.isidentifier():
            kinds["library"] = combine
        op = Op(fn.__name__, "reduction", fn, None, vjp, reduces=True, result=result, operand=operand or result, **kinds, **traits)
        op.names = ("x",)
        return named(op.register(), functions.reducing(op))

    return define


def row(fn=None, *, vjp=None, reduces=False, public=True, **traits):
    """An op written in terms of elementwise ops and of reductions over `dim` with keepdim; one kernel of several passes."""

    def define(fn):
        op = Op(fn.__name__, "row", fn, None, vjp, static=("dim", *traits.pop("static", ())), reduces=reduces, **traits)
        if op.vjp is None:
            op = derived(op)
        return op.register()

    return define if fn is None else define(fn)


def composite(fn=None, **traits):
    """An op made of calls of other ops; its derivative is theirs."""

    def define(fn):
        op = Op(fn.__name__, "composite", fn, **traits)
        op.public = fn
        fn.op = op
        op.register()
        return fn

    return define if fn is None else define(fn)


__all__ = ["composite", "dtypes", "elementwise", "formula", "reduction", "row", "rules"]
