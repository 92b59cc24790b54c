"""The part of the page's script that shows tiles where the overview is too coarse.

Each layer has a canvas of the size of the stage for this. It is drawn anew whenever the view changes: first the
overview, then the tiles that are there. Tiles come from the page itself, or from scripts in the folder beside it.
"""

__all__ = ["TILES_SCRIPT"]

TILES_SCRIPT = r"""
const MOST_TILES = 256;  // kept in memory; more than a large screen shows
const embeddedTiles = data.tiles && !data.tiles.folder ? JSON.parse($("tiles").textContent) : null;
const tiles = new Map();  // key, "factor/row/column", to tile
const asked = new Map();  // key to what takes the pictures of a tile that is on its way
let drawing = 0, isAsked = false;

// Called by the scripts in the folder.
window.viewerTile = (key, pictures) => { if (asked.has(key)) asked.get(key)(pictures); };

function picturesOf(key) {
  if (embeddedTiles) return Promise.resolve(embeddedTiles[key]);
  return new Promise((done, failed) => {
    asked.set(key, done);
    const script = document.createElement("script");
    const finish = () => { script.remove(); asked.delete(key); failed(new Error(key)); };  // too late to fail if done
    script.onload = script.onerror = finish;
    script.src = `${data.tiles.folder}/${key}.js`;
    document.head.append(script);
  });
}

function loaded(source) {
  return new Promise((done, failed) => {
    const picture = new Image();
    picture.onload = () => done(picture);
    picture.onerror = failed;
    picture.src = source;
  });
}

async function loadTile(key) {
  const tile = { used: drawing, picture: null, before: null, numbers: null, painted: new Map() };
  tiles.set(key, tile);
  try {
    const pictures = await Promise.all((await picturesOf(key)).map(loaded));
    tile.numbers = pictures.slice(data.dated ? 2 : 1).map(readNumbers);
    tile.before = data.dated ? pictures[1] : null;
    tile.picture = pictures[0];
  } catch (error) {
    $("missing").textContent = "Some details are missing" +
      (data.tiles.folder ? `: the folder ${decodeURIComponent(data.tiles.folder)} must be beside this page.` : ".");
    $("missing").hidden = false;
    return;
  }
  askForDetail();
  if (pointed) tell(pointed.x, pointed.y);
}

// Pixels of the scene per pixel of the level to show: the coarsest one that is not blurred on this screen.
function levelFactor() {
  const screenPixels = devicePixelRatio * view.scale / data.factor;  // per pixel of the scene
  if (!data.tiles || data.factor * screenPixels <= 1) return data.factor;
  return data.tiles.factors.filter(factor => factor * screenPixels <= 1).pop() || data.tiles.factors[0];
}

function tileAt(x, y) {
  const factor = levelFactor();
  if (factor === data.factor) return null;
  const column = Math.floor(x / factor), row = Math.floor(y / factor), side = data.tiles.size;
  const tile = tiles.get(`${factor}/${Math.floor(row / side)}/${Math.floor(column / side)}`);
  if (!tile || !tile.picture) return null;
  const index = (row % side) * tile.picture.naturalWidth + column % side;
  return { factor, numbers: tile.numbers.map(numbers => numbers[index]) };
}

function visibleTiles(factor) {
  const span = data.tiles.size * factor, screen = view.scale / data.factor, found = [];
  const range = (start, length, all) => [Math.max(0, Math.floor(-start / screen / span)),
    Math.min(Math.ceil(all / span) - 1, Math.floor((length - start) / screen / span))];
  const [left, right] = range(view.x, stage.clientWidth, data.width);
  const [top, bottom] = range(view.y, stage.clientHeight, data.height);
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      found.push({ key: `${factor}/${row}/${column}`, x: column * span, y: row * span });
    }
  }
  return found;
}

function paintedTile(tile, map) {
  if (!tile.painted.has(map)) {
    const canvas = document.createElement("canvas");
    const { naturalWidth, naturalHeight } = tile.picture;
    drawNumbers(canvas, tile.numbers[layers.indexOf(map)], naturalWidth, naturalHeight, colorTable(map));
    tile.painted.set(map, canvas);
  }
  return tile.painted.get(map);
}

function repaintTiles() {
  for (const tile of tiles.values()) tile.painted.clear();
}

// Edges are rounded to pixels of the screen, so that no seams show between tiles.
function drawLayer(layer, overview, shown, factor, pictureOf) {
  const canvas = layer.querySelector(".detail"), context = canvas.getContext("2d");
  const screen = devicePixelRatio * view.scale / data.factor;
  canvas.width = Math.round(stage.clientWidth * devicePixelRatio);
  canvas.height = Math.round(stage.clientHeight * devicePixelRatio);
  const draw = (picture, x, y, width, height) => {
    const [left, right] = [x, x + width].map(edge => Math.round(devicePixelRatio * view.x + edge * screen));
    const [top, bottom] = [y, y + height].map(edge => Math.round(devicePixelRatio * view.y + edge * screen));
    context.clearRect(left, top, right - left, bottom - top);
    context.drawImage(picture, left, top, right - left, bottom - top);
  };
  context.imageSmoothingEnabled = data.factor * screen < 2;
  draw(overview, 0, 0, size.width * data.factor, size.height * data.factor);
  context.imageSmoothingEnabled = factor * screen < 2;
  for (const { tile, x, y } of shown) {
    draw(pictureOf(tile), x, y, tile.picture.naturalWidth * factor, tile.picture.naturalHeight * factor);
  }
}

function drawDetail() {
  isAsked = false;
  drawing++;
  const factor = levelFactor(), isDetailed = factor < data.factor;
  stage.classList.toggle("detailed", isDetailed);
  if (!isDetailed) {
    document.body.dataset.detail = "overview";
    return;
  }
  const wanted = visibleTiles(factor);
  for (const { key } of wanted) {
    if (!tiles.has(key)) loadTile(key);
    tiles.get(key).used = drawing;
  }
  const shown = wanted.map(place => ({ ...place, tile: tiles.get(place.key) })).filter(({ tile }) => tile.picture);
  drawLayer(image.closest(".layer"), image, shown, factor, tile => tile.picture);
  if (before) drawLayer(before.closest(".layer"), before, shown, factor, tile => tile.before);
  for (const { layer, canvas, choice } of [left, right]) {
    const map = layers[choice.value];
    if (map && map.numbers) drawLayer(layer, canvas, shown, factor, tile => paintedTile(tile, map));
  }
  document.body.dataset.detail = `${factor}: ${shown.length} of ${wanted.length}`;
  forgetTiles();
}

function forgetTiles() {
  const oldest = [...tiles].filter(([, tile]) => tile.used < drawing).sort(([, a], [, b]) => a.used - b.used);
  for (const [key] of oldest.slice(0, Math.max(0, tiles.size - MOST_TILES))) tiles.delete(key);
}

function askForDetail() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(drawDetail);
}
"""
