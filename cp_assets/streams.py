"""Work side by side with results in order and a bounded number of them at hand."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """``map(function, items)`` on threads: same results, same order, for any number of workers.

    At most ``workers + 1`` items are in work or waiting to be fetched, so memory does not grow with
    the number of items. The first error ends the work and is raised in its place in the order.
    """
    workers = max(1, workers)
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="cp-assets-worker")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
