"""Finding plates: what lies where in the two layouts.

``cell-painting-gallery``: the folder structure of the Cell Painting Gallery's documentation, below
one ``<project>/<source>``. ``cellprofiler``: one folder of measurement files, or of folders of
them, beside folders of images, masks and outlines.

In a store, `list_plates` of a gallery prefix asks for the names in ``workspace/analysis`` and
``workspace/backend`` and in each batch, and for nothing below a plate; `find_plate` looks into one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cp_assets.datasets.identity import PlateKey, plate_of_image_folder, split_site_folder
from cp_assets.datasets.image_tables import image_table_plates
from cp_assets.datasets.listing import entries, on_each, subfolders
from cp_assets.datasets.measurement_folders import (
    FoundFolders,
    expected,
    find_measurement_folders,
    folder_order,
    presets_of,
    unknown_databases,
)
from cp_assets.datasets.model import Dataset, Layout, MeasurementFolder, PlateSources
from cp_assets.errors import ConfigurationError, PlateNotFoundError
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cp_assets.rejections import Rejection
    from cp_assets.stores import Place

WORKSPACE = {
    "analysis": PurePosixPath("workspace/analysis"),
    "backend": PurePosixPath("workspace/backend"),
}
"""Where a gallery prefix has measurements: CellProfiler's own files, and one database a plate."""

LOAD_DATA = PurePosixPath("workspace/load_data_csv")
"""Where it has LoadData, in a folder of the batch and one of the plate."""

UNBATCHED = "unbatched"
"""``batch_id`` of the layout ``cellprofiler`` where the user names none."""

_MOST_NEAR = 20
"""Folders that are looked at for a gallery prefix that was meant."""

_LOAD_DATA_NAMES = tuple(
    f"{name}{ending}"
    for name in ("load_data", "load_data_with_illum")
    for ending in (".csv", ".csv.gz", ".parquet")
)


def detect_layout(root: Place) -> Layout:
    """The layout of a folder: the gallery's if it holds one of its measurement folders.

    A file is of the other layout.
    """
    in_gallery = any((root / folder).is_dir() for folder in WORKSPACE.values())
    return "cell-painting-gallery" if in_gallery else "cellprofiler"


def list_plates(dataset: Dataset) -> tuple[PlateKey, ...]:
    """Name the plates of a dataset, in the order of batch and plate; none where there are none.

    Of a gallery prefix by the names of folders, so that a plate may turn out to have nothing that
    was measured. In the other layout the tables name plates, and are read for it.
    """
    if dataset.layout == "cellprofiler":
        return tuple(sorted(sources.key for sources in _cellprofiler_plates(dataset)))
    batches = gallery_plate_names(dataset).items()
    return tuple(
        sorted(
            PlateKey(dataset.dataset_id, batch, plate)
            for batch, names in batches
            for plate in names
        )
    )


def gallery_plate_names(dataset: Dataset) -> dict[str, set[str]]:
    """Batch -> the plates that have a folder of measurements, by listing folders alone."""
    _refuse_file(dataset)
    folders = [dataset.root / WORKSPACE[kind] for kind in workspace_kinds(dataset)]
    batches = [batch for found in on_each(subfolders, folders, dataset.root) for batch in found]
    plates = on_each(subfolders, batches, dataset.root)
    by_batch: dict[str, set[str]] = {}
    for batch, some in zip(batches, plates, strict=True):
        by_batch.setdefault(batch.name, set()).update(plate.name for plate in some)
    return by_batch


def find_plates(dataset: Dataset) -> dict[PlateKey, PlateSources]:
    """All measured plates of a dataset and what there is of each, in the order of batch and plate.

    Raises
    ------
    PlateNotFoundError
        If there is none: says where plates were looked for.
    """
    if not dataset.root.is_dir():
        msg = (
            f"dataset {dataset.dataset_id}: {dataset.root} is neither a folder nor a file; "
            "expected where the measurements lie, check the spelling"
        )
        raise PlateNotFoundError(msg)
    plates = {sources.key: sources for sources in _plates(dataset)}
    if not plates:
        told = _nothing_in_folder(dataset) if dataset.file is None else _nothing_in_file(dataset)
        there = unknown_databases(dataset)
        msg = f"dataset {dataset.dataset_id}: {told}{f'; there is: {there}' if there else ''}"
        raise PlateNotFoundError(msg)
    return dict(sorted(plates.items()))


