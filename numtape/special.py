"""Special functions, under the names of `torch.special`. Errors in ulp are listed in docs/accuracy.md."""

from __future__ import annotations

import numtape as nt
from numtape.op import TABLE
from numtape.ops import special as _ops

_ALIASES = {"expit": "sigmoid", "gammaln": "lgamma", "psi": "digamma", "multigammaln": "mvlgamma", "gammainc": "igamma", "gammaincc": "igammac", "modified_bessel_i0": "i0"}
_SHARED = "digamma erf erfc erfinv exp2 expm1 i0 log1p log_softmax logit logsumexp polygamma round sinc softmax xlogy"
_OWN = (
    "entr erfcx i0e i1 i1e log_ndtr ndtr ndtri xlog1py bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1 "
    "scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0"
)

__all__ = [*_ALIASES, *_SHARED.split(), *_OWN.split(), "modified_bessel_i1", "zeta"]

for _name in _SHARED.split():
    globals()[_name] = getattr(nt, _name)
for _name, _other in _ALIASES.items():
    globals()[_name] = getattr(nt, _other)
for _name in _OWN.split():
    globals()[_name] = TABLE[f"special_{_name}"].public
modified_bessel_i1 = TABLE["special_i1"].public
zeta = _ops.zeta
