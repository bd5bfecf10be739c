// The models of the bundle beside this page: fetched, checked against the manifest, and ready to run.

import { isClassifier, median, pieceOf, selfTest } from "./bundle.js";

// The part of onnxruntime-web that runs on the CPU; one thread, so that no server has to send special headers.
const RUNTIME = "./runtime/ort.wasm.bundle.min.js";

// A browser's clock may be as coarse as a millisecond: short runs are timed several together.
const SHORTEST_MS = 8;

export class Bundle {
  static async open() {
    const manifest = await (await get("manifest.json")).json();
    const bundle = new Bundle();
    bundle.manifest = manifest;
    bundle.hashes = new Map(manifest.files.map((file) => [file.path, file.sha256]));
    bundle.labels = manifest.labels ? await bundle.lines(manifest.labels) : [];
    const ort = await import(RUNTIME);
    ort.env.wasm.numThreads = 1;
    bundle.models = [];
    for (const entry of [manifest.model, ...manifest.others.filter((other) => other.role === "reference")]) {
      const content = new Uint8Array(await bundle.read(entry.file));
      const session = await ort.InferenceSession.create(content, {
        executionProviders: ["wasm"],
        logSeverityLevel: 3, // errors: warnings speak to whoever made the model
      });
      bundle.models.push(new Model(ort, entry, session));
    }
    return bundle;
  }

  // The bytes of a file. The browser compares them with the hash in the manifest.
  async read(file) {
    return (await get(file, this.hashes.get(file))).arrayBuffer();
  }

  async lines(file) {
    return new TextDecoder().decode(await this.read(file)).split("\n");
  }

  async selfTest() {
    return selfTest(this.manifest.self_test, (file) => this.read(file), (tensors) => this.models[0].run(tensors));
  }

  // Scores of the one output for the one input, cut into the batches that the model takes.
  async classify(data, shape, role = "model") {
    const [input] = this.manifest.inputs;
    const [output] = this.manifest.outputs;
    const model = this.models.find((one) => one.entry.role === role);
    const runs = typeof input.shape[0] === "number" ? shape[0] / input.shape[0] : 1;
    if (!Number.isInteger(runs)) throw new Error(`the model takes ${input.shape[0]} samples at a time`);
    const tensor = { name: input.name, type: input.type, dims: shape, data };
    const [parts, times] = [[], []];
    for (let index = 0; index < runs; index++) {
      const { results, milliseconds } = await model.timedRun([pieceOf(tensor, index, runs)]);
      times.push(milliseconds);
      parts.push(...rowsOf(results[output.name]));
    }
    const answers = parts.map((scores) => {
      const probabilities = sharesOf(scores);
      const index = probabilities.indexOf(Math.max(...probabilities));
      return { index, label: this.labelOf(index), probability: probabilities[index], scores, probabilities };
    });
    return { answers, milliseconds: median(times) };
  }

  labelOf(index) {
    return this.labels[index] ?? `class ${index}`;
  }

  // Whether one output holds a row of scores for each sample.
  get isClassifier() {
    const test = this.manifest.self_test;
    const outputs = test.outputs.map((entry) => ({ ...entry, dims: entry.shape }));
    return isClassifier(outputs, test.samples) && outputs[0].type !== "float16";
  }

  // How a picture becomes the one input; null where the model takes something else, or nobody stated it.
  get pictureFormat() {
    const { inputs, preprocessing: made, self_test: test } = this.manifest;
    const [input] = inputs;
    const fits = inputs.length === 1 && input.type === "float32" && input.shape.length === 4 && made?.mean && made?.std;
    if (!fits || !this.isClassifier) return null;
    const dims = test.inputs[0].shape;
    const [channels, ...size] = made.layout === "NCHW" ? dims.slice(1) : [dims[3], dims[1], dims[2]];
    const [height, width] = made.size ?? size;
    return channels === 1 || channels === 3
      ? { channels, height, width, layout: made.layout, mean: made.mean, std: made.std }
      : null;
  }
}

class Model {
  constructor(ort, entry, session) {
    Object.assign(this, { ort, entry, session, queue: Promise.resolve() });
  }

  // Tensors by name for tensors as { name, type, dims, data }.
  async run(tensors) {
    return (await this.timedRun(tensors)).results;
  }

  // The same with the time that it took in milliseconds; one run after the other, waiting not counted.
  timedRun(tensors) {
    const feeds = Object.fromEntries(tensors.map((t) => [t.name, new this.ort.Tensor(t.type, t.data, t.dims)]));
    const running = this.queue.then(async () => {
      const start = performance.now();
      const results = await this.session.run(feeds);
      return { results, milliseconds: performance.now() - start };
    });
    this.queue = running.catch(() => {});
    return running;
  }

  // The median time of a run in milliseconds, over at most so many of them.
  async time(tensors, budgetMs = 700) {
    const measure = async (count) => {
      const start = performance.now();
      for (let i = 0; i < count; i++) await this.run(tensors);
      return performance.now() - start;
    };
    let count = 1;
    while ((await measure(count)) < SHORTEST_MS) count *= 2;
    const times = [];
    for (const end = performance.now() + budgetMs; performance.now() < end || times.length < 3; ) {
      times.push((await measure(count)) / count);
      await new Promise((resolve) => setTimeout(resolve));
    }
    return { median: median(times), runs: times.length * count };
  }
}

// Probabilities from scores: the scores themselves where they are some already, else their softmax.
function sharesOf(scores) {
  const sum = scores.reduce((total, score) => total + score, 0);
  if (scores.every((score) => score >= 0) && Math.abs(sum - 1) < 1e-3) return scores;
  const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
  const total = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / total);
}

function rowsOf({ data, dims }) {
  return Array.from({ length: dims[0] }, (_, row) => Array.from(data.slice(row * dims[1], (row + 1) * dims[1])));
}

async function get(path, sha256) {
  const integrity = sha256 ? `sha256-${btoa(sha256.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16))))}` : "";
  let response;
  try {
    response = await fetch(path, { cache: "no-cache", integrity });
  } catch {
    throw new Error(`${path} could not be fetched, or is not the file that the manifest lists`);
  }
  if (!response.ok) throw new Error(`${path} could not be fetched: ${response.status}`);
  return response;
}
