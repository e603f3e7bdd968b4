// Sliders, filters, keys, the address, and the file of the selection.
"use strict";

function sliders() {
  $("sliders").replaceChildren(...[state.a, state.b].filter((model) => model >= 0).map((model) => {
    const { title, threshold, best } = MODELS[model], id = `threshold-${model}`;
    const tick = (step, sign) => {
      const mark = element("span", { className: "mark", textContent: sign });
      mark.style.setProperty("--at", (step - 1) / 98);
      mark.setAttribute("aria-hidden", true);
      return mark;
    };
    const input = element("input", { id, type: "range", min: 1, max: 99, step: 1, value: state.steps[model] });
    const told = element("output", { htmlFor: id });
    const tell = () => {
      told.textContent = (state.steps[model] / 100).toFixed(2);
      input.setAttribute("aria-valuetext", told.textContent);
    };
    input.addEventListener("input", () => {
      state.steps[model] = input.valueAsNumber;
      tell();
      changed();
    });
    const back = element("button", { type: "button", textContent: "best on validation" });
    back.setAttribute("aria-label", `${title}: threshold that is best on validation`);
    back.addEventListener("click", () => setThreshold(model, threshold));
    tell();
    return element(
      "div",
      { className: "slider" },
      element("div", { className: "head" }, element("label", { htmlFor: id, textContent: `Threshold, ${title}` }), told, back),
      input,
      element("div", { className: "marks" }, tick(best, "△"), tick(threshold, "▲")),
      element("p", { className: "signs" },
        element("span", { textContent: `▲ ${(threshold / 100).toFixed(2)} chosen on validation` }),
        element("span", { textContent: `△ ${(best / 100).toFixed(2)} best on test: not a reportable score` })),
    );
  }));
}

function setThreshold(model, step) {
  state.steps[model] = Math.min(Math.max(step, 1), 99);
  sliders();
  changed();
}

let waiting = 0;
/** Draws the case at once, and the values of the list, in their order, when the hand rests. */
function changed() {
  draw();
  clearTimeout(waiting);
  waiting = setTimeout(() => (list(true), link()), 120);
}

// ---- the address: what is looked at, and how

function link() {
  const words = new URLSearchParams({ case: idOf(CASES[state.at]), model: MODELS[state.a].run });
  if (state.b >= 0) words.set("with", MODELS[state.b].run);
  for (const model of [state.a, state.b])
    if (model >= 0 && state.steps[model] !== MODELS[model].threshold)
      words.set(model === state.a ? "at" : "with-at", (state.steps[model] / 100).toFixed(2));
  if (state.sort !== "iou" || state.down) words.set("sort", (state.down ? "-" : "") + state.sort);
  for (const input of filters()) if (input.value !== standard(input)) words.set(input.id, input.value);
  history.replaceState(null, "", `#${words}`);
}

const filters = () => $("filter").querySelectorAll("select, input");
const standard = (input) => (input.id === "f-dataset" ? CASES[0].dataset : "");

/** Takes what an address says and knows no other names than those of this page. */
function follow() {
  const words = new URLSearchParams(location.hash.slice(1));
  const model = (name) => MODELS.findIndex(({ run }) => run === words.get(name));
  state.a = Math.max(model("model"), 0);
  state.b = model("with") === state.a ? -1 : model("with");
  for (const [name, at] of [["at", state.a], ["with-at", state.b]]) {
    if (at < 0) continue;
    const step = Math.round(100 * parseFloat(words.get(name)));
    state.steps[at] = step >= 1 && step <= 99 ? step : MODELS[at].threshold;
  }
  const sort = words.get("sort") ?? "iou", key = sort.replace(/^-/, "");
  if (Object.hasOwn(KEYS, key)) (state.sort = key), (state.down = sort.startsWith("-"));
  for (const input of filters()) input.value = words.get(input.id) ?? standard(input);
  controls();
  list();
  const place = CASES.findIndex((item) => idOf(item) === words.get("case"));
  choose(place >= 0 ? place : selection[0] ?? 0, place >= 0);
}

function controls() {
  $("sort").value = state.sort;
  $("a").value = state.a;
  $("b").value = state.b;
  $("disagree").hidden = state.b < 0;
  $("direction").textContent = state.down ? "↓ falling" : "↑ rising";
  $("direction").setAttribute("aria-label", `Order: ${state.down ? "falling" : "rising"}`);
  sliders();
}

// ---- the selection as a file

