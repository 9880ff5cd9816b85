"""The four tables of media sessions as data: name, DuckDB's type, one sentence.

`media_metrics.rows` gives rows with exactly these names; the lake makes tables and their
documentation from them. TIMESTAMP values are given as microseconds since 1970, JSON values as
plain Python values.
"""

from __future__ import annotations

from typing import NamedTuple


class MediaColumn(NamedTuple):
    name: str
    type: str
    help: str


def _c(name: str, type_: str, help_: str) -> MediaColumn:
    return MediaColumn(name, type_, help_)


_KEY = (
    _c("source", "VARCHAR", "The site or app, as named in the settings."),
    _c("session_id", "VARCHAR", "Unique within source."),
)
_WHEN = (
    _c("started_at", "TIMESTAMP", "When it began, by the client."),
    _c("ended_at", "TIMESTAMP", "When it ended, by the client; NULL while it is open."),
)

MEDIA_SESSIONS = (
    *_KEY,
    _c("state", "VARCHAR", "open or closed."),
    _c("why", "VARCHAR", "How it closed: ended, idle, stuck, aged or downloaded."),
    _c(
        "playback",
        "VARCHAR",
        "starting, playing, paused, buffering, stalled, complete, break "
        "(between ads), ad_playing, ad_paused, ad_buffering or closed.",
    ),
    _c("opened_at", "TIMESTAMP", "When it was opened, by the server."),
    _c("started_at", "TIMESTAMP", "Its sessionStart, by the client."),
    _c("ended_at", "TIMESTAMP", "Its last event, or its end where it is closed, by the client."),
    _c(
        "viewer_id",
        "VARCHAR",
        "Whom concurrent viewers are counted by: the first there is of "
        "marketing_cloud_user_id, analytics_visitor_id, analytics_aid, session_id.",
    ),
    _c("marketing_cloud_user_id", "VARCHAR", "ECID."),
    _c("analytics_visitor_id", "VARCHAR", "The visitor id that the site itself gave."),
    _c("analytics_aid", "VARCHAR", "Legacy visitor id."),
    _c("app_installation_id", "VARCHAR", "The app on this device."),
    _c("customer_ids", "JSON", "Further ids of the visitor, by name."),
    _c("user_id", "VARCHAR", "The customer's id of a logged-in person."),
    _c("organization_id", "VARCHAR", "visitor.marketingCloudOrgId."),
    _c("report_suite", "VARCHAR", "As the client sent it."),
    _c("tracking_server", "VARCHAR", "As the client sent it."),
    _c("country", "VARCHAR", "By the truncated address, ISO 3166-1 alpha-2."),
    _c("device", "VARCHAR", "desktop, mobile, tablet, tv, … by the user agent."),
    _c("os", "VARCHAR", "Operating system, by the user agent."),
    _c("browser", "VARCHAR", "Browser, by the user agent."),
    _c("media_id", "VARCHAR", "The content."),
    _c("media_name", "VARCHAR", "Its friendly name."),
    _c("length_s", "DOUBLE", "Its length; 86400 for live content of unknown length."),
    _c("content_type", "VARCHAR", "vod, live, linear, podcast, … in the client's words."),
    _c("stream_type", "VARCHAR", "video or audio."),
    _c("player_name", "VARCHAR", "The player."),
    _c("channel", "VARCHAR", "Where it is distributed."),
    _c("resume", "BOOLEAN", "The client resumes an earlier session."),
    _c("app_version", "VARCHAR", "media.sdkVersion: the app's version."),
    _c("library_version", "VARCHAR", "The version of the tracking library."),
    _c("show", "VARCHAR", "Name of the show."),
    _c("season", "VARCHAR", "Number of the season."),
    _c("episode", "VARCHAR", "Number of the episode."),
    _c("asset_id", "VARCHAR", "The asset, for example its TMS or EIDR id."),
    _c("genre", "VARCHAR", "Comma-separated."),
    _c("first_air_date", "VARCHAR", "First on television."),
    _c("first_digital_date", "VARCHAR", "First on any digital platform."),
    _c("rating", "VARCHAR", "Parental rating."),
    _c("originator", "VARCHAR", "Creator of the content."),
    _c("network", "VARCHAR", "Network or channel name."),
    _c("show_type", "VARCHAR", "0 full episode, 1 preview, 2 clip, 3 other."),
    _c("ad_load", "VARCHAR", "Type of ads loaded."),
    _c("mvpd", "VARCHAR", "Provider through which the viewer was authenticated."),
    _c("authorized", "BOOLEAN", "The viewer was authorized by the provider."),
    _c("day_part", "VARCHAR", "Time of day of the broadcast."),
    _c("feed", "VARCHAR", "Type of feed."),
    _c("stream_format", "VARCHAR", "HD, SD, …"),
    _c("artist", "VARCHAR", "Of audio."),
    _c("album", "VARCHAR", "Of audio."),
    _c("label", "VARCHAR", "Of audio: record label."),
    _c("author", "VARCHAR", "Of audio books."),
    _c("station", "VARCHAR", "Of radio."),
    _c("publisher", "VARCHAR", "Of audio."),
    _c("downloaded", "BOOLEAN", "Played from the device's store and sent later."),
    _c("metadata", "JSON", "customMetadata of its sessionStart."),
    _c("events", "BIGINT", "Events of the session, ignored ones too."),
    _c("playhead_s", "DOUBLE", "The playhead of the last event."),
    _c("content_start", "BOOLEAN", "The main content began to play."),
    _c("content_complete", "BOOLEAN", "sessionComplete was sent."),
    _c("drop_before_start", "BOOLEAN", "Closed without any play of the main content."),
    _c(
        "content_time_spent_s",
        "DOUBLE",
        "Time the main content played: without ads, pauses, buffering, stalls.",
    ),
    _c("ad_time_spent_s", "DOUBLE", "Time ads played."),
    _c("media_time_spent_s", "DOUBLE", "Time content and ads played."),
    _c("unique_time_played_s", "DOUBLE", "Length of what was seen of the content, however often."),
    _c("average_minute_audience", "DOUBLE", "content_time_spent_s by length_s."),
    _c("estimated_streams", "BIGINT", "One per begun 30 minutes of media_time_spent_s."),
    _c("progress_markers", "INTEGER[]", "Reached of 10, 25, 50, 75 and 95 per cent."),
    _c(
        "content_segment",
        "VARCHAR",
        "[a-b]: minutes of the lowest and highest playhead, rounded "
        "outward; NULL before content plays.",
    ),
    _c("segment_view", "BOOLEAN", "As content_start."),
    _c("pause_events", "BIGINT", "Periods of pause of the content; seeking is one in most SDKs."),
    _c("pause_impacted", "BOOLEAN", "There was a pause."),
    _c("pause_time_s", "DOUBLE", "Time the content was paused."),
    _c("buffer_events", "BIGINT", "How often the content began to buffer."),
    _c("buffer_impacted", "BOOLEAN", "It buffered."),
    _c("buffer_time_s", "DOUBLE", "Time the content buffered."),
    _c("stall_events", "BIGINT", "How often the playhead stood for three events while playing."),
    _c("stall_impacted", "BOOLEAN", "It stalled."),
    _c("stall_time_s", "DOUBLE", "Time of stalls, each from the first of those events on."),
    _c("ad_breaks", "BIGINT", "Ad breaks begun."),
    _c("ad_starts", "BIGINT", "Ads begun inside a break."),
    _c("ad_completes", "BIGINT", "Ads that were played to the end."),
    _c("chapter_starts", "BIGINT", "Chapters begun."),
    _c("chapter_completes", "BIGINT", "Chapters that were played to the end."),
    _c("player_states", "BIGINT", "Distinct player states (full screen, mute, …)."),
    _c(
        "bitrate_average_kbps",
        "DOUBLE",
        "Bitrate, weighted by the content's play time; NULL where none was told.",
    ),
    _c("bitrate_average_bucket", "VARCHAR", "It in steps of 100: 800-899."),
    _c("bitrate_changes", "BIGINT", "bitrateChange events."),
    _c("bitrate_change_impacted", "BOOLEAN", "There was one."),
    _c("dropped_frames", "BIGINT", "Frames dropped, the client's last sum."),
    _c("dropped_frames_impacted", "BOOLEAN", "Frames were dropped."),
    _c("frames_per_second", "DOUBLE", "The last value told."),
    _c("time_to_start_s", "DOUBLE", "From intent to the first frame, as the client told; else 0."),
    _c("errors", "BIGINT", "error events."),
    _c("error_impacted", "BOOLEAN", "There was one."),
    _c("player_errors", "VARCHAR[]", "Distinct error ids of the player."),
    _c("external_errors", "VARCHAR[]", "Distinct error ids of other sources."),
    _c(
        "since_last_call_s",
        "DOUBLE",
        "From the last event to the close; 0 where the client ended it, NULL while it is open.",
    ),
    _c(
        "active_minutes",
        "BIGINT[][]",
        "[first, last] minute since 1970 of every stretch in which "
        "content or an ad played, buffered or stalled: for concurrent viewers.",
    ),
    _c("late_events", "BIGINT", "Events that came too late to be put in order."),
    _c("ignored_events", "BIGINT", "Events that changed nothing; the account says why."),
    _c("hints", "VARCHAR[]", "What looks like a fault of the integration, each a sentence."),
    _c("account", "JSON", "Events by type, ignored ones by reason, and the latest of them."),
)
"""One row per media session."""

