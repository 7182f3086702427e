// pg-listen subscribes, one ws connection is kept open, each row goes out as a message of its own.

import createSubscriber from "pg-listen";
import WebSocket from "ws";

const socket = new WebSocket(process.env.PUSH_URL, {
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
});
await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));

const subscriber = createSubscriber({ connectionString: process.env.DSN });
// pg-listen parses a JSON payload itself.
subscriber.notifications.on("influx_feed", (row) => {
  const nanoseconds = BigInt(Date.parse(row.timestamp)) * 1_000_000n;
  socket.send(`live_metrics value=${row.value} ${nanoseconds}`);
});
subscriber.events.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
await subscriber.connect();
await subscriber.listenTo("influx_feed");
