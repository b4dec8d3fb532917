"""The steps of a plate, in order: each says what a table is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from cp_assets.building.links import LINK_COLUMNS, PROFILE_WITH_IMAGES, links
from cp_assets.building.plate_table import NotApplicable, PlateTable, measured_part
from cp_assets.datasets.fingerprints import digest, image_fingerprint, measurement_fingerprint
from cp_assets.datasets.model import PlateSources
from cp_assets.errors import WarehouseError
from cp_assets.images import (
    OBJECT_COLUMNS,
    ImageSet,
    file_columns,
    image_crops,
    image_sets,
    source_images,
)
from cp_assets.images.mapped_files import mapped_fingerprint
from cp_assets.images.tables import IMAGE_CROPS, SOURCE_IMAGES
from cp_assets.measurements.annotation import annotated, annotation_fingerprint
from cp_assets.measurements.joined import joined_profiles
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.measurements.plan import IMAGE, plan_join
from cp_assets.measurements.raw import RAW_MEASUREMENTS, RawReader, first_columns
from cp_assets.provenance.manifest import MANIFEST, manifest_rows
from cp_assets.rejections import RejectionLog
from cp_assets.scanning.chunks import chunks_of
from cp_assets.scanning.plate_images import PlateImage, plate_images
from cp_assets.scanning.tables import CHUNK_INDEX, IMAGE_ASSETS, image_assets_batches
from cp_assets.stages import timed
from cp_assets.streams import ahead
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

    from cp_assets.warehouse.spec import TableSpec

_MADE = (
    *(RAW_MEASUREMENTS, JOINED_PROFILES, IMAGE_ASSETS, CHUNK_INDEX),
    *(IMAGE_CROPS, SOURCE_IMAGES, PROFILE_WITH_IMAGES),
)
"""Tables that a plate's manifest is about."""

_WIDE_BATCH_ROWS = 1024
"""Rows of a compartment that are read at once: 16 MB with 2,000 columns."""

Step = Callable[[PlateSources, Warehouse], PlateTable | NotApplicable]
"""Says what a plate's partition of one table is made of; reads no input yet."""


def build_raw_measurements(sources: PlateSources, warehouse: Warehouse) -> PlateTable:
    """Every row that was measured, from the plate's files."""
    sources.refuse_faults()
    return PlateTable(
        RAW_MEASUREMENTS,
        sources.key,
        measurement_fingerprint(sources),
        lambda log: timed("reading", RawReader(sources, log).batches(), _bytes),
        lambda: first_columns(sources),
    )


