// The status page: one row of boxes per route, the way of a row from left to right, with what is true now.
//
// Turns one JSON object per server-sent event (trio_bridge.web.moment.Moment) into text. What a route's state is called
// is decided in `verdict`, once. While no events come everything is shown faded: old figures must not look like new ones.

const STALE_MS = 3500;

const main = document.getElementById("routes");
const template = document.getElementById("route");
const cards = new Map(); // name → element
let stale;

const events = new EventSource("events"); // connects again by itself
events.onmessage = (event) => {
  show(JSON.parse(event.data));
  main.classList.remove("stale");
  clearTimeout(stale);
  stale = setTimeout(fade, STALE_MS);
};
stale = setTimeout(fade, STALE_MS);

function fade() {
  main.classList.add("stale");
  tell("No answer from the bridge", "bad");
}

function show(moment) {
  const verdicts = moment.routes.map((route) => verdict(route, moment.stopping));
  const worst = verdicts.reduce((a, b) => (rank(b) > rank(a) ? b : a));
  const so = verdicts.filter((other) => other.text === worst.text).length;
  const part = worst.state !== "good" && so < verdicts.length ? ` (${so} of ${verdicts.length} routes)` : "";
  tell(worst.text + part, worst.state);
  document.getElementById("about").textContent = `version ${moment.version}, up ${span(moment.uptime_s)}`;
  moment.routes.forEach((route, index) => {
    if (!cards.has(route.name)) {
      const card = template.content.firstElementChild.cloneNode(true);
      cards.set(route.name, card);
      main.append(card);
    }
    draw(cards.get(route.name), route, verdicts[index]);
  });
}

function tell(text, state) {
  const element = document.getElementById("verdict");
  element.textContent = text;
  element.dataset.state = state;
  document.title = `${text} · trio_bridge`;
}

function verdict(route, stopping) {
  if (stopping) return { text: "Stopping", state: "warn" };
  if (route.postgres === "down") return { text: "Postgres is down", state: "bad" };
  if (route.phase === "standby") return { text: "Standing by: another bridge leads", state: "good" };
  if (route.grafana === "down") return { text: "Grafana is down: rows wait in Postgres", state: "bad" };
  if (!route.ready) return { text: "Not running yet", state: "warn" };
  if (route.acknowledged_per_s > 0) return { text: "Rows flow", state: "good" };
  if (route.pending > 0) return { text: "Rows are on their way", state: "good" };
  return { text: "Idle: no new rows", state: "good" };
}

// What the headline says of several routes: trouble first, then whatever moves.
const RANKS = ["Standing by: another bridge leads", "Idle: no new rows", "Rows are on their way", "Rows flow"];

function rank({ state, text }) {
  return state === "bad" ? 5 : state === "warn" ? 4 : RANKS.indexOf(text);
}

function draw(card, route, { text, state }) {
  const texts = {
    name: route.name,
    state: text,
    reason: route.reason,
    rate: rate(route.acknowledged_per_s),
    written: route.postgres === "down" ? "–" : `${rate(route.seen_per_s)}/s`,
    postgres: route.postgres === "unknown" ? "–" : route.postgres,
    postgres_note: postgresNote(route),
    read: route.postgres === "down" ? "–" : `${rate(route.seen_per_s)}/s`,
    mode: { notify: "on a bell", arming: "on a bell soon", poll: "polling" }[route.mode] ?? "",
    seen: count(route.seen),
    pages: waiting(route.waiting[0] + route.waiting[1], "page"),
    rejected: count(route.rejected),
    batches: waiting(route.waiting[2], "batch", "batches"),
    pending: count(route.pending),
    messages: `${rate(route.messages_per_s)} msg/s`,
    bytes: `${bytes(route.bytes_per_s)}/s`,
    acknowledged: route.grafana === "down" ? "down" : count(route.acknowledged),
    grafana_note: route.grafana === "down" ? `${count(route.acknowledged)} acknowledged` : "rows acknowledged",
    lag: route.lag_s === null ? "–" : duration(route.lag_s),
    bell_to_push: quantiles(route.bell_to_push),
    push_to_ack: quantiles(route.push_to_ack),
    row_age: quantiles(route.row_age),
    restarts: count(route.restarts),
  };
  for (const element of card.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  card.querySelector(".state").dataset.state = state;

  const leads = route.phase === "running" || route.phase === "draining";
  const old = route.oldest_transaction_s > 60 || route.queue_usage > 0.1;
  part(card, "postgres", route.postgres === "down" ? "bad" : old ? "warn" : "");
  part(card, "grafana", route.grafana === "down" ? "bad" : "");
  part(card, "decoder", route.rejected ? "warn" : "");
  part(card, "bridge", leads ? "" : "idle");

  const flow = speed(route.seen_per_s);
  const pushed = speed(route.acknowledged_per_s);
  hop(card, "insert", flow);
  hop(card, "delta", route.postgres === "down" ? "cut" : flow);
  hop(card, "pages", flow);
  hop(card, "batches", flow);
  hop(card, "push", route.grafana === "down" ? "cut" : pushed);
  card.querySelector(".minute path").setAttribute("d", curve(route.recent));
}

function part(card, name, state) {
  card.querySelector(`[data-part="${name}"]`).dataset.state = state;
}

function hop(card, name, level) {
  card.querySelector(`[data-hop="${name}"]`).dataset.speed = level;
}

function postgresNote(route) {
  if (route.postgres === "down") return route.postgres_age_s === null ? "never answered" : `for ${span(route.postgres_age_s)}`;
  if (route.oldest_transaction_s > 60) return `transaction open ${span(route.oldest_transaction_s)}`;
  if (route.queue_usage > 0.1) return `NOTIFY queue ${Math.round(100 * route.queue_usage)} %`;
  return route.source;
}

// The last minute, the newest at the right; a steady zero is a line at the bottom.
function curve(recent) {
  const most = Math.max(1, ...recent);
  return recent.map((rows, i) => `${i ? "L" : "M"}${(120 - 2 * (recent.length - 1 - i)).toFixed(1)} ${(23 - (22 * rows) / most).toFixed(1)}`).join("");
}

function speed(rowsPerSecond) {
  return rowsPerSecond <= 0 ? 0 : rowsPerSecond < 20 ? 1 : rowsPerSecond < 500 ? 2 : 3;
}

function waiting(items, one, many = `${one}s`) {
  return items ? `${items} ${items === 1 ? one : many}` : "";
}

function count(value) {
  return value.toLocaleString("en");
}

function rate(value) {
  return value.toLocaleString("en", { maximumFractionDigits: value > 0 && value < 10 ? 1 : 0 });
}

function bytes(value) {
  if (value < 1000) return `${Math.round(value)} B`;
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}

function quantiles({ p50, p99 }) {
  return p50 === null ? "–" : `${duration(p50)} (99 %: ${duration(p99)})`;
}

function duration(seconds) {
  if (seconds < 0.01) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : span(seconds);
}

function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}
