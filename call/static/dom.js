// Small helpers for the document.

export const $ = (id) => document.getElementById(id);

// Only what changes is written: a live region is read out at each change. Always as text, never as markup.
export function say(id, text) {
  sayIn($(id), text);
}

export function sayIn(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function press(id, on, label) {
  $(id).setAttribute('aria-pressed', String(on));
  if (label) sayIn($(id).querySelector('span'), label);
}
