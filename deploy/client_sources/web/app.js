// The page of a bundle: self-test and timing when it opens, then answers for what is drawn or chosen.
// Whatever comes from the bundle or from an image is shown as text and never as markup.

import { median, pieceOf } from "./bundle.js";
import { Bundle } from "./model.js";
import { drawSample, Picture } from "./picture.js";

const TOP = 5;
const MOST_SAMPLES = 16;
const MOST_TIMES = 25;
const TITLES = { model: "This model", reference: "Reference" };

const find = (id) => document.getElementById(id);

// An element with text and children; classes come first, as in "p.caption".
function make(kind, text = "", ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  element.classList.add(...classes);
  element.textContent = text;
  element.append(...children);
  return element;
}

const bytes = (count) =>
  count < 1000 ? `${count} B` : count < 999_500 ? `${(count / 1e3).toPrecision(3)} kB` : `${(count / 1e6).toPrecision(3)} MB`;
const milliseconds = (ms) => `${ms < 100 ? ms.toPrecision(3) : ms.toFixed(0)} ms`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

const signature = ({ name, type, shape, meaning }) =>
  `${name}: ${type} [${shape.map((dim) => dim ?? "?").join(", ")}]${meaning && `, ${meaning}`}`;

function tell(isPassed, text) {
  find("self-test").textContent = text;
  find("self-test").dataset.passed = String(isPassed);
}

async function runSelfTest(bundle) {
  delete find("self-test").dataset.passed;
  const result = await bundle.selfTest();
  tell(result.passed, result.text);
  return result;
}

function describe({ manifest }) {
  const { model, measured, preprocessing, provenance, created_with: made } = manifest;
  document.title = manifest.name;
  find("name").textContent = manifest.name;
  const parts = [`${bytes(model.bytes)}, ${bytes(model.gzip_bytes)} compressed`, `${model.params.toLocaleString("en")} parameters`];
  if (measured?.metric) {
    const figure = measured.metric.startsWith("top") ? percent : (value) => value.toPrecision(4);
    const interval = measured.low === null ? "" : ` (${figure(measured.low)} to ${figure(measured.high)})`;
    parts.push(`${measured.metric} ${figure(measured.value)}${interval} on ${measured.samples.toLocaleString("en")} samples`);
  }
  find("dek").textContent = parts.join(" · ");
  const facts = {
    Input: manifest.inputs.map(signature).join("; "),
    Output: manifest.outputs.map(signature).join("; "),
    Preprocessing: preprocessing?.text,
    "Where it was made": measured?.latency_ms && `${milliseconds(measured.latency_ms)} for a batch of ${measured.batch}, ${measured.machine}`,
    Licence: manifest.licence ?? "not stated",
    "SHA-256": model.sha256,
    "Made from": provenance.source_sha256,
    "Made with": `Sardonyx ${made.sardonyx}, ONNX Runtime ${made.onnxruntime}, onnx ${made.onnx}`,
  };
  for (const [term, text] of Object.entries(facts)) {
    if (text) find("facts").append(make("div", "", make("dt", term), make("dd", text)));
  }
}

// What the first run of the self-test takes.
function firstFeeds({ manifest: { self_test: test } }, result) {
  return result.inputs.map((tensor) => pieceOf(tensor, 0, test.samples / test.batch));
}

// Times every model on the first run of the self-test.
async function showTimes(bundle, result) {
  const test = bundle.manifest.self_test;
  const feeds = firstFeeds(bundle, result);
  find("again").disabled = true;
  find("times").replaceChildren();
  for (const model of bundle.models) {
    const { entry } = model;
    const cell = make("td", "…");
    const name = make("th", TITLES[entry.role], make("span.sub", entry.file));
    find("times").append(make("tr", "", name, make("td", bytes(entry.bytes)), make("td", bytes(entry.gzip_bytes)), cell));
    const time = await model.time(feeds);
    cell.textContent = milliseconds(time.median);
    find("timing").textContent = `For a batch of ${test.batch} on one thread of WebAssembly, over ${time.runs} runs.`;
  }
  find("again").disabled = false;
}

