// What a browser keeps of a channel: rows, by the rule of Grafana's own StreamingDataFrame (labels_column frames).
//
// A frame whose fields differ from the last frame's in name, type or order replaces everything; any other is appended as
// it comes. Rows of one frame are put in the order of their times, also those of the same millisecond stay; between frames
// nothing is put in order, so a late row is a zigzag until the next keyframe. The oldest rows leave first.

// Grafana: a panel's maxDataPoints.
const MAX_ROWS = 20000;

// The bridge's keyframes differ in a field with such a name; it says nothing to a viewer.
const MARK = /^_\d$/;

export class Buffer {
  rows = []; // [time in ms, labels, ...one value per field of `fields`]
  fields = []; // the fields that can be drawn: { name, stepped }
  newest = -Infinity; // ms since 1970
  receivedAt = 0; // performance.now() of the last frame
  #structure = "";
  #isMarked = false;
  #columns = []; // for each of `fields`: where it is in a frame
  #time = -1;
  #labels = -1;
  #most = MAX_ROWS;

  take(frame) {
    const replaces = frame.schema !== undefined && this.#adopt(frame.schema);
    const values = frame.data?.values;
    if (!values?.length || this.#time < 0) return;
    const rows = values[this.#time].map((time, i) => [
      time,
      this.#labels < 0 ? "" : values[this.#labels][i],
      ...this.#columns.map((column) => asNumber(values[column][i])),
    ]);
    rows.sort((a, b) => a[0] - b[0]);
    if (replaces) {
      this.#most = this.#isMarked ? this.#bound(rows.length) : MAX_ROWS;
      this.rows = rows;
      this.newest = -Infinity;
    } else {
      this.rows.push(...rows);
    }
    for (const row of rows) this.newest = Math.max(this.newest, row[0]);
    this.rows.splice(0, Math.max(0, this.rows.length - this.#most));
    this.receivedAt = performance.now();
  }

  // A panel set to the window's length shows just the window. Its length is told by a keyframe that brings less than was
  // here; one that brings more is of a window that still grows.
  #bound(brought) {
    if (brought < this.rows.length) return brought;
    return brought > this.#most ? MAX_ROWS : this.#most;
  }

  // Takes the frame's fields as the channel's; tells whether they are others than before.
  #adopt(schema) {
    const structure = JSON.stringify(schema.fields.map((field) => [field.name, field.type]));
    if (structure === this.#structure) return false;
    this.#structure = structure;
    this.#isMarked = schema.fields.some((field) => MARK.test(field.name));
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
    return true;
  }
}

function asNumber(value) {
  return typeof value === "boolean" ? Number(value) : value;
}
