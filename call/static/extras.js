// Full screen, picture in picture, shortcuts, "they are here", and the recording to keep.

import { $, complain, press, say } from './dom.js';

// key -> [what it presses, what the list says]
const KEYS = {
  m: ['mute', 'Mute or unmute'], v: ['camera', 'Camera off or on'], c: ['chat', 'Chat'], r: ['record', 'Record or stop'],
  s: ['view', 'See yourself as your peer does'], k: ['keyframe', 'Ask for a new keyframe'], f: ['full', 'Full screen'],
  p: ['pip', 'Picture in a window of its own'], '?': ['help', 'This list'],
};

export function wireKeys() {
  for (const [key, [, text]] of Object.entries(KEYS)) {
    const row = document.createElement('div');
    const name = document.createElement('dt');
    const what = document.createElement('dd');
    const cap = document.createElement('kbd');
    cap.textContent = key.toUpperCase();
    name.append(cap);
    what.textContent = text;
    row.append(name, what);
    $('key-list').append(row);
  }
  $('help').addEventListener('click', () => $('keys').showModal());
  $('keys-close').addEventListener('click', () => $('keys').close());
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input, textarea, select, dialog');
    if (typing || event.ctrlKey || event.altKey || event.metaKey || event.repeat || document.querySelector('dialog[open]')) return;
    const [id] = KEYS[event.key.toLowerCase()] ?? [];
    if (!id || $(id).disabled || $(id).hidden) return;
    event.preventDefault();
    $(id).click();
  });
}

export function wireScreens() {
  $('full').hidden = !document.fullscreenEnabled;
  $('full').addEventListener('click', () => (document.fullscreenElement ? document.exitFullscreen() : $('call').requestFullscreen()));
  document.addEventListener('fullscreenchange', () => press('full', Boolean(document.fullscreenElement)));
  $('pip').hidden = !document.pictureInPictureEnabled;
  $('pip').addEventListener('click', async () => {
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else await $('peer').requestPictureInPicture();
    } catch (error) {
      complain(`The browser gives no window: ${error.message}`);
    }
  });
  for (const event of ['enterpictureinpicture', 'leavepictureinpicture']) {
    $('peer').addEventListener(event, () => press('pip', Boolean(document.pictureInPictureElement)));
  }
}

// Says that the peer came: in the title always, by the system where it is allowed and the page is not looked at.
export class Doorbell {
  constructor() {
    this.here = null;
    const ask = 'Notification' in window && Notification.permission === 'default';
    $('notify').hidden = !ask;
    $('notify').addEventListener('click', async () => {
      await Notification.requestPermission();
      $('notify').hidden = true;
    });
    document.addEventListener('visibilitychange', () => { if (!document.hidden) document.title = 'talkcodec call'; });
  }

  show(status) {
    const came = this.here === false && status.peer_here;
    this.here = status.peer_here;
    if (!came && !status.ringing) return;
    const text = `${status.peer_name || 'Your peer'} is here`;
    if (document.hidden) {
      document.title = `● ${text}`;
      if (came && 'Notification' in window && Notification.permission === 'granted') new Notification(text, { icon: 'icon.svg', tag: 'call' });
    }
  }
}

export function showRecording(status) {
  const path = status?.recorded;
  $('saved').hidden = !path || Boolean(status.recording);
  if (path) say('saved-text', `Recorded to ${path}`);
}

export async function saveRecording(engine, path) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await engine.recording());
  link.download = path.split(/[\\/]/).pop();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