def _plates(dataset: Dataset) -> Iterator[PlateSources]:
    if dataset.layout == "cellprofiler":
        yield from _cellprofiler_plates(dataset)
        return
    for batch, names in sorted(gallery_plate_names(dataset).items()):
        for name in sorted(names):
            key = PlateKey(dataset.dataset_id, batch, name)
            found = _gallery_plate(dataset, key, tuple(sorted(names - {name})))
            if found is not None:
                yield found


def _nothing_in_folder(dataset: Dataset) -> str:
    root = dataset.root.resolve()
    near = (*root.parents, *islice(subfolders(root), _MOST_NEAR))
    prefix = next((one for one in near if detect_layout(one) == "cell-painting-gallery"), None)
    hint = f"; for the plates of a gallery, name the gallery prefix {prefix}" if prefix else ""
    return (
        f"no measured plate below {dataset.root}{hint}; layout {dataset.layout} expects "
        f"{_EXPECTED[dataset.layout]}; tables that were looked for: {expected(presets_of(dataset))}"
    )


def _nothing_in_file(dataset: Dataset) -> str:
    presets = presets_of(dataset)
    whole = [preset for preset in presets if preset.container != "file"]
    if whole:
        told = f"a file that holds all tables is one of these: {expected(whole)}"
    else:
        told = f"preset {presets[0].name} has a file for each table"
    return (
        f"{dataset.file} alone is no plate; {told}. Where each table is a file of its own, name "
        f"the folder in which the Image table lies too, such as {dataset.root}"
    )


def find_plate(dataset: Dataset, key: PlateKey) -> PlateSources:
    """One plate of a dataset; of a gallery prefix no other is looked into.

    Raises
    ------
    PlateNotFoundError
        If the dataset has no such plate.
    """
    found = _plate(dataset, key) if key.dataset_id == dataset.dataset_id else None
    if found is None:
        plates = list_plates(dataset) or tuple(find_plates(dataset))
        if key in plates:
            msg = (
                f"dataset {dataset.dataset_id}: nothing measured lies in the folder of plate "
                f"{key}; expected {_EXPECTED[dataset.layout]}"
            )
            raise PlateNotFoundError(msg)
        known = ", ".join(str(other) for other in plates[:5])
        msg = (
            f"dataset {dataset.dataset_id} has no plate {key}; "
            f"it has {len(plates)}, such as {known}"
        )
        raise PlateNotFoundError(msg)
    return found


def _plate(dataset: Dataset, key: PlateKey) -> PlateSources | None:
    if dataset.layout == "cellprofiler":
        return next((one for one in _cellprofiler_plates(dataset) if one.key == key), None)
    _refuse_file(dataset)
    batch = [dataset.root / WORKSPACE[kind] / key.batch_id for kind in workspace_kinds(dataset)]
    names = {plate.name for some in on_each(subfolders, batch, dataset.root) for plate in some}
    if key.plate_id not in names:
        return None
    return _gallery_plate(dataset, key, tuple(sorted(names - {key.plate_id})))


def _refuse_file(dataset: Dataset) -> None:
    if dataset.file is not None:
        msg = (
            f"dataset {dataset.dataset_id}: {dataset.file} is a file; a gallery prefix is a "
            "folder. Leave the layout out, or name the folder that holds workspace"
        )
        raise ConfigurationError(msg)


def workspace_kinds(dataset: Dataset) -> tuple[str, ...]:
    """Which folders of `WORKSPACE` a dataset is read from, the first that a plate has."""
    return tuple(WORKSPACE) if dataset.measurements == "automatic" else (dataset.measurements,)


_EXPECTED: dict[Layout, str] = {
    "cell-painting-gallery": (
        "workspace/analysis/<batch>/<plate>/analysis/<plate>-<well>-<site>/Image.csv or "
        "workspace/backend/<batch>/<plate>/<plate>.sqlite"
    ),
    "cellprofiler": "Image.csv and one CSV a compartment, or such tables of another dialect, in "
    "that folder or in folders one level below",
}


