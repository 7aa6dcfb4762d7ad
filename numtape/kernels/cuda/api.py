"""The CUDA driver API: a card's, an emulated one or none, and what its results say.

`api()` gives an object with the functions of ``cuda.bindings.driver``, each returning a tuple of a result code and values. The
environment variable NUMTAPE_CUDA, read at the first use of CUDA, chooses it: ``emulate`` for a card in plain Python (slow, for
tests and for stepping through kernels), ``off`` for none; otherwise a real card.
"""

from __future__ import annotations

import importlib.util
import os
import threading

NEEDED = 13000  # the oldest CUDA version of a driver that loads what we compile
OUT_OF_MEMORY, NOT_READY = 2, 600
# After one of these the context is lost for good.
FATAL = {214, 700, 702, 710, 714, 715, 716, 717, 718, 719}
INSTALL = 'install it with `pip install "numtape[cuda]"`'

_lock = threading.RLock()
_api = None
_refusal: str | None = None  # why there is no CUDA in this process


def api():
    """The driver API, initialised; a RuntimeError says why there is none and what to do about it."""
    global _api, _refusal
    if _api is None:
        with _lock:
            if _api is None:
                if _refusal is not None:
                    raise RuntimeError(_refusal)
                try:
                    _api = _choose()
                except RuntimeError as problem:
                    _refusal = str(problem)
                    raise
    return _api


def used() -> bool:
    """Whether this process has started CUDA."""
    return _api is not None


def emulated() -> bool:
    """Whether the card of this process is the emulated one."""
    return os.environ.get("NUMTAPE_CUDA", "").lower() == "emulate"


def _choose():
    wanted = os.environ.get("NUMTAPE_CUDA", "").lower()
    if wanted == "emulate":
        from numtape.kernels.cuda import emulated_driver

        found = emulated_driver.Machine.of_environment()
    elif wanted == "off":
        raise RuntimeError("CUDA is turned off in this process by NUMTAPE_CUDA=off; unset it, or use device='cpu'")
    elif wanted:
        raise RuntimeError(f"NUMTAPE_CUDA={wanted!r} is not known; expected 'emulate', 'off' or nothing")
    else:
        found = _bindings()
    return started(found)


def _bindings():
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        raise RuntimeError(f"CUDA needs the package cuda-bindings: {INSTALL}, or use device='cpu'")
    from cuda.bindings import driver

    return driver


def started(found):
    """The API after cuInit, refused with a reason where its driver is missing or too old, or there is no card."""
    try:
        version = found.cuDriverGetVersion()
    except (RuntimeError, OSError) as problem:  # the library libcuda is not there
        raise RuntimeError(f"CUDA: no NVIDIA driver was found ({problem}); install one, or use device='cpu'") from None
    if version[0]:
        raise RuntimeError(f"CUDA: the NVIDIA driver does not answer ({described(found, version[0])}); reinstall it, or use device='cpu'")
    if version[1] < NEEDED:
        raise RuntimeError(
            f"CUDA: the NVIDIA driver is for CUDA {_version(version[1])}; numtape needs one for CUDA {_version(NEEDED)} or newer (R580): "
            "update the driver, or use device='cpu'"
        )
    result = found.cuInit(0)[0]
    if result:
        raise RuntimeError(
            f"CUDA: no card can be used: cuInit says {described(found, result)}; look at `nvidia-smi` and CUDA_VISIBLE_DEVICES, or use device='cpu'"
        )
    return found


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def described(found, result) -> str:
    """A result code in words: 'out of memory (CUDA_ERROR_OUT_OF_MEMORY)'."""
    words = [answer[1].decode() for answer in (found.cuGetErrorString(result), found.cuGetErrorName(result)) if not answer[0]]
    return f"{words[0]} ({words[1]})" if len(words) == 2 else f"error {int(result)}"


class OutOfMemoryError(MemoryError, RuntimeError):
    """A card has too little free memory for a request."""


def failure(found, name: str, result) -> RuntimeError:
    """The exception for a driver call `name` that failed."""
    if int(result) == OUT_OF_MEMORY:
        return OutOfMemoryError(f"CUDA out of memory, reported by {name}; free tensors, or see by `nvidia-smi` who else uses the card")
    text = f"CUDA error: {described(found, result)}, reported by {name}"
    if int(result) in FATAL:
        text += (
            f". A kernel launched earlier failed{_suspects()}, and this process cannot use the card any more: restart it. With "
            "CUDA_LAUNCH_BLOCKING=1 in the environment the error comes from the launch that caused it"
        )
    return RuntimeError(text)


def _suspects() -> str:
    from numtape.kernels.cpu import driver

    kernels = driver.launched(max(driver.launch_count() - 8, 0))
    names = ", ".join(dict.fromkeys(k.name for k in reversed(kernels) if hasattr(k, "threads")))
    return f" (the last ones were {names}, latest first)" if names else ""
