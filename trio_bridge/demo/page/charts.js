// One chart per field of each channel; one line per set of labels.
//
// Time runs on while rows come: the right edge is the newest row's time plus what has passed since it arrived, so a
// silent channel moves away to the left and says since when. Drawing is bounded by FRAME_MS, however many rows come.

import { Buffer } from "./frames.js";

const FRAME_MS = 66;
// The chart shows what there is, between these two.
const LEAST_WINDOW_MS = 8000;
const WINDOW_MS = 30000;
const IDLE_MS = 3000;
const HEIGHT = 250;

const dark = matchMedia("(prefers-color-scheme: dark)");
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Charts {
  #host;
  #buffers = new Map(); // channel → Buffer
  #charts = new Map(); // channel and field → Chart
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
      buffer.fields.forEach((field, index) => {
        const key = `${channel}\n${field.name}`;
        if (!this.#charts.has(key)) this.#charts.set(key, this.#add(channel, field));
        this.#charts.get(key).draw(buffer, index, now);
      });
    }
  }

  #add(channel, field) {
    document.getElementById("waiting")?.remove();
    const chart = new Chart(channel, field);
    this.#host.append(chart.element);
    return chart;
  }
}

class Chart {
  #plot = null;
  #names = []; // sets of labels, sorted, so that each keeps its colour from one visit to the next
  #legend = [];
  #stepped;

  constructor(channel, field) {
    this.#stepped = field.stepped;
    this.element = document.createElement("article");
    this.element.className = "chart";
    this.element.innerHTML = '<h3><span></span><small></small><span class="age"></span></h3><div class="legend"></div><div class="plot"></div>';
    this.element.querySelector("h3 span").textContent = field.name;
    this.element.querySelector("h3 small").textContent = channel;
    new ResizeObserver(() => this.#resize()).observe(this.element);
  }

  draw(buffer, index, now) {
    const silentMs = now - buffer.receivedAt;
    const end = buffer.newest + silentMs;
    const shown = Math.min(WINDOW_MS, Math.max(LEAST_WINDOW_MS, end - buffer.rows[0]?.[0]));
    const first = buffer.rows.findIndex((row) => row[0] >= end - shown);
    const rows = first < 0 ? [] : buffer.rows.slice(first);

    const before = this.#names.length;
    for (const row of rows) if (!this.#names.includes(row[1])) this.#names.push(row[1]);
    if (!this.#plot || this.#names.length !== before) {
      this.#names.sort();
      this.restyle();
    }

    const columns = [rows.map((row) => row[0] / 1000), ...this.#names.map(() => new Array(rows.length).fill(null))];
    const last = this.#names.map(() => null);
    rows.forEach((row, i) => {
      const series = this.#names.indexOf(row[1]);
      columns[series + 1][i] = row[2 + index];
      last[series] = row[2 + index] ?? last[series];
    });
    this.#plot.batch(() => {
      this.#plot.setData(columns, false);
      this.#plot.setScale("x", { min: (end - shown) / 1000, max: end / 1000 });
    });
    this.#legend.forEach((value, series) => {
      value.textContent = last[series] === null ? "–" : format(last[series]);
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
        ...this.#names.map((name, series) => ({
          label: name,
          stroke: style(`--series-${series % 8}`),
          width: 1.6,
          points: { show: false },
          paths: this.#stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
          // Lines of several sensors share the times: what is missing at one is the others' turn, not a gap.
          spanGaps: this.#names.length > 1,
        })),
      ],
    };
    this.#plot = new uPlot(options, [[], ...this.#names.map(() => [])], this.element.querySelector(".plot"));
    const legend = this.element.querySelector(".legend");
    legend.replaceChildren();
    this.#legend = this.#names.map((name, series) => {
      const item = document.createElement("span");
      const value = document.createElement("b");
      item.style.setProperty("--colour", `var(--series-${series % 8})`);
      item.append(name.replace(/^[^=,]*=([^=,]*)$/, "$1"), value);
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
