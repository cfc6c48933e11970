// What stands on the stage: the peer, or in words why they are not there; the switches as the engine has them.

import { $, press, say, sayIn } from './dom.js';
import { clock } from './figures.js';

export const OVER = ['ended', 'peer-left', 'failed'];
const CONNECTED = ['talking', 'bad-network', 'alone'];
const MOOD = {
  talking: 'good', alone: 'busy', waiting: 'busy', calling: 'busy', connecting: 'busy', lost: 'busy', 'bad-network': 'bad', failed: 'bad',
};
const TITLE = {
  waiting: 'Waiting for your peer', calling: 'Calling', connecting: 'Connecting', talking: 'No picture yet',
  'bad-network': 'Bad network', lost: 'Connection lost', 'peer-left': 'The call is over', ended: 'The call is over', failed: 'That did not work',
};

// place: 'call', 'away' (this page is not in the call), 'elsewhere' (another tab is), 'gone' (no engine, told by `why`)
export function show(next, place, why = '') {
  const phase = place === 'gone' ? 'no-engine' : next.phase;
  document.body.dataset.phase = phase;
  document.body.dataset.place = place;
  document.body.dataset.mood = place === 'gone' ? 'bad' : place === 'elsewhere' ? 'idle' : (MOOD[phase] ?? 'idle');
  const scene = place === 'gone' ? gone(why) : place === 'elsewhere' ? elsewhere() : place === 'away' && !OVER.includes(phase) ? calling(next) : usual(next);
  const picture = place === 'call' && $('peer').videoWidth > 0 && ['talking', 'bad-network'].includes(phase);
  $('peer').hidden = !picture;
  $('empty').hidden = picture;
  document.body.dataset.picture = String(picture);
  say('empty-title', scene.title);
  say('empty-text', scene.text);
  say('state-text', scene.state);
  $('again').hidden = !scene.button;
  if (scene.button) say('again', scene.button);
  showTotals(place === 'gone' || place === 'elsewhere' || !OVER.includes(phase) ? null : next);
  showInvitation(place === 'call' && ['waiting', 'lost'].includes(phase) ? next : null);
  showSigns(picture ? next : null);
}

function alone(next) {
  const who = next.peer_name || 'Your peer';
  const met = next.seconds != null;
  return {
    title: met ? `${who} has closed the page` : `${who} is not at the page yet`,
    text: met ? 'The call goes on when they are back.' : 'Their program is connected. Nothing is sent until they come.',
    state: next.text, button: '',
  };
}

function usual(next) {
  if (next.phase === 'alone') return alone(next);
  const over = OVER.includes(next.phase);
  const short = next.phase !== 'talking' && next.phase !== 'bad-network';
  const title = next.ringing ? 'They are calling' : over && next.total_seconds == null && next.phase === 'ended' ? 'You take no calls' : TITLE[next.phase] ?? '';
  return {
    title,
    text: next.phase === 'waiting' ? 'They join with this command, on a machine with talkcodec.' : next.text,
    state: short ? `${title}.` : next.text,
    button: over ? (next.ringing ? 'Answer' : next.total_seconds == null && next.invitation ? 'Wait for a call' : 'Call again') : '',
  };
}

function calling(next) {
  const who = next.peer_name || 'Your peer';
  const there = CONNECTED.includes(next.phase);
  return {
    title: there ? `${who} is calling again` : 'You are not in the call',
    text: there ? 'Camera and microphone are off until you answer.' : next.text,
    state: there ? 'They are calling.' : next.text,
    button: there ? 'Answer' : 'Join again',
  };
}

function elsewhere() {
  return {
    title: 'The call is open in another tab', text: 'Camera and microphone of this tab are off. The newer tab goes on.',
    state: 'Open in another tab.', button: 'Use it here',
  };
}

function gone(why) {
  return { title: 'No connection to the program', text: why, state: 'The program does not answer.', button: '' };
}

function showTotals(next) {
  const known = next?.total_seconds != null;
  $('totals').hidden = !known;
  if (!known) return;
  say('total-time', clock(next.total_seconds));
  say('total-up', next.total_kbps_up.toFixed(1));
  say('total-down', next.total_kbps_down.toFixed(1));
  say('total-data', (next.total_bytes / 1e6).toFixed(next.total_bytes < 1e6 ? 2 : 1));
}

function showInvitation(next) {
  $('invite').hidden = !next?.invitation;
  if (!next?.invitation) return;
  if ($('link').value !== next.command) $('link').value = next.command;
  say('invite-note', next.reachable
    ? 'Opened in a browser, the link in it says how to join. Whoever has it can call you: send it to your peer only.'
    : 'This link works on this machine only. Start with --listen 0.0.0.0 to be called from other machines.');
}

function showSigns(next) {
  const who = next?.peer_name || 'Your peer';
  const signs = next ? [next.peer_name, next.peer_microphone ? '' : 'muted', next.peer_camera ? '' : 'camera off'].filter(Boolean) : [];
  $('name-tag').hidden = !signs.length;
  say('name-tag', signs.join(' · '));
  $('peer').setAttribute('aria-label', `${who}, generated`);
  $('recorded-by-peer').hidden = !next?.peer_recording;
  sayIn($('recorded-by-peer').querySelector('b'), `${who} records this call`);
}

export function showSwitches(next, place, stream) {
  const inCall = place === 'call';
  const talking = inCall && ['talking', 'bad-network'].includes(next.phase);
  press('mute', !next.microphone, next.microphone ? 'Mute' : 'Unmute');
  press('camera', !next.camera, next.camera ? 'Camera off' : 'Camera on');
  press('view', next.self_view);
  press('keypoints', next.keypoints);
  press('record', Boolean(next.recording), next.recording ? 'Stop' : 'Record');
  for (const id of ['mute', 'camera', 'view', 'keypoints']) $(id).disabled = !inCall;
  $('keyframe').disabled = $('full').disabled = $('pip').disabled = !talking;
  $('record').disabled = !talking && !(inCall && next.recording);
  $('hang-up').disabled = !inCall || OVER.includes(next.phase);
  $('recording').hidden = !(inCall && next.recording);
  const own = inCall && next.self_view && $('own-generated').videoWidth > 0;
  $('self').hidden = !inCall || (!stream && !own);
  $('self').classList.toggle('off', !next.camera);
  $('own-camera').hidden = own || !stream;
  $('own-generated').hidden = !own;
  say('self-caption', !next.camera ? 'Camera off' : own ? 'As your peer sees you' : next.self_view ? 'Generating…' : 'You');
}

// Without an engine, or for another tab: nothing here does anything.
export function switchOff() {
  for (const button of $('controls').querySelectorAll('button:not(#chat)')) button.disabled = true;
  $('self').hidden = $('recording').hidden = true;
  $('notice').hidden = true;
}
