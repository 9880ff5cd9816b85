// The demo's player: hls.js plays the session's manifest, its session tracking says which ads are
// in it, and the beacons are fired from here. `window.demo` has all of it, for the curious.

import { Session } from "./session.js";
import { playing, Tracking } from "./tracking.js";
import { View } from "./view.js";

const video = document.getElementById("video");
const query = new URLSearchParams(location.search);
const END_MS = 200;
const OWN = ["service", "path", "url", "workflow", "rate"];
let demo = null;

class Demo {
  constructor(view, about) {
    this.view = view;
    this.about = about;
    this.tracking = new Tracking();
    this.session = null;
    this.hls = null;
    this.live = false;
    this.log = []; // {at, kind, what}: beacons, segments, faults
    this.stopped = false;
  }

  async start(url, workflow) {
    this.note("session", `asked for ${url}`);
    this.session = await Session.open(url, workflow);
    if (this.session.tracked && workflow === "2.0") await this.poll();
    this.view.show(this);
    this.play();
  }

  play() {
    const fast = Number(query.get("rate")) || 1;
    const settings = fast > 1 ? { liveSyncDuration: 24, liveMaxLatencyDuration: 200, maxBufferLength: 60 } : {};
    const hls = this.hls = new Hls(settings);
    let known = false;
    hls.on(Hls.Events.LEVEL_LOADED, (_, data) => {
      this.live = data.details.live;
      // A list was served: now fast start may ask. What asked before asks again if it is live.
      if (!known && this.session.tracked && (this.live || !this.session.polls)) this.poll();
      known = true;
    });
    hls.on(Hls.Events.FRAG_CHANGED, (_, { frag }) => {
      const name = new URL(frag.url).pathname.split("/").slice(-3).join("/");
      this.note("segment", `${frag.sn}, discontinuity ${frag.cc}: ${name}`);
    });
    hls.on(Hls.Events.ERROR, (_, data) => {
      this.note("fault", `${data.details}${data.fatal ? ", fatal" : ""}`);
      if (data.fatal) this.view.say(`hls.js: ${data.details}`, true);
    });
    hls.loadSource(this.session.url.href);
    hls.attachMedia(video);
    video.defaultPlaybackRate = video.playbackRate = fast;
    video.play().catch((fault) => this.note("fault", fault.message));
  }

  // Ask for session tracking: of a VOD once, live again and again, by the time of the stream.
  async poll() {
    clearTimeout(this.timer);
    try {
      await this.session.ask();
      this.view.polled(this.session);
    } catch (fault) {
      this.note("fault", fault.message);
    }
    if (this.live && !this.stopped) this.timer = setTimeout(() => this.poll(), this.session.delay / video.defaultPlaybackRate);
  }

  // Milliseconds of stream time: of the original stream's clock where it is live, else from 0.
  get at() {
    if (!this.live) return Math.round(video.currentTime * 1000);
    const date = this.hls?.playingDate;
    return date ? date.getTime() : null;
  }

  get now() { return this.at === null ? null : playing(this.session?.pods ?? [], this.at); }

  // Called with every picture.
  tick() {
    const at = this.at;
    if (this.session && at !== null && !video.paused && !video.seeking) this.moved(at);
    this.view.draw(this, video);
  }

  // Until session tracking has answered for the first time, what plays is not lost but waits.
  moved(at) {
    this.tracking.begin(at);
    if (this.session.tracked && !this.session.polls) return;
    for (const due of this.tracking.advance(this.session.pods, at)) this.fire(due);
  }

  // The last beacons of all are due at the very end, which the clock may miss by a picture.
  ended() { if (this.at !== null) this.moved(this.at + END_MS); }

  // A viewer's doing: told only while an ad is on.
  acted(type) {
    const now = this.now;
    if (now) for (const due of this.tracking.by(now.pod, now.ad, type)) this.fire(due);
    return now;
  }

  fire({ pod, ad, event }) {
    this.note("beacon", `${event.type} · ${ad ? ad.adtitle ?? ad.adid : pod.id}`, event);
    send(event.callbackurl);
    this.view.polled(this.session);
  }

  visit() {
    const clicks = this.now?.ad.videoclicks;
    if (!clicks) return;
    for (const { clickurl } of clicks.clicktracking ?? []) {
      this.note("beacon", "click", { callbackurl: clickurl });
      send(clickurl);
    }
    video.pause();
    if (clicks.clickthroughurl) window.open(clicks.clickthroughurl, "_blank", "noopener");
  }

  skip() {
    const now = this.acted("skip");
    if (now) video.currentTime += (now.ad.starttime_ms + now.ad.duration_ms - this.at) / 1000;
  }

  note(kind, what, more) {
    this.log.push({ at: Date.now(), stream: this.at, kind, what, ...(more && { url: more.callbackurl }) });
    this.view.noted(this.log);
  }

  end() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.hls?.destroy();
  }
}

function send(url) {
  fetch(url, { mode: "no-cors", keepalive: true, credentials: "omit" }).catch(() => {});
}

// Where a choice leads: a service's manifest with the ad server's parameters, or any other stream.
function address(choice) {
  if (query.get("url")) return query.get("url");
  const asked = new URL(`../stream/${choice.service}/${query.get("path") ?? "master.m3u8"}`, document.baseURI);
  for (const [name, value] of query) if (!OWN.includes(name)) asked.searchParams.append(name, value);
  return asked.pathname + asked.search;
}

async function begin() {
  const about = await (await fetch(new URL("about.json", document.baseURI))).json();
  const view = new View(about, query);
  const start = async () => {
    demo?.end();
    view.clear();
    demo = window.demo = new Demo(view, about);
    const choice = view.choice();
    try {
      await demo.start(address(choice), choice.workflow);
    } catch (fault) {
      demo.note("fault", fault.message);
      view.say(fault.message, true);
    }
  };
  view.wire({
    start, video,
    seek: (ratio) => { const [from, to] = view.span(demo, video); video.currentTime = video.currentTime + (from + ratio * (to - from) - demo.at) / 1000; },
    visit: () => demo?.visit(),
    skip: () => demo?.skip(),
  });
  video.addEventListener("seeking", () => { if (demo && demo.at !== null) demo.tracking.seek(demo.at); });
  video.addEventListener("ended", () => demo?.ended());
  video.addEventListener("volumechange", () => demo?.acted(video.muted ? "mute" : "unmute"));
  video.addEventListener("pause", () => { if (!video.ended) demo?.acted("pause"); });
  video.addEventListener("play", () => demo?.acted("resume"));
  const tick = () => { if (demo) demo.tick(); requestAnimationFrame(tick); };
  // Pages in the background draw nothing, and are told nothing: a timer goes on.
  setInterval(() => { if (document.hidden && demo) demo.tick(); }, 250);
  tick();
  await start();
}

begin();
