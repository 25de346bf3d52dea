"""Owns the times after which products give up by default: what a failure's duration may betray."""

from collections.abc import Iterable
from typing import Final, NamedTuple


class Timer(NamedTuple):
    """A limit of somebody's."""

    seconds: float
    product: str  # id in knowledge/products; "" of servers and programs behind the gateway
    name: str  # whose, and what it limits


TIMERS: Final = (
    Timer(3.0, "caddy", "Caddy's dial_timeout"),
    Timer(3.5, "varnish", "Varnish's connect_timeout"),
    Timer(5.0, "envoy", "Envoy's connect_timeout"),
    Timer(10.0, "aws-alb", "the ALB's limit for connecting to a target"),
    Timer(10.0, "github", "unicorn's worker timeout"),
    Timer(10.0, "vercel", "Vercel's limit for functions"),
    Timer(15.0, "envoy", "Envoy's and Istio's route timeout"),
    Timer(15.0, "istio", "Envoy's and Istio's route timeout"),
    Timer(15.0, "fastly", "Fastly's first_byte_timeout"),
    Timer(15.0, "cloudflare", "Cloudflare's limit for connecting to the origin"),
    Timer(29.0, "aws-api-gateway", "API Gateway's integration timeout"),
    Timer(30.0, "heroku", "Heroku's router"),
    Timer(30.0, "google", "Google Cloud's backend timeoutSec"),
    Timer(30.0, "azure-app-gateway", "Application Gateway's requestTimeout"),
    Timer(30.0, "traefik", "Traefik's dialTimeout"),
    Timer(30.0, "cloudfront", "CloudFront's origin response timeout"),
    Timer(30.0, "arr", "ARR's proxy timeout"),
    Timer(30.0, "iis", "ARR's proxy timeout"),
    Timer(30.0, "", "gunicorn's worker --timeout, Rack::Timeout and others"),
    Timer(60.0, "nginx", "nginx's proxy_read_timeout (or proxy_connect_timeout, proxy_send_timeout)"),
    Timer(60.0, "ingress-nginx", "proxy-read-timeout (or proxy-connect-timeout) of ingress-nginx"),
    Timer(60.0, "apache", "Apache's Timeout (or ProxyTimeout)"),
    Timer(60.0, "aws-alb", "the ALB's idle timeout"),
    Timer(60.0, "squid", "Squid's connect_timeout"),
    Timer(60.0, "varnish", "Varnish's first_byte_timeout or between_bytes_timeout"),
    Timer(60.0, "", "a program's or a database's limit of one minute"),
    Timer(75.0, "", "the longest proxy_connect_timeout that Linux and nginx allow"),
    Timer(100.0, "cloudflare", "Cloudflare's limit for the origin's answer (524)"),
    Timer(120.0, "iis", "IIS's connection timeout"),
    Timer(120.0, "cloudflare", "Cloudflare's limit for the origin's answer (524)"),
    Timer(127.0, "", "Linux giving up on a connection after six tries (tcp_syn_retries)"),
    Timer(230.0, "azure-app-service", "Azure App Service's limit for an answer"),
    Timer(240.0, "azure-app-service", "Azure's limit for an answer"),
    Timer(300.0, "apache", "Apache's Timeout as older configurations have it"),
    Timer(900.0, "squid", "Squid's read_timeout"),
)
"""Defaults, by their length. Their sources stand with each product's codes and samples."""
IDLE: Final = (
    (2.0, "gunicorn (--keep-alive 2)"),
    (5.0, "Node.js, uvicorn, Apache httpd (5 s by default)"),
    (30.0, "Jetty (30 s by default)"),
    (60.0, "Bandit, and many balancers (60 s by default)"),
    (65.0, "Node.js behind a balancer, as often set"),
    (75.0, "nginx (keepalive_timeout 75 s)"),
    (130.0, "Kestrel (130 s by default)"),
)
"""How long servers keep an idle connection by default."""


def timers_at(seconds: float, products: Iterable[str] = ()) -> list[Timer]:
    """Return the timers that end after so many seconds, those of these products first, then those of no product.

    Empty where none is known. A timer fires late rather than early: up to 2 % and 0.3 s.
    """
    wanted = set(products)
    near = [one for one in TIMERS if one.seconds - 0.06 <= seconds <= one.seconds * 1.02 + 0.3]
    mine = [one for one in near if one.product in wanted]
    nobodys = [one for one in near if not one.product]
    return (mine + nobodys) if mine else (nobodys or near)


def idle_name(seconds: float) -> str:
    """Return whose default an idle time of so many seconds is, "" where none is known."""
    best = min(IDLE, key=lambda one: abs(one[0] - seconds))
    return best[1] if abs(best[0] - seconds) <= max(1.0, 0.1 * seconds) else ""
