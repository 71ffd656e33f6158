// The arithmetic of one output pixel: hovering or the arrow keys move it, and the numbers follow without a rerun.
// The same engine as unet_core/explain/arithmetic.py.

const MOST_GRIDS = 6 // channels whose windows are shown; the others are summed up
const STRIDE = 8 // pixels that the arrow keys move by with Shift
const views = new WeakMap()

const ACTIVATIONS = {
  none: x => x,
  relu: x => Math.max(x, 0),
  relu6: x => Math.min(Math.max(x, 0), 6),
  sigmoid: x => 1 / (1 + Math.exp(-x)),
}
const NAMES = { relu: "ReLU", relu6: "ReLU6", sigmoid: "sigmoid" }

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".root")
  if (!views.has(root)) views.set(root, new View(root))
  views.get(root).show(data)
}

class Layer {
  constructor(data) {
    Object.assign(this, data)
    const bytes = Uint8Array.from(atob(data.planes), letter => letter.charCodeAt(0))
    this.planes = new Float32Array(bytes.buffer)
    ;[this.channels, this.height, this.width] = data.shape
  }

  value(channel, row, column) {
    return this.planes[(channel * this.height + row) * this.width + column]
  }

  // Calls visit(y, x, channel, weight, padding, value) for each term of an output pixel.
  each(row, column, visit) {
    const phase = (row % this.period) * this.period + (column % this.period)
    const top = Math.floor(row / this.period) * this.step
    const left = Math.floor(column / this.period) * this.step
    for (const [down, right, channel, weight] of this.terms[phase]) {
      let y = top + down
      let x = left + right
      let padding = y < 0 || y >= this.height || x < 0 || x >= this.width
      if (padding && this.outside === "edge") {
        y = Math.min(Math.max(y, 0), this.height - 1)
        x = Math.min(Math.max(x, 0), this.width - 1)
        padding = false
      }
      visit(y, x, channel, weight, padding, padding ? 0 : this.value(channel, y, x))
    }
  }

  reads(row, column) {
    const found = []
    this.each(row, column, (y, x, channel, weight, padding, value) =>
      found.push({ y, x, channel, weight, padding, value }),
    )
    return found
  }

  total(row, column) {
    const largest = this.reduce === "max"
    let total = largest ? -Infinity : 0
    this.each(row, column, (y, x, channel, weight, padding, value) => {
      total = largest ? Math.max(total, value) : total + value * weight
    })
    return total
  }

  result(total) {
    return ACTIVATIONS[this.activation](total + this.bias)
  }
}

class View {
  constructor(root) {
    this.root = root
    this.input = root.querySelector(".input")
    this.output = root.querySelector(".output")
    const frame = this.output.querySelector(".frame")
    frame.onpointermove = event => this.point(event)
    frame.onpointerdown = event => this.point(event)
    frame.onkeydown = event => this.press(event)
  }

  show(data) {
    if (data.token === this.token) return
    this.token = data.token
    const before = this.layer
    this.layer = new Layer(data)
    const [height, width] = this.layer.size
    const kept = before && before.size[0] === height && before.size[1] === width
    if (!kept) this.at = [Math.floor(height * 0.45), Math.floor(width * 0.5)]
    this.input.querySelector("figcaption").textContent = data.names.input
    this.output.querySelector("figcaption").textContent = data.names.output
    this.output.querySelector(".frame").setAttribute("aria-label", `${data.names.output}. The arrow keys move the pixel`)
    this.drawInput()
    this.drawOutput()
    this.update()
  }

  drawInput() {
    const { layer } = this
    const shown = layer.colour ? [0, 1, 2] : Array(3).fill(layer.strongest)
    const sources = shown.map(channel => spread(layer, channel))
    paint(this.input.querySelector("canvas"), layer.width, layer.height, (row, column) =>
      sources.map(([low, factor], at) => (layer.value(shown[at], row, column) - low) * factor),
    )
  }

