"""How CUDA starts, or says why not: names of devices, drivers and packages that are missing, forks, compiling, the real bindings.

The last tests run the real bindings over a driver library made of `cuda_stub.c`; they need the package cuda-bindings and a C compiler.
"""

import pathlib
import pickle
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from cuda_host import SCALE, card, emulated, machine, run_python, table, upload

import numtape as nt
from numtape.kernels import cache
from numtape.kernels import library as every
from numtape.kernels.cuda import api as driver_api
from numtape.kernels.cuda import driver, library
from numtape.kernels.cuda.card import Card, on
from numtape.kernels.cuda.emulated_driver import Machine

pytestmark = emulated
# ruff: noqa: F401, F811  (fixtures are imported, and named as parameters)


# ------------------------------------------------------------------------------------------------ device
def test_device_names(torch):
    for arguments in [("cpu",), ("cuda",), ("cuda:0",), ("cuda:1",), ("cuda", 1), ("cpu", 0), ("cuda", 0)]:
        ours, theirs = nt.device(*arguments), torch.device(*arguments)
        assert (repr(ours), str(ours), ours.type, ours.index) == (repr(theirs), str(theirs), theirs.type, theirs.index)
        assert pickle.loads(pickle.dumps(ours)) is ours and nt.device(ours) is ours
    names = ["cpu", "cpu:0", "cuda", "cuda:0", "cuda:1"]
    for a in names:
        for b in names:
            assert (nt.device(a) == nt.device(b)) is (torch.device(a) == torch.device(b))
            assert a != b or hash(nt.device(a)) == hash(nt.device(b))
    assert nt.device("cpu") != "cpu"


@pytest.mark.parametrize(
    "arguments, error",
    [
        (("gpu",), RuntimeError), (("cuda:",), RuntimeError), (("cuda:x",), RuntimeError), (("cuda:-1",), RuntimeError), (("cuda:01",), RuntimeError), (("",), RuntimeError),
        (("cuda:1", 1), RuntimeError), (("cuda", -1), RuntimeError), ((-1,), RuntimeError), ((1.0,), TypeError), ((None,), TypeError), ((True,), TypeError), (("cuda", "1"), TypeError),
    ],
)  # fmt: skip
def test_device_refuses(arguments, error):
    with pytest.raises(error, match="device: "):
        nt.device(*arguments)


def test_placed(machine):
    from numtape.device import cpu, placed

    nt.cuda.init()
    assert placed("cpu:0") is cpu and placed(nt.device("cuda:1")) is nt.device("cuda:1") and placed(2) is nt.device("cuda:2")
    assert placed("cuda") is nt.device("cuda:0")
    two = Machine(devices=2)
    with on(Card(two, 1).default):
        assert placed("cuda") is nt.device("cuda:1")
    assert placed("cuda") is nt.device("cuda:0")


# ------------------------------------------------------------------------------------------------ what is missing
def test_forked_children_are_told():
    program = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numtape as nt
from numtape.kernels.cuda import driver
def child(action):
    r, w = os.pipe()
    if os.fork() == 0:
        try:
            action()
            answer = "nothing"
        except RuntimeError as problem:
            answer = str(problem)
        os.write(w, answer.encode())
        os._exit(0)
    os.wait()
    return os.read(r, 1000).decode()
clean = lambda: driver.allocate(8)
print(child(clean))  # CUDA was not used before the fork
storage, stream = driver.allocate(8), nt.cuda.Stream()
def free():
    global storage
    del storage
    assert not nt.cuda.is_available() and nt.cuda.device_count() == 0 and not nt.cuda.is_initialized()
for action in (clean, stream.synchronize, nt.cuda.synchronize, nt.cuda.init, lambda: driver.copy_to_host(0, 0, 8), lambda: nt.cuda.Event().record(stream)):
    assert child(action) == "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method", child(action)
