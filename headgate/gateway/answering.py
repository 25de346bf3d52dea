"""An answer in the gateway's own name, as bytes: what the renderer made of the cause, plus the head around it."""

from typing import TYPE_CHECKING, Final

from ..model.cause import Cause
from ..render.story import repeatable
from ..wire.fields import find

if TYPE_CHECKING:
    from .ending import Ending
    from .worker import Worker

_MAY_COME_AGAIN: Final = (502, 503, 504)


def answer_bytes(worker: "Worker", flow: "Ending", *, keep: bool) -> bytes:
    """Return the whole response for a failed or refused exchange, and note its status on the record."""
    cause = flow.cause
    assert cause is not None
    readable = bool(flow.path)  # a request that could not be read has no fields to believe
    answer = worker.errors.answer(
        flow,
        accept=find(flow.raw, b"accept") if readable else None,
        content_type=find(flow.raw, b"content-type") if readable and flow.method == b"POST" else None,  # gRPC is POST
        details=flow.trusted,
        retry_after=_retry_after(flow, cause),
    )
    flow.status = answer.status
    connection = b"" if keep and flow.version else b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"
    body = b"" if flow.method == b"HEAD" else answer.body
    flow.head_sent = -len(body)
    data = b"HTTP/1.1 %d %b\r\nDate: %b\r\nServer: headgate\r\n%b%b\r\n%b" % (
        answer.status,
        answer.reason,
        worker.recorder.http_date(),
        answer.fields,
        connection,
        body,
    )
    flow.head_sent += len(data)
    return data


def _retry_after(flow: "Ending", cause: Cause) -> int | None:
    """Return after how many seconds the client may ask again; None where that is unknown, or could do harm."""
    return cause.wait if cause.status in _MAY_COME_AGAIN and repeatable(flow, cause) else None
