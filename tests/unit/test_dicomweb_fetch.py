"""Many instances: in order, ahead by no more than agreed, and stopped at the first that fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from fhir_adapter.dicomweb import ImageNotFound, ImageStore, InstancePath, fetch
from tests.imagestores import ct_path

PATHS = [ct_path(number) for number in range(1, 41)]


class Counting:
    """A store whose answers can be held back."""

    def __init__(self, missing: InstancePath | None = None) -> None:
        self.asked: list[InstancePath] = []
        self.under_way = self.most = 0
        self.missing = missing
        self.gate: threading.Barrier | None = None
        self._lock = threading.Lock()

    def instance(self, path: InstancePath) -> bytes:
        with self._lock:
            self.asked.append(path)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            if self.gate is not None:
                self.gate.wait(timeout=30)
            if path == self.missing:
                raise ImageNotFound(f"instance {path.instance}: gone", 404)
            return path.instance.encode()
        finally:
            with self._lock:
                self.under_way -= 1


def fetching(store: Counting, **more: Any) -> Iterator[tuple[InstancePath, bytes]]:
    return fetch(cast(ImageStore, store), PATHS, **more)


@pytest.mark.parametrize(("workers", "ahead"), [(1, None), (1, 1), (4, None), (4, 2), (3, 20), (64, 64)])
def test_order_is_kept(workers: int, ahead: int | None) -> None:
    store = Counting()
    assert list(fetching(store, workers=workers, ahead=ahead)) == [(path, path.instance.encode()) for path in PATHS]
    assert sorted(store.asked) == sorted(PATHS)
    assert store.most <= workers


def test_requests_are_concurrent() -> None:
    store = Counting()
    # each waits until four are there: fewer at a time would never go on
    store.gate = threading.Barrier(4)
    assert len(list(fetching(store, workers=4))) == 40


def test_whoever_is_slow_slows_it_down() -> None:
    store = Counting()
    source = iter(PATHS)
    taken = 0
    for taken, _ in enumerate(fetch(cast(ImageStore, store), source, workers=2, ahead=3), 1):
        assert len(store.asked) <= taken + 3
        if taken == 10:
            break
    assert taken == 10
    assert len(store.asked) <= 13
    assert next(source) == PATHS[13]


def test_the_first_that_fails_ends_it_with_its_name() -> None:
    store = Counting(missing=PATHS[6])
    found = []
    with pytest.raises(ImageNotFound, match=f"instance {PATHS[6].instance}: gone"):
        for path, _ in fetching(store, workers=4):
            found.append(path)
    assert found == PATHS[:6]
    assert store.under_way == 0
    assert len(store.asked) < 15


def test_no_thread_is_left_when_it_is_given_up() -> None:
    store = Counting()
    before = threading.active_count()
    run = fetching(store, workers=4)
    next(run)
    cast(Any, run).close()
    assert threading.active_count() == before
    assert store.under_way == 0


def test_nothing_to_fetch() -> None:
    assert list(fetch(cast(ImageStore, Counting()), [])) == []


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"ahead": 0}])
def test_numbers_must_make_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        next(fetching(Counting(), **wrong))
