// What a panel shows after a history of messages, decided by Grafana's own StreamingDataFrame.
//
// One line of JSON on stdin is one history, a list of [command, argument, ...]; one line on stdout answers it:
// {"looks": [...], "faults": [...]}. Nothing outlives its history. The classes Page and Panel restate, in a few lines, what
// Grafana's front end does around the buffer (public/app/features/live: centrifuge/channel.ts, centrifuge/LiveDataStream.ts,
// live.ts; the buffer's length: public/app/plugins/datasource/grafana/datasource.ts).
//
//   open PAGE PANEL OPTIONS      a panel with {maxLength, maxDelta?, fields?} begins to listen
//   close PAGE                   the tab is gone
//   again PAGE                   its panels went and came back before Grafana let the channel go (250 ms)
//   answer [PAGE...] FRAME|null  the server's answer to a subscription: the cached message, if there is one
//   publish [PAGE...] FRAME      one message from the server
//   busy PAGE, idle PAGE         the page cannot draw and queues what comes; draws it
//   look LABEL [PAGE...]         what each panel shows now: {label, page, panel, names, types, values, shortest}
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

// This one file of the package, because its index needs React and a document; as CommonJS, because the package's ES modules
// import names from CommonJS packages, which bundlers resolve and node does not.
const { StreamingDataFrame, getStreamingFrameOptions } = createRequire(import.meta.url)(
  './node_modules/@grafana/data/dist/cjs/dataframe/StreamingDataFrame.cjs'
);

// The length with which a page begins to buffer a channel; panels that want more make it longer, never shorter.
const PAGE_BUFFER = { maxLength: 100, maxDelta: Infinity, action: 'append' };

class Panel {
  constructor({ fields, ...buffer }) {
    this.options = getStreamingFrameOptions(buffer);
    this.shows = fields && (({ name }) => fields.includes(name));
    this.frame = undefined;
    this.forget();
  }

  forget() {
    this.shortest = Infinity;
  }

  takeAll(buffer) {
    this.indexes = this.shows && buffer.getMatchingFieldIndexes(this.shows);
    this.frame = StreamingDataFrame.deserialize(buffer.serialize(this.shows, this.options));
    this.drawn();
  }

  append(values) {
    this.frame.pushNewValues(this.indexes ? values.filter((_, index) => this.indexes.includes(index)) : values);
    this.drawn();
  }

  drawn() {
    this.shortest = Math.min(this.shortest, this.frame.length);
  }
}

class Page {
  constructor() {
    this.panels = new Map();
    this.lastWithSchema = undefined;
    this.empty();
  }

  empty() {
    this.buffer = StreamingDataFrame.empty({ ...PAGE_BUFFER });
    this.queue = [];
    this.busy = false;
    this.hasChanged = false;
  }

  open(name, options) {
    const panel = new Panel(options);
    if (this.buffer.needsResizing(panel.options)) {
      this.buffer.resize(panel.options);
    }
    this.panels.set(name, panel);
    if (this.hasChanged) {
      panel.takeAll(this.buffer);
    }
  }

  again() {
    this.empty();
    for (const [name, { options, shows }] of this.panels) {
      const panel = new Panel(options);
      panel.shows = shows;
      this.panels.set(name, panel);
      if (this.buffer.needsResizing(options)) {
        this.buffer.resize(options);
      }
    }
    if (this.lastWithSchema) {
      this.push(this.lastWithSchema);
    }
  }

  receive(message) {
    if (message.schema) {
      this.lastWithSchema = message;
    }
    this.push(message);
  }

  push(message) {
    const { schemaChanged } = this.buffer.push(structuredClone(message));
    this.hasChanged = true;
    this.queue.push(schemaChanged ? undefined : this.buffer.getValuesFromLastPacket());
    if (!this.busy) {
      this.flush();
    }
  }

  flush() {
    const queue = this.queue;
    this.queue = [];
    if (!queue.length) {
      return;
    }
    const joined = queue.includes(undefined)
      ? undefined
      : queue[0].map((_, index) => queue.flatMap((values) => values[index]));
    for (const panel of this.panels.values()) {
      if (joined && panel.frame) {
        panel.append(joined);
      } else {
        panel.takeAll(this.buffer);
      }
    }
  }
}

function shown(panel) {
  const fields = panel.frame?.fields ?? [];
  return {
    names: fields.map(({ name }) => name),
    types: fields.map(({ type }) => type),
    values: fields.map(({ values }) => values),
    length: panel.frame?.length ?? 0,
    shortest: Number.isFinite(panel.shortest) ? panel.shortest : null,
  };
}

function judged(history) {
  const pages = new Map();
  const looks = [];
  const faults = [];
  const each = (names, act) => names.forEach((name) => act(pages.get(name), name));
  const receive = (page, message) => {
    try {
      page.receive(message);
    } catch (error) {
      faults.push(error.message);
    }
  };
  const commands = {
    open(page, panel, options) {
      if (!pages.has(page)) {
        pages.set(page, new Page());
      }
      pages.get(page).open(panel, options);
    },
    close: (page) => pages.delete(page),
    again: (page) => pages.get(page).again(),
    answer: (names, message) => message && each(names, (page) => receive(page, message)),
    publish: (names, message) => each(names, (page) => receive(page, message)),
    busy: (page) => (pages.get(page).busy = true),
    idle(page) {
      pages.get(page).busy = false;
      pages.get(page).flush();
    },
    look: (label, names) =>
      each(names, (page, name) =>
        page.panels.forEach((panel, which) => {
          looks.push({ label, page: name, panel: which, ...structuredClone(shown(panel)) });
          panel.forget();
        })
      ),
  };
  for (const [command, ...args] of history) {
    commands[command](...args);
  }
  return { looks, faults };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(judged(JSON.parse(line))) + '\n');
}
