// An invitation opened in a browser. The key is in the fragment: only this page sees it, and asks with it.

const $ = (id) => document.getElementById(id);
const key = location.hash.slice(1);

// A link is put between quotes: what could end them makes it no link.
const link = /['"`$\\\s]/.test(location.href) ? '' : location.href;
const SYSTEMS = {
  linux: { install: 'make venv', command: `.venv/bin/talkcodec call '${link}'` },
  mac: { install: 'make venv', command: `.venv/bin/talkcodec call '${link}'` },
  windows: {
    install: 'py -m venv .venv\n.venv\\Scripts\\pip install -c constraints.txt .',
    command: `.venv\\Scripts\\talkcodec call "${link}"`,
  },
};
const TABS = Object.keys(SYSTEMS);

function choose(system, focus = false) {
  for (const name of TABS) {
    const tab = $(`tab-${name}`);
    tab.setAttribute('aria-selected', String(name === system));
    tab.tabIndex = name === system ? 0 : -1;
    if (focus && name === system) tab.focus();
  }
  $('panel').setAttribute('aria-labelledby', `tab-${system}`);
  $('install').textContent = SYSTEMS[system].install;
  $('command').value = SYSTEMS[system].command;
}

function refuse(title, text) {
  document.body.dataset.state = 'refused';
  document.title = title;
  $('title').textContent = title;
  $('said').textContent = text;
  $('steps').hidden = document.querySelector('footer').hidden = true;
}

async function ask() {
  if (!key || !link) {
    refuse('This link is not whole', 'The part after the # sign is missing or broken. Copy all of the link, or ask for it again.');
    return;
  }
  let response;
  try {
    response = await fetch(document.body.dataset.info, { headers: { Authorization: `Bearer ${key}` } });
  } catch {
    $('said').textContent = 'They cannot be reached at the moment. Open the link again when they are there.';
    return;
  }
  if (!response.ok) {
    refuse('This invitation is not valid any more', 'Each invitation lasts as long as the program that printed it. Ask your peer for a new one.');
    return;
  }
  const { name, waiting, reachable, qr } = await response.json();
  document.body.dataset.state = 'valid';
  if (name) $('title').textContent = `${name} invites you to a video call`;
  $('said').textContent = waiting ? 'They are waiting for you.' : 'They take no calls at the moment. The command waits until they do.';
  $('here-only').hidden = reachable;
  if (qr) {
    $('qr').replaceChildren(document.importNode(new DOMParser().parseFromString(qr, 'image/svg+xml').documentElement, true));
    $('code').hidden = false;
  }
}

async function copy() {
  $('command').select();
  try {
    await navigator.clipboard.writeText($('command').value);
    $('copy').textContent = 'Copied';
  } catch {
    // pages by http from another machine have no clipboard, but this older way
    $('copy').textContent = document.execCommand('copy') ? 'Copied' : 'Press Ctrl+C';
  }
  setTimeout(() => { $('copy').textContent = 'Copy'; }, 2500);
}

for (const name of TABS) $(`tab-${name}`).addEventListener('click', () => choose(name));
document.querySelector('.systems').addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const at = TABS.findIndex((name) => event.target.id === `tab-${name}`);
  if (step && at >= 0) choose(TABS[(at + step + TABS.length) % TABS.length], true);
});
$('copy').addEventListener('click', copy);
const platform = navigator.userAgent;
choose(/Windows/.test(platform) ? 'windows' : /Mac OS/.test(platform) ? 'mac' : 'linux');
ask();
