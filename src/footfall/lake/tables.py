"""The lake's tables as data: names, types, units and help. `docs/tables.md` is made from this.

Only what users may query stands in `TABLES`; `PRIVATE` is the lake's own book-keeping. How rows
get into the tables is `loading`'s matter.
"""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple

from footfall.lake.ad_columns import AD_COLUMNS
from footfall.project.media_columns import MEDIA_TABLES, MediaColumn

FORMAT = 1
"""Version of everything below. A release opens every earlier format and refuses a later one."""


class Column(NamedTuple):
    name: str
    type: str
    """DuckDB's name for it. Times are `TIMESTAMP` in UTC."""
    help: str
    unit: str = ""
    required: bool = False
    """Never NULL."""


class Table(NamedTuple):
    name: str
    help: str
    columns: tuple[Column, ...]
    view: str | None = None
    """For a view: the file in `queries/` that answers it."""

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def sql(self) -> str:
        """The view's SELECT."""
        assert self.view is not None
        return read_query(self.view)


def read_query(name: str) -> str:
    """The text of a file in `queries/`."""
    return resources.files(__package__).joinpath("queries", name).read_text("utf-8")


EVENTS = Table(
    "events",
    "One row per event that was acknowledged, exactly once.",
    (
        Column("event_id", "VARCHAR", "Unique within source and protocol.", required=True),
        Column("source", "VARCHAR", "The site or app, as named in the settings.", required=True),
        Column("protocol", "VARCHAR", "The protocol that it came by.", required=True),
        Column("type", "VARCHAR", "The vendor's name for the kind of event.", required=True),
        Column("occurred_at", "TIMESTAMP", "When the client says it happened.", "UTC", True),
        Column("received_at", "TIMESTAMP", "When it arrived.", "UTC", True),
        Column("session_id", "VARCHAR", "Unique within source and protocol only."),
        Column("profile_id", "VARCHAR", "The profile that it belongs to."),
        Column("user_id", "VARCHAR", "The customer's id of a logged-in person."),
        Column("page", "VARCHAR", "The page that it happened on."),
        Column("location", "VARCHAR", "The widget on the page."),
        Column("channel", "VARCHAR", "desktop, mac, ios, android, …"),
        Column("brand", "VARCHAR", "A URL or a name: by the client, else its page's origin."),
        Column("country", "VARCHAR", "By the truncated address.", "ISO 3166-1 alpha-2"),
        Column("device", "VARCHAR", "desktop, mobile, tablet, tv, … or bot, by the user agent."),
        Column("os", "VARCHAR", "Operating system, by the user agent."),
        Column("browser", "VARCHAR", "Browser, by the user agent."),
        Column("ip", "VARCHAR", "The address, truncated to /24 or /48."),
        Column("playhead_s", "DOUBLE", "Where in the media it happened.", "seconds"),
        Column("properties", "JSON", "What happened beyond these columns, in the vendor's names."),
        Column("context", "JSON", "Under what circumstances, in the vendor's names."),
        Column("partition", "INTEGER", "Partition of its journal record.", required=True),
        Column("position", "BIGINT", "Sequence of its journal record.", required=True),
    ),
)

REJECTS = Table(
    "rejects",
    "Requests that were refused, kept so that their senders can be helped.",
    (
        Column("received_at", "TIMESTAMP", "When it arrived.", "UTC", True),
        Column("source", "VARCHAR", "The source; NULL where the key named none."),
        Column("protocol", "VARCHAR", "The protocol that it came by.", required=True),
        Column("reason", "VARCHAR", "One of a closed list of reasons.", required=True),
        Column("detail", "VARCHAR", "What is wrong and how to mend it.", required=True),
        Column("status", "INTEGER", "The HTTP status that was answered.", required=True),
        Column("body", "VARCHAR", "The start of the body."),
    ),
)

