"""Datasets, samplers and the DataLoader: `dataset.py` says what there is, `sampler.py` in which order, `dataloader.py` makes batches."""

from numtape.utils.data.collate import default_collate
from numtape.utils.data.dataloader import DataLoader
from numtape.utils.data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from numtape.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "default_collate",
    "random_split",
]
