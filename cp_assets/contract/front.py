"""The contract as scripts and the command line call it: everything by path or by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cp_assets.contract.given_aliases import aliases_of
from cp_assets.contract.image_tables import open_images
from cp_assets.contract.joining import JoinOptions, join_to_images
from cp_assets.contract.names import NO_ALIASES, Aliases
from cp_assets.contract.profile_tables import files_of, open_table
from cp_assets.contract.validation import validate_rows
from cp_assets.errors import ConfigurationError
from cp_assets.stores import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cp_assets.contract.joining import JoinSummary
    from cp_assets.contract.result import ContractResult
    from cp_assets.stores import Place, StoreSettings
    from cp_assets.warehouse.warehouse import Warehouse

    _Warehouse: TypeAlias = str | Path | Warehouse | None
    _Given: TypeAlias = Aliases | Mapping[str, str | Sequence[str]] | str | Path | None


def validate_contract(  # noqa: PLR0913 - each says one thing
    target: str | Path,
    *,
    warehouse: _Warehouse = None,
    images: str | Path | None = None,
    aliases: _Given = None,
    dataset_id: str | None = None,
    images_dataset_id: str | None = None,
    stores: StoreSettings | None = None,
) -> ContractResult:
    """Hold a profile table against the join contract.

    Memory is bounded, however large the table is.

    Parameters
    ----------
    target
        A Parquet or CSV file (``.csv``, ``.csv.gz``) or a folder of Parquet files; a name that is
        no path there is a table of ``warehouse``.
    warehouse
        As `open_warehouse` takes it.
    images
        What the rows shall find, see `cp_assets.contract.image_tables.open_images`: an image store
        or a folder of such, a table of images, a warehouse's folder or the name of its table.
    aliases
        Name of the contract -> column or columns; or a TOML file with ``[microscopy.aliases]``.
    dataset_id
        Of all rows, for a table that has no such column.
    images_dataset_id
        Of images that are scanned; by default the store's name without its ending.
    stores
        How object stores are reached.

    Raises
    ------
    ConfigurationError
        If nothing is there, or the aliases or the images cannot be used.
    MeasurementError
        If the file is no table, or empty.
    NoSuchTableError
        If the warehouse has no such table.

    Examples
    --------
    >>> result = cp_assets.validate_contract("cells.parquet", images="plate/")  # doctest: +SKIP
    >>> result.is_valid, result.coverage.rows_with_image  # doctest: +SKIP
    """
    return validate_rows(
        open_table(target, warehouse, stores),
        aliases=_aliases(aliases),
        dataset_id=dataset_id,
        images=None
        if images is None
        else open_images(images, warehouse, dataset_id=images_dataset_id, stores=stores).assets,
    )


def join_profiles(  # noqa: PLR0913 - each says one thing
    images: str | Path,
    profiles: str | Path,
    output: str | Path,
    *,
    warehouse: _Warehouse = None,
    include_chunks: bool = False,
    keep_unmatched: bool = False,
    profile_dataset_id: str | None = None,
    images_dataset_id: str | None = None,
    aliases: _Given = None,
    stores: StoreSettings | None = None,
) -> JoinSummary:
    """Join the metadata of images to a profile table, and write Parquet.

    Memory is bounded, however large the profiles are; see
    `cp_assets.contract.joining.join_to_images` for the rows, their order and their columns.

    Parameters
    ----------
    images, profiles
        As ``images`` and ``target`` of `validate_contract`.
    output
        The Parquet file to write; it is there when all of it is.
    include_chunks
        One row for each chunk of an image.
    keep_unmatched
        Keep profile rows that find no image, with nulls; they are left out otherwise.
    profile_dataset_id
        Of all profiles, where they have no such column.
    warehouse, images_dataset_id, aliases, stores
        As in `validate_contract`.

    Raises
    ------
    ConfigurationError
        If images or profiles have no columns to join by, or the output is one of them or cannot
        be written.
    MeasurementError, NoSuchTableError, ImageReadError
        If profiles or images cannot be read.
    """
    options = JoinOptions(
        aliases=_aliases(aliases),
        dataset_id=profile_dataset_id,
        include_chunks=include_chunks,
        keep_unmatched=keep_unmatched,
    )
    table = open_table(profiles, warehouse, stores)
    opened = open_images(images, warehouse, dataset_id=images_dataset_id, stores=stores)
    inputs = [place(images, stores), *files_of(opened.assets), *files_of(table)]
    _check_output(Path(output), inputs)
    return join_to_images(opened, table, Path(output), options)


def _check_output(output: Path, inputs: Iterable[Place]) -> None:
    """Refuse to replace what is read, under whatever name.

    Raises
    ------
    ConfigurationError
        If the output is one of the inputs.
    """
    if not output.is_file():
        return
    for one in inputs:
        if isinstance(one, Path) and one.exists() and output.samefile(one):
            msg = f"output {output} is the input {one}, which it would replace; name another file"
            raise ConfigurationError(msg)


def _aliases(given: _Given) -> Aliases:
    if given is None:
        return NO_ALIASES
    if isinstance(given, Aliases):
        return given
    if isinstance(given, str | Path):
        return aliases_of(Path(given), ())
    return Aliases(
        given={
            name: (columns,) if isinstance(columns, str) else tuple(columns)
            for name, columns in given.items()
        }
    )
