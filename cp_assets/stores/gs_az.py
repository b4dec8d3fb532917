"""Google Cloud Storage and Azure Blob Storage, read by obstore."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import AzureStore, GCSStore

from cp_assets.errors import ConfigurationError, StoreError, StoreUnavailableError
from cp_assets.stores.model import Listed, ObjectState, ObjectStore, is_path
from cp_assets.stores.refusals import Advice, NothingThereError, changed, refusal
from cp_assets.stores.retries import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, with_retries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from obstore import GetOptions, ListResult, ObjectMeta
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig

    from cp_assets.stores.options import StoreOptions

    Client = AzureStore | GCSStore

_LISTED_AT_ONCE = 1000
_REQUEST_TIMEOUTS = 10

# obstore tells what went wrong in words only.
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_OF_CREDENTIALS = ("token request", "credential")

_ADDRESS = "check its name, and `endpoint_url` of its store options"
_PUBLIC = "set `anonymous: true` if it is public; else "
_ADVICE = {
    "gs": Advice(
        _ADDRESS,
        f"{_PUBLIC}set GOOGLE_APPLICATION_CREDENTIALS, or log in with `gcloud auth "
        "application-default login`",
    ),
    "az": Advice(
        _ADDRESS,
        "set AZURE_STORAGE_ACCOUNT_NAME; "
        f"{_PUBLIC}set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY",
    ),
}


class GsAzStore(ObjectStore):
    """A bucket of Google Cloud Storage, or a container of Azure."""

    def __init__(self, url: str, options: StoreOptions) -> None:
        self.url = url
        self._attempts = options.attempts
        self._advice = _ADVICE[url.partition("://")[0]]
        # One listing is many requests, each of which obstore tries again, but for bodies that break
        # off: these, and reads, are tried again here.
        self._lister = _client(url, options, retries=options.attempts - 1)
        self._client = _client(url, options, retries=0)
        self._bucket_was_seen = False

    def list(self, prefix: str, *, delimited: bool) -> Iterator[Listed]:
        """List keys; of a folder all pages at once, else page by page."""
        if not delimited:
            for items in self._pages(prefix):
                yield from self._listed(items, prefix)
            return
        page = with_retries(lambda: self._folder(prefix), self._attempts)
        folders = [Listed(key, None) for key in page["common_prefixes"] if is_path(key)]
        objects = self._listed(page["objects"], prefix)
        yield from sorted([*folders, *objects], key=lambda entry: entry.key)

    def _folder(self, prefix: str) -> ListResult[Sequence[ObjectMeta]]:
        with self._errors(prefix):
            return obstore.list_with_delimiter(self._lister, prefix)

    def _pages(self, prefix: str) -> Iterator[Sequence[ObjectMeta]]:
        """Pages of a listing; one that breaks off goes on after the last key that came."""
        last: str | None = None
        pages: Iterator[Sequence[ObjectMeta]] | None = None

        def following() -> Sequence[ObjectMeta]:
            nonlocal pages
            with self._errors(prefix):
                if pages is None:
                    pages = iter(
                        obstore.list(self._lister, prefix, offset=last, chunk_size=_LISTED_AT_ONCE)
                    )
                try:
                    return next(pages, ())
                except BaseError:
                    pages = None
                    raise

        while items := with_retries(following, self._attempts):
            last = items[-1]["path"]
            yield items

    def head(self, key: str) -> ObjectState | None:
        """State of an object; None if there is none."""
        try:
            return with_retries(lambda: self._head_once(key), self._attempts)
        except FileNotFoundError:
            self._see_bucket()
            return None

    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None
    ) -> tuple[bytes, ObjectState]:
        """Bytes of an object; a body that breaks off is read again."""
        with suppress(NothingThereError):
            if stop is None or start < stop:
                return with_retries(lambda: self._read_once(key, start, stop, etag), self._attempts)
        state = with_retries(lambda: self._head_once(key), self._attempts)
        if etag is not None and state.etag != etag:
            raise changed(f"{self.url}/{key}")
        return b"", state

    def write(self, key: str, data: bytes) -> None:
        """Put an object whole."""

        def put() -> None:
            with self._errors(key):
                obstore.put(self._client, key, data, use_multipart=False)

        with_retries(put, self._attempts)

    def _head_once(self, key: str) -> ObjectState:
        with self._errors(key):
            return _state(obstore.head(self._client, key))

    def _read_once(
        self, key: str, start: int, stop: int | None, etag: str | None
    ) -> tuple[bytes, ObjectState]:
        asked: GetOptions = {}
        if etag:
            asked["if_match"] = f'"{etag}"'
        if start or stop is not None:
            asked["range"] = {"offset": start} if stop is None else (start, stop)
        with self._errors(key):
            answer = obstore.get(self._client, key, options=asked)
            state = _state(answer.meta)
            if etag is not None and state.etag != etag:
                raise changed(f"{self.url}/{key}")
            data = bytes(answer.bytes())
        if missing := answer.range[1] - answer.range[0] - len(data):
            raise StoreUnavailableError(f"{self.url}/{key}: {missing} bytes did not come")
        return data, state

    def _listed(self, items: Iterable[ObjectMeta], prefix: str) -> Iterator[Listed]:
        for item in items:
            key, state = item["path"], _state(item)
            # obstore drops the slash at a key's end, so that the mark of a folder looks like an
            # empty object: only to ask for that object tells.
            if key.startswith(prefix) and is_path(key) and (state.size or self.head(key)):
                yield Listed(key, state)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Raise the errors of obstore as ours; their texts, which are long, stay out."""
        url = f"{self.url}/{key}" if key else self.url
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._refusal(url, error) from error

    def _refusal(self, url: str, error: Exception) -> Exception:
        text = str(error)
        status, code = _STATUS.search(text), _CODE.search(text)
        if "Wanted range starting at" in text:
            return NothingThereError(url)
        if isinstance(error, PreconditionError):
            return changed(url)
        if any(words in text for words in _OF_CREDENTIALS):
            return StoreError(f"{url}: no credentials: {self._advice.credentials}")
        if status is not None:
            return refusal(url, int(status[1]), code[1] if code else "", self._advice)
        # Without an answer it is the connection, or an answer that cannot be read.
        return StoreUnavailableError(f"{url}: the connection failed ({type(error).__name__})")

    def _see_bucket(self) -> None:
        """Tell a missing bucket from a missing object, as the answer to HEAD does not."""
        if not self._bucket_was_seen:
            with self._errors(""):
                next(iter(obstore.list(self._lister, chunk_size=1)), None)
            self._bucket_was_seen = True


