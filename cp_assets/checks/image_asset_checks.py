"""Checks of what is known of a plate's image files: the books, the chunks, the profiles' images."""

from functools import partial

from cp_assets.building.steps import plate_image_sets
from cp_assets.checks.books import rejected_of
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, outcome_of
from cp_assets.checks.row_checks import PlateRows
from cp_assets.contract.counting import count_keys, cover
from cp_assets.contract.names import REQUIRED
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.scanning.tables import IMAGE_ASSETS
from cp_assets.warehouse.spec import TableSpec

_ARRAY = ("image_id", "uri", "array_path")
_SHOWN = 3


def _image_books(tables: PlateTables, spec: TableSpec) -> Outcome:
    """Files that the Image table records = files in the table + rejected ones."""
    sets = plate_image_sets(tables.sources, tables.rows(RAW_MEASUREMENTS.name))
    expected = sum(len(one.channels) + len(one.others) for one in sets)
    keys = ["image_id", "source_image_column"]
    found = {
        pair
        for batch in tables.rows(spec.name).batches(keys)
        for pair in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        if pair[1] is not None
    }
    rejected = rejected_of(tables, spec.name)
    records = rejected[rejected["channel"].notna()]
    thrown = int(records["count"].sum())
    held = f"{expected} recorded = {len(found)} found + {thrown} rejected"
    faults = [] if expected == len(found) + thrown else [held.replace(" = ", ", but ")]
    figures = {"recorded": expected, "found": len(found), "rejected": thrown}
    return outcome_of(faults, held, figures)


def _unique(keys: tuple[str, ...], tables: PlateTables, spec: TableSpec) -> Outcome:
    """Count keys that several rows have; a null is a value like another."""
    if not tables.register("keyed", spec.name, keys):
        return Outcome(passed=True, summary="no rows", figures={"rows": 0})
    listed = ", ".join(keys)
    [(rows, repeated, examples)] = tables.duckdb.execute(
        f"SELECT sum(n), count(*) FILTER (n > 1), min(key, {_SHOWN}) FILTER (n > 1) FROM "
        f"(SELECT concat_ws(' ', {listed}) AS key, count(*) AS n FROM keyed GROUP BY {listed})"
    ).fetchall()
    told = f"{repeated} keys occur more than once: {', '.join(examples or ())}"
    held = f"{' + '.join(keys)} unique in {int(rows)} rows"
    figures = {"rows": int(rows), "repeated keys": repeated}
    return outcome_of([told] if repeated else [], held, figures)


def _chunks_have_images(tables: PlateTables, spec: TableSpec) -> Outcome:
    same = " AND ".join(f"c.{name} IS NOT DISTINCT FROM a.{name}" for name in _ARRAY)
    if not tables.register("assets", IMAGE_ASSETS.name, _ARRAY):
        return Outcome(passed=False, summary="there are chunks and no images; run image_assets")
    tables.register("chunks", spec.name, _ARRAY)
    [(lost,)] = tables.duckdb.execute(
        f"SELECT count(*) FROM chunks c ANTI JOIN assets a ON {same}"
    ).fetchall()
    faults = [f"{lost} chunks have no image in {IMAGE_ASSETS.name}; run both again"] if lost else []
    return outcome_of(faults, "each chunk has its image", {"chunks without an image": lost})


def _profiles_have_images(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """How many profiles find the images that they were measured on, and the other way round."""
    images = tables.rows(IMAGE_ASSETS.name)
    if not images.exists:
        return Outcome(passed=False, summary=f"no rows in {IMAGE_ASSETS.name}; run image_assets")
    keys = {name: name for name in REQUIRED}
    count_keys(tables.duckdb, PlateRows(tables.rows(JOINED_PROFILES.name)), keys)
    found = cover(tables.duckdb, PlateRows(images), keys)
    lost = found.rows - found.rows_with_image
    told = (
        f"{lost} of {found.rows} profiles have no image in {images.name}, such as of "
        f"{', '.join(found.rows_without_image_examples)}; see its rejected rows for why"
    )
    idle = found.images - found.images_with_rows
    held = f"each of {found.rows} profiles has its images; {idle} image sets have no profile"
    figures = {"profiles": found.rows, "without image": lost, "image sets without profile": idle}
    return outcome_of([told] if lost else [], held, figures)


IMAGE_BOOKS = TableCheck(
    "images_balance", "image files recorded = files found + files rejected", _image_books
)
ARRAYS_UNIQUE = TableCheck(
    "keys_unique",
    "an array of a file, with what it is to an image set, is one row",
    partial(_unique, (*_ARRAY, "kind", "Metadata_Channel")),
)
CHUNKS_UNIQUE = TableCheck(
    "keys_unique", "a chunk of an array is one row", partial(_unique, (*_ARRAY, "chunk_key"))
)
CHUNKS_HAVE_IMAGES = TableCheck(
    "chunks_have_images", f"every chunk's array is in {IMAGE_ASSETS.name}", _chunks_have_images
)
PROFILES_HAVE_IMAGES = TableCheck(
    "profiles_have_images",
    f"every profile's image set is in {IMAGE_ASSETS.name}",
    _profiles_have_images,
    blocking=False,
)
