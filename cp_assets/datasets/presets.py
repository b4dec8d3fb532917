"""Presets: the dialects of measurement tables, as data.

A preset says which tables there are, what identifies their rows, and what stands in front of the
names of their columns. What is read has the names of CellProfiler's CSV files whatever the dialect:
``ImageNumber``, ``ObjectNumber``, ``AreaShape_Area``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from cp_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Container = Literal["file", "database", "combined-csv", "in-carta", "deepprofiler"]
"""A table is a file of its own, a table of an SQLite database, columns of CellProfiler's one CSV of
all compartments, or the image sets or objects of an export of IN Carta or file of DeepProfiler."""

KEYS = ("ImageNumber", "ObjectNumber")
"""CellProfiler's keys of an object: image set in its folder, number in the image set."""

MEASURED_NUMBER = "Number_Object_Number"
"""The object number as CellProfiler measures it, beside the key."""

COMPARTMENT = "{compartment}"
_NO_TABLES = ("Experiment", "Object relationships", "Object_relationships", "load_data")
_USUAL_NAMES = frozenset({"Image", "Cells", "Cytoplasm", "Nuclei"})


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One dialect of measurement tables.

    Names of tables are compared in any letter case; patterns are regular expressions that fit the
    whole name.

    Attributes
    ----------
    doc
        One line: who writes such tables.
    container
        What a table is: a ``file``, a table of a ``database``, part of a ``combined-csv``, of an
        export of ``in-carta`` or of a file of ``deepprofiler``.
    endings
        Of the files' names, the preferred one first. Files that end in ``.parquet`` are read as
        Parquet, in ``.gz`` as gzipped CSV.
    image_table
        Pattern of the Image table's name. What its group ``prefix`` fits stands in front of the
        other tables' names too.
    object_tables
        Pattern of an object table's name behind that prefix; its group ``compartment`` is what the
        table measures.
    compartment
        What the objects of a file are that names no compartments of its own: IN Carta's and
        DeepProfiler's.
    side_by_side
        The ``compartment`` of the one table that holds all compartments side by side, where there
        is no table for each; None where there is none such.
    not_measurements
        Compartments that are none: tables of such names are passed over.
    image_number, object_number, table_number
        Columns that identify a row; ``{compartment}`` stands for the table's own. ``table_number``
        tells image sets of equal numbers apart in merged tables, where it is there; with None no
        column does, and one of the name ``TableNumber`` is left out.
    image_prefix, object_prefix
        What stands in front of the names of measured columns, and is dropped.
    anchor, compartments
        Of the join, where the dataset says nothing.
    parents
        Compartment -> columns that name its objects as parents, looked for in the other tables
        after ``Parent_<compartment>``.

    Raises
    ------
    ConfigurationError
        If a value cannot be.
    """

    name: str
    doc: str = ""
    container: Container = "file"
    endings: tuple[str, ...] = (".csv", ".csv.gz")
    image_table: str = "(?P<prefix>.*)Image"
    object_tables: str = "(?P<compartment>.+)"
    compartment: str = "Cells"
    side_by_side: str | None = None
    not_measurements: tuple[str, ...] = _NO_TABLES
    image_number: str = "ImageNumber"
    object_number: str = "ObjectNumber"
    table_number: str | None = "TableNumber"
    image_prefix: str = ""
    object_prefix: str = ""
    anchor: str | None = None
    compartments: tuple[str, ...] | None = None
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = get_args(Container)
        if self.container not in known:
            self._refuse(f"container is {self.container!r}: expected {' or '.join(known)}")
        if not self.endings or not all(ending.startswith(".") for ending in self.endings):
            self._refuse(f"endings are {self.endings!r}: expected names' ends such as .csv")
        for name in ("image_table", "object_tables"):
            try:
                groups = re.compile(getattr(self, name)).groupindex
            except re.error as error:
                self._refuse(f"{name} is no regular expression: {error}")
            if name == "object_tables" and "compartment" not in groups:
                self._refuse("object_tables needs the group (?P<compartment>...)")

    def __hash__(self) -> int:
        return hash(self.name)

    def _refuse(self, fault: str) -> None:
        msg = f"preset {self.name}: {fault}"
        raise ConfigurationError(msg)

    def table_of_file(self, file_name: str) -> str | None:
        """The name of the table in a file, or None if its ending is another."""
        lower = file_name.lower()
        ending = next((end for end in self.endings if lower.endswith(end.lower())), None)
        return None if ending is None else file_name[: -len(ending)]

    def tables(self, names: Iterable[str]) -> dict[str, str]:
        """Compartment -> name of its table, the Image table first; empty without an Image table.

        Of several names that fit the Image table the shortest is it.
        """
        names = sorted(set(names))
        images = [name for name in names if self._image.fullmatch(name)]
        if not images:
            return {}
        image = min(images, key=lambda name: (len(name), name))
        found = {"Image": image}
        for name in names:
            compartment = self._compartment(name, self._prefix(image)) if name != image else None
            if compartment is not None:
                found[compartment] = name
        if self.side_by_side in found and len(found) > len(("Image", self.side_by_side)):
            del found[self.side_by_side]
        return found

    def ambiguity(self, names: Iterable[str]) -> str | None:
        """Why it is not clear which tables are meant, with what to do; None where it is."""
        names = sorted(set(names))
        chosen = self.tables(names).get("Image")
        if chosen is None:
            return None
        images = [name for name in names if self._image.fullmatch(name)]
        prefix = self._prefix(chosen)
        taken: dict[str, str] = {}
        for name in names:
            is_image = name.lower() == chosen.lower()
            compartment = "Image" if is_image else self._compartment(name, prefix)
            if compartment and taken.setdefault(compartment, name) != name:
                told = f"{taken[compartment]} and {name} are both the table {compartment}"
                return f"{told}; expected one of them. Remove or rename the other"
        rivals = [name for name in images if self._has_own_objects(name, images, names)]
        if chosen not in rivals or rivals == [chosen]:
            return None
        return (
            f"{' and '.join(rivals)} are Image tables, each with objects of its own; expected one "
            "experiment. Keep them apart, or name a preset whose image_table fits one of them"
        )

    def _has_own_objects(self, image: str, images: Sequence[str], names: Iterable[str]) -> bool:
        """Whether object tables have an Image table's prefix, and no longer one of another."""
        prefix = self._prefix(image)
        longer = tuple(
            other.lower()
            for other in map(self._prefix, images)
            if len(other) > len(prefix) and other.lower().startswith(prefix.lower())
        )
        return any(
            self._compartment(name, prefix)
            for name in names
            if name not in images and not (longer and name.lower().startswith(longer))
        )

    def _compartment(self, name: str, prefix: str) -> str | None:
        """What an object table behind a prefix measures, or None if a table is none."""
        if not name.lower().startswith(prefix.lower()):
            return None
        fits = self._objects.fullmatch(name[len(prefix) :])
        if not fits or fits["compartment"].lower() in self._passed_over:
            return None
        return compartment_name(fits["compartment"])

    def compartments_side_by_side(self, columns: Iterable[str]) -> tuple[str, ...]:
        """The compartments of a table that holds several, by their columns of object numbers."""
        before, _, after = self.object_number.partition(COMPARTMENT)
        pattern = re.compile(f"{re.escape(before)}(?P<compartment>.+){re.escape(after)}")
        found = (pattern.fullmatch(column) for column in columns)
        return tuple(fits["compartment"] for fits in found if fits)

    def canonical(
        self, compartment: str, columns: Sequence[str], beside: Sequence[str] = ()
    ) -> dict[str, str]:
        """CellProfiler's name of each column of a table -> its name there, in the table's order.

        A name whose prefix may not be dropped, since there is a column of the rest, stays whole. An
        object number that is a measurement too is found twice, as in CellProfiler's CSV files.

        Parameters
        ----------
        beside
            The other compartments of a table that holds several; their columns are left out.
        """
        keys = self._keys(compartment, columns)
        dropped = self.image_prefix if compartment == "Image" else self.object_prefix
        dropped = dropped.replace(COMPARTMENT, compartment)
        others = [self.object_prefix.replace(COMPARTMENT, other).lower() for other in beside]
        longer = tuple(other for other in others if other.startswith(dropped.lower()))
        there = {*columns, *keys.values()}
        found: dict[str, str] = {}
        for column in columns:
            has_prefix = column.lower().startswith(dropped.lower()) and bool(dropped)
            rest = column[len(dropped) :] if has_prefix else column
            if column in keys:
                found[keys[column]] = column
                if rest != MEASURED_NUMBER:
                    continue
            elif column == "TableNumber":
                continue
            if beside and (not has_prefix or (longer and column.lower().startswith(longer))):
                continue
            if rest and (rest == column or rest not in there) and rest not in found:
                found[rest] = column
            elif column not in found and not (column == "ObjectNumber" and "ObjectNumber" in found):
                found[column] = column
        return found

    def _keys(self, compartment: str, columns: Sequence[str]) -> dict[str, str]:
        """Column of a key, as the table spells it -> CellProfiler's name of the key."""
        wanted = {self.image_number: "ImageNumber"}
        if self.table_number is not None:
            wanted[self.table_number] = "TableNumber"
        if compartment != "Image":
            wanted[self.object_number.replace(COMPARTMENT, compartment)] = "ObjectNumber"
        lower = {name.lower(): key for name, key in wanted.items()}
        exact = {column: wanted[column] for column in columns if column in wanted}
        blind = {column: lower[column.lower()] for column in columns if column.lower() in lower}
        return {column: key for column, key in blind.items() if key not in exact.values()} | exact

    def _prefix(self, image: str) -> str:
        fits = self._image.fullmatch(image)
        return (fits["prefix"] or "") if fits and "prefix" in self._image.groupindex else ""

    @cached_property
    def _image(self) -> re.Pattern[str]:
        return re.compile(self.image_table, re.IGNORECASE)

    @cached_property
    def _objects(self) -> re.Pattern[str]:
        return re.compile(self.object_tables, re.IGNORECASE)

    @cached_property
    def _passed_over(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.not_measurements)


