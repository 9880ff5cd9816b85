"""What a served stream asks: an origin, an ad server, creatives and beacons, on loopback.

The live origin goes by the wall clock: segments of a second. Gates hold answers back.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MASTER = (
    "#EXTM3U\n#EXT-X-VERSION:3\n"
    '#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS="avc1.4d401f,mp4a.40.2"\nvideo.m3u8\n'
)
WINDOW = 20
PATIENCE = 60


class Outside:
    """All of it, on one port."""

    def __init__(self):
        self.began = int(time.time()) - WINDOW - 2
        self.breaks = []
        """(start, seconds) in seconds since 1970."""
        self.ad_seconds = (4, 3)
        self.asked = []
        """Queries of the ad server."""
        self.beacons = []
        """Paths, as they arrived."""
        self.ads_gate, self.beacons_gate = threading.Event(), threading.Event()
        self.ads_gate.set()
        self.beacons_gate.set()
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, body = outside.answer(self.path)
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # it was killed meanwhile

            def log_message(self, *_args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.ads_gate.set()
        self.beacons_gate.set()
        self.server.shutdown()
        self.server.server_close()

    def toml(self, name="tv", kind="live", **more):
        """A service of it."""
        lines = [
            "[[service]]",
            f'id = "{name}"',
            'source = "site"',
            f'kind = "{kind}"',
            f'origin = "{self.url}/{"live" if kind == "live" else "vod"}/"',
            f'ad_server = "{self.url}/ads?session=$SESSION_ID"',
            "private_addresses = true",
        ]
        lines += [f'{key} = "{value}"' for key, value in more.items()]
        return "\n".join([*lines, "", ""])

    def answer(self, target):
        path = urlsplit(target).path
        if path.startswith("/beacon/"):
            self.beacons.append(path.removeprefix("/beacon/"))
            self.beacons_gate.wait(PATIENCE)
            return 200, b""
        if path == "/ads":
            self.asked.append(parse_qs(urlsplit(target).query))
            self.ads_gate.wait(PATIENCE)
            return 200, self.vast().encode()
        if path.endswith("master.m3u8"):
            return 200, MASTER.encode()
        if path == "/live/video.m3u8":
            return 200, self.live().encode()
        if path == "/vod/video.m3u8":
            return 200, finished(30).encode()
        if path.startswith("/creative/"):
            return 200, finished(int(path.split("/")[2])).encode()
        return 404, b""

    def live(self):
        end = int(time.time())
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{end - WINDOW - self.began}")
        for at in range(end - WINDOW, end):
            for start, seconds in self.breaks:
                if at == start:
                    lines.append(f"#EXT-X-CUE-OUT:{seconds}")
                elif start < at < start + seconds:
                    lines.append(f"#EXT-X-CUE-OUT-CONT:{at - start}/{seconds}")
                elif at == start + seconds:
                    lines.append("#EXT-X-CUE-IN")
            date = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            lines += [f"#EXT-X-PROGRAM-DATE-TIME:{date}", "#EXTINF:1.000,", f"{at}.ts"]
        return "\n".join([*lines, ""])

    def vast(self):
        """A pod of ads, each named by its length."""
        return '<VAST version="4.2">{}</VAST>'.format(
            "".join(self._ad(number, seconds) for number, seconds in enumerate(self.ad_seconds, 1))
        )

    def _ad(self, number, seconds):
        events = ("start", "firstQuartile", "midpoint", "thirdQuartile", "complete")
        tracking = "".join(
            f'<Tracking event="{name}">{self.url}/beacon/{seconds}/{name}</Tracking>'
            for name in events
        )
        return (
            f'<Ad id="ad-{seconds}" sequence="{number}"><InLine><AdSystem>t</AdSystem>'
            f"<AdTitle>{seconds} s</AdTitle>"
            f"<Impression>{self.url}/beacon/{seconds}/impression</Impression><Creatives><Creative>"
            f"<Linear><Duration>00:00:{seconds:02}</Duration>"
            f"<TrackingEvents>{tracking}</TrackingEvents><MediaFiles>"
            '<MediaFile delivery="streaming" type="application/x-mpegURL" width="640" '
            f'height="360">{self.url}/creative/{seconds}/list.m3u8</MediaFile></MediaFiles>'
            "</Linear></Creative></Creatives></InLine></Ad>"
        )


def finished(seconds):
    segments = "".join(f"#EXTINF:1.000,\n{number}.ts\n" for number in range(seconds))
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n{segments}#EXT-X-ENDLIST\n"
