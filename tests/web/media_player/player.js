// A small video player with one ad break, tracked by the Media Collection API. Three parts that
// know nothing of each other's insides: the client, which tells the server; the witness, which
// measures by itself what the browser did; the player, with which a viewer (or a test) plays.
//
// The address says where everything is:
//   player.html?tracker=URL&ping=MS&content=FILE&ad=FILE&midroll=S

'use strict';

const settings = new URLSearchParams(location.search);
const video = document.getElementById('video');

// What the element plays. `between`: in the ad break, but no ad is on the screen.
let showing = 'content'; // content, between, ad, over
let breakAt = null; // playhead of the content, while there is a break
let breakIsDue = true; // it comes once

// The client.

const client = {
  sent: [], // [eventType, status], in order
  state: null, // the playback event that was sent last
  playhead: 0,
  ready: null, // the request under way: one after the other, so that none overtakes
  pings: null,

  start(params) {
    this.ready = this.post('/api/v1/sessions', 'sessionStart', params).then(answer => {
      this.events = answer.headers.get('Location') + '/events';
    });
    this.pings = setInterval(() => this.send('ping'), Number(settings.get('ping')));
  },

  // Time and playhead are those of the call, however long the request waits for its turn.
  send(eventType, params, playhead = this.where()) {
    const playerTime = {ts: Date.now(), playhead};
    this.ready = this.ready.then(() => this.post(this.events, eventType, params, playerTime));
    return this.ready;
  },

  playback(eventType, playhead) {
    if (this.state === eventType) return;
    this.state = eventType;
    this.send(eventType, undefined, playhead);
  },

  where() {
    return breakAt === null ? video.currentTime : breakAt;
  },

  async post(path, eventType, params, playerTime = {ts: Date.now(), playhead: 0}) {
    const entry = [eventType, null];
    this.sent.push(entry);
    const answer = await fetch(settings.get('tracker') + path, {
      method: 'POST',
      headers: {'Content-Type': 'application/json'},
      body: JSON.stringify({eventType, playerTime, params}),
    });
    entry[1] = answer.status;
    return answer;
  },

  end() {
    clearInterval(this.pings);
    this.send('sessionComplete');
    return this.send('sessionEnd');
  },
};

video.addEventListener('loadedmetadata', () => client.start({
  'analytics.trackingServer': 'stats.example.com',
  'analytics.reportSuite': 'web-player',
  'visitor.marketingCloudOrgId': 'org',
  'media.id': settings.get('content'),
  'media.length': video.duration,
  'media.contentType': 'vod',
  'media.playerName': 'video element',
  'media.channel': 'web',
}), {once: true});

video.addEventListener('playing', () => {
  if (showing === 'between') return; // the player tells what begins
  client.playback('play');
});

video.addEventListener('waiting', () => {
  // While it seeks it is paused already.
  if (showing !== 'between' && !video.seeking) client.playback('bufferStart');
});

video.addEventListener('pause', () => {
  // At its end a video pauses, too; nobody paused it then.
  if (showing !== 'between' && !video.ended) client.playback('pauseStart');
});

// A seek is a pause. The element is at its goal already when it says that it seeks, so the pause
// is told with the last playhead that was seen before.
video.addEventListener('timeupdate', () => {
  if (!video.seeking) client.playhead = video.currentTime;
});

video.addEventListener('seeking', () => {
  if (showing === 'content') client.playback('pauseStart', client.playhead);
});

video.addEventListener('seeked', () => {
  // Where data is still missing, `playing` follows.
  if (showing === 'content' && !video.paused && video.readyState > 2) client.playback('play');
});

// The witness: it goes by the element alone, by another clock, and never asks the client.

const witness = {
  ms: {content: 0, ad: 0, paused: 0, waiting: 0},
  pauses: 0, // seeks are pauses
  clips: [], // seconds that were played of each clip that was loaded, as the browser counts them
  doing: null,
  since: 0,

  note(doing) {
    const now = performance.now();
    if (this.doing) this.ms[this.doing] += now - this.since;
    if (doing === 'paused' && this.doing !== 'paused') this.pauses += 1;
    [this.doing, this.since] = [doing, now];
  },

  clip() {
    return video.currentSrc.includes(settings.get('ad')) ? 'ad' : 'content';
  },

  count() {
    if (!this.clips.length) return;
    const ranges = video.played;
    let seconds = 0;
    for (let i = 0; i < ranges.length; i++) seconds += ranges.end(i) - ranges.start(i);
    const last = this.clips[this.clips.length - 1];
    last[1] = Math.max(last[1], seconds);
  },

  read() {
    this.note(this.doing);
    return {ms: this.ms, pauses: this.pauses, clips: this.clips};
  },
};

video.addEventListener('loadstart', () => witness.clips.push([witness.clip(), 0]));
video.addEventListener('playing', () => witness.note(witness.clip()));
video.addEventListener('waiting', () => witness.doing && !video.seeking && witness.note('waiting'));
video.addEventListener('seeking', () => witness.doing && witness.note('paused'));
video.addEventListener('seeked', () => {
  if (witness.doing === 'paused' && !video.paused && video.readyState > 2) witness.note('content');
});
video.addEventListener('pause', () => !video.ended && witness.doing && witness.note('paused'));
for (const name of ['ended', 'emptied']) video.addEventListener(name, () => witness.note(null));
for (const name of ['timeupdate', 'ended']) video.addEventListener(name, () => witness.count());

// The player: content, one break with one ad in its midst, the rest of the content.

function load(file, from = 0) {
  video.src = from ? `${file}#t=${from}` : file;
}

function startBreak() {
  breakIsDue = false;
  breakAt = video.currentTime;
  showing = 'between';
  client.send('adBreakStart', {'media.ad.podIndex': 1, 'media.ad.podSecond': breakAt});
  load(settings.get('ad'));
}

video.addEventListener('timeupdate', () => {
  const reached = video.currentTime >= Number(settings.get('midroll')) && !video.seeking;
  if (breakIsDue && reached) startBreak();
});

video.addEventListener('playing', () => {
  if (showing !== 'between') return;
  if (witness.clip() === 'ad') {
    showing = 'ad';
    client.send('adStart', {
      'media.ad.id': settings.get('ad'),
      'media.ad.length': video.duration,
      'media.ad.podPosition': 1,
    });
  } else {
    showing = 'content';
    client.send('adBreakComplete');
    breakAt = null;
    // As after every break, whether or not it played before: it is in the client's hands.
    client.state = null;
    client.playback('play');
  }
});

video.addEventListener('ended', () => {
  if (showing === 'ad') {
    showing = 'between';
    client.send('adComplete');
    load(settings.get('content'), breakAt);
  } else if (showing === 'content') {
    showing = 'over';
    client.end().then(() => { showing = 'ended'; });
  }
});

// What a viewer does, and what can be seen from outside.
window.viewer = {
  pause: () => video.pause(),
  play: () => video.play(),
  seek: seconds => { video.currentTime = seconds; },
};
window.recorded = () => ({
  ...witness.read(), showing, sent: client.sent, at: video.currentTime, length: video.duration,
  state: client.state,
});

load(settings.get('content'));
