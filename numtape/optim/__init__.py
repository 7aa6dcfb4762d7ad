"""Optimizers: they change parameters in place by their gradients. `optimizer.py` is the base class, one file each for the rest."""

from numtape.optim.adam import Adam, AdamW
from numtape.optim.optimizer import Optimizer
from numtape.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
