// The page: joins, leaves, asks the engine every second, and hands what it says to those who show it.
// The engine holds the state of the call; this file holds where the page stands to it.

import { Chat } from './chat.js';
import { Devices } from './devices.js';
import { $, complain, notice, say } from './dom.js';
import { Engine, EngineError } from './engine.js';
import { Doorbell, saveRecording, showRecording, wireKeys, wireScreens } from './extras.js';
import { showFigures } from './figures.js';
import { Lobby } from './lobby.js';
import { OVER, show, showSwitches, switchOff } from './show.js';

const engine = new Engine(takeKey());
const devices = new Devices();
const lobby = new Lobby(devices);
const chat = new Chat(engine, failed);
const doorbell = new Doorbell();
let connection = null;
let joined = false;
let withCamera = true;
let elsewhere = false;
let silent = 0;
let status = null;

// The key comes in the fragment, which no server sees; it moves to this tab's memory and leaves the address line.
function takeKey() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem('key', given);
    history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem('key') ?? '';
}

// Joining and leaving

async function join(camera) {
  lobby.joining = true;
  $('problem').hidden = true;
  $('join').disabled = $('join-view').disabled = $('again').disabled = true;
  try {
    withCamera = camera;
    if (!camera) devices.close();
    else if (!devices.stream && !(await devices.open())) throw new Error('The camera was opened twice. Join again.');
    devices.deafen();
    if (lobby.name) await engine.act('name', { text: lobby.name });
    if ($('lobby').open) for (const what of ['microphone', 'camera']) await engine.act(what, { on: lobby.start[what] });
    await connect();
    // Before this page counts as joined: it would leave a call that is over.
    const begun = status && OVER.includes(status.phase) ? await engine.act('again') : null;
    joined = true;
    elsewhere = false;
    sessionStorage.setItem('joined', camera ? 'camera' : 'view');
    lobby.close();
    if (begun) await take(begun);
    else await update();
    $('controls').focus({ preventScroll: true });
  } catch (error) {
    leave();
    lobby.problem(error);
  } finally {
    lobby.joining = false;
    $('join').disabled = $('join-view').disabled = $('again').disabled = false;
  }
}

async function connect() {
  const opened = await engine.connect(devices.stream);
  connection?.pc.close();
  connection = opened;
  $('peer').srcObject = new MediaStream([opened.peer]);
  $('sound').srcObject = new MediaStream([opened.sound]);
  $('own-generated').srcObject = new MediaStream([opened.own]);
  $('own-camera').srcObject = devices.stream;
  await devices.speakThrough($('sound'));
  opened.pc.addEventListener('connectionstatechange', () => {
    if (opened === connection && ['failed', 'closed'].includes(opened.pc.connectionState)) reconnect();
  });
}

