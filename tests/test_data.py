"""utils.data: datasets, samplers, collating and the loader."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import numtape as nt
from numtape.utils import data

Point = namedtuple("Point", ["x", "y"])


class Squares(data.Dataset):
    def __init__(self, n=10):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return nt.tensor([float(i), float(i * i)]), i


class Stream(data.IterableDataset):
    def __iter__(self):
        return iter(range(7))


def seeded(seed):
    return nt.Generator().manual_seed(seed)


# ---- datasets ----


def test_tensor_dataset():
    x, y = nt.arange(6).reshape(3, 2), nt.arange(3)
    pairs = data.TensorDataset(x, y)
    assert len(pairs) == 3 and pairs[1][0].tolist() == [2, 3] and pairs[-1][1].item() == 2
    with pytest.raises(AssertionError, match="Size mismatch"):
        data.TensorDataset(x, nt.arange(4))


def test_concat_and_subset():
    both = Squares(3) + Squares(2)
    assert isinstance(both, data.ConcatDataset) and len(both) == 5
    assert [both[i][1] for i in range(5)] == [0, 1, 2, 0, 1] and both[-1][1] == 1
    for index in (5, -6):
        with pytest.raises(IndexError):
            both[index]
    with pytest.raises(AssertionError):
        data.ConcatDataset([])
    with pytest.raises(AssertionError):
        data.ConcatDataset([Stream()])
    part = data.Subset(Squares(), [4, 2])
    assert len(part) == 2 and [item[1] for item in (part[0], part[1])] == [4, 2]


def test_random_split():
    a, b = data.random_split(range(10), [7, 3], generator=seeded(1))
    assert len(a) == 7 and len(b) == 3 and sorted([*a, *b]) == list(range(10))
    again = data.random_split(range(10), [7, 3], generator=seeded(1))
    assert list(again[0]) == list(a) and list(data.random_split(range(1000), [1000], seeded(2))[0]) != list(range(1000))
    assert [len(p) for p in data.random_split(range(10), [0.33, 0.33, 0.34])] == [4, 3, 3]
    with pytest.raises(ValueError, match="does not equal the length"):
        data.random_split(range(10), [7, 4])
    with pytest.raises(ValueError, match="index 0 is not between 0 and 1"):
        data.random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="index 1 is 0"):
        data.random_split(range(3), [0.9, 0.1])


@pytest.mark.parametrize("lengths", [[0.5, 0.5], [0.1, 0.2, 0.7], [0.25, 0.75]])
def test_random_split_lengths_are_torchs(lengths):
    torch = pytest.importorskip("torch")
    for n in (11, 23, 100):
        ours, theirs = data.random_split(range(n), lengths), torch.utils.data.random_split(range(n), lengths)
        assert [len(p) for p in ours] == [len(p) for p in theirs]


def test_dataset_without_getitem():
    with pytest.raises(NotImplementedError):
        data.Dataset()[0]


# ---- samplers ----


def test_samplers():
    items = range(100)
    assert list(data.SequentialSampler(items)) == list(items)
    shuffled = list(data.RandomSampler(items, generator=seeded(0)))
    assert sorted(shuffled) == list(items) != shuffled
    assert shuffled == list(data.RandomSampler(items, generator=seeded(0)))
    more = list(data.RandomSampler(range(3), num_samples=8))
    assert len(more) == 8 and sorted(more[:3]) == sorted(more[3:6]) == [0, 1, 2]
    drawn = list(data.RandomSampler(items, replacement=True, num_samples=1000))
    assert len(drawn) == 1000 and set(drawn) <= set(items) and len(set(drawn[:100])) < 100
    assert sorted(data.SubsetRandomSampler([5, 9, 7])) == [5, 7, 9]
    with pytest.raises(ValueError, match="num_samples"):
        data.RandomSampler(items, num_samples=0)
    with pytest.raises(TypeError, match="replacement"):
        data.RandomSampler(items, replacement=1)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
def test_batch_sampler_is_torchs(size, drop_last):
    torch = pytest.importorskip("torch")
    ours, theirs = data.BatchSampler(range(10), size, drop_last), torch.utils.data.BatchSampler(range(10), size, drop_last)
    assert list(ours) == list(theirs) and len(ours) == len(theirs) == len(list(ours))
    for bad in (0, True, 1.5):
        with pytest.raises(ValueError, match="batch_size"):
            data.BatchSampler(range(3), bad, drop_last)


# ---- collating ----

BATCHES = [
    [1, 2, 3],
    [True, False],
    [0.5, 1.5],
    ["a", "b"],
    [b"a", b"b"],
    [np.float32(1), np.float32(2)],
    [np.ones(2, np.float32), np.zeros(2, np.float32)],
    [(1, 0.5), (2, 1.5)],
    [[1, "x"], [2, "y"]],
    [{"a": 1, "b": (2, 3)}, {"a": 4, "b": (5, 6)}],
    [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
    [Point(1, 2.0), Point(3, 4.0)],
]


def plain(x):
    "Tensors as (dtype name, list), everything else as it is, with its type."
    if hasattr(x, "tolist"):
        return str(x.dtype).split(".")[-1], x.tolist()
    if isinstance(x, dict):
        return type(x), {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x), [plain(v) for v in x]
    return x


@pytest.mark.parametrize("batch", BATCHES, ids=[str(type(b[0]).__name__) + str(i) for i, b in enumerate(BATCHES)])
def test_collate_is_torchs(batch):
    torch = pytest.importorskip("torch")
    assert plain(data.default_collate(batch)) == plain(torch.utils.data.default_collate(batch))


def test_collate_tensors_and_errors():
    assert data.default_collate([nt.ones(2), nt.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(TypeError, match="collate_fn"):
        data.default_collate([object()])
    with pytest.raises(RuntimeError, match="equal size"):
        data.default_collate([[1], [1, 2]])
    with pytest.raises(TypeError):
        data.default_collate([np.array(["a"])])


# ---- the loader ----


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 3, 5, 20])
def test_fast_path_gives_what_the_slow_path_gives(size, drop_last):
    x, y = nt.arange(20).reshape(10, 2), nt.arange(10)
    fast = data.TensorDataset(x, y)

    class Slow(data.TensorDataset):
        pass

    loaders = [data.DataLoader(d, size, drop_last=drop_last) for d in (fast, Slow(x, y))]
    a, b = ([[t.tolist() for t in batch] for batch in loader] for loader in loaders)
    assert a == b and len(loaders[0]) == len(loaders[1]) == len(a)
    batch = next(iter(data.DataLoader(fast, size)))
    assert type(batch) is list
    batch[1].zero_()
    assert y.tolist() == list(range(10)), "a batch must not share memory with the dataset"


def test_fast_path_with_other_samplers():
    pairs = data.TensorDataset(nt.arange(10), nt.arange(10) * 10)
    picks = lambda **options: [x.tolist() for x, _ in data.DataLoader(pairs, **options)]
    assert picks(sampler=[3, 1, 4], batch_size=2) == [[3, 1], [4]]
    assert picks(batch_sampler=[[5], [6, 7]]) == [[5], [6, 7]]
    part = data.DataLoader(data.Subset(pairs, [9, 8, 7]), batch_size=2)
    assert [[x.tolist(), y.tolist()] for x, y in part] == [[[9, 8], [90, 80]], [[7], [70]]]
    assert data.DataLoader(pairs, batch_size=None).__iter__().__next__()[1].item() == 0


@pytest.mark.parametrize("slow", [False, True])
def test_shuffle(slow):
    dataset = Squares(50) if slow else data.TensorDataset(nt.arange(50), nt.arange(50))
    loader = data.DataLoader(dataset, batch_size=8, shuffle=True, generator=seeded(3))
    epochs = [[i for _, ys in loader for i in ys.tolist()] for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50)) and epochs[0] != epochs[1]
    again = data.DataLoader(dataset, batch_size=8, shuffle=True, generator=seeded(3))
    assert [i for _, ys in again for i in ys.tolist()] == epochs[0]


def test_shuffle_follows_manual_seed():
    loader = data.DataLoader(range(50), batch_size=50, shuffle=True)
    nt.manual_seed(0)
    first = next(iter(loader)).tolist()
    nt.manual_seed(0)
    assert next(iter(loader)).tolist() == first != list(range(50))


def test_items_collate_fn_and_getitems():
    assert [x.shape for x, _ in data.DataLoader(Squares(5), batch_size=2)] == [(2, 2), (2, 2), (1, 2)]
    assert list(data.DataLoader(range(4), batch_size=2, collate_fn=sum)) == [1, 5]

    class Whole(Squares):
        def __getitems__(self, indices):
            return [i * 2 for i in indices]

    assert [b.tolist() for b in data.DataLoader(Whole(3), batch_size=2)] == [[0, 2], [4]]


def test_streams():
    assert [b.tolist() for b in data.DataLoader(Stream(), batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in data.DataLoader(Stream(), batch_size=3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert list(data.DataLoader(Stream(), batch_size=None)) == list(range(7))
    with pytest.raises(TypeError):
        len(data.DataLoader(Stream()))


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"sampler": [1], "shuffle": True},
        {"batch_sampler": [[1]], "batch_size": 2},
        {"batch_sampler": [[1]], "shuffle": True},
        {"batch_size": None, "drop_last": True},
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
    ],
)
def test_options_that_exclude_each_other(options):
    torch = pytest.importorskip("torch")
    for module in (data, torch.utils.data):
        with pytest.raises(ValueError):
            module.DataLoader(range(5), **options)


def test_no_workers():
    with pytest.raises(ValueError, match="use num_workers=0"):
        data.DataLoader(range(5), num_workers=2)
    for options in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ValueError, match="IterableDataset"):
            data.DataLoader(Stream(), **options)
