"""Who may import whom: the layers of docs/architecture.md, checked on the syntax tree of every file."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

import numtape as nt

ROOT = pathlib.Path(nt.__file__).parent
FILES = sorted(p for p in ROOT.rglob("*.py"))
# What nn, optim, utils and the other upper floors may use beside each other: the public namespace, and Parameter's base.
PUBLIC = {"numtape", "numtape.tensor", "numtape.autograd"}


def module_of(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: pathlib.Path):
    """(line, module) of every import in a file, also those inside functions; `from numtape import x` names numtape.x if that is a module."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *([node.module] if node.module else [])])
            for a in node.names:
                full = f"{base}.{a.name}"
                yield node.lineno, full if is_module(full) else base


def is_module(name: str) -> bool:
    path = ROOT.parent.joinpath(*name.split("."))
    return name.startswith("numtape") and (path.is_dir() or path.with_suffix(".py").is_file())


def inside(name: str, *packages: str) -> bool:
    return any(name == p or name.startswith(p + ".") for p in packages)


def allowed(module: str, name: str) -> bool:
    """Whether `module` may import `name`."""
    top = name.split(".")[0]
    if top in ("torch", "jax", "tests", "benchmarks", "sklearn", "matplotlib"):
        return inside(module, "numtape.bench")
    if inside(name, "numba.cuda", "numba_cuda"):
        return module == "numtape.kernels.cuda.toolchain"
    if top == "cuda":  # NVIDIA's bindings
        return inside(module, "numtape.kernels.cuda")
    if inside(name, "numtape.kernels.cuda"):  # others come to it by `kernels.pattern`, when a tensor is on a card
        return inside(module, "numtape.kernels.cuda", "numtape.cuda", "numtape.bench")
    if top in ("numba", "llvmlite"):
        return inside(module, "numtape.kernels", "numtape.bench")
    if top == "scipy":
        return False
    if top != "numtape":
        return True
    if inside(module, "numtape.kernels"):
        return inside(name, "numtape.kernels")
    if inside(module, "numtape.autograd"):
        return name == "numtape" or inside(name, "numtape.autograd", "numtape.dtypes", "numtape.spec", "numtape.layout")
    if inside(module, "numtape.ops"):
        return not inside(name, "numtape.kernels.compiler", "numtape.compile", "numtape.nn", "numtape.optim", "numtape.utils")
    if inside(module, "numtape.dispatch"):
        return not inside(name, "numtape.kernels.compiler", "numtape.ops", "numtape.compile", "numtape.nn", "numtape.optim", "numtape.utils")
    if inside(module, "numtape.nn", "numtape.optim", "numtape.utils", "numtape.distributed"):
        return name in PUBLIC or inside(name, "numtape.nn", "numtape.optim", "numtape.utils", "numtape.distributed", "numtape.kernels")
    if module in ("numtape.dtypes", "numtape.layout", "numtape.device"):
        return name in ("numtape.dtypes",)
    if module in ("numtape.op", "numtape.spec", "numtape.storage", "numtape.graph"):
        return inside(name, "numtape.dtypes", "numtape.device", "numtape.layout", "numtape.op", "numtape.spec", "numtape.kernels.cpu.driver") or (
            module == "numtape.storage" and name == "numtape.kernels"
        )
    return True


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_law_of_imports(path):
    module = module_of(path)
    refused = [f"{path.name}:{line}: {module} imports {name}" for line, name in imports(path) if not allowed(module, name)]
    assert not refused, "\n".join(refused)


def test_the_law_refuses():
    """The law itself is not empty."""
    for module, name in [
        ("numtape.kernels.cpu.rows", "numtape.layout"), ("numtape.ops.view", "numtape.compile"), ("numtape.ops.view", "numba"), ("numtape.autograd.tape", "numtape.ops"),
        ("numtape.autograd.tape", "numtape.kernels"), ("numtape.nn.linear", "numtape.dispatch"), ("numtape.nn.linear", "torch"), ("numtape.layout", "numtape.tensor"),
        ("numtape.ops.copy", "numtape.kernels.cuda.driver"), ("numtape.kernels.cuda.rows", "numba.cuda"), ("numtape.device", "cuda.bindings"), ("numtape.storage", "numtape.cuda"),
    ]:  # fmt: skip
        assert not allowed(module, name)


def test_only_dispatch_and_ops_meet_kernels():
    """Beyond the kernels themselves, these packages and the window on them know that kernels exist."""
    known = {module_of(p) for p in FILES for _, name in imports(p) if inside(name, "numtape.kernels") and not inside(module_of(p), "numtape.kernels")}
    assert all(inside(m, "numtape.dispatch", "numtape.ops") or m in ("numtape", "numtape.storage", "numtape.interop", "numtape.cpu", "numtape.warmup", "numtape.cuda", "numtape.cuda.streams") or inside(m, "numtape.bench", "numtape.compile") for m in known), sorted(known)


IMPORT = """
import sys
import numtape as nt
x = nt.ones(3, requires_grad=True)
(x * 2).sum().backward()
print(nt.kernels.compilations(), *(m for m in ("numba", "scipy", "torch", "jax", "sklearn", "cuda", "numtape.cuda", "numtape.kernels.cuda") if m in sys.modules))
"""


def test_importing_is_light():
    """With a warm cache neither import nor first use brings in Numba, and nothing ever brings in PyTorch or JAX."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    for _ in range(2):  # the first fills the cache, should it be empty
        done = subprocess.run([sys.executable, "-W", "error", "-c", IMPORT], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "torch" not in done.stdout and "jax" not in done.stdout
    assert done.stdout.split() == ["0"]


def test_every_file_says_what_it_is_for():
    for path in FILES:
        text = path.read_text()
        assert not text.strip() or ast.get_docstring(ast.parse(text)) or path.parent.name == "cpu", path
