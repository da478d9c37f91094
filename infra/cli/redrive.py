"""``bedside redrive``: dead letters, why they died, and back to the queue with them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.deadletters import DeadLetter, put_back, read_dead_letters, redrive

DESCRIPTION = """\
Events that could not be answered wait in the dead-letter queue, each with its cause. List them, mend the cause,
then send them back to the queue of the function that could not answer. Sending back is safe to repeat: an event
answered twice is one result.
"""
EPILOG = """\
The queues come from the options or from DEAD_LETTER_QUEUE_URL and EVENT_QUEUE_URL; those of the diagnosis function from
DIAGNOSIS_DEAD_LETTER_QUEUE_URL and DIAGNOSIS_QUEUE_URL, where both are set and no option is given. Credentials, region
and AWS_ENDPOINT_URL as for every AWS tool. `bedside local` prints all of them for the twin.
"""
# Environment variables of functions with a queue of their own: the queue, and that of its dead letters.
PAIRS = (("DIAGNOSIS_QUEUE_URL", "DIAGNOSIS_DEAD_LETTER_QUEUE_URL"),)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside redrive``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--list", action="store_true", help="only list them; nothing is sent")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--queue-url", default=None, metavar="URL", help="the event queue")
    parser.add_argument("--dead-letter-queue-url", default=None, metavar="URL", help="the dead-letter queue")


def run(args: argparse.Namespace) -> int:
    """List or send back; returns the exit status."""
    dead_letter_queue = str(args.dead_letter_queue_url or os.environ.get("DEAD_LETTER_QUEUE_URL", ""))
    queue = str(args.queue_url or os.environ.get("EVENT_QUEUE_URL", ""))
    missing = [] if dead_letter_queue else ["--dead-letter-queue-url (or DEAD_LETTER_QUEUE_URL)"]
    if not queue and not args.list:
        missing.append("--queue-url (or EVENT_QUEUE_URL)")
    if missing:
        sys.stderr.write(f"bedside redrive: needs {' and '.join(missing)}\n")
        return 2
    pairs = [(queue, dead_letter_queue)]
    if not args.queue_url and not args.dead_letter_queue_url:
        pairs += _further()
    try:
        sqs = boto3.client("sqs")
        letters: list[DeadLetter] = []
        sent = 0
        for target, dead in pairs:
            found = read_dead_letters(sqs, dead)
            letters += found
            if args.list:
                put_back(sqs, dead, found)
            else:
                sent += redrive(sqs, dead, target, found)
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"bedside redrive: {error}\n")
        return 1
    sys.stdout.write(json.dumps(_report(letters, sent)) + "\n" if args.json else _told(letters, sent, args.list))
    return 0


def _further() -> list[tuple[str, str]]:
    """The queues of functions with one of their own, where the environment names both."""
    named = [(os.environ.get(queue, ""), os.environ.get(dead, "")) for queue, dead in PAIRS]
    return [(queue, dead) for queue, dead in named if queue and dead]


def _report(letters: list[DeadLetter], sent: int) -> dict[str, Any]:
    return {
        "dead_letters": [
            {"message_id": letter.message_id, "event": letter.event, "sent": _when(letter), "cause": letter.cause}
            for letter in letters
        ],
        "causes": dict(Counter(letter.cause for letter in letters)),
        "redriven": sent,
    }


def _told(letters: list[DeadLetter], sent: int, listed: bool) -> str:
    if not letters:
        return "No dead letters.\n"
    lines = [f"{_when(letter)}  {letter.event or letter.message_id}  {letter.cause}" for letter in letters]
    lines.append(f"{len(letters)} dead letters." if listed else f"{sent} sent back to their queues.")
    return "\n".join(lines) + "\n"


def _when(letter: DeadLetter) -> str:
    if not letter.sent:
        return ""
    return datetime.fromtimestamp(int(letter.sent) / 1000, UTC).isoformat(timespec="seconds")
