// Small helpers for the document.

export const $ = (id) => document.getElementById(id);

// Only what changes is written: a live region is read out at each change. Always as text, never as markup.
export function say(id, text) {
  sayIn($(id), text);
}

export function sayIn(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// How the call stands, under the stage; what went wrong stands there first, long enough to be read.
let readUntil = 0;

export function notice(text) {
  if (Date.now() < readUntil) return;
  say('notice', text);
  $('notice').hidden = !text;
}

export function complain(text) {
  readUntil = 0;
  notice(text);
  readUntil = Date.now() + 8000;
}

export function press(id, on, label) {
  $(id).setAttribute('aria-pressed', String(on));
  if (label) sayIn($(id).querySelector('span'), label);
}
