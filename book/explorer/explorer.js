// The failure atlas: a list of cases to filter and sort, and one case looked at with a threshold of one's own.
"use strict";

const { models: MODELS, cases: CASES, causes: CAUSES } = window.ATLAS;
const $ = (id) => document.getElementById(id);
const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const percent = (value) => (value === null ? "-" : `${(100 * value).toFixed(1)} %`);
const whole = (value) => Math.round(value).toLocaleString("en");
const area = (item, pixels) =>
  `${whole(pixels)} px` + (item.resolution ? ` (${whole(pixels * item.resolution ** 2)} m²)` : "");
const idOf = (item) => `${item.dataset}/${item.name}`;

const state = { at: 0, a: 0, b: -1, steps: MODELS.map((model) => model.threshold), sort: "iou", down: false };
const now = (item, model = state.a) => stored(item, item.models[model], state.steps[model]);

// What cases can be filtered and sorted by: name, value of a case, digits in the list, factor to what is typed.
const KEYS = {
  iou: { title: "IoU, %", value: (item) => 100 * now(item).iou, digits: 1 },
  size: { title: "Landslide, px", value: (item) => item.truth },
  largest: { title: "Largest landslide, px", value: (item) => item.largest },
  missed: { title: "Missed, px", value: (item) => now(item).fn },
  alarm: { title: "False alarm, px", value: (item) => now(item).fp },
  boundary: { title: "Boundary IoU, %", value: (item) => 100 * now(item).boundary, digits: 1 },
  entropy: { title: "Entropy, bit", value: (item) => item.models[state.a].entropy, digits: 3 },
  edges: { title: "Edge density, %", value: (item) => 100 * item.edges, digits: 1 },
  touches: { title: "Touches the frame", value: (item) => +item.touches, sortOnly: true },
  dataset: { title: "Data set", value: (item) => item.dataset, sortOnly: true },
  name: { title: "Name", value: (item) => item.name, sortOnly: true },
  difference: {
    title: "IoU less that of the other, points",
    value: (item) => (state.b < 0 ? 0 : 100 * (now(item).iou - now(item, state.b).iou)),
    digits: 1,
    sortOnly: true,
  },
};

let selection = []; // places in CASES, filtered and sorted
const loaded = new Map(); // file -> promise of what it holds
const arrived = new Map();
let shown = null; // the case on view: {item, photo, prepared: by model}

// ---- the list

function passes(item) {
  const { value: dataset } = $("f-dataset"), { value: cause } = $("f-cause"), { value: touches } = $("f-touches");
  if (dataset && item.dataset !== dataset) return false;
  if (touches && item.touches !== (touches === "yes")) return false;
  const why = item.models[state.a].causes;
  if (cause === "any" ? !why.length : cause === "none" ? why.length : cause && !why.includes(cause)) return false;
  return Object.entries(KEYS).every(([key, { value, sortOnly }]) => {
    if (sortOnly) return true;
    const low = $(`${key}-low`).valueAsNumber, high = $(`${key}-high`).valueAsNumber, own = value(item);
    return !(own < low) && !(own > high); // an empty field is no number, and holds nothing back
  });
}

function order(first, second) {
  const { value } = KEYS[state.sort], x = value(CASES[first]), y = value(CASES[second]);
  const by = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
  return (state.down ? -by : by) || first - second;
}

/** Lists the cases that pass; `kept` leaves out none and in order, while a threshold moves. */
function list(kept = false) {
  const key = KEYS[state.sort], bar = (value) => `linear-gradient(to right, var(--bar) ${value}%, transparent ${value}%)`;
  if (!kept) selection = CASES.map((_, place) => place).filter((place) => passes(CASES[place])).sort(order);
  $("list").replaceChildren(
    ...selection.map((place) => {
      const item = CASES[place], iou = 100 * now(item).iou, told = [`IoU ${iou.toFixed(0)} %`];
      if (state.sort !== "iou" && !["name", "dataset"].includes(state.sort)) {
        const value = key.value(item);
        told.push(state.sort === "touches" ? (value ? "at the frame" : "inside") : value.toFixed(key.digits ?? 0));
      }
      const thumb = element("span", { className: "thumb" });
      thumb.style.backgroundImage = `url("${item.thumb}")`;
      const row = element(
        "div",
        { id: `case-${place}`, className: "row" },
        thumb,
        element("span", { className: "label", textContent: item.name }),
        element("span", { className: "value", textContent: told.join(" · ") }),
      );
      row.style.backgroundImage = bar(iou);
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", place === state.at);
      row.addEventListener("click", () => choose(place));
      return row;
    }),
  );
  $("count").textContent = `${selection.length} of ${CASES.length} cases`;
  const inputs = [...filters()].filter((input) => input.value !== standard(input)).length;
  $("filtered").textContent = inputs ? `(${inputs} set)` : "";
  $("csv").disabled = !selection.length;
  mark();
  pool();
  causes();
  if (!kept && shown && selection.length && !selection.includes(state.at)) choose(selection[0]);
}

