"""Places and the options of stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from cp_assets.errors import ConfigurationError, StoreError
from cp_assets.stores import ObjectPath, StoreOptions, StoreSettings, place, state_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data/plate 1", Path("data/plate 1")),
        ("/data/a%20b", Path("/data/a%20b")),
        ("file:///data/a%20b", Path("/data/a b")),
        ("s3://bucket", ObjectPath("s3://bucket")),
        ("s3://bucket/", ObjectPath("s3://bucket")),
        ("S3://bucket//a/./b/", ObjectPath("s3://bucket", "a/b")),
        ("gs://bucket/a%20b?c#d", ObjectPath("gs://bucket", "a%20b?c#d")),
        ("az://container/a", ObjectPath("az://container", "a")),
    ],
)
def test_a_text_names_a_place(text: str, expected: Path | ObjectPath) -> None:
    assert place(text) == expected


@pytest.mark.parametrize("text", ["s3://", "s3:///key", "http://host/a", "gcs://bucket/a"])
def test_other_urls_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"begins with s3://, gs://, az://"):
        place(text)


def test_a_place_stays_what_it_is() -> None:
    known = ObjectPath.parse("s3://bucket/a", StoreOptions(anonymous=True))
    assert place(known) is known
    assert place(Path("a")) == Path("a")


def test_the_longest_prefix_gives_the_options() -> None:
    options = {
        prefix: StoreOptions(region=prefix) for prefix in ("s3://b", "s3://b/a/", "s3://b/a/deep")
    }
    settings = StoreSettings(options)

    def region(text: str) -> str | None:
        found = place(text, settings)
        assert isinstance(found, ObjectPath)
        return found.options.region

    assert region("s3://b/ab") == "s3://b"
    assert region("s3://b/a") == "s3://b/a/"
    assert region("s3://b/a/deeper") == "s3://b/a/"
    assert region("s3://b/a/deep/er") == "s3://b/a/deep"
    assert region("s3://bucket") is None


def test_a_local_file_has_a_state(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12")
    assert state_of(path) == (2, path.stat().st_mtime_ns)
    with pytest.raises(FileNotFoundError):
        state_of(tmp_path / "none")


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"timeout_seconds": 0}])
def test_options_must_make_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="expected 1 or more attempts"):
        StoreOptions(**wrong)  # type: ignore[arg-type]


def test_credentials_in_an_endpoint_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="names a user") as caught:
        StoreOptions(endpoint_url="https://name:planted-secret@host")
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("text", ["minio.lab:9000", "//minio", "s3://minio", "http://", ""])
def test_an_endpoint_that_is_no_url_says_what_is_expected(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"endpoint_url is '{text}'; expected a URL that"):
        StoreOptions(endpoint_url=text)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_of_the_environment_that_is_no_url_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "minio.lab:9000")
    path = ObjectPath.parse("s3://bucket/a", StoreOptions(attempts=5))
    with pytest.raises(ConfigurationError, match=rf"{variable} is 'minio.*http://"):
        path.exists()


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_options_of_s3_are_refused_elsewhere(scheme: str) -> None:
    path = ObjectPath.parse(f"{scheme}://bucket/a", StoreOptions(profile="mine"))
    with pytest.raises(ConfigurationError, match="store option profile is for s3:// only"):
        path.exists()


def test_a_missing_profile_is_named() -> None:
    path = ObjectPath.parse("s3://bucket/a", StoreOptions(profile="nobody"))
    with pytest.raises(StoreError, match="has no profile 'nobody': set `anonymous: true`"):
        path.exists()
