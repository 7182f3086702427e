// The demo's page: subscribes to every channel of the Live server and draws it; shows the demo's counters above.
// It keeps nothing, needs nothing from outside its own server, and connects again by itself for as long as it is open.

import { Charts } from "./charts.js";
import { watchFlow } from "./flow.js";
import { LiveSocket } from "./live.js";

const connection = document.getElementById("connection");
const charts = new Charts(document.getElementById("charts"));

new LiveSocket({
  onFrame: (channel, frame) => charts.take(channel, frame),
  onState: (up) => {
    connection.dataset.state = up ? "up" : "down";
    connection.textContent = up ? "connected" : "disconnected, trying again";
  },
});
watchFlow(new URL("events", document.baseURI));
