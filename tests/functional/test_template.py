"""The SAM template: what must hold for every function, queue, table and policy in it, whoever adds one."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from functions.allocation.handler import LONGEST
from functions.serving.routes import functions_of
from functions.smart_app.sealing import master_keys
from infra.local import aws
from infra.local.gateway import CDS_ROUTES, NOTIFY_ROUTES, SMART_ROUTES
from infra.packaging.artefact import REPOSITORY

Resource = dict[str, Any]


class CloudFormationLoader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions, as ``{"Fn::Name": value}``."""


def intrinsic(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {name if name == "Ref" else f"Fn::{name}": value}


CloudFormationLoader.add_multi_constructor("!", intrinsic)

TEMPLATE = yaml.load(Path(REPOSITORY / "template.yaml").read_text(), CloudFormationLoader)
RESOURCES: dict[str, Resource] = TEMPLATE["Resources"]
GLOBALS: Resource = TEMPLATE["Globals"]["Function"]


def of_type(kind: str) -> dict[str, Resource]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
QUEUES = of_type("AWS::SQS::Queue")
TABLES = of_type("AWS::DynamoDB::Table")


def target(reference: Any) -> str:
    """The logical name behind a Ref or a GetAtt."""
    assert isinstance(reference, dict), reference
    return str(reference.get("Ref") or reference["Fn::GetAtt"]).partition(".")[0]


def statements() -> Iterator[Resource]:
    for function in FUNCTIONS.values():
        for policy in function.get("Policies", []):
            yield from policy.get("Statement", [])
    for policy in of_type("AWS::SQS::QueuePolicy").values():
        yield from policy["PolicyDocument"]["Statement"]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def sqs_sources() -> Iterator[tuple[str, Resource]]:
    for name, function in FUNCTIONS.items():
        for event in function["Events"].values():
            if event["Type"] == "SQS":
                yield name, event["Properties"]


def test_there_are_functions_queues_and_tables() -> None:
    assert {"ReceiverFunction", "SurvivalFunction", "SmartAppFunction", "CdsHooksFunction"} <= set(FUNCTIONS)
    assert QUEUES
    assert TABLES
    assert list(sqs_sources())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_python312_on_arm64_built_by_make_and_traced(name: str) -> None:
    function = {**GLOBALS, **FUNCTIONS[name]}
    assert function["Runtime"] == "python3.12"
    assert function["Architectures"] == ["arm64"]
    assert function["Tracing"] == "Active"
    assert function["Timeout"] <= 900
    assert RESOURCES[name]["Metadata"]["BuildMethod"] == "makefile"
    makefile = (REPOSITORY / "Makefile").read_text()
    assert re.search(rf"^build-{name}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_its_code_its_pins_and_a_log_group_that_ends(name: str) -> None:
    package, function, _, _ = str(FUNCTIONS[name]["Handler"]).split(".")
    assert importlib.util.find_spec(f"{package}.{function}.app") is not None
    assert (REPOSITORY / "requirements" / f"lambda-{function}.txt").is_file()
    group = RESOURCES[target(FUNCTIONS[name]["LoggingConfig"]["LogGroup"])]
    assert group["Type"] == "AWS::Logs::LogGroup"
    assert group["Properties"]["RetentionInDays"]


@pytest.mark.parametrize("name", QUEUES)
def test_every_queue_is_encrypted(name: str) -> None:
    assert QUEUES[name].get("SqsManagedSseEnabled") is True or "KmsMasterKeyId" in QUEUES[name]


def test_every_sqs_source_has_dead_letters_time_to_finish_and_partial_batches() -> None:
    for name, source in sqs_sources():
        queue = QUEUES[target(source["Queue"])]
        dead = QUEUES[target(queue["RedrivePolicy"]["deadLetterTargetArn"])]
        assert dead["MessageRetentionPeriod"] == 14 * 86_400
        assert dead["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]
        assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS[name]["Timeout"]
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["ScalingConfig"]["MaximumConcurrency"]


def test_functions_count_receives_as_the_queue_does() -> None:
    told = int(GLOBALS["Environment"]["Variables"]["MAX_RECEIVE_COUNT"])
    for _, source in sqs_sources():
        assert QUEUES[target(source["Queue"])]["RedrivePolicy"]["maxReceiveCount"] == told


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_encrypted_recoverable_and_forgets(name: str) -> None:
    table = TABLES[name]
    assert table["SSESpecification"]["SSEEnabled"] is True
    # A backup of sessions would keep for weeks what ends within hours.
    recoverable = table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled", False)
    assert recoverable is (name != "SessionTable")
    assert table["TimeToLiveSpecification"]["Enabled"] is True


def test_no_policy_allows_everything() -> None:
    found = list(statements())
    assert found
    for statement in found:
        for resource in as_list(statement["Resource"]):
            assert resource != "*"
            text = resource if isinstance(resource, str) else str(next(iter(resource.values())))
            # A wildcard may end a name; it may not stand for the whole of one.
            assert "*" not in text.removesuffix("/*"), text
        for action in as_list(statement["Action"]):
            assert "*" not in action


def test_secrets_of_tenants_and_their_keys_only() -> None:
    prefix = GLOBALS["Environment"]["Variables"]["TENANT_SECRET_PREFIX"]
    for statement in statements():
        if "secretsmanager:GetSecretValue" in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                if resource != {"Ref": "SessionKey"}:
                    assert resource["Fn::Sub"].endswith((f":secret:{prefix}*", ":secret:bedside/keys/*"))


def allowed(function: str) -> dict[str, list[Any]]:
    """What a function may do, and to what."""
    found: dict[str, list[Any]] = {}
    for policy in FUNCTIONS[function]["Policies"]:
        for statement in policy["Statement"]:
            for action in as_list(statement["Action"]):
                found.setdefault(action, []).extend(as_list(statement["Resource"]))
    return found


def test_what_the_browser_reaches_may_do_no_more_than_it_must() -> None:
    """The two that strangers can call with a body of their own making."""
    app, cds = allowed("SmartAppFunction"), allowed("CdsHooksFunction")
    table = {f"dynamodb:{verb}Item" for verb in ("Get", "Put", "Update", "Delete")}
    assert app.keys() == table | {"secretsmanager:GetSecretValue", "ssm:GetParameter", "sqs:SendMessage"}
    assert {target(resource) for action in table for resource in app[action]} == {"SessionTable"}
    assert cds.keys() == {"dynamodb:PutItem", "secretsmanager:GetSecretValue"}
    assert [target(resource) for resource in cds["dynamodb:PutItem"]] == ["CdsHooksTable"]
    assert "keys/*" not in str(cds["secretsmanager:GetSecretValue"])
    others = [name for name in FUNCTIONS if name != "SmartAppFunction" and "SessionKey" in str(FUNCTIONS[name])]
    assert others == [], "the session key is the app's alone"


def test_the_app_reads_its_origin_from_where_the_stack_puts_it() -> None:
    """Not by a reference: the API waits for its functions, and cannot be waited for by one of them."""
    parameter = RESOURCES["AppOriginParameter"]["Properties"]["Name"]
    told = FUNCTIONS["SmartAppFunction"]["Environment"]["Variables"]["SMART_BASE_URL_PARAMETER"]
    (readable,) = allowed("SmartAppFunction")["ssm:GetParameter"]
    assert told == parameter
    assert readable["Fn::Sub"].endswith(":parameter" + parameter["Fn::Sub"])


def test_the_session_key_is_made_as_the_app_reads_it() -> None:
    made = RESOURCES["SessionKey"]["Properties"]["GenerateSecretString"]
    assert made["ExcludePunctuation"] is True
    (key,) = master_keys(
        {**json.loads(made["SecretStringTemplate"]), made["GenerateStringKey"]: "r" * made["PasswordLength"]}
    )
    assert key.kid == "1"


@pytest.mark.parametrize("name", ["SmartAppFunction", "CdsHooksFunction"])
def test_what_clinicians_wait_for_ends_before_the_api_gives_up(name: str) -> None:
    assert FUNCTIONS[name]["Timeout"] <= 30
    assert RESOURCES[target(FUNCTIONS[name]["LoggingConfig"]["LogGroup"])]


def test_the_api_answers_no_preflight_itself() -> None:
    """Which web page may call is each tenant's own; an API that answers for all would let in those of others."""
    for api in of_type("AWS::Serverless::HttpApi").values():
        assert "CorsConfiguration" not in api
        assert "Auth" not in api


def test_alarms_are_raised_by_metrics_that_are_counted() -> None:
    """A metric of ours by a name that no code counts would never raise one."""
    code = "".join(path.read_text() for path in (REPOSITORY / "functions" / "cds_hooks").glob("*.py"))
    metrics = [
        metric["MetricStat"]["Metric"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        for metric in alarm.get("Metrics", [])
        if "MetricStat" in metric
    ]
    ours = [metric for metric in metrics if metric["Namespace"] != "AWS/Lambda"]
    assert {metric["MetricName"] for metric in ours} == {"CdsFailed", "CdsUnavailable"}
    variables = GLOBALS["Environment"]["Variables"]
    for metric in ours:
        assert f'"{metric["MetricName"]}"' in code
        assert metric["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
        assert metric["Dimensions"] == [{"Name": "service", "Value": variables["POWERTOOLS_SERVICE_NAME"]}]


def test_access_log_has_no_paths_which_name_patients() -> None:
    for api in of_type("AWS::Serverless::HttpApi").values():
        assert "routeKey" in api["AccessLogSettings"]["Format"]
        assert not re.search(r"context\.(path|resourcePath|identity)", api["AccessLogSettings"]["Format"])


def test_the_twin_has_the_same_routes_tables_and_environment() -> None:
    twins = {"ReceiverFunction": NOTIFY_ROUTES, "SmartAppFunction": SMART_ROUTES, "CdsHooksFunction": CDS_ROUTES}
    for name, expected in twins.items():
        events = [event for event in FUNCTIONS[name]["Events"].values() if event["Type"] == "HttpApi"]
        assert {f"{event['Properties']['Method']} {event['Properties']['Path']}" for event in events} == set(expected)
        assert len(events) == len(expected)
    keys = {name: (table["KeySchema"][0]["AttributeName"]) for name, table in TABLES.items()}
    assert keys == {"IdempotencyTable": "id", "LedgerTable": "pk", "SessionTable": "pk", "CdsHooksTable": "pk"}
    told = set(GLOBALS["Environment"]["Variables"]) - {"PYDANTIC_DISABLE_PLUGINS"}
    assert told <= set(aws.LocalAws().environment())


def test_every_reference_points_to_something() -> None:
    known = {*RESOURCES, *TEMPLATE["Parameters"]}

    def check(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "Ref" and not str(inner).startswith("AWS::"):
                    assert inner in known
                if key == "Fn::GetAtt":
                    assert str(inner).partition(".")[0] in known
                check(inner)
        elif isinstance(value, list):
            for inner in value:
                check(inner)

    check({"Resources": RESOURCES, "Outputs": TEMPLATE["Outputs"]})


def test_a_queues_dead_letters_go_to_a_queue_of_its_kind() -> None:
    for queue in QUEUES.values():
        if "RedrivePolicy" in queue:
            dead = QUEUES[target(queue["RedrivePolicy"]["deadLetterTargetArn"])]
            assert dead.get("FifoQueue", False) == queue.get("FifoQueue", False)


def test_every_queue_of_dead_letters_has_an_alarm_and_every_queue_a_policy() -> None:
    dead = {
        target(queue["RedrivePolicy"]["deadLetterTargetArn"]) for queue in QUEUES.values() if "RedrivePolicy" in queue
    }
    alarms = of_type("AWS::CloudWatch::Alarm").values()
    watched = {target(dimension["Value"]) for alarm in alarms for dimension in alarm.get("Dimensions", ())}
    assert dead <= watched
    (policy,) = of_type("AWS::SQS::QueuePolicy").values()
    assert {target(queue) for queue in policy["Queues"]} == set(QUEUES)
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert {target(queue) for queue in statement["Resource"]} == set(QUEUES)


def may_send(name: str) -> set[str]:
    statements = [one for policy in FUNCTIONS[name]["Policies"] for one in policy.get("Statement", [])]
    allowed = [one for one in statements if "sqs:SendMessage" in as_list(one["Action"])]
    return {target(resource) for one in allowed for resource in as_list(one["Resource"])}


@pytest.mark.parametrize("name", ["ReceiverFunction", "SurvivalFunction", "DiagnosisFunction", "ReconcileFunction"])
def test_whoever_passes_events_on_knows_and_may_use_the_queue_of_every_function(name: str) -> None:
    told = {**GLOBALS["Environment"]["Variables"], **FUNCTIONS[name]["Environment"]["Variables"]}
    for function in {*functions_of().values()} - {"survival"}:
        queue = target(told[f"{function.upper()}_QUEUE_URL"])
        assert queue in may_send(name)


def test_solves_come_after_their_minute_one_at_a_time_and_end_within_the_functions_time() -> None:
    function = FUNCTIONS["AllocationFunction"]
    told = function["Environment"]["Variables"]
    solves = QUEUES[target(told["SOLVE_QUEUE_URL"])]
    assert solves["FifoQueue"] is True
    # the handler says itself what is the same: a ward's minute
    assert "ContentBasedDeduplication" not in solves
    assert solves["DelaySeconds"] == 60
    sources = {target(source["Queue"]): source for name, source in sqs_sources() if name == "AllocationFunction"}
    assert set(sources) == {target(told["ALLOCATION_QUEUE_URL"]), target(told["SOLVE_QUEUE_URL"])}
    assert sources[target(told["SOLVE_QUEUE_URL"])]["BatchSize"] == 1
    assert function["Timeout"] > LONGEST
    assert may_send("AllocationFunction") == {target(told["SOLVE_QUEUE_URL"]), target(told["DEAD_LETTER_QUEUE_URL"])}
    # what is put aside with its cause goes where messages need no group
    assert "FifoQueue" not in QUEUES[target(told["DEAD_LETTER_QUEUE_URL"])]
