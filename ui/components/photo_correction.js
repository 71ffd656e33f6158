// What a visitor changes of a subject's outline: 1 keeps a pixel, -1 removes it, 0 leaves it to the network. Planes are
// flat arrays, one value a pixel.

const MAGIC = [0x55, 0x43, 0x31] // "UC1", then height and width in two bytes each, then the changes, deflated
const HEAD = 7
const CORE = 0.4 // of the brush's radius: what a stroke always changes
const EDGE_COST = 0.6 // of one level of colour or outline between neighbours, in pixels of way
const LEAD = 0.45 // of the brush's radius: how far the stroke is ahead of what is around it
const FAINT = 12 // of 255: the least outline that counts as a piece that the network doubts
const LIKE = 26 // levels: how far a piece's colour may be from the one clicked on
const LARGEST_HOLE = 0.2 // of the picture
const FRINGE = 12 // pixels of a piece's soft edge that go with it
const MARGIN = 2 // pixels beyond it, so that the soft edge of a change leaves no rim

// Returns the strength of changes with soft edges, -1…1, and the box they are in; nothing where nothing is changed.
// The same rule as in unet_core/segment/correction.py.
function softened(changes, width, height) {
  const box = boxOf(changes, width, height)
  if (!box) return undefined
  const { left, top, right, bottom } = grown(box, 1, width, height)
  const strength = new Float32Array(width * height)
  for (let y = top; y < bottom; y++) {
    const rows = [Math.max(y - 1, 0) * width, y * width, Math.min(y + 1, height - 1) * width]
    for (let x = left; x < right; x++) {
      const before = Math.max(x - 1, 0)
      const after = Math.min(x + 1, width - 1)
      const of = row => changes[row + before] + 2 * changes[row + x] + changes[row + after]
      strength[rows[1] + x] = (of(rows[0]) + 2 * of(rows[1]) + of(rows[2])) / 16
    }
  }
  return { strength, left, top, right, bottom }
}

// Returns outline and mask with changes: `ids` are the classes of what is kept, {inside}, and removed, {outside}.
function corrected(alpha, mask, changes, width, height, ids) {
  const soft = softened(changes, width, height)
  if (!soft) return { alpha, mask }
  const result = { alpha: alpha.slice(), mask: mask.slice() }
  for (let y = soft.top; y < soft.bottom; y++) {
    for (let i = y * width + soft.left; i < y * width + soft.right; i++) {
      const change = soft.strength[i]
      const old = alpha[i]
      result.alpha[i] = Math.round(change > 0 ? old + change * (255 - old) : old * (1 + change))
      if (change > 0.5) result.mask[i] = ids.inside
      else if (change < -0.5) result.mask[i] = ids.outside
    }
  }
  return result
}

function boxOf(plane, width, height) {
  const box = { left: width, top: height, right: 0, bottom: 0 }
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (plane[i] === 0) continue
      if (x < box.left) box.left = x
      if (x >= box.right) box.right = x + 1
      if (y < box.top) box.top = y
      box.bottom = y + 1
    }
  }
  return box.right ? box : undefined
}

function grown({ left, top, right, bottom }, by, width, height) {
  return {
    left: Math.max(0, left - by),
    top: Math.max(0, top - by),
    right: Math.min(width, right + by),
    bottom: Math.min(height, bottom + by),
  }
}

// Returns which pixels are nearer than `radius` to a line of points, as a plane of 0 and 1 within a box.
function footprint(points, radius, { left, top, right, bottom }) {
  const [width, height] = [right - left, bottom - top]
  const pen = canvas(width, height).getContext("2d", { willReadFrequently: true })
  pen.translate(-left, -top)
  drawLine(pen, points, radius)
  const { data } = pen.getImageData(0, 0, width, height)
  const inside = new Uint8Array(width * height)
  for (let i = 0; i < inside.length; i++) inside[i] = data[4 * i + 3] > 127 ? 1 : 0
  return inside
}

function drawLine(pen, points, radius) {
  pen.lineWidth = 2 * radius
  pen.lineCap = pen.lineJoin = "round"
  pen.beginPath()
  pen.moveTo(...points[0])
  for (const point of points) pen.lineTo(...point)
  pen.stroke()
}

