"""What image stores hold, read from their headers: `scan`, `scan_all`, `summarize`."""

from __future__ import annotations

from cp_assets.scanning.many import scan_all, summarize
from cp_assets.scanning.model import DatasetSummary, ImageAsset, ScanResult
from cp_assets.scanning.scan import scan

__all__ = ["DatasetSummary", "ImageAsset", "ScanResult", "scan", "scan_all", "summarize"]
