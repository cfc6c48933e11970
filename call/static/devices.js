// Camera, microphone and speaker: opened, chosen, remembered, measured, let go.

const CAPTURE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25, max: 30 }, facingMode: 'user' };
const HEARING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

export class Devices {
  constructor() {
    this.stream = null;
    this.turn = 0; // counts up when what is being opened is not wanted any more
    this.side = 0; // that was asked for, 0 when the camera has just been opened
    this.native = {};
    this.context = null;
    this.analyser = null;
    this.chosen = JSON.parse(localStorage.getItem('devices') ?? '{}');
  }

  // Opens what was chosen, or what the browser takes; null when it was closed or opened anew before the person had
  // answered. Throws what getUserMedia throws.
  async open() {
    if (!navigator.mediaDevices) {
      throw new Error('Browsers give the camera only to pages of this machine or over https. Open the address with 127.0.0.1.');
    }
    this.close();
    const turn = this.turn;
    const wish = (kind) => (this.chosen[kind] ? { deviceId: { ideal: this.chosen[kind] } } : {});
    let stream = null;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { ...CAPTURE, ...wish('videoinput') }, audio: { ...HEARING, ...wish('audioinput') },
      });
    } catch (error) {
      if (turn === this.turn) throw error;
    }
    if (turn !== this.turn) {
      stream?.getTracks().forEach((track) => track.stop());
      return null;
    }
    this.stream = stream;
    this.side = 0;
    this.listen();
    return this.stream;
  }

  choose(kind, id) {
    this.chosen[kind] = id;
    localStorage.setItem('devices', JSON.stringify(this.chosen));
  }

  async list(kind) {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return devices.filter((device) => device.kind === kind && device.deviceId);
  }

  listen() {
    this.context = new AudioContext();
    this.analyser = this.context.createAnalyser();
    this.context.createMediaStreamSource(this.stream).connect(this.analyser);
  }

  // Of the microphone, 0 to 1 over 60 dB.
  level() {
    if (!this.analyser) return 0;
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
    return Math.min(1, Math.max(0, 1 + Math.log10(power + 1e-9) / 6));
  }

  // The level is wanted before the call only.
  deafen() {
    this.context?.close();
    this.context = this.analyser = null;
  }

  // The devices themselves go quiet too, not only what the engine sends on.
  apply(microphone, camera) {
    this.stream?.getAudioTracks().forEach((track) => { track.enabled = microphone; });
    this.stream?.getVideoTracks().forEach((track) => { track.enabled = camera; });
  }

  // The longer side at most so long, in the camera's own shape: in another the browser would cut something off.
  async adapt(side) {
    if (!this.stream || side === this.side) return;
    if (!this.side) this.native = this.stream.getVideoTracks()[0].getSettings();
    const { width, height } = this.native;
    if (!width || !height) return; // the camera has not begun
    this.side = side;
    const scale = Math.min(1, side / Math.max(width, height));
    const size = { width: { ideal: Math.round(width * scale) }, height: { ideal: Math.round(height * scale) } };
    try {
      await this.stream.getVideoTracks()[0].applyConstraints({ ...CAPTURE, ...size });
    } catch {
      // a camera without other sizes: the engine scales
    }
  }

  async speakThrough(element) {
    if (this.chosen.audiooutput && element.setSinkId) await element.setSinkId(this.chosen.audiooutput).catch(() => {});
  }

  close() {
    this.turn += 1;
    this.deafen();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }
}
