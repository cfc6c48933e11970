// A receiver that we did not write: Chromium's WebRTC and the public msgpack library; run by test_browser.py.
// `sound`: it wants to hear, and says that it reads what rides with the sound, which it does not.
async function receive(url, key, sound) {
  const connection = new RTCPeerConnection();
  const readsPadding = 4;
  if (sound) {
    connection.addTransceiver("audio", { direction: "recvonly" });
    connection.ontrack = (event) => {
      window.player = new Audio();
      window.player.srcObject = new MediaStream([event.track]);
      window.player.play();
    };
    window.heard = async () => {
      const stats = [...(await connection.getStats()).values()];
      const { packetsReceived, totalSamplesReceived, concealedSamples, totalAudioEnergy, totalSamplesDuration } =
        stats.find((one) => one.type === "inbound-rtp" && one.kind === "audio") || {};
      return { packetsReceived, totalSamplesReceived, concealedSamples, totalAudioEnergy, totalSamplesDuration };
    };
  }
  const options = {
    control: { negotiated: true, id: 0, ordered: true },
    motion: { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 },
  };
  const channels = {
    control: connection.createDataChannel("talkcodec-control", options.control),
    motion: connection.createDataChannel("talkcodec-motion", options.motion),
  };
  const seen = [];
  const pieces = new Map();
  let held = 0;
  const encode = MessagePack.encode, decode = MessagePack.decode;
  const plain = (value) =>
    value instanceof Uint8Array ? { binary: value.length } : Array.isArray(value) ? value.map(plain) : value;
  for (const [name, channel] of Object.entries(channels)) {
    channel.binaryType = "arraybuffer";
    channel.onmessage = (event) => {
      const message = decode(new Uint8Array(event.data));
      if (seen.length < 400) seen.push([name, event.data.byteLength, plain(message)]);
      if (message[0] === 0) {
        // Ours: the same parameters, another creator, an unknown extra, and a field that does not exist yet.
        const ours = message.slice(0, 14);
        if (sound) ours[11] |= readsPadding;
        ours[12] = "a browser";
        ours[13] = [["colour", 5]];
        channels.control.send(encode([...ours, "a field of the future"]));
      } else if (message[0] === 1) {
        const [, id, index, count, data] = message;
        const parts = pieces.get(id) || new Array(count).fill(null);
        parts[index] = data;
        pieces.set(id, parts);
        if (parts.every((part) => part !== null)) {
          const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
          parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
          seen.push(["keyframe", whole.length, plain(decode(whole))]);
          channels.control.send(encode([2, id]));
        }
      } else if (message[0] === 4) {
        held += 1;
        if (held === 3) channels.motion.send(encode([5, message[2], 0, held, 0, 0, message[3], 0, 0, 0, 0]));
      }
    };
  }
  window.seen = seen;
  await connection.setLocalDescription(await connection.createOffer());
  if (connection.iceGatheringState !== "complete") {
    await new Promise((done) => {
      connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && done();
      setTimeout(done, 3000);
    });
  }
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: "Bearer " + key },
    body: connection.localDescription.sdp,
  });
  if (response.status !== 201) throw new Error("WHIP answered " + response.status);
  await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  window.bye = () => channels.control.send(encode([6, 0, "done"]));
  return response.headers.get("Location");
}
