"""What is a secret stays one."""

import pytest

from headgate.diagnose.redact import credentials_apart


@pytest.mark.parametrize(("url", "without", "authorization"), [
    ("https://a.example/x?y=1", "https://a.example/x?y=1", ""),
    ("https://ann:sesame@a.example:8443/x?y=1#z", "https://a.example:8443/x?y=1#z", "Basic YW5uOnNlc2FtZQ=="),
    ("https://ann:se%40me@[::1]/", "https://[::1]/", "Basic YW5uOnNlQG1l"),
    ("https://ann@a.example", "https://a.example", "Basic YW5uOg=="),
    ("https://ann:a@b@a.example/", "https://a.example/", "Basic YW5uOmFAYg=="),
])  # fmt: skip
def test_user_and_password_are_taken_out_of_a_url(url: str, without: str, authorization: str) -> None:
    assert credentials_apart(url) == (without, authorization)
