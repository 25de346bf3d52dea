"""The form of what goes to an OpenTelemetry collector (OTLP 1.x): attributes, resource, and the requests that carry them.

Imported only where telemetry is configured. Texts may be made of any bytes: they become legal UTF-8, and are bounded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

SCHEMA: Final = "https://opentelemetry.io/schemas/1.27.0"
"""The semantic conventions whose names are used."""
_LONGEST: Final = 2048

Value = str | bool | int | float


@dataclass(frozen=True, slots=True)
class Sender:
    """In whose name something is told."""

    service: str
    version: str
    host: str
    instance: str  # of the running gateway: another one after each start
    more: Mapping[str, str] = field(default_factory=dict)

    def resource(self) -> Resource:
        """Return it as a resource; what the configuration says in `more` comes first."""
        known = {
            "service.name": self.service,
            "service.version": self.version,
            "service.instance.id": self.instance,
            "host.name": self.host,
        }
        return Resource(attributes=attributes({**known, **self.more}))

    def scope(self) -> InstrumentationScope:
        """Return what made the records."""
        return InstrumentationScope(name="headgate", version=self.version)


def text(value: str, longest: int = _LONGEST) -> str:
    """Return a text that UTF-8 can hold: bounded, and without halves of characters."""
    return value[:longest].encode("utf-8", "backslashreplace").decode()


def attributes(values: Mapping[str, Value | None]) -> list[KeyValue]:
    """Return attributes; those without a value, None or "", are left out."""
    return [_pair(key, value) for key, value in values.items() if value is not None and value != ""]


@lru_cache(4096, typed=True)
def _pair(key: str, value: Value) -> KeyValue:
    """Return an attribute. Most come back with every span, and making one is what costs; who gets one never changes it."""
    return KeyValue(key=text(key, 255), value=_any(value))


def _any(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=text(value))


def trace_request(sender: Sender, spans: Iterable[Span]) -> bytes:
    """Return the body of a request to /v1/traces."""
    scoped = ScopeSpans(scope=sender.scope(), spans=spans, schema_url=SCHEMA)
    resource_spans = ResourceSpans(resource=sender.resource(), scope_spans=[scoped], schema_url=SCHEMA)
    return ExportTraceServiceRequest(resource_spans=[resource_spans]).SerializeToString()


def logs_request(sender: Sender, records: Sequence[LogRecord]) -> bytes:
    """Return the body of a request to /v1/logs."""
    scoped = ScopeLogs(scope=sender.scope(), log_records=records, schema_url=SCHEMA)
    resource_logs = ResourceLogs(resource=sender.resource(), scope_logs=[scoped], schema_url=SCHEMA)
    return ExportLogsServiceRequest(resource_logs=[resource_logs]).SerializeToString()
