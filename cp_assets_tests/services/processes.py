"""Programs that serve on loopback for as long as the tests run."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

LOOPBACK = "127.0.0.1"
_START_SECONDS = 60
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_END_SECONDS = 20


def free_port() -> int:
    """A port on loopback that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def end_with_parent() -> Callable[[], object] | None:
    """What lets a program end when the tests do, even where they are killed: a preexec_fn.

    None in a further thread: Linux takes the end of the thread that started it for the parent's.
    """
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    return partial(_LIBC.prctl, _PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program that was just started is ready; the test fails if it never is."""
    end = time.monotonic() + _START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            state = f"ended with {process.poll()}" if process.poll() is not None else "is silent"
            pytest.fail(f"{process.args} {state}:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes], how: int) -> None:
    """End a program with a signal; kill it if it does not heed that."""
    process.send_signal(how)
    try:
        process.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
