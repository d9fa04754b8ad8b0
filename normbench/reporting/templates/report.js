"use strict";
// The ledger's filters live in the fragment (#paper=..&verdict=..&claim=..), so that a link shows what its sender saw.
const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const claims = all("article.claim");
const boxes = all("#filters input");
const FACETS = ["paper", "task", "tier", "verdict"];

async function unpacked(name) {
  const bytes = Uint8Array.from(atob($("#packed-" + name).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
const once = {};
const kept = (name, make) => (once[name] ??= make());
const runs = () => kept("runs", async () => JSON.parse(await unpacked("runs")));
const library = () => kept("library", async () => {
  const script = document.createElement("script");
  script.textContent = "(() => {" + (await unpacked("library")) + "})()"; // its names are its own
  document.head.append(script);
  return window.vegaEmbed;
});

// Figures: drawn where somebody is about to look, and all of them before printing.
let drawings = null, copies = 0;
function draw(place) {
  if (!drawings || place.classList.contains("drawn")) return;
  const number = place.dataset.drawing, copy = "f" + number + "c" + copies++;
  place.innerHTML = drawings[number].replaceAll("f" + number + "-", copy + "-");
  place.classList.add("drawn");
  place.removeAttribute("role");
  place.removeAttribute("aria-label");
}
async function startDrawings() {
  const watcher = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting) { draw(one.target); watcher.unobserve(one.target); }
  }, { rootMargin: "1200px" });
  drawings = JSON.parse(await unpacked("drawings"));
  for (const place of all("[data-drawing]")) watcher.observe(place);
}
addEventListener("beforeprint", () => all("[data-drawing]").forEach(draw));

// Filters
const state = () => Object.fromEntries(FACETS.map((f) => [f, boxes.filter((b) => b.name === f && b.checked).map((b) => b.value)]));
const passes = (claim, wanted, but) => FACETS.every((f) => f === but || !wanted[f].length || wanted[f].includes(claim.dataset[f]));
function apply() {
  const wanted = state();
  let shown = 0;
  for (const claim of claims) { claim.hidden = !passes(claim, wanted); shown += !claim.hidden; }
  for (const box of boxes) {
    const n = claims.filter((c) => passes(c, wanted, box.name) && c.dataset[box.name] === box.value).length;
    $(".n", box.parentNode).textContent = n;
    box.parentNode.classList.toggle("none", !n);
  }
  $("#shown").textContent = shown + " of " + claims.length;
}
function remember() {
  const wanted = state(), open = claims.filter((c) => c.classList.contains("open") && !c.hidden).map((c) => c.id);
  const parts = FACETS.filter((f) => wanted[f].length).map((f) => f + "=" + wanted[f].map(encodeURIComponent).join(","));
  if (open.length && open.length <= 3) parts.push("claim=" + open.join(","));
  history.replaceState(null, "", parts.length ? "#" + parts.join("&") : location.pathname + location.search);
}
function recall() {
  const text = location.hash.slice(1), target = text && !text.includes("=") ? document.getElementById(text) : null;
  if (target?.classList.contains("claim")) return show(target);
  if (target) { for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true; return target.scrollIntoView(); }
  if (text && !text.includes("=")) return;
  const given = Object.fromEntries(text.split("&").map((p) => p.split("=")).map(([k, v]) => [k, (v ?? "").split(",").map(decodeURIComponent)]));
  for (const box of boxes) box.checked = (given[box.name] ?? []).includes(box.value);
  apply();
  const opened = (given.claim ?? []).map((id) => document.getElementById(id)).filter((c) => c?.classList.contains("claim"));
  opened.forEach((c) => toggle(c, true));
  if (opened.length) opened[0].scrollIntoView();
  else if (text) $("#ledger").scrollIntoView();
}
function show(claim) {
  for (const box of boxes) box.checked = false;
  apply();
  toggle(claim, true);
  claim.scrollIntoView();
  $(".head", claim).focus({ preventScroll: true });
}
function toggle(claim, open) {
  claim.classList.toggle("open", open);
  $(".head", claim).setAttribute("aria-expanded", open);
  if (open) fill(claim);
}

