"""The description of the admin API is complete: every route, every answer, every key in words."""

import re
from typing import Any, cast

import pytest
from fastapi.routing import APIRoute

from headgate.control.api import make_api
from headgate.control.process import Control

API = make_api(cast(Control, None), with_token=True)
DESCRIBED: dict[str, Any] = API.openapi()
OPERATIONS = [(path, method, one) for path, methods in DESCRIBED["paths"].items() for method, one in methods.items()]
OPEN = {"Summary", "Incident"}
"""What the store makes, of which the description names only the parts that clients may rely on."""
SERVER = "/api/upstreams/{name}/servers/{label}"


def test_every_route_is_described():
    routes = {
        (route.path_format.replace(":path}", "}"), method.lower())
        for route in API.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert {(path, method) for path, method, _ in OPERATIONS} == routes
    assert routes == {
        ("/api/status", "get"), ("/api/upstreams/{name}", "get"), ("/metrics", "get"), (f"{SERVER}/weight", "put"),
        *((f"{SERVER}/{action}", "post") for action in ("drain", "ready", "maintenance", "eject", "restore")),
        ("/api/incidents", "get"), ("/api/incidents/{id}", "get"), ("/api/references/{reference}", "get"),
        ("/api/report", "get"),
        *((f"/api/incidents/{{id}}/{action}", "post") for action in ("acknowledge", "resolve", "silence", "examine")),
        *((f"/api/{action}", "post") for action in ("reload", "upgrade", "reopen", "stop")),
    }  # fmt: skip
    assert len({one["operationId"] for _, _, one in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(("path", "method", "one"), OPERATIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_each_says_what_it_does_takes_and_answers(path, method, one):
    assert one["summary"]
    assert len(one["description"]) > 15
    assert all(parameter["description"] for parameter in one.get("parameters", ()))
    in_path = {parameter["name"] for parameter in one.get("parameters", ()) if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", path))
    assert ("requestBody" in one) is (path.startswith(SERVER) or path.endswith(("/acknowledge", "/resolve", "/silence")))
    assert one["security"] == [{"HTTPBearer": []}]
    responses = one["responses"]
    good = [code for code in responses if code < "300"]
    assert len(good) == 1
    content = responses[good[0]]["content"]
    if path == "/metrics":
        assert content.keys() == {"application/openmetrics-text", "text/plain"}
    else:
        assert "$ref" in content["application/json"]["schema"]
    expected = {"400", "401", "403", "408", "413", "415", "421"}
    expected |= {"404"} if "{" in path else set()
    expected |= {"422"} if path.startswith(SERVER) else set()
    expected |= {"409"} if path in ("/api/reload", "/api/upgrade") else set()
    problems = {code for code in responses if code >= "400"}
    assert expected <= problems
    for code in problems & expected:
        assert responses[code]["description"]
        assert responses[code]["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_each_shape_is_described_and_closed():
    for name, schema in DESCRIBED["components"]["schemas"].items():
        if name in ("HTTPValidationError", "ValidationError"):
            continue
        assert schema["description"], name
        assert schema["additionalProperties"] is (name in OPEN), name


def test_it_is_served(shared):
    answer = shared.ask("GET", "/api/openapi.json")
    assert answer.status == 200
    assert answer.json["paths"].keys() == DESCRIBED["paths"].keys()
    assert "security" not in answer.json["paths"]["/api/status"]["get"], "no token is asked for on a unix socket"
