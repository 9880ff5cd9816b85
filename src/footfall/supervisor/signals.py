"""What signals ask the supervisor for, and a sleep that they end."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from collections.abc import Iterator
from types import FrameType


class Signals:
    """What was asked for; whoever has seen to it sets it back."""

    def __init__(self) -> None:
        self.stop = False
        """By SIGTERM or SIGINT."""
        self.reload = False
        """By SIGHUP."""
        self._woken, self._wakeup = socket.socketpair()
        for end in (self._woken, self._wakeup):
            end.setblocking(False)

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """From now on until the end of the body; then whatever heeded them before does again."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stop = True

        def reload(_number: int, _frame: FrameType | None) -> None:
            self.reload = True

        handlers = {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: reload,
            signal.SIGCHLD: lambda _number, _frame: None,  # it only ends `wait`
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        old_fd = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait(self, seconds: float, fds: list[int]) -> None:
        """Sleep until a signal comes, one of `fds` can be read, or the time is up.

        A signal that came since the last call ends this one at once.
        """
        if self._woken.fileno() in select.select([self._woken.fileno(), *fds], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
