// A canvas to draw on or to show an image in, and the model's input that it makes.

// Pixels along the longer side that are pleasant to draw on; each pixel of the input is a square of the canvas.
const LONGER_SIDE = 280;

export class Picture {
  // `format`: { channels, height, width, layout, mean, std }; `onChange` is called after every change.
  constructor(canvas, format, onChange) {
    Object.assign(this, { canvas, format, onChange, pen: 8, exact: null });
    this.factor = Math.max(1, Math.ceil(LONGER_SIDE / Math.max(format.height, format.width)));
    canvas.width = format.width * this.factor;
    canvas.height = format.height * this.factor;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.fill();
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      this.last = this.place(event);
      this.stroke(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const events = event.getCoalescedEvents?.() ?? [];
      (events.length ? events : [event]).forEach((one) => this.stroke(one));
    });
    canvas.addEventListener("pointerup", (event) => this.stroke(event));
  }

  clear() {
    this.fill();
    this.changed(null);
  }

  invert() {
    const image = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    image.data.forEach((value, i) => {
      if (i % 4 !== 3) image.data[i] = 255 - value;
    });
    this.context.putImageData(image, 0, 0);
    this.changed(null);
  }

  // Shows the largest part of an image that has the right proportions, from its centre.
  async load(blob) {
    const image = await createImageBitmap(blob);
    const { width, height } = this.canvas;
    const scale = Math.max(width / image.width, height / image.height);
    const [w, h] = [image.width * scale, image.height * scale];
    this.fill();
    this.context.imageSmoothingEnabled = true;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
    this.changed(null);
  }

  // Shows a sample, which the model then gets as it is.
  show(values) {
    this.context.imageSmoothingEnabled = false;
    const small = drawSample(document.createElement("canvas"), values, this.format);
    this.context.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    this.changed(values);
  }

  // The input of one sample: the mean of each square, less the mean of the data set, over its deviation.
  values() {
    if (this.exact) return this.exact;
    const { channels, height, width, layout, mean, std } = this.format;
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const values = new Float32Array(channels * height * width);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const colour = this.square(data, y, x);
        const parts = channels === 3 ? colour : [0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]];
        parts.forEach((part, c) => {
          const place = placeOf(layout, channels, height, width, c, y, x);
          values[place] = (part / 255 - (mean[c] ?? mean[0])) / (std[c] ?? std[0]);
        });
      }
    }
    return values;
  }

  square(data, y, x) {
    const sum = [0, 0, 0];
    for (let row = y * this.factor; row < (y + 1) * this.factor; row++) {
      for (let column = x * this.factor; column < (x + 1) * this.factor; column++) {
        const start = 4 * (row * this.canvas.width + column);
        for (let c = 0; c < 3; c++) sum[c] += data[start + c];
      }
    }
    return sum.map((total) => total / this.factor ** 2);
  }

  fill() {
    this.context.fillStyle = "black";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * this.canvas.width) / box.width,
      ((event.clientY - box.top) * this.canvas.height) / box.height,
    ];
  }

  stroke(event) {
    const { context } = this;
    context.strokeStyle = "white";
    context.lineCap = "round";
    context.lineWidth = (this.pen * Math.max(this.canvas.width, this.canvas.height)) / 100;
    context.beginPath();
    context.moveTo(...this.last);
    this.last = this.place(event);
    context.lineTo(...this.last);
    context.stroke();
    this.changed(null);
  }

  changed(exact) {
    this.exact = exact;
    this.onChange();
  }
}

// Draws one sample pixel by pixel; the canvas takes its size.
export function drawSample(canvas, values, { channels, height, width, layout, mean, std }) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const channel = channels === 3 ? c : 0;
        const value = values[placeOf(layout, channels, height, width, channel, y, x)];
        const level = value * (std[channel] ?? std[0]) + (mean[channel] ?? mean[0]);
        image.data[4 * (y * width + x) + c] = Math.round(255 * level);
      }
      image.data[4 * (y * width + x) + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function placeOf(layout, channels, height, width, c, y, x) {
  return layout === "NCHW" ? (c * height + y) * width + x : (y * width + x) * channels + c;
}
