"""A small gallery prefix of one plate, to be spoilt, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

import cp_assets
from cp_assets.checks.asset_checks import CHECKS
from cp_assets.checks.outcome import PlateTables
from cp_assets.datasets import Dataset, find_plates
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouses import rejected


@dataclass(frozen=True)
class Prefix:
    """A gallery prefix of one plate of one well and two sites."""

    root: Path

    def folder(self, site: int = 1) -> Path:
        """Measurement folder of a site."""
        return next(self.root.glob(f"workspace/analysis/*/*/analysis/*-{site}"))

    def table(self, compartment: str, site: int = 1) -> Path:
        """Measurement file of a site."""
        return self.folder(site) / f"{compartment}.csv"

    def image(self, channel: int = 1, site: int = 1) -> Path:
        """Image of a site; channels by the microscope's numbers."""
        return next(self.root.glob(f"images/*/images/*/Images/*f{site:02d}p01-ch{channel}*"))

    def lines(self, compartment: str, site: int = 1) -> list[str]:
        """Lines of a measurement file, header first."""
        return self.table(compartment, site).read_text().splitlines()

    def write_lines(self, lines: list[str], compartment: str, site: int = 1) -> None:
        """Replace the lines of a measurement file."""
        self.table(compartment, site).write_text("\n".join([*lines, ""]))

    def set_value(self, compartment: str, column: str, value: str, row: int = 1) -> None:
        """Change one value of site 1; rows count from 1."""
        lines = self.lines(compartment)
        values = lines[row].split(",")
        values[lines[0].split(",").index(column)] = value
        self.write_lines([*lines[:row], ",".join(values), *lines[row + 1 :]], compartment)

    def convert(self, warehouse: Path) -> Converted:
        """Convert the prefix."""
        return Converted(cp_assets.convert(self.root, warehouse), self.root)


@dataclass(frozen=True)
class Converted:
    """A warehouse of the prefix."""

    warehouse: Warehouse
    root: Path

    def rejected(self, table: str, reason: str) -> list[dict[str, Any]]:
        """Rows of the books with a reason."""
        return [row for row in rejected(self.warehouse, table) if row["reason"] == reason]

    def failed_checks(self, *, blocking: bool = True) -> list[str]:
        """Checks of the whole plate that do not hold; only blocking ones unless told otherwise."""
        dataset = Dataset(dataset_id=self.root.name, root=self.root)
        (sources,) = find_plates(dataset).values()
        tables = PlateTables(self.warehouse, sources, duckdb.connect())
        return [
            f"{spec.name}: {check.name}: {outcome.summary}"
            for spec, checks in CHECKS.items()
            if tables.rows(spec.name).exists
            for check in checks
            if check.blocking or not blocking
            if not (outcome := check.run(tables, spec)).passed
        ]
