// The page: takes a portrait and a film, shows how far the program is, and the film that it made.

const $ = (id) => document.getElementById(id);
const given = { portrait: false, film: false };
let working = false;

// The key comes in the fragment, which no server sees; it moves to this tab's memory and leaves the address line.
if (location.hash.length > 1) {
  sessionStorage.setItem('key', location.hash.slice(1));
  history.replaceState(null, '', location.pathname);
}

async function request(path, options = {}) {
  let response;
  try {
    const headers = { Authorization: `Bearer ${sessionStorage.getItem('key') ?? ''}` };
    response = await fetch(path, { ...options, headers: { ...options.headers, ...headers } });
  } catch {
    throw new Error('The talkcodec program on this machine does not answer: start it again, and open its new address.');
  }
  if (!response.ok) throw new Error((await response.text()).trim());
  return response;
}

const json = async (path, options) => (await request(path, options)).json();

function say(text, bad = false) {
  $('said').textContent = text;
  $('said').classList.toggle('bad', bad);
}

// What goes up

async function give(name, file) {
  if (!file || working) return;
  given[name] = false;
  refresh();
  $(`${name}-name`).textContent = `${file.name}: being read`;
  try {
    await request(`/api/${name}`, { method: 'PUT', body: file });
    given[name] = true;
    $(`${name}-name`).textContent = file.name;
    say(given.portrait && given.film ? 'Ready.' : `Now the ${given.portrait ? 'film' : 'portrait'}.`);
  } catch (error) {
    $(`${name}-name`).textContent = file.name;
    say(`${file.name}: ${error.message}`, true);
  }
  refresh();
  await (name === 'portrait' ? showPortrait(file) : showFilm(file));
}

// Drawn on a canvas: the page's policy allows no pictures but its own.
async function showPortrait(file) {
  const canvas = $('portrait-shown');
  try {
    const picture = await createImageBitmap(file);
    const scale = 320 / Math.max(picture.width, picture.height);
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height);
    canvas.hidden = false;
  } catch {
    canvas.hidden = true; // the program may read it all the same
  }
}

function showFilm(file) {
  const film = $('film-shown');
  URL.revokeObjectURL(film.src);
  film.src = URL.createObjectURL(file);
  film.hidden = false;
  film.onerror = () => { film.hidden = true; };
}

for (const name of ['portrait', 'film']) {
  const drop = $(`drop-${name}`);
  $(name).addEventListener('change', () => give(name, $(name).files[0]));
  drop.addEventListener('dragover', (event) => { event.preventDefault(); drop.classList.add('over'); });
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    if (working) return;
    $(name).files = event.dataTransfer.files; // so that the field names it too
    give(name, $(name).files[0]);
  });
}
for (const kind of ['dragover', 'drop']) addEventListener(kind, (event) => event.preventDefault()); // beside it: no leaving

// What comes down

function refresh() {
  $('start').disabled = working || !given.portrait || !given.film;
  $('stop').hidden = $('progress').hidden = !working;
  for (const id of ['portrait', 'film', 'side-by-side', 'absolute']) $(id).disabled = working;
}

$('start').addEventListener('click', async () => {
  working = true;
  $('result').hidden = $('keep').hidden = true;
  refresh();
  say('Reading the film.');
  try {
    const body = JSON.stringify({ side_by_side: $('side-by-side').checked, absolute: $('absolute').checked });
    let status = await json('/api/start', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    while (status.state === 'working') {
      await new Promise((resolve) => setTimeout(resolve, 300));
      status = await json('/api/status');
      show(status);
    }
    if (status.state === 'failed') throw new Error(status.problem);
    if (status.state === 'done') await showResult();
    say(status.state === 'done' ? `${status.done} frames.` : 'Stopped.');
  } catch (error) {
    say(error.message, true);
  }
  working = false;
  refresh();
});

$('stop').addEventListener('click', () => json('/api/stop', { method: 'POST' }).catch((error) => say(error.message, true)));

function show(status) {
  const bar = $('progress');
  if (status.total) {
    bar.max = status.total;
    bar.value = Math.min(status.done, status.total);
  } else {
    bar.removeAttribute('value');
  }
  if (status.done) say(`${status.done}${status.total ? ` of ${status.total}` : ''} frames`);
}

async function showResult() {
  const film = URL.createObjectURL(await (await request('/api/result')).blob());
  URL.revokeObjectURL($('result').src);
  $('result').src = $('download').href = film;
  $('result').hidden = $('keep').hidden = false;
}
