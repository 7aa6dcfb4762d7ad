"""A worker process, asked question by question; one that dies, hangs or loses the card is replaced by a new one."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable
from typing import Any

from numtape.bench.cuda.worker import Options, all_cases, serve

STARTING = 150.0  # seconds for a process to start and to import the peers


class Lost(Exception):
    """The worker did not answer: it died, or took too long and was ended."""


class Supervisor:
    """Starts a worker when a question needs one. `started` counts them.

    options: of the worker. cases: a function of a module (a new process must find it) that lists the cases of a scale.
    """

    def __init__(self, options: Options, cases: Callable[..., Any] = all_cases):
        self.options, self.cases, self.started = options, cases, 0
        self.process: Any = None
        self.connection: Any = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def ask(self, question: tuple[Any, ...], patience: float) -> Any:
        """The worker's answer; `Lost` where none comes within `patience` seconds."""
        if self.process is None:
            self._start()
            self._answer(STARTING)
        answer = self._answer(patience, question)
        lost = answer.get("lost") if isinstance(answer, dict) else getattr(answer, "lost", False)
        if lost:
            self.end()
        return answer

    def _answer(self, patience: float, question: tuple[Any, ...] | None = None) -> Any:
        try:
            if question is not None:
                self.connection.send(question)
            if self.connection.poll(patience):
                return self.connection.recv()
        except (EOFError, OSError):
            raise Lost(f"the process died ({self._last_words()})") from None
        self.end(kill=True)
        raise Lost(f"no answer within {patience:.0f} s: the process was ended")

    def end(self, *, kill: bool = False) -> None:
        """End the worker: let it go, or `kill` it."""
        if self.process is None:
            return
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join(0 if kill else 10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(30)
        self._forget()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.options, self.cases), daemon=True)
        self.process.start()
        theirs.close()
        self.started += 1

    def _last_words(self) -> str:
        self.process.join(30)
        code = self.process.exitcode
        self._forget()
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    def _forget(self) -> None:
        self.connection.close()
        if not self.process.is_alive():
            self.process.close()
        self.process = self.connection = None
