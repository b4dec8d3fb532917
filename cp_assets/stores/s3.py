"""Amazon S3, and every server that speaks its protocol."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import botocore
from botocore import exceptions as boto
from botocore.config import Config

from cp_assets.errors import StoreError, StoreUnavailableError
from cp_assets.redaction import redacted
from cp_assets.stores.model import Listed, ObjectState, ObjectStore, is_path
from cp_assets.stores.options import check_endpoint
from cp_assets.stores.refusals import Advice, NothingThereError, changed, refusal
from cp_assets.stores.retries import with_retries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.stores.options import StoreOptions

_CONNECTIONS = 64
_PIECE_BYTES = 2**20

_PASSING = (
    boto.ConnectionError,
    boto.FlexibleChecksumError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    ConnectionError,
    TimeoutError,
)

_NO_CREDENTIALS = (
    boto.CredentialRetrievalError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.SSOError,
    boto.TokenRetrievalError,
)

_ADVICE = Advice(
    address="check its name, and `endpoint_url` and `region` of its store options",
    credentials=(
        "set `anonymous: true` if the bucket is public; else name a `profile` of your AWS "
        "configuration, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ),
)


class S3Store(ObjectStore):
    """A bucket of S3, read by boto3."""

    def __init__(self, url: str, options: StoreOptions) -> None:
        self.url = url
        self._bucket = url.partition("://")[2]
        self._attempts = options.attempts
        self._client = _client(url, options)
        self._bucket_was_seen = False

    def list(self, prefix: str, *, delimited: bool) -> Iterator[Listed]:
        """List keys page by page, 1,000 of them in a request."""
        asked: dict[str, str] = {"Bucket": self._bucket, "Prefix": prefix}
        if delimited:
            asked["Delimiter"] = "/"
        while True:
            page = self._ask(prefix, "list_objects_v2", asked)
            yield from _listed(page, prefix)
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def head(self, key: str) -> ObjectState | None:
        """State of an object; None if there is none."""
        try:
            return _state(self._ask(key, "head_object", {"Bucket": self._bucket, "Key": key}))
        except FileNotFoundError:
            self._see_bucket()
            return None

    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None
    ) -> tuple[bytes, ObjectState]:
        """Bytes of an object; a body that breaks off is taken up where it ended."""
        body = _Body(f"{self.url}/{key}", start, stop, etag)
        with suppress(NothingThereError):
            if stop is None or start < stop:
                with_retries(lambda: self._read_on(key, body), self._attempts)
                return body.finished()
        body.begin(self._ask(key, "head_object", {"Bucket": self._bucket, "Key": key}))
        return body.finished()

    def write(self, key: str, data: bytes) -> None:
        """Put an object whole."""
        self._ask(key, "put_object", {"Bucket": self._bucket, "Key": key, "Body": data})

    def _ask(self, key: str, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        return with_retries(lambda: self._ask_once(key, operation, asked), self._attempts)

    def _ask_once(self, key: str, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        with self._errors(key):
            answer: dict[str, Any] = getattr(self._client, operation)(**asked)
        self._bucket_was_seen = True
        return answer

    def _read_on(self, key: str, body: _Body) -> None:
        with self._errors(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **body.wanted())
            with closing(answer["Body"]) as stream:
                body.begin(answer)
                try:
                    while piece := stream.read(_PIECE_BYTES):
                        body.add(piece)
                except boto.FlexibleChecksumError:
                    body.forget()
                    raise
            body.check()

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Raise the errors of botocore as ours; their texts stay out of the messages."""
        url = f"{self.url}/{key}" if key else self.url
        try:
            yield
        except boto.ClientError as error:
            raise _refusal(url, error) from error
        except boto.SSLError as error:
            msg = f"{url}: the server's certificate is not trusted: check `endpoint_url`"
            raise StoreError(msg) from error
        except _PASSING as error:
            server = redacted(self._client.meta.endpoint_url)
            msg = f"{url}: the connection failed ({type(error).__name__}, asking {server})"
            raise StoreUnavailableError(msg) from error
        except _NO_CREDENTIALS as error:
            msg = f"{url}: no credentials ({type(error).__name__}): {_ADVICE.credentials}"
            raise StoreError(msg) from error
        except boto.BotoCoreError as error:
            msg = f"{url}: the request cannot be made ({type(error).__name__}): {_ADVICE.address}"
            raise StoreError(msg) from error

    def _see_bucket(self) -> None:
        """Tell a missing bucket from a missing object, as the answer to HEAD does not."""
        if self._bucket_was_seen:
            return
        with suppress(FileNotFoundError):
            self._ask("", "list_objects_v2", {"Bucket": self._bucket, "MaxKeys": 1})
        self._bucket_was_seen = True


