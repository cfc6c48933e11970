// The engine on this machine: its HTTP interface and the WebRTC connection to it.

export class EngineError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Engine {
  constructor(key) {
    this.key = key;
    this.orders = 0; // counts up when an order begins and when it is carried out
    this.id = crypto.randomUUID?.() ?? String(Math.random()); // of this page, told apart from other tabs
  }

  async request(path, options = {}) {
    let response;
    try {
      response = await fetch(path, {
        ...options,
        headers: { ...options.headers, Authorization: `Bearer ${this.key}` },
        signal: AbortSignal.timeout(20000),
      });
    } catch {
      throw new EngineError('The talkcodec program on this machine does not answer.', 0);
    }
    if (!response.ok) throw new EngineError((await response.text()).trim(), response.status);
    return response;
  }

  async status() {
    return (await this.request(`/api/status?id=${this.id}`)).json();
  }

  // more: { on } or { text }
  async act(action, more = {}) {
    const body = JSON.stringify({ action, ...more });
    const headers = { 'Content-Type': 'application/json' };
    this.orders += 1;
    try {
      return await (await this.request(`/api/do?id=${this.id}`, { method: 'POST', headers, body, keepalive: action === 'leave' })).json();
    } finally {
      this.orders += 1;
    }
  }

  async chat(after) {
    return (await this.request(`/api/chat?after=${after}`)).json();
  }

  async recording() {
    return (await this.request('/api/recording')).blob();
  }

  // stream: camera and microphone, or null. Resolves to a Connection.
  async connect(stream) {
    const pc = new RTCPeerConnection(); // no ICE servers: the engine is on this machine
    const [microphone] = stream ? stream.getAudioTracks() : [];
    const [camera] = stream ? stream.getVideoTracks() : [];
    const sound = pc.addTransceiver(microphone ?? 'audio', { direction: microphone ? 'sendrecv' : 'recvonly' });
    const peer = pc.addTransceiver(camera ?? 'video', { direction: camera ? 'sendrecv' : 'recvonly' });
    const own = pc.addTransceiver('video', { direction: 'recvonly' });
    this.orders += 1;
    try {
      await pc.setLocalDescription();
      await gathered(pc);
      const headers = { 'Content-Type': 'application/sdp' };
      const response = await this.request(`/api/page?id=${this.id}`, { method: 'POST', headers, body: pc.localDescription.sdp });
      await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    } catch (error) {
      pc.close();
      throw error;
    } finally {
      this.orders += 1;
    }
    if (camera) await limit(peer.sender, 1_500_000);
    return { pc, sound: sound.receiver.track, peer: peer.receiver.track, own: own.receiver.track };
  }
}

async function limit(sender, maxBitrate) {
  const parameters = sender.getParameters();
  for (const encoding of parameters.encodings) encoding.maxBitrate = maxBitrate;
  try {
    await sender.setParameters(parameters);
  } catch {
    // a wish, no need: the browser goes by its own limit
  }
}

function gathered(pc) {
  if (pc.iceGatheringState === 'complete') return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, 2000);
    pc.addEventListener('icegatheringstatechange', () => pc.iceGatheringState === 'complete' && resolve());
  });
}
