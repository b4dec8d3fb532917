"""Alerts reach a real web server and a real mail server, and hold no secret."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from cp_assets.alerts import Alert, send_alert
from cp_assets.datasets.alert_options import AlertOptions
from cp_assets.datasets.config import read_configuration
from cp_assets.errors import AlertError, ConfigurationError
from cp_assets_tests.services.web import WebServer, web_server

ALERT = Alert(
    run="0123",
    job="build_plates",
    dataset="cpg0016",
    batch="B1",
    plate="Plate 1 <é>",
    failures=(("raw_measurements", "Cells.csv is empty"), ("image_crops", "no <image>")),
    failed_in_backfill=10,
    link="https://dagster.example/runs/0123",
)
PATH = "/services/T00/B00/s3cr3t"
USER, PASSWORD = "steward", "not-a-real-password"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cp_assets.alerts._FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with web_server() as seen:
        monkeypatch.setenv("OUR_WEBHOOK", f"{seen.url}{PATH}")
        yield seen


def test_webhook_gets_a_text_and_all_that_is_known(web: WebServer) -> None:
    send_alert(ALERT, AlertOptions(webhook_url_env="OUR_WEBHOOK"))
    (posted,) = web.posted
    assert posted["path"] == PATH
    # As Slack wants it: & < > are marks of its own.
    assert str(posted["text"]).splitlines() == [
        "cp_assets: build_plates failed for cpg0016/B1/Plate 1 &lt;é&gt;",
        "raw_measurements: Cells.csv is empty",
        "image_crops: no &lt;image&gt;",
        "10 runs of this backfill have failed by now",
        "https://dagster.example/runs/0123",
    ]
    alert = posted["alert"]
    assert isinstance(alert, dict)
    assert alert["plate"] == "Plate 1 <é>"
    assert alert["failures"]["raw_measurements"] == "Cells.csv is empty"


def test_what_a_command_could_not_build_is_one_message(web: WebServer) -> None:
    failures = tuple((f"s/B1/P{number:02}", "Cells.csv is empty") for number in range(23))
    alert = Alert(job="cp-assets materialize", failures=failures, failed_plates=23, plates=64)
    send_alert(alert, AlertOptions(webhook_url_env="OUR_WEBHOOK"))
    (posted,) = web.posted
    first, *plates, last = str(posted["text"]).splitlines()
    assert first == "cp_assets: cp-assets materialize failed for 23 of 64 plates"
    assert plates == [f"s/B1/P{number:02}: Cells.csv is empty" for number in range(20)]
    assert last == "and 3 more"
    told = posted["alert"]
    assert isinstance(told, dict)
    assert (told["run"], told["failed_plates"], len(told["failures"])) == (None, 23, 23)


def test_webhook_that_fails_is_tried_again(web: WebServer) -> None:
    web.answers = [503, 500, 200]
    send_alert(ALERT, AlertOptions(webhook_url_env="OUR_WEBHOOK"))
    assert len(web.posted) == 3


@pytest.mark.parametrize("answer", [404, 302])
def test_webhook_that_refuses_is_named_without_its_url(web: WebServer, answer: int) -> None:
    web.answers = [answer]
    with pytest.raises(AlertError, match=f"webhook of OUR_WEBHOOK.*answered {answer}") as caught:
        send_alert(ALERT, AlertOptions(webhook_url_env="OUR_WEBHOOK"))
    assert "s3cr3t" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert {post["path"] for post in web.posted} == {PATH}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "environment variable OUR_WEBHOOK, .* is not set"),
        ("file:///etc/s3cr3t", "holds no URL that begins with https://"),
        ("http://127.0.0.1:1/s3cr3t", "refused"),
        ("http://s3cr3t host/", "no valid URL"),
    ],
)
def test_webhook_that_cannot_be_reached_is_named_without_its_url(
    monkeypatch: pytest.MonkeyPatch, url: str | None, told: str
) -> None:
    if url:
        monkeypatch.setenv("OUR_WEBHOOK", url)
    with pytest.raises(AlertError, match=told) as caught:
        send_alert(ALERT, AlertOptions(webhook_url_env="OUR_WEBHOOK"))
    assert "s3cr3t" not in str(caught.value)


@dataclass
class MailServer:
    port: int = 0
    logins: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)


async def _converse(
    seen: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Speak as much SMTP as a client needs (RFC 5321, AUTH PLAIN of RFC 4954)."""
    writer.write(b"220 test ready\r\n")
    while line := (await reader.readline()).decode():
        verb = line.split()[0].upper()
        if verb == "EHLO":
            writer.write(b"250-test\r\n250 AUTH PLAIN\r\n")
        elif verb == "AUTH":
            given = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
            ok = given == [USER, PASSWORD]
            seen.logins.append(given[0])
            writer.write(b"235 ok\r\n" if ok else f"535 no: {given}\r\n".encode())
        elif verb == "DATA":
            writer.write(b"354 go on\r\n")
            lines = []
            while (text := await reader.readline()) != b".\r\n":
                lines.append(text)
            seen.mails.append(b"".join(lines))
            writer.write(b"250 taken\r\n")
        elif verb == "QUIT":
            writer.write(b"221 bye\r\n")
            break
        else:
            if verb == "RCPT":
                seen.recipients.append(line.partition("<")[2].partition(">")[0])
            writer.write(b"250 ok\r\n")
    writer.close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    seen = MailServer()
    loop = asyncio.new_event_loop()
    serving = asyncio.start_server(lambda r, w: _converse(seen, r, w), "127.0.0.1", 0)
    server = loop.run_until_complete(serving)
    seen.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield seen
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def by_mail(port: int, **more: object) -> AlertOptions:
    to = ["one@lab.example", "two@lab.example"]
    smtp = {"host": "127.0.0.1", "port": port, "security": "none", "from": "us@lab.example"}
    return AlertOptions.model_validate({"smtp": {**smtp, "to": to, **more}})


