// One chart per channel, as one panel of Grafana shows it; one line per field and set of labels.
//
// Time runs on while rows come: the right edge is the newest row's time plus what has passed since it arrived, so a
// silent channel moves away to the left and says since when. Drawing is bounded by FRAME_MS, however many rows come.

import { Buffer } from "./frames.js";

const FRAME_MS = 66;
// The chart shows what there is, between these two.
const LEAST_WINDOW_MS = 8000;
const WINDOW_MS = 30000;
const IDLE_MS = 3000;
const HEIGHT = 320;

const dark = matchMedia("(prefers-color-scheme: dark)");
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Charts {
  #host;
  #buffers = new Map(); // channel → Buffer
  #charts = new Map(); // channel → Chart
  #drawnAt = 0;

  constructor(host) {
    this.#host = host;
    dark.addEventListener("change", () => this.#charts.forEach((chart) => chart.restyle()));
    requestAnimationFrame((now) => this.#frame(now));
  }

  take(channel, frame) {
    if (!this.#buffers.has(channel)) this.#buffers.set(channel, new Buffer());
    this.#buffers.get(channel).take(frame);
  }

  #frame(now) {
    requestAnimationFrame((next) => this.#frame(next));
    if (now - this.#drawnAt < FRAME_MS) return;
    this.#drawnAt = now;
    for (const [channel, buffer] of this.#buffers) {
      if (!buffer.fields.length) continue;
      if (!this.#charts.has(channel)) this.#charts.set(channel, this.#add(channel));
      this.#charts.get(channel).draw(buffer, now);
    }
  }

  #add(channel) {
    document.getElementById("waiting")?.remove();
    const chart = new Chart(channel);
    this.#host.append(chart.element);
    return chart;
  }
}

class Chart {
  #plot = null;
  #lines = []; // { name, stepped }, sorted by name, so that each keeps its colour from one visit to the next
  #legend = [];

  constructor(channel) {
    this.element = document.createElement("article");
    this.element.className = "chart";
    this.element.innerHTML = '<h3><span></span><small></small><span class="age"></span></h3><div class="legend"></div><div class="plot"></div>';
    this.element.querySelector("h3 span").textContent = channel.split("/").at(-1);
    this.element.querySelector("h3 small").textContent = channel;
    new ResizeObserver(() => this.#resize()).observe(this.element);
  }

  draw(buffer, now) {
    const silentMs = now - buffer.receivedAt;
    const end = buffer.newest + silentMs;
    const shown = Math.min(WINDOW_MS, Math.max(LEAST_WINDOW_MS, end - buffer.rows[0]?.[0]));
    const rows = buffer.rows;

    const lines = new Map(); // name → { name, stepped, values, last }
    rows.forEach((row, i) => {
      buffer.fields.forEach((field, index) => {
        const value = row[2 + index];
        if (value === null) return; // another series' row
        const name = lineName(field.name, row[1], buffer.fields.length);
        if (!lines.has(name)) lines.set(name, { name, stepped: field.stepped, values: new Array(rows.length).fill(null) });
        const line = lines.get(name);
        line.values[i] = line.last = value;
      });
    });
    const sorted = [...lines.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    if (!this.#plot || !sameLines(sorted, this.#lines)) {
      this.#lines = sorted.map(({ name, stepped }) => ({ name, stepped }));
      this.restyle();
    }

    this.#plot.batch(() => {
      this.#plot.setData([rows.map((row) => row[0] / 1000), ...sorted.map((line) => line.values)], false);
      this.#plot.setScale("x", { min: (end - shown) / 1000, max: end / 1000 });
    });
    sorted.forEach((line, index) => {
      this.#legend[index].textContent = format(line.last);
    });
    const idle = silentMs > IDLE_MS;
    this.element.classList.toggle("idle", idle);
    this.element.querySelector(".age").textContent = idle ? `no rows for ${Math.floor(silentMs / 1000)} s` : "";
  }

  // Builds the plot anew: uPlot takes its colours and its number of lines when it is made.
  restyle() {
    this.#plot?.destroy();
    const axis = { stroke: style("--quiet"), grid: { stroke: style("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const options = {
      width: this.#width(),
      height: HEIGHT,
      padding: [10, 8, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true }, y: { range: (_, min, max) => padded(min, max) } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map(timeOfDay), space: 110, size: 28 },
        { ...axis, size: 56 },
      ],
      series: [
        {},
        ...this.#lines.map((line, index) => ({
          label: line.name,
          stroke: style(`--series-${index % 8}`),
          width: 1.6,
          points: { show: false },
          paths: line.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
          // Several lines share the times: what is missing at one is the others' turn, not a gap.
          spanGaps: true,
        })),
      ],
    };
    this.#plot = new uPlot(options, [[], ...this.#lines.map(() => [])], this.element.querySelector(".plot"));
    const legend = this.element.querySelector(".legend");
    legend.replaceChildren();
    this.#legend = this.#lines.map((line, index) => {
      const item = document.createElement("span");
      const value = document.createElement("b");
      item.style.setProperty("--colour", `var(--series-${index % 8})`);
      item.append(line.name, value);
      legend.append(item);
      return value;
    });
  }

  #width() {
    const box = getComputedStyle(this.element);
    return Math.max(100, this.element.clientWidth - parseFloat(box.paddingLeft) - parseFloat(box.paddingRight));
  }

  #resize() {
    this.#plot?.setSize({ width: this.#width(), height: HEIGHT });
  }
}

// With one field its name is in the title already; of a single label the value says enough.
function lineName(field, labels, fields) {
  const label = labels.replace(/^[^=,]*=([^=,]*)$/, "$1");
  if (!label) return field;
  return fields === 1 ? label : `${field} ${label}`;
}

function sameLines(a, b) {
  return a.length === b.length && a.every((line, index) => line.name === b[index].name && line.stepped === b[index].stepped);
}

function timeOfDay(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

function padded(min, max) {
  if (min === null || max === null) return [0, 1];
  const margin = (max - min || Math.abs(max) || 1) * 0.1;
  return [min - margin, max + margin];
}

function format(value) {
  return Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(2)
    : value.toLocaleString("en", { maximumFractionDigits: 2 });
}