def _client(url: str, options: StoreOptions, *, retries: int) -> Client:
    scheme, _, bucket = url.partition("://")
    for name in ("profile", "region", "path_style"):
        if getattr(options, name) is not None:
            msg = f"{url}: store option {name} is for s3:// only: leave it out"
            raise ConfigurationError(msg)
    timeout = timedelta(seconds=options.timeout_seconds)
    connection: ClientConfig = {
        "allow_http": (options.endpoint_url or "").startswith("http://"),
        "connect_timeout": timeout,
        "read_timeout": timeout,
        # Of a whole request: large bodies over slow lines take long, and are no fault.
        "timeout": _REQUEST_TIMEOUTS * timeout,
    }
    again: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": (retries + 1) * _REQUEST_TIMEOUTS * timeout,
        "backoff": {
            "init_backoff": timedelta(seconds=FIRST_WAIT_SECONDS),
            "max_backoff": timedelta(seconds=LONGEST_WAIT_SECONDS),
            "base": 2,
        },
    }
    try:
        if scheme == "gs":
            gs: GCSConfig = {"skip_signature": True} if options.anonymous else {}
            if options.endpoint_url is not None:
                gs["base_url"] = options.endpoint_url
            return GCSStore(bucket, config=gs, client_options=connection, retry_config=again)
        az: AzureConfig = {"skip_signature": True} if options.anonymous else {}
        if options.endpoint_url is not None:
            az["endpoint"] = options.endpoint_url
        return AzureStore(bucket, config=az, client_options=connection, retry_config=again)
    except (BaseError, ValueError) as error:
        msg = f"{url}: no client can be made: {_ADVICE[scheme].credentials}"
        raise StoreError(msg) from error


def _state(item: ObjectMeta) -> ObjectState:
    modified_ns = round(item["last_modified"].timestamp() * 1e6) * 1000
    return ObjectState(item["size"], (item["e_tag"] or "").strip('"'), modified_ns)
