"""What passes is tried again; what does not ends at once, with words that help and no secret."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

import pytest

from cp_assets.errors import PassingFaultError, StoreError, StoreUnavailableError
from cp_assets.stores import ObjectPath, retries
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.stores.conftest import Bucket

_DATA = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def file(bucket: Bucket) -> ObjectPath:
    """A file in each store; requests are counted from now on."""
    path = bucket.root / "folder/file"
    path.write_bytes(_DATA)
    bucket.proxy.forget()
    return path


@pytest.mark.parametrize("kind", ["slow_down", "reset", "short", "lost"])
def test_passing_faults_are_tried_again(bucket: Bucket, file: ObjectPath, kind: str) -> None:
    def faults(method: str) -> Fault:
        return Fault(kind, method=method, times=2)  # type: ignore[arg-type]

    bucket.proxy.play(faults("GET"))
    assert file.read_bytes() == _DATA
    bucket.proxy.play(faults("GET"))
    assert [path.name for path in file.parent.iterdir()] == ["file"]
    bucket.proxy.play(faults("GET"))
    assert [path.name for path in bucket.root.files_below()] == ["file"]
    bucket.proxy.play(faults("GET"))
    with file.open() as opened:
        assert opened.read() == _DATA
    if kind != "short":
        bucket.proxy.play(faults("HEAD"))
        assert file.stat().st_size == len(_DATA)
        bucket.proxy.play(faults("PUT"))
        file.write_bytes(b"new")
        bucket.proxy.calm()
        assert file.read_bytes() == b"new"


def test_a_body_that_breaks_off_is_taken_up_where_it_ended(s3: Bucket) -> None:
    path = s3.root / "file"
    path.write_bytes(_DATA)
    s3.proxy.forget()
    s3.proxy.play(Fault("short", method="GET", times=1))
    assert path.known_as(None).read_bytes() == _DATA
    ranges = [one.range for one in s3.proxy.requests]
    assert len(ranges) == 2
    assert ranges[1].startswith(f"bytes={len(_DATA) // 2}-")


def test_a_body_whose_length_lies_is_found_out(bucket: Bucket, file: ObjectPath) -> None:
    (listed,) = file.parent.iterdir()
    bucket.proxy.play(Fault("truncated", method="GET", times=1))
    assert listed.read_bytes() == _DATA


def test_what_hangs_is_given_up_and_tried_again(bucket: Bucket) -> None:
    path = bucket.reached("file", timeout_seconds=0.3)
    path.write_bytes(_DATA)
    bucket.proxy.play(Fault("hang", method="GET", times=1))
    start = time.monotonic()
    assert path.read_bytes() == _DATA
    assert 0.2 < time.monotonic() - start < 8


@pytest.mark.parametrize("kind", ["slow_down", "reset", "short"])
def test_what_does_not_pass_ends_after_all_attempts(
    bucket: Bucket, file: ObjectPath, kind: str
) -> None:
    bucket.proxy.play(Fault(kind))  # type: ignore[arg-type]
    start = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"/folder/file: .*3 attempts failed") as caught:
        file.read_bytes()
    assert isinstance(caught.value, PassingFaultError)
    assert time.monotonic() - start < 5
    assert len(bucket.proxy.requests) == 3
    with pytest.raises(StoreUnavailableError, match="/folder/"):
        list(file.parent.iterdir())
    if kind != "short":
        with pytest.raises(StoreUnavailableError, match="/folder/file"):
            file.exists()
        with pytest.raises(StoreUnavailableError, match="/folder/file"):
            file.write_bytes(b"")


def test_a_server_that_is_not_there_is_unavailable(bucket: Bucket) -> None:
    path = bucket.reached("file", endpoint_url="http://127.0.0.1:9/account")
    with pytest.raises(StoreUnavailableError, match="/file: the connection failed"):
        path.read_bytes()


def test_a_missing_bucket_ends_at_once(bucket: Bucket) -> None:
    url = f"{bucket.url}-other"
    path = ObjectPath.parse(f"{url}/file", bucket.root.options)
    asks: list[Callable[[], object]] = [
        path.read_bytes,
        path.exists,
        path.is_file,
        lambda: list(path.iterdir()),
        lambda: list(path.files_below()),
        lambda: path.open().read(),
    ]
    for ask in asks:
        with pytest.raises(StoreError, match="there is no such bucket: check its name") as caught:
            ask()
        assert not isinstance(caught.value, PassingFaultError)
    # HEAD does not tell a missing bucket: it takes one request more.
    assert len(bucket.proxy.requests) <= len(asks) + 2


@pytest.mark.parametrize("bucket", ["s3", "az"], indirect=True)
def test_wrong_credentials_end_at_once_and_are_not_repeated(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "cGxhbnRlZC1zZWNyZXQtb2YtYS10ZXN0"
    for name in ("AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.setenv(name, secret)
    path = bucket.reached("file", attempts=7)
    for ask in (path.read_bytes, path.exists, lambda: list(path.parent.iterdir())):
        bucket.proxy.forget()
        with pytest.raises(StoreError, match=r"denied \(403.*set `anonymous: true`") as caught:
            ask()
        assert len(bucket.proxy.requests) == 1
        told = "".join(traceback.format_exception(caught.value))
        assert secret not in told
        assert bucket.proxy.secret_key not in told or not bucket.proxy.secret_key
        assert "Signature=" not in told


@pytest.mark.parametrize("bucket", ["az"], indirect=True)
def test_a_signature_in_a_url_is_not_repeated(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=2021-08-06&ss=b&sig=planted-signature")
    path = bucket.reached("file", attempts=2)
    bucket.proxy.play(Fault("slow_down", times=2))
    with pytest.raises(StoreUnavailableError) as passing:
        path.read_bytes()
    with pytest.raises(StoreError, match="denied") as final:
        path.read_bytes()
    for caught in (passing, final):
        assert "planted" not in "".join(traceback.format_exception(caught.value))


def test_no_credentials_are_asked_for_in_words(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    path = s3.reached("file", attempts=6)
    with pytest.raises(StoreError, match=r"no credentials .*`anonymous: true`.*`profile`"):
        path.read_bytes()
    assert s3.proxy.requests == []


def test_anonymous_requests_carry_no_signature(public_s3: Bucket) -> None:
    path = public_s3.reached("file", anonymous=True)
    path.write_bytes(b"public")
    assert path.read_bytes() == b"public"
    assert [one.name for one in path.parent.iterdir()] == ["file"]
    assert path.stat().st_size == 6


def test_many_readers_who_are_throttled_together_all_get_through(s3: Bucket) -> None:
    """Botocore's own retries share a quota of a process, and then give up."""
    path = s3.reached("file", attempts=12)
    path.write_bytes(_DATA)
    s3.proxy.play(Fault("slow_down", method="GET", times=200), seed=1)
    found: list[bytes] = []
    readers = [threading.Thread(target=lambda: found.append(path.read_bytes())) for _ in range(24)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [_DATA] * 24