  drawOutput() {
    const [height, width] = this.layer.size
    const values = new Float32Array(height * width)
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++)
        values[row * width + column] = this.layer.result(this.layer.total(row, column))
    const [low, factor] = range(values)
    paint(this.output.querySelector("canvas"), width, height, (row, column) =>
      Array(3).fill((values[row * width + column] - low) * factor),
    )
  }

  point(event) {
    if (event.pointerType === "touch" && event.type === "pointermove" && !event.isPrimary) return
    const { left, top, width, height } = this.output.querySelector("canvas").getBoundingClientRect()
    const [rows, columns] = this.layer.size
    this.go(Math.floor(((event.clientY - top) / height) * rows), Math.floor(((event.clientX - left) / width) * columns))
  }

  press(event) {
    const by = event.shiftKey ? STRIDE : 1
    const steps = { ArrowUp: [-by, 0], ArrowDown: [by, 0], ArrowLeft: [0, -by], ArrowRight: [0, by] }
    const step = steps[event.key]
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return
    event.preventDefault()
    this.go(this.at[0] + step[0], this.at[1] + step[1])
  }

  go(row, column) {
    const [rows, columns] = this.layer.size
    const next = [Math.min(Math.max(row, 0), rows - 1), Math.min(Math.max(column, 0), columns - 1)]
    if (next[0] === this.at[0] && next[1] === this.at[1]) return
    this.at = next
    this.update()
  }

  update() {
    const { layer, at } = this
    const reads = layer.reads(...at)
    outline(this.output, layer.size, [at[0], at[0]], [at[1], at[1]])
    const rows = reads.map(read => read.y)
    const columns = reads.map(read => read.x)
    const along = places => [Math.min(...places), Math.max(...places)]
    outline(this.input, [layer.height, layer.width], along(rows), along(columns))
    const groups = grouped(reads, layer.reduce)
    this.root.querySelector(".sum").replaceChildren(...this.words(reads, groups))
    this.root.querySelector(".grids").replaceChildren(...groups.slice(0, MOST_GRIDS).map(group => this.grid(group)))
  }

  words(reads, groups) {
    const { layer, at } = this
    const total = layer.total(...at)
    const parts = [`Pixel (row ${at[0]}, column ${at[1]}): `]
    if (layer.reduce === "max") parts.push(`the largest of ${reads.length} values is `, bold(written(total)))
    else if (reads.length === 1 && reads[0].weight === 1 && !layer.bias)
      parts.push(`a copy of row ${reads[0].y}, column ${reads[0].x}: `, bold(written(total)))
    else {
      const hidden = groups.slice(MOST_GRIDS)
      const rest = hidden.reduce((sum, group) => sum + group.sum, 0)
      const count = reads.length === 1 ? "1 product" : `the sum of ${reads.length} products`
      parts.push(`${count} is ${written(total)}`)
      if (hidden.length) parts.push(` (${written(rest)} of it from ${hidden.length} channels that are not shown)`)
      if (layer.bias) parts.push(`, + bias ${written(layer.bias)} = ${written(total + layer.bias)}`)
      if (layer.activation !== "none") parts.push(`, ${NAMES[layer.activation]}`)
      parts.push(" → ", bold(written(layer.result(total))))
    }
    const padded = reads.filter(read => read.padding).length
    if (padded) parts.push(`. ${padded} of the values ${padded === 1 ? "is" : "are"} padding, 0.`)
    return parts
  }

  grid(group) {
    const { layer } = this
    const figure = document.createElement("figure")
    figure.className = "grid"
    const caption = document.createElement("figcaption")
    const sum = layer.reduce === "max" || (group.reads.length === 1 && group.reads[0].weight === 1)
    caption.textContent = `${layer.colour ? ["Red", "Green", "Blue"][group.channel] : layer.channelNames[group.channel]}${
      sum ? "" : `: ${written(group.sum)}`
    }`
    const table = document.createElement("table")
    const body = table.createTBody()
    const [low, factor] = spread(layer, group.channel)
    const largest = Math.max(...group.reads.map(read => read.value))
    const across = new Set(group.reads.map(read => read.order[1])).size
    group.reads.forEach((read, index) => {
      const row = index % across ? body.lastElementChild : body.insertRow()
      const cell = row.insertCell()
      cell.textContent = written(read.value)
      const grey = Math.round(Math.min(Math.max((read.value - low) * factor, 0), 255))
      cell.style.background = `rgb(${grey}, ${grey}, ${grey})`
      cell.style.color = grey > 127 ? "#000" : "#fff"
      if (read.padding) {
        cell.className = "padding"
        cell.style.background = cell.style.color = ""
        cell.title = "padding"
      }
      if (layer.reduce === "max" && read.value === largest) cell.className = "largest"
      else if (layer.reduce !== "max" && read.weight !== 1) {
        const weight = document.createElement("span")
        weight.textContent = `× ${written(read.weight)}`
        cell.append(weight)
      }
    })
    figure.append(caption, table)
    return figure
  }
}

// By channel, the largest contribution first; each window row by row.
function grouped(reads, reduce) {
  const found = new Map()
  reads.forEach((read, index) => {
    read.order = [read.y, read.x]
    if (!found.has(read.channel)) found.set(read.channel, { channel: read.channel, reads: [], sum: 0 })
    const group = found.get(read.channel)
    group.reads.push(read)
    group.sum += read.value * read.weight
  })
  const groups = [...found.values()]
  for (const group of groups) group.reads.sort((one, other) => one.y - other.y || one.x - other.x)
  if (groups.length > 3 && reduce !== "max") groups.sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum))
  return groups
}

function outline(figure, [height, width], rows, columns) {
  const style = figure.querySelector(".window").style
  const percent = (part, whole) => `${(100 * part) / whole}%`
  style.left = percent(columns[0], width)
  style.top = percent(rows[0], height)
  style.width = percent(columns[1] - columns[0] + 1, width)
  style.height = percent(rows[1] - rows[0] + 1, height)
}

function paint(canvas, width, height, colour) {
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext("2d")
  const picture = context.createImageData(width, height)
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      picture.data.set([...colour(row, column), 255], 4 * (row * width + column))
  context.putImageData(picture, 0, 0)
}

// The least value, and the factor that spreads the values over 0 to 255.
function range(values) {
  let [low, high] = [Infinity, -Infinity]
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  return [low, high > low ? 255 / (high - low) : 0]
}

function spread(layer, channel) {
  layer.ranges ??= {}
  const size = layer.height * layer.width
  layer.ranges[channel] ??= layer.colour
    ? [layer.colour[0], 255 / (layer.colour[1] - layer.colour[0])]
    : range(layer.planes.subarray(channel * size, (channel + 1) * size))
  return layer.ranges[channel]
}

function written(value) {
  const digits = Math.abs(value) >= 100 ? 1 : 3
  return value.toFixed(digits).replace("-", "−")
}

function bold(text) {
  const element = document.createElement("b")
  element.textContent = text
  return element
}
