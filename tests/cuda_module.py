"""numtape with its tensors on a card: what tests call in place of the module, so that the same samples run on both devices."""

import inspect

import numtape as nt
from numtape.op import TABLE

HOST_ONLY = {"from_numpy", "empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like"}


class OnCard:
    """`numtape`, but what makes tensors makes them on the card unless told otherwise."""

    __name__ = "numtape on a card"

    def __getattr__(self, name):
        found = getattr(nt, name)
        op = TABLE.get(name)
        if inspect.ismodule(found):
            return found
        if name == "from_numpy":
            return lambda array: nt.from_numpy(array).to("cuda")
        if name not in HOST_ONLY and op is not None and (op.traits.get("creation") or op.traits.get("random")) and "device" in inspect.signature(op.fn).parameters:
            return lambda *args, **kwargs: found(*args, **{"device": "cuda", **kwargs})
        return found


card = OnCard()


def to_host(values):
    """Tensors brought to the host; other results as they are."""
    return [v.cpu() if isinstance(v, nt.Tensor) else v for v in values]
