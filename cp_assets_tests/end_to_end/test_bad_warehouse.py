"""A warehouse that cannot be written: one clear line, and what was there is still there."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cp_assets
from cp_assets.errors import WarehouseWriteError
from cp_assets_tests.end_to_end.plate import Prefix
from cp_assets_tests.warehouses import ROW_TABLES, written


def test_folder_that_cannot_be_made_is_told_in_one_line(prefix: Prefix, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseWriteError, match="file/wh cannot be opened for writing") as caught:
        cp_assets.convert(prefix.root, tmp_path / "file" / "wh")
    assert "\n" not in str(caught.value)


def test_folder_without_permission_is_told_in_one_line(prefix: Prefix, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    # Root may write in any folder but those of the kernel.
    closed = Path("/proc") if os.geteuid() == 0 else tmp_path / "closed"
    with pytest.raises(WarehouseWriteError, match="cannot be opened for writing"):
        cp_assets.convert(prefix.root, closed / "wh")


def test_data_folder_that_cannot_be_written_is_told(prefix: Prefix, tmp_path: Path) -> None:
    cp_assets.open_warehouse(tmp_path / "wh", create=True)
    (tmp_path / "wh" / "profiles").write_text("in the way")
    with pytest.raises(WarehouseWriteError) as caught:
        cp_assets.convert(prefix.root, tmp_path / "wh")
    assert "raw_measurements cannot be made" in str(caught.value)


@pytest.mark.parametrize("limit", [2_000, 40_000])
def test_disk_full_leaves_the_old_data_readable(prefix: Prefix, tmp_path: Path, limit: int) -> None:
    warehouse = prefix.convert(tmp_path / "wh").warehouse
    before = {name: written(warehouse, name) for name in ROW_TABLES}

    def no_space() -> None:
        # Writing beyond the limit then fails with an error, as on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    program = "from cp_assets.cli import main; main()"
    command = [sys.executable, "-c", program, "convert", str(prefix.root), "--force"]
    done = subprocess.run(
        [*command, "--warehouse", str(tmp_path / "wh")],
        preexec_fn=no_space,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "could not be written" in done.stderr.strip().splitlines()[-1]
    again = cp_assets.open_warehouse(tmp_path / "wh")
    assert all(written(again, name).equals(rows) for name, rows in before.items())
