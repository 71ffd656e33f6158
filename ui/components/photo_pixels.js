// A photo's pixels composed with its outline and mask. Pictures are flat arrays; RGBA means four bytes a pixel.

const CELL = 4 // pixels a side of the cells in which mean colours are taken
const NEAR = 2 // cells: the reach of mean colours
const FAR = 10 // cells: their reach where nothing is near

// Returns the photo's subject, RGBA. Where the outline is soft, the photo mixes subject and background; the subject's
// own colour is estimated there, so that no rim of the old background is cut out with it (Forte, Approximate Fast
// Foreground Colour Estimation, 2021).
function cutOut(photo, alpha, width, height) {
  const result = new Uint8ClampedArray(photo.length)
  const inside = new MeanColours(photo, alpha, width, height)
  const outside = new MeanColours(photo, alpha.map(value => 255 - value), width, height)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const opacity = alpha[i]
      if (opacity === 0) continue
      const at = 4 * i
      result[at + 3] = opacity
      const share = opacity / 255
      const known = opacity < 255 && inside.at(x, y) && outside.at(x, y)
      for (let channel = 0; channel < 3; channel++) {
        const seen = photo[at + channel]
        const subject = inside.colour[channel]
        result[at + channel] = known
          ? subject + share * (seen - share * subject - (1 - share) * outside.colour[channel])
          : seen
      }
    }
  }
  return result
}

// Mean colours of a photo's neighbourhoods, weighted by 0…255 a pixel.
class MeanColours {
  constructor(photo, weights, width, height) {
    this.columns = Math.ceil(width / CELL)
    this.rows = Math.ceil(height / CELL)
    this.colour = [0, 0, 0]
    const sums = [0, 1, 2, 3].map(() => new Float32Array(this.columns * this.rows))
    for (let y = 0, i = 0; y < height; y++) {
      const row = Math.floor(y / CELL) * this.columns
      for (let x = 0; x < width; x++, i++) {
        const weight = weights[i]
        if (weight === 0) continue
        const cell = row + Math.floor(x / CELL)
        sums[3][cell] += weight
        for (let channel = 0; channel < 3; channel++) sums[channel][cell] += weight * photo[4 * i + channel]
      }
    }
    this.near = sums.map(sum => blurred(sum, this.columns, this.rows, NEAR))
    this.far = sums.map(sum => blurred(sum, this.columns, this.rows, FAR))
  }

  // Puts the mean colour around a pixel into `colour`, interpolated; returns whether there is one.
  at(x, y) {
    return this.mix(this.near, x, y) || this.mix(this.far, x, y)
  }

  mix(sums, x, y) {
    const across = clamp((x + 0.5) / CELL - 0.5, 0, this.columns - 1)
    const down = clamp((y + 0.5) / CELL - 0.5, 0, this.rows - 1)
    const left = Math.floor(across)
    const top = Math.floor(down)
    const right = Math.min(left + 1, this.columns - 1)
    const bottom = Math.min(top + 1, this.rows - 1)
    const along = across - left
    const below = down - top
    const value = sum =>
      (1 - below) * ((1 - along) * sum[top * this.columns + left] + along * sum[top * this.columns + right]) +
      below * ((1 - along) * sum[bottom * this.columns + left] + along * sum[bottom * this.columns + right])
    const weight = value(sums[3])
    if (weight < 255) return false // less than one whole pixel
    for (let channel = 0; channel < 3; channel++) this.colour[channel] = value(sums[channel]) / weight
    return true
  }
}

// Returns the mean over a square of 2 · reach + 1, of planes of any numeric type; edges repeat nothing.
function blurred(plane, width, height, reach) {
  const across = averaged(plane, width, height, reach, width, 1)
  return averaged(across, height, width, reach, 1, width)
}

function averaged(plane, length, lines, reach, lineStep, step) {
  const result = new Float32Array(plane.length)
  for (let line = 0; line < lines; line++) {
    const start = line * lineStep
    let sum = 0
    let count = 0
    for (let i = 0; i < Math.min(reach, length); i++, count++) sum += plane[start + i * step]
    for (let i = 0; i < length; i++) {
      if (i + reach < length) (sum += plane[start + (i + reach) * step]), count++
      if (i > reach) (sum -= plane[start + (i - reach - 1) * step]), count--
      result[start + i * step] = sum / count
    }
  }
  return result
}

