// The panels of a case, drawn on canvases at the image's own size.
"use strict";

const HIT = [0, 114, 178], ALARM = [230, 159, 0], MISS = [0, 0, 0], CALLED = [86, 180, 233], LINE = [240, 228, 66];
// matplotlib's cividis at nine places, told apart with any kind of colour vision
const CIVIDIS = [
  [0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [125, 124, 120], [155, 148, 118], [188, 174, 108],
  [222, 201, 88], [254, 232, 56],
];

/** Colour of a value from 0 to 255. */
function cividis(value) {
  const place = (Math.min(value, 255) / 255) * (CIVIDIS.length - 1), at = Math.min(Math.floor(place), 7), t = place - at;
  return CIVIDIS[at].map((low, i) => low * (1 - t) + CIVIDIS[at + 1][i] * t);
}

/** Pixels of a photograph at height x width, RGBA. */
function photograph(image, height, width) {
  const canvas = Object.assign(document.createElement("canvas"), { height, width });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function mixed(data, at, colour, share) {
  for (let i = 0; i < 3; i++) data[at + i] = data[at + i] * (1 - share) + colour[i] * share;
}

/** Pale grey, on which blue, orange and black stand out. */
function pale(photo) {
  const out = new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);
  for (let i = 0; i < out.data.length; i += 4) {
    const grey = (out.data[i] + out.data[i + 1] + out.data[i + 2]) / 6 + 110;
    out.data.fill(grey, i, i + 3);
  }
  return out;
}

const PAINTERS = {
  image: (photo) => photo,
  truth: (photo, { mask }) => {
    const out = pale(photo);
    for (let i = 0; i < mask.length; i++) if (mask[i] === 1) mixed(out.data, 4 * i, HIT, 0.7);
    return unknown(out, mask);
  },
  probability: (photo, { values, mask }) => {
    const out = new ImageData(photo.width, photo.height);
    for (let i = 0; i < values.length; i++) out.data.set([...cividis(values[i]), 255], 4 * i);
    return unknown(out, mask);
  },
  prediction: (photo, { values, mask }, limit) => {
    const out = new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);
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

/** Draws the line between landslide and none, as thick as it takes to be seen, with a dark rim on bright ground. */
function outline(context, mask, height, width) {
  const thick = Math.max(1, Math.round(Math.max(height, width) / 260)), rim = Math.max(1, Math.round(thick / 2));
  const real = (y, x) => y >= 0 && x >= 0 && y < height && x < width && mask[y * width + x] === 1;
  const edges = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (real(y, x) && !(real(y - 1, x) && real(y + 1, x) && real(y, x - 1) && real(y, x + 1))) edges.push([x, y]);
  for (const [colour, size] of [["rgb(0 0 0 / 60%)", thick + 2 * rim], [`rgb(${LINE})`, thick]]) {
    context.beginPath();
    for (const [x, y] of edges) context.rect(x - (size >> 1), y - (size >> 1), size, size);
    context.fillStyle = colour;
    context.fill();
  }
}

/** Draws one panel; `kind` is a key of PAINTERS. */
function paint(canvas, kind, photo, prepared, threshold, lined) {
  const { mask, height, width } = prepared;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.putImageData(PAINTERS[kind](photo, prepared, LEVELS * threshold), 0, 0);
  if (lined && kind !== "truth" && kind !== "errors") outline(context, mask, height, width);
}
