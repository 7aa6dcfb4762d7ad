"""The disk cache of compiled kernels: one source file and one object file per kernel, named by the hash of its text.

The name covers the kernel's text, the library functions that kernels call (every .py file of this folder), the versions of
Numba and llvmlite, and the CPU. Files are written whole and renamed into place, so processes, forks and threads may share
the folder; an object is loaded only if its checksum is right. A folder that cannot be made, is not ours alone, or cannot be
written costs only time: kernels are then compiled in memory. `NUMTAPE_CACHE` names another folder, or `off`.

The folder is bounded: when more than `NUMTAPE_CACHE_MB` megabytes (256 unless set; 0: no bound) are in it, those that were not used for the
longest time go until three quarters of that are left, and what nobody used for `NUMTAPE_CACHE_DAYS` days (90 unless set) goes in any case. A
process looks when it first writes and after each hundred kernels. The time of a file is that of its last use, to the day.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathlib

MAGIC = b"numtape-object-1\n"
MEGABYTES, DAYS = 256, 90
DAY = 86400
LOOK_EVERY = 100  # kernels written

_written = 0


@functools.cache
def fingerprint() -> str:
    """What compiled code depends on besides its own text: our kernel library, the compilers, the CPU."""
    import hashlib  # what only a process that runs a kernel needs is not imported at the top: 0.07 s

    import llvmlite
    import llvmlite.binding as llvm

    digest = hashlib.sha256()
    here = os.path.dirname(__file__)
    for where in (here, os.path.join(here, "cpu")):
        for name in sorted(os.listdir(where)):
            if name.endswith(".py"):
                with open(os.path.join(where, name), "rb") as file:
                    digest.update(name.encode() + b"\0" + file.read())
    features = llvm.get_host_cpu_features().flatten()
    digest.update(f"{llvmlite.__version__} {_numba_version()} {llvm.get_host_cpu_name()} {features} {sys.byteorder}".encode())
    return digest.hexdigest()


def _numba_version() -> str:
    """Numba's version without importing it (0.2 s)."""
    if "numba" in sys.modules:
        return sys.modules["numba"].__version__
    import hashlib
    import pathlib

    for folder in sys.path:
        path = pathlib.Path(folder or ".") / "numba" / "_version.py"
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return "unknown"


@functools.cache
def folder() -> pathlib.Path | None:
    """The cache folder, made if need be and checked to be private to its owner; None when there is none."""
    import pathlib

    named = os.environ.get("NUMTAPE_CACHE")
    if named in ("off", "0", "none"):
        return None
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = pathlib.Path(named) if named else pathlib.Path(base) / "numtape"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = path.stat()
    except OSError:
        return None
    if hasattr(os, "getuid"):
        if state.st_uid != os.getuid():
            return None
        if stat.S_IMODE(state.st_mode) & 0o077:  # machine code is loaded from here: nobody else may write or read it
            try:
                path.chmod(0o700)
            except OSError:
                return None
    return path


def key_of(text: str) -> str:
    """The name of a kernel: a hash of its text and of all it depends on."""
    import hashlib

    return hashlib.sha256(f"{fingerprint()}\0{text}".encode()).hexdigest()[:32]


def read(key: str) -> bytes | None:
    """The object code stored under `key`, or None if there is none or it is broken."""
    import hashlib

    if (where := folder()) is None:
        return None
    path = where / f"{key}.o"
    try:
        with path.open("rb", 0) as file:
            data = file.read()
            if time.time() - os.fstat(file.fileno()).st_mtime > DAY:
                os.utime(path)  # used today
    except OSError:
        return None
    head = len(MAGIC) + 32
    if not data.startswith(MAGIC) or hashlib.sha256(data[head:]).digest() != data[len(MAGIC) : head]:
        return None
    return data[head:]


def write(key: str, text: str, code: bytes) -> None:
    """Store a kernel's text and object code; failing to is not an error."""
    import hashlib

    if (where := folder()) is None:
        return
    _write_whole(where / f"{key}.py", text.encode())
    _write_whole(where / f"{key}.o", MAGIC + hashlib.sha256(code).digest() + code)
    global _written
    if _written % LOOK_EVERY == 0:
        prune()
    _written += 1


def setting(name: str, default: float) -> float:
    """A number from the environment; the default where it is no number."""
    try:
        return float(os.environ.get(name) or default)
    except ValueError:
        return default


def entries() -> list[tuple[float, int, pathlib.Path]]:
    """(time of last use, bytes, object file) of each kernel in the folder, the longest unused first. A text counts with its object."""
    if (where := folder()) is None:
        return []
    found = []
    for path in where.glob("*.o"):
        with contextlib.suppress(OSError):  # another process may have removed it
            state, text = path.stat(), 0
            with contextlib.suppress(OSError):
                text = path.with_suffix(".py").stat().st_size
            found.append((state.st_mtime, state.st_size + text, path))
    return sorted(found)


def prune() -> int:
    """Remove what is too old or too much, and half-written files of processes that died; returns how many kernels went."""
    if (where := folder()) is None:
        return 0
    now, most, oldest = time.time(), setting("NUMTAPE_CACHE_MB", MEGABYTES) * 1e6, setting("NUMTAPE_CACHE_DAYS", DAYS) * DAY
    for path in where.glob(".new-*"):
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > DAY:
                path.unlink()
    kernels = entries()
    total, removed = sum(size for _, size, _ in kernels), 0
    target = 0.75 * most if 0 < most < total else total
    for used, size, path in kernels:
        if total <= target and not 0 < oldest < now - used:
            break
        _remove(path)
        total, removed = total - size, removed + 1
    return removed


def clear() -> int:
    """Remove every kernel from the folder; returns how many there were. Processes that loaded them keep them."""
    kernels = entries()
    for _, _, path in kernels:
        _remove(path)
    return len(kernels)


def _remove(path: pathlib.Path) -> None:
    """A reader has a file whole or not at all, so removing it is safe at any time; the object first, since it is what is read."""
    for part in (path, path.with_suffix(".py")):
        with contextlib.suppress(OSError):
            part.unlink()


def _write_whole(path: pathlib.Path, data: bytes) -> None:
    import tempfile  # not at the top: 10 ms that a process with a warm cache does not spend

    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            temporary = file.name
            file.write(data)
        os.replace(temporary, path)
    except BaseException as problem:  # an interrupt must not leave a half-written file behind either
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if not isinstance(problem, OSError):
            raise
