// What the page shows of a `Demo`. Everything that others wrote is set as text.

const TYPES = ["impression", "start", "firstQuartile", "midpoint", "thirdQuartile", "progress", "complete"];
const LABELS = { firstquartile: "25 %", midpoint: "50 %", thirdquartile: "75 %" };
const ROWS = 200;
const byId = (name) => document.getElementById(name);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Milliseconds as m:ss, or the time of day where they are a date.
export function clock(ms, live) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (live) return new Date(ms).toISOString().slice(11, 19);
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

export class View {
  constructor(about, query) {
    this.form = byId("choice");
    const services = this.form.elements.service;
    const wanted = query.get("service");
    const names = wanted && !about.services.includes(wanted) ? [wanted, ...about.services] : about.services;
    for (const name of names) services.append(new Option(name, name, false, name === wanted));
    if (query.get("workflow")) this.form.elements.workflow.value = query.get("workflow");
    if (query.get("url")) services.disabled = this.form.elements.workflow.disabled = true;
    if (about.console) Object.assign(byId("console"), { href: `${about.console}/console`, hidden: false });
    this.console = about.console;
  }

  choice() {
    return { service: this.form.elements.service.value, workflow: this.form.elements.workflow.value };
  }

  wire({ start, video, seek, visit, skip }) {
    this.form.addEventListener("submit", (event) => { event.preventDefault(); start(); });
    byId("play").addEventListener("click", () => (video.paused ? video.play() : video.pause()));
    byId("mute").addEventListener("click", () => { video.muted = !video.muted; });
    byId("visit").addEventListener("click", visit);
    byId("skip").addEventListener("click", skip);
    const line = byId("timeline");
    line.addEventListener("click", (event) => {
      const box = line.getBoundingClientRect();
      seek((event.clientX - box.left) / box.width);
    });
    line.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -5, ArrowRight: 5 }[event.key];
      if (step) video.currentTime += step;
    });
  }

  clear() {
    for (const name of ["log", "session", "timeline"]) byId(name).replaceChildren();
    byId("pods").replaceChildren(element("p", "empty", "None so far."));
    byId("counts").textContent = byId("polled").textContent = "";
    this.say("");
    this.drawn = "";
  }

  say(text, isFault = false) {
    Object.assign(byId("state"), { textContent: text, className: isFault ? "warn" : "quiet" });
  }

  // The session's own facts.
  show({ session }) {
    const rows = session.tracked
      ? [["bpkio_sessionid", session.id], ["bpkio_serviceid", session.service], ["bk-ml", session.workflow]]
      : [["session", "none: a plain stream"]];
    const list = rows.map(([name, value]) => {
      const row = element("div");
      const said = element("dd");
      said.append(element("code", "", value));
      row.append(element("dt", "", name), said);
      return row;
    });
    const row = element("div");
    const said = element("dd");
    const link = element("a", "", "the session's manifest");
    link.href = session.url.href;
    said.append(link);
    if (session.tracked) {
      const tracking = new URL(session.url);
      tracking.searchParams.set("bk-ml", session.workflow);
      const json = element("a", "", "its tracking");
      json.href = tracking.href;
      said.append(", ", json);
      if (this.console) {
        const events = element("a", "", "its events in the console");
        events.href = `${this.console}/console/events?session_id=${encodeURIComponent(session.id)}`;
        said.append(", ", events);
      }
    }
    row.append(element("dt", "", "look at"), said);
    byId("session").replaceChildren(...list, row);
  }

  // The first and the last moment of what can be played, in ms of stream time.
  span(demo, video) {
    const ranges = video.seekable;
    if (!demo || !ranges.length || demo.at === null) return [0, 0];
    const zero = demo.at - video.currentTime * 1000;
    return [zero + ranges.start(0) * 1000, zero + ranges.end(ranges.length - 1) * 1000];
  }

  // Called with every picture: only what moves.
  draw(demo, video) {
    const [from, to] = this.span(demo, video);
    const at = demo.at;
    const share = (ms) => (to > from ? (100 * (ms - from)) / (to - from) : 0);
    this.blocks(demo, from, to, share);
    if (this.head) this.head.style.left = `${share(at)}%`;
    byId("timeline").setAttribute("aria-valuenow", Math.round(share(at)));
    byId("timeline").setAttribute("aria-valuetext", clock(at, demo.live));
    byId("position").textContent = to > from
      ? demo.live ? `${clock(at, true)} UTC, ${seconds(to - at)} behind` : `${clock(at)} of ${clock(to)}`
      : "";
    byId("play").textContent = video.paused ? "Play" : "Pause";
    byId("mute").textContent = video.muted ? "Sound on" : "Sound off";
    const now = demo.now;
    byId("over").hidden = !now || now.ad.adid === "SLATE";
    if (now) {
      const { pod, ad } = now;
      const number = pod.ads.indexOf(ad) + 1;
      const left = Math.ceil((ad.starttime_ms + ad.duration_ms - at) / 1000);
      byId("saying").textContent = `Ad ${number} of ${pod.ads.length} · ${ad.adtitle ?? ad.adid} · ${left} s`;
      byId("visit").hidden = !ad.videoclicks?.clickthroughurl;
      byId("skip").hidden = !(ad.skippable_ms <= at);
    }
    for (const [ad, bar] of this.bars ?? []) bar.value = Math.min(Math.max(at - ad.starttime_ms, 0), ad.duration_ms);
    for (const [pod, box] of this.boxes ?? []) box.classList.toggle("now", now?.pod.id === pod.id);
  }

  blocks(demo, from, to, share) {
    const pods = demo.session?.pods ?? [];
    // A live window moves all the time; half a second is less than anybody sees.
    const seen = `${demo.session?.polls}:${Math.round(from / 500)}:${Math.round(to / 500)}`;
    if (seen === this.drawn) return;
    this.drawn = seen;
    const place = (className, start, length, title) => {
      const block = element("i", className);
      block.style.left = `${share(start)}%`;
      if (length !== null) block.style.width = `${share(start + length) - share(start)}%`;
      if (title) block.title = title;
      return block;
    };
    const blocks = [];
    for (const pod of pods) {
      blocks.push(place("break", pod.starttime_ms, pod.duration_ms, pod.id));
      for (const ad of pod.ads) {
        const kind = ad.adid === "SLATE" ? "slate" : "ad";
        blocks.push(place(kind, ad.starttime_ms, ad.duration_ms, `${ad.adtitle ?? ad.adid}, ${seconds(ad.duration_ms)}`));
      }
      blocks.push(place("marker", pod.starttime_ms, null));
    }
    this.head = element("i", "head");
    byId("timeline").replaceChildren(...blocks, this.head);
  }

  // The breaks and ads, and which of their beacons were fired.
  polled(session) {
    const { pods, polls } = session;
    byId("polled").textContent = `asked ${polls} ${polls === 1 ? "time" : "times"}`;
    if (!pods.length) return byId("pods").replaceChildren(element("p", "empty", "None so far."));
    const { tracking, live } = window.demo;
    this.bars = [];
    this.boxes = [];
    byId("pods").replaceChildren(...pods.map((pod) => {
      const box = element("article", "pod");
      const title = element("h3");
      title.append(element("code", "", pod.id),
        element("span", "figure", `${clock(pod.starttime_ms, live)} · ${seconds(pod.duration_ms)}`));
      box.append(title, ...pod.ads.map((ad) => this.item(pod, ad, tracking, live)));
      if (!pod.ads.length) box.append(element("div", "item quiet", "no ad so far"));
      this.boxes.push([pod, box]);
      return box;
    }));
  }

  item(pod, ad, tracking, live) {
    const box = element("div", "item");
    const line = element("p");
    line.append(element("b", "", ad.adtitle ?? ad.adid),
      element("span", "figure", `${clock(ad.starttime_ms, live)} · ${seconds(ad.duration_ms)}`));
    const bar = element("progress");
    bar.max = ad.duration_ms;
    this.bars.push([ad, bar]);
    const chips = element("div", "chips");
    for (const type of TYPES) {
      const events = ad.trackingevents.filter((event) => event.type.toLowerCase() === type.toLowerCase());
      if (!events.length) continue;
      const fired = events.filter((event) => tracking.has(pod, ad, event)).length;
      const label = LABELS[type.toLowerCase()] ?? type;
      const text = events.length > 1 ? `${label} ${fired}/${events.length}` : label;
      chips.append(element("span", fired === events.length ? "fired" : "", text));
    }
    box.append(line, bar, chips);
    return box;
  }

  noted(log) {
    const { at, kind, what } = log.at(-1);
    const row = element("li", kind);
    row.append(element("span", "time", new Date(at).toISOString().slice(11, 23)),
      element("span", "kind", kind), element("span", "what", what));
    const list = byId("log");
    list.prepend(row);
    while (list.children.length > ROWS) list.lastChild.remove();
    const beacons = log.filter((line) => line.kind === "beacon").length;
    byId("counts").textContent = `${beacons} beacons`;
  }
}
