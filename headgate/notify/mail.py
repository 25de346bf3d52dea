"""Owns how mail is made and sent: plain text and HTML, one conversation for each incident, by SMTP in a thread of its own."""

import asyncio
import contextlib
import smtplib
import socket
import ssl
import threading
from email.message import EmailMessage
from email.utils import formatdate
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final

from ..config.endpoints import split_host
from ..config.notify import Email
from .chats import colour, cut
from .failing import Late, NotSent
from .http import why
from .words import Told

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_SUBJECT: Final = 200


def mail(email: Email, told: Told, thread: str, number: str, origin: str) -> EmailMessage:
    """Return a mail. thread: what all mails of an incident share, "" for none. number: what tells this one from others."""
    made = EmailMessage()
    domain = email.sender.rpartition("@")[2]
    made["From"] = f"Headgate <{email.sender}>"
    made["To"] = ", ".join(email.recipients)
    made["Subject"] = cut(f"[headgate] {told.title}", _SUBJECT)  # one line: control characters are spelled out
    made["Date"] = formatdate(told.at if 0 < told.at < 4e9 else None)
    made["Message-ID"] = f"<{_digest(number)}@{domain}>"
    if thread:
        made["References"] = made["In-Reply-To"] = f"<{_digest(thread)}.thread@{domain}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices, please
    made["X-Headgate-Gateway"] = origin.encode("ascii", "replace").decode()
    made.set_content(f"{told.headline}\n\n{told.plain()}\n")
    made.add_alternative(html(told), subtype="html")
    return made


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def html(told: Told) -> str:
    """Return a message as a small HTML page without pictures, scripts or anything from elsewhere."""
    rows = "".join(
        f'<tr><td style="padding:2px 12px 2px 0;color:#666">{escape(name)}</td><td>{escape(value)}</td></tr>'
        for name, value in told.facts
    )
    lines = "".join(f"<li>{escape(line)}</li>" for line in told.lines)
    steps = "".join(f"<li>{escape(step)}</li>" for step in told.steps)
    safe = told.link.startswith(("http://", "https://"))
    parts = [
        f'<h2 style="margin:0 0 8px;border-left:6px solid #{colour(told):06x};padding-left:10px">{escape(told.title)}</h2>',
        f"<p>{escape(told.text)}</p>" if told.text else "",
        f"<ul>{lines}</ul>" if lines else "",
        f"<table>{rows}</table>" if rows else "",
        f"<h3>What to do</h3><ul>{steps}</ul>" if steps else "",
        f'<p><a href="{escape(told.link)}">Open the incident</a></p>' if safe else "",
    ]
    body = "".join(parts)
    return f'<!doctype html><html><body style="font-family:sans-serif;font-size:15px;line-height:1.4">{body}</body></html>\n'


async def send(email: Email, made: EmailMessage, seconds: float) -> str:
    """Send a mail; return what the server said. Raises NotSent, Late."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | NotSent] = loop.create_future()

    def tell(result: str | NotSent) -> None:
        if not done.done():
            done.set_result(result)

    def work() -> None:
        result: str | NotSent
        try:
            result = _send(email, made, seconds)
        except NotSent as problem:
            result = problem
        except Exception as problem:  # whatever a server does to smtplib, the waiting one has to hear of it
            result = NotSent(f"{type(problem).__name__}: {problem}", again=True)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=work, daemon=True, name="headgate-mail").start()
    try:
        async with asyncio.timeout(seconds):
            result = await done
    except TimeoutError:
        raise Late(f"no answer within {seconds:g} s") from None
    if isinstance(result, NotSent):
        raise result
    return result


def _send(email: Email, made: EmailMessage, seconds: float) -> str:
    try:
        password = Path(email.password_file).read_text(encoding="utf-8").strip() if email.password_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise NotSent(f"{email.password_file}: {getattr(error, 'strerror', None) or error}", again=True) from None
    try:
        with _connected(email, seconds) as server:
            if email.user is not None:
                server.login(email.user, password)
            refused = server.send_message(made, email.sender, list(email.recipients))
    except smtplib.SMTPException as error:
        raise _refused(error, password) from None
    except (OSError, ssl.SSLError) as error:
        raise NotSent(why(error), again=True) from None
    if refused:
        return f"taken, but not for {', '.join(sorted(refused))}"
    return f"taken for {len(email.recipients)} address{'es' * (len(email.recipients) > 1)}"


def _connected(email: Email, seconds: float) -> smtplib.SMTP:
    """Return a connection. Raises OSError and SMTPException."""
    host, port = split_host(email.server)
    port = port or _PORTS[email.tls]
    here = socket.gethostname()  # else smtplib asks DNS for its own name, which may take its time
    if email.tls == "tls":
        return smtplib.SMTP_SSL(host, port, local_hostname=here, timeout=seconds, context=_context(email))
    server = smtplib.SMTP(host, port, local_hostname=here, timeout=seconds)
    if email.tls == "starttls":
        try:
            server.starttls(context=_context(email))
        except BaseException:
            server.close()
            raise
    return server


def _context(email: Email) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=email.ca)


def _refused(error: smtplib.SMTPException, password: str) -> NotSent:
    """Return what a server said no with. 4xx: not now; 5xx: never (RFC 5321 4.2.1)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = [(code, said) for code, said in error.recipients.values()]
        code, said = max(answers, default=(0, b""))
        again = any(400 <= each < 500 for each, _ in answers)
        return NotSent(f"no address was taken: {code} {_text(said, password)}", again=again)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return NotSent(f"login refused: {error.smtp_code}", again=400 <= error.smtp_code < 500)
    if isinstance(error, smtplib.SMTPResponseException):
        permanent = 500 <= error.smtp_code < 600
        return NotSent(f"answered {error.smtp_code} {_text(error.smtp_error, password)}", again=not permanent)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return NotSent(f"the server cannot do what is asked: {error}", again=False)
    return NotSent("closed the connection" if isinstance(error, smtplib.SMTPServerDisconnected) else "no SMTP", again=True)


def _text(said: bytes | str, password: str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join((text.replace(password, "[redacted]") if password else text).split())[:200]