print(child(free))
driver.allocate(8)
"""
    assert run_python(program, NUMTAPE_CUDA="emulate") == (0, "nothing\nnothing\n", "")


def test_old_driver():
    with pytest.raises(RuntimeError, match="driver is for CUDA 12.4; numtape needs one for CUDA 13.0 or newer .R580.: update the driver"):
        driver_api.started(Machine(version=12040))


def test_no_card():
    with pytest.raises(RuntimeError, match="no card can be used: cuInit says no device .CUDA_ERROR_NO_DEVICE.; look at `nvidia-smi` and CUDA_VISIBLE_DEVICES"):
        driver_api.started(Machine(devices=0))


def test_no_driver():
    class Bindings:
        def cuDriverGetVersion(self):
            raise RuntimeError("libcuda.so.1: not found")

    with pytest.raises(RuntimeError, match="no NVIDIA driver was found .libcuda.so.1: not found.; install one, or use device='cpu'"):
        driver_api.started(Bindings())


def test_no_bindings(monkeypatch):
    monkeypatch.setattr(driver_api.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="needs the package cuda-bindings: install it with `pip install \"numtape.cuda.\"`, or use device='cpu'"):
        driver_api._bindings()


def test_without_cuda():
    program = """
import sys
import numtape as nt
print(nt.cuda.is_available(), nt.cuda.device_count(), nt.cuda.is_initialized(), nt.cuda.memory_allocated(), nt.cuda.memory_stats())
nt.cuda.manual_seed(1), nt.cuda.manual_seed_all(1), nt.cuda.empty_cache(), nt.cuda.reset_peak_memory_stats()
for _ in range(2):
    try:
        nt.cuda.init()
    except RuntimeError as problem:
        print(problem)
assert not any(m.startswith("cuda") for m in sys.modules)
"""
    message = "CUDA is turned off in this process by NUMTAPE_CUDA=off; unset it, or use device='cpu'\n"
    assert run_python(program, NUMTAPE_CUDA="off") == (0, "False 0 False 0 {}\n" + 2 * message, "")
    code, _, error = run_python("import numtape as nt; nt.cuda.init()", NUMTAPE_CUDA="no")
    assert code and "NUMTAPE_CUDA='no' is not known; expected 'emulate', 'off' or nothing" in error and "During handling" not in error


def test_importing_touches_nothing():
    program = """
import sys
import numtape as nt
nt.device("cuda"), nt.ones(3).sum()
assert not any(m.startswith(("cuda", "numba_cuda", "numtape.cuda", "numtape.kernels.cuda")) for m in sys.modules)
nt.cuda
assert not any(m.split(".")[0] in ("cuda", "numba_cuda") for m in sys.modules)
assert "numtape.kernels.cuda.emulator" not in sys.modules and not nt.cuda.is_initialized()
"""
    assert run_python(program) == (0, "", "")


def test_fatal_errors_name_the_kernels(card, machine):
    x = upload(np.zeros(50, np.float32))
    driver.launch_new(table(SCALE + "# slightly different\n", name="culprit").address, x.address, 1.0)
    answer = types.SimpleNamespace(cuGetErrorString=lambda code: (0, b"an illegal memory access was encountered"), cuGetErrorName=lambda code: (0, b"CUDA_ERROR_ILLEGAL_ADDRESS"))
    text = str(driver_api.failure(answer, "cuStreamSynchronize", 700))
    assert text.startswith("CUDA error: an illegal memory access was encountered (CUDA_ERROR_ILLEGAL_ADDRESS), reported by cuStreamSynchronize. A kernel launched earlier failed (the last ones were culprit")
    assert "restart it" in text and "CUDA_LAUNCH_BLOCKING=1" in text


# ------------------------------------------------------------------------------------------------ kernels by text
def test_kernels_are_found_by_text(card):
    compiled, loaded = nt.kernels.compilations(), nt.kernels.loaded()
    text = SCALE + "# of this test\n"
    first = library.kernel("one", text)
    assert library.kernel("another name", text) is first and library.kernel("one", text, 512) is not first
    assert library.kernel("one", text, 512).threads == 512
    assert (nt.kernels.compilations(), nt.kernels.loaded()) == (compiled, loaded) and library.report(first) == {}
    with pytest.raises(RuntimeError, match="1 to 1024 threads, got 2048"):
        library.kernel("one", text + "#", 2048)


SAID = "ptxas info: Used 24 registers, 512 bytes smem\n0 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads"


def test_compiling_and_the_disk_cache(tmp_path, monkeypatch):
    calls = []

    def compile_cubin(function, threads, capability):
        calls.append((function.__name__, threads, capability))
        return b"cubin %d" % len(calls), SAID

    toolchain = types.ModuleType("numtape.kernels.cuda.toolchain")
    toolchain.compile_cubin = compile_cubin
    monkeypatch.setitem(sys.modules, toolchain.__name__, toolchain)
    monkeypatch.setattr(library, "toolchain", toolchain, raising=False)
    monkeypatch.setattr("numtape.kernels.cuda.toolchain", toolchain, raising=False)
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(every, "JIT", True)

    class Found:
        def __init__(self, capability=(9, 0)):
            self.api, self.capability = types.SimpleNamespace(), capability

    def image(text="def kernel(args):\n    pass\n", threads=256, capability=(9, 0)):
        kernel = library.Kernel("made", text, threads)
        return kernel._image(Found(capability)), library.report(kernel)

    compiled, loaded = every.counts.compiled, every.counts.loaded
    report = {"registers": 24, "stack": 0, "spill_stores": 4, "spill_loads": 8, "shared": 512}
    assert image() == (b"cubin 1", report)
    assert image() == (b"cubin 1", report)  # from disk, with the report
    assert (every.counts.compiled - compiled, every.counts.loaded - loaded) == (1, 1)
    assert image(threads=128)[0] == b"cubin 2" and image(capability=(10, 0))[0] == b"cubin 3" and image("def kernel(args):\n    return\n")[0] == b"cubin 4"
    assert calls == [("kernel", 256, (9, 0)), ("kernel", 128, (9, 0)), ("kernel", 256, (10, 0)), ("kernel", 256, (9, 0))]
    stored = next(tmp_path.glob("*.o"))
    stored.write_bytes(stored.read_bytes()[:-1])  # broken: compiled again
    assert {image()[0], image(threads=128)[0], image(capability=(10, 0))[0], image("def kernel(args):\n    return\n")[0]} >= {b"cubin 5"}
    monkeypatch.setattr(every, "JIT", False)
    with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT=1"):
        image()


def test_compiling_needs_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: None)
    monkeypatch.setattr(every, "JIT", True)
    monkeypatch.setitem(sys.modules, "numtape.kernels.cuda.toolchain", None)
    monkeypatch.delattr("numtape.kernels.cuda.toolchain", raising=False)
    with pytest.raises(RuntimeError, match='made: compiling for a card needs numba-cuda: install it with `pip install "numtape.cuda."`'):
        library._machine_code(library.Kernel("made", "def kernel(args):\n    pass\n", 256), (9, 0))


# ------------------------------------------------------------------------------------------------ the real bindings, over a stub
STUB = """
import os, struct, sys
import numpy as np
import numtape as nt
from numtape.kernels.cuda import card, copies, driver, library
library._machine_code = lambda kernel, capability: (b"cubin", "Used 16 registers")

