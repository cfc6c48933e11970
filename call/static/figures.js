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
  say('up', rate(next?.kbps_up));
  say('down', rate(next?.kbps_down));
  say('conventional', rate(next?.conventional_kbps));
  say('picture-rate', talking ? `${rate(next.picture_kbps_up)} / ${rate(next.picture_kbps_down)}` : '–');
  say('sound-rate', talking ? `${rate(next.sound_kbps_up)} / ${rate(next.sound_kbps_down)}` : '–');
  say('fps-shown', whole(next?.fps_shown));
  say('fps-sent', whole(next?.fps_sent));
  say('latency-label', next?.latency_ms != null && !next.latency_measured ? 'Latency, about' : 'Latency');
  say('latency', whole(next?.latency_ms));
  const losses = [next?.loss_up, next?.loss_down].filter((value) => talking && value != null);
  say('loss', losses.length ? (100 * Math.max(...losses)).toFixed(0) : '–');
  say('rtt', whole(next?.rtt_ms));
  say('keyframe-age', whole(next?.keyframe_age_s));
  say('voice', rate(next?.voice_kbps));
  showLimit(next);
  showQuality(talking ? next : null);
  if (!talking) keyframes = null;
  $('clock').hidden = !talking;
  if (!next) {
    plot.clear();
    return;
  }
  say('model', `Model ${next.model}${next.rung ? `, ${next.rung} rung` : ''}${next.generate_ms ? `; a picture takes ${next.generate_ms.toFixed(0)} ms to draw, ${(next.encode_ms ?? 0).toFixed(0)} ms to code` : ''}.`);
  if (talking) {
    say('clock', clock(next.seconds));
    addToPlot(next, rate);
  }
}

// The command line may have set what is no step here; while somebody chooses, the engine's word waits.
function showLimit(next) {
  const limit = $('limit');
  limit.disabled = !next;
  if (next?.budget_kbps == null || document.activeElement === limit) return;
  const value = String(next.budget_kbps);
  if (![...limit.options].some((option) => option.value === value)) limit.add(new Option(`${value} kbit/s`, value));
  limit.value = value;
}

function showQuality(next) {
  $('quality').hidden = !next?.quality;
  if (!next?.quality) return;
  $('quality').dataset.bars = next.quality_bars;
  say('quality-word', next.quality);
}

function addToPlot(next, rate) {
  const now = next.keyframes_sent + next.keyframes_received;
  const before = keyframes ?? (next.seconds < 3 ? 0 : now); // a page that comes later has not seen the first ones
  const mark = now > before;
  keyframes = now;
  plot.add({ up: next.kbps_up, down: next.kbps_down, anchor: next.conventional_kbps, mark });
  $('plot').setAttribute('aria-label',
    `Rate of the whole call over the last two minutes. Now ${rate(next.kbps_up)} kbit/s sent, ${rate(next.kbps_down)} received; the leanest conventional call would need ${rate(next.conventional_kbps)}.`);
}

export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
