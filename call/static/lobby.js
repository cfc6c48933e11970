// Before the call: oneself, the choice of devices, a name, and how the peer stands. Messages stand in the dialog.

import { $, press, say } from './dom.js';

const KINDS = { 'choose-camera': 'videoinput', 'choose-microphone': 'audioinput', 'choose-speaker': 'audiooutput' };
const NAMES = { videoinput: 'Camera', audioinput: 'Microphone', audiooutput: 'Speaker' };

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

export class Lobby {
  // start: { microphone, camera }, what is on from the beginning
  constructor(devices, act) {
    this.devices = devices;
    this.act = act;
    this.start = { microphone: true, camera: true };
    $('name').value = localStorage.getItem('name') ?? '';
    this.typed = Boolean($('name').value); // else the command line's name is offered
    $('name').addEventListener('input', () => { this.typed = true; });
    for (const [id, kind] of Object.entries(KINDS)) {
      $(id).addEventListener('change', () => this.chose(kind, $(id).value));
    }
    for (const what of ['microphone', 'camera']) {
      $(`start-${what}`).addEventListener('click', () => this.switch(what, !this.start[what]));
    }
    $('lobby').addEventListener('cancel', (event) => event.preventDefault()); // there is nothing behind it yet
  }

  get name() {
    return $('name').value.trim();
  }

  async open() {
    if (!$('lobby').open) $('lobby').showModal();
    $('problem').hidden = true;
    await this.preview();
  }

  async preview() {
    try {
      const stream = await this.devices.open();
      if (!stream) return;
      $('preview-video').srcObject = stream;
      $('problem').hidden = true;
      this.measure();
      this.switch('camera', this.start.camera);
    } catch (error) {
      if ($('lobby').open) this.problem(error);
    }
    await this.offer();
  }

  async offer() {
    for (const [id, kind] of Object.entries(KINDS)) {
      const found = await this.devices.list(kind);
      const options = found.map((device, index) => new Option(device.label || `${NAMES[kind]} ${index + 1}`, device.deviceId));
      if (!options.length) options.push(new Option(kind === 'audiooutput' ? 'As the system has it' : 'None found', ''));
      $(id).replaceChildren(...options);
      const chosen = found.find((device) => device.deviceId === this.devices.chosen[kind]);
      if (chosen) $(id).value = chosen.deviceId;
      $(id).disabled = found.length < 2;
    }
    $('speaker-label').hidden = !('setSinkId' in HTMLMediaElement.prototype);
  }

  async chose(kind, id) {
    this.devices.choose(kind, id);
    if (kind !== 'audiooutput') await this.preview();
  }

  switch(what, on) {
    this.start[what] = on;
    const words = { microphone: 'Microphone', camera: 'Camera' };
    press(`start-${what}`, on, `${words[what]} ${on ? 'on' : 'off'}`);
    this.devices.apply(this.start.microphone, this.start.camera);
    $('preview-none').hidden = this.start.camera && Boolean(this.devices.stream);
  }

  measure() {
    if (!this.devices.analyser) return;
    $('level').value = this.start.microphone ? this.devices.level() : 0;
    setTimeout(() => this.measure(), 80);
  }

  problem(error) {
    const [title, text] = PROBLEMS[error.name] ?? ['Joining did not work', error.message];
    say('problem-title', title);
    say('problem-text', text);
    $('problem').hidden = false;
    if (!$('lobby').open) $('lobby').showModal();
  }

  // status: null while the engine does not answer, which `text` then says
  show(status, text) {
    say('lobby-peer', text);
    $('join').disabled = $('join-view').disabled = !status || this.joining;
    if (status?.name && !this.typed) $('name').value = status.name;
  }

  close() {
    localStorage.setItem('name', this.name);
    this.devices.deafen();
    $('preview-video').srcObject = null;
    $('lobby').close();
  }
}