def build_joined_profiles(sources: PlateSources, warehouse: Warehouse) -> PlateTable:
    """One cell a row, from the raw measurements, with the annotation of its well."""
    dataset = sources.dataset
    images = dataset.images
    boxes = (dict(images.bbox_column_map or {}), images.box_compartment)
    columns = (dataset.image_columns, dataset.drop_empty_rows)
    options = (dataset.anchor, dataset.compartments, dict(dataset.parents), *columns, *boxes)
    raw = _partition(warehouse, RAW_MEASUREMENTS, sources)
    inputs = digest([_upstream(raw, sources), options])

    def rows(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        def scan(compartment: str, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
            return raw.batches(columns, {"compartment": compartment}, _WIDE_BATCH_ROWS)

        joined = joined_profiles(sources, _compartment_columns(raw), scan, log)
        return ahead(timed("joining", annotated(joined, sources, log), _bytes))

    annotation = annotation_fingerprint(sources)
    return PlateTable(JOINED_PROFILES, sources.key, inputs, rows, annotation=annotation)


def build_image_crops(sources: PlateSources, warehouse: Warehouse) -> PlateTable | NotApplicable:
    """One crop a cell and channel, from the joined profiles' boxes and the image files."""
    if sources.image_dir is None:
        return _no_images(IMAGE_CROPS, sources)
    raw = _partition(warehouse, RAW_MEASUREMENTS, sources)
    joined = _partition(warehouse, JOINED_PROFILES, sources)
    inputs = digest([_upstream(joined, sources), *_image_inputs(sources, raw)])

    def rows(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        profiles = joined.batches(OBJECT_COLUMNS)
        anchor = plan_join(_compartment_columns(raw), sources.dataset, str(sources.key)).anchor
        return image_crops(profiles, plate_image_sets(sources, raw), sources, log, anchor)

    return PlateTable(_stored(IMAGE_CROPS, sources), sources.key, inputs, rows)


def build_source_images(sources: PlateSources, warehouse: Warehouse) -> PlateTable | NotApplicable:
    """Whole source images, where the dataset asks for them."""
    if sources.image_dir is None:
        return _no_images(SOURCE_IMAGES, sources)
    if not sources.dataset.images.include_source_images:
        reason = "whole images were not asked for; set images.include_source_images to true"
        return NotApplicable(SOURCE_IMAGES, sources.key, reason)
    raw = _partition(warehouse, RAW_MEASUREMENTS, sources)
    inputs = digest([_upstream(raw, sources), *_image_inputs(sources, raw)])

    def rows(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        return source_images(plate_image_sets(sources, raw), sources, log)

    return PlateTable(_stored(SOURCE_IMAGES, sources), sources.key, inputs, rows)


def build_image_assets(sources: PlateSources, warehouse: Warehouse) -> PlateTable | NotApplicable:
    """What the headers of the plate's images, masks and outlines say."""
    if sources.image_dir is None:
        return _no_images(IMAGE_ASSETS, sources)
    raw = _partition(warehouse, RAW_MEASUREMENTS, sources)
    inputs = digest([_upstream(raw, sources), *_image_inputs(sources, raw)])

    def rows(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        images = _plate_images(sources, raw, log)
        return image_assets_batches(sources.key, ((one.asset, one.keys) for one in images))

    return PlateTable(IMAGE_ASSETS, sources.key, inputs, rows)


def build_chunk_index(sources: PlateSources, warehouse: Warehouse) -> PlateTable | NotApplicable:
    """Where the tiles and chunks of the plate's images lie, where there are any."""
    if sources.image_dir is None:
        return _no_images(CHUNK_INDEX, sources)
    assets = _partition(warehouse, IMAGE_ASSETS, sources)
    shapes = (batch["chunk_shape_json"] for batch in assets.batches(["chunk_shape_json"]))
    if not any(shape.null_count < len(shape) for shape in shapes):
        reason = "none of the plate's images is known to be stored in tiles or chunks"
        return NotApplicable(CHUNK_INDEX, sources.key, reason)
    raw = _partition(warehouse, RAW_MEASUREMENTS, sources)
    inputs = digest([_upstream(assets, sources)])

    def rows(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        # What cannot be scanned is in the books of the image assets.
        images = _plate_images(sources, raw, RejectionLog())
        for _, of_set in groupby(images, lambda one: one.keys.image_id):
            # A file that several channels are planes of has its chunks once.
            arrays = {(one.path, one.asset.array_path): one for one in of_set}
            for one in arrays.values():
                yield from chunks_of(sources.key, one.asset, one.keys, one.path, log)

    return PlateTable(CHUNK_INDEX, sources.key, inputs, rows)


def build_profile_with_images(
    sources: PlateSources, warehouse: Warehouse
) -> PlateTable | NotApplicable:
    """Links between profiles and crops, where there are crops."""
    crops = _partition(warehouse, IMAGE_CROPS, sources)
    if crops.state.fingerprint is None:
        reason = "the plate has no crops to link its profiles to"
        return NotApplicable(PROFILE_WITH_IMAGES, sources.key, reason)

    def rows(_log: RejectionLog) -> Iterator[pa.RecordBatch]:
        return links(crops.batches(LINK_COLUMNS))

    inputs = digest([crops.state.fingerprint])
    return PlateTable(PROFILE_WITH_IMAGES, sources.key, inputs, rows)


def build_manifest(sources: PlateSources, warehouse: Warehouse) -> PlateTable:
    """What each table holds of the plate, and what it came from."""
    made = [(spec.name, _partition(warehouse, spec, sources).state.fingerprint) for spec in _MADE]
    dataset = sources.dataset
    inputs = digest([made, dataset.recipe_permalink, dataset.config_permalink])
    names = [name for name, fingerprint in made if fingerprint is not None]

    def rows(_log: RejectionLog) -> Iterator[pa.RecordBatch]:
        return manifest_rows(warehouse, sources, names)

    return PlateTable(MANIFEST, sources.key, inputs, rows)


STEPS: dict[str, Step] = {
    "raw_measurements": build_raw_measurements,
    "joined_profiles": build_joined_profiles,
    "image_assets": build_image_assets,
    "chunk_index": build_chunk_index,
    "image_crops": build_image_crops,
    "source_images": build_source_images,
    "profile_with_images": build_profile_with_images,
    "manifest": build_manifest,
}
"""Table -> its step, in an order in which each finds what it reads."""


def plate_image_sets(sources: PlateSources, raw: PartitionRows) -> Iterator[ImageSet]:
    """The plate's image sets, from the rows of its raw measurements."""
    image = {"compartment": IMAGE}
    rows = raw.batches(file_columns(raw.columns(image)), image)
    return image_sets(rows, sources.dataset.images.channels)


def _plate_images(
    sources: PlateSources, raw: PartitionRows, log: RejectionLog
) -> Iterator[PlateImage]:
    sets = plate_image_sets(sources, raw)
    return plate_images(sets, sources, log, sources.dataset.anchor or "Cells")


def _partition(warehouse: Warehouse, spec: TableSpec, sources: PlateSources) -> PartitionRows:
    return PartitionRows(warehouse, spec.name, sources.key.columns())


def _compartment_columns(raw: PartitionRows) -> dict[str, list[str]]:
    return {name: raw.columns({"compartment": name}) for name in raw.values("compartment")}


def _image_inputs(sources: PlateSources, raw: PartitionRows) -> tuple[str, str]:
    """Fingerprints of the files in the plate's image folders, and of those that it maps to."""
    return image_fingerprint(sources), mapped_fingerprint(sources, plate_image_sets(sources, raw))


def _upstream(rows: PartitionRows, sources: PlateSources) -> str:
    """Fingerprint of what this step reads; a changed annotation changes no other table's rows.

    Raises
    ------
    WarehouseError
        If the table has no rows of the plate.
    """
    if rows.state.fingerprint is None:
        msg = (
            f"{rows.name} has no rows of plate {sources.key}: materialize it first, or, if it was, "
            "see quality_control.rejected_rows for why all of it was rejected"
        )
        raise WarehouseError(msg)
    return measured_part(rows.state.fingerprint)


def _stored(spec: TableSpec, sources: PlateSources) -> TableSpec:
    """The table of pixels with the compression that the dataset asks for."""
    level = sources.dataset.images.zstd_level
    return replace(spec, codec="none") if level is None else replace(spec, zstd_level=level)


def _bytes(batch: pa.RecordBatch) -> int:
    return int(batch.nbytes)


def _no_images(spec: TableSpec, sources: PlateSources) -> NotApplicable:
    reason = "the dataset has no image folder; set image_dir to get crops"
    return NotApplicable(spec, sources.key, reason)
