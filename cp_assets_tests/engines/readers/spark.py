"""Spark with Iceberg's runtime, through the REST catalog that the first argument describes."""

import json
import sys
from pathlib import Path

import snowpark_connect_deps_iceberg
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from serve import Question, serve

_LOOPBACK = "127.0.0.1"
_CATALOG = json.loads(sys.argv[1])

runtime = next(
    Path(snowpark_connect_deps_iceberg.__file__).parent.rglob("iceberg-spark-runtime-*_2.12-*.jar")
)
options = {
    "spark.jars": str(runtime),
    "spark.ui.enabled": "false",
    "spark.driver.host": _LOOPBACK,
    "spark.driver.bindAddress": _LOOPBACK,
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    # Code made for hundreds of columns takes longer to compile than a small table to read.
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.catalog.cp-assets": "org.apache.iceberg.spark.SparkCatalog",
    **{f"spark.sql.catalog.cp-assets.{name}": value for name, value in _CATALOG.items()},
}
builder = SparkSession.builder.master("local[1]").appName("cp_assets")
for name, value in options.items():
    builder = builder.config(name, value)
session = builder.getOrCreate()
session.sparkContext.setLogLevel("ERROR")


def write(question: Question) -> None:
    """Write the rows of a table, or of a statement (``sql``)."""
    try:
        rows = session.sql(question.get("sql") or _select(question))
        rows.write.parquet(question["out"])
    except (PySparkException, Py4JJavaError) as error:
        # Without the Java stack.
        raise RuntimeError(str(error).split("\n\tat ", maxsplit=1)[0]) from None


def _select(question: Question) -> str:
    version = question.get("snapshot") or question.get("tag")
    of = "" if version is None else f" VERSION AS OF {version!r}"
    plate = question.get("plate")
    text = "" if plate is None else plate.replace("\\", "\\\\").replace("'", "\\'")
    name = ".".join(f"`{part}`" for part in ("cp-assets", *question["table"].split(".")))
    return f"SELECT * FROM {name}{of}" + ("" if plate is None else f" WHERE plate_id = '{text}'")


serve(write)
