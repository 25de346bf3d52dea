"""Lists the gateways beside Headgate that the lab knows; each has a file here with what a careful operator would write."""

from . import apache, caddy, envoy, haproxy, nginx, squid, traefik, varnish
from .peer import Peer

PEERS: dict[str, Peer] = {
    "nginx": nginx.PEER,
    "haproxy": haproxy.PEER,
    "envoy": envoy.PEER,
    "caddy": caddy.PEER,
    "traefik": traefik.PEER,
    "apache": apache.PEER,
    "varnish": varnish.PEER,
    "squid": squid.PEER,
}
"""By kind."""
