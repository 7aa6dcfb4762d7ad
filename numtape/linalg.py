"""Linear algebra under the names of `torch.linalg`.

>>> import numtape as nt
>>> A = nt.tensor([[2.0, 0.0], [1.0, 4.0]])
>>> nt.linalg.solve(A, nt.tensor([2.0, 9.0]))
tensor([1., 2.])
>>> nt.linalg.det(A)
tensor(8.)
"""

from numtape.ops.linear_algebra import *  # noqa: F403
from numtape.ops.linear_algebra import __all__ as _names
from numtape.ops.lu import LINALG as _lu

globals().update(_lu)
__all__ = [*_names, *_lu]
