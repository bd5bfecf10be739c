// Runs the model of a bundle with onnxruntime-node and puts it to the bundle's self-test.
//
//   cd client/node && npm install && node client.mjs        (exit code 0 if it passes, 1 if not)
//   node client.mjs --model reference.onnx --bundle FOLDER

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import ort from "onnxruntime-node";
import { selfTest } from "./bundle.js";

const { values: words } = parseArgs({
  options: {
    bundle: { type: "string", default: fileURLToPath(new URL("../..", import.meta.url)) },
    model: { type: "string" },
    ep: { type: "string", default: "cpu" },
  },
});

const read = async (file) => {
  const bytes = await readFile(join(words.bundle, file));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
};

const manifest = JSON.parse(await readFile(join(words.bundle, "manifest.json"), "utf8"));
const session = await ort.InferenceSession.create(join(words.bundle, words.model ?? manifest.model.file), {
  executionProviders: [words.ep],
});

// Outputs by name, for tensors as { name, type, data, dims }.
const run = (tensors) =>
  session.run(Object.fromEntries(tensors.map((t) => [t.name, new ort.Tensor(t.type, t.data, t.dims)])));

const result = await selfTest(manifest.self_test, read, run);
console.log(result.text);
console.log(`median ${result.milliseconds.toFixed(2)} ms for a batch of ${manifest.self_test.batch}`);
process.exitCode = result.passed ? 0 : 1;
