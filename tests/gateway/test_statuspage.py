"""The public status page: what it says of services, where it is served, and what it never tells."""

import json
import re
from pathlib import Path

import pytest

from headgate.config.load import load
from headgate.render.page import BadTemplate
from headgate.render.publicpage import PublicPage, headline

DOCS = Path(__file__).parents[2] / "docs" / "error-page.md"


def get(path="/status", fields="", method="GET", host="x"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode()


async def start(stage, *servers, page="", **settings):
    """Start a gateway with a status page: the text goes to the end of its file."""
    await stage.gateway(*servers, route=f"\n[status_page]\n{page}", **settings)


async def told(stage, path="/status.json"):
    head, body = await stage.ask(get(path))
    assert head.startswith(b"HTTP/1.1 200 "), head
    return json.loads(body)


def test_without_services_everything_is_one(play):
    async def part(stage):
        origin = await stage.origin()
        await start(stage, origin, page='title = "Example"')
        head, body = await stage.ask(get())
        assert b"Content-Type: text/html" in head
        assert b"Content-Security-Policy: default-src 'none'; style-src 'sha256-" in head
        assert b"Everything works" in body
        found = await told(stage)
        assert [(one["name"], one["state"]) for one in found["services"]] == [("Example", "working")]
        assert [day["minutes"] for day in found["services"][0]["days"]] == [None] * 29 + [0]
        assert origin.seen == 0
        await stage.quiet()

    play(part)


def test_states(play):
    async def part(stage):
        origin = await stage.origin()
        names = "".join(f'[[status_page.service]]\nname = "{name}"\n{key}\n' for name, key in (
            ("One", 'upstreams = ["app"]'), ("Two", 'routes = ["old"]'), ("Both", 'upstreams = ["app"]\nroutes = ["old"]'),
        ))  # fmt: skip
        await stage.gateway(
            origin, route=f'[[route]]\nname = "old"\npath = "/old"\nmaintenance = true\n[status_page]\ntitle = "T"\n{names}'
        )
        states = [one["state"] for one in (await told(stage))["services"]]
        assert states == ["working", "maintenance", "disturbed"]
        origin.stop()
        for _ in range(3):
            await stage.ask(get("/"))
        stage.worker.status_page._ready.clear()
        found = await told(stage)
        assert [one["state"] for one in found["services"]] == ["down", "maintenance", "down"]
        assert (found["state"], found["headline"]) == ("down", "2 of 3 services are not working")
        assert found["services"][0]["since"] is not None
        await stage.quiet()

    play(part)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ((), "Everything works"), (("working", "working"), "Everything works"), (("down", "down"), "Nothing works"),
        (("down", "working"), "A is not working"), (("down", "down", "working"), "2 of 3 services are not working"),
        (("disturbed",), "A is disturbed"), (("maintenance", "maintenance"), "Everything is in maintenance"),
        (("maintenance", "disturbed"), "B is disturbed"),
    ],
)  # fmt: skip
def test_headlines(states, said):
    assert headline([{"name": name, "state": state} for name, state in zip("ABC", states, strict=False)]) == said


def test_where_and_as_what_it_is_served(play):
    async def part(stage):
        origin = await stage.origin()
        await start(stage, origin, page='host = "status.example.org"\npath = "/"')
        for host, path, form in (
            ("status.example.org", "/", b"text/html"), ("STATUS.example.org:8443", "/", b"text/html"),
            ("status.example.org", "/status.json", b"application/json"),
        ):  # fmt: skip
            head, _ = await stage.ask(get(path, host=host))
            assert b"Content-Type: " + form in head, host
        assert origin.seen == 0
        for host, path in (("example.org", "/"), ("status.example.org", "/other"), ("status.example.org.evil", "/status.json")):
            assert (await stage.ask(get(path, host=host)))[1] == b"ok"
        assert origin.seen == 3
        head, _ = await stage.ask(get("/", "Accept: application/json\r\n", host="status.example.org"))
        assert b"Content-Type: application/json" in head
        head, body = await stage.ask(get("/", "Content-Length: 0\r\n", "POST", host="status.example.org"))
        assert (head.split()[1], body) == (b"405", b"")
        await stage.quiet()

    play(part)


