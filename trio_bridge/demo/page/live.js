// The browser's end of Grafana Live: centrifuge protocol 2 in JSON over one WebSocket, one subscription per channel.
//
// Channels are asked for by GET api/live/list, because a channel comes into being with its first row. A lost connection
// is opened again, a little later each time; the subscriptions are made anew and each answers with its last frame.

const LIST_MS = 1000;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 2000;
// The organisation's number stands before a channel's name.
const PREFIX = "1/";

export class LiveSocket {
  #onFrame;
  #onState;
  #socket = null;
  #retryMs = FIRST_RETRY_MS;
  #lastId = 0;
  #known = new Set();
  #asked = new Map(); // id of a command → channel

  constructor({ onFrame, onState }) {
    this.#onFrame = onFrame;
    this.#onState = onState;
    this.#connect();
    setInterval(() => this.#list(), LIST_MS);
  }

  #connect() {
    const url = new URL("api/live/ws", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => this.#send({ connect: { name: "trio_bridge demo" } });
    socket.onmessage = (event) => {
      for (const line of event.data.split("\n")) {
        if (line) this.#take(JSON.parse(line));
      }
    };
    socket.onclose = () => {
      this.#onState(false);
      this.#asked.clear();
      setTimeout(() => this.#connect(), this.#retryMs);
      this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
    };
  }

  #send(command) {
    const id = ++this.#lastId;
    this.#socket.send(JSON.stringify({ id, ...command }));
    return id;
  }

  #take(reply) {
    if (reply.push) {
      this.#onFrame(reply.push.channel.slice(PREFIX.length), reply.push.pub.data);
    } else if (reply.connect) {
      this.#retryMs = FIRST_RETRY_MS;
      this.#onState(true);
      for (const channel of this.#known) this.#subscribe(channel);
      this.#list();
    } else if (reply.subscribe) {
      const channel = this.#asked.get(reply.id);
      if (reply.subscribe.data) this.#onFrame(channel, reply.subscribe.data);
    } else if (!("id" in reply)) {
      // The server's ping: who does not answer is cut off.
      this.#socket.send("{}");
    }
  }

  #subscribe(channel) {
    this.#asked.set(this.#send({ subscribe: { channel: PREFIX + channel } }), channel);
  }

  async #list() {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    let channels;
    try {
      const answer = await fetch("api/live/list");
      channels = (await answer.json()).channels ?? [];
    } catch {
      return; // the server is away: the socket notices that as well, and connects again
    }
    for (const { channel } of channels) {
      if (this.#known.has(channel) || this.#socket.readyState !== WebSocket.OPEN) continue;
      this.#known.add(channel);
      this.#subscribe(channel);
    }
  }
}
