"""Owns what a delivery to an OpenTelemetry collector is: one POST of OTLP over HTTP, and what its answer means."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from .. import __version__
from ..diagnose.redact import clean
from .exporter import MOST_PATIENCE, Answer

_AGAIN: Final = frozenset((429, 502, 503, 504))
"""Statuses after which the same may be told again (OTLP, section "Retryable Response Codes")."""
_MOST_BYTES: Final = 65_536
"""Of an answer."""
_OTLP: Final = "application/x-protobuf"


class Collector:
    """A collector, as the control process reaches it."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout: float, ca: str | None) -> None:
        """timeout: for one delivery, seconds. Raises OSError, ssl.SSLError for authorities that cannot be used."""
        self._endpoint = endpoint
        self._timeout = timeout
        verify = ssl.create_default_context(cafile=ca) if endpoint.startswith("https:") else False
        fields = {"user-agent": f"headgate/{__version__}", "content-type": _OTLP, "content-encoding": "gzip", "accept": _OTLP}
        self._client = httpx.AsyncClient(
            headers={**headers, **fields}, timeout=timeout, verify=verify, trust_env=False, follow_redirects=False
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def traces(self, body: bytes) -> Answer:
        """Deliver spans."""
        return await self._post("/v1/traces", body, _refused_spans)

    async def logs(self, body: bytes) -> Answer:
        """Deliver log records."""
        return await self._post("/v1/logs", body, _refused_records)

    async def _post(self, path: str, body: bytes, refused: Callable[[bytes], tuple[int, str]]) -> Answer:
        url = self._endpoint + path
        try:
            async with asyncio.timeout(self._timeout), self._client.stream("POST", url, content=body) as response:
                told = b""
                async for piece in response.aiter_raw():
                    told += piece
                    if len(told) > _MOST_BYTES:
                        return _judged(response, url, (0, "its answer is longer than 64KiB"))
                plain = response.headers.get("content-type", "").startswith(_OTLP)
                whole = plain and "content-encoding" not in response.headers
                return _judged(response, url, refused(told) if whole and response.status_code == 200 else (0, ""))
        except TimeoutError:
            return Answer(False, why=f"{url} did not answer within {self._timeout:g} s")
        except (httpx.HTTPError, OSError, ValueError) as problem:
            return Answer(False, why=f"{url}: {clean(str(problem)) or type(problem).__name__}")


def _judged(response: httpx.Response, url: str, told: tuple[int, str]) -> Answer:
    """Return what an answer means. told: items that were not taken, and why."""
    status = response.status_code
    if status in _AGAIN:
        return Answer(False, why=f"{url} answered {status}", pause=patience(response.headers.get("retry-after")))
    if 200 <= status < 300:
        refused, why = told
        return Answer(True, refused, f"{url} did not take {refused}: {clean(why)}" if refused else clean(why))
    return Answer(True, 1 << 62, f"{url} answered {status}")


def patience(value: str | None) -> float:
    """Return the seconds that Retry-After asks for (RFC 9110 section 10.2.3), within bounds; below 0 where it asks for none."""
    if not value:
        return -1.0
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MOST_PATIENCE)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return -1.0
    left = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)) - datetime.now(UTC)
    return min(max(0.0, left.total_seconds()), MOST_PATIENCE)


def _refused_spans(body: bytes) -> tuple[int, str]:
    answer = ExportTraceServiceResponse()
    if not _read(answer, body):
        return 0, "its answer is not OTLP"
    return max(0, answer.partial_success.rejected_spans), answer.partial_success.error_message


def _refused_records(body: bytes) -> tuple[int, str]:
    answer = ExportLogsServiceResponse()
    if not _read(answer, body):
        return 0, "its answer is not OTLP"
    return max(0, answer.partial_success.rejected_log_records), answer.partial_success.error_message


def _read(message: Message, body: bytes) -> bool:
    try:
        message.ParseFromString(body)
    except DecodeError:
        return False
    return True