MEDIA_ADS = (
    *_KEY,
    _c("ad_number", "INTEGER", "From 1, in the order of the session."),
    *_WHEN,
    _c("state", "VARCHAR", "open, complete or skipped (skipped or abandoned)."),
    _c("ad_id", "VARCHAR", "The ad."),
    _c("ad_name", "VARCHAR", "Its friendly name."),
    _c("length_s", "DOUBLE", "Its length."),
    _c("pod_id", "VARCHAR", "The break: content id and index."),
    _c("pod_index", "INTEGER", "Index of the break in the content."),
    _c("pod_second_s", "DOUBLE", "Where in the content the break is."),
    _c("pod_name", "VARCHAR", "Friendly name of the break."),
    _c("pod_position", "INTEGER", "Position in the break, from 1."),
    _c("player_name", "VARCHAR", "The player of the ad; the session's where none was sent."),
    _c("advertiser", "VARCHAR", "The company whose product it shows."),
    _c("campaign_id", "VARCHAR", "The campaign."),
    _c("creative_id", "VARCHAR", "The creative."),
    _c("creative_url", "VARCHAR", "Its address."),
    _c("site_id", "VARCHAR", "The ad's site."),
    _c("placement_id", "VARCHAR", "The placement."),
    _c("ad_time_spent_s", "DOUBLE", "Time it played."),
    _c("ad_complete", "BOOLEAN", "It was played to the end."),
    _c("pause_events", "BIGINT", "Periods of pause within it."),
    _c("pause_time_s", "DOUBLE", "Time it was paused."),
    _c("buffer_events", "BIGINT", "How often it began to buffer."),
    _c("buffer_time_s", "DOUBLE", "Time it buffered."),
    _c("metadata", "JSON", "customMetadata of its adStart."),
)
"""One row per ad inside a break."""

