"""Many instances at once: concurrent, in order, and never more of them in memory than agreed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from fhir_adapter.dicomweb.store import ImageStore
from fhir_adapter.dicomweb.uids import InstancePath

__all__ = ["fetch"]


def fetch(
    store: ImageStore, paths: Iterable[InstancePath], *, workers: int = 6, ahead: int | None = None
) -> Iterator[tuple[InstancePath, bytes]]:
    """Yield instances in the order of their paths, fetching some ahead of the one that is being used.

    Whoever takes them slowly slows the fetching down: at most `ahead` instances are under way or waiting, besides the
    one that was handed over.

    Parameters
    ----------
    store : ImageStore
        One that threads may share, as both forms here are.
    paths : iterable of InstancePath
        Read as they are needed.
    workers : int
        Requests at the same time.
    ahead : int, optional
        Instances to be ahead by; as many as `workers` by default.

    Yields
    ------
    InstancePath, bytes
        A DICOM file as :meth:`~fhir_adapter.dicomweb.ImageStore.instance` gives it.

    Raises
    ------
    ImageStoreError
        Of the first instance, in order, that could not be had; the requests behind it are given up.
    """
    if workers < 1 or (ahead is not None and ahead < 1):
        raise ValueError("workers and ahead must be at least 1")
    waiting: deque[tuple[InstancePath, Future[bytes]]] = deque()
    source = iter(paths)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="images")
    try:
        for path in islice(source, workers if ahead is None else ahead):
            waiting.append((path, executor.submit(store.instance, path)))
        while waiting:
            path, future = waiting.popleft()
            data = future.result()
            # Nothing here may hold on to an instance that its user has let go of.
            del future
            for following in islice(source, 1):
                waiting.append((following, executor.submit(store.instance, following)))
            yield path, data
            del data
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