class _Body:
    """The bytes of one read, which may take several requests."""

    def __init__(self, url: str, start: int, stop: int | None, etag: str | None) -> None:
        self._url = url
        self._start = start
        self._stop = stop
        self._etag = etag
        self._pieces: list[bytes] = []
        self._length = 0
        self._state: ObjectState | None = None

    def wanted(self) -> dict[str, str]:
        """What to ask for: the part that is missing, of the version that was seen."""
        asked = {"IfMatch": f'"{self._etag}"'} if self._etag else {}
        offset = self._start + self._length
        if offset or self._stop is not None:
            last = "" if self._stop is None else self._stop - 1
            asked["Range"] = f"bytes={offset}-{last}"
        else:
            asked["ChecksumMode"] = "ENABLED"
        return asked

    def begin(self, answer: dict[str, Any]) -> None:
        """Take note of an answer's headers."""
        state = _state(answer)
        if self._etag is not None and state.etag != self._etag:
            raise changed(self._url)
        self._etag = state.etag
        if "ContentRange" in answer:
            state = replace(state, size=int(answer["ContentRange"].rpartition("/")[2]))
        elif self._start + self._length and "Body" in answer:
            msg = f"{self._url}: the server sends no part of an object, only whole ones"
            raise StoreError(msg)
        self._state = state

    def add(self, piece: bytes) -> None:
        """Keep what came."""
        self._pieces.append(piece)
        self._length += len(piece)

    def check(self) -> None:
        """Find out a body whose length said that half of it was all.

        Raises
        ------
        StoreUnavailableError
            If bytes are missing; the next request asks for them.
        """
        size = self._state.size if self._state else 0
        missing = min(size, size if self._stop is None else self._stop) - self._start - self._length
        if missing > 0:
            raise StoreUnavailableError(f"{self._url}: {missing} bytes did not come")

    def forget(self) -> None:
        """Drop what came: it is damaged."""
        self._pieces.clear()
        self._length = 0

    def finished(self) -> tuple[bytes, ObjectState]:
        """All bytes, and the state that they belong to."""
        if self._state is None:
            raise RuntimeError(self._url)
        length = None if self._stop is None else max(0, self._stop - self._start)
        return b"".join(self._pieces)[:length], self._state


_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Where boto3 finds a server that the options do not name; the first that is set."""


def _client(url: str, options: StoreOptions) -> Any:
    variable = next((one for one in _ENDPOINT_VARIABLES if os.environ.get(one)), None)
    if options.endpoint_url is None and variable is not None:
        check_endpoint(os.environ[variable], f"environment variable {variable}")
    addressing = {None: "auto", True: "path", False: "virtual"}[options.path_style]
    config = Config(
        signature_version=botocore.UNSIGNED if options.anonymous else None,
        connect_timeout=options.timeout_seconds,
        read_timeout=options.timeout_seconds,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},
        s3={"addressing_style": addressing},
        # Other servers than Amazon's may not know what boto3 adds to a body, and send with a part
        # the checksum of the whole, which boto3 refuses.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        tcp_keepalive=True,
    )
    try:
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
        return session.client("s3", endpoint_url=options.endpoint_url, config=config)
    except boto.ProfileNotFound as error:
        # One that `stores` does not name is that of AWS_PROFILE.
        name = options.profile or os.environ.get("AWS_PROFILE")
        no_profile = f"your AWS configuration has no profile {name!r}"
        msg = f"{url}: {no_profile}: {_ADVICE.credentials}"
        raise StoreError(msg) from error
    except (boto.BotoCoreError, ValueError) as error:
        msg = f"{url}: no client can be made ({type(error).__name__}): {_ADVICE.address}"
        raise StoreError(msg) from error


def _listed(page: dict[str, Any], prefix: str) -> Iterator[Listed]:
    """Objects and folders of a page, in one order; marks of folders are left out."""
    objects = {item["Key"]: item for item in page.get("Contents", ())}
    folders = {item["Prefix"] for item in page.get("CommonPrefixes", ())}
    for key in sorted({*objects, *folders}):
        if key in folders:
            if is_path(key[:-1]):
                yield Listed(key[:-1], None)
        elif is_path(key):
            yield Listed(key, _state(objects[key]))


def _state(answer: dict[str, Any]) -> ObjectState:
    size = answer["Size"] if "Size" in answer else answer["ContentLength"]
    modified_ns = round(answer["LastModified"].timestamp() * 1e6) * 1000
    return ObjectState(size, answer["ETag"].strip('"'), modified_ns)


def _refusal(url: str, error: boto.ClientError) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Answers to HEAD have no body, and botocore takes the status for the code.
    return refusal(url, status, "" if code == str(status) else code, _ADVICE)
