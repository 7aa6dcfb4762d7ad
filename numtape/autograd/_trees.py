"""Nested tuples, lists and dicts taken apart into their leaves, and put together again."""

from __future__ import annotations


def flatten(tree):
    """The leaves of a tree in order, and its structure for `unflatten`."""
    leaves: list = []
    return leaves, _structure(tree, leaves)


def _structure(tree, leaves):
    if isinstance(tree, dict):
        return type(tree), [(key, _structure(value, leaves)) for key, value in tree.items()]
    if isinstance(tree, (tuple, list)):
        return type(tree), [_structure(value, leaves) for value in tree]
    leaves.append(tree)
    return None


def unflatten(structure, leaves):
    """The tree of this structure with these leaves."""
    return _built(structure, iter(leaves))


def _built(structure, leaves):
    if structure is None:
        return next(leaves)
    kind, parts = structure
    if issubclass(kind, dict):
        return kind((key, _built(part, leaves)) for key, part in parts)
    values = [_built(part, leaves) for part in parts]
    return kind(*values) if hasattr(kind, "_fields") else kind(values)


def mapped(function, tree, *others):
    """The tree with `function` of each leaf (and of the leaves at its place in trees of the same structure)."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(*values) for values in zip(leaves, *(flatten(o)[0] for o in others))])
