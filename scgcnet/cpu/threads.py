"""Threads for compiled functions that release the GIL.

They are plain Python threads. numba's own layers either must not be called from two threads (workqueue) or bring a
second OpenMP pool beside torch's.
"""

import contextlib
import functools
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor


@functools.cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """One pool per number of threads; keyed by process too, since threads do not survive a fork."""
    return ThreadPoolExecutor(workers, thread_name_prefix="scan")


def run_tasks(task: Callable[..., None], arguments: Sequence[tuple[int, ...]], threads: int) -> None:
    """Calls the task with each of the arguments, on this thread and `threads - 1` others."""
    queue: deque[tuple[int, ...]] = deque(arguments)

    def work() -> None:
        with contextlib.suppress(IndexError):  # deque.popleft is atomic
            while True:
                task(*queue.popleft())

    helpers = min(threads, len(arguments)) - 1
    futures = [_pool(os.getpid(), threads - 1).submit(work) for _ in range(helpers)]
    work()
    for future in futures:
        future.result()
