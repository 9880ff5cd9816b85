"""Streams: broadpeak.io session tracking and the server-side ad insertion that it reports on.

``contract``     the values that pass between the parts: lists, cues, ads, pods, contexts
``playlist``     HLS media playlists: read once, cut and joined as text (`lines`, `tags`, `keys`);
                 `multivariant` likewise
``markers``      SCTE-35 in HLS in all its forms (`scte35` decodes the payload)
``vast`` ``vmap``  what an ad server says (`xml`, `offsets`); `adserver` asks it and follows
                 wrappers, `macros` fills addresses
``creatives``    an ad's own playlists (`described`, `kept`); `ladder` matches their renditions to
                 the content's
``preparing``    makes what does not fit, by ffmpeg (`source_files`, `encoding`, `leash`);
                 `prepared` is the folder of what is wanted and ready
``splice``       pure: a list and the pods of a session become the session's list: `vod`, `live`,
                 `folding` of pods that are gone; all of `cuts`, `runs` and, live, `laid`
``contexts``     what the journal's state holds of sessions and services
``sessions``     those that a process keeps in memory, and the commits that change them
``titles``       what is behind the playlists of a call, shared by all sessions of a process;
                 `breaks` are the breaks of its markers, `clock` dates what has no dates,
                 `numbering` numbers discontinuities that have no numbers
``deciding``     one ad decision per break and session, over all processes (`decisions`); where
                 ads go is settled by `placing`, and `error_calls` tells ad servers of failures
``live_calls`` ``vod_calls``  what a session's call comes to (`calls`); `inserts` has its ads' lists
``events``       what is recorded, in one vocabulary; `words` tells it to people
``tracking``     the session-tracking JSON, joined of what is `told` of pods (`telling` settles
                 that as they are decided); ``beacons`` server-side tracking, of what is `owed`
                 when a segment is asked for by its token (`ad_tokens`)
``services``     the services of the settings: whom they may ask, and how addresses are paths
``fetch``        outgoing HTTP, with its limits (`network`, `bodies`)
``origin``       the origin's lists, shared by sessions and held to `continuity`
``troubles``     troubles of origins as events
``channel``      a loop of assets as a live playlist; `schedule` and `slots` what comes between;
                 `channels` gives both where others give an origin's playlists
``endpoint``     the HTTP surface under ``/stream``; `requests` is the order of its checks,
                 `problems` what is refused
``checking``     `footfall stream check`: any service, judged from outside (`checking_…`)
"""
