"""One thread for heavy work, with a hand-over of one place: the newest job wins, so nothing ever queues up."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["LatestWorker", "WorkingEnd"]

logger = logging.getLogger(__name__)
T = TypeVar("T")

ORDERS = 16


class LatestWorker(Generic[T]):
    """Runs `work(job)` in a thread of its own. Drop policy: a job that waits is replaced by a newer one.

    Orders are small calls that must not be lost (an acknowledgement, a keyframe to decode); they run before the next
    job, in order, at most 16 wait, the oldest goes first when there are more. What work or an order raises is handed
    to `failed` in the worker thread, and the worker goes on.
    """

    def __init__(self, name: str, work: Callable[[T], None], failed: Callable[[Exception], None]) -> None:
        self._work, self._failed = work, failed
        self._condition = threading.Condition()
        self._job: T | None = None
        self._orders: deque[Callable[[], None]] = deque(maxlen=ORDERS)
        self._closed = False
        self.replaced = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: T) -> bool:
        """Hand over a job; False when it pushed out one that was waiting."""
        with self._condition:
            pushed_out = self._job is not None
            self.replaced += pushed_out
            self._job = job
            self._condition.notify()
        return not pushed_out

    def order(self, call: Callable[[], None]) -> None:
        """Have `call` run in the worker before the next job."""
        with self._condition:
            self._orders.append(call)
            self._condition.notify()

    def close(self, timeout_s: float = 5.0) -> None:
        """Finish what runs, forget what waits, and end the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or self._orders or self._job is not None)
                if self._closed:
                    return
                order = self._orders.popleft() if self._orders else None
                job: T | None = None
                if order is None:
                    job, self._job = self._job, None
            try:
                if order is not None:
                    order()
                elif job is not None:
                    self._work(job)
            except Exception as error:  # the thread is the last place where it could be seen
                logger.debug("%s failed", self._thread.name, exc_info=True)
                self._failed(error)


class WorkingEnd(Generic[T]):
    """What both ends of a stream are: a worker thread beside the event loop on which all else happens."""

    def __init__(self, name: str, work: Callable[[T], None], failed: Callable[[Exception], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake: Callable[[], None] = lambda: None
        self._running = False
        self.error: Exception | None = None
        self._worker: LatestWorker[T] = LatestWorker(name, work, failed)

    def start(self, wake: Callable[[], None]) -> None:
        """The handshake is done. `wake` asks the connection to poll."""
        self._wake, self._running = wake, True

    def close(self) -> None:
        """Stop the thread."""
        self._running = False
        self._worker.close()

    @property
    def dropped_frames(self) -> int:
        """Frames that the worker was too slow for: a newer one took their place."""
        return self._worker.replaced
