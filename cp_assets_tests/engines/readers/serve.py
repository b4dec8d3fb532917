"""What each reader does: answer one question a line, until there are none.

A question is JSON: ``tables`` (namespace.table -> its metadata file), ``out`` (where to write the
rows, as Parquet), and either ``sql``, a statement over the tables, or ``table``, the one that is
asked for, and where wanted of its rows those of a ``plate``, a ``snapshot`` (an id) or a ``tag``.
The answer is ``{}``, or the engine's own words where it cannot.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

Question = dict[str, Any]


def serve(write: Callable[[Question], None]) -> None:
    """Answer with what ``write`` does: it writes the rows of a question to its ``out``."""
    # What an engine prints is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            write(json.loads(line))
            answer = {}
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def where(question: Question) -> str:
    """The WHERE clause of a question in standard SQL."""
    plate = question.get("plate")
    return "" if plate is None else " WHERE plate_id = '" + plate.replace("'", "''") + "'"
