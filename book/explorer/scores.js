// What the page computes from an image's 8-bit probabilities. The arithmetic is that of scgcnet/explain/case_numbers.py,
// operation for operation in 64 bits, so that both come to the same counts.
"use strict";

const LEVELS = 255;
const WIDTH = 4; // pixels: the bands in which outlines are compared
const FOUND = 0.5; // a landslide is found if at least this share of its pixels is
const UNKNOWN = 255; // in a mask

/** Bytes of base64 text that holds zlib data: a map's differences along rows and columns, which wrap at 256. */
async function unpack(text, columns) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  for (let i = 0; i < bytes.length; i++) if (i % columns) bytes[i] += bytes[i - 1];
  for (let i = columns; i < bytes.length; i++) bytes[i] += bytes[i - columns];
  return bytes;
}

/** For each new pixel the two old ones that it lies between, and how far from the first to the second. */
function places(old, size) {
  const first = new Int32Array(size), second = new Int32Array(size), part = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const place = Math.max((i + 0.5) * (old / size) - 0.5, 0);
    first[i] = Math.min(Math.floor(place), old - 1);
    second[i] = Math.min(first[i] + 1, old - 1);
    part[i] = place - first[i];
  }
  return { first, second, part };
}

/** Bilinear values from 0 to 255 at height x width, of a stored rows x columns. */
function enlarge(small, rows, columns, height, width) {
  const down = places(rows, height), across = places(columns, width);
  const wide = new Float64Array(rows * width), out = new Float64Array(height * width);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < width; x++) {
      const t = across.part[x], row = y * columns;
      wide[y * width + x] = small[row + across.first[x]] * (1 - t) + small[row + across.second[x]] * t;
    }
  for (let y = 0; y < height; y++) {
    const t = down.part[y], top = down.first[y] * width, bottom = down.second[y] * width;
    for (let x = 0; x < width; x++) out[y * width + x] = wide[top + x] * (1 - t) + wide[bottom + x] * t;
  }
  return out;
}

/** The least value within WIDTH pixels in rows and columns; beyond the image it is 0. */
function erode(values, height, width) {
  const along = new Float64Array(values.length), out = new Float64Array(values.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let least = x < WIDTH || x >= width - WIDTH ? 0 : Infinity;
      for (let i = Math.max(x - WIDTH, 0); i <= Math.min(x + WIDTH, width - 1); i++)
        least = Math.min(least, values[y * width + i]);
      along[y * width + x] = least;
    }
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let least = y < WIDTH || y >= height - WIDTH ? 0 : Infinity;
      for (let i = Math.max(y - WIDTH, 0); i <= Math.min(y + WIDTH, height - 1); i++)
        least = Math.min(least, along[i * width + x]);
      out[y * width + x] = least;
    }
  return out;
}

/** Number of each pixel's landslide, from 1 (pixels that touch at a corner belong together), and how many there are. */
function patches(mask, height, width) {
  const labels = new Int32Array(mask.length), stack = [];
  let count = 0;
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] !== 1 || labels[start]) continue;
    labels[start] = ++count;
    stack.push(start);
    while (stack.length) {
      const at = stack.pop(), y = Math.floor(at / width), x = at % width;
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++)
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++) {
          const next = v * width + u;
          if (mask[next] === 1 && !labels[next]) labels[next] = count, stack.push(next);
        }
    }
  }
  return { labels, count };
}

/** What does not change with the threshold: call once for each image and model. */
function prepare(mask, small, rows, columns, height, width) {
  const values = enlarge(small, rows, columns, height, width);
  for (let i = 0; i < mask.length; i++) if (mask[i] === UNKNOWN) values[i] = 0;
  const truth = Float64Array.from(mask, (value) => (value === 1 ? 1 : 0));
  const inner = erode(truth, height, width);
  const band = Uint8Array.from(truth, (value, i) => (value && inner[i] < 1 ? 1 : 0));
  return { mask, values, least: erode(values, height, width), band, ...patches(mask, height, width), height, width };
}

/** Counts and scores at a threshold, a probability; IoU of two empty maps is 1. */
function score(prepared, threshold) {
  const { mask, values, least, band, labels, count } = prepared, limit = LEVELS * threshold;
  let tp = 0, fp = 0, truth = 0, hits = 0, bands = 0, predicted = 0;
  const whole = new Int32Array(count + 1), part = new Int32Array(count + 1);
  for (let i = 0; i < mask.length; i++) {
    const called = values[i] > limit, real = mask[i] === 1;
    if (real) truth++, whole[labels[i]]++;
    if (band[i]) bands++;
    if (!called) continue;
    if (real) tp++, part[labels[i]]++;
    else fp++;
    if (least[i] <= limit) predicted++, (hits += band[i]);
  }
  let found = 0;
  for (let k = 1; k <= count; k++) if (part[k] >= FOUND * whole[k]) found++;
  const fn = truth - tp;
  return { tp, fp, fn, found, landslides: count, ...ratios(tp, fp, fn, hits, bands + predicted - hits) };
}

/** Scores of counts, fractions of 1. */
function ratios(tp, fp, fn, hits, union) {
  const empty = tp + fp + fn === 0 ? 1 : 0;
  return {
    iou: empty || tp / (tp + fp + fn),
    precision: tp + fp ? tp / (tp + fp) : empty,
    recall: tp + fn ? tp / (tp + fn) : empty,
    f1: empty || (2 * tp) / (2 * tp + fp + fn),
    boundary: union ? hits / union : 1,
  };
}

/** The same for the list, from the counts that are stored for 0.01, 0.02, ... 0.99; `step` is in hundredths. */
function stored(item, curves, step) {
  const k = step - 1, tp = curves.tp[k], fp = curves.fp[k], fn = item.truth - tp, hits = curves.hits[k];
  return { tp, fp, fn, ...ratios(tp, fp, fn, hits, item.band + curves.band[k] - hits) };
}