def compartment_name(text: str) -> str:
    """The compartment as pipelines write it: ``CELLS`` and ``cells`` are Cells, ``PH3`` stays."""
    return text.capitalize() if text.capitalize() in _USUAL_NAMES else text


_DATABASES = (".sqlite", ".sqlite3", ".db")

CELLPROFILER_CSV = Preset(
    name="cellprofiler-csv",
    doc="ExportToSpreadsheet: Image.csv and one CSV a compartment, plain or gzipped",
    not_measurements=(*_NO_TABLES, "load_data_with_illum"),
)

CELLPROFILER_SQLITE = Preset(
    name="cellprofiler-sqlite",
    doc="ExportToDatabase: Per_Image and Per_Cells, ... or one Per_Object in an SQLite file",
    container="database",
    endings=_DATABASES,
    image_table="(?P<prefix>.*)Per_Image",
    object_tables="Per_(?P<compartment>.+)",
    side_by_side="Object",
    not_measurements=(
        *("Experiment", "Well", "RelationshipTypes", "Relationships", "RelationshipsView"),
    ),
    object_number="{compartment}_Number_Object_Number",
    image_prefix="Image_",
    object_prefix="{compartment}_",
)

CYTOMINER_SQLITE = Preset(
    name="cytominer-sqlite",
    doc="cytominer-database and the gallery's backend: Image, Cells, ... in an SQLite file",
    container="database",
    endings=_DATABASES,
    image_table="Image",
    image_prefix="Image_",
    object_prefix="{compartment}_",
)