// Returns the pixels that a stroke changes. Its middle always; beyond, the stroke and what is around it grow towards
// each other, slowly across edges of the photo and of the outline, so that they meet at such an edge if there is one.
// `pixels` has photo, alpha, width and height; `kept` is the wanted outcome.
function stroked(pixels, points, radius, kept, snaps) {
  const { alpha, width, height } = pixels
  const xs = points.map(point => point[0])
  const ys = points.map(point => point[1])
  const touched = {
    left: Math.floor(Math.min(...xs) - radius),
    top: Math.floor(Math.min(...ys) - radius),
    right: Math.ceil(Math.max(...xs) + radius),
    bottom: Math.ceil(Math.max(...ys) + radius),
  }
  const box = grown(touched, 2, width, height)
  if (box.right <= box.left || box.bottom <= box.top) return []
  const reach = footprint(points, radius, box)
  const wide = box.right - box.left
  const global = i => (box.top + Math.floor(i / wide)) * width + box.left + (i % wide)
  const wins = snaps ? grownApart(pixels, reach, footprint(points, CORE * radius, box), radius, kept, box) : reach
  const found = []
  for (let i = 0; i < wins.length; i++) {
    if (wins[i]) found.push(global(i)) // what is right already too: soft edges do not show there
  }
  return found.some(place => alpha[place] !== (kept ? 255 : 0)) ? found : []
}

function grownApart({ photo, alpha, width }, reach, core, radius, kept, { left, top, right, bottom }) {
  const [wide, high] = [right - left, bottom - top]
  const cost = new Float32Array(wide * high).fill(Infinity)
  const owner = new Uint8Array(wide * high) // 1 the stroke, 2 what is around it
  const queue = new Buckets()
  const start = (i, who, at) => {
    cost[i] = at
    owner[i] = who
    queue.push(i, at)
  }
  for (let i = 0; i < wide * high; i++) {
    if (core[i]) start(i, 1, 0)
  }
  const global = i => (top + Math.floor(i / wide)) * width + left + (i % wide)
  const neighbours = i => {
    const x = i % wide
    return [x > 0 ? i - 1 : -1, x + 1 < wide ? i + 1 : -1, i - wide, i + wide].filter(n => n >= 0 && n < wide * high)
  }
  for (let i = 0; i < wide * high; i++) {
    if (reach[i] || alpha[global(i)] > 127 === kept) continue // what is around it and not wanted
    if (neighbours(i).some(next => reach[next])) start(i, 2, LEAD * radius)
  }
  for (let i = queue.pop(); i !== undefined; i = queue.pop()) {
    const here = global(i)
    for (const next of neighbours(i)) {
      if (!reach[next]) continue
      const there = global(next)
      let edge = 2 * Math.abs(alpha[here] - alpha[there])
      for (let channel = 0; channel < 3; channel++) {
        edge = Math.max(edge, Math.abs(photo[4 * here + channel] - photo[4 * there + channel]))
      }
      const way = cost[i] + 1 + EDGE_COST * edge
      if (way < cost[next]) start(next, owner[i], way)
    }
  }
  return owner.map((who, i) => (who === 1 && reach[i] ? 1 : 0))
}

// A queue that returns the cheapest first, to a whole unit.
class Buckets {
  constructor() {
    this.buckets = []
    this.at = 0
  }

  push(item, cost) {
    const bucket = Math.max(this.at, Math.floor(cost))
    ;(this.buckets[bucket] ??= []).push(item)
  }

  pop() {
    for (; this.at < this.buckets.length; this.at++) {
      if (this.buckets[this.at]?.length) return this.buckets[this.at].pop()
    }
    return undefined
  }
}

