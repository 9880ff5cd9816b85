"""What each event must be: one table of parameters, and the JSON Schemas that are made of it.

A schema is what `GET /api/v1/schemas/{eventType}` serves and what validation runs, one and the
same. The table follows Adobe's Media Collection parameters
https://experienceleague.adobe.com/en/docs/media-analytics/using/implementation/analytics-only/streaming-media-apis/mc-api-overview;
where its pages disagree, ``docs/protocol-adobe.md`` says what holds here. Keys beyond the table
are allowed everywhere: real clients send more than is published.

Not what may come when (a session's first event, say): that is `content`.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from footfall.collect.contract import Problem

if TYPE_CHECKING:
    import jsonschema_rs

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST_PROBLEMS = 100
"""Reported at once."""
PATH_CHARACTERS = 128
"""Most of one key that is named in a path: keys beyond the table are the sender's."""

EXACT = 2**53 - 1
"""The largest whole number that every reader of JSON takes for the same."""
LARGEST = sys.float_info.max
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999 in milliseconds since 1970."""


# Kinds of values. Descriptions go out with the schema, and into what a sender is told.


def text(description: str) -> Schema:
    return {"type": "string", "description": description}


def number(description: str) -> Schema:
    return {
        "type": "number",
        "minimum": -LARGEST,
        "maximum": LARGEST,
        "description": description,
    }


def integer(description: str, low: int = -EXACT, high: int = EXACT) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, "description": description}


def boolean(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


STATE_NAME: Schema = {
    "type": "string",
    "pattern": r"^[a-zA-Z0-9_\.]{1,64}$",
    "description": 'the name of a player state, 1 to 64 letters, digits, "_" and "."',
}
STATES: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"media.state.name": STATE_NAME},
        "required": ["media.state.name"],
        "description": 'a player state, {"media.state.name": "fullScreen"}',
    },
    "description": 'player states, each {"media.state.name": "fullScreen"}',
}
CUSTOMER_IDS: Schema = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "id": text("the customer's id"),
            "authState": {
                "type": "integer",
                "enum": [0, 1, 2],
                "description": "0 for unknown, 1 for authenticated, 2 for logged out",
            },
        },
        "description": 'one id, {"id": "a", "authState": 1}',
    },
    "description": 'ids by name, such as {"crm": {"id": "a", "authState": 1}}',
}


class Params(NamedTuple):
    """The parameters of one event type."""

    required: Mapping[str, Schema] = {}
    optional: Mapping[str, Schema] = {}
    any_of: tuple[str, ...] = ()
    """Of these optional ones at least one must be there."""


_STATE = Params(required={"media.state.name": STATE_NAME})

TABLE: Mapping[str, Params] = {
    "sessionStart": Params(
        required={
            "analytics.trackingServer": text("the host of the Analytics tracking server"),
            "analytics.reportSuite": text("the report suite, which names the source"),
            "visitor.marketingCloudOrgId": text("the id of your Experience Cloud organisation"),
            "media.id": text("what identifies the content"),
            "media.length": number("the length in seconds, 86400 for a live stream without end"),
            "media.contentType": text("vod, live, linear, song, podcast or another"),
            "media.playerName": text("the name of the player"),
            "media.channel": text("the channel that distributes the content"),
        },
        optional={
            "analytics.enableSSL": boolean("whether Analytics is to be called over TLS"),
            "analytics.visitorId": text("the custom visitor id of Analytics"),
            "analytics.aid": text("the legacy visitor id of Analytics"),
            "analytics.optOutServerSideForwarding": boolean("the visitor's opt-out"),
            "analytics.optOutShare": boolean("the visitor's opt-out"),
            "visitor.marketingCloudUserId": text("the Experience Cloud id of the visitor"),
            "visitor.aamLocationHint": nullable(integer("the Audience Manager region, or null")),
            "visitor.customerIDs": CUSTOMER_IDS,
            "appInstallationId": text("what identifies the app on its device"),
            "media.name": text("the title of the content"),
            "media.streamType": text("video or audio"),
            "media.resume": boolean("whether an earlier session is taken up again"),
            "media.downloaded": boolean("whether the content was played from the device"),
            "media.sdkVersion": text("the version of the app"),
            "media.libraryVersion": text("the version of the tracking library"),
            **{
                f"media.{name}": text(description)
                for name, description in {
                    "show": "the title of the show",
                    "season": "the number of the season, in quotes",
                    "episode": "the number of the episode, in quotes",
                    "assetId": "what identifies the asset",
                    "genre": "genres, separated by commas",
                    "firstAirDate": "the date of the first broadcast",
                    "firstDigitalDate": "the date of the first publication",
                    "rating": "the age rating",
                    "originator": "who made the content",
                    "network": "the network or the service",
                    "showType": "0 full episode, 1 preview, 2 clip, 3 other, in quotes",
                    "adLoad": "the kind of ads that come with the content",
                    "pass.mvpd": "the provider that authorised the visitor",
                    "pass.auth": "TRUE where the visitor was authorised, in quotes",
                    "dayPart": "the time of day of the broadcast",
                    "feed": "the kind of feed",
                    "streamFormat": "the format, HD or SD",
                    "artist": "the artist",
                    "album": "the album",
                    "label": "the record label",
                    "author": "the author",
                    "station": "the radio station",
                    "publisher": "the publisher",
                }.items()
            },
        },
    ),
    "play": Params(),
    "ping": Params(),
    "pauseStart": Params(),
    "bufferStart": Params(),
    "bitrateChange": Params(),
    "error": Params(
        optional={
            "media.errorId": text("what identifies the error"),
            "media.errorSource": text("player or external"),
        }
    ),
    "sessionComplete": Params(),
    "sessionEnd": Params(),
    "adBreakStart": Params(
        required={
            "media.ad.podIndex": integer("which ad break of the content it is"),
            "media.ad.podSecond": number("where in the content the break begins, in seconds"),
        },
        optional={"media.ad.podFriendlyName": text("the name of the ad break")},
    ),
    "adBreakComplete": Params(),
    "adStart": Params(
        required={
            "media.ad.id": text("what identifies the ad"),
            "media.ad.length": number("the length of the ad in seconds"),
            "media.ad.podPosition": integer("the place of the ad in its break, from 1"),
        },
        optional={
            "media.ad.playerName": text("the name of the player of the ad"),
            "media.ad.name": text("the title of the ad"),
            "media.ad.advertiser": text("whose ad it is"),
            "media.ad.campaignId": text("the id of the campaign"),
            "media.ad.creativeId": text("the id of the creative"),
            "media.ad.siteId": text("the id of the site"),
            "media.ad.creativeURL": text("the address of the creative"),
            "media.ad.placementId": text("the id of the placement"),
            "media.ad.podFriendlyName": text("the name of the ad break"),
        },
    ),
    "adComplete": Params(),
    "adSkip": Params(),
    "chapterStart": Params(
        required={
            "media.chapter.index": integer("the place of the chapter in the content"),
            "media.chapter.offset": number("where in the content it begins, in seconds"),
            "media.chapter.length": number("the length of the chapter in seconds"),
        },
        optional={"media.chapter.friendlyName": text("the title of the chapter")},
    ),
    "chapterComplete": Params(),
    "chapterSkip": Params(),
    "stateStart": _STATE,
    "stateEnd": _STATE,
    "statesUpdate": Params(
        optional={"statesStart": STATES, "statesEnd": STATES},
        any_of=("statesStart", "statesEnd"),
    ),
}
"""Every event type, with its parameters."""

PLAYER_TIME: Schema = {
    "type": "object",
    "properties": {
        "playhead": number("the place in the content in seconds; for live the second of the day"),
        "ts": integer(
            "milliseconds since 1970-01-01T00:00:00Z, in the years 1 to 9999", FIRST_MS, LAST_MS
        ),
    },
    "required": ["playhead", "ts"],
    "description": 'when and where it happened, {"playhead": 12.5, "ts": 1509045324153}',
}
QOE: Schema = {
    "type": ["object", "null"],
    "properties": {
        "media.qoe.bitrate": number("bits per second"),
        "media.qoe.droppedFrames": number("frames dropped since the session began"),
        "media.qoe.framesPerSecond": number("frames per second"),
        "media.qoe.timeToStart": number("milliseconds until playback began"),
        "media.qoe.errorID": text("what identifies the error"),
        "media.qoe.errorSource": text("player or external"),
    },
    "description": "the quality of experience, {} if nothing is known",
}
CUSTOM_METADATA: Schema = {
    "type": ["object", "null"],
    "propertyNames": {"pattern": r"^[a-zA-Z0-9_\.]+$"},
    "additionalProperties": text("your own metadata, every value a string"),
    "description": "your own metadata, strings by name",
}


def _schema(event_type: str | None, params: Params) -> Schema:
    """The schema of one event; of None: what every event has."""
    needed = bool(params.required or params.any_of)
    of_params: Schema = {
        "type": "object" if needed else ["object", "null"],
        "properties": {**params.required, **params.optional},
        "description": "the parameters of the event type",
    }
    if params.required:
        of_params["required"] = list(params.required)
    if params.any_of:
        of_params["anyOf"] = [{"required": [name]} for name in params.any_of]
        of_params["description"] = f"with {' or '.join(params.any_of)}, or both"
    properties: Schema = {
        "playerTime": PLAYER_TIME,
        "params": of_params,
        "qoeData": QOE,
        "customMetadata": CUSTOM_METADATA,
    }
    required = ["playerTime", *(["params"] if needed else [])]
    if event_type is not None:
        properties = {"eventType": {"const": event_type}, **properties}
        required.insert(0, "eventType")
    return {
        "$schema": DIALECT,
        "title": event_type or "event",
        "type": "object",
        "required": required,
        "properties": properties,
    }


class Checked:
    """One event type's schema, ready to be run and to be sent.

    Made ready with its first event: the worker, which only reads settings here, never needs it.
    """

    def __init__(self, event_type: str | None, params: Params) -> None:
        self._schema = _schema(event_type, params)

    @functools.cached_property
    def document(self) -> bytes:
        """As `GET /api/v1/schemas/{eventType}` sends it."""
        return msgspec.json.encode(self._schema)

    @functools.cached_property
    def is_valid(self) -> Callable[[Any], bool]:
        """Whether nothing is wrong with an event."""
        return self._validator.is_valid

    @functools.cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        import jsonschema_rs  # noqa: PLC0415 - 7 MB with the schemas

        return jsonschema_rs.validator_for(self._schema)

    def problems(self, event: Any) -> list[Problem]:
        """Everything that is wrong with an event, as far as anybody reads."""
        if self.is_valid(event):
            return []
        found: dict[str, Problem] = {}
        for error in itertools.islice(self._validator.iter_errors(event), MOST_PROBLEMS):
            problem = self._problem(error)
            found.setdefault(problem.path, problem)
        return list(found.values())

    def _problem(self, error: jsonschema_rs.ValidationError) -> Problem:
        from jsonschema_rs import ValidationErrorKind  # noqa: PLC0415 - as above

        kind = error.kind
        fragment: Any = self._schema
        for step in error.schema_path[:-1]:
            fragment = fragment[step]
        path = [*error.instance_path]
        if isinstance(kind, ValidationErrorKind.Required):
            path.append(kind.property)
            return Problem(dotted(path), "Missing. " + must_be(fragment["properties"][path[-1]]))
        if isinstance(kind, ValidationErrorKind.PropertyNames):
            path.append(str(kind.error.instance))
            return Problem(
                dotted(path), 'Its name may hold only letters, digits, "_" and "."; rename it.'
            )
        said = must_be(fragment)
        if error.instance is None:
            said = f"Missing. {said}"
        elif kind.name in {"minimum", "maximum"}:
            said = f"Out of range. {said}"
        return Problem(dotted(path), said)


WORDS: Mapping[str, str] = {
    "string": "a string in quotes",
    "number": "a number without quotes",
    "integer": "a whole number without quotes",
    "boolean": "true or false without quotes",
    "object": "an object",
    "array": "a list",
}


def must_be(schema: Schema) -> str:
    """A schema's type and description as a sentence for whoever sends something else."""
    kind = schema.get("type", "string")
    word = WORDS[kind if isinstance(kind, str) else kind[0]]
    description = schema.get("description")
    return f"Must be {word}: {description}." if description else f"Must be {word}."


def dotted(path: list[Any]) -> str:
    """A path as it is reported: `params.media.length`, `3.playerTime.ts`."""
    return ".".join(str(step)[:PATH_CHARACTERS] for step in path)


SCHEMAS: Mapping[str, Checked] = {name: Checked(name, params) for name, params in TABLE.items()}
"""By event type."""
ANY_EVENT = Checked(None, Params())
"""What holds for every event: run where the type is not known."""
