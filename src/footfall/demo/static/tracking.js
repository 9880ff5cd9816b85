// Which beacons are due as the playhead moves, each once. No DOM, no network: a function of both.

const BY_TIME = new Set([
  "impression", "start", "firstquartile", "midpoint", "thirdquartile", "complete", "progress",
  "creativeview", "breakstart", "breakend",
]);
const SEEK_MS = 1000;

export class Tracking {
  constructor() {
    this.fired = new Map(); // identity: how often
    this.last = null;
  }

  // Playback is at `at`, and nothing before counts as seen.
  begin(at) { if (this.last === null) this.last = at - 1; }

  // A seek: what was jumped over was not seen. Small ones are the player's own, over a hole between
  // two segments; an ad's first moment may lie in one.
  seek(at) {
    if (this.last !== null && Math.abs(at - this.last) > SEEK_MS) this.last = at - 1;
  }

  // Beacons between where the playhead was and `at`, in their order: {pod, ad, event}.
  advance(pods, at) {
    this.begin(at);
    const due = [];
    for (const { pod, ad, event } of all(pods)) {
      if (!BY_TIME.has(event.type.toLowerCase())) continue;
      if (event.time_ms > this.last && event.time_ms <= at) due.push({ pod, ad, event });
    }
    this.last = at;
    return due.sort((a, b) => a.event.time_ms - b.event.time_ms).filter((one) => this.claim(one));
  }

  // Beacons of what a viewer does to an ad: mute, pause, skip, …
  by(pod, ad, type) {
    return ad.trackingevents
      .filter((event) => event.type.toLowerCase() === type)
      .map((event) => ({ pod, ad, event }))
      .filter((one) => this.claim(one));
  }

  has(pod, ad, event) { return this.fired.has(identity(pod, ad, event)); }

  claim({ pod, ad, event }) {
    const name = identity(pod, ad, event);
    if (this.fired.has(name)) return false;
    this.fired.set(name, event);
    return true;
  }
}

function* all(pods) {
  for (const pod of pods) {
    if (!pod.ads.length) continue;
    for (const event of pod.adbreaktrackingevents ?? []) yield { pod, ad: null, event };
    for (const ad of pod.ads) for (const event of ad.trackingevents) yield { pod, ad, event };
  }
}

// An ad is known by its id and start, a pod by its id.
function identity(pod, ad, event) {
  const whose = ad ? `${ad.adid}@${ad.starttime_ms}` : "";
  return [pod.id, whose, event.type, event.offset_ms ?? "", event.callbackurl].join(" ");
}

// The pod and the ad that play at a moment of the stream.
export function playing(pods, at) {
  for (const pod of pods) {
    for (const ad of pod.ads) {
      if (at >= ad.starttime_ms && at < ad.starttime_ms + ad.duration_ms) return { pod, ad };
    }
  }
  return null;
}
