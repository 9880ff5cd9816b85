"""Every setting as data, and how the data is read.

``fields``         the one list: name, default, unit, limits and help of every setting, each made
                   by `declaring`; those of streams in `stream_fields`
``values``         one TOML value or environment text becomes one typed value, or a sentence
``lines``          on which line of the file a setting stands
``reading``        file, environment and flags become `Settings`, or one error naming every problem
``rules``          what must hold between settings
``documentation``  `docs/settings.md`, from the list

Read from ``footfall.toml``, then from the environment (``FOOTFALL_SERVER_PORT=9000``), then from
the command line. Nothing here opens a port, the data directory, or a connection.
"""

from footfall.settings.declaring import setting
from footfall.settings.documentation import Row, describe
from footfall.settings.fields import Limits, Media, Privacy, Server, Settings, Source
from footfall.settings.reading import load
from footfall.settings.stream_fields import Service, Slot, Streams
from footfall.settings.values import unreadable_files

__all__ = [
    "Limits",
    "Media",
    "Privacy",
    "Row",
    "Server",
    "Service",
    "Settings",
    "Slot",
    "Source",
    "Streams",
    "describe",
    "load",
    "setting",
    "unreadable_files",
]