SESSIONS = Table(
    "sessions",
    "One row per session, made from its events at the moment of asking.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("protocol", "VARCHAR", "The protocol that gave the session id.", required=True),
        Column("session_id", "VARCHAR", "Unique within source and protocol only.", required=True),
        Column("profile_id", "VARCHAR", "The profile, by the latest event that names one."),
        Column("user_id", "VARCHAR", "The person, by the latest event that names one."),
        Column("started_at", "TIMESTAMP", "Its first event.", "UTC", True),
        Column("ended_at", "TIMESTAMP", "Its last event; a Jay session's end.", "UTC", True),
        Column("duration_s", "DOUBLE", "From started_at to ended_at.", "seconds", True),
        Column("events", "BIGINT", "Events in it.", required=True),
        Column("pages", "BIGINT", "Distinct pages seen.", required=True),
        Column("first_page", "VARCHAR", "The first page seen."),
        Column("last_page", "VARCHAR", "The last page seen."),
        Column("channel", "VARCHAR", "By the first event that has one."),
        Column("brand", "VARCHAR", "By the first event that has one."),
        Column("country", "VARCHAR", "By the first event that has one.", "ISO 3166-1 alpha-2"),
        Column("device", "VARCHAR", "By the first event that has one."),
        Column("os", "VARCHAR", "By the first event that has one."),
        Column("browser", "VARCHAR", "By the first event that has one."),
        Column("status", "VARCHAR", "tracardi: ended where `visit-ended` came last, else active."),
        Column("visit", "BIGINT", "Which visit of its profile it is, from 1; see `visits`."),
        Column("context", "JSON", "The session's own, brought up to date by its requests."),
        Column("properties", "JSON", "Likewise."),
    ),
    view="sessions.sql",
)

PLACE = (
    Column("occurred_at", "TIMESTAMP", "When the client says it happened.", "UTC", True),
    Column("received_at", "TIMESTAMP", "When it arrived.", "UTC", True),
    Column("partition", "INTEGER", "Partition of its journal record.", required=True),
    Column("position", "BIGINT", "Sequence of its journal record.", required=True),
)
LINE = Column(
    "line",
    "INTEGER",
    "Its place among what one record says of profiles: of equal positions the highest came last.",
    required=True,
)

VISITS = Table(
    "visits",
    "One row per visit that a protocol counts: a session that was new to its profile. They stay "
    "when retention deletes the events.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("identity", "VARCHAR", "The identity group, else the source.", required=True),
        Column("protocol", "VARCHAR", "The protocol that it came by.", required=True),
        Column("session_id", "VARCHAR", "Unique within source and protocol only.", required=True),
        Column("profile_id", "VARCHAR", "The profile, as it was called then."),
        *PLACE,
    ),
)

PROFILE_TRAITS = Table(
    "profile_traits",
    "What was learnt of a person, one row each time that it was said. `profiles` has the latest.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("profile_id", "VARCHAR", "The profile, as it was called then.", required=True),
        Column("name", "VARCHAR", "Of the trait: `email.main`.", required=True),
        Column("value", "JSON", "Its value from then on; null where it was taken back."),
        Column("type", "VARCHAR", "Of the event that said so.", required=True),
        Column("event_id", "VARCHAR", "Of that event."),
        *PLACE,
        LINE,
    ),
)

PROFILE_CONSENTS = Table(
    "profile_consents",
    "What a person consented to and refused, one row each time. `profiles` has the latest.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("profile_id", "VARCHAR", "The profile, as it was called then.", required=True),
        Column("name", "VARCHAR", "Of the consent.", required=True),
        Column("granted", "BOOLEAN", "Granted, or refused.", required=True),
        Column("until", "TIMESTAMP", "When it runs out; NULL: never.", "UTC"),
        Column("type", "VARCHAR", "Of the event that said so.", required=True),
        Column("event_id", "VARCHAR", "Of that event; NULL where it is kept without a name."),
        *PLACE,
        LINE,
    ),
)

PROFILE_ALIASES = Table(
    "profile_aliases",
    "Ids of profiles that another profile took over, and why. `profiles` follows them.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("alias", "VARCHAR", "The id that was taken over.", required=True),
        Column("profile_id", "VARCHAR", "Whose it is from then on.", required=True),
        Column("reason", "VARCHAR", "Why, in words."),
        Column("event_id", "VARCHAR", "The event that showed it."),
        *PLACE[1:],
        LINE,
    ),
)


def _column(column: MediaColumn) -> Column:
    unit = "UTC" if column.type == "TIMESTAMP" else "seconds" if column.name.endswith("_s") else ""
    return Column(column.name, column.type, column.help, unit)


