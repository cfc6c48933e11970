// Two minutes of rates as lines. Plain SVG: crisp at any size, coloured by the style sheet.

const SECONDS = 120;
const HEIGHT = 150;
const SERIES = ['anchor', 'down', 'up'];

export class Plot {
  constructor(svg) {
    this.svg = svg;
    this.points = [];
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  // values: { up, down, anchor } in kbit/s, null where not known; mark: a keyframe travelled
  add(values) {
    this.points.push(values);
    if (this.points.length > SECONDS) this.points.shift();
    this.draw();
  }

  clear() {
    this.points = [];
    this.draw();
  }

  draw() {
    const width = this.svg.clientWidth || 300;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    const known = this.points.flatMap((point) => SERIES.map((name) => point[name] ?? 0));
    const top = nice(Math.max(10, ...known));
    const y = (value) => HEIGHT - 14 - (Math.min(value, top) / top) * (HEIGHT - 26);
    const x = (index) => width - (this.points.length - 1 - index) * (width / (SECONDS - 1));
    const parts = [0, top / 2, top].map((value) => [
      make('line', { class: 'grid', x1: 0, x2: width, y1: y(value), y2: y(value) }),
      make('text', { x: 0, y: y(value) - 3 }, value === top ? `${value} kbit/s` : `${value}`),
    ]);
    parts.push(make('text', { x: 0, y: HEIGHT }, '2 min ago'), make('text', { x: width, y: HEIGHT, 'text-anchor': 'end' }, 'now'));
    this.points.forEach((point, index) => {
      if (point.mark) parts.push(make('line', { class: 'mark', x1: x(index), x2: x(index), y1: 8, y2: HEIGHT - 14 }));
    });
    for (const name of SERIES) {
      for (const run of runs(this.points, name)) {
        const line = run.map(([index, value]) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
        parts.push(make('polyline', { class: name, points: line }));
      }
    }
    this.svg.replaceChildren(...parts.flat());
  }
}

// Stretches without a gap, so that a line does not cross what is not known.
function runs(points, name) {
  const found = [];
  let run = [];
  points.forEach((point, index) => {
    if (point[name] == null) {
      if (run.length > 1) found.push(run);
      run = [];
    } else {
      run.push([index, point[name]]);
    }
  });
  if (run.length > 1) found.push(run);
  return found;
}

function nice(value) {
  const step = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].map((factor) => factor * step).find((limit) => limit >= value) ?? value;
}

function make(name, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