// The engine closed our connection: another tab took over, or it was cut.
async function reconnect() {
  connection?.pc.close();
  connection = null;
  while (joined && !connection) {
    try {
      if ((await engine.status()).page === 'elsewhere') return yieldTo();
      await connect();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

function yieldTo() {
  elsewhere = true;
  leave();
}

// Camera and microphone off, and this page out of the call; the engine is told, so that the peer is too.
function leave() {
  const was = joined;
  joined = false;
  connection?.pc.close();
  connection = null;
  devices.close();
  for (const id of ['peer', 'sound', 'own-generated', 'own-camera']) $(id).srcObject = null;
  if (document.pictureInPictureElement) document.exitPictureInPicture();
  if (document.fullscreenElement) document.exitFullscreen();
  if (was && !elsewhere) engine.act('leave').catch(() => {});
}

// Asking

async function poll() {
  try {
    const orders = engine.orders;
    const next = await engine.status();
    if (orders === engine.orders) await take(next); // else it may be from before an order whose answer is known
    silent = 0;
  } catch (error) {
    silent += 1;
    const refused = error instanceof EngineError && error.status === 401;
    if (refused || silent > 1) lose(refused
      ? 'The key is missing or old. Open the address that the program printed.'
      : 'The talkcodec program on this machine has stopped. Start it again and open the address that it prints.');
  }
  setTimeout(poll, 1000);
}

async function take(next) {
  const first = !status;
  if (status && OVER.includes(status.phase) && !OVER.includes(next.phase)) chat.clear(); // perhaps somebody else
  status = next;
  if (joined && next.page === 'elsewhere') yieldTo();
  if (joined && OVER.includes(next.phase)) {
    leave();
    $('empty-title').focus({ preventScroll: true });
  }
  if (first && !joined && !lobby.joining) begin(next);
  await update();
}

function begin(next) {
  const before = sessionStorage.getItem('joined');
  if (OVER.includes(next.phase) && before) return;
  if (before && next.page !== 'here') join(before === 'camera');
  else lobby.open();
}

async function update() {
  const place = elsewhere ? 'elsewhere' : joined ? 'call' : 'away';
  document.body.dataset.joined = String(joined);
  if ($('lobby').open) lobby.show(status, waitingText(status));
  show(status, place);
  showSwitches(status, place, devices.stream);
  if (elsewhere) switchOff();
  showFigures(elsewhere ? null : status);
  showRecording(elsewhere ? null : status);
  if (joined) devices.apply(status.microphone, status.camera);
  if (joined) await devices.adapt(status.capture_width_px);
  doorbell.show(status);
  await chat.show(status);
  const talking = joined && ['talking', 'bad-network'].includes(status.phase);
  const said = !talking ? '' : [status.machine, status.face_visible === false && status.camera ? 'Your face is not in the picture: your peer sees the last one.' : '']
    .filter(Boolean).join(' ');
  if (!elsewhere) notice(said);
}

// In the dialog one has not joined yet: the invitation comes after it.
function waitingText(next) {
  if (next.page === 'elsewhere') return 'The call is open in another tab. Joining brings it here.';
  return next.phase === 'waiting' ? 'Nobody has called yet. You can join and wait.' : next.text;
}

function lose(why) {
  status = null;
  if (joined) leave();
  show(null, 'gone', why);
  if ($('lobby').open) lobby.show(null, why);
  $('lobby').classList.toggle('lost', $('lobby').open);
  showFigures(null);
  showRecording(null);
  switchOff();
  chat.show(null);
}

// Switching

async function act(action, more) {
  try {
    await take(await engine.act(action, more));
  } catch (error) {
    failed(error);
  }
}

function failed(error) {
  complain(error.message);
}

function toggles(id, action, inverted = false) {
  $(id).addEventListener('click', () => {
    const pressed = $(id).getAttribute('aria-pressed') === 'true';
    act(action, { on: inverted ? pressed : !pressed });
  });
}

toggles('mute', 'microphone', true);
toggles('camera', 'camera', true);
toggles('view', 'self_view');
toggles('keypoints', 'keypoints');
toggles('record', 'record');
$('limit').addEventListener('change', () => act('budget', { text: $('limit').value }));
$('keyframe').addEventListener('click', () => act('keyframe'));
$('hang-up').addEventListener('click', () => act('hang_up'));
$('again').addEventListener('click', () => join(withCamera));
$('join').addEventListener('click', () => join(true));
$('join-view').addEventListener('click', () => join(false));
$('save').addEventListener('click', () => saveRecording(engine, status.recorded).catch(failed));
$('copy').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText($('link').value);
    say('copy', 'Copied');
  } catch {
    $('link').select();
    say('copy', document.execCommand('copy') ? 'Copied' : 'Press Ctrl+C');
  }
  setTimeout(() => say('copy', 'Copy'), 2500);
});
// Sound may start only after the person has touched the page.
document.addEventListener('pointerdown', () => $('sound').play().catch(() => {}), { once: true });
$('peer').addEventListener('resize', () => status && update());
window.addEventListener('pagehide', () => joined && engine.act('leave').catch(() => {}));

wireKeys();
wireScreens();
$('lobby').showModal();
$('join').disabled = $('join-view').disabled = true;
if (sessionStorage.getItem('joined')) $('lobby').close();
poll();