MEDIA_HELP = {
    "media_sessions": "One row per media session, open or closed, with its metrics as of now.",
    "media_ads": "One row per ad that a media session played inside an ad break.",
    "media_chapters": "One row per chapter of a media session.",
    "media_states": "One row per media session and player state (full screen, mute, …) of it.",
}
MEDIA = tuple(
    Table(name, MEDIA_HELP[name], tuple(map(_column, columns)), view=f"{name}.sql")
    for name, columns in MEDIA_TABLES.items()
)
"""What is closed together with what is still open."""

CLOSED = (
    Column("received_at", "TIMESTAMP", "When the session was opened, by the server.", "UTC", True),
    Column("partition", "INTEGER", "Partition of the record that closed it.", required=True),
    Column("position", "BIGINT", "Sequence of the record that closed it.", required=True),
)
"""What a closed row has besides: it is appended once, by the position of its closing."""
MEDIA_CLOSED = tuple(
    Table(f"{table.name}_closed", table.help, (*table.columns, *CLOSED)) for table in MEDIA
)
MEDIA_OPEN = tuple(Table(f"{table.name}_open", table.help, table.columns) for table in MEDIA)
"""In memory beside the lake, filled anew before it is asked for."""

MEDIA_STRAYS = Table(
    "media_strays",
    "One row per media event that changed nothing because its session was not open: it came more "
    "than 5 s after the close, say. The event itself is in `events`.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("session_id", "VARCHAR", "Unique within source.", required=True),
        Column("type", "VARCHAR", "The vendor's name for the kind of event.", required=True),
        Column("reason", "VARCHAR", "Why it changed nothing.", required=True),
        Column("occurred_at", "TIMESTAMP", "When the client says it happened.", "UTC", True),
        Column("received_at", "TIMESTAMP", "When its record was committed.", "UTC", True),
        Column("partition", "INTEGER", "Partition of its journal record.", required=True),
        Column("position", "BIGINT", "Sequence of its journal record.", required=True),
    ),
)

PROFILES = Table(
    "profiles",
    "One row per profile, made of whatever is kept of it at the moment of asking.",
    (
        Column("profile_id", "VARCHAR", "Unique within source.", required=True),
        Column("source", "VARCHAR", "The site or app, or the identity group.", required=True),
        Column("first_seen_at", "TIMESTAMP", "The earliest that is kept of it.", "UTC", True),
        Column("last_seen_at", "TIMESTAMP", "The latest that is kept of it.", "UTC", True),
        Column("visits", "BIGINT", "Sessions of it, those before retention too.", required=True),
        Column("events", "BIGINT", "Events of it that are kept.", required=True),
        Column("user_id", "VARCHAR", "The person, by the latest event that names one."),
        Column("aliases", "VARCHAR[]", "Ids that it took over.", required=True),
        Column("consents", "JSON", "Name to granted, refused or expired: as of now."),
        Column("traits", "JSON", "Name to value: the latest of each."),
        Column("country", "VARCHAR", "By the latest event that has one.", "ISO 3166-1 alpha-2"),
        Column("device", "VARCHAR", "By the latest event that has one."),
        Column("os", "VARCHAR", "By the latest event that has one."),
        Column("browser", "VARCHAR", "By the latest event that has one."),
    ),
    view="profiles.sql",
)

AD_HELP = {
    "ad_breaks": "One row per ad break that was decided for a session of a stream service.",
    "ads": "One row per ad that was placed in a session's break, slates left out.",
}
ADS = tuple(
    Table(name, AD_HELP[name], tuple(Column(*column) for column in columns), view=f"{name}.sql")
    for name, columns in AD_COLUMNS.items()
)

PROFILE_TABLES = (PROFILE_TRAITS, PROFILE_CONSENTS, PROFILE_ALIASES)

IDENTITIES = Table(
    "identities",
    "The identity group of each source that counts visits: sources of one group share profiles.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("identity", "VARCHAR", "Its group by now, else the source itself.", required=True),
    ),
    view="identities.sql",
)

TABLES = (
    *(EVENTS, REJECTS, SESSIONS, VISITS, PROFILES, *PROFILE_TABLES, IDENTITIES),
    *(*MEDIA, MEDIA_STRAYS, *ADS),
)
"""What users may query."""

