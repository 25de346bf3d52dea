"""What each product is sent is what its documentation asks for, whatever strings are in it, and however long they are."""

import json
import re
from typing import Any

import jsonschema
import pytest

from headgate.notify import chats, pagers
from headgate.notify.courier import KINDS, Command, Courier, shown
from headgate.notify.http import Post
from headgate.notify.mail import html
from headgate.notify.words import together, told

from .conftest import destination, message

TEXT = {"type": "string", "minLength": 1}


def text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def table(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object", "properties": {**required, **(optional or {})}, "required": list(required),
        "additionalProperties": False,
    }  # fmt: skip


# docs.slack.dev/reference/block-kit/blocks and .../composition-objects/text-object
MRKDWN = table({"type": {"const": "mrkdwn"}, "text": text(3000), "verbatim": {"const": True}})
PLAIN = table({"type": {"const": "plain_text"}, "text": text(150), "emoji": {"const": False}})
BUTTON = table({"type": {"const": "button"}, "text": PLAIN, "url": text(3000)})
BLOCK = {"oneOf": [
    table({"type": {"const": "header"}, "text": PLAIN}),
    table({"type": {"const": "section"}, "text": MRKDWN}),
    table({"type": {"const": "section"}, "fields": {"type": "array", "maxItems": 10, "items": {
        **MRKDWN, "properties": {**MRKDWN["properties"], "text": text(2000)},
    }}}),
    table({"type": {"const": "actions"}, "elements": {"type": "array", "maxItems": 25, "items": BUTTON}}),
]}  # fmt: skip
SLACK = table({"text": text(3000), "attachments": {"type": "array", "items": table({
    "color": {"pattern": "^#[0-9a-f]{6}$"}, "fallback": TEXT, "blocks": {"type": "array", "maxItems": 50, "items": BLOCK},
})}})  # fmt: skip

# adaptivecards.io/explorer, learn.microsoft.com/connectors/teams
RUN = table({"type": {"const": "TextRun"}, "text": TEXT}, {
    "weight": {"enum": ["bolder"]}, "size": {"enum": ["large"]}, "color": {"enum": ["good", "attention", "warning", "default"]},
})  # fmt: skip
RICH = table({"type": {"const": "RichTextBlock"}, "inlines": {"type": "array", "minItems": 1, "items": RUN}}, {"spacing": TEXT})
CARD = table({
    "$schema": TEXT, "type": {"const": "AdaptiveCard"}, "version": {"const": "1.4"}, "msteams": {"const": {"width": "Full"}},
    "body": {"type": "array", "items": RICH, "minItems": 1},
}, {"actions": {"type": "array", "items": table({"type": {"const": "Action.OpenUrl"}, "title": TEXT, "url": TEXT})}})  # fmt: skip
TEAMS = table({"type": {"const": "message"}, "attachments": {"type": "array", "minItems": 1, "items": table({
    "contentType": {"const": "application/vnd.microsoft.card.adaptive"}, "contentUrl": {"type": "null"}, "content": CARD,
})}})  # fmt: skip

# discord.com/developers/docs/resources/webhook, .../message#embed-object
FIELD = table({"name": text(256), "value": text(1024), "inline": {"type": "boolean"}})
EMBED = table({"title": text(256), "description": text(4096), "color": {"type": "integer", "minimum": 0, "maximum": 0xFFFFFF}}, {
    "fields": {"type": "array", "maxItems": 25, "items": FIELD}, "url": TEXT, "timestamp": TEXT,
})  # fmt: skip
DISCORD = table({
    "allowed_mentions": {"const": {"parse": []}}, "embeds": {"type": "array", "minItems": 1, "maxItems": 10, "items": EMBED},
})  # fmt: skip

# developer.pagerduty.com/docs/events-api-v2/trigger-events
EVENT = {
    "routing_key": {"type": "string"},
    "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
    "dedup_key": text(255),
}
PAGERDUTY = table(EVENT, {
    "payload": table({
        "summary": text(1024), "source": TEXT, "severity": {"enum": ["critical", "error", "warning", "info"]},
    }, {
        "timestamp": TEXT, "component": {"type": "string"}, "group": TEXT, "class": TEXT,
        "custom_details": {"type": "object", "additionalProperties": {"type": "string"}},
    }),
    "client": TEXT, "client_url": TEXT, "links": {"type": "array", "items": table({"href": TEXT, "text": TEXT})},
})  # fmt: skip

