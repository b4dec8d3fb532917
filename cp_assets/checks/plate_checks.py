"""Checks across the tables of a plate: crops and profiles, the books, the manifest."""

from collections import Counter, defaultdict

import pandas as pd
import pyarrow.compute as pc

from cp_assets.building.steps import plate_image_sets
from cp_assets.checks.books import rejected_of
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, outcome_of
from cp_assets.checks.schemas import BOX_SCHEMA, CROP_SIZE_SCHEMA, faults_of
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.measurements.plan import plan_join
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.provenance.etags import file_md5
from cp_assets.warehouse.spec import TableSpec

_BOX = [f"Metadata_SourceBBox{edge}" for edge in ("XMin", "XMax", "YMin", "YMax")]


def _boxes_inside(tables: PlateTables, spec: TableSpec) -> Outcome:
    """Hold boxes against the recorded image sizes and against the crops' pixels."""
    sizes = _recorded_sizes(tables)
    faults: Counter[str] = Counter()
    count = 0
    keys = [*_BOX, "image_id", "source_image_column"]
    # Of the payloads only the sizes: the pixels stay on disk.
    sizes_only = [f"ome_arrow_image.pixels_meta.size_{axis}" for axis in "xy"]
    # A crop with a filled border may reach over the edge.
    clipped = tables.sources.dataset.images.border == "clip"
    schemas = [CROP_SIZE_SCHEMA, *([BOX_SCHEMA] if clipped else [])]
    for batch in tables.rows(spec.name).batches([*keys, *sizes_only], batch_rows=4096):
        frame = batch.select(keys).to_pandas()
        meta = pc.struct_field(batch["ome_arrow_image"], "pixels_meta")
        frame["crop_width"] = pc.struct_field(meta, "size_x").to_pandas()
        frame["crop_height"] = pc.struct_field(meta, "size_y").to_pandas()
        where = list(zip(frame["image_id"], frame["source_image_column"], strict=True))
        largest = (float("inf"), float("inf"))
        frame["image_height"] = [sizes.get(one, largest)[0] for one in where]
        frame["image_width"] = [sizes.get(one, largest)[1] for one in where]
        count += len(frame)
        for schema in schemas:
            faults.update(faults_of(schema, frame))
    figures = {"crops": count, "images of recorded size": len(sizes)}
    return outcome_of(list(faults), f"{count} boxes lie inside their images", figures)


def _recorded_sizes(tables: PlateTables) -> dict[tuple[str, str], tuple[float, float]]:
    """Height and width in pixels by image set and file column, where the Image table has them."""
    raw = tables.rows(RAW_MEASUREMENTS.name)
    return {
        (image_set.image_id, f"Image_FileName_{channel.channel}"): (channel.height, channel.width)
        for image_set in plate_image_sets(tables.sources, raw)
        for channel in image_set.channels
        if channel.height and channel.width
    }


def _crops_have_profiles(tables: PlateTables, spec: TableSpec) -> Outcome:
    ids = ["Metadata_ObjectID"]
    if not tables.register("crops", spec.name, ids):
        return Outcome(passed=True, summary="no crops", figures={"crops": 0})
    if not tables.register("profiles", JOINED_PROFILES.name, ids):
        return Outcome(passed=False, summary="there are crops and no profiles; run joined_profiles")
    found = tables.duckdb.execute(
        "SELECT count(*), count(*) FILTER (p.id IS NULL) FROM crops c "
        "LEFT JOIN (SELECT DISTINCT Metadata_ObjectID AS id FROM profiles) p "
        "ON c.Metadata_ObjectID = p.id"
    ).fetchall()
    [(crops, lost)] = found
    faults = (
        [f"{lost} of {crops} crops have no profile; run joined_profiles, then image_crops"]
        if lost
        else []
    )
    return outcome_of(
        faults, f"each of {crops} crops has its profile", {"crops": crops, "lost": lost}
    )


def _object_books(tables: PlateTables, spec: TableSpec) -> Outcome:
    """Objects read = objects joined + objects rejected, for each joined compartment."""
    raw = tables.rows(RAW_MEASUREMENTS.name)
    columns = {name: raw.columns({"compartment": name}) for name in raw.values("compartment")}
    plan = plan_join(columns, tables.sources.dataset, str(tables.plate))
    rejected = rejected_of(tables, spec.name)
    faults: list[str] = []
    figures: dict[str, int | float | str] = {}
    joined = _joined_objects(tables, plan.compartments)
    for name in plan.compartments:
        read = raw.count({"compartment": name})
        used = joined[name]
        thrown = int(rejected.loc[rejected["compartment"] == name, "count"].sum())
        figures[name] = f"{read} read = {used} joined + {thrown} rejected"
        if read != used + thrown:
            faults.append(f"{name}: {read} read, but {used} joined + {thrown} rejected")
    return outcome_of(faults, "; ".join(f"{k}: {v}" for k, v in figures.items()), figures)


