"""Collating: a list of items becomes one batch of the same structure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import numtape as nt


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack the items of a list: tensors, arrays and numbers become one tensor with a new first dimension.

    Strings and bytes stay a list; tuples, lists and mappings are collated entry by entry (a tuple becomes a list, a named tuple
    and a mapping keep their type). Python floats become float64, as in PyTorch.

    Raises TypeError where an item is of another type, RuntimeError where sequences differ in length.

    >>> nt.utils.data.default_collate([(1, {"x": 3}), (2, {"x": 4})])
    [tensor([1, 2]), {'x': tensor([3, 4])}]
    """
    first = batch[0]
    if isinstance(first, nt.Tensor):
        return nt.stack(tuple(batch))
    if isinstance(first, np.ndarray) and first.dtype.kind not in "SUO":
        return nt.stack([nt.as_tensor(item) for item in batch])
    if isinstance(first, float) and not isinstance(first, np.generic):
        return nt.tensor(batch, dtype=nt.float64)
    if isinstance(first, (bool, int)) and not isinstance(first, np.generic):
        return nt.tensor(batch)
    if isinstance(first, (np.bool_, np.number)):
        return nt.as_tensor(np.asarray(batch))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        columns = {key: default_collate([item[key] for item in batch]) for key in first}
        if isinstance(first, MutableMapping):
            same_type = copy.copy(first)
            same_type.update(columns)
            return same_type
        return type(first)(columns)  # type: ignore[call-arg]
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(column) for column in zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        stacked = [default_collate(column) for column in zip(*batch)]
        if isinstance(first, MutableSequence):
            of_same_type = copy.copy(first)
            for i, column in enumerate(stacked):
                of_same_type[i] = column
            return of_same_type
        return stacked
    raise TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first)}; "
        "for other items give the DataLoader a collate_fn"
    )
