// What the page and the Node.js client have in common: the self-test of a bundle, as its manifest describes it.

// Element types as the manifest and ONNX Runtime name them. A float16 is read as its 16 bits.
const ARRAYS = {
  float16: Uint16Array, float32: Float32Array, float64: Float64Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
  bool: Uint8Array,
};

export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

export const argmax = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

// An array of self_test/ from its raw little-endian bytes.
export function tensorOf(entry, buffer) {
  const data = new ARRAYS[entry.type](buffer);
  const size = entry.shape.reduce((product, dim) => product * dim, 1);
  if (data.length !== size) throw new Error(`${entry.file} holds ${data.length} values, not ${size}`);
  return { name: entry.name, type: entry.type, dims: entry.shape, data };
}

// The share of one run: a piece of axis 0.
export function pieceOf(tensor, index, runs) {
  const size = tensor.data.length / runs;
  const dims = [tensor.dims[0] / runs, ...tensor.dims.slice(1)];
  return { ...tensor, dims, data: tensor.data.slice(index * size, (index + 1) * size) };
}

// Runs all samples and compares. `read(file)` gives the bytes of a file of the bundle; `run(tensors)` takes the inputs
// of one run and gives tensors by name. Both may be asynchronous.
export async function selfTest(test, read, run) {
  const load = async (entry) => tensorOf(entry, await read(entry.file));
  const inputs = await Promise.all(test.inputs.map(load));
  const wanted = await Promise.all(test.outputs.map(load));
  const runs = test.samples / test.batch;
  const got = wanted.map((tensor) => new ARRAYS[tensor.type](tensor.data.length));
  const times = [];
  for (let index = 0; index < runs; index++) {
    const feeds = inputs.map((tensor) => pieceOf(tensor, index, runs));
    const start = performance.now();
    const results = await run(feeds);
    times.push(performance.now() - start);
    wanted.forEach((tensor, k) => {
      const data = bitsOf(results[tensor.name]);
      const size = tensor.data.length / runs;
      if (data.length !== size) throw new Error(`output ${tensor.name} has ${data.length} values, not ${size}`);
      got[k].set(data, index * size);
    });
  }
  const { passed, largest } = compare(test, wanted, got);
  const text = `self-test: ${passed} of ${test.samples} samples, largest difference ${largest.toExponential(1)}`;
  return { passed: passed === test.samples, text, milliseconds: median(times), inputs, wanted };
}

// How many samples pass, and the largest difference of all. A sample passes when all its outputs are within the
// tolerance, integers equal. The kernels of another CPU round int8 in another way: a few samples of a classifier may
// be beyond it, if their largest score stays where it was.
export function compare(test, wanted, got) {
  const { samples, tolerance } = test;
  const within = new Array(samples).fill(true);
  let largest = 0;
  wanted.forEach((tensor, k) => {
    // Where rows are not samples, all samples of a run stand or fall together.
    const units = tensor.dims[0] === samples ? samples : samples / test.batch;
    const [size, share] = [tensor.data.length / units, samples / units];
    const value = valueOf(tensor.type);
    for (let i = 0; i < tensor.data.length; i++) {
      let fits = tensor.data[i] === got[k][i];
      if (isFloat(tensor.type)) {
        const want = value(tensor.data[i]);
        const off = Math.abs(value(got[k][i]) - want);
        fits = off < Infinity && off <= tolerance.absolute + tolerance.relative * Math.abs(want);
        largest = Math.max(largest, Number.isNaN(off) ? Infinity : off);
      }
      if (!fits) within.fill(false, Math.floor(i / size) * share, (Math.floor(i / size) + 1) * share);
    }
  });
  const [first] = wanted;
  const beyond = within.filter((fits) => !fits).length;
  const isExcused = isClassifier(wanted, samples) && beyond <= (1 - test.labels_agree) * samples + 1e-9;
  const row = (data, index) =>
    Array.from(data.slice(index * first.dims[1], (index + 1) * first.dims[1]), valueOf(first.type));
  const agrees = (index) =>
    row(got[0], index).every(Number.isFinite) && argmax(row(got[0], index)) === argmax(row(first.data, index));
  return { passed: within.filter((fits, index) => fits || (isExcused && agrees(index))).length, largest };
}

// One output with a row of scores for each sample.
export const isClassifier = (tensors, samples) =>
  tensors.length === 1 && tensors[0].dims.length === 2 && tensors[0].dims[0] === samples && isFloat(tensors[0].type);

const isFloat = (type) => type.startsWith("float");
const valueOf = (type) => (type === "float16" ? fromHalf : Number);

// The data of a result; some engines give float16 as an array of its own.
function bitsOf({ type, data }) {
  return type === "float16" ? new Uint16Array(data.buffer, data.byteOffset, data.length) : data;
}

function fromHalf(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}
