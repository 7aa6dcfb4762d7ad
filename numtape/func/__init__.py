"""Functions of functions: derivatives and maps over batches, under the names of `torch.func`."""

from numtape.func.batching import vmap
from numtape.func.modules import functional_call, stack_module_state
from numtape.func.transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, value_and_grad, vjp

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
