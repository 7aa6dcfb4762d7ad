"""The Python array API standard, version 2024.12, over numtape's tensors.

Array libraries find it by `x.__array_namespace__()`. Names, parameters and results are the standard's; what it leaves open is PyTorch's.

>>> import numtape as nt
>>> x = nt.array_api.asarray([[1.0, 2.0], [3.0, 4.0]])
>>> nt.array_api.sum(x, axis=0)
tensor([4., 6.])
>>> x.__array_namespace__() is nt.array_api
True

One thing no function can mend: operators (`x + y`) are PyTorch's, so a zero-dimensional tensor does not widen one with dims
(`float32` plus zero-dimensional `float64` is `float32`), and `x.size` is a method. The functions here follow the standard in this too.
"""

from __future__ import annotations

from numtape.array_api import _creation, _elementwise, _info, _manipulation, _reductions, fft, linalg
from numtape.array_api._creation import *  # noqa: F403
from numtape.array_api._elementwise import *  # noqa: F403
from numtape.array_api._info import *  # noqa: F403
from numtape.array_api._manipulation import *  # noqa: F403
from numtape.array_api._reductions import *  # noqa: F403
from numtape.array_api.linalg import matmul, matrix_transpose, tensordot, vecdot

__array_api_version__ = "2024.12"
e, inf, nan, pi, newaxis = 2.718281828459045, float("inf"), float("nan"), 3.141592653589793, None

__all__ = [
    "__array_api_version__", "e", "fft", "inf", "linalg", "matmul", "matrix_transpose", "nan", "newaxis", "pi", "tensordot", "vecdot",
]  # fmt: skip
for _part in (_creation, _elementwise, _info, _manipulation, _reductions):
    __all__ += _part.__all__