def _joined_objects(tables: PlateTables, compartments: tuple[str, ...]) -> dict[str, int]:
    """How many different objects of each compartment the profiles hold."""
    used: dict[str, set[tuple[str, int]]] = {name: set() for name in compartments}
    columns = {name: f"Metadata_{name}_ObjectNumber" for name in compartments}
    for batch in tables.rows(JOINED_PROFILES.name).batches(["image_id", *columns.values()]):
        images = batch["image_id"].to_pylist()
        for name, column in columns.items():
            if column in batch.schema.names:
                pairs = zip(images, batch[column].to_pylist(), strict=True)
                used[name].update(pair for pair in pairs if pair[1] is not None)
    return {name: len(objects) for name, objects in used.items()}


def _crop_books(tables: PlateTables, spec: TableSpec) -> Outcome:
    """Crops expected = crops written + crops rejected."""
    sets = list(plate_image_sets(tables.sources, tables.rows(RAW_MEASUREMENTS.name)))
    channels = {one.image_id: len(one.channels) + len(one.absent) for one in sets}
    most = max(channels.values(), default=0)
    options = tables.sources.dataset.images
    objects: Counter[str] = Counter()
    for batch in tables.rows(JOINED_PROFILES.name).batches(["image_id", "well_id", "site_id"]):
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        objects.update(image for image, well, site in rows if options.takes(well, site))
    rejected = rejected_of(tables, spec.name)
    rejected = rejected[rejected["kind"] == "crop"]
    for image, found in _channels_seen(tables, spec, rejected).items():
        # A file of several channels gives more than the Image table names.
        channels[image] = max(channels.get(image, most), len(found))
    expected = sum(count * channels.get(image, most) for image, count in objects.items())
    written = tables.rows(spec.name).count()
    thrown = int(rejected["count"].sum())
    held = f"{expected} expected = {written} written + {thrown} rejected"
    faults = [] if expected == written + thrown else [held.replace(" = ", ", but ")]
    figures = {"expected": expected, "written": written, "rejected": thrown}
    return outcome_of(faults, held, figures)


def _channels_seen(
    tables: PlateTables, spec: TableSpec, rejected: pd.DataFrame
) -> dict[str, set[str]]:
    """Channels that crops were written or rejected for, by image set."""
    seen: dict[str, set[str]] = defaultdict(set)
    for batch in tables.rows(spec.name).batches(["image_id", "Metadata_Channel"]):
        for image, channel in set(zip(*(c.to_pylist() for c in batch.columns), strict=True)):
            seen[image].add(channel)
    for image, channel in zip(rejected["image_id"], rejected["channel"], strict=True):
        if channel is not None:
            seen[image].add(channel)
    return seen


def _etags_match(tables: PlateTables, spec: TableSpec) -> Outcome:
    """Compare the manifest with the bytes that lie in the warehouse now."""
    faults: list[str] = []
    files = 0
    for batch in tables.rows(spec.name).batches(["table_name", "data_files"]):
        for row in batch.to_pylist():
            table = tables.warehouse.table(row["table_name"])
            recorded = {file["url"]: file["etag"] for file in row["data_files"]}
            current = [
                file.file_path
                for file in tables.warehouse.partitions.files(table, tables.plate.columns())
            ]
            if set(current) != set(recorded):
                faults.append(f"{row['table_name']} was written again since; run manifest")
                continue
            files += len(current)
            wrong = [path for path in current if file_md5(table.io, path).hex() != recorded[path]]
            faults += [f"{path}: the bytes are not those of its etag" for path in wrong]
    return outcome_of(faults, f"{files} data files are those of their etags", {"data files": files})


BOXES_INSIDE_IMAGES = TableCheck(
    "boxes_inside_images",
    "every box lies inside its image and is as large as its crop",
    _boxes_inside,
)
CROPS_HAVE_PROFILES = TableCheck(
    "crops_have_profiles",
    f"every crop's Metadata_ObjectID is in {JOINED_PROFILES.name}",
    _crops_have_profiles,
)
OBJECT_BOOKS = TableCheck(
    "objects_balance",
    "objects read = objects joined + objects rejected, by compartment",
    _object_books,
)
CROP_BOOKS = TableCheck(
    "crops_balance", "crops expected = crops written + crops rejected", _crop_books
)
ETAGS_MATCH = TableCheck("etags_match", "the manifest's etags are those of the bytes", _etags_match)
