"""`grad`, `vjp`, `jvp`, Jacobians and Hessians of functions of tensors (or of nested tuples, lists and dicts of them).

All may be nested. What a derivative hangs on besides its inputs, such as an outer derivative's input, stays connected.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numtape.autograd._trees import flatten, unflatten
from numtape.autograd.derivatives import Followed, is_tensor, jacobian_by_columns, jacobian_by_rows


class _Call:
    "A call of a function with the arguments `argnums` followed; what it returned is a tree, and perhaps something beside it."

    def __init__(self, name: str, function: Callable, argnums: Any, has_aux: bool, args: tuple, kwargs: dict):
        single = isinstance(argnums, int)
        places = [argnums] if single else list(argnums)
        if not places:
            raise RuntimeError(f"{name}: argnums must be non-empty, got {argnums!r}")
        for n in places:
            if not -len(args) <= n < len(args):
                raise RuntimeError(f"{name}: Got argnum={n}, but only {len(args)} positional inputs")
        places = [n % len(args) for n in places]
        if len(set(places)) < len(places):
            raise RuntimeError(f"{name}: argnums must be unique, got {argnums!r}")
        leaves, self.input_structure = flatten(args[argnums] if single else tuple(args[n] for n in places))
        for t in leaves:
            if not is_tensor(t):
                raise RuntimeError(f"{name}: Expected the inputs that are differentiated to be tensors, got {type(t).__name__}")
            if not t.dtype.differentiable:
                raise RuntimeError(f"{name}: Expected the inputs that are differentiated to be floating point, got {t.dtype}")
        self.aux = self.structure = None

        def run(twins: list) -> list:
            given = list(args)
            tree = unflatten(self.input_structure, twins)
            for n, value in zip(places, (tree,) if single else tree):
                given[n] = value
            found = function(*given, **kwargs)
            if has_aux:
                if not (isinstance(found, tuple) and len(found) == 2):
                    raise RuntimeError(f"{name}: Expected the function to return (output, aux) with has_aux, got {type(found).__name__}")
                found, self.aux = found
            outputs, self.structure = flatten(found)
            return outputs

        self.followed = Followed(run, leaves, name)
        if has_aux and not self.followed.record:
            self.aux = _detached(self.aux)

    def outputs(self) -> Any:
        return unflatten(self.structure, self.followed.values())

    def like_inputs(self, leaves: list) -> Any:
        return unflatten(self.input_structure, leaves)


def _detached(tree: Any) -> Any:
    leaves, structure = flatten(tree)
    return unflatten(structure, [t.detach() if is_tensor(t) else t for t in leaves])


def grad(func: Callable, argnums: int | tuple = 0, has_aux: bool = False) -> Callable:
    """The function that computes the gradient of `func`, whose result is one number, by its arguments `argnums`.

    With `has_aux`, `func` returns (number, anything), and the gradient comes with the latter.
    Raises RuntimeError where the result is no tensor of one number without dims, or an argument is not floating point.

    >>> import numtape as nt
    >>> nt.func.grad(nt.sin)(nt.tensor(0.0))
    tensor(1.)
    >>> nt.func.grad(nt.func.grad(lambda x: x**3))(nt.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapped


def grad_and_value(func: Callable, argnums: int | tuple = 0, has_aux: bool = False) -> Callable:
    """The function that computes the gradient of `func` and its value: (gradient, value), or (gradient, (value, aux)).

    >>> import numtape as nt
    >>> nt.func.grad_and_value(lambda x: x**2)(nt.tensor(3.0))
    (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = _Call("grad_and_value", func, argnums, has_aux, args, kwargs)
        outputs = call.followed.outputs
        if call.structure is not None:
            raise RuntimeError("grad_and_value(f)(*args): Expected f(*args) to return a single tensor, got several")
        if outputs[0].ndim or not outputs[0].dtype.is_floating_point:
            raise RuntimeError(
                f"grad_and_value(f)(*args): Expected f(*args) to return a scalar tensor, got tensor with {outputs[0].ndim} dims and dtype {outputs[0].dtype}. "
                "Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        found = call.like_inputs(call.followed.pull([outputs[0].detach().new_ones(())], keep=False))
        return found, (call.outputs(), call.aux) if has_aux else call.outputs()

    return wrapped


def value_and_grad(func: Callable, argnums: int | tuple = 0, has_aux: bool = False) -> Callable:
    """As `grad_and_value`, with the value first (as in JAX).

    >>> import numtape as nt
    >>> nt.func.value_and_grad(lambda x: x**2)(nt.tensor(3.0))
    (tensor(9.), tensor(6.))
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return value, found

    return wrapped


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """func(*primals), and a function that takes gradients of the outputs to those of the primals (a tuple if there are several).

    With `has_aux` the third element is what `func` returned beside its outputs.

    >>> import numtape as nt
    >>> value, pull = nt.func.vjp(nt.sin, nt.zeros(2))
    >>> pull(nt.tensor([1.0, 2.0]))
    (tensor([1., 2.]),)
    """
    call = _Call("vjp", func, tuple(range(len(primals))), has_aux, primals, {})

    def pull(*cotangents: Any) -> tuple:
        given, structure = flatten(cotangents[0] if len(cotangents) == 1 else cotangents)
        if structure != call.structure and len(given) == len(call.followed.outputs) and isinstance(call.structure, tuple):
            structure = call.structure  # outputs as arguments of their own
        if len(given) != len(call.followed.outputs):
            raise RuntimeError(f"vjp: expected {len(call.followed.outputs)} cotangents, as there are outputs, got {len(given)}")
        for i, (c, output) in enumerate(zip(given, call.followed.outputs)):
            if c.shape != output.shape:
                raise RuntimeError(f"vjp: expected cotangent {i} of shape {tuple(output.shape)}, got {tuple(c.shape)}")
        return call.like_inputs(call.followed.pull(given))

    return (call.outputs(), pull, call.aux) if has_aux else (call.outputs(), pull)


def _tangents(name: str, call: _Call, tangents: Any) -> list:
    given = flatten(tuple(tangents))[0]
    if len(given) != len(call.followed.inputs):
        raise RuntimeError(f"{name}: Expected as many tangents as primals ({len(call.followed.inputs)}), got {len(given)}")
    for i, (t, primal) in enumerate(zip(given, call.followed.inputs)):
        if t.shape != primal.shape:
            raise RuntimeError(f"{name}: Expected tangent {i} of shape {tuple(primal.shape)}, got {tuple(t.shape)}")
    return given


def jvp(func: Callable, primals: tuple, tangents: tuple, *, strict: bool = False, has_aux: bool = False) -> tuple:
    """func(*primals), and how it changes when the primals move by `tangents`: (outputs, tangents of outputs), and aux if there is.

    The tangents are carried along the tape of one call, see `numtape.autograd.forward`.

    >>> import numtape as nt
    >>> nt.func.jvp(nt.sin, (nt.zeros(2),), (nt.tensor([1.0, 2.0]),))
    (tensor([0., 0.]), tensor([1., 2.]))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp: Expected primals and tangents to be tuples of inputs")
    call = _Call("jvp", func, tuple(range(len(primals))), has_aux, primals, {})
    moved = unflatten(call.structure, call.followed.pusher()(_tangents("jvp", call, tangents)))
    return (call.outputs(), moved, call.aux) if has_aux else (call.outputs(), moved)


def linearize(func: Callable, *primals: Any) -> tuple:
    """func(*primals), and the linear function of tangents that approximates it there: `jvp` for many tangents at one place.

    >>> import numtape as nt
    >>> value, push = nt.func.linearize(nt.sin, nt.zeros(2))
    >>> push(nt.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    call = _Call("linearize", func, tuple(range(len(primals))), False, primals, {})
    push = call.followed.pusher()
    return call.outputs(), lambda *tangents: unflatten(call.structure, push(_tangents("linearize", call, tangents)))


def _jacobian(name: str, func: Callable, argnums: Any, has_aux: bool, compute: Callable) -> Callable:
    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = _Call(name, func, argnums, has_aux, args, kwargs)
        found = unflatten(call.structure, [call.like_inputs(parts) for parts in compute(call.followed)])
        return (found, call.aux) if has_aux else found

    return wrapped


def jacrev(func: Callable, argnums: int | tuple = 0, *, has_aux: bool = False, chunk_size: int | None = None) -> Callable:
    """The function that computes the Jacobian of `func`, (*output, *input), by backward passes for all elements of the output at once.

    >>> import numtape as nt
    >>> nt.func.jacrev(lambda x: x * x)(nt.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    return _jacobian("jacrev", func, argnums, has_aux, jacobian_by_rows)


def jacfwd(func: Callable, argnums: int | tuple = 0, has_aux: bool = False, *, randomness: str = "error") -> Callable:
    """The function that computes the Jacobian of `func`, (*output, *input), by pushes (see `jvp`) of all elements of the input at once.

    >>> import numtape as nt
    >>> nt.func.jacfwd(lambda x: x * x)(nt.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    return _jacobian("jacfwd", func, argnums, has_aux, jacobian_by_columns)


def hessian(func: Callable, argnums: int | tuple = 0) -> Callable:
    """The function that computes the second derivatives of `func`, (*output, *input, *input).

    >>> import numtape as nt
    >>> nt.func.hessian(lambda x: (x**3).sum())(nt.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