# docs.opsgenie.com/docs/alert-api
OPSGENIE = table({"message": text(130), "alias": text(512)}, {
    "description": text(15_000), "priority": {"enum": ["P1", "P2", "P3", "P4", "P5"]}, "source": text(100),
    "entity": {"type": "string", "maxLength": 512}, "tags": {"type": "array", "maxItems": 20, "items": text(50)},
    "details": {"type": "object", "additionalProperties": {"type": "string"}},
})  # fmt: skip

# api/v2/openapi.yaml of github.com/prometheus/alertmanager: postableAlerts
LABELS = {"type": "object", "additionalProperties": {"type": "string"}, "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
ALERTS = {"type": "array", "minItems": 1, "items": table(
    {"labels": {**LABELS, "required": ["alertname", "severity"]}},
    {"annotations": LABELS, "startsAt": TIME, "endsAt": TIME, "generatorURL": TEXT},
)}  # fmt: skip

SCHEMAS = {
    "slack": SLACK,
    "teams": TEAMS,
    "discord": DISCORD,
    "pagerduty": PAGERDUTY,
    "opsgenie": OPSGENIE,
    "alertmanager": ALERTS,
}
WHATS = ["opened", "worse", "changed", "reopened", "resolved", "acknowledged"]
HOSTILE = [
    "<!channel> @everyone <@U024BE7LH> @here",
    "[click](http://evil.example) *bold* `code` ~~gone~~ ||hidden||",
    "</script><script>alert(1)</script>\"'&lt;",
    "a\r\nBcc: victim@example.org\r\n\r\nbody",
    "\x1b]0;owned\x07\x00\u202e\u200f\ud800",
    "{{ 7*7 }} {% for x in y %} ${HOME} $(reboot) `reboot` ; rm -rf /",
    "\U0001d518\U0001f469\u200d\U0001f469\u200d\U0001f467" * 200,
    "x" * 100_000,
    "&" * 100_000,
    "@" * 50_000,
]


def courier(kind: str) -> Courier:
    more: dict[str, Any] = {"url": "http://127.0.0.1:9/x"}
    if kind == "email":
        more = {"email": {"server": "127.0.0.1", "from": "a@b.example", "to": ("c@d.example",)}}
    if kind == "command":
        more = {"command": ("/bin/true",)}
    return Courier("there", destination(kind, **more), "web1")


def hostile(value: str, what: str = "opened") -> Any:
    """Return a message in which every text is this one."""
    found = message(
        what, upstream=value, server=value, cause=value, phase=value, acknowledged={"by": value, "note": value, "at": 1.0},
        servers=[{"server": value, "failed": 1, "seen": 1, "rescued": 0}], routes=[{"route": value, "count": 3}] * 50,
        routes_count=900,
    )  # fmt: skip
    actions = [{"who": "operator", "text": value, "command": value}]
    verdict = {"verdict": value, "cause": "connection-refused", "confidence": value, "actions": actions}
    found.subject["verdicts"] = [{"verdict": verdict}]
    return found


def body_of(kind: str, *messages: Any) -> Any:
    made = courier(kind).make(list(messages))
    assert len(made) == 1
    assert isinstance(made[0], Post)
    made[0].body.decode("ascii")
    return json.loads(made[0].body)


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("what", WHATS)
def test_messages_are_as_the_documentation_asks(kind: str, what: str) -> None:
    body = body_of(kind, message(what, acknowledged={"by": "ann", "note": "on it", "at": 5.0}))
    schema = SCHEMAS[kind]
    if kind == "opsgenie" and what in ("resolved", "acknowledged"):
        schema = table({"source": text(100), "note": text(25_000)})
    jsonschema.validate(body, schema)
    if kind == "pagerduty":
        action = {"resolved": "resolve", "acknowledged": "acknowledge"}.get(what, "trigger")
        assert body["event_action"] == action
        assert ("payload" in body) is (action == "trigger")


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_and_huge_texts_fit_in(kind: str, number: int) -> None:
    body = body_of(kind, hostile(HOSTILE[number]))
    jsonschema.validate(body, SCHEMAS[kind])
    whole = json.dumps(body, ensure_ascii=False)
    assert "\x1b" not in json.loads(json.dumps(whole))
    assert "\u202e" not in whole
    limits = {
        "teams": 28_000,
        "slack": 40_000,
        "discord": 40_000,
        "pagerduty": 512_000,
        "opsgenie": 64_000,
        "alertmanager": 64_000,
    }
    assert len(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")) < limits[kind]
    if kind == "discord":
        embed = body["embeds"][0]
        parts = [embed["title"], embed["description"], *(part[key] for part in embed["fields"] for key in ("name", "value"))]
        assert sum(len(part.encode("utf-16-le")) // 2 for part in parts) <= 6000
    if kind == "opsgenie":
        assert sum(len(key) + len(value) for key, value in body["details"].items()) <= 8000


@pytest.mark.parametrize("kind", ["slack", "teams", "discord"])
def test_nobody_is_called(kind: str) -> None:
    body = body_of(kind, hostile(HOSTILE[0]))
    whole = json.dumps(body, ensure_ascii=False)
    if kind == "slack":
        assert "<" not in whole
    elif kind == "discord":
        assert body["allowed_mentions"] == {"parse": []}
        assert re.findall(r"(?<!\\)<", whole) == []
    else:
        assert "entities" not in whole  # without which nothing in a card is a mention
    assert re.findall(r"@(?!\u200b)", whole) == []


def test_slack_shows_what_was_there() -> None:
    body = body_of("slack", hostile("a<b>&c"))
    assert "a&lt;b&gt;&amp;c" in body["text"]


def test_an_escaped_text_is_not_cut_within_an_entity() -> None:
    for length in range(2990, 3010):
        shape = chats.slack(told(hostile("&" * length)))
        for part in re.findall(r'"mrkdwn", "text": "([^"]*)"', json.dumps(shape, ensure_ascii=False)):
            assert not re.search(r"&(?!amp;|lt;|gt;)", part)


def test_texts_are_counted_as_products_count() -> None:
    assert chats.cut("👩" * 10, 10) == "👩" * 4 + "…"
    assert chats.cut("a" * 10, 10) == "a" * 10


@pytest.mark.parametrize("value", HOSTILE)
def test_mail_keeps_its_header_and_its_html(value: str) -> None:
    made = courier("email").make([hostile(value)])[0]
    raw = made.as_bytes()
    header = raw.partition(b"\n\n")[0]
    assert b"\nBcc:" not in header
    names = [line.split(b":")[0].decode() for line in header.splitlines() if not line[:1].isspace()]
    assert names == [
        "From", "To", "Subject", "Date", "Message-ID", "References", "In-Reply-To", "Auto-Submitted", "X-Headgate-Gateway",
        "MIME-Version", "Content-Type",
    ]  # fmt: skip
    page = html(told(hostile(value)))
    assert "<script" not in page
    assert set(re.findall(r"<(\w+)", page)) <= {"html", "body", "h2", "h3", "p", "ul", "li", "table", "tr", "td", "a"}


def test_mails_of_one_incident_are_one_conversation() -> None:
    opened, resolved = (courier("email").make([message(what)])[0] for what in ("opened", "resolved"))
    other = courier("email").make([message(id="BBBB")])[0]
    assert opened["References"] == resolved["References"] != other["References"]
    assert opened["Message-ID"] != resolved["Message-ID"]


def test_a_link_is_only_followed_where_it_leads_to_the_web() -> None:
    found = told(message())
    assert 'href="http://gate.example/incidents/AAAA"' in html(found)
    assert "href" not in html(type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"link": "javascript:x"}))


@pytest.mark.parametrize("value", HOSTILE)
def test_commands_get_data_and_nothing_else(value: str) -> None:
    made = courier("command").make([hostile(value)])[0]
    assert isinstance(made, Command)
    assert made.arguments == ("/bin/true",)
    assert all("\0" not in text and len(text) <= 4000 for text in made.extra.values())
    assert json.loads(made.said)["version"] == 1


def test_alerts_keep_their_labels_while_counts_change() -> None:
    first, later = (message(failed=count, seen=count, last=count) for count in (1, 1000))
    assert pagers.labels(first, "critical", "web1") == pagers.labels(later, "critical", "web1")


def test_several_changes_are_one_message() -> None:
    many = [message(id=f"I{number}") for number in range(40)] + [message("resolved", id="Z")]
    body = body_of("slack", *many)
    jsonschema.validate(body, SLACK)
    assert "40 opened, 1 resolved" in body["text"]
    whole = together(many)
    assert len(whole.lines) == 21
    assert whole.lines[-1] == "and 21 more"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shown_can_be_read(kind: str) -> None:
    found = shown(courier(kind).make([message()])[0])
    assert "refused the connection" in found


def test_a_test_says_so_everywhere() -> None:
    for kind in KINDS:
        found = shown(courier(kind).make([message("test", test=True)])[0])
        found = found.replace("\\", "")
        assert "[TEST]" in found, kind
        assert "This is a test" in found.replace("=\n", "").replace("\\", ""), kind