here = card.current()
assert (nt.cuda.get_device_name(), nt.cuda.get_device_capability(), driver.multiprocessors()) == ("stub card", (9, 0), 132)
assert nt.cuda.mem_get_info() == (1 << 33, 1 << 34) and nt.cuda.get_device_properties().total_memory == 1 << 34

x = np.arange(6 << 20, dtype=np.int64)
storage, out = driver.allocate(x.nbytes), np.zeros_like(x)
driver.copy_from_host(storage.address, x.ctypes.data, x.nbytes)
driver.copy_to_host(out.ctypes.data, storage.address, x.nbytes)
assert (out == x).all()
copy = driver.allocate(x.nbytes)
driver.copy_on_device(copy.address, storage.address, x.nbytes)
driver.memset(storage.address, 1, 16)
driver.copy_to_host(out.ctypes.data, copy.address, x.nbytes)
assert (out == x).all()

kernel = library.kernel("axpy", "def kernel(args):\\n    pass\\n", 512)
assert library.report(kernel)["registers"] == 16
table = driver.Table(kernel, (3, 2), (16, 16, 2), 4, range(10, 102), nbytes=1000)
new = driver.launch_new(table.address, 5, -6, 2.5)
driver.launch(table.address, 1, 2, 3, 4)
words = np.fromfile(os.environ["CUDA_STUB_TRACE"], np.int64).reshape(2, 9 + 96)
shape = [3, 2, 1, 16, 16, 2, int(here.handle), int(kernel.on(here.card)), 768]
for row, front in zip(words, ([new.address, 5, -6, struct.unpack("q", struct.pack("d", 2.5))[0]], [1, 2, 3, 4])):
    assert row.tolist() == [*shape, *front, *range(10, 102)], row
assert nt.kernels.last() is kernel

s, start, end = nt.cuda.Stream(priority=-1), nt.cuda.Event(enable_timing=True), nt.cuda.Event(enable_timing=True)
with nt.cuda.stream(s):
    start.record()
    driver.launch(table.address, 1, 2, 3, 4)
    end.record()
