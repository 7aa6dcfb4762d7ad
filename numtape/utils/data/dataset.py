"""Datasets: something with a length that gives an item for an index, or (IterableDataset) something to iterate over."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numtape as nt

T = TypeVar("T", covariant=True)


class Dataset(Generic[T]):
    """The base class of datasets: subclass it and define `__getitem__`, and `__len__` where there is a length.

    A subclass may define `__getitems__(indices)` too, which then gives a whole batch at once.

    >>> class Squares(nt.utils.data.Dataset):
    ...     def __getitem__(self, index):
    ...         return index ** 2
    ...     def __len__(self):
    ...         return 4
    >>> len(Squares() + Squares())
    8
    """

    def __getitem__(self, index: Any) -> T:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T]):
    """The base class of datasets that are streams: subclass it and define `__iter__`.

    >>> class Count(nt.utils.data.IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(5))
    >>> [batch.tolist() for batch in nt.utils.data.DataLoader(Count(), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")


class TensorDataset(Dataset):
    """Item i is the tuple of the i-th rows of all tensors.

    *tensors: (N, ...) each, with the same N. Raises AssertionError where the first sizes differ.

    >>> data = nt.utils.data.TensorDataset(nt.zeros(3, 2), nt.arange(3))
    >>> data[1]
    (tensor([0., 0.]), tensor(1))
    """

    def __init__(self, *tensors: Any) -> None:
        sizes = [tensor.shape[0] for tensor in tensors]
        if len(set(sizes)) > 1:
            raise AssertionError(f"Size mismatch between tensors: the first sizes are {sizes}, expected all to be the same")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0] if self.tensors else 0


class ConcatDataset(Dataset[T]):
    """Several datasets one after the other.

    datasets: an iterable of datasets that have a length. Raises AssertionError where there is none or one is an IterableDataset,
    IndexError where an index is out of range.

    >>> both = nt.utils.data.ConcatDataset([range(3), range(10, 12)])
    >>> len(both), both[3], both[-1]
    (5, 10, 11)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T:
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for a length of {len(self)}")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]


class Subset(Dataset[T]):
    """The items of a dataset at the given indices, in their order.

    >>> part = nt.utils.data.Subset(range(10, 20), [3, 5])
    >>> list(part)
    [13, 15]
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Split a dataset at random into parts that do not overlap.

    lengths: how many items each part has, or fractions that sum to 1; what rounding leaves goes to the first parts. generator:
    where the random numbers come from, by default the global generator.

    Raises ValueError where the lengths do not sum to the dataset's or a fraction is not between 0 and 1. Warns where a part is empty.

    >>> train, test = nt.utils.data.random_split(range(10), [0.75, 0.25])
    >>> len(train), len(test)
    (8, 2)
    >>> sorted([*train, *test]) == list(range(10))
    True
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        for i, fraction in enumerate(lengths):
            if not 0 <= fraction <= 1:
                raise ValueError(f"Fraction at index {i} is not between 0 and 1")
        counts = [math.floor(total * fraction) for fraction in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
        for i, count in enumerate(counts):
            if count == 0:
                warnings.warn(f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=2)
    else:
        counts = list(lengths)  # type: ignore[arg-type]
    if sum(counts) != total:
        raise ValueError(f"Sum of input lengths does not equal the length of the input dataset! Got {counts} for a length of {total}")
    indices = nt.randperm(total, generator=generator).tolist()
    ends = itertools.accumulate(counts)
    return [Subset(dataset, indices[end - count : end]) for end, count in zip(ends, counts)]
