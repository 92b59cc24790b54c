"""The part of the page's script that draws the numbers of maps in the colours of their classes, and names them."""

__all__ = ["MAPS_SCRIPT"]

MAPS_SCRIPT = r"""
// Numbers of a map's picture: 0 for no data, k + 1 for class k of the table.
function readNumbers(picture) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const numbers = new Uint8Array(canvas.width * canvas.height);
  for (let i = 0; i < numbers.length; i++) numbers[i] = pixels[4 * i];
  return numbers;
}

// One 32-bit word per number, bytes in the order red, green, blue, alpha.
function colorTable(chosen) {
  const colors = new Uint8Array(4 * 256);
  if (chosen === data.errors) colors.set([214, 20, 60, 255], 4 * 2);
  else data.colors.forEach((color, k) => { if (!hidden.has(k)) colors.set([...color, 255], 4 * (k + 1)); });
  return new Uint32Array(colors.buffer);
}

function drawNumbers(canvas, numbers, width, height, table) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const words = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = table[numbers[i]];
  context.putImageData(picture, 0, 0);
}

function paint({ canvas, choice, title, layer }) {
  const chosen = layers[choice.value];
  layer.hidden = !chosen;
  if (!data.dated) title.textContent = chosen ? (layers.length > 1 ? chosen.name : "Classes") : "Image";
  if (chosen && chosen.numbers) drawNumbers(canvas, chosen.numbers, size.width, size.height, colorTable(chosen));
  askForDetail();
}

// What is known about a point of the scene, from a tile if there is one, else from the overview.
function lookUp(x, y) {
  const found = tileAt(x, y);
  if (found) return found;
  const index = Math.floor(y / data.factor) * size.width + Math.floor(x / data.factor);
  return { factor: data.factor, numbers: layers.map(map => map.numbers[index]) };
}

// The class of every map, and whether the first map is wrong there.
function namesOf(numbers) {
  const label = number => number ? data.labels[number - 1] : "no data";
  if (layers.length === 1) return label(numbers[0]);
  const verdict = data.errors && ["not compared", "right", "wrong"][numbers[layers.length - 1]];
  return [...data.maps.map((map, k) => `${map.name}: ${label(numbers[k])}`), ...(verdict ? [verdict] : [])]
    .join(" \u00b7 ");
}

function tell(x, y) {
  pointed = { x, y };
  const sceneX = (x - view.x) * data.factor / view.scale, sceneY = (y - view.y) * data.factor / view.scale;
  const isReady = layers.every(map => map.numbers);
  if (!isReady || sceneX < 0 || sceneY < 0 || sceneX >= data.width || sceneY >= data.height) {
    readout.textContent = "";
    return;
  }
  const { factor, numbers } = lookUp(sceneX, sceneY);
  const [px, py] = [sceneX, sceneY].map(value => (Math.floor(value / factor) + 0.5) * factor);
  let place = `x ${Math.floor(px)}, y ${Math.floor(py)}`;
  if (data.transform) {
    const [a, b, c, d, e, f] = data.transform;
    const decimals = Math.abs(a) + Math.abs(b) < 0.01 ? 5 : 1;
    place = `${(a * px + b * py + c).toFixed(decimals)}, ${(d * px + e * py + f).toFixed(decimals)}`;
  }
  readout.textContent = `${namesOf(numbers)} \u00b7 ${place}`;
}
"""
