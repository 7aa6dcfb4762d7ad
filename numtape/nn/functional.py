"""The functions that layers are made of, under PyTorch's names and with its argument order: usually imported as F.

The loss functions stand in `loss_functions.py` and are names of this module too.
"""

from __future__ import annotations

import warnings
from typing import Any

import numtape as nt
from numtape.nn import (
    activation_functions,
    alignment_functions,
    attention_functions,
    distance_functions,
    dropout_functions,
    embedding_functions,
    margin_functions,
    normalization_functions,
)
from numtape.nn.activation_functions import *  # noqa: F403
from numtape.nn.alignment_functions import *  # noqa: F403
from numtape.nn.attention_functions import *  # noqa: F403
from numtape.nn.distance_functions import *  # noqa: F403
from numtape.nn.dropout_functions import *  # noqa: F403
from numtape.nn.embedding_functions import *  # noqa: F403
from numtape.nn.loss_functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from numtape.nn.margin_functions import *  # noqa: F403
from numtape.nn.normalization_functions import *  # noqa: F403
from numtape.nn.pooling_functions import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from numtape.nn.window_functions import (
    affine_grid,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    fold,
    grid_sample,
    interpolate,
    pad,
    pixel_shuffle,
    pixel_unshuffle,
    unfold,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "affine_grid",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "elu",
    "fold",
    "gelu",
    "grid_sample",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
    *activation_functions.__all__,
    *alignment_functions.__all__,
    *attention_functions.__all__,
    *distance_functions.__all__,
    *dropout_functions.__all__,
    *embedding_functions.__all__,
    *margin_functions.__all__,
    *normalization_functions.__all__,
]


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """The input with mean 0 and variance 1 over its last dims, then times `weight` plus `bias` where given.

    input and result: (*, *normalized_shape); weight, bias: normalized_shape. Raises RuntimeError where shapes do not fit.

    >>> nt.nn.functional.layer_norm(nt.tensor([[1.0, 3.0]]), (2,)).round()
    tensor([[-1.,  1.]])
    """
    return nt.layer_norm(input, normalized_shape, weight, bias, eps)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """`input @ weight.T + bias`.

    input: (..., in_features), weight: (out_features, in_features) or (in_features,), bias: (out_features,) or (). Returns
    (..., out_features). Raises RuntimeError where the inner sizes differ.

    >>> nt.nn.functional.linear(nt.ones(2, 3), nt.ones(1, 3), nt.ones(1))
    tensor([[4.],
            [4.]])
    """
    return nt.ops.linalg.linear(input, weight, bias)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero each element with probability `p` and scale the others by 1/(1-p); without `training` return the input itself.

    input: any shape. Raises ValueError where `p` is not between 0 and 1.

    >>> nt.nn.functional.dropout(nt.ones(3), p=1.0)
    tensor([0., 0., 0.])
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0.0:
        return input
    kept = nt.rand_like(input, requires_grad=False).lt_(1.0 - p)
    if p < 1.0:
        kept.div_(1.0 - p)
    return input.mul_(kept) if inplace else input * kept


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0) element by element.

    >>> nt.nn.functional.relu(nt.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return input.relu_() if inplace else nt.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x is positive, else `negative_slope * x`.

    >>> nt.nn.functional.leaky_relu(nt.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    return activation_functions.leaky_relu_(input, negative_slope) if inplace else nt.ops.activation.leaky_relu(input, negative_slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x is positive, else `alpha * (exp(x) - 1)`.

    >>> nt.nn.functional.elu(nt.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return activation_functions.elu_(input, alpha) if inplace else nt.ops.activation.elu(input, alpha)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x * Phi(x), with Phi the standard normal distribution function; `approximate="tanh"` is the cheaper formula.

    Raises RuntimeError where `approximate` is neither "none" nor "tanh".

    >>> nt.nn.functional.gelu(nt.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    return nt.ops.activation.gelu(input, approximate=approximate)


def silu(input: Any, inplace: bool = False) -> Any:
    """x * sigmoid(x).

    >>> nt.nn.functional.silu(nt.tensor([0.0, 2.0]))
    tensor([0.0000, 1.7616])
    """
    return nt.ops.activation_units.changed("silu", input) if inplace else nt.ops.activation.silu(input)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * x)) / beta, and x itself where `beta * x` exceeds `threshold`.

    >>> nt.nn.functional.softplus(nt.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.0000])
    """
    return nt.ops.activation.softplus(input, beta, threshold)


def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)), without overflow.

    >>> nt.nn.functional.logsigmoid(nt.tensor([0.0, -100.0]))
    tensor([  -0.6931, -100.0000])
    """
    return -nt.ops.activation.softplus(-input, 1.0, 40.0)  # beyond 40 the difference to x is below float64's last bit


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x)).

    >>> nt.nn.functional.sigmoid(nt.zeros(2))
    tensor([0.5000, 0.5000])
    """
    return nt.sigmoid(input)


def tanh(input: Any) -> Any:
    """The hyperbolic tangent.

    >>> nt.nn.functional.tanh(nt.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """
    return nt.tanh(input)


def _softmax_dim(name: str, input: Any) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.", stacklevel=3
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(x) divided by its sum along `dim`, without overflow. input and result: any shape.

    `dtype`: what to convert the input to first. Warns and guesses where `dim` is left out, as PyTorch does.

    >>> nt.nn.functional.softmax(nt.zeros(4), dim=0)
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    if dim is None:
        dim = _softmax_dim("softmax", input)
    return nt.softmax(input if dtype is None else input.to(dtype), dim)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """The logarithm of `softmax`, without overflow. input and result: any shape.

    `dtype`: what to convert the input to first. Warns and guesses where `dim` is left out, as PyTorch does.

    >>> nt.nn.functional.log_softmax(nt.zeros(2), dim=0)
    tensor([-0.6931, -0.6931])
    """
    if dim is None:
        dim = _softmax_dim("log_softmax", input)
    return nt.log_softmax(input if dtype is None else input.to(dtype), dim)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """A 1 at each class index, 0 elsewhere. tensor: (*) of dtype int64; returns (*, num_classes) of dtype int64.

    With `num_classes=-1` there are as many classes as the largest index asks for. Raises RuntimeError where the dtype is not
    int64, an index is negative or not below `num_classes`, or the number of classes of an empty tensor is to be guessed.

    >>> nt.nn.functional.one_hot(nt.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if tensor.dtype != nt.int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, got {tensor.dtype}; convert with .long()")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
    else:
        if int(tensor.min()) < 0:
            raise RuntimeError("Class values must be non-negative.")
        largest = int(tensor.max())
        if num_classes == -1:
            num_classes = largest + 1
        elif largest >= num_classes:
            raise RuntimeError(f"Class values must be smaller than num_classes, got class {largest} and num_classes={num_classes}.")
    return (tensor.unsqueeze(-1) == nt.arange(num_classes, device=tensor.device)).to(nt.int64)
