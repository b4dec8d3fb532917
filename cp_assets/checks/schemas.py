"""Pandera schemas of the tables: what each row must hold."""

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from cp_assets.warehouse.spec import TableSpec

_SHOWN = 5


def declared_schema(spec: TableSpec) -> pa.DataFrameSchema:
    """What a table declares to be without null, beyond the contract."""
    required = [field.name for field in spec.schema if not field.nullable]
    return pa.DataFrameSchema(
        {name: pa.Column(nullable=False) for name in required}, name=spec.name
    )


BOX_SCHEMA = pa.DataFrameSchema(
    {
        "Metadata_SourceBBoxXMin": pa.Column("int32", pa.Check.ge(0)),
        "Metadata_SourceBBoxYMin": pa.Column("int32", pa.Check.ge(0)),
    },
    checks=[
        pa.Check(
            lambda crops: crops["Metadata_SourceBBoxXMax"] <= crops["image_width"],
            name="box ends inside the image's width",
        ),
        pa.Check(
            lambda crops: crops["Metadata_SourceBBoxYMax"] <= crops["image_height"],
            name="box ends inside the image's height",
        ),
    ],
    name="boxes inside their images",
)
"""Boxes in pixels, half-open, against the sizes of their images."""

CROP_SIZE_SCHEMA = pa.DataFrameSchema(
    checks=[
        pa.Check(
            lambda crops: (
                crops["Metadata_SourceBBoxXMax"] - crops["Metadata_SourceBBoxXMin"]
                == crops["crop_width"]
            ),
            name="crop is as wide as its box",
        ),
        pa.Check(
            lambda crops: (
                crops["Metadata_SourceBBoxYMax"] - crops["Metadata_SourceBBoxYMin"]
                == crops["crop_height"]
            ),
            name="crop is as high as its box",
        ),
    ],
    name="crops as large as their boxes",
)
"""Boxes in pixels, half-open, against the sizes of the crops' pixels."""


def faults_of(schema: pa.DataFrameSchema, rows: pd.DataFrame) -> list[str]:
    """What breaks a schema, one line a fault, the commonest first; empty if the rows hold it."""
    try:
        schema.validate(rows, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        grouped = cases.groupby(["column", "check"], dropna=False, sort=False)
        return [
            f"{column}: {check} fails for {len(group)} row(s), such as "
            f"{', '.join(map(str, group['failure_case'].head(_SHOWN)))}"
            for (column, check), group in grouped
        ]
    return []
