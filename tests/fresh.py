"""A process of its own that runs the diagnosis function once, as a new Lambda environment does.

Run as ``python -m tests.fresh`` where this checkout, or a copy of it, comes first on ``PYTHONPATH``. It reads a job
from standard input and writes what became of it to standard output; a package that is refused ends it with a traceback.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from moto import mock_aws

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.dicomweb import DirectoryImageStore
from fhir_adapter.tenants import Tenant
from functions.serving.connect import Connections
from functions.serving.events import new_event
from tests.diagnoses import study, tenant_json
from tests.fakes import FakeEhr
from tests.functional.conftest import ENVIRONMENT, created

Json = dict[str, Any]


def answered(job: Json) -> Json:
    """Import the function and give it one event.

    Parameters
    ----------
    job : dict
        ``model``; ``focus``, such as ``ImagingStudy/s1``; ``resources`` in the EHR; ``images``, a folder with the files
        of the study ``study``, or None.

    Returns
    -------
    dict
        ``models`` that the function has, ``outcomes``, ``written`` and the causes of dead letters.
    """
    ehr = FakeEhr(*job["resources"])
    store = DirectoryImageStore(Path(job["images"] or "."))
    if job["images"]:
        ehr.put(study(store, job["study"]))
    cloud = created(tenant_json([job["model"]]))
    os.environ |= {"EVENT_QUEUE_URL": cloud.queue_url, "DEAD_LETTER_QUEUE_URL": cloud.dead_letter_url}
    from functions.diagnosis.app import handler

    def connect(tenant: Tenant) -> FhirClient:
        return FhirClient(tenant.fhir_base, tenant.token, transport=ehr.transport, retry=RetryPolicy(attempts=1))

    handler._connections = Connections(connect, lambda _tenant, _root: store)
    before = set(ehr.resources)
    event = new_event("general", "studies", "focus", job["focus"], "1", "Patient/p1")
    record = {
        "messageId": "m1",
        "receiptHandle": "r",
        "body": event.to_json(),
        "attributes": {"ApproximateReceiveCount": "3"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:events",
        "awsRegion": "eu-central-1",
    }
    handler({"Records": [record]}, context())
    dead = [message["MessageAttributes"]["cause"]["StringValue"] for message in cloud.messages(cloud.dead_letter_url)]
    return {
        "models": sorted(handler.models),
        "outcomes": [[entry["outcome"], entry.get("reason")] for entry in cloud.entries()],
        "written": [ehr.resources[key] for key in ehr.resources if key not in before],
        "dead": dead,
    }


def context() -> Any:
    return SimpleNamespace(
        function_name="fresh",
        function_version="$LATEST",
        invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:fresh",
        memory_limit_in_mb=2048,
        aws_request_id="00000000-0000-0000-0000-000000000000",
        get_remaining_time_in_millis=lambda: 60_000,
    )


if __name__ == "__main__":
    os.environ |= ENVIRONMENT
    out = os.dup(1)
    # the function logs to standard output
    os.dup2(2, 1)
    with mock_aws():
        told = json.dumps(answered(json.load(sys.stdin)), default=str)
    with os.fdopen(out, "w", encoding="utf-8") as stream:
        stream.write(told)