/** The listed cases by size and IoU; a click opens one. The list does the same for the keyboard. */
function dots() {
  const width = 320, height = 150, drawn = (name, properties) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
    return made;
  };
  const size = (place) => Math.log10(Math.max(CASES[place].truth, 1)), sizes = selection.map(size);
  const low = Math.min(...sizes), span = Math.max(...sizes) - low || 1;
  const label = `IoU of ${selection.length} cases, 0 to 100 %, by landslide pixels on a logarithmic scale`;
  const plot = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const words = (x, y, text, anchor) => {
    const made = drawn("text", { x, y, "text-anchor": anchor, class: "tick-label" });
    made.textContent = text;
    plot.append(made);
  };
  words(2, 12, "100 %", "start");
  words(2, height - 16, "0", "start");
  if (selection.length) {
    words(40, height - 2, `${whole(10 ** low)} px`, "start");
    words(width - 4, height - 2, `${whole(10 ** (low + span))} px`, "end");
  }
  for (const place of selection) {
    const cx = 46 + ((size(place) - low) / span) * (width - 56), cy = height - 20 - now(CASES[place]).iou * (height - 30);
    const dot = drawn("circle", { cx, cy, r: place === state.at ? 6 : 3.5, class: place === state.at ? "dot at" : "dot" });
    dot.addEventListener("click", () => choose(place));
    plot.append(dot);
  }
  $("dots").replaceChildren(plot);
}

/** How many cases of the data set each cause holds for: buttons that filter by it. */
function causes() {
  const { value: dataset } = $("f-dataset"), there = CASES.filter((item) => !dataset || item.dataset === dataset);
  const counted = Object.entries(CAUSES).map(([cause, words]) =>
    [cause, words, there.filter((item) => item.models[state.a].causes.includes(cause)).length]);
  const held = counted.filter(([cause, , number]) => number || $("f-cause").value === cause);
  $("causes").replaceChildren(...held.map(([cause, words, number]) => {
    const button = element("button", { type: "button", textContent: `${words} ${number}` });
    const share = (100 * number) / Math.max(there.length, 1);
    button.style.backgroundImage = `linear-gradient(to right, var(--bar) ${share}%, transparent ${share}%)`;
    button.setAttribute("aria-pressed", $("f-cause").value === cause);
    button.addEventListener("click", () => {
      $("f-cause").value = $("f-cause").value === cause ? "" : cause;
      list();
      link();
    });
    return button;
  }));
}

function mark() {
  for (const row of $("list").children) row.setAttribute("aria-selected", row.id === `case-${state.at}`);
  dots();
  const row = $(`case-${state.at}`), box = $("list");
  if (!row) return box.removeAttribute("aria-activedescendant");
  box.setAttribute("aria-activedescendant", row.id);
  if (row.offsetTop < box.scrollTop) box.scrollTop = row.offsetTop; // scrollIntoView would move the page as well
  const end = row.offsetTop + row.offsetHeight - box.clientHeight;
  if (end > box.scrollTop) box.scrollTop = end;
}

/** Scores over the pixels of all selected cases. */
function pool() {
  const columns = [state.a, state.b].filter((model) => model >= 0).map((model) => {
    const sum = { truth: 0, band: 0, tp: 0, fp: 0, hits: 0, bands: 0 }, k = state.steps[model] - 1;
    for (const place of selection) {
      const item = CASES[place], curves = item.models[model];
      sum.truth += item.truth, sum.band += item.band;
      sum.tp += curves.tp[k], sum.fp += curves.fp[k], sum.hits += curves.hits[k], sum.bands += curves.band[k];
    }
    const fn = sum.truth - sum.tp;
    return { model, fn, fp: sum.fp, ...ratios(sum.tp, sum.fp, fn, sum.hits, sum.band + sum.bands - sum.hits) };
  });
  if (!selection.length) return $("pooled").replaceChildren(element("p", { textContent: "No case is listed: no scores." }));
  table($("pooled"), `All pixels of the ${selection.length} cases listed`, columns, [
    ["IoU", (one) => percent(one.iou)],
    ["Precision", (one) => percent(one.precision)],
    ["Recall", (one) => percent(one.recall)],
    ["Boundary IoU", (one) => percent(one.boundary)],
    ["Missed", (one) => `${whole(one.fn)} px`],
    ["False alarm", (one) => `${whole(one.fp)} px`],
  ]);
}

function table(where, caption, columns, rows) {
  const head = element("tr", {}, element("td"), ...columns.map(({ model }) => {
    const at = ` at ${(state.steps[model] / 100).toFixed(2)}`;
    return element("th", { scope: "col", textContent: MODELS[model].title + at });
  }));
  where.replaceChildren(element(
    "table",
    {},
    element("caption", { textContent: caption }),
    element("thead", {}, head),
    element("tbody", {}, ...rows.map(([title, told]) => element(
      "tr", {}, element("th", { scope: "row", textContent: title }),
      ...columns.map((column) => element("td", { textContent: told(column) })),
    ))),
  ));
}

// ---- one case

/** Called by the file of a case. */
function atlasCase(file, data) {
  arrived.get(file)?.(data);
}

