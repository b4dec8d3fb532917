"""DataFusion with iceberg-rust, which `pyiceberg-core` brings."""

import pyarrow.parquet as pq
from datafusion import SessionContext
from pyiceberg_core.datafusion import IcebergDataFusionTable
from serve import Question, serve, where


def write(question: Question) -> None:
    """Write the rows of a table."""
    # The table provider has no option for either: this tells what it says.
    options = {name: question[name] for name in ("snapshot", "tag") if question.get(name)}
    name = question["table"]
    place = question["tables"][name]
    context = SessionContext()
    context.register_table("t", IcebergDataFusionTable(name.split("."), place, {}, **options))
    pq.write_table(
        context.sql(f"SELECT * FROM t{where(question)}").to_arrow_table(), question["out"]
    )


serve(write)