def test_hostile_texts_stay_texts(play):
    async def part(stage):
        text = "<script>alert(1)</script>{{ 7 * 7 }}\"'&"
        await start(
            stage, await stage.origin(), page=f"title = {json.dumps(text)}\n[[status_page.message]]\ntext = {json.dumps(text)}\n"
        )
        _, body = await stage.ask(get())
        page = body.decode()
        assert page.count("<script>") == 1
        assert "49" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).replace("11-49", "")
        assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
        await stage.quiet()

    play(part)


def test_messages_have_their_time(play):
    async def part(stage):
        messages = "".join(
            f'[[status_page.message]]\ntext = "{text}"\n{times}\n' for text, times in (
                ("now", ""), ("over", 'until = "2020-01-01T00:00:00Z"'), ("later", 'since = "2999-01-01T00:00:00+02:00"'),
                ("between", 'since = "2020-01-01T00:00:00Z"\nuntil = "2999-01-01T00:00:00Z"'),
            )
        )  # fmt: skip
        await start(stage, await stage.origin(), page=messages)
        assert [one["text"] for one in (await told(stage))["messages"]] == ["now", "between"]
        await stage.quiet()

    play(part)


def test_days_come_from_the_control_process(play):
    async def part(stage):
        await start(stage, await stage.origin(), page="days = 3")
        today = int(stage.worker.wall()) // 86_400
        stage.worker.public.told({"upstreams": {}, "days": {"app": [[today, 5], [today - 2, 9000]]}, "first_day": today - 1})
        days = (await told(stage))["services"][0]["days"]
        assert [day["minutes"] for day in days] == [None, 0, 5]
        stage.worker.public.told({"upstreams": {}, "days": {"app": [[today - 2, 9000]]}, "first_day": today - 9})
        stage.worker.status_page._ready.clear()
        assert [day["minutes"] for day in (await told(stage))["services"][0]["days"]] == [1440, 0, 0]
        await stage.quiet()

    play(part)


def test_an_own_template(play, tmp_path):
    async def part(stage):
        (stage.folder / "own.html").write_text(
            "<p>{{ title }}: {% for s in services %}{{ s.name }} {{ s.state }}{% endfor %}</p>"
        )
        await start(stage, await stage.origin(), page='title = "<T>"\ntemplate = "own.html"')
        head, body = await stage.ask(get())
        assert body == b"<p>&lt;T&gt;: &lt;T&gt; working</p>"
        assert b"Content-Security-Policy" not in head, "it brings its own"
        (stage.folder / "own.html").write_text("{{ nothing.such }}")
        with pytest.raises(BadTemplate, match=r"status_page.template: .*own.html:1: 'nothing' is undefined"):
            stage.worker.apply(load(stage.folder / "headgate.toml"))
        assert (await stage.ask(get()))[1] == b"<p>&lt;T&gt;: &lt;T&gt; working</p>", "nothing has changed"
        await stage.quiet()

    play(part)


def test_a_template_that_is_not_there():
    with pytest.raises(BadTemplate, match=r"status_page.template: cannot read"):
        PublicPage("/nowhere/page.html")


def test_it_is_made_once_a_second(play):
    async def part(stage):
        await start(stage, await stage.origin())
        made = []
        page = stage.worker.status_page
        telling = page._told
        page._told = lambda worker, at: made.append(at) or telling(worker, at)
        stage.worker.wall = lambda: 1_800_000_000.5
        for _ in range(10):
            await stage.ask(get())
        assert len(made) == 1
        stage.worker.wall = lambda: 1_800_000_001.5
        await stage.ask(get())
        assert len(made) == 2
        await stage.quiet()

    play(part)


def test_the_examples_of_the_documentation(play):
    text = DOCS.read_text()
    pages = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (own,) = re.findall(r"```html\n(.*?)```", text, re.DOTALL)

    async def part(stage):
        (stage.folder / "example.toml").write_text(next(page for page in pages if "[status_page]" in page))
        found = load(stage.folder / "example.toml")
        assert [service.name for service in found.status_page.service] == ["Shop", "Archive"]
        (stage.folder / "own.html").write_text(own)
        origin = await stage.origin()
        await stage.gateway(origin, gateway={"pages": {"html": str(stage.folder / "own.html")}})
        origin.stop()
        for _ in range(2):
            _, body = await stage.ask(get("/", "Accept: text/html\r\n"))
        assert b'await fetch("/.well-known/headgate/status?of=' in body
        assert b"<p>Since <time>" in body
        await stage.quiet()

    play(part)
