"""What an operator can meet, each with a code and what to do about it.

Not for what a client did wrong: that is `footfall.collect.contract.Reason`. Messages say what
is wrong and where; `remedy` says how to mend it. Codes never change their meaning.
"""

# ruff: noqa: N818 - they name what is the case, in the operator's words

from __future__ import annotations

from collections.abc import Mapping


class FootfallError(Exception):
    """Base of every fault that is reported to the operator in words, without a traceback."""

    code = "F000"
    remedy = "Please report this with the lines of the log around it."

    def __str__(self) -> str:
        return f"{self.args[0] if self.args else type(self).__name__}"


class SystemRefused(FootfallError):
    """The operating system did not do what it was asked, for a reason of its own."""

    code = "F001"
    remedy = "Look at what is named above: whether it is there, whose it is, and the free space."


class SettingsError(FootfallError):
    """Every problem of the settings at once, one text each: ``SettingsError(*problems)``."""

    code = "F101"
    remedy = "Mend the lines named above, then run `footfall check`."

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.args)


class DataDirectoryInUse(FootfallError):
    code = "F201"
    remedy = (
        "Another footfall process holds this directory. Stop it, or choose another with --data."
    )


class DataDirectoryTooNew(FootfallError):
    code = "F202"
    remedy = "A newer release wrote this directory. Start that release or a later one."


class AddressInUse(FootfallError):
    code = "F203"
    remedy = "Something listens there already. Choose another with --port or --console-port."


class ServerNotRunning(FootfallError):
    code = "F204"
    remedy = "Start it with `footfall serve`, or name its directory with --data."


class DataDirectoryMissing(FootfallError):
    code = "F205"
    remedy = "Name the right one with --data, or begin it with `footfall serve`."


class DataDirectoryForeign(FootfallError):
    """A path that holds something else: nothing is ever written among other people's files."""

    code = "F206"
    remedy = "Choose an empty or a new directory with --data."


class NotStarted(FootfallError):
    """A process of the server ended before it could do its work."""

    code = "F207"
    remedy = "Its own lines of the log, above, say why. Mend that and start again."


class JournalUnavailable(FootfallError):
    """The journal cannot commit now; what was asked was not acknowledged."""

    code = "F301"
    remedy = "Look at `footfall status`: a full disk, a lost quorum or a stalled disk is named."


class JournalFailed(JournalUnavailable):
    """A sync failed: nothing more is taken until a restart has verified the log."""

    code = "F302"
    remedy = (
        "A disk refused to make data durable. Check the disk, then restart; the log is verified "
        "at the start and nothing that was acknowledged is given up."
    )


class JournalDamaged(FootfallError):
    code = "F303"
    remedy = (
        "Bytes of the log cannot be read; the rest can. Restore the segment named above from a "
        "backup, or leave it: the damaged stretch is fenced and everything around it is kept."
    )


class LakeUnavailable(FootfallError):
    code = "F304"
    remedy = (
        "Install the package `duckdb-extension-ducklake` of the release that duckdb has, or let "
        "this machine reach DuckDB's extension repository once."
    )


class QueryRefused(FootfallError):
    code = "F401"
    remedy = "One SELECT over the tables of docs/tables.md; files and settings are out of reach."


class QueryTimeout(FootfallError):
    code = "F402"
    remedy = "Narrow it to fewer days of received_at, or raise server.query_seconds."


class SessionUnknown(FootfallError):
    code = "F403"
    remedy = "Check the id, and the data directory: `footfall tail --json` shows ids as they come."


class ProfileUnknown(FootfallError):
    code = "F404"
    remedy = "Check the id, --source and the data directory: an erased profile is unknown as well."


class SourceUnknown(FootfallError):
    code = "F405"
    remedy = "Name a source of footfall.toml that takes this protocol; footfall check lists them."


class BackupDamaged(FootfallError):
    code = "F501"
    remedy = "A file of the backup is missing or changed. Take another backup."


class ErasureUnfinished(FootfallError):
    """An erasure was broken off: what is gone stays gone, and it remembers what is left."""

    code = "F502"
    remedy = "Mend what is named above, then run `footfall forget --resume`."


class AuditNotValid(FootfallError):
    """A file that `footfall forget --repeat-audit` cannot use."""

    code = "F503"
    remedy = (
        "It is the erasures.jsonl of the data directory that the backup was made of, a copy of it "
        "if need be; its secret has to be the one in the backup."
    )


class PeopleNotNamed(FootfallError):
    """A list of people that cannot be read."""

    code = "F504"
    remedy = (
        'One a line: {"profile": "ID"}, {"user": "ID"} or {"session": "ID"}; or the ids alone, '
        "with --kind."
    )


class RecordingNotValid(FootfallError):
    """A file that `footfall replay` cannot read as recorded traffic."""

    code = "F601"
    remedy = "One JSON object a line; docs/replay.md has the fields."


class TargetUnreachable(FootfallError):
    """Nobody answers where traffic is to be replayed to."""

    code = "F602"
    remedy = "Look at --to: scheme, host and port, and whether a server listens there."


WITHOUT_VALUES = frozenset({"IOException", "OutOfMemoryException"})
"""DuckDB's faults that name files and sizes; of all others the text may quote a row."""


def told(fault: BaseException) -> str:
    """What is kept of a fault, in a log say: its text, or its kind where that may hold ids.

    Our own texts, the operating system's and SQLite's quote nothing that a client sent.
    """
    kind = type(fault)
    harmless = isinstance(fault, FootfallError | OSError) or kind.__module__ == "sqlite3"
    if harmless or kind.__name__ in WITHOUT_VALUES:
        return str(fault)
    return f"{kind.__module__.removeprefix('_')}.{kind.__qualname__}"


def by_code() -> Mapping[str, type[FootfallError]]:
    """Every fault that there is, by its code, in the order of the codes."""
    found: dict[str, type[FootfallError]] = {FootfallError.code: FootfallError}
    waiting = [FootfallError]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            found[kind.code] = kind
            waiting.append(kind)
    return dict(sorted(found.items()))
