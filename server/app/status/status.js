// Shows status.json, and asks for it again every few seconds while somebody looks. Names come from
// anybody: they become text, never markup.
"use strict";

const kRefreshMs = 5000;

const byId = (id) => document.getElementById(id);

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const kSvg = "http://www.w3.org/2000/svg";

// A drawing of 100 x 100 with bars of {x, y, width, height}.
function bars(shape, title, kind) {
  const drawing = document.createElementNS(kSvg, "svg");
  for (const [name, value] of Object.entries(
      {viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", class: kind})) {
    drawing.setAttribute(name, value);
  }
  const text = document.createElementNS(kSvg, "title");
  text.textContent = title;
  drawing.append(text);
  for (const bar of shape) {
    const rect = document.createElementNS(kSvg, "rect");
    for (const [name, value] of Object.entries(bar)) rect.setAttribute(name, value);
    drawing.append(rect);
  }
  return drawing;
}

// Rows of cells, of which those in `numbers` (by index) stand on the right.
function fillTable(table, head, rows, numbers) {
  const row = (tag, cells) => element("tr", {}, ...cells.map(
      (cell, i) => element(tag, numbers.includes(i) ? {class: "number"} : {}, cell)));
  table.replaceChildren(row("th", head), ...rows.map((cells) => row("td", cells)));
}

// 1536 is "1.5 Ki"; times are seconds.
function scaled(value, step, units) {
  let unit = 0;
  while (Math.abs(value) >= step && unit + 1 < units.length) {
    value /= step;
    ++unit;
  }
  return `${Number(value.toPrecision(3))} ${units[unit]}`;
}
const bytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
const count = (value) => value.toLocaleString("en");
const shape = (dims) => dims.join(" × ");

function seconds(value) {
  if (value < 60) return scaled(value * 1e6, 1000, ["µs", "ms", "s"]);
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  const [unit, size] = units.find(([, length]) => value >= length);
  return `${Math.floor(value / size)} ${unit}`;
}

// An upper bound of the time that this share of calls takes, out of counts up to each bound.
function percentile(latency, share) {
  const wanted = share * latency.at(-1).calls;
  const bucket = latency.find((each) => each.calls >= wanted);
  return bucket.seconds === null ? `> ${seconds(latency.at(-2).seconds)}`
                                 : `≤ ${seconds(bucket.seconds)}`;
}

function histogram(latency) {
  const counts = latency.map((each, i) => each.calls - (i > 0 ? latency[i - 1].calls : 0));
  const most = Math.max(...counts);
  const width = 100 / counts.length;
  const rects = counts.map((calls, i) => ({
    x: i * width, width: width * 0.9, y: 100 - 100 * calls / most, height: 100 * calls / most,
  }));
  const told = (calls, bound) => `${count(calls)} ${bound === null ? "longer" : `≤ ${seconds(bound)}`}`;
  const parts = counts.map((calls, i) => calls > 0 ? told(calls, latency[i].seconds) : "");
  return bars(rects, parts.filter((part) => part !== "").join(", "), "histogram");
}

function showServer(report) {
  const {server, store, queues} = report;
  const sum = (member) => queues.reduce((total, queue) => total + queue[member], 0);
  byId("version").textContent = server.version;
  byId("state").className = store.up ? "" : "bad";
  byId("state").textContent = store.up ? "serving" : `the store is away: ${store.message}`;
  const facts = [
    ["up for", server.uptime_seconds === null ? "?" : seconds(server.uptime_seconds)],
    ["calls in the house", count(sum("calls"))],
    ["of them waiting", count(sum("waiting_calls"))],
    ["threads that compute", `${server.compute_threads_busy} of ${server.compute_threads}`],
    ["resident memory", server.resident_bytes === null ? "?" : bytes(server.resident_bytes)],
  ];
  byId("facts").replaceChildren(...facts.map(
      ([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function showMemory(report) {
  fillTable(byId("memory"), ["held by", "bytes", "of", ""], report.memory.map((row) => {
    if (row.limit_bytes === undefined) return [row.owner, bytes(row.bytes), "", ""];
    const share = Math.min(100, 100 * row.bytes / row.limit_bytes);
    return [row.owner, bytes(row.bytes), bytes(row.limit_bytes),
            bars([{x: 0, y: 0, width: share, height: 100}], `${share.toFixed(1)} %`, "share")];
  }), [1, 2]);
}

function showMethods(report) {
  const errors = (codes) => Object.entries(codes).filter(([code]) => code !== "OK")
      .map(([code, calls]) => `${count(calls)} ${code}`).join(", ");
  const rows = report.methods.map((method) => [
    element("span", {title: method.service}, method.method), count(method.calls),
    seconds(method.seconds / method.calls), percentile(method.latency, 0.5),
    percentile(method.latency, 0.99), histogram(method.latency), errors(method.codes),
  ]);
  fillTable(byId("methods"), ["method", "calls", "mean", "half", "99 %", "latency", "errors"], rows,
            [1, 2, 3, 4]);
}

function showPlan(plan) {
  const table = element("table", {});
  fillTable(table, ["strategy", ""], plan.verdicts.map((verdict) => [
    verdict.chosen ? element("b", {}, verdict.strategy) : verdict.strategy, verdict.reason,
  ]), []);
  const time = plan.least_seconds > 0 ? `, ${seconds(plan.least_seconds)} at best` : "";
  return [element("p", {}, `${shape(plan.input_shape)} → ${shape(plan.output_shape)}, ` +
                           `${bytes(plan.bytes)}${time}`), table];
}

function showLayer(layer, isOpen) {
  const chosen = new Set(layer.plans.flatMap((plan) => plan.verdicts)
      .filter((verdict) => verdict.chosen).map((verdict) => verdict.strategy));
  const summary = element("summary", {}, element("b", {}, layer.name),
      `${layer.class}, ${layer.input_channels || "?"} → ${layer.filters}, kernel ` +
      `${shape(layer.kernel_size)}, strides ${shape(layer.strides)}, ${layer.padding}; ` +
      (layer.weights_version > 0 ? `version ${layer.weights_version}` : "not built") +
      (chosen.size > 0 ? `; ${[...chosen].join(", ")}` : ""));
  if (!layer.healthy && layer.weights_version > 0) summary.append(element("span", {class: "bad"}, ` ${layer.message}`));
  const details = element("details", {}, summary, element("p", {},
      `${layer.activation}, ${layer.dtype}, ${layer.data_format}, ${count(layer.parameters)} ` +
      `parameters, ${layer.loaded_bytes > 0 ? bytes(layer.loaded_bytes) : "not"} loaded`));
  for (const plan of layer.plans) details.append(...showPlan(plan));
  if (layer.plans.length === 0) {
    details.append(element("p", {}, "no plan: nobody has called it lately"));
  }
  details.dataset.name = layer.name;
  details.open = isOpen;
  return details;
}

function showLayers(report) {
  const {layers} = report;
  const notes = [["damaged", layers.damaged], ["outdated", layers.outdated]]
      .filter(([, number]) => number > 0).map(([word, number]) => `, ${count(number)} ${word}`);
  byId("layer-count").textContent = count(layers.total) + notes.join("");
  const open = new Set([...document.querySelectorAll("details[open]")].map(
      (each) => each.dataset.name));
  byId("layers").replaceChildren(...layers.page.map(
      (layer) => showLayer(layer, open.has(layer.name) || layers.page.length === 1)));
  offerNext("layers", layers.next);
}

function showChains(report) {
  const step = (each) => each.layer || `@${each.activation}`;
  const open = (dims) => shape(dims.map((extent) => extent < 0 ? "any" : extent));
  fillTable(byId("chains"), ["name", "steps", "version", "input", "output"],
            report.chains.page.map((chain) => [
              element("b", {}, chain.name), chain.steps.map(step).join(" → "),
              count(chain.weights_version), open(chain.input_shape), open(chain.output_shape),
            ]), [2]);
  byId("chain-count").textContent = count(report.chains.total);
  offerNext("chains", report.chains.next);
}

// `what` is "layers" or "chains"; `next` is empty on the last page.
function offerNext(what, next) {
  byId(`next-${what}`).disabled = next === "";
  byId(`next-${what}`).dataset.after = next;
}

// Of the pages that are shown: what comes after these names.
const after = {layers: "", chains: ""};
let asked = 0;
let answered = new Date();

async function refresh() {
  const mine = ++asked;
  try {
    const query = new URLSearchParams(
        {find: byId("find").value, after: after.layers, chains_after: after.chains});
    const answer = await fetch(`status.json?${query}`);
    if (!answer.ok) throw new Error(await answer.text());
    const report = await answer.json();
    if (mine !== asked) return;  // somebody has asked for something else meanwhile
    for (const show of [showServer, showMemory, showMethods, showLayers, showChains]) show(report);
    answered = new Date();
  } catch (error) {
    byId("state").className = "bad";
    byId("state").textContent = `no answer since ${answered.toLocaleTimeString()}: ${error.message}`;
  }
}

function goTo(what, name) {
  after[what] = name;
  refresh();
}

for (const what of ["layers", "chains"]) {
  byId(`first-${what}`).addEventListener("click", () => goTo(what, ""));
  byId(`next-${what}`).addEventListener(
      "click", (event) => goTo(what, event.target.dataset.after));
}
byId("find").value = new URLSearchParams(location.search).get("find") || "";
byId("find").addEventListener("input", () => {
  after.chains = "";
  goTo("layers", "");
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => document.hidden || refresh(), kRefreshMs);
refresh();
