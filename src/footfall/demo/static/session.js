// A session of a stream service: how it begins, and what its session tracking says.
// https://developers.broadpeak.io/docs/ describes both.

const POLL_MS = { low: 2000, high: 5000 };

export class Session {
  // `url` is the service's address, with the ad server's parameters in its query.
  static async open(url, workflow) {
    const asked = new URL(url, location.href);
    asked.searchParams.set("response", "200");
    const answer = await fetch(asked);
    if (!answer.ok) throw new Error(`${asked.pathname}: ${answer.status} ${await answer.text()}`);
    const place = answer.headers.get("Location");
    return new Session(place ? new URL(place, asked) : new URL(url, location.href), workflow);
  }

  constructor(url, workflow) {
    this.url = url; // of the manifest, ids included
    this.workflow = workflow;
    this.id = url.searchParams.get("bpkio_sessionid");
    this.service = url.searchParams.get("bpkio_serviceid");
    this.pods = [];
    this.delay = POLL_MS.high;
    this.polls = 0;
  }

  // An address without ids is a plain stream, and has no tracking.
  get tracked() { return Boolean(this.id); }

  // Ask once; true where an answer came that could be read.
  async ask() {
    const asked = new URL(this.url);
    asked.searchParams.set("bk-ml", this.workflow);
    const answer = await fetch(asked);
    if (!answer.ok) throw new Error(`session tracking: ${answer.status} ${await answer.text()}`);
    const said = await answer.json();
    this.polls += 1;
    const ms = said.refresh_delay_ms;
    this.delay = ms >= POLL_MS.low && ms <= POLL_MS.high ? ms : POLL_MS.high;
    this.pods = said.adpods;
    return said;
  }
}