// What stands behind a claim: its runs and their curves
const LEVELS = 999;
function rows(arms, metric) {
  const found = [];
  for (const [label, arm] of arms) {
    const curve = arm.curves.find((c) => c.metric === metric);
    if (!curve) continue;
    curve.y.forEach((levels, i) => levels?.forEach((level, j) => {
      if (level === null) return;
      const value = curve.low + (level / LEVELS) * (curve.high - curve.low);
      found.push({ arm: label, run: arm.id + "-s" + arm.runs[i][0], seed: arm.runs[i][0], step: curve.x[j], value: curve.log ? 10 ** value : value });
    }));
  }
  return found;
}
function color(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
async function chart(place, arms, metric, lit) {
  const embed = await library(), data = rows(arms, metric), labels = arms.map(([label]) => label);
  const log = arms.some(([, arm]) => arm.curves.some((c) => c.metric === metric && c.log)), words = metric.replaceAll("_", " ");
  const axis = { labelColor: color("--ink"), titleColor: color("--ink"), gridColor: color("--rule"), domainColor: color("--muted"), tickColor: color("--muted") };
  const beside = labels.length > 1 && innerWidth > 700;
  const wide = Math.max(200, Math.min(640, place.clientWidth - (beside ? 260 : 90)));
  const strong = lit ? `datum.run === ${JSON.stringify(lit)}` : "true";
  await embed(place, {
    data: { values: data }, width: wide, height: 230, background: null, description: words + " over the steps, a line for each run",
    mark: { type: "line", strokeWidth: 1.4, clip: true },
    encoding: {
      x: { field: "step", type: "quantitative", title: "step" },
      y: { field: "value", type: "quantitative", title: words, scale: { type: log ? "log" : "linear", zero: false } },
      color: { field: "arm", type: "nominal", sort: labels, legend: labels.length > 1 && labels.length <= 16 ? { title: null, labelLimit: 240, orient: beside ? "right" : "bottom", columns: 1 } : null,
        scale: { domain: labels, range: [color("--blue"), "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"] } },
      detail: { field: "run" },
      opacity: { condition: { test: strong, value: 0.95 }, value: 0.12 },
      tooltip: [{ field: "arm" }, { field: "seed" }, { field: "step" }, { field: "value", type: "quantitative", format: ".4g", title: words }],
    },
    config: { axis, legend: { labelColor: color("--ink") }, view: { stroke: null }, font: "system-ui, sans-serif" },
  }, { actions: false, renderer: "svg", tooltip: { theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" } });
}
function element(tag, text, more = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(more)) made.setAttribute(key, value);
  return made;
}
async function fill(claim) {
  const place = $(".runs", claim);
  if (!place || place.dataset.filled) return;
  place.dataset.filled = "yes";
  const data = await runs();
  const arms = all("tr[data-arm]", claim).map((tr) => [$("th", tr).textContent, data.arms[tr.dataset.arm]]);
  if (!arms.length) return;
  const metrics = [...new Set(arms.flatMap(([, arm]) => arm.curves.map((c) => c.metric)))];
  let lit = null, redraw = () => {};
  if (metrics.length) {
    const tools = element("div", undefined, { class: "tools" }), label = element("label", "Curves of "), select = element("select");
    for (const metric of metrics) select.append(element("option", metric.replaceAll("_", " "), { value: metric }));
    label.append(select);
    tools.append(label, element("span", "a line for each run; means over stretches of steps", { class: "muted" }));
    const holder = element("div", undefined, { class: "chart" });
    redraw = () => chart(holder, arms, select.value, lit);
    select.addEventListener("change", redraw);
    redraws.push(redraw);
    place.append(tools, holder);
    redraw();
  } else place.append(element("p", "Nothing here is trained step by step, so there are no curves.", { class: "muted" }));
  place.append(runList(arms, (run) => { lit = lit === run ? null : run; redraw(); return lit; }));
}
function runList(arms, light) {
  const fold = element("details"), many = arms.reduce((n, [, arm]) => n + arm.runs.length, 0);
  fold.append(element("summary", many + " runs with their settings"));
  fold.addEventListener("toggle", () => {
    if (fold.dataset.filled) return;
    fold.dataset.filled = "yes";
    for (const [label, arm] of arms) {
      const table = element("table"), body = element("tbody");
      table.append(element("caption", label, { class: "hidden" }));
      for (const [seed, status, value] of arm.runs) {
        const run = arm.id + "-s" + seed, row = element("tr"), head = element("th", undefined, { scope: "row" }), cell = element("td");
        head.append(element("code", run));
        row.append(head, element("td", status), element("td", value === null ? "–" : value + " " + arm.metric.replaceAll("_", " ")), cell);
        if (arm.curves.some((c) => c.y[arm.runs.findIndex((r) => r[0] === seed)])) {
          const button = element("button", "Its curve", { type: "button", "aria-pressed": "false" });
          button.addEventListener("click", () => {
            const lit = light(run);
            for (const other of all("button[aria-pressed]", fold)) { other.setAttribute("aria-pressed", "false"); other.closest("tr").classList.remove("lit"); }
            if (lit === run) { button.setAttribute("aria-pressed", "true"); row.classList.add("lit"); }
          });
          cell.append(button);
        }
        body.append(row);
      }
      table.append(body);
      const settings = element("details");
      settings.append(element("summary", "Settings of " + label), element("pre", JSON.stringify(arm.spec, null, 1)));
      fold.append(element("h4", label), table, settings);
    }
  }, { once: false });
  return fold;
}
const redraws = [];
const again = () => redraws.forEach((one) => one());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
let waiting = 0, width = innerWidth;
addEventListener("resize", () => {
  clearTimeout(waiting);
  if (innerWidth !== width) waiting = setTimeout(() => { width = innerWidth; again(); }, 200);
});

// Hands
for (const claim of claims) {
  const head = $(".head", claim);
  head.setAttribute("aria-expanded", "false");
  head.addEventListener("click", () => { toggle(claim, !claim.classList.contains("open")); remember(); });
  head.addEventListener("keydown", (event) => {
    const shown = claims.filter((c) => !c.hidden), at = shown.indexOf(claim);
    const next = { ArrowDown: shown[at + 1], ArrowUp: shown[at - 1], Home: shown[0], End: shown.at(-1) }[event.key];
    if (next) { event.preventDefault(); $(".head", next).focus(); }
  });
}
for (const box of boxes) box.addEventListener("change", () => { apply(); remember(); });
$("#filters").addEventListener("submit", (event) => event.preventDefault());
$("#clear").addEventListener("click", () => { boxes.forEach((b) => { b.checked = false; }); apply(); remember(); });
$("#expand").addEventListener("click", () => { claims.filter((c) => !c.hidden).forEach((c) => toggle(c, true)); remember(); });
$("#collapse").addEventListener("click", () => { claims.forEach((c) => toggle(c, false)); remember(); });
for (const button of all(".copy")) button.addEventListener("click", async () => {
  const code = $("code", button.parentNode);
  try { await navigator.clipboard.writeText(code.textContent); } catch {
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
addEventListener("hashchange", recall);
recall();
startDrawings();
