"""Structured logs: one JSON object a line on stderr. Nothing of a request's content goes in.

uvicorn's and the standard library's messages pass through the same form. Of an exception its kind
and its places in the code are kept, and not its message, which may quote what a client sent.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any

import structlog


def configure(process: str) -> None:
    """Set up logging for a whole process; `process` is named in every line."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _put_exception,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("footfall").setLevel(logging.INFO)
    structlog.contextvars.bind_contextvars(process=process)


def _put_exception(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Any:
    given = line.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    fault = given[1] if isinstance(given, tuple) else given
    if isinstance(fault, BaseException):
        line["exception"] = list(_told(fault))
    return line


def _told(fault: BaseException | None) -> Iterator[str]:
    """Kind and places of an exception and of what led to it, the newest first.

    What the operating system says is kept: it names our files and never a request's content.
    """
    seen: set[int] = set()
    while fault is not None and id(fault) not in seen:
        seen.add(id(fault))
        said = f": {fault}" if isinstance(fault, OSError) else ""
        yield f"{type(fault).__module__}.{type(fault).__qualname__}{said}"
        for frame in traceback.extract_tb(fault.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} {frame.name}"
        fault = fault.__cause__ or fault.__context__
