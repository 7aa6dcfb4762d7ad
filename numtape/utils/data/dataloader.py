"""DataLoader: batches of a dataset, one after the other.

Batches of a TensorDataset are not put together item by item: the whole order is one tensor of indices and a batch is one
`index_select` per tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numtape as nt
from numtape.utils.data.collate import default_collate
from numtape.utils.data.dataset import IterableDataset, Subset, TensorDataset
from numtape.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler


def _the_item(item: Any) -> Any:
    "The collate_fn of a loader without batches: arrays and numbers as they are."
    return item


class DataLoader:
    """Iterates over a dataset in batches.

    dataset: has `__getitem__` and `__len__`, or is an IterableDataset. batch_size: None gives items instead of batches. shuffle: a
    new random order at every iteration. sampler: an iterable of indices; batch_sampler: an iterable of lists of indices. drop_last:
    leave out the last, shorter batch. collate_fn: makes a batch of a list of items, by default `default_collate`. generator: where the
    random order comes from, by default the global generator. pin_memory has no effect; num_workers is 0 only.

    Raises ValueError where options exclude each other or are out of range, or where `num_workers` is not 0.

    >>> data = nt.utils.data.TensorDataset(nt.arange(5), nt.arange(5) * 10)
    >>> for x, y in nt.utils.data.DataLoader(data, batch_size=2):
    ...     print(x.tolist(), y.tolist())
    [0, 1] [0, 10]
    [2, 3] [20, 30]
    [4] [40]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        _refuse_workers(num_workers, timeout, multiprocessing_context, prefetch_factor, persistent_workers)
        streamed = isinstance(dataset, IterableDataset)
        if streamed:
            for name, value in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value not in (None, False):
                    raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        elif batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0):
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")

        if sampler is None and not streamed:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None and not streamed:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        batched = batch_sampler is not None or (streamed and batch_size is not None)

        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.collate_fn: Callable[[Any], Any] = collate_fn or (default_collate if batched else _the_item)

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            items = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return items
            return items // self.batch_size if self.drop_last else -(-items // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return self._stream()
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[index]) for index in self.sampler)  # type: ignore[union-attr]
        tensors = _tensors_of(self.dataset) if self.collate_fn is default_collate else None
        if tensors is not None:
            return self._select(*tensors)
        return self._gather()

    def _stream(self) -> Iterator[Any]:
        items = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, items)
            return
        while batch := list(islice(items, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(batch)

    def _gather(self) -> Iterator[Any]:
        "Batches put together item by item."
        fetch = getattr(self.dataset, "__getitems__", None)
        for indices in self.batch_sampler:  # type: ignore[union-attr]
            yield self.collate_fn(fetch(indices) if fetch else [self.dataset[index] for index in indices])

    def _select(self, tensors: tuple, subset: Any) -> Iterator[list]:
        "Batches of a TensorDataset, or of a Subset of one: one `index_select` per tensor."
        for indices in self._index_tensors():
            if subset is not None:
                indices = subset.index_select(0, indices)
            yield [tensor.index_select(0, indices.to(tensor.device)) for tensor in tensors]

    def _index_tensors(self) -> Iterator[Any]:
        "The indices of each batch as a tensor (batch,)."
        batches: Any = self.batch_sampler
        sampler = batches.sampler if type(batches) is BatchSampler else None
        if isinstance(sampler, (RandomSampler, SequentialSampler)):
            order = sampler._order()
            for start in range(0, len(batches) * batches.batch_size, batches.batch_size):
                yield order[start : start + batches.batch_size]
        else:
            for indices in batches:
                yield nt.tensor(indices, dtype=nt.int64)


def _tensors_of(dataset: Any) -> tuple[tuple, Any] | None:
    "The tensors of a plain TensorDataset, and the indices as a tensor where it is a Subset; None for any other dataset."
    subset = None
    if type(dataset) is Subset:
        subset, dataset = nt.tensor(list(dataset.indices), dtype=nt.int64), dataset.dataset
    if type(dataset) is not TensorDataset or not dataset.tensors:
        return None
    return dataset.tensors, subset


def _refuse_workers(num_workers: int, timeout: float, context: Any, prefetch_factor: int | None, persistent_workers: bool) -> None:
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if num_workers > 0:
        raise ValueError(
            f"num_workers={num_workers} is not implemented: batches are made in this process; use num_workers=0. Where making items is "
            "slow, load them once into tensors and use a TensorDataset, or iterate over the DataLoader from a thread of your own"
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if prefetch_factor is not None:
        raise ValueError("prefetch_factor option could only be specified in multiprocessing, which is not implemented; leave it None")
    if persistent_workers:
        raise ValueError("persistent_workers option needs num_workers > 0, which is not implemented; leave it False")
    if context is not None:
        raise ValueError("multiprocessing_context can only be used with num_workers > 0, which is not implemented; leave it None")
