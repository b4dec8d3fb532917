"""The console logger of Dagster's runs: Dagster's own, or one JSON object a line."""

import logging
import sys
from collections.abc import Mapping

import dagster as dg

from cp_assets.logs import JsonFormatter, current_fields, log_format
from cp_assets.partitions import BATCH_TAG, DATASET_TAG, PLATE_TAG


class RunJsonFormatter(JsonFormatter):
    """Lines of a run: also those that Dagster says itself know dataset, batch, plate and asset."""

    def message_of(self, record: logging.LogRecord) -> str:
        """What was said, without the run and the step that Dagster puts before it."""
        meta = getattr(record, "dagster_meta", None)
        return str(meta["orig_message"]) if meta else super().message_of(record)

    def fields_of(self, record: logging.LogRecord) -> Mapping[str, str]:
        """Whose line it is, from the run's tags where no step says it."""
        meta = getattr(record, "dagster_meta", None)
        if not meta:
            return current_fields()
        tags = meta["job_tags"]
        found = {
            "dataset": tags.get(DATASET_TAG),
            "batch": tags.get(BATCH_TAG),
            "plate": tags.get(PLATE_TAG),
            "asset": meta["step_key"],
            "run": meta["run_id"],
        }
        event = meta["dagster_event"]
        said = {"event": event.event_type_value} if event else {}
        return {**{k: v for k, v in found.items() if v}, **current_fields(), **said}


@dg.logger(
    {
        "log_level": dg.Field(str, default_value="INFO", is_required=False),
        "name": dg.Field(str, default_value="dagster", is_required=False),
    },
    description="Dagster's coloured lines, or JSON where CP_ASSETS_LOG is json.",
)
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Log a run to standard error."""
    if log_format() == "text":
        made: logging.Logger = dg.colored_console_logger.logger_fn(context)
        return made
    # One for each run, as Dagster's own: a logger that is found by name would keep the handlers.
    logger = logging.Logger(  # noqa: LOG001
        context.logger_config["name"], level=context.logger_config["log_level"].upper()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RunJsonFormatter())
    logger.addHandler(handler)
    return logger
