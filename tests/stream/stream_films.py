"""Films made by ffmpeg, and a web server that has them."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FFMPEG, FFPROBE = shutil.which("ffmpeg"), shutil.which("ffprobe")


def film(path, seconds, *, size="320x180", rate="25", sound=True, options=()):
    """A moving picture with a tone; the format goes by the name's ending."""
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi"]
    command += ["-i", f"testsrc=size={size}:rate={rate}:duration={seconds}"]
    if sound:
        command += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([*command, *options, str(path)], check=True, timeout=60)
    return path


class Web:
    """A web server of files by path; `asked` are the requests, as (path, range)."""

    def __init__(self, *, ranges=True):
        self.files = {}
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                given = self.headers.get("Range", "")
                web.asked.append((self.path, given))
                web.gate.wait(20)
                body = web.files.get(self.path)
                if body is None:
                    return self.answer(404, b"")
                found = re.fullmatch(r"bytes=(\d+)-(\d+)", given)
                if not (ranges and found):
                    return self.answer(200, body)
                first, last = int(found[1]), min(int(found[2]), len(body) - 1)
                told = f"bytes {first}-{last}/{len(body)}"
                return self.answer(206, body[first : last + 1], told)

            def answer(self, status, body, told=None):
                self.send_response(status)
                if told:
                    self.send_header("Content-Range", told)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def folder(self, path, prefix):
        """Serve every file of a folder."""
        for file in path.iterdir():
            self.files[f"{prefix}/{file.name}"] = file.read_bytes()

    def close(self):
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