assert np.fromfile(os.environ["CUDA_STUB_TRACE"], np.int64).reshape(3, 9 + 96)[2, 6] == s.cuda_stream != int(here.handle)
end.wait(), end.synchronize()
assert end.query() and s.query() and start.elapsed_time(end) == 1.5
copies.between(here, storage.address, here, copy.address, 16)
check = driver.index_check("gather", 5, 0)
import ctypes
(ctypes.c_int64 * 2).from_address(check.address)[:] = 1, 9
check.check()
try:
    nt.cuda.synchronize()
except IndexError as problem:
    assert "gather: index 9 is out of bounds for dimension 0 with size 5" in str(problem)
else:
    raise AssertionError

new.owner.record_stream(s._stream)
del new, storage, copy
nt.cuda.empty_cache()
assert nt.cuda.memory_allocated() == nt.cuda.memory_reserved() == 0
assert ctypes.CDLL("libcuda.so.1").stub_allocations() == 0
try:
    driver.allocate(1 << 33)
except nt.cuda.OutOfMemoryError as problem:
    assert "asked for 8,589,934,592 bytes" in str(problem)
else:
    raise AssertionError
try:
    here.card.call("cuDeviceGet", 7)
except RuntimeError as problem:
    assert str(problem) == "CUDA error: invalid argument (CUDA_ERROR_INVALID_VALUE), reported by cuDeviceGet", problem
os.environ["NUMTAPE_CUDA_POOL"] = "off"
bare = card.Card(here.card.api, 0, card.caching())
with card.on(bare.default):
    held = [driver.allocate(100) for _ in range(3)]
    del held
    bare.pool.empty_cache()
assert ctypes.CDLL("libcuda.so.1").stub_allocations() == 0
print("fine")
"""


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """A folder with a driver library made of cuda_stub.c."""
    pytest.importorskip("cuda.bindings.driver", reason="the package cuda-bindings is not installed")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("stub")
    source = pathlib.Path(__file__).parent / "cuda_stub.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", folder / "libcuda.so.1", source, "-ldl"], check=True)
    return folder


def test_the_real_bindings(stub, tmp_path):
    assert run_python(STUB, LD_LIBRARY_PATH=str(stub), CUDA_STUB_TRACE=str(tmp_path / "trace")) == (0, "fine\n", "")


COMPILE = """
import sys
import numtape as nt
from numtape.kernels.cuda import driver, library
kernel = library.kernel("scale", TEXT)
driver.launch(driver.Table(kernel, 2, 256, 3, [50]).address, 0, 0, 1.0)
print(nt.kernels.compilations(), nt.kernels.loaded(), "numba" in sys.modules, 4 < library.report(kernel)["registers"] < 64, library.report(kernel)["spill_stores"])
"""


def test_the_real_compiler_and_the_disk_cache(stub, tmp_path):
    pytest.importorskip("numba_cuda", reason="the package numba-cuda is not installed")
    settings = dict(LD_LIBRARY_PATH=str(stub), NUMTAPE_CACHE=str(tmp_path), NUMBA_DISABLE_JIT="0")
    first, second = (run_python(COMPILE.replace("TEXT", repr(SCALE)), **settings) for _ in range(2))
    assert first[::2] == second[::2] == (0, "")
    made, found = first[1].split(), second[1].split()
    assert int(made[0]) >= 1 and made[2:] == ["True", "True", "0"]
    assert found == ["0", str(int(made[0]) + int(made[1])), "False", "True", "0"]  # all from disk, without Numba


def test_the_real_bindings_with_an_old_driver(stub):
    program = "import numtape as nt\nprint(nt.cuda.is_available())\nnt.cuda.init()"
    code, out, error = run_python(program, LD_LIBRARY_PATH=str(stub), CUDA_STUB_VERSION="12080")
    assert code and out == "False\n" and "the NVIDIA driver is for CUDA 12.8" in error


def test_the_real_bindings_without_a_driver():
    pytest.importorskip("cuda.bindings.driver", reason="the package cuda-bindings is not installed")
    if subprocess.run(["nvidia-smi"], capture_output=True).returncode == 0 if shutil.which("nvidia-smi") else False:
        pytest.skip("there is a driver")
    code, out, error = run_python("import numtape as nt\nprint(nt.cuda.is_available())\nnt.cuda.init()")
    assert code and out == "False\n" and "no NVIDIA driver was found" in error
