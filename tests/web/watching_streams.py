"""The demo's player in a browser, and what was on its screen: for tests that play streams.

The top row of every picture says which asset it is and its number; that is the witness, not the
player's own account.
"""

from __future__ import annotations

import time
from typing import NamedTuple
from urllib.parse import urlencode

from running import eventually

from footfall.demo.media import SEGMENT_US

PICTURES_PER_S = 12.5
PER_SEGMENT = round(PICTURES_PER_S * SEGMENT_US / 1e6)
STALLED_MS = 2000
WITNESS = """
const video = document.getElementById("video"), canvas = document.createElement("canvas");
canvas.width = 320; canvas.height = 180;
const pen = canvas.getContext("2d", {willReadFrequently: true}), seen = window.seen = [];
function read() {
  pen.drawImage(video, 0, 0, 320, 180);
  const row = pen.getImageData(0, 9, 320, 1).data;
  const bit = (k) => (row[(k * 20 + 10) * 4] > 127 ? 1 : 0);
  let asset = 0, number = 0;
  for (let k = 0; k < 4; k++) asset |= bit(k) << k;
  for (let k = 0; k < 11; k++) number |= bit(k + 4) << k;
  return [asset, number];
}
const look = (_, {mediaTime}) => {
  seen.push([performance.now(), mediaTime, demo.at, ...read()]);
  video.requestVideoFrameCallback(look);
};
video.requestVideoFrameCallback(look);
"""
"""Notes every picture that is shown, as a `Picture`."""


class Picture(NamedTuple):
    shown_ms: float
    """When, by the page's own clock."""
    media_s: float
    stream_ms: float | None
    """What the page took the time of the stream to be."""
    asset: int
    number: int


class Player:
    """The page, playing."""

    def __init__(self, browser, base, **parameters):
        self.browser = browser
        browser.open(f"{base}/demo/?{urlencode(parameters)}")
        browser.run(WITNESS)

    def seen(self):
        """Pictures so far."""
        return [Picture(*picture) for picture in self.browser.run("return seen")]

    def log(self, kind):
        return self.browser.run(f"return demo.log.filter((line) => line.kind === '{kind}')")

    def run_for(self, seconds, meanwhile=lambda: None):
        """Let it play; fails where for 2 s no picture comes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.5)
            meanwhile()
            since = self.browser.run("return performance.now() - (seen.at(-1)?.[0] ?? 0)")
            assert since < STALLED_MS, self.browser.run("return demo.log")

    def ended(self, seconds):
        eventually(lambda: self.browser.run("return video.ended"), "it plays to its end", seconds)


class Run(NamedTuple):
    """Pictures in a row of one asset, with rising numbers."""

    asset: int
    first: Picture
    last: Picture


def runs(pictures):
    found = []
    for picture in pictures:
        if found and found[-1].asset == picture.asset and picture.number >= found[-1].last.number:
            found[-1] = found[-1]._replace(last=picture)
        else:
            found.append(Run(picture.asset, picture, picture))
    return found
