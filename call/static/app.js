// The page: joins, shows, switches. The engine holds the state; the page asks for it every second.

import { Engine, EngineError } from './engine.js';
import { Plot } from './plot.js';

const $ = (id) => document.getElementById(id);
const CAPTURE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25, max: 30 }, facingMode: 'user' };
const HEARING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
const MOOD = {
  talking: 'good', waiting: 'busy', calling: 'busy', connecting: 'busy', lost: 'busy', 'bad-network': 'bad', failed: 'bad',
};
const OVER = ['ended', 'peer-left', 'failed'];
const TITLE = {
  waiting: 'Waiting for your peer', calling: 'Calling', connecting: 'Connecting', talking: 'No picture yet',
  'bad-network': 'Bad network', lost: 'Connection lost', 'peer-left': 'Your peer left', ended: 'You hung up',
  failed: 'That did not work',
};

const engine = new Engine(takeKey());
const plot = new Plot($('plot'));
let stream = null;
let connection = null;
let joined = false;
let status = null;
let width = 640;

// The key comes in the fragment, which no server sees; it moves to this tab's memory and leaves the address line.
function takeKey() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem('key', given);
    history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem('key') ?? '';
}

// Joining

async function join(withCamera) {
  hideProblem();
  $('join').disabled = $('join-view').disabled = true;
  try {
    stream = withCamera ? await openDevices() : null;
    await connect();
    joined = true;
    sessionStorage.setItem('joined', withCamera ? 'camera' : 'view');
    $('lobby').close();
    $('controls').focus({ preventScroll: true });
  } catch (error) {
    stopDevices();
    showProblem(error);
  } finally {
    $('join').disabled = $('join-view').disabled = false;
  }
}

async function openDevices() {
  if (!navigator.mediaDevices) {
    throw new Error('Browsers give the camera only to pages of this machine or over https. Open the address with 127.0.0.1.');
  }
  return navigator.mediaDevices.getUserMedia({ video: CAPTURE, audio: HEARING });
}

function stopDevices() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
}

async function connect() {
  const opened = await engine.connect(stream);
  connection?.pc.close();
  connection = opened;
  $('peer').srcObject = new MediaStream([opened.peer]);
  $('sound').srcObject = new MediaStream([opened.sound]);
  $('own-generated').srcObject = new MediaStream([opened.own]);
  $('own-camera').srcObject = stream;
  if (status) applySwitches(status);
  opened.pc.addEventListener('connectionstatechange', () => {
    if (opened === connection && ['failed', 'closed'].includes(opened.pc.connectionState)) reconnect();
  });
}

