"""Upstream servers are found in the configurations that people write, with file and line."""

from contextlib import suppress
from pathlib import Path

import pytest

from headgate.probe.localconfig import BadLocalConfig, upstreams


def found(product: str, path: Path) -> list[tuple[str, str, int]]:
    return [(one.server, one.group, one.line) for one in upstreams(product, path)]


def test_nginx_with_includes_groups_and_every_protocol(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "a.conf").write_text("""server {
  location / { proxy_pass http://app; }
  location /s/ { proxy_pass https://10.0.0.9/base/; }
  location /n/ { proxy_pass http://name.example:8080; }
  location ~ \\.php$ { fastcgi_pass unix:/run/php/fpm.sock; }
  location /f { fastcgi_pass 127.0.0.1:9001; }
  location /g { grpc_pass grpc://127.0.0.1:50051; }
  location /v { proxy_pass http://$backend; }
  location /u { proxy_pass http://unix:/run/app.sock:/x; }
}
""")
    main = tmp_path / "nginx.conf"
    main.write_text("""events {}
http {
  upstream app { server 127.0.0.1:3000 weight=2; server unix:/run/two.sock; }
  include sites/*.conf;
}
""")
    servers = found("nginx", main)
    assert ("http://127.0.0.1:3000", "app", 3) in servers
    assert ("unix:/run/two.sock", "app", 3) in servers
    assert [server for server, group, _ in servers if not group] == [
        "https://10.0.0.9:443", "http://name.example:8080", "unix:/run/php/fpm.sock", "fastcgi://127.0.0.1:9001",
        "grpc://127.0.0.1:50051", "", "unix:/run/app.sock",
    ]  # fmt: skip
    notes = {one.server: one.note for one in upstreams("nginx", main)}
    assert "resolved only once" in notes["http://name.example:8080"]
    assert "run time" in notes[""]
    assert next(one.file for one in upstreams("nginx", main) if one.line == 4).endswith("a.conf")


def test_haproxy(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text("""global
  log stdout
frontend f
  bind :80
  default_backend b
backend b
  server s1 10.0.0.1:8080 check # the first
  server s2 10.0.0.2:443 ssl verify none
  server s3 unix@/run/x.sock disabled
listen l
  server one app
""")
    assert found("haproxy", path) == [
        ("http://10.0.0.1:8080", "b", 7), ("https://10.0.0.2:443", "b", 8), ("unix:/run/x.sock", "b", 9),
        ("http://app:80", "l", 11),
    ]  # fmt: skip


def test_apache_with_includes_and_balancers(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("""<Proxy balancer://pool>
  BalancerMember http://10.0.0.1:8080
  BalancerMember http://10.0.0.2:8080 route=b
</Proxy>
ProxyPass / balancer://pool/
<FilesMatch \\.php$>
  SetHandler "proxy:unix:/run/php/fpm.sock|fcgi://localhost/"
</FilesMatch>
ProxyPassMatch ^/x/(.*)$ fcgi://127.0.0.1:9000/var/www/$1
ProxyPass /tomcat ajp://127.0.0.1:8009/app
ProxyPass /app \\
  http://127.0.0.1:5000/
""")
    main = tmp_path / "apache2.conf"
    main.write_text("ServerName x\nInclude more.conf\n")
    assert found("apache", main) == [
        ("http://10.0.0.1:8080", "pool", 2), ("http://10.0.0.2:8080", "pool", 3), ("unix:/run/php/fpm.sock", "", 7),
        ("fastcgi://127.0.0.1:9000", "", 9), ("ajp://127.0.0.1:8009", "", 10), ("http://127.0.0.1:5000", "", 11),
    ]  # fmt: skip


def test_caddyfile_and_its_json(tmp_path: Path) -> None:
    path = tmp_path / "Caddyfile"
    path.write_text("""example.org {
  reverse_proxy /api/* localhost:9000 https://b.example
  php_fastcgi unix//run/php/fpm.sock
  reverse_proxy {
    to :3000
  }
}
""")
    assert [server for server, _, _ in found("caddy", path)] == [
        "http://localhost:9000", "https://b.example:443", "unix:/run/php/fpm.sock", "http://127.0.0.1:3000",
    ]  # fmt: skip
    path.write_text("""{"apps": {"http": {"servers": {"s": {"routes": [{"handle": [
      {"handler": "reverse_proxy", "upstreams": [{"dial": "10.0.0.1:80"}],
       "transport": {"protocol": "http", "tls": {}}}]}]}}}}}""")
    assert [server for server, _, _ in found("caddy", path)] == ["https://10.0.0.1:80"]


def test_headgate(tmp_path: Path) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text("""[gateway]
listen = ["127.0.0.1:8080"]

[upstream.app]
servers = ["http://127.0.0.1:3000"]

[[route]]
path = "/"
upstream = "app"
""")
    assert found("headgate", path) == [("http://127.0.0.1:3000", "app", 4)]


@pytest.mark.parametrize("product", ["nginx", "haproxy", "apache", "caddy", "headgate"])
def test_what_cannot_be_read_is_told_with_its_name(product: str, tmp_path: Path) -> None:
    with pytest.raises(BadLocalConfig, match="none"):
        upstreams(product, tmp_path / "none")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 20)
    with suppress(BadLocalConfig):  # or nothing is found in it
        assert upstreams(product, tmp_path / "binary") == []


def test_an_unknown_product_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadLocalConfig, match="expected apache, caddy"):
        upstreams("iis", tmp_path)
