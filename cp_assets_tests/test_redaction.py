"""Secrets of URLs and settings are hidden, what a reader needs is not."""

from __future__ import annotations

import pytest

from cp_assets.redaction import redact_error, redacted

SECRET = "s3cr3t-Value"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql+psycopg2://me:{SECRET}@host:5432/db", "postgresql+psycopg2://***@host:5432/db"),
        (f"postgresql://me:{SECRET}/x@y@host/db", "postgresql://***@host/db"),
        (f"https://{SECRET}@host/x", "https://***@host/x"),
        (f"https://b.example/k?X-Amz-Signature={SECRET}&a=1", "https://b.example/k?X-Amz-Signature=***&a=1"),
        (f"https://b.example/k?sv=1&sig={SECRET}", "https://b.example/k?sv=1&sig=***"),
        (f"{{'s3.secret-access-key': '{SECRET}'}}", "{'s3.secret-access-key': '***'}"),
        (f'"aws_session_token": "{SECRET}", "b": 1', '"aws_session_token": "***", "b": 1'),
        (f"password={SECRET} host=h", "password=*** host=h"),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer ***"),
    ],
)  # fmt: skip
def test_secret_is_hidden_and_the_rest_is_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/plate@2/Cells.csv",
        "http://127.0.0.1:9000/bucket/a@b.tif",
        "P1/Cells.csv has no column ObjectNumber",
        'password authentication failed for user "me"',
        "me@lab.example wrote to you@lab.example",
    ],
)
def test_text_without_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_error_and_what_led_to_it_lose_their_secrets() -> None:
    error = ValueError(f"token={SECRET}", 3)
    error.__cause__ = OSError(f"cannot reach https://me:{SECRET}@host/x")
    error.__cause__.__context__ = error
    redact_error(error)
    assert error.args == ("token=***", 3)
    assert str(error.__cause__) == "cannot reach https://***@host/x"
