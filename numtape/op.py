"""The `Op` record, the rules for dtypes, and the one table of all ops.

An op is defined once, in `ops/`. Its record holds the scalar function (or the formula), one derivative rule per input, the
dtype rule and the docstring; kernels, gradients, functions, methods, tests and benchmarks follow from the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from numtape import dtypes
from numtape.dtypes import dtype

TABLE: dict[str, Op] = {}

# An operand of a dtype rule: its dtype and its priority (0: has dimensions, 1: zero-dimensional, 2: a Python number).
Operand = tuple[dtype, int]
Kinds = tuple[list[dtype], dtype]  # of the operands, of the result
Function = Callable[..., Any]


class Op:
    """One op: what it computes, how it is differentiated, and what it is called."""

    __slots__ = (
        "aliases",
        "calls",
        "defaults",
        "doc",
        "domain",
        "family",
        "fn",
        "functional",
        "inplace",
        "masks",
        "method",
        "name",
        "names",
        "operator",
        "plans",
        "public",
        "pullbacks",
        "recipes",
        "rule",
        "saves",
        "scalar",
        "settings",
        "static",
        "traits",
        "vjp",
    )

    def __init__(
        self,
        name: str,
        family: str,
        fn: Function,
        rule: Any = None,
        vjp: Any = None,
        *,
        names: tuple[str, ...] | None = None,
        static: Iterable[str] = (),
        inplace: bool = False,
        method: bool = True,
        **traits: Any,
    ):
        self.name, self.family, self.fn, self.rule, self.doc = name, family, fn, rule, fn.__doc__
        self.names: tuple[str, ...] = names or rule_names(fn)
        self.defaults: tuple[Any, ...] = getattr(fn, "__defaults__", None) or ()
        if family in ("elementwise", "row") and not traits.get("pullback") and {"g", "out"} & set(self.names):
            raise TypeError(f"op {name}: its parameters must not be called g or out, which mean the gradient and the result in rules")
        self.static = frozenset(static)
        self.settings: dict[str, Any] = {}
        self.inplace, self.method = inplace, method
        self.aliases: tuple[str, ...] = tuple(traits.pop("aliases", ()))
        self.domain = traits.pop("domain", None)
        self.functional = traits.pop("functional", False)
        self.traits = traits
        self.plans: dict[Any, Any] = {}
        self.calls: Any = None  # what `dispatch.elementwise.evaluate` remembers of them
        dtypes.on_new_default.append(self.plans.clear)
        self.pullbacks: dict[int, Op] = {}
        self.scalar: Any = None  # the parsed scalar function, made when first needed
        self.public: Function | None = None
        self.vjp = (vjp,) if callable(vjp) else vjp
        # the names that each rule uses; what a rule does not name is not kept alive
        self.saves = tuple(rule_names(r) for r in self.vjp) if self.vjp else ()
        self.recipes: tuple[Any, ...] | None = None
        self.masks: dict[int, tuple[bool, ...]] = {}

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def rules(self) -> tuple[Any, ...]:
        """For each argument: None without a derivative, else (rule, the places of its values, whether it hands g on as it is).

        Places count the arguments, then the result; -1 is the gradient, others below zero are what a reduction knows of its call.
        """
        if self.recipes is None:
            places = {"g": -1, "shape": -2, "dim": -3} | {name: k for k, name in enumerate((*self.names, "out"))}
            recipes = []
            for i, names in enumerate(self.saves):
                rule = self.gradient(i)
                recipes.append(None if rule is None else (rule, tuple(places[n] for n in names), _is_plain(rule)))
            self.recipes = tuple(recipes)
        return self.recipes

    def gradient(self, i: int) -> Any:
        """The derivative rule of argument i, right for complex numbers too.

        A rule gives g * f'(x). PyTorch's gradient of a complex f is g * conj(f'(x)), which is conj(conj(g) * f'(x)). The ops that are no
        complex functions of a complex argument (abs, real, ...) say so by the trait `wirtinger`, and their rules are taken as they stand.
        """
        rule = self.vjp[i] if self.vjp else None
        if rule is None or _is_plain(rule) or not hasattr(rule, "__code__") or self.traits.get("wirtinger"):
            return rule
        at = self.saves[i].index("g") if "g" in self.saves[i] else None

        def conjugated(*values: Any) -> Any:
            if at is None or not values[at].dtype.is_complex:
                return rule(*values)
            found = rule(*values[:at], values[at].conj(), *values[at + 1 :])
            return found.conj() if hasattr(found, "conj") else found

        return conjugated

    def mask(self, differentiated: int) -> tuple[bool, ...]:
        """Which arguments, and whether the result (last), the rules of the arguments in the bit set `differentiated` name."""
        found = self.masks.get(differentiated)
        if found is None:
            wanted: set[int] = set()
            for k, recipe in enumerate(self.rules()):
                if recipe is not None and differentiated >> k & 1:
                    wanted.update(recipe[1])
            found = self.masks[differentiated] = tuple(k in wanted for k in range(len(self.names) + 1))
        return found

    def register(self) -> Op:
        if self.name in TABLE:
            raise ValueError(f"op {self.name!r} is defined twice")
        TABLE[self.name] = self
        return self


def _is_plain(rule: Any) -> bool:
    """Whether a rule is `lambda g: g`, told by its code."""
    return getattr(rule, "__code__", None) is not None and rule.__code__.co_code == (lambda g: g).__code__.co_code


def rule_names(rule: Function | None) -> tuple[str, ...]:
    return rule.__code__.co_varnames[: rule.__code__.co_argcount] if rule else ()


def refuse_complex(name: str, kind: dtype) -> None:
    """The error for an op that complex numbers do not have."""
    if kind.is_complex:
        raise NotImplementedError(f"{name}: not implemented for {kind.name} tensors; take .real, .imag or .abs() first")


# ------------------------------------------------------------------------------------------------ dtype rules
# A rule takes the operands and returns the dtype each is converted to and the dtype of the result.
def promoted(operands: list[Operand]) -> dtype:
    by_priority: tuple[list[dtype], list[dtype], list[dtype]] = ([], [], [])
    for kind, priority in operands:
        by_priority[priority].append(dtypes.get_default_dtype() if priority == 2 and kind.is_floating_point else kind)
    return dtypes.promote_operands(*by_priority)


def arithmetic(name: str, operands: list[Operand]) -> Kinds:
    """Compute and return in the promoted dtype."""
    d = promoted(operands)
    return [d] * len(operands), d


def numeric(name: str, operands: list[Operand]) -> Kinds:
    """As `arithmetic`, but not defined for booleans."""
    d = promoted(operands)
    if d is dtypes.bool:
        raise RuntimeError(f"{name}: not supported for bool tensors; convert with .to(numtape.int64), or use ~, ^ and logical_not")
    return [d] * len(operands), d


def subtractable(name: str, operands: list[Operand]) -> Kinds:
    """As `arithmetic`, but no operand may be a boolean."""
    if any(kind is dtypes.bool for kind, _ in operands):
        raise RuntimeError(
            f"{name}: Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` "
            "or `logical_not()` operator instead."
        )
    return arithmetic(name, operands)


def modulus(name: str, operands: list[Operand]) -> Kinds:
    """As `numeric`; of complex numbers the result is real."""
    kinds, d = numeric(name, operands)
    return kinds, d.to_real()


def counting(name: str, operands: list[Operand]) -> Kinds:
    """As `arithmetic`, but booleans become int64."""
    d = promoted(operands)
    d = dtypes.int64 if d is dtypes.bool else d
    return [d] * len(operands), d


def floating(name: str, operands: list[Operand]) -> Kinds:
    """Compute and return in floating point: integers and booleans become the default dtype."""
    d = promoted(operands)
    d = d if d.differentiable else dtypes.get_default_dtype()
    return [d] * len(operands), d


def comparison(name: str, operands: list[Operand]) -> Kinds:
    """Compute in the promoted dtype, return bool."""
    return [promoted(operands)] * len(operands), dtypes.bool


def logical(name: str, operands: list[Operand]) -> Kinds:
    """Each operand as a truth value, return bool."""
    return [dtypes.bool] * len(operands), dtypes.bool


def predicate(name: str, operands: list[Operand]) -> Kinds:
    """Each operand in its own dtype, return bool."""
    return [kind for kind, _ in operands], dtypes.bool


def integral(name: str, operands: list[Operand]) -> Kinds:
    """Booleans and integers only."""
    d = promoted(operands)
    if d.differentiable:
        raise RuntimeError(f"{name}: not supported for {d.name} tensors; expected bool or integer dtypes")
    return [d] * len(operands), d


def selecting(name: str, operands: list[Operand]) -> Kinds:
    """A condition, then operands that are promoted together (`where`)."""
    d = promoted(operands[1:])
    return [dtypes.bool] + [d] * (len(operands) - 1), d


def accumulating(kind: dtype) -> dtype:
    """The dtype of sums and products: integers and booleans add up in int64."""
    return kind if kind.differentiable else dtypes.int64