def _gallery_plate(
    dataset: Dataset, key: PlateKey, siblings: tuple[str, ...]
) -> PlateSources | None:
    """What there is of a plate; None where nothing was measured."""
    for kind in workspace_kinds(dataset):
        base = dataset.root / WORKSPACE[kind] / key.batch_id / key.plate_id
        if kind == "analysis":
            base /= "analysis"
        found = (
            find_measurement_folders(dataset, base, key.plate_id)
            if base.is_dir()
            else FoundFolders()
        )
        if not found.folders:
            continue
        return PlateSources(
            dataset=_with_join_defaults(dataset, found.folders[0]),
            key=key,
            folders=found.folders,
            image_dir=dataset.image_dir
            or _gallery_images(dataset.root, key.batch_id, key.plate_id, siblings),
            mask_dir=dataset.mask_dir,
            outline_dir=dataset.outline_dir,
            load_data=_load_data(dataset.root, key.batch_id, key.plate_id),
            siblings=siblings,
            choice=f"{found.choice} ({_which(dataset, kind)})",
            left_out=found.left_out,
        )
    return None


def _which(dataset: Dataset, kind: str) -> str:
    if dataset.measurements != "automatic":
        return f"{kind}, as the dataset says"
    return "analysis, where there is one" if kind == "analysis" else "backend: no analysis"


def _with_join_defaults(dataset: Dataset, folder: MeasurementFolder) -> Dataset:
    """The dataset with the dialect's join where it says nothing itself."""
    preset = folder.preset
    if (preset.anchor, preset.compartments) == (None, None) and not preset.parents:
        return dataset
    return replace(
        dataset,
        anchor=dataset.anchor or preset.anchor,
        compartments=dataset.compartments or preset.compartments,
        parents={**preset.parents, **dataset.parents},
    )


def _gallery_images(root: Place, batch: str, plate: str, siblings: tuple[str, ...]) -> Place | None:
    """The plate's image folder, by its full name; else the batch's images; None without images.

    A plate's name is the full one up to ``__``: ``BR00117035`` of
    ``BR00117035__2021-05-02T16_02_51-Measurement1``; where no folder is called so, one whose name
    begins with it. Of several measurements none is preferred: then the recorded paths tell, below
    the batch's folder. A folder whose name begins with a longer plate name (``BR-1-2_...`` beside a
    plate ``BR-1``) is that plate's.
    """
    images = root / "images" / batch / "images"
    folders = subfolders(images)
    if not folders and not images.is_dir():
        return None
    own = [one for one in folders if plate in (one.name, plate_of_image_folder(one.name))]
    if not own:
        longer = tuple(other for other in siblings if other.startswith(plate))
        own = [
            one
            for one in folders
            if is_full_name(one.name, plate)
            and not any(is_full_name(one.name, other) for other in longer)
        ]
    return own[0] if len(own) == 1 else images


def is_full_name(folder: str, plate: str) -> bool:
    """Whether a folder's name begins with a plate's, and not in the middle of a longer one."""
    return folder.startswith(plate) and not folder[len(plate) : len(plate) + 1].isalnum()


def _load_data(root: Place, batch: str, plate: str) -> tuple[Place, ...]:
    folder = root / LOAD_DATA / batch / plate
    there = {path.name: path for path in entries(folder)}
    return tuple(
        there[name] for name in _LOAD_DATA_NAMES if name in there and there[name].is_file()
    )


def _cellprofiler_plates(dataset: Dataset) -> Iterator[PlateSources]:
    found = find_measurement_folders(dataset, dataset.root, dataset.plate_id or "")
    if not found.folders:
        return
    batch = dataset.batch_id or UNBATCHED
    plates = list(_split_by_plate(dataset, found.folders))
    names = [plate for plate, _, _ in plates]
    for plate, image_plate, own in plates:
        yield PlateSources(
            dataset=_with_join_defaults(dataset, own[0]),
            key=PlateKey(dataset.dataset_id, batch, plate),
            folders=tuple(sorted((_placed(dataset, one, plate) for one in own), key=folder_order)),
            image_dir=dataset.image_dir,
            mask_dir=dataset.mask_dir,
            outline_dir=dataset.outline_dir,
            image_plate=image_plate,
            siblings=tuple(other for other in names if other != plate),
            choice=found.choice,
            left_out=tuple(one for one in found.left_out if _may_be_of(one, plate, names)),
        )


