"""The secret that opens the console: made at each start of the server, or set by the operator.

It reaches the worker through the environment, because arguments can be seen by everybody on the
machine. The supervisor imports this, so it stays light: no `secrets`, which loads OpenSSL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from footfall.errors import SettingsError

VARIABLE = "FOOTFALL_CONSOLE_TOKEN"
"""Set by the operator: the token, the same at every start. Set by the supervisor: the worker's."""

_TAKEN = re.compile(r"[A-Za-z0-9_.~-]{16,256}")
"""What stands in a URL and in a header as it is, and is too long to be guessed."""


def console_token(environment: Mapping[str, str]) -> str:
    """The operator's token, else a new one of 256 bits.

    Raises `SettingsError` where the operator's cannot serve; it is not shown, being a secret.
    """
    given = environment.get(VARIABLE, "")
    if not given:
        return os.urandom(32).hex()
    if not _TAKEN.fullmatch(given):
        raise SettingsError(
            f'environment: {VARIABLE} must be 16 to 256 letters, digits, "-", "_", "." and "~"; '
            f"`python3 -c 'import secrets; print(secrets.token_urlsafe())'` makes one"
        )
    return given
