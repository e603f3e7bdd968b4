// The panels of a case, drawn on canvases at the image's own size.
"use strict";

const HIT = [0, 114, 178], ALARM = [230, 159, 0], MISS = [0, 0, 0], CALLED = [86, 180, 233], LINE = [240, 228, 66];
// matplotlib's cividis at nine places, told apart with any kind of colour vision
const CIVIDIS = [
  [0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [125, 124, 120], [155, 148, 118], [188, 174, 108],
  [222, 201, 88], [254, 232, 56],
];

/** Colours of the whole values from 0 to 255, one after the other. */
const SCALE = Uint8Array.from({ length: 3 * 256 }, (_, i) => {
  const place = (Math.floor(i / 3) / 255) * (CIVIDIS.length - 1), at = Math.min(Math.floor(place), 7), t = place - at;
  return Math.round(CIVIDIS[at][i % 3] * (1 - t) + CIVIDIS[at + 1][i % 3] * t);
});

/** Pixels of a photograph at height x width, RGBA. */
function photograph(image, height, width) {
  const canvas = Object.assign(document.createElement("canvas"), { height, width });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function mixed(data, at, colour, share) {
  data[at] = data[at] * (1 - share) + colour[0] * share;
  data[at + 1] = data[at + 1] * (1 - share) + colour[1] * share;
  data[at + 2] = data[at + 2] * (1 - share) + colour[2] * share;
}

const copied = (photo) => new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);

/** Pale grey, on which blue, orange and black stand out. */
function pale(photo) {
  const out = copied(photo), { data } = out;
  for (let i = 0; i < data.length; i += 4) data[i] = data[i + 1] = data[i + 2] = (data[i] + data[i + 1] + data[i + 2]) / 6 + 110;
  return out;
}

const PAINTERS = {
  image: copied,
  truth: (photo, { mask }) => {
    const out = pale(photo);
    for (let i = 0; i < mask.length; i++) if (mask[i] === 1) mixed(out.data, 4 * i, HIT, 0.7);
    return unknown(out, mask);
  },
  probability: (photo, { values, mask }) => {
    const out = copied(photo), { data } = out; // for its opacity
    for (let i = 0; i < values.length; i++) {
      const at = 3 * Math.round(values[i]);
      data[4 * i] = SCALE[at], data[4 * i + 1] = SCALE[at + 1], data[4 * i + 2] = SCALE[at + 2];
    }
    return unknown(out, mask);
  },
  prediction: (photo, { values, mask }, limit) => {
    const out = copied(photo);
    for (let i = 0; i < values.length; i++) if (values[i] > limit) mixed(out.data, 4 * i, CALLED, 0.6);
    return unknown(out, mask);
  },
  errors: (photo, { values, mask }, limit) => {
    const out = pale(photo);
    for (let i = 0; i < values.length; i++) {
      const called = values[i] > limit, real = mask[i] === 1;
      if (called || real) mixed(out.data, 4 * i, called ? (real ? HIT : ALARM) : MISS, 0.75);
    }
    return unknown(out, mask);
  },
};

/** Hatches what nobody knows. */
function unknown(out, mask) {
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] !== 255) continue;
    const stripe = (Math.floor(i / out.width) + (i % out.width)) % 8 < 4 ? 150 : 190;
    out.data.fill(stripe, 4 * i, 4 * i + 3);
  }
  return out;
}

/** The line between landslide and none along the edges of its pixels; made once for a case. */
function border({ mask, height, width }, scale) {
  const real = (y, x) => y >= 0 && x >= 0 && y < height && x < width && mask[y * width + x] === 1;
  const path = new Path2D();
  const segment = (x, y, u, v) => (path.moveTo(scale * x, scale * y), path.lineTo(scale * u, scale * v));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (!real(y, x)) continue;
      if (!real(y - 1, x)) segment(x, y, x + 1, y);
      if (!real(y + 1, x)) segment(x, y + 1, x + 1, y + 1);
      if (!real(y, x - 1)) segment(x, y, x, y + 1);
      if (!real(y, x + 1)) segment(x + 1, y, x + 1, y + 1);
    }
  return path;
}

/** Draws it with a dark rim, for bright ground. */
function outline(context, prepared, scale) {
  const unit = (scale * Math.max(prepared.height, prepared.width)) / FINE;
  prepared.border ??= border(prepared, scale);
  context.lineCap = "square";
  for (const [colour, thick] of [["rgb(0 0 0 / 55%)", 4], [`rgb(${LINE})`, 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = thick * unit;
    context.stroke(prepared.border);
  }
}

const FINE = 480; // a panel has at least so many pixels on its longest side, for the line's sake

/** Draws one panel; `kind` is a key of PAINTERS. */
function paint(canvas, kind, photo, prepared, threshold, lined) {
  const { height, width } = prepared, scale = Math.max(1, Math.ceil(FINE / Math.max(height, width)));
  const native = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  native.getContext("2d").putImageData(PAINTERS[kind](photo, prepared, LEVELS * threshold), 0, 0);
  Object.assign(canvas, { width: scale * width, height: scale * height });
  context.imageSmoothingEnabled = false;
  context.drawImage(native, 0, 0, canvas.width, canvas.height);
  if (lined && kind !== "truth" && kind !== "errors") outline(context, prepared, scale);
}
