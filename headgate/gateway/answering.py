"""An answer in the gateway's own name, as bytes: what the renderer made of the cause, plus the head around it."""

from math import ceil
from typing import TYPE_CHECKING, Final

from ..model.cause import Cause
from ..render.server_timing import server_timing
from ..render.story import repeatable
from ..wire.fields import find

if TYPE_CHECKING:
    from .ending import Ending
    from .worker import Worker

_MAY_COME_AGAIN: Final = (502, 503, 504)
_RETRY_AFTER: Final = b"Retry-After:"


def answer_bytes(worker: "Worker", flow: "Ending", *, keep: bool) -> bytes:
    """Return the whole response for a failed or refused exchange, and note its status on the record."""
    cause = flow.cause
    assert cause is not None
    wait = _retry_after(flow, cause)
    readable = bool(flow.path)  # a request that could not be read has no fields to believe
    answer = worker.errors.answer(
        flow,
        accept=find(flow.raw, b"accept") if readable else None,
        content_type=find(flow.raw, b"content-type") if readable and flow.method == b"POST" else None,  # gRPC is POST
        details=flow.trusted,
        retry_after=wait,
        trouble=worker.public.trouble,
    )
    flow.status = answer.status
    connection = b"" if keep and flow.version else b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"
    body = b"" if flow.method == b"HEAD" else answer.body
    timing = server_timing(flow, flow.t_end) if flow.trusted else b""
    flow.head_sent = -len(body)
    data = b"HTTP/1.1 %d %b\r\nDate: %b\r\nServer: headgate\r\n%b%b%b\r\n%b" % (
        answer.status,
        answer.reason,
        worker.recorder.http_date(),
        answer.fields,
        (flow.notes if wait is None else _without_retry_after(flow.notes)) + timing,
        connection,
        body,
    )
    flow.head_sent += len(data)
    return data


def _retry_after(flow: "Ending", cause: Cause) -> int | None:
    """Return after how many seconds the client may ask again; None where that is unknown, or could do harm.

    What was counted in this case (a rate limit, an open circuit) comes before what is usual for the cause.
    """
    if not repeatable(flow, cause):
        return None
    counted = flow.facts.get("retry_after") if flow.facts else None
    if counted is not None:
        return max(1, ceil(counted))
    return cause.wait if cause.status in _MAY_COME_AGAIN else None


def _without_retry_after(lines: bytes) -> bytes:
    """Return header lines without that field: the renderer has written it, on the page too."""
    if _RETRY_AFTER not in lines:
        return lines
    return b"".join([line for line in lines.splitlines(keepends=True) if not line.startswith(_RETRY_AFTER)])
