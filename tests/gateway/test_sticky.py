"""Clients that stay with their server: bound by a signed cookie, re-bound when it is gone, and never where they choose."""

import time

import pytest

from headgate.traffic.health import Health


def get(*cookies):
    fields = "".join(f"Cookie: {cookie}\r\n" for cookie in cookies)
    return f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def set_cookies(head):
    return [line.split(b": ", 1)[1].decode() for line in head.split(b"\r\n") if line.lower().startswith(b"set-cookie:")]


def state(*events):
    health = Health(time.time())
    for event in events:
        health.hear(event, "a test", time.time())
    return {"health": health.snapshot(), "weight": 1, "until": 0.0, "pardoned": 0.0}


async def bound(stage):
    """Return a cookie as the browser sends it back, and the server that it binds to."""
    head, body = await stage.ask(get())
    (cookie,) = set_cookies(head)
    return cookie.split(";")[0], body


async def stage_of_three(stage, **settings):
    origins = [await stage.origin(name) for name in ("a", "b", "c")]
    await stage.gateway(*origins, policy="round-robin", **{"sticky": {}, **settings})
    return {origin.name.encode(): origin for origin in origins}


def test_a_client_stays_with_its_server(play):
    async def part(stage):
        await stage_of_three(stage)
        for _ in range(6):
            cookie, body = await bound(stage)
            for sent in (cookie, f"theme=dark; {cookie}", f"{cookie}; theme=dark"):
                for _ in range(3):
                    head, again = await stage.ask(get(sent))
                    assert again == body
                    assert set_cookies(head) == [], "it has it already"
        await stage.quiet()

    play(part)


def test_the_cookie_names_no_server_and_says_how_it_is_to_be_kept(play):
    async def part(stage):
        origins = await stage_of_three(stage, sticky={"cookie": "seat", "max_age": "90s"})
        head, body = await stage.ask(get())
        (cookie,) = set_cookies(head)
        value, *attributes = cookie.split("; ")
        assert value.startswith("seat=")
        assert set(attributes) == {"Path=/", "Max-Age=90", "HttpOnly", "SameSite=Lax"}
        assert str(origins[body].port) not in cookie
        await stage.quiet()

    play(part)


def test_a_short_life_is_a_second_at_least(play):
    async def part(stage):
        await stage_of_three(stage, sticky={"max_age": "300ms"})
        head, _ = await stage.ask(get())
        assert "Max-Age=1" in set_cookies(head)[0]

    play(part)


def test_over_tls_it_is_secure(play):
    async def part(stage):
        await stage_of_three(stage)
        stage.worker.secured = True
        stage.reload(*[server.label for server in stage.group.servers], policy="round-robin", sticky={"cookie": "x"})
        head, _ = await stage.ask(get())
        assert "; Secure" in set_cookies(head)[0]

    play(part)


@pytest.mark.parametrize("forge", ["flip", "cut", "other-name", "unsigned", "empty", "long"])
def test_what_was_not_signed_here_is_ignored(play, forge):
    async def part(stage):
        await stage_of_three(stage)
        cookie, _ = await bound(stage)
        name, value = cookie.split("=", 1)
        forged = {
            "flip": f"{name}={value[:-1]}{'A' if value[-1] != 'A' else 'B'}",
            "cut": f"{name}={value[:-1]}",
            "other-name": f"x{name}={value}",
            "unsigned": f"{name}={value.split('.')[0]}",
            "empty": f"{name}=",
            "long": f"{name}={value}{'x' * 2000}",
        }[forge]
        answers = [await stage.ask(get(forged)) for _ in range(6)]
        assert {body for _, body in answers} == {b"a", b"b", b"c"}
        assert all(len(set_cookies(head)) == 1 for head, _ in answers)
        await stage.quiet()

    play(part)


def test_when_its_server_is_gone_the_client_is_bound_to_another(play):
    async def part(stage):
        origins = await stage_of_three(stage)
        cookie, body = await bound(stage)
        origins[body].stop()
        head, other = await stage.ask(get(cookie))
        assert other != body
        (new,) = set_cookies(head)
        for _ in range(4):
            head, again = await stage.ask(get(new.split(";")[0]))
            assert (again, set_cookies(head)) == (other, [])
        await stage.quiet()

    play(part)


def test_a_server_that_left_the_configuration_binds_nobody(play):
    async def part(stage):
        origins = await stage_of_three(stage)
        cookie, body = await bound(stage)
        rest = [origin for name, origin in origins.items() if name != body]
        stage.reload(*rest, policy="round-robin", sticky={})
        head, other = await stage.ask(get(cookie))
        assert other != body
        assert len(set_cookies(head)) == 1
        stage.reload(*origins.values(), policy="round-robin", sticky={})
        head, again = await stage.ask(get(cookie))
        assert (again, set_cookies(head)) == (body, []), "back again, and so is the bond"
        await stage.quiet()

    play(part)


def test_a_draining_server_keeps_those_bound_to_it_and_gets_nobody_new(play):
    async def part(stage):
        origins = await stage_of_three(stage)
        cookie, body = await bound(stage)
        stage.worker.told({"app": {origins[body].url: state("drain")}})
        assert {(await stage.ask(get(cookie)))[1] for _ in range(5)} == {body}
        assert body not in {(await stage.ask(get()))[1] for _ in range(8)}
        stage.worker.told({"app": {origins[body].url: state("maintenance")}})
        assert body not in {(await stage.ask(get(cookie)))[1] for _ in range(5)}
        await stage.quiet()

    play(part)


def test_the_only_server_keeps_them_too_while_it_drains(play):
    async def part(stage):
        origin = await stage.origin("a")
        await stage.gateway(origin, sticky={})
        cookie, _ = await bound(stage)
        stage.worker.told({"app": {origin.url: state("drain")}})
        assert (await stage.ask(get(cookie)))[1] == b"a"
        assert (await stage.ask(get()))[0].startswith(b"HTTP/1.1 503 ")
        await stage.quiet()

    play(part)


def test_a_server_s_own_cookies_are_left_alone(play):
    async def part(stage):
        origin = await stage.origin("a", lambda head: stage.ok("a", fields="Set-Cookie: session=1\r\n"))
        await stage.gateway(origin, sticky={})
        head, _ = await stage.ask(get())
        assert len(set_cookies(head)) == 2
        assert "session=1" in set_cookies(head)
        cookie = next(cookie for cookie in set_cookies(head) if not cookie.startswith("session")).split(";")[0]
        head, _ = await stage.ask(get(f"session=1; {cookie}"))
        assert set_cookies(head) == ["session=1"]
        assert b"session=1; " in origin.heads[-1]

    play(part)
