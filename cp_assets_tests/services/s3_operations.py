"""S3's name of an HTTP request."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

_OF_OBJECT = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
}
_OF_BUCKET = {"HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
_OF_UPLOAD = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload"}


def operation_name(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """S3's name of a request, such as ``ListObjectsV2``; path style."""
    asked = parse_qs(query, keep_blank_values=True)
    _, _, key = path.lstrip("/").partition("/")
    if path == "/":
        return "ListBuckets"
    if not key:
        return _of_bucket(method, asked)
    if "uploads" in asked:
        return "CreateMultipartUpload"
    if "uploadId" in asked:
        return _OF_UPLOAD.get(method, "AbortMultipartUpload")
    if method == "PUT" and "x-amz-copy-source" in headers:
        return "CopyObject"
    return _OF_OBJECT.get(method, method)


def _of_bucket(method: str, asked: Mapping[str, list[str]]) -> str:
    if method == "POST":
        return "DeleteObjects"
    if method != "GET":
        return _OF_BUCKET.get(method, method)
    if "location" in asked:
        return "GetBucketLocation"
    return "ListObjectsV2" if "list-type" in asked else "ListObjects"