// Returns the pixels of the piece that a click drops or adds: {pixels, kept}. A subject's piece is dropped; a hole is
// filled; else what the network doubts is added, or what has the colour clicked on.
function piece(pixels, x, y) {
  const { photo, alpha, width, height } = pixels
  const from = y * width + x
  const flood = is => flooded(from, is, width, height)
  if (alpha[from] > 127) {
    const found = flood(i => alpha[i] > 127)
    const fringe = spread(found, FRINGE, i => alpha[i] > 0 && alpha[i] <= 127, width, height)
    return { kept: false, pixels: spread(fringe, MARGIN, i => alpha[i] <= 127, width, height) }
  }
  const outside = flood(i => alpha[i] <= 127)
  if (outside.length < LARGEST_HOLE * alpha.length && !atTheEdge(outside, width, height)) {
    const fringe = spread(outside, FRINGE, i => alpha[i] > 127 && alpha[i] < 255, width, height)
    return { kept: true, pixels: spread(fringe, MARGIN, i => alpha[i] > 127, width, height) }
  }
  const least = Math.max(FAINT, alpha[from] / 2)
  if (alpha[from] > FAINT) return { kept: true, pixels: flood(i => alpha[i] >= least) }
  const colour = around(photo, x, y, width, height)
  const like = i => alpha[i] <= 127 && colour.every((level, channel) => Math.abs(photo[4 * i + channel] - level) < LIKE)
  return { kept: true, pixels: flood(like) }
}

// Returns the pixels that are connected with one by pixels that fulfil a condition.
function flooded(from, is, width, height) {
  const seen = new Uint8Array(width * height)
  const found = new Uint32Array(width * height)
  seen[from] = 1
  found[0] = from
  const count = grow(found, 0, 1, seen, is, width, height)
  return found.slice(0, count)
}

// Returns pixels and those around them that fulfil a condition, up to so many steps away.
function spread(start, steps, is, width, height) {
  const seen = new Uint8Array(width * height)
  const found = new Uint32Array(width * height)
  found.set(start)
  for (const i of start) seen[i] = 1
  let [done, count] = [0, start.length]
  for (let step = 0; step < steps && done < count; step++) {
    const before = count
    count = grow(found, done, count, seen, is, width, height, before)
    done = before
  }
  return found.slice(0, count)
}

// Appends to the pixels found the neighbours of those from `at` on that fulfil a condition, then their neighbours …;
// with `end`, only of those before it. Returns how many pixels there are then.
function grow(found, at, count, seen, is, width, height, end = Infinity) {
  const size = width * height
  for (; at < Math.min(count, end); at++) {
    const i = found[at]
    const x = i % width
    for (let side = 0; side < 4; side++) {
      if ((side === 0 && x === 0) || (side === 1 && x + 1 === width)) continue
      const next = i + (side === 0 ? -1 : side === 1 ? 1 : (2 * side - 5) * width)
      if (next < 0 || next >= size || seen[next] || !is(next)) continue
      seen[next] = 1
      found[count++] = next
    }
  }
  return count
}

function atTheEdge(found, width, height) {
  return found.some(i => i % width === 0 || i % width === width - 1 || i < width || i >= width * (height - 1))
}

function around(photo, x, y, width, height) {
  const sums = [0, 0, 0]
  let count = 0
  for (let row = Math.max(0, y - 2); row <= Math.min(height - 1, y + 2); row++) {
    for (let column = Math.max(0, x - 2); column <= Math.min(width - 1, x + 2); column++, count++) {
      for (let channel = 0; channel < 3; channel++) sums[channel] += photo[4 * (row * width + column) + channel]
    }
  }
  return sums.map(sum => sum / count)
}

// Returns changes as text, which unet_core.segment.correction reads.
async function packed(changes, width, height) {
  const head = new Uint8Array([...MAGIC, height >> 8, height & 255, width >> 8, width & 255])
  const body = await piped(new Uint8Array(changes.buffer), new CompressionStream("deflate"))
  let text = ""
  for (const byte of [...head, ...body]) text += String.fromCharCode(byte)
  return btoa(text)
}

// Returns the changes in a text for a picture of this size, or none if they are for another.
async function unpacked(text, width, height) {
  const none = new Int8Array(width * height)
  if (!text) return none
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0))
  if ((bytes[3] << 8) + bytes[4] !== height || (bytes[5] << 8) + bytes[6] !== width) return none
  const body = await piped(bytes.slice(HEAD), new DecompressionStream("deflate"))
  return body.length === none.length ? new Int8Array(body.buffer) : none
}

async function piped(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer())
}

function canvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height })
}
