"""Streams: broadpeak.io session tracking and the server-side ad insertion that it reports on.

``contract``     the values that pass between the parts: lists, cues, ads, pods, contexts
``playlist``     HLS media playlists: read once, cut and joined as text; `multivariant` likewise
``markers``      SCTE-35 in HLS in all its forms (`scte35` decodes the payload)
``vast`` ``vmap``  what an ad server says; `adserver` asks it and follows wrappers
``creatives``    an ad's own playlists; `ladder` matches their renditions to the content's
``preparing``    makes what does not fit, by ffmpeg (`source_files`, `encoding`, `leash`);
                 `prepared` is the folder of what is wanted and ready
``splice``       pure: a list and the pods of a session become the session's list
``contexts``     what the journal's state holds of sessions and services
``sessions``     those that a process keeps in memory, and the commits that change them
``titles``       what is behind the playlists of a call, shared by all sessions of a process;
                 `breaks` are the breaks of its markers, `clock` dates what has no dates
``deciding``     one ad decision per break and session, over all processes (`decisions`); where
                 ads go is settled by `placing`, and `error_calls` tells ad servers of failures
``live_calls`` ``vod_calls``  what a session's call comes to; `inserts` has the ads' lists
``tracking``     the session-tracking JSON; ``beacons`` server-side tracking
``fetch``        outgoing HTTP, with its limits; ``origin`` the origin's lists, shared by sessions
``channel``      a loop of assets as a live playlist; `schedule` and `slots` what comes between;
                 `channels` gives both where others give an origin's playlists
``endpoint``     the HTTP surface under ``/stream``; `requests` is the order of its checks,
                 `problems` what is refused
``checking``     `footfall stream check`: any service, judged from outside
"""
