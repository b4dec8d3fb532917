from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cp_assets.datasets import Dataset
from cp_assets.provenance import permalinks
from cp_assets.provenance.permalinks import config_permalink, recipe_permalink

DATASET = Dataset(dataset_id="d", root=Path("root"))


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that is committed, in a folder of its repository."""
    file = tmp_path / "sub folder" / "cp_assets.yaml"
    file.parent.mkdir()
    file.write_text("datasets: []\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return file


def test_permalinks_from_the_dataset_come_first(config: Path) -> None:
    dataset = replace(DATASET, recipe_permalink="recipe", config_permalink="config")
    assert (recipe_permalink(dataset), config_permalink(dataset, config)) == ("recipe", "config")


def test_config_permalink_without_remote_is_a_software_heritage_id(config: Path) -> None:
    commit = git(config.parent, "rev-parse", "HEAD")
    expected = f"swh:1:rev:{commit};path=/sub%20folder/cp_assets.yaml"
    assert config_permalink(DATASET, config) == expected


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/lab/plates.git",
        "https://github.com/lab/plates",
        "git@github.com:lab/plates.git",
    ],
)
def test_config_permalink_with_a_hosted_remote(config: Path, remote: str) -> None:
    git(config.parent, "remote", "add", "origin", remote)
    commit = git(config.parent, "rev-parse", "HEAD")
    expected = f"https://github.com/lab/plates/blob/{commit}/sub%20folder/cp_assets.yaml"
    assert config_permalink(DATASET, config) == expected


def test_config_permalink_never_shows_a_secret_of_the_remote(config: Path) -> None:
    git(config.parent, "remote", "add", "origin", "https://me:secret@github.com/lab/plates.git")
    assert config_permalink(DATASET, config).startswith("swh:1:rev:")


def test_config_permalink_modified_file_says_so(config: Path) -> None:
    before = config_permalink(DATASET, config)
    config.write_text("datasets: [] # changed\n")
    assert config_permalink(DATASET, config) == f"{before}#modified"


def test_config_permalink_file_that_is_not_committed(config: Path) -> None:
    other = config.with_name("other.yaml")
    other.write_text("")
    assert config_permalink(DATASET, other).startswith("urn:sha256:")


def test_config_permalink_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    link = config_permalink(DATASET, tmp_path / "cp_assets.yaml")
    assert re.fullmatch(r"urn:sha256:[0-9a-f]{64}", link)
    assert link == config_permalink(DATASET, None)
    assert link != config_permalink(replace(DATASET, batch_id="other"), None)


def test_recipe_permalink_from_git_or_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    link = recipe_permalink(DATASET)
    assert re.match(r"swh:1:rev:[0-9a-f]{40}|https://|pkg:pypi/cp-assets@\d", link)
    permalinks.code_permalink.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert recipe_permalink(DATASET).startswith("pkg:pypi/cp-assets@")
    permalinks.code_permalink.cache_clear()
