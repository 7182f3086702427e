// What a browser keeps of a channel: the rows of its last frames, by Grafana's own rule.
//
// A frame with another schema than the last replaces everything; any other frame is appended. Rows are kept in the
// order of their times (a late row goes where it belongs) and up to a bound, the oldest leave first.

const MAX_ROWS = 20000;

// The bridge marks frames that replace the history by a field with such a name; it says nothing to a viewer.
const MARK = /^_\d$/;

export class Buffer {
  rows = []; // [time in ms, labels, ...one value per field of `fields`]
  fields = []; // the fields that can be drawn: { name, stepped }
  newest = -Infinity; // ms since 1970
  receivedAt = 0; // performance.now() of the last frame
  #schema = "";
  #columns = []; // for each of `fields`: where it is in a frame
  #time = -1;
  #labels = -1;

  take(frame) {
    if (frame.schema) this.#adopt(frame.schema);
    const values = frame.data?.values;
    if (!values?.length || this.#time < 0) return;
    const times = values[this.#time];
    for (let i = 0; i < times.length; i++) {
      const labels = this.#labels < 0 ? "" : values[this.#labels][i];
      this.#insert([times[i], labels, ...this.#columns.map((column) => asNumber(values[column][i]))]);
    }
    if (this.rows.length > MAX_ROWS) this.rows.splice(0, this.rows.length - MAX_ROWS);
    this.receivedAt = performance.now();
  }

  #adopt(schema) {
    const text = JSON.stringify(schema);
    if (text === this.#schema) return;
    this.#schema = text;
    this.#time = schema.fields.findIndex((field) => field.type === "time");
    this.#labels = schema.fields.findIndex((field) => field.name === "labels" && field.type === "string");
    this.fields = [];
    this.#columns = [];
    schema.fields.forEach((field, column) => {
      if ((field.type === "number" || field.type === "boolean") && !MARK.test(field.name)) {
        this.fields.push({ name: field.name, stepped: field.type === "boolean" });
        this.#columns.push(column);
      }
    });
    this.rows = [];
    this.newest = -Infinity;
  }

  #insert(row) {
    let at = this.rows.length;
    while (at > 0 && this.rows[at - 1][0] > row[0]) at--;
    if (at === this.rows.length) this.rows.push(row);
    else this.rows.splice(at, 0, row);
    this.newest = Math.max(this.newest, row[0]);
  }
}

function asNumber(value) {
  return typeof value === "boolean" ? Number(value) : value;
}
