"""Neural networks: Module and Parameter, layers, losses, `functional` (F) and `init`, under PyTorch's names.

One file a subject: `module.py` (registration and calls; `traversal.py`, `checkpoint.py` and `hooks.py` are parts of it),
`parameter.py`, `container.py`, `linear.py`, `activation.py`, `dropout.py`, `flatten.py`, `normalization.py`, `loss.py`. Everything here is built on
numtape's public names.
"""

from numtape.nn import functional, init, utils
from numtape.nn.activation import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from numtape.nn.container import ModuleDict, ModuleList, Sequential
from numtape.nn.dropout import Dropout
from numtape.nn.flatten import Flatten, Unflatten
from numtape.nn.linear import Identity, Linear
from numtape.nn.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from numtape.nn.module import Module
from numtape.nn.normalization import LayerNorm
from numtape.nn.parameter import Parameter
from numtape.nn.parameter_container import ParameterDict, ParameterList

__all__ = [
    "ELU",
    "GELU",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "functional",
    "init",
    "utils",
]