function load(item) {
  if (!loaded.has(item.file)) {
    const promise = new Promise((resolve, reject) => {
      arrived.set(item.file, resolve);
      const script = element("script", { src: `data/case-${item.file}.js` });
      script.onerror = () => reject(new Error(`data/case-${item.file}.js is missing`));
      document.head.append(script);
    });
    loaded.set(item.file, promise.then(async (data) => {
      const photo = new Image();
      photo.src = data.photo;
      const mask = await unpack(data.mask, item.width);
      const small = await Promise.all(data.small.map(async (one) => ({ ...one, values: await unpack(one.data, one.columns) })));
      await photo.decode();
      return { photo, mask, small };
    }));
  }
  return loaded.get(item.file);
}

async function choose(place, remember = true) {
  state.at = place;
  const item = CASES[place];
  mark();
  $("name").textContent = `${item.name} (${item.dataset}${item.site ? `, ${item.site}` : ""})`;
  $("facts").textContent = [
    `${item.width} × ${item.height} px` + (item.resolution ? ` of ${item.resolution} m` : ", ground resolution unknown"),
    item.landslides === 1 ? `one landslide of ${area(item, item.truth)}`
      : item.landslides ? `${item.landslides} landslides, ${area(item, item.truth)} in all` : "no landslide",
    item.touches ? "the largest touches the frame" : "",
    `edge density ${percent(item.edges)}`,
    item.contrast === null ? "" : `contrast at the outline ${item.contrast.toFixed(2)}`,
  ].filter(Boolean).join(" · ");
  if (remember) link();
  let data;
  try {
    data = await load(item);
  } catch (error) {
    $("facts").textContent = `${error.message}: build the page again.`;
    return;
  }
  if (state.at !== place) return; // another was chosen meanwhile
  const { height, width } = item;
  shown = {
    item,
    photo: photograph(data.photo, height, width),
    prepared: data.small.map((one) => prepare(data.mask, one.values, one.rows, one.columns, height, width)),
  };
  draw();
}

const PANELS = { image: "Image", truth: "Truth", probability: "Probability", prediction: "Prediction", errors: "Errors" };

function panels() {
  const wanted = state.b < 0
    ? [["image", state.a], ["errors", state.a], ["probability", state.a], ["prediction", state.a]]
    : [state.a, state.b].flatMap((model, row) =>
        [row ? "truth" : "image", "errors", "probability", "prediction"].map((kind) => [kind, model]));
  const box = $("panels");
  box.className = state.b < 0 ? "two" : "four";
  while (box.children.length > wanted.length) box.lastChild.remove();
  while (box.children.length < wanted.length)
    box.append(element("figure", { onclick: ({ currentTarget }) => currentTarget.classList.toggle("large") },
      element("canvas"), element("figcaption")));
  return wanted.map(([kind, model], place) => ({ kind, model, figure: box.children[place] }));
}

function draw() {
  if (!shown) return;
  const scores = shown.prepared.map((prepared, model) => score(prepared, state.steps[model] / 100));
  for (const { kind, model, figure } of panels()) {
    const canvas = figure.firstChild, threshold = state.steps[model] / 100;
    const of = ["image", "truth"].includes(kind) ? "" : `, ${MODELS[model].title}`;
    const at = ["prediction", "errors"].includes(kind) ? ` at ${threshold.toFixed(2)}` : "";
    const drawn = [shown.item.file, kind, model, at, $("outline").checked].join();
    if (canvas.dataset.drawn !== drawn) paint(canvas, kind, shown.photo, shown.prepared[model], threshold, $("outline").checked);
    canvas.dataset.drawn = drawn; // what a threshold does not change is not painted again
    figure.lastChild.textContent = PANELS[kind] + of + at;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${PANELS[kind]} of ${shown.item.name}${of}${at}`
      + (at ? `: IoU ${percent(scores[model].iou)}` : ""));
  }
  const columns = [state.a, state.b].filter((model) => model >= 0).map((model) => ({ model, ...scores[model] }));
  table($("scores"), "This case, computed here from 8-bit probabilities", columns, [
    ["IoU", (one) => percent(one.iou)],
    ["Precision", (one) => percent(one.precision)],
    ["Recall", (one) => percent(one.recall)],
    ["F1", (one) => percent(one.f1)],
    ["Boundary IoU, 4 px", (one) => percent(one.boundary)],
    ["Missed", (one) => area(shown.item, one.fn)],
    ["False alarm", (one) => area(shown.item, one.fp)],
    ["Landslides found by half", (one) => `${one.found} of ${one.landslides}`],
    ["Mean entropy", (one) => `${shown.item.models[one.model].entropy.toFixed(3)} bit`],
  ]);
  document.body.dataset.scores = JSON.stringify(scores); // for tests and whoever wants all digits
  $("why").replaceChildren(...[state.a, state.b].filter((model) => model >= 0).map((model) => {
    const why = shown.item.models[model].causes, at = (MODELS[model].threshold / 100).toFixed(2);
    const told = why.length ? why.map((key) => CAUSES[key]).join("; ") : "no failure";
    return element("span", { className: "why", textContent: `${MODELS[model].title} at ${at}: ${told}.` });
  }));
}
