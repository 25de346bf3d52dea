"""The shapes that chats take: Slack, Microsoft Teams, Discord. Foreign text is shown in them; it formats nothing, calls nobody.

Sources. Slack: docs.slack.dev/reference/block-kit (header 150 characters, section text 3000, field 2000, 10 fields, 50 blocks),
docs.slack.dev/messaging/formatting-message-text (escaping, `verbatim`). Teams: learn.microsoft.com/connectors/teams ("When a
Teams webhook request is received": a message with Adaptive Cards as attachments), adaptivecards.io/explorer (a TextRun knows no
Markdown), 28 KB. Discord: discord.com/developers/docs/resources/webhook (allowed_mentions) and message#embed-object-embed-limits
(title 256, description 4096, 25 fields of 256 and 1024, footer 2048, 6000 in all).
"""

import re
from datetime import UTC, datetime
from typing import Any, Final

from .words import CRITICAL, INFO, Told

_COLOURS: Final = {"over": 0x2E7D32, CRITICAL: 0xC62828, "warning": 0xEF6C00, INFO: 0x546E7A}
_AT: Final = re.compile("@(?=[^\u200b])|@$")
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()<>#|~:>-])")
_TEAMS_BYTES: Final = 24_000
"""What a message to Teams may have of its 28 KB."""


def colour(told: Told) -> int:
    """Return red, orange, grey or green, as 0xRRGGBB."""
    return _COLOURS["over" if told.over else told.severity]


def cut(text: str, longest: int) -> str:
    """Return a text of at most so many characters, counted as most products do: in UTF-16 code units."""
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 <= longest:
        return text
    kept = text.encode("utf-16-le", "surrogatepass")[: 2 * (longest - 1)].decode("utf-16-le", "ignore")
    return kept + "…"


def quiet(text: str) -> str:
    """Return a text in which no @ calls anybody: an invisible space stands behind each."""
    return _AT.sub("@\u200b", text)


# Slack, and what takes its messages (Mattermost, Rocket.Chat, Zulip).


def slack(told: Told) -> dict[str, Any]:
    """Return the body of an incoming webhook. What knows no blocks shows `text`."""
    body = [_slack_text(told.text, 3000)] if told.text else []
    body += [_slack_text("\n".join(f"• {_slack_escaped(line)}" for line in told.lines), 3000, escaped=True)] if told.lines else []
    fields = [_slack_object(f"*{_slack_escaped(name)}*\n{_slack_escaped(value)}", 2000) for name, value in told.facts[:10]]
    body += [{"type": "section", "fields": fields}] if fields else []
    if told.steps:
        steps = "\n".join(f"• {_slack_escaped(step)}" for step in told.steps)
        body.append(_slack_text(f"*What to do*\n{steps}", 3000, escaped=True))
    if told.link:
        button = {"type": "plain_text", "text": "Open the incident", "emoji": False}
        body.append({"type": "actions", "elements": [{"type": "button", "text": button, "url": cut(told.link, 3000)}]})
    headline = quiet(told.title).translate({0x3C: "\u2039", 0x3E: "\u203a"})  # plain text cannot be escaped
    title = {"type": "plain_text", "text": cut(headline, 150), "emoji": False}
    summary = _slack_cut(_slack_escaped(" ".join(filter(None, (f"{told.title}.", told.text, *told.lines)))), 3000)
    return {
        "text": summary,
        "attachments": [{
            "color": f"#{colour(told):06x}", "fallback": summary, "blocks": [{"type": "header", "text": title}, *body],
        }],
    }  # fmt: skip


def _slack_escaped(text: str) -> str:
    """Return a text in which nothing is a link, a mention or a command: `<!channel>` is six characters and a word."""
    return quiet(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _slack_cut(text: str, longest: int) -> str:
    """Return an escaped text, not cut within an entity."""
    kept = cut(text, longest)
    return kept if kept == text else re.sub(r"&[a-z]{0,4}…$", "…", kept)


def _slack_object(text: str, longest: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": _slack_cut(text, longest), "verbatim": True}


def _slack_text(text: str, longest: int, *, escaped: bool = False) -> dict[str, Any]:
    return {"type": "section", "text": _slack_object(text if escaped else _slack_escaped(text), longest)}


# Microsoft Teams.


def teams(told: Told) -> dict[str, Any]:
    """Return a message with an Adaptive Card, as a workflow in Teams takes it."""
    style = "good" if told.over else {"critical": "attention", "warning": "warning"}.get(told.severity, "default")
    room = [_TEAMS_BYTES]
    body = [_teams_text(told.title, room, weight="bolder", size="large", color=style), _teams_text(told.text, room)]
    body += [_teams_text(f"• {line}", room) for line in told.lines]
    body += [_teams_fact(name, value, room) for name, value in told.facts]
    body += [_teams_text("What to do", room, weight="bolder")] if told.steps else []
    body += [_teams_text(f"• {step}", room) for step in told.steps]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "msteams": {"width": "Full"}, "body": [block for block in body if block is not None],
    }  # fmt: skip
    if told.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the incident", "url": told.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _teams_run(text: str, room: list[int], **more: str) -> dict[str, Any]:
    """Return a run of text as it is: unlike a TextBlock it knows no Markdown. room: bytes that are left."""
    kept = text if len(text.encode()) <= room[0] else ""
    room[0] -= len(kept.encode())
    return {"type": "TextRun", "text": quiet(kept) or "…", **more}


def _teams_text(text: str, room: list[int], **more: str) -> dict[str, Any] | None:
    return {"type": "RichTextBlock", "inlines": [_teams_run(text, room, **more)]} if text else None


def _teams_fact(name: str, value: str, room: list[int]) -> dict[str, Any]:
    runs = [_teams_run(f"{name}: ", room, weight="bolder"), _teams_run(value, room)]
    return {"type": "RichTextBlock", "spacing": "none", "inlines": runs}


# Discord.


def discord(told: Told) -> dict[str, Any]:
    """Return the body of a webhook: one embed, nobody mentioned."""
    parts = [told.text, "\n".join(f"• {line}" for line in told.lines)]
    parts += ["\n".join(["What to do:", *(f"• {step}" for step in told.steps)])] if told.steps else []
    title = cut(_discord_escaped(told.title), 256)
    description = cut(_discord_escaped("\n\n".join(filter(None, parts))), 3500)
    fields = []
    room = 5800 - len(title) - len(description)
    for name, value in told.facts[:25]:
        field = {"name": cut(name, 256), "value": cut(_discord_escaped(value), 1024), "inline": len(value) < 40}
        room -= len(str(field["name"])) + len(str(field["value"]))
        if room > 0:
            fields.append(field)
    embed: dict[str, Any] = {"title": title, "description": description, "color": colour(told), "fields": fields}
    if told.link:
        embed["url"] = told.link
    if told.at > 0:
        embed["timestamp"] = stamp(told.at)
    return {"allowed_mentions": {"parse": []}, "embeds": [embed]}


def _discord_escaped(text: str) -> str:
    return quiet(_MARKDOWN.sub(r"\\\1", text))


def stamp(at: float) -> str:
    """Return wall-clock seconds as ISO 8601 has them; the epoch where that is no time."""
    try:
        made = datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):
        made = datetime.fromtimestamp(0, UTC)
    return made.isoformat(timespec="milliseconds").replace("+00:00", "Z")
