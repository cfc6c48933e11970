// Numbers: the whole call in front, quality as bars and a word, the rest for those who want it.

import { $, say } from './dom.js';
import { Plot } from './plot.js';

const plot = new Plot($('plot'));
let keyframes = null;

export function showFigures(next) {
  const talking = next?.seconds != null;
  const rate = (value) => (talking && value != null ? value.toFixed(1) : '–');
  const whole = (value) => (talking && value != null ? Math.round(value).toString() : '–');
  say('headline-number', rate(next?.kbps_up));
  say('headline-down', rate(next?.kbps_down));
  say('up', rate(next?.picture_kbps_up));
  say('down', rate(next?.picture_kbps_down));
  say('h264', next?.h264_kbps > 0 ? rate(next.h264_kbps) : '–');
  say('sound-rate', talking ? `${rate(next.sound_kbps_up)} / ${rate(next.sound_kbps_down)}` : '–');
  say('fps-shown', whole(next?.fps_shown));
  say('fps-sent', whole(next?.fps_sent));
  say('latency-label', next?.latency_ms != null && !next.latency_measured ? 'Latency, about' : 'Latency');
  say('latency', whole(next?.latency_ms));
  const losses = [next?.loss_up, next?.loss_down].filter((value) => talking && value != null);
  say('loss', losses.length ? (100 * Math.max(...losses)).toFixed(0) : '–');
  say('rtt', whole(next?.rtt_ms));
  say('keyframe-age', whole(next?.keyframe_age_s));
  say('budget', whole(next?.budget_kbps));
  say('voice', rate(next?.voice_kbps));
  showQuality(talking ? next : null);
  $('clock').hidden = !talking;
  if (!next) {
    plot.clear();
    return;
  }
  say('crf', String(next.h264_crf));
  say('model', `Model ${next.model}${next.rung ? `, ${next.rung} rung` : ''}${next.generate_ms ? `; a picture takes ${next.generate_ms.toFixed(0)} ms to draw, ${(next.encode_ms ?? 0).toFixed(0)} ms to code` : ''}.`);
  if (talking) {
    say('clock', clock(next.seconds));
    addToPlot(next, rate);
  }
}

function showQuality(next) {
  $('quality').hidden = !next?.quality;
  if (!next?.quality) return;
  $('quality').dataset.bars = next.quality_bars;
  say('quality-word', next.quality);
}

function addToPlot(next, rate) {
  const now = next.keyframes_sent + next.keyframes_received;
  const mark = keyframes != null && now > keyframes;
  keyframes = now;
  plot.add({ up: next.picture_kbps_up, down: next.picture_kbps_down, anchor: next.h264_kbps > 0 ? next.h264_kbps : null, mark });
  $('plot').setAttribute('aria-label',
    `Picture rate over the last two minutes. Now ${rate(next.picture_kbps_up)} kbit/s sent, ${rate(next.picture_kbps_down)} received; H.264 would need ${rate(next.h264_kbps)}.`);
}

export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