PARQUET = Preset(
    name="parquet",
    doc="Image.parquet and one Parquet file a compartment, with the columns of the CSV files",
    endings=(".parquet",),
)

COMBINED_CSV = Preset(
    name="cellprofiler-combined-csv",
    doc="ExportToSpreadsheet with objects combined: one object.csv of two header rows, or .csv.gz",
    container="combined-csv",
    image_table="Image",
)

IN_CARTA = Preset(
    name="in-carta",
    doc="IN Carta: CSV of objects with OBJECT ID, FOV and WELL LABEL, plain or gzipped",
    container="in-carta",
)

DEEPPROFILER = Preset(
    name="deepprofiler",
    doc="DeepProfiler: one .npz a site, <plate>/A01_5.npz or <plate>/A01/5/embedding.npz",
    container="deepprofiler",
    endings=(".npz",),
)

SHIPPED = (
    *(CELLPROFILER_CSV, CELLPROFILER_SQLITE, CYTOMINER_SQLITE, PARQUET),
    *(COMBINED_CSV, IN_CARTA, DEEPPROFILER),
)
"""In the order in which they are tried."""


def choose_preset(wanted: str | Mapping[str, object], known: Iterable[Preset] = ()) -> Preset:
    """A preset by name, or one that extends another field by field.

    Parameters
    ----------
    wanted
        A name, or fields of `Preset` with ``extends``: the name of the one they are taken from.
    known
        Presets beside the shipped ones; of two of one name theirs is taken.

    Raises
    ------
    ConfigurationError
        If there is no such preset or field.
    """
    by_name = {preset.name: preset for preset in (*SHIPPED, *known)}
    if isinstance(wanted, str):
        # Older versions wrote cellprofiler_csv.
        found = by_name.get(wanted) or by_name.get(wanted.replace("_", "-"))
        if found is None:
            near = get_close_matches(wanted, by_name, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(by_name)}"
            msg = f"preset {wanted!r} is not known; {hint}"
            raise ConfigurationError(msg)
        return found
    given = dict(wanted)
    base = given.pop("extends", None)
    unknown = given.keys() - {one.name for one in fields(Preset)}
    if unknown:
        msg = f"preset: no such field {min(unknown)!r}"
        raise ConfigurationError(msg)
    if base is not None:
        extended = choose_preset(str(base), known)
        given.setdefault("name", extended.name)
        return replace(extended, **given)  # type: ignore[arg-type]
    if "name" not in given:
        msg = "preset: name another one as `extends`, whose fields are taken where none is given"
        raise ConfigurationError(msg)
    return Preset(**given)  # type: ignore[arg-type]