// A card for each model; gives a function that fills it.
function makeCard(model) {
  const [answer, list, time] = [make("p.answer", "–"), make("ol.ranks"), make("p.caption")];
  const file = make("p.caption", `${model.entry.file}, ${bytes(model.entry.bytes)}`);
  const card = make("article.card", "", make("h3", TITLES[model.entry.role]), file, answer, list, time);
  card.dataset.role = model.entry.role;
  find("answers").append(card);
  const times = [];
  return (labelOf, { answers: [best], milliseconds: ms }) => {
    times.push(ms);
    times.splice(0, times.length - MOST_TIMES);
    const order = best.probabilities.map((_, i) => i).sort((a, b) => best.probabilities[b] - best.probabilities[a]);
    answer.textContent = best.label;
    list.replaceChildren(
      ...order.slice(0, TOP).map((index) => {
        const meter = make("meter");
        meter.value = best.probabilities[index];
        return make("li", "", make("span.label", labelOf(index)), meter, make("span.share", percent(best.probabilities[index])));
      }),
    );
    const middle = median(times);
    time.textContent = `${middle < 0.1 ? "under 0.1 ms" : milliseconds(middle)}, median of ${times.length}`;
  };
}

function offerPictures(bundle, format, result) {
  const { channels, height, width, layout } = format;
  const shape = layout === "NCHW" ? [channels, height, width] : [height, width, channels];
  const cards = new Map(bundle.models.map((model) => [model.entry.role, makeCard(model)]));
  const batch = bundle.manifest.inputs[0].shape[0];
  const copies = typeof batch === "number" ? batch : 1;
  let [isBusy, isStale] = [false, false];

  const fillCards = async (values) => {
    const data = new Float32Array(values.length * copies);
    for (let i = 0; i < copies; i++) data.set(values, i * values.length);
    const best = [];
    for (const [role, fill] of cards) {
      const found = await bundle.classify(data, [copies, ...shape], role);
      best.push(found.answers[0].index);
      fill((index) => bundle.labelOf(index), found);
    }
    if (best.length < 2) return "";
    return best[0] === best[1] ? "Both give the same answer." : "They give different answers.";
  };

  // Answers the newest picture; those that came while a model ran are left out.
  const answer = async () => {
    if (isBusy) return void (isStale = true);
    [isBusy, isStale] = [true, false];
    try {
      find("verdict").textContent = await fillCards(picture.values());
    } catch (error) {
      find("verdict").textContent = error.message;
    }
    isBusy = false;
    if (isStale) await answer();
  };
  const picture = new Picture(find("picture"), format, answer);

  find("clear").addEventListener("click", () => picture.clear());
  find("invert").addEventListener("click", () => picture.invert());
  find("pen").addEventListener("input", (event) => (picture.pen = event.target.valueAsNumber));
  find("file").addEventListener("change", (event) => event.target.files[0] && take(event.target.files[0]));
  find("picture").addEventListener("dragover", (event) => event.preventDefault());
  find("picture").addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  const take = (file) => picture.load(file).catch(() => (find("verdict").textContent = "This file is no image that the browser reads."));

  const { samples } = bundle.manifest.self_test;
  for (let index = 0; index < Math.min(samples, MOST_SAMPLES); index++) {
    const { data } = pieceOf(result.inputs[0], index, samples);
    const scores = Array.from(pieceOf(result.wanted[0], index, samples).data);
    const button = make("button", "", drawSample(make("canvas"), data, format), make("span", bundle.labelOf(scores.indexOf(Math.max(...scores)))));
    button.type = "button";
    button.addEventListener("click", () => picture.show(data));
    find("samples").append(make("li", "", button));
  }
  find("try").hidden = false;
  picture.show(pieceOf(result.inputs[0], 0, samples).data);
}

// Keeps the page for use without a network, where the browser lets it.
async function keep(manifest) {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register(`sw.js?v=${manifest.sha256}`);
    await navigator.serviceWorker.ready;
    find("offline").textContent = "This page is kept in the browser and works without a network.";
    find("offline").dataset.kept = "true";
  } catch {
    find("offline").textContent = "This browser does not keep the page for use without a network.";
  }
}

async function start() {
  const bundle = await Bundle.open();
  describe(bundle);
  const result = await runSelfTest(bundle);
  // For other scripts and for tests: answers and scores of many samples at once, by either model.
  window.sardonyx = { manifest: bundle.manifest, classify: (data, shape, role) => bundle.classify(data, shape, role) };
  // The first run of a model takes longer than all others.
  for (const model of bundle.models) await model.run(firstFeeds(bundle, result));
  const format = bundle.pictureFormat;
  if (format) offerPictures(bundle, format, result);
  await showTimes(bundle, result);
  find("again").addEventListener("click", () => showTimes(bundle, result));
  find("test").addEventListener("click", () => runSelfTest(bundle));
  find("test").disabled = false;
  await keep(bundle.manifest);
}

start().catch((error) => {
  if (!find("facts").childElementCount) find("name").textContent = "The bundle could not be opened";
  tell(false, `self-test: ${error.message}`);
  throw error;
});
