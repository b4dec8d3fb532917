from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from cp_assets.datasets import Dataset, ImageOptions, PlateKey, config
from cp_assets.datasets.config import read_configuration
from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.errors import ConfigurationError, PlateNotFoundError


def written(folder: Path, text: str) -> Path:
    path = folder / "cp_assets.yaml"
    path.write_text(text)
    return path


def test_read_configuration_everything(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        warehouse: out/warehouse
        datasets:
          - dataset_id: one
            root: data
            layout: cellprofiler
            batch_id: b
            image_dir: images
            column_types: {Metadata_Dose: float}
            images: {channels: [DNA], workers: 3, bbox_column_map: {x_min: a, x_max: b}}
        """,
    )
    configuration = read_configuration(file)
    (dataset,) = configuration.datasets
    assert configuration.warehouse == str(tmp_path / "out/warehouse")
    assert (dataset.root, dataset.image_dir) == (tmp_path / "data", tmp_path / "images")
    assert (dataset.images.channels, dataset.images.workers) == (("DNA",), 3)
    assert dataset.images.bbox_column_map == {"x_min": "a", "x_max": "b"}
    assert dataset.column_types == {"Metadata_Dose": "float"}
    assert dataset.config_file == file
    assert configuration.dataset_of(PlateKey("one", "b", "p")) is dataset


def test_read_configuration_hands_over_only_what_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = "datasets: [{dataset_id: one, root: data, images: {padding: 4}}]"
    (dataset,) = read_configuration(written(tmp_path, short)).datasets
    known = {"dataset_id": "one", "root": tmp_path / "data", "layout": "cellprofiler"}
    file = tmp_path / "cp_assets.yaml"
    assert dataset == Dataset(**known, images=ImageOptions(padding=4), config_file=file)

    given: list[dict[str, object]] = []

    def options(**images: object) -> ImageOptions:
        given.append(images)
        return ImageOptions(**images)  # type: ignore[arg-type]

    monkeypatch.setattr(config, "ImageOptions", options)
    read_configuration(file)
    assert given == [{"padding": 4}]


def test_every_image_option_may_be_configured(tmp_path: Path) -> None:
    defaults = {one.name: getattr(ImageOptions(), one.name) for one in fields(ImageOptions)}
    entry = {"dataset_id": "one", "root": "data", "images": defaults}
    (dataset,) = read_configuration(written(tmp_path, yaml.dump({"datasets": [entry]}))).datasets
    assert dataset.images == ImageOptions()


def test_read_configuration_how_crops_are_cut(tmp_path: Path) -> None:
    images = "{padding: 4, border: reflect, wells: [a1], zstd_level: null, max_memory: 1GiB}"
    text = f"datasets: [{{dataset_id: one, root: data, images: {images}}}]"
    (dataset,) = read_configuration(written(tmp_path, text)).datasets
    options = dataset.images
    assert (options.padding, options.border, options.zstd_level) == (4, "reflect", None)
    assert options.max_memory == 2**30
    assert options.takes("A01", "7")
    assert not options.takes("B01", "7")
    wrong = written(tmp_path, text.replace("padding: 4", "padding: 4, crop_size: 9"))
    with pytest.raises(ConfigurationError, match=r"cp_assets.yaml: .* are not both given"):
        read_configuration(wrong)


def test_read_configuration_how_datasets_are_watched(tmp_path: Path) -> None:
    text = (
        "sensor: {interval: 30, plates_per_tick: 7}\n"
        "datasets:\n"
        "- {dataset_id: one, root: a, sensor: {interval: 90, enabled: true}}\n"
        "- {dataset_id: two, root: b}\n"
    )
    configuration = read_configuration(written(tmp_path, text))
    assert {name: configuration.sensor_of(name) for name in ("one", "two")} == {
        "one": SensorOptions(interval=90, plates_per_tick=7, enabled=True),
        "two": SensorOptions(interval=30, plates_per_tick=7),
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sensor: {intervl: 1}", "sensor.intervl: no such key; did you mean interval"),
        (
            "datasets: [{dataset_id: a, root: b, sensor: {quiet: 1}}]",
            "sensor.quiet: no such key; did you mean quiet_seconds",
        ),
        (
            "datasets: [{dataset_id: a, root: b, sensor: {plates_per_tick: 1}}]",
            "dataset a: sensor.plates_per_tick is 1; expected 2 or more",
        ),
        (
            "sensor: {tick_seconds: 0}\ndatasets: [{dataset_id: a, root: b}]",
            "dataset a: sensor.tick_seconds is 0; expected 1 or more",
        ),
    ],
)
def test_read_configuration_sensor_that_cannot_be(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"cp_assets.yaml: .*{told}"):
        read_configuration(written(tmp_path, text))


def test_every_sensor_option_may_be_configured(tmp_path: Path) -> None:
    defaults = {one.name: getattr(SensorOptions(), one.name) for one in fields(SensorOptions)}
    text = yaml.dump({"sensor": defaults, "datasets": [{"dataset_id": "a", "root": "b"}]})
    assert read_configuration(written(tmp_path, text)).sensor_of("a") == SensorOptions()


def test_read_configuration_layout_is_found(tmp_path: Path) -> None:
    (tmp_path / "data" / "workspace" / "analysis").mkdir(parents=True)
    file = written(tmp_path, "datasets: [{dataset_id: one, root: data}]")
    assert read_configuration(file).datasets[0].layout == "cell-painting-gallery"


def test_read_configuration_nothing_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configuration = read_configuration()
    assert (configuration.path, configuration.datasets) == (None, ())


def test_read_configuration_from_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CP_ASSETS_CONFIG", str(written(tmp_path, "warehouse: /some/where")))
    assert read_configuration().warehouse == "/some/where"


def test_read_configuration_empty_file(tmp_path: Path) -> None:
    assert read_configuration(written(tmp_path, "")).datasets == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: [{dataset_id: a, root: r, rooot: x}]", r"datasets.0.rooot: .* mean root\?"),
        ("warehose: x", r"yaml: warehose: no such key; did you mean warehouse\?"),
        ("quite: x", r"yaml: quite: no such key; there are warehouse, .*datasets"),
        (
            "datasets: [{dataset_id: a, root: r, images: {Channel: [DNA]}}]",
            r"datasets.0.images.Channel: no such key; did you mean channels\?",
        ),
        (
            "datasets: [{dataset_id: a, root: r}, {dataset_id: b, root: r, imagedir: x}]",
            r"datasets.1.imagedir: no such key; did you mean image_dir\?",
        ),
        ("{1: x}", r"yaml: 1: "),
        ("datasets: [{dataset_id: a}]", r"datasets.0.root: Field required"),
        ("datasets: [{dataset_id: a, root: r, layout: x}]", r"datasets.0.layout: .*gallery"),
        ("datasets: [{dataset_id: a, root: r}, {dataset_id: a, root: s}]", "'a' is given twice"),
        ("datasets: [", "is not YAML"),
        ("- 1", "cp_assets.yaml"),
    ],
    ids=[
        "unknown key",
        "unknown key of the file",
        "unlike any",
        "unknown option",
        "unknown key of the second",
        "a number for a key",
        "missing key",
        "unknown layout",
        "one id twice",
        "no YAML",
        "a list",
    ],
)
def test_read_configuration_fault_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(written(tmp_path, text))


def test_read_configuration_named_and_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent.yaml does not exist"):
        read_configuration(tmp_path / "absent.yaml")


def test_dataset_of_unknown_id_lists_those_known(tmp_path: Path) -> None:
    configuration = read_configuration(written(tmp_path, "datasets: [{dataset_id: a, root: r}]"))
    with pytest.raises(PlateNotFoundError, match="no dataset 'b'; it has: a"):
        configuration.dataset_of(PlateKey("b", "b", "p"))


def test_maintenance_is_read_as_spans(tmp_path: Path) -> None:
    file = tmp_path / "cp_assets.yaml"
    file.write_text("maintenance: {older_than: 14d, grace: 12h, keep_snapshots: 3}\n")
    found = read_configuration(file).maintenance
    assert found == MaintenanceOptions(timedelta(days=14), 3, timedelta(hours=12))


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{older_then: 14d}", "maintenance.older_then: no such key; did you mean older_than"),
        (
            "{older_than: 14}",
            "maintenance.older_than: .*'14' is no span of time; expected a number",
        ),
        ("{keep_snapshots: 0}", "keep_snapshots is 0: at least the current one is kept"),
    ],
)
def test_maintenance_that_makes_no_sense(tmp_path: Path, section: str, told: str) -> None:
    file = tmp_path / "cp_assets.yaml"
    file.write_text(f"maintenance: {section}\n")
    with pytest.raises(ConfigurationError, match=told):
        read_configuration(file)