def _may_be_of(left_out: Rejection, plate: str, plates: Sequence[str]) -> bool:
    """Whether a file may be a plate's: of those that its path names, else of all."""
    parts = PurePosixPath(left_out.source_file or "").parts
    named = [one for one in plates if any(f"{part}-".startswith(f"{one}-") for part in parts)]
    return plate in (named or plates)


def _split_by_plate(
    dataset: Dataset, folders: tuple[MeasurementFolder, ...]
) -> Iterator[tuple[str, str | None, tuple[MeasurementFolder, ...]]]:
    """Plate name, the ``Metadata_Plate`` to keep and the folders that hold it."""
    if dataset.plate_id is not None:
        yield dataset.plate_id, None, folders
        return
    plates = on_each(image_table_plates, folders, dataset.root)
    named = {folder.relative: some for folder, some in zip(folders, plates, strict=True)}
    by_plate: dict[str, list[MeasurementFolder]] = {}
    for folder in folders:
        for plate in named[folder.relative] or {_own_name(dataset, folder)}:
            by_plate.setdefault(plate, []).append(folder)
    for plate, own in sorted(by_plate.items()):
        # Only a folder that mixes plates needs its rows filtered.
        mixed = any(len(named[folder.relative]) > 1 for folder in own)
        yield plate, plate if mixed else None, tuple(own)


def _placed(dataset: Dataset, folder: MeasurementFolder, plate: str) -> MeasurementFolder:
    """A folder with what its name says, now that the plate is known.

    ``<plate>-<well>-<site>`` is sure, ``<other>-<well>-<site>`` is a guess. ``<plate>-<well>`` says
    nothing: ``<plate>-v2`` has that form too.
    """
    if folder.preset.container == "deepprofiler" or folder.path == dataset.root:
        return folder
    well, site = split_site_folder(folder.path.name, plate)
    is_named_so = folder.path.name.startswith(f"{plate}-")
    return replace(folder, well=well if site else None, site=site, is_named_so=is_named_so)


def _own_name(dataset: Dataset, folder: MeasurementFolder) -> str:
    """What a plate is called that its tables give no name."""
    named = folder.preset.table_of_file(dataset.file.name) if dataset.file else None
    return named or dataset.root.resolve().name


def dataset_from_folder(source: Place, **options: object) -> Dataset:
    """A dataset for a folder or file in no configuration: its layout found, named after the folder.

    Parameters
    ----------
    options
        Other fields of `Dataset`; None stands for one that is not given.
    """
    known = {name: value for name, value in options.items() if value is not None}
    layout = known.pop("layout", None) or detect_layout(source)
    root, file = split_source(source, layout)  # type: ignore[arg-type]
    base = Dataset(dataset_id=root.resolve().name, root=root, file=file, layout=layout)  # type: ignore[arg-type]
    return replace(base, **known)  # type: ignore[arg-type]


def split_source(source: Place, layout: Layout) -> tuple[Place, Place | None]:
    """The folder that a source is or lies in, and the source where it is a file.

    A gallery prefix in a store is a folder: nothing is asked for.
    """
    if layout == "cell-painting-gallery" and isinstance(source, ObjectPath):
        return source, None
    return (source.parent, source) if source.is_file() else (source, None)


def check_unique(datasets: Iterable[Dataset]) -> None:
    """Refuse two datasets of one id: their plates would overwrite each other.

    Raises
    ------
    ConfigurationError
        If an id is given twice.
    """
    refuse_repeated((dataset.dataset_id, dataset.root) for dataset in datasets)


def refuse_repeated(roots: Iterable[tuple[str | None, object]]) -> None:
    """Refuse an id that is given for two roots.

    Raises
    ------
    ConfigurationError
        If one is.
    """
    seen: dict[str | None, object] = {}
    for dataset_id, root in roots:
        if dataset_id in seen:
            msg = (
                f"dataset id {dataset_id!r} is given twice, for {seen[dataset_id]} and {root}; ids "
                "must differ"
            )
            raise ConfigurationError(msg)
        seen[dataset_id] = root