// Returns the photo without its subject, blurred: RGBA at one pixel a cell, and its size.
function blurredBackground(photo, alpha, width, height) {
  const around = new MeanColours(photo, alpha.map(value => 255 - value), width, height)
  const { columns, rows } = around
  const result = new Uint8ClampedArray(4 * columns * rows)
  const total = around.far[3].reduce((sum, value) => sum + value, 0)
  const mean = [0, 1, 2].map(channel => around.far[channel].reduce((sum, value) => sum + value, 0) / (total || 1))
  const planes = [0, 1, 2].map(channel => {
    const plane = new Float32Array(columns * rows)
    for (let i = 0; i < plane.length; i++) {
      const weight = around.far[3][i]
      const share = Math.min(1, weight / 255)
      plane[i] = share * (around.far[channel][i] / (weight || 1)) + (1 - share) * mean[channel]
    }
    return blurred(plane, columns, rows, FAR >> 1)
  })
  for (let i = 0; i < columns * rows; i++) {
    for (let channel = 0; channel < 3; channel++) result[4 * i + channel] = planes[channel][i]
    result[4 * i + 3] = 255
  }
  return { pixels: result, width: columns, height: rows }
}

// Returns the class colours over a photo, RGBA: `colours` by class id, null leaves the photo. `divided` names a class
// that is shared between two others by the outline: {border, inside, outside}.
function tinted(photo, alpha, mask, { colours, divided, opacity }) {
  const result = new Uint8ClampedArray(photo)
  for (let i = 0; i < mask.length; i++) {
    if (divided?.border === mask[i]) {
      const share = alpha[i] / 255
      blend(result, 4 * i, colours[divided.outside], opacity * (1 - share))
      blend(result, 4 * i, colours[divided.inside], opacity * share)
    } else {
      blend(result, 4 * i, colours[mask[i]], opacity)
    }
  }
  return result
}

function blend(pixels, at, colour, share) {
  if (!colour) return
  for (let channel = 0; channel < 3; channel++) {
    pixels[at + channel] += share * (colour[channel] - pixels[at + channel])
  }
}

// Returns class ids in their colours, RGBA; grey where a class has none.
function flat(mask, colours) {
  const result = new Uint8ClampedArray(4 * mask.length)
  for (let i = 0; i < mask.length; i++) {
    result.set(colours[mask[i]] ?? [128, 128, 128], 4 * i)
    result[4 * i + 3] = 255
  }
  return result
}

// Returns the line around a subject, as a path in pixels.
function subjectLine(alpha, width, height) {
  const path = new Path2D()
  contour(path, blurred(alpha, width, height, calm(width, height)), width, height, 127.5)
  return path
}

// Returns the lines between classes, as a path in pixels: those around every class but the most frequent one.
function classLines(mask, width, height) {
  const present = new Uint32Array(256)
  for (const id of mask) present[id]++
  const ids = [...present.keys()].filter(id => present[id]).sort((a, b) => present[a] - present[b])
  const path = new Path2D()
  for (const id of ids.slice(0, ids.length - 1)) {
    const inside = mask.map(other => (other === id ? 255 : 0))
    contour(path, blurred(inside, width, height, calm(width, height)), width, height, 127.5)
  }
  return path
}

// Returns how many pixels around each are averaged for a line that does not follow every hair.
function calm(width, height) {
  return Math.max(1, Math.round(Math.max(width, height) / 500))
}

// Adds the line where a field crosses a level: marching squares between pixel centres.
function contour(path, field, width, height, level) {
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0; x + 1 < width; x++) {
      const i = y * width + x
      const corners = [field[i], field[i + 1], field[i + width + 1], field[i + width]]
      const above = corners.map(value => value >= level)
      if (above[0] === above[1] && above[1] === above[2] && above[2] === above[3]) continue
      const crossings = []
      for (let side = 0; side < 4; side++) {
        const next = (side + 1) % 4
        if (above[side] === above[next]) continue
        const share = (level - corners[side]) / (corners[next] - corners[side])
        crossings.push([
          x + 0.5 + [share, 1, 1 - share, 0][side],
          y + 0.5 + [0, share, 1, 1 - share][side],
        ])
      }
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
        path.moveTo(...crossings[pair])
        path.lineTo(...crossings[pair + 1])
      }
    }
  }
}