async function reconnect() {
  connection?.pc.close();
  connection = null;
  while (joined && !connection) {
    try {
      await connect();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

const PROBLEMS = {
  NotAllowedError: [
    'The browser does not give out the camera and microphone',
    'They were refused for this page, or the system refuses them to the browser. Click the camera or padlock sign in the address line, allow both, and join again. You can also join without them: you then see and hear your peer.',
  ],
  NotFoundError: [
    'No camera or no microphone was found',
    'Plug them in and join again, or join without them: you then see and hear your peer.',
  ],
  NotReadableError: [
    'The camera or the microphone is busy',
    'Another program holds it. Close that program and join again, or join without them.',
  ],
};

function showProblem(error) {
  const [title, text] = PROBLEMS[error.name] ?? ['Joining did not work', error.message];
  $('problem-title').textContent = title;
  $('problem-text').textContent = text;
  $('problem').hidden = false;
  if (!$('lobby').open) $('lobby').showModal();
}

function hideProblem() {
  $('problem').hidden = true;
}

// Showing

async function poll() {
  try {
    show(await engine.status());
  } catch (error) {
    showSilence(error);
  }
  setTimeout(poll, 1000);
}

function showSilence(error) {
  document.body.dataset.mood = 'bad';
  document.body.dataset.phase = 'no-engine';
  const refused = error instanceof EngineError && error.status === 401;
  say('state-text', refused
    ? 'The key is missing or old. Open the address that the program printed.'
    : 'The talkcodec program on this machine does not answer. Start it again and open the address that it prints.');
}

function show(next) {
  status = next;
  const { phase } = next;
  document.body.dataset.phase = phase;
  document.body.dataset.mood = MOOD[phase] ?? 'idle';
  say('state-text', next.text);
  showEmpty(next);
  showSwitches(next);
  showFigures(next);
  const notice = [next.machine, next.face_visible === false && next.camera ? 'Your face is not in the picture: your peer sees the last one.' : '']
    .filter(Boolean).join(' ');
  say('notice', notice);
  $('notice').hidden = !notice;
  adaptCapture(next);
}

function showEmpty(next) {
  const picture = $('peer').videoWidth > 0 && ['talking', 'bad-network'].includes(next.phase);
  $('peer').hidden = !picture;
  $('empty').hidden = picture;
  say('empty-title', TITLE[next.phase] ?? '');
  say('empty-text', next.phase === 'waiting' ? 'They join with this command, on a machine with talkcodec.' : next.text);
  const inviting = Boolean(next.invitation) && ['waiting', 'peer-left', 'lost'].includes(next.phase);
  $('invite').hidden = !inviting;
  if (inviting) {
    const command = `python -m call '${next.invitation}'`;
    if ($('link').value !== command) $('link').value = command;
    say('invite-note', next.reachable
      ? 'Whoever has this link can call you. It carries a key: send it to your peer only.'
      : 'This link works on this machine only. Start with --listen 0.0.0.0 to be called from other machines.');
  }
  $('again').hidden = !OVER.includes(next.phase);
  say('again', next.invitation ? 'Wait for a call' : 'Call again');
}

function showSwitches(next) {
  const talking = ['talking', 'bad-network'].includes(next.phase);
  press('mute', !next.microphone, next.microphone ? 'Mute' : 'Unmute');
  press('camera', !next.camera, next.camera ? 'Camera off' : 'Camera on');
  press('view', next.self_view);
  press('keypoints', next.keypoints);
  press('record', Boolean(next.recording), next.recording ? 'Stop' : 'Record');
  $('keyframe').disabled = !talking;
  $('record').disabled = !talking && !next.recording;
  $('hang-up').disabled = OVER.includes(next.phase);
  $('recording').hidden = !next.recording;
  const own = next.self_view && $('own-generated').videoWidth > 0;
  $('self').hidden = !stream && !own;
  $('self').classList.toggle('off', !next.camera);
  $('own-camera').hidden = own || !stream;
  $('own-generated').hidden = !own;
  say('self-caption', !next.camera ? 'Camera off' : own ? 'As your peer sees you' : next.self_view ? 'Generating…' : 'You');
  applySwitches(next);
}

function press(id, on, label) {
  $(id).setAttribute('aria-pressed', String(on));
  if (label) say_in($(id).querySelector('span'), label);
}

// The devices themselves go quiet too, not only what the engine sends on.
function applySwitches(next) {
  stream?.getAudioTracks().forEach((track) => { track.enabled = next.microphone; });
  stream?.getVideoTracks().forEach((track) => { track.enabled = next.camera; });
}

async function adaptCapture(next) {
  if (!stream || next.capture_width_px === width) return;
  width = next.capture_width_px;
  try {
    await stream.getVideoTracks()[0].applyConstraints({ ...CAPTURE, width: { ideal: width }, height: { ideal: (width * 3) / 4 } });
  } catch {
    // a camera without other sizes: the engine scales
  }
}

function showFigures(next) {
  const talking = next.seconds != null;
  const rate = (value) => (talking && value != null ? value.toFixed(1) : '–');
  const whole = (value) => (talking && value != null ? Math.round(value).toString() : '–');
  say('headline-number', rate(next.picture_kbps_up));
  const times = talking && next.h264_kbps > 0 && next.picture_kbps_up > 0 ? next.h264_kbps / next.picture_kbps_up : 0;
  say('headline-text', times >= 1.5
    ? `kbit/s for the picture you send: H.264 would take ${times.toFixed(times < 10 ? 1 : 0)} times that`
    : 'kbit/s for the picture you send');
  say('up', rate(next.picture_kbps_up));
  say('down', rate(next.picture_kbps_down));
  say('h264', next.h264_kbps > 0 ? rate(next.h264_kbps) : '–');
  say('sound-rate', talking ? `${rate(next.sound_kbps_up)} / ${rate(next.sound_kbps_down)}` : '–');
  say('crf', String(next.h264_crf));
  say('fps-shown', whole(next.fps_shown));
  say('fps-sent', whole(next.fps_sent));
  say('latency-label', next.latency_ms != null && !next.latency_measured ? 'Latency, about' : 'Latency');
  say('latency', whole(next.latency_ms));
  const losses = [next.loss_up, next.loss_down].filter((value) => value != null);
  say('loss', losses.length ? (100 * Math.max(...losses)).toFixed(0) : '–');
  say('rtt', whole(next.rtt_ms));
  say('keyframe-age', whole(next.keyframe_age_s));
  say('model', `Model ${next.model}${next.generate_ms ? `; a picture takes ${next.generate_ms.toFixed(0)} ms to draw, ${(next.encode_ms ?? 0).toFixed(0)} ms to code` : ''}.`);
  $('clock').hidden = !talking;
  if (talking) {
    const seconds = Math.floor(next.seconds);
    say('clock', `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`);
    plot.add({ up: next.picture_kbps_up, down: next.picture_kbps_down, anchor: next.h264_kbps > 0 ? next.h264_kbps : null });
    $('plot').setAttribute('aria-label',
      `Picture rate over the last two minutes. Now ${rate(next.picture_kbps_up)} kbit/s sent, ${rate(next.picture_kbps_down)} received; H.264 would need ${rate(next.h264_kbps)}.`);
  }
}

// Only what changes is written: a live region is read out at each change.
function say(id, text) {
  say_in($(id), text);
}

function say_in(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Switching

async function act(action, on) {
  try {
    show(await engine.act(action, on));
  } catch (error) {
    say('notice', error.message);
    $('notice').hidden = false;
  }
}

function toggles(id, action, inverted = false) {
  $(id).addEventListener('click', () => {
    const pressed = $(id).getAttribute('aria-pressed') === 'true';
    act(action, inverted ? pressed : !pressed);
  });
}

toggles('mute', 'microphone', true);
toggles('camera', 'camera', true);
toggles('view', 'self_view');
toggles('keypoints', 'keypoints');
toggles('record', 'record');
$('keyframe').addEventListener('click', () => act('keyframe'));
$('hang-up').addEventListener('click', () => act('hang_up'));
$('again').addEventListener('click', () => act('again'));
$('join').addEventListener('click', () => join(true));
$('join-view').addEventListener('click', () => join(false));
$('lobby').addEventListener('cancel', (event) => event.preventDefault()); // there is nothing behind it yet
$('copy').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText($('link').value);
    say('copy', 'Copied');
  } catch {
    $('link').select();
    say('copy', 'Press Ctrl+C');
  }
  setTimeout(() => say('copy', 'Copy'), 2500);
});
// Sound may start only after the person has touched the page.
document.addEventListener('pointerdown', () => $('sound').play().catch(() => {}), { once: true });

$('peer').addEventListener('resize', () => status && showEmpty(status));

const before = sessionStorage.getItem('joined');
if (before) join(before === 'camera');
else $('lobby').showModal();
poll();
