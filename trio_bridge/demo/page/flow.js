// The drawing at the top: the way of a row, with the demo's counters on each stage and hop.
//
// Turns one JSON object per server-sent event (trio_bridge.demo.statistics.DemoStatistics) into text. While no events
// come it is shown faded: old figures must not look like new ones.

const STALE_MS = 2500;

const flow = document.getElementById("flow");
const all = (selector) => flow.querySelectorAll(selector);
const note = (name) => flow.querySelector(`[data-note="${name}"]`);
const count = (value) => value.toLocaleString("en");
const rate = (value) => `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 })} rows/s`;

export function watchFlow(url) {
  let stale;
  const events = new EventSource(url); // connects again by itself
  events.onmessage = (event) => {
    show(JSON.parse(event.data));
    flow.classList.remove("stale");
    clearTimeout(stale);
    stale = setTimeout(() => {
      flow.classList.add("stale");
      document.getElementById("phase").textContent = "";
    }, STALE_MS);
  };
}

function show(moment) {
  for (const element of all("[data-figure]")) element.textContent = count(moment[element.dataset.figure]);
  for (const element of all("[data-rate]")) element.textContent = rate(moment[element.dataset.rate]);
  flow.querySelector("[data-mode]").textContent = moment.mode;
  document.getElementById("phase").textContent = `${moment.phase}, ${clock(moment.elapsed_s)}`;

  speed("hop-insert", moment.commit_rate);
  speed("hop-delta", moment.acknowledge_rate);
  speed("hop-push", moment.acknowledge_rate);

  document.getElementById("acknowledged-unit").textContent = moment.duplicates
    ? "acknowledged, with repeats"
    : "rows acknowledged";

  // Before and after the run nothing is wrong with what is not there.
  const running = moment.phase === "running";
  const { writers, writers_connected: connected, uncertain } = moment;
  note("writers").textContent = join(`${connected} of ${writers} connected`, uncertain && `${count(uncertain)} uncertain`);
  state("stage-writers", running && connected < writers ? "warn" : "");
  note("postgres").textContent = moment.postgres_up ? "table live_metrics" : "down";
  state("stage-postgres", running && !moment.postgres_up ? "bad" : "");
  note("bridge").textContent = join(
    `${count(moment.pending)} pending`,
    moment.rejected && `${count(moment.rejected)} rejected`,
    moment.restarts && `${count(moment.restarts)} ${moment.restarts === 1 ? "restart" : "restarts"}`,
  );
  state("stage-bridge", moment.rejected ? "bad" : running && moment.mode === "down" ? "warn" : "");
  note("live").textContent = moment.live_up
    ? join(`${count(moment.messages)} messages`, moment.duplicates && `${count(moment.duplicates)} duplicates`)
    : "down";
  state("stage-live", running && !moment.live_up ? "bad" : "");

  flow.querySelector('[data-latency="p50"]').textContent = milliseconds(moment.latency_p50_ms);
  flow.querySelector('[data-latency="p99"]').textContent = milliseconds(moment.latency_p99_ms);

  const fault = document.getElementById("fault");
  fault.hidden = !moment.fault;
  fault.textContent = moment.fault;
}

function speed(id, rowsPerSecond) {
  const level = rowsPerSecond <= 0 ? 0 : rowsPerSecond < 20 ? 1 : rowsPerSecond < 500 ? 2 : 3;
  document.getElementById(id).dataset.speed = level;
}

function state(id, kind) {
  document.getElementById(id).className = `stage ${kind}`;
}

function join(...parts) {
  return parts.filter(Boolean).join("\n");
}

function milliseconds(value) {
  if (value === null) return "–";
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}