/** A field of a CSV file; a sign that a spreadsheet would take for a formula is made text. */
function field(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const models = [state.a, state.b].filter((model) => model >= 0);
  const head = ["dataset", "name", "site", "height_px", "width_px", "resolution_m", "known_px", "landslide_px", "landslides",
    "largest_px", "touches_frame", "edge_density", "outline_contrast"];
  const each = ["run", "threshold", "threshold_chosen_on", "tp_px", "false_alarm_px", "missed_px", "iou", "precision",
    "recall", "boundary_iou", "entropy_bit", "causes_at_validation_threshold"];
  for (const place of models.keys()) head.push(...each.map((name) => (place ? `other_${name}` : name)));
  const rows = selection.map((place) => {
    const item = CASES[place];
    const row = [item.dataset, item.name, item.site, item.height, item.width, item.resolution, item.known, item.truth,
      item.landslides, item.largest, item.touches ? 1 : 0, item.edges, item.contrast];
    for (const model of models) {
      const own = now(item, model), { run, threshold, best } = MODELS[model], step = state.steps[model];
      const how = step === threshold ? "validation" : step === best ? "test, not reportable" : "by hand";
      row.push(run, (step / 100).toFixed(2), how, own.tp, own.fp, own.fn, own.iou, own.precision, own.recall, own.boundary,
        item.models[model].entropy, item.models[model].causes.join(";"));
    }
    return row;
  });
  return [head, ...rows].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}

function save() {
  const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  element("a", { href: url, download: `failures-${MODELS[state.a].run}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// ---- keys

function step(by) {
  if (!selection.length) return;
  const at = selection.indexOf(state.at);
  const place = at < 0 ? 0 : Math.min(Math.max(at + by, 0), selection.length - 1);
  choose(selection[place]);
}

/** Goes to the next listed case on which the two models differ by 10 points of IoU or more, round the list. */
function disagreement() {
  const from = selection.indexOf(state.at) + 1, turned = [...selection.slice(from), ...selection.slice(0, from)];
  const differs = (place) => Math.abs(now(CASES[place]).iou - now(CASES[place], state.b).iou) >= 0.1;
  const place = state.b < 0 ? undefined : turned.find(differs);
  if (place !== undefined) choose(place);
}

function compare(model) {
  state.b = model === state.a ? -1 : model;
  controls();
  list();
  draw();
  link();
}

const LETTERS = {
  ",": () => setThreshold(state.a, state.steps[state.a] - 1),
  ".": () => setThreshold(state.a, state.steps[state.a] + 1),
  v: () => setThreshold(state.a, MODELS[state.a].threshold),
  c: () => MODELS.length > 1 && compare(state.b < 0 ? (state.a + 1) % MODELS.length : -1),
  d: disagreement,
  o: () => (($("outline").checked = !$("outline").checked), draw()),
  "?": () => $("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  if (event.target.closest("select, input:not([type=checkbox])")) return; // they have keys of their own
  const moves = { ArrowLeft: -1, ArrowRight: 1 };
  if (event.target === $("list"))
    Object.assign(moves, { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity });
  const letter = $("letters").checked && Object.hasOwn(LETTERS, event.key) && LETTERS[event.key];
  if (Object.hasOwn(moves, event.key)) step(moves[event.key]);
  else if (letter) letter();
  else return;
  event.preventDefault();
});

// ---- the beginning

function options(select, entries) {
  select.replaceChildren(...entries.map(([value, textContent]) => element("option", { value, textContent })));
}

options($("sort"), Object.entries(KEYS)
  .filter(([key]) => key !== "difference" || MODELS.length > 1).map(([key, { title }]) => [key, title]));
options($("a"), MODELS.map(({ title }, model) => [model, title]));
options($("b"), [[-1, "none"], ...MODELS.map(({ title }, model) => [model, title])]);
options($("f-dataset"), [["", "all"], ...new Set(CASES.map(({ dataset }) => dataset))].map((one) => [].concat(one, one)));
options($("f-cause"), [["", "all cases"], ["any", "all failures"], ["none", "no failure"], ...Object.entries(CAUSES)]);
for (const [key, { title, sortOnly }] of Object.entries(KEYS)) {
  if (sortOnly) continue;
  const bound = (end, words) => {
    const input = element("input", { id: `${key}-${end}`, type: "number", step: "any", placeholder: words });
    input.setAttribute("aria-label", `${title}: ${words}`);
    return input;
  };
  $("ranges").append(element("div", { className: "range" }, element("span", { textContent: title }),
    bound("low", "at least"), bound("high", "at most")));
}
for (const option of $("f-dataset").options) // at first and when cleared: the test part; images without landslides are another
  option.selected = option.defaultSelected = option.value === CASES[0].dataset;
$("compared").hidden = MODELS.length < 2;
$("filter").addEventListener("input", () => (list(), link()));
$("filter").addEventListener("reset", () => setTimeout(() => (list(), link())));
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("sort").addEventListener("change", () => ((state.sort = $("sort").value), list(), link()));
$("direction").addEventListener("click", () => ((state.down = !state.down), controls(), list(), link()));
$("a").addEventListener("change", () => {
  const before = state.a;
  state.a = +$("a").value;
  compare(state.b === state.a ? before : state.b);
});
$("b").addEventListener("change", () => compare(+$("b").value));
$("outline").addEventListener("change", draw);
$("disagree").addEventListener("click", disagreement);
$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));
$("csv").addEventListener("click", save);
$("help").addEventListener("click", () => $("keys").showModal());
addEventListener("hashchange", follow);
$("app").hidden = false;
follow();
