from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.errors import ConfigurationError
from cp_assets.resources import DatasetsResource
from cp_assets.sensors.loading import configured_sensors
from cp_assets.sensors.naming import sensor_names

TEXT = """\
sensor: {interval: 120, enabled: true}
datasets:
- {dataset_id: cpg0016-jump/source_4, root: a, sensor: {interval: 30}}
- {dataset_id: b, root: b, sensor: {enabled: false}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "cp_assets.yaml"
    monkeypatch.setenv("CP_ASSETS_CONFIG", str(file))
    return file


def test_there_is_one_sensor_a_dataset_with_its_options(config: Path) -> None:
    config.write_text(TEXT)
    first, second = configured_sensors()
    assert (first.name, second.name) == ("plates_of_cpg0016_jump_source_4", "plates_of_b")
    assert (first.minimum_interval_seconds, second.minimum_interval_seconds) == (30, 120)
    assert first.default_status == dg.DefaultSensorStatus.RUNNING
    assert second.default_status == dg.DefaultSensorStatus.STOPPED
    assert first.job_name == "build_plates"


def test_without_a_configuration_there_are_no_sensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert configured_sensors() == []


def test_configuration_that_cannot_be_read_is_one_sensor_that_fails_with_it(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config.write_text("datasets: [{dataset_id: a, roof: b}]")
    (sensor,) = configured_sensors()
    assert "no such key; did you mean root?" in str(sensor.description)
    assert "did you mean root?" in caplog.text
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, resources={"datasets": DatasetsResource()}) as context,
    ):
        with pytest.raises(ConfigurationError, match=r"did you mean root\?"):
            sensor.evaluate_tick(context)
        config.write_text("datasets: []")
        assert "reload" in str(sensor.evaluate_tick(context).skip_message)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ids=st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=6))
def test_names_of_sensors_are_valid_and_unique(ids: list[str]) -> None:
    names = sensor_names(ids)
    assert list(names) == ids
    assert len({name.lower() for name in names.values()}) == len(ids)
    for name in names.values():
        dg.SensorDefinition(name=name, evaluation_fn=lambda _context: None, job_name="any")


def test_name_of_a_sensor_depends_on_its_dataset_alone() -> None:
    assert sensor_names(["a-b"])["a-b"] == "plates_of_a_b"
    assert sensor_names(["a-b", "a_b"])["a-b"] == "plates_of_a_b"
    assert sensor_names(["a-b", "a_b"])["a_b"] != "plates_of_a_b"
