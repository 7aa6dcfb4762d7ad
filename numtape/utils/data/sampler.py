"""Samplers: the order in which a DataLoader takes the items of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numtape as nt

T = TypeVar("T", covariant=True)


class Sampler(Generic[T]):
    """The base class of samplers: subclass it and define `__iter__`, which gives indices, and `__len__`.

    >>> class Backwards(nt.utils.data.Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(nt.utils.data.DataLoader([10, 11, 12], sampler=Backwards(), batch_size=None))
    [12, 11, 10]
    """

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} defines no __iter__; subclasses of Sampler do")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ...

    >>> list(nt.utils.data.SequentialSampler([5, 6, 7]))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def _order(self) -> Any:
        "One iteration's indices as one tensor (N,)."
        return nt.arange(len(self.data_source))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in random order, or, with `replacement`, random indices.

    num_samples: how many, by default as many as there are items; without replacement further rounds begin when all were drawn.
    generator: where the random numbers come from, by default the global generator.

    Raises ValueError where `num_samples` is no positive int, TypeError where `replacement` is no bool.

    >>> sorted(nt.utils.data.RandomSampler([5, 6, 7]))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if num_samples is not None and (isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples <= 0):
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        "How many indices an iteration gives."
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _order(self) -> Any:
        "One iteration's indices as one tensor (num_samples,)."
        size, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            return nt.randint(0, size, (wanted,), generator=self.generator)
        if wanted == size:
            return nt.randperm(size, generator=self.generator)
        rounds = [nt.randperm(size, generator=self.generator) for _ in range(-(-wanted // size))]
        return nt.cat(rounds)[:wanted]

    def __iter__(self) -> Iterator[int]:
        return iter(self._order().tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order.

    >>> sorted(nt.utils.data.SubsetRandomSampler([4, 8]))
    [4, 8]
    """

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in nt.randperm(len(self.indices), generator=self.generator).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class BatchSampler(Sampler[list[int]]):
    """The indices of another sampler in lists of `batch_size`; the last, shorter one is left out with `drop_last`.

    Raises ValueError where `batch_size` is no positive int or `drop_last` no bool.

    >>> list(nt.utils.data.BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        items = len(self.sampler)  # type: ignore[arg-type]
        return items // self.batch_size if self.drop_last else -(-items // self.batch_size)
