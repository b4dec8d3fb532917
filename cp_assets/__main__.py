"""``python -m cp_assets``: the command line."""

from __future__ import annotations

from cp_assets.cli import main

if __name__ == "__main__":
    main(prog_name="cp-assets")