def test_mail_is_sent_to_all(mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_USER", USER)
    monkeypatch.setenv("OUR_PASSWORD", PASSWORD)
    send_alert(ALERT, by_mail(mail.port, user_env="OUR_USER", password_env="OUR_PASSWORD"))
    assert mail.logins == [USER]
    assert mail.recipients == ["one@lab.example", "two@lab.example"]
    (text,) = mail.mails
    message = message_from_bytes(text, policy=policy.default)
    assert message["Subject"] == ALERT.title
    assert (message["From"], message["To"]) == (
        *("us@lab.example", "one@lab.example, two@lab.example"),
    )
    assert message.get_content().strip().splitlines() == ALERT.text.splitlines()


def test_refused_login_is_told_without_the_credentials(
    mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_USER", USER)
    monkeypatch.setenv("OUR_PASSWORD", "wrong-s3cr3t")
    options = by_mail(mail.port, user_env="OUR_USER", password_env="OUR_PASSWORD")
    with pytest.raises(AlertError, match="refused the login with 535") as caught:
        send_alert(ALERT, options)
    assert "s3cr3t" not in str(caught.value)
    assert not mail.mails


def test_server_without_encryption_gets_no_mail_unless_asked(mail: MailServer) -> None:
    with pytest.raises(AlertError, match="STARTTLS"):
        send_alert(ALERT, by_mail(mail.port, security="starttls"))
    assert not mail.mails


HEARD: list[Alert] = []


def test_hook_is_called_even_where_the_webhook_fails(web: WebServer) -> None:
    web.answers = [500]
    hook = f"{__name__}:HEARD.append"
    with pytest.raises(AlertError, match="webhook of OUR_WEBHOOK"):
        send_alert(ALERT, AlertOptions(webhook_url_env="OUR_WEBHOOK", hook=hook))
    assert HEARD == [ALERT]
    with pytest.raises(AlertError, match=r"hook no_such.*ModuleNotFoundError"):
        send_alert(ALERT, AlertOptions(hook="no_such.module:f"))


def test_configuration_names_alerts(tmp_path: Path) -> None:
    file = tmp_path / "cp_assets.yaml"
    file.write_text(
        "alerts:\n"
        "  webhook_url_env: OUR_WEBHOOK\n"
        "  hook: lab.alerts:tell\n"
        "  ui_url: https://dagster.example\n"
        "  smtp: {host: mail.example, from: us@lab.example, to: [you@lab.example]}\n"
    )
    alerts = read_configuration(file).alerts
    assert alerts
    assert alerts.smtp is not None
    assert (alerts.smtp.security, alerts.smtp.recipients) == ("starttls", ("you@lab.example",))
    file.write_text("{}")
    assert not read_configuration(file).alerts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"webhook_url_env: https://hooks.example{PATH}", "alerts.webhook_url_env: .* not the sec"),
        ("webhook_url: X", "no such key; did you mean webhook_url_env?"),
        ("smtp: {host: h, from: a, to: []}", "alerts.smtp.to: .*at least 1 item"),
        ("smtp: {host: h, from: a, to: [b], password: s3cr3t}", "did you mean password_env?"),
    ],
)
def test_wrong_configuration_is_told_without_secrets(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "cp_assets.yaml"
    file.write_text(f"alerts:\n  {text}\n")
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_configuration(file)
    assert "s3cr3t" not in str(caught.value)
