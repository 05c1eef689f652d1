"""A few threads that work ahead, their results taken in order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor
    from types import TracebackType

__all__ = ["Workers"]

T = TypeVar("T")


class Workers(Generic[T]):
    """`threads` threads. Leaving the context by an exception calls `cancel` and waits for what is running to stop."""

    def __init__(self, threads: int, cancel: Callable[[], None]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pool: ThreadPoolExecutor = ThreadPoolExecutor(max(threads, 1), thread_name_prefix="wim")
        self._cancel = cancel

    def __enter__(self) -> Workers[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is not None:
            self._cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def in_order(self, tasks: Iterable[Callable[[], T]], limit: int) -> Iterator[T]:
        """The results of the tasks in their order, at most `limit` tasks begun and not yet taken.

        The tasks are drawn by the caller's thread, so what makes them may read and hash between.
        """
        waiting: deque[Future[T]] = deque()
        for task in tasks:
            waiting.append(self._pool.submit(task))
            while waiting and (len(waiting) >= limit or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
