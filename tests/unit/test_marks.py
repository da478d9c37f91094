"""Event numbers: in any order, by many at once, in bounded items, in memory and in DynamoDB."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from moto import mock_aws

from functions.serving.marks import BUCKET, Marks, MemoryMarks, Seen, TableMarks

AT = "2026-01-10T08:00:00+00:00"
LATER = "2026-01-10T08:00:01+00:00"


@pytest.fixture(params=["memory", "table"])
def marks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Marks]:
    if request.param == "memory":
        yield MemoryMarks()
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        boto3.resource("dynamodb").create_table(
            TableName="ledger",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield TableMarks("ledger")


@pytest.mark.conformance("C09", "C10")
def test_order_does_not_matter_and_gaps_are_seen(marks: Marks) -> None:
    for number in (5, 2, 9, 3, 2, 600):
        marks.seen("t", "s", number, AT)
    seen = marks.state("t", "s")
    assert (seen.floor, seen.base, seen.highest) == (None, 1, 600)
    assert seen.gaps() == ((4, 4), (6, 8), (10, 599))
    assert seen.gaps(upto=602) == ((4, 4), (6, 8), (10, 599), (601, 602))


def test_the_floor_only_rises_and_takes_what_lies_below_along(marks: Marks) -> None:
    for number in (1, BUCKET, 2 * BUCKET + 5):
        marks.seen("t", "s", number, AT)
    marks.repaired("t", "s", 2 * BUCKET)
    marks.repaired("t", "s", 3)
    marks.seen("t", "s", 7, AT)  # late
    seen = marks.state("t", "s")
    assert (seen.floor, seen.numbers) == (2 * BUCKET, {2 * BUCKET + 5})
    assert seen.gaps() == ((2 * BUCKET + 1, 2 * BUCKET + 4),)


@pytest.mark.conformance("C04")
def test_last_heard_of_moves_forward_only(marks: Marks) -> None:
    marks.seen("t", "s", None, LATER)
    marks.seen("t", "s", 1, AT)
    assert marks.state("t", "s").last == LATER
    assert marks.state("t", "other") == Seen()


def test_counting_from_the_start_again(marks: Marks) -> None:
    marks.seen("t", "s", 900, AT)
    marks.restart("t", "s")
    assert marks.state("t", "s") == Seen(floor=0, numbers=frozenset(), last=AT)


def test_many_at_once_lose_no_number(marks: Marks) -> None:
    numbers = list(range(1, 121))
    random.Random(7).shuffle(numbers)
    marks.seen("t", "s", numbers[0], AT)  # opens the client before the threads do
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: marks.seen("t", "s", number, AT), numbers))
    assert marks.state("t", "s").gaps() == ()
    assert marks.state("t", "s").highest == 120


def test_a_number_out_of_all_bounds_costs_nothing() -> None:
    assert Seen(numbers=frozenset({1, 2**62})).gaps() == ((2, 2**62 - 1),)
