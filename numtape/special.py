"""Special functions, under the names of `torch.special`. Errors in ulp are listed in docs/accuracy.md."""

from __future__ import annotations

import numtape as nt
from numtape.op import TABLE
from numtape.ops import special as _ops

_ALIASES = {"expit": "sigmoid", "gammaln": "lgamma", "psi": "digamma", "multigammaln": "mvlgamma"}
_SHARED = "digamma erf erfc erfinv exp2 expm1 i0 log1p log_softmax logit logsumexp polygamma round sinc softmax xlogy"
_OWN = "entr erfcx i0e i1 i1e log_ndtr ndtr xlog1py"

__all__ = [*_ALIASES, *_SHARED.split(), *_OWN.split(), "zeta"]

for _name in _SHARED.split():
    globals()[_name] = getattr(nt, _name)
for _name, _other in _ALIASES.items():
    globals()[_name] = getattr(nt, _other)
for _name in _OWN.split():
    globals()[_name] = TABLE[f"special_{_name}"].public
zeta = _ops.zeta