PASSING = Table(
    "passing",
    "Lines whose senders did not want them kept as events: what sessions and profiles must know.",
    (
        *(
            EVENTS.column(name)
            for name in ("source", "protocol", "type", "session_id", "profile_id", "user_id")
        ),
        *PLACE,
    ),
)

SESSION_CONTEXTS = Table(
    "session_contexts",
    "A session's own context and properties, merged over what one load brought of it.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("protocol", "VARCHAR", "The protocol that gave the session id.", required=True),
        Column("session_id", "VARCHAR", "Unique within source and protocol only.", required=True),
        Column("context", "JSON", "Key by key over what there was before."),
        Column("properties", "JSON", "Likewise."),
        *PLACE[1:],
    ),
)

LOADER = Table(
    "loader",
    "Where the loader goes on reading the journal, changed together with the rows it loads.",
    (
        Column("partition", "INTEGER", "Journal partition.", required=True),
        Column("next", "BIGINT", "The first sequence that is not loaded.", required=True),
    ),
)

MARKS = Table(
    "marks",
    "Which time of the journal ended where: how trimming finds a position by age.",
    (
        Column("partition", "INTEGER", "Journal partition.", required=True),
        Column("reached_at", "TIMESTAMP", "Time of the last record before `next`.", "UTC", True),
        Column("next", "BIGINT", "A sequence that was the loader's.", required=True),
    ),
)

CLIENT_IDS = Table(
    "client_ids",
    "Event ids that clients gave, for 7 days. Apart from `events`, so that looking for a repeat "
    "reads these few and not a week of everything.",
    (
        Column("source", "VARCHAR", "The site or app.", required=True),
        Column("event_id", "VARCHAR", "The client's id.", required=True),
        Column("received_at", "TIMESTAMP", "When it was stored.", "UTC", True),
    ),
)

FACTS = Table(
    "facts",
    "What the lake knows about itself: its format and the views it was last given.",
    (
        Column("name", "VARCHAR", "format or views.", required=True),
        Column("value", "VARCHAR", "Its value.", required=True),
    ),
)

FOLLOWERS = Table(
    "followers",
    "Up to which closing a fold's rows are in the lake, changed together with the rows.",
    (
        Column("name", "VARCHAR", "Of the fold.", required=True),
        Column("partition", "INTEGER", "Journal partition.", required=True),
        Column("through", "BIGINT", "Sequence of the last closing record.", required=True),
    ),
)

SOURCE_GROUPS = Table(
    "source_groups",
    "The identity group of each source, as the settings had it last; it stays when a source goes.",
    IDENTITIES.columns,
)
HEIRS = Table(
    "heirs",
    "Which profile an id that was taken over stands for by now.",
    (
        Column("identity", "VARCHAR", "The identity group, else the source."),
        Column("alias", "VARCHAR", "The id that was taken over."),
        Column("profile_id", "VARCHAR", "Whose it is now."),
    ),
    view="heirs.sql",
)

PRIVATE = (
    *(LOADER, MARKS, CLIENT_IDS, FACTS, FOLLOWERS),
    *(PASSING, SESSION_CONTEXTS),
    *(SOURCE_GROUPS, HEIRS),
    *MEDIA_CLOSED,
)
"""The lake's own tables, out of users' reach."""

VIEWS = (
    *(IDENTITIES, HEIRS),
    *(table for table in TABLES if table.view is not None and table is not IDENTITIES),
)
"""Every view, behind those that it is made of."""

BY_DAY = (
    *(EVENTS, REJECTS, CLIENT_IDS),
    *(PASSING, SESSION_CONTEXTS, VISITS, *PROFILE_TABLES),
    *(MEDIA_STRAYS, *MEDIA_CLOSED),
)
"""Partitioned by day of `received_at`, so that a query over some days reads those days only and
retention deletes whole files."""


def create_statement(table: Table, *, replace: bool = False) -> str:
    """`CREATE TABLE` for a table that is not a view; with `replace`, empty in place of the old."""
    columns = ", ".join(
        f'"{column.name}" {column.type}{" NOT NULL" if column.required else ""}'
        for column in table.columns
    )
    return f"CREATE {'OR REPLACE ' if replace else ''}TABLE {table.name} ({columns})"
