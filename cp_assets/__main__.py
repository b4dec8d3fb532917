"""``python -m cp_assets``: the command line."""

from __future__ import annotations

from cp_assets.cli import main

main(prog_name="cp-assets")