MEDIA_CHAPTERS = (
    *_KEY,
    _c("chapter_number", "INTEGER", "From 1, in the order of the session."),
    *_WHEN,
    _c("state", "VARCHAR", "open, complete or skipped (skipped or abandoned)."),
    _c("chapter_id", "VARCHAR", "Content id, index and offset."),
    _c("chapter_index", "INTEGER", "Its index in the content."),
    _c("chapter_name", "VARCHAR", "Its friendly name."),
    _c("offset_s", "DOUBLE", "Where in the content it begins."),
    _c("length_s", "DOUBLE", "Its length."),
    _c("chapter_time_spent_s", "DOUBLE", "Time the main content played in it."),
    _c("chapter_complete", "BOOLEAN", "It was played to the end."),
    _c("metadata", "JSON", "customMetadata of its chapterStart."),
)
"""One row per chapter."""

MEDIA_STATES = (
    *_KEY,
    _c("name", "VARCHAR", "The player state, as the session first spelled it."),
    _c("starts", "BIGINT", "How often it began."),
    _c("time_s", "DOUBLE", "How long it lasted in all, whatever the playback did."),
    _c("active", "BOOLEAN", "It lasts now."),
)
"""One row per session and player state that was ever set."""

MEDIA_TABLES = {
    "media_sessions": MEDIA_SESSIONS,
    "media_ads": MEDIA_ADS,
    "media_chapters": MEDIA_CHAPTERS,
    "media_states": MEDIA_STATES,
}
