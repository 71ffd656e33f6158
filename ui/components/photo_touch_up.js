// The brush of the photo stage, and a click for whole pieces: mouse, touch and keyboard.

const SIZES = { least: 6, most: 160, first: 44, step: 1.25 } // the brush's diameter in pixels on the screen
const MOST_UNDO = 60
const SEND_AFTER = 200 // milliseconds after the last change
const KEYS = "Touch up. Arrow keys move the brush, Space paints, K keeps, R removes, P is for whole pieces."
const COLOURS = { keep: "rgb(0 158 115 / 0.6)", remove: "rgb(213 94 0 / 0.6)" }

class TouchUp {
  // `stage` has root, frame, canvas, lens, pixels, say(sentence), draw() and send(text).
  constructor(stage) {
    this.stage = stage
    this.frame = stage.frame
    this.tools = stage.root.querySelector(".tools")
    this.sheet = stage.root.querySelector(".strokes")
    this.cursor = stage.root.querySelector(".brush")
    this.size = SIZES.first
    this.tool = "keep"
    this.active = false
    this.forget()
    this.listen()
  }

  listen() {
    const { frame } = this
    frame.addEventListener("pointerdown", event => this.active && this.grab(event))
    frame.addEventListener("pointermove", event => this.active && this.move(event))
    frame.addEventListener("pointerup", event => this.active && this.release(event))
    frame.addEventListener("pointercancel", () => this.drop())
    frame.addEventListener("pointerleave", () => (this.cursor.hidden = true))
    frame.addEventListener("keydown", event => this.active && this.press(event))
    frame.addEventListener("keyup", event => event.key === " " && this.commit())
    frame.addEventListener("blur", () => this.commit())
    for (const button of this.tools.querySelectorAll("[data-tool]")) {
      button.onclick = () => this.choose(button.dataset.tool)
    }
    this.slider = this.tools.querySelector(".size")
    this.slider.oninput = () => this.resize(Number(this.slider.value))
    this.snap = this.tools.querySelector(".snap input")
    this.tools.querySelector(".undo").onclick = () => this.undo()
    this.tools.querySelector(".redo").onclick = () => this.redo()
    this.tools.querySelector(".reset").onclick = () => this.reset()
    this.choose(this.tool)
    this.resize(this.size)
  }

  // Starts or stops editing; the pixels may be others than before.
  show(active) {
    this.active = active
    this.tools.hidden = !active
    this.stage.root.classList.toggle("editing", active)
    if (active) {
      this.frame.setAttribute("tabindex", "0")
      this.frame.setAttribute("role", "application")
      this.frame.setAttribute("aria-label", KEYS)
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) this.frame.removeAttribute(name)
      this.drop()
      this.cursor.hidden = true
    }
    this.report()
  }

  forget() {
    this.done = []
    this.undone = []
    this.points = undefined
    this.place = undefined // of the keyboard's brush, in pixels of the picture
  }

  get pixels() {
    return this.stage.pixels
  }

  // Pixels of the picture for one on the screen.
  get scale() {
    return this.pixels.width / (this.stage.canvas.getBoundingClientRect().width || 1)
  }

  choose(tool) {
    this.tool = tool
    for (const button of this.tools.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-checked", String(button.dataset.tool === tool))
    }
    this.cursor.dataset.tool = tool
  }

  resize(size) {
    this.size = clamp(size, SIZES.least, SIZES.most)
    this.slider.value = this.size
    this.frame.style.setProperty("--brush", `${this.size}px`)
  }

  at(event) {
    const { left, top, width, height } = this.stage.canvas.getBoundingClientRect()
    return [
      ((event.clientX - left) / width) * this.pixels.width,
      ((event.clientY - top) / height) * this.pixels.height,
    ]
  }

  grab(event) {
    if (event.button !== 0 || !this.pixels) return
    if (!event.isPrimary) return this.drop() // a second finger moves the picture
    event.preventDefault()
    this.frame.focus({ preventScroll: true })
    this.frame.setPointerCapture(event.pointerId)
    this.exact = event.altKey
    this.extend(this.at(event))
  }

  move(event) {
    this.hover(event)
    if (this.points && event.isPrimary) {
      for (const step of event.getCoalescedEvents?.() ?? [event]) this.extend(this.at(step))
    }
  }

  release(event) {
    if (event.isPrimary) this.commit()
  }

  hover(event) {
    if (event.pointerType === "touch") return
    this.showCursor(event.clientX, event.clientY)
  }

  showCursor(x, y) {
    const { left, top } = this.frame.getBoundingClientRect()
    this.cursor.hidden = false
    this.cursor.style.translate = `${x - left}px ${y - top}px`
  }

  extend(point) {
    this.place = point
    if (this.tool === "piece") {
      this.points = [point] // the last place counts
      return
    }
    const radius = (this.size * this.scale) / 2
    this.points = [...(this.points ?? []), point]
    const pen = this.sheet.getContext("2d")
    if (this.points.length === 1) Object.assign(this.sheet, { width: this.pixels.width, height: this.pixels.height })
    pen.clearRect(0, 0, this.sheet.width, this.sheet.height)
    pen.strokeStyle = COLOURS[this.tool]
    drawLine(pen, this.points, radius)
  }

  // Changes what the stroke or click has marked.
  commit() {
    const points = this.points
    if (!points) return
    this.drop()
    if (this.tool === "piece") {
      const [x, y] = points[0].map(Math.floor)
      if (x < 0 || y < 0 || x >= this.pixels.width || y >= this.pixels.height) return
      const found = piece(this.pixels, x, y)
      this.change(found.pixels, found.kept ? 1 : -1)
    } else {
      const kept = this.tool === "keep"
      const snaps = this.snap.checked && !this.exact
      this.change(stroked(this.pixels, points, (this.size * this.scale) / 2, kept, snaps), kept ? 1 : -1)
    }
  }

  drop() {
    this.points = undefined
    this.sheet.getContext("2d").clearRect(0, 0, this.sheet.width, this.sheet.height)
  }

  change(places, value) {
    if (!places.length) {
      this.stage.say("Nothing to change here.")
      return
    }
    const { changes } = this.pixels
    const step = { places: Uint32Array.from(places), before: taken(changes, places), value }
    this.done = [...this.done.slice(1 - MOST_UNDO), step]
    this.undone = []
    for (const place of places) changes[place] = value
    const share = (100 * places.length) / changes.length
    const many = share < 0.1 ? "less than 0.1" : share.toFixed(1)
    this.settle(`${value > 0 ? "Added" : "Removed"} ${many} % of the picture.`)
  }

  undo() {
    const last = this.done.pop()
    if (!last) return
    this.undone.push(last)
    last.places.forEach((place, index) => (this.pixels.changes[place] = last.before[index]))
    this.settle("Undone.")
  }

  redo() {
    const last = this.undone.pop()
    if (!last) return
    this.done.push(last)
    for (const place of last.places) this.pixels.changes[place] = last.value
    this.settle("Done again.")
  }

  reset() {
    const { changes } = this.pixels
    const places = Uint32Array.from(changes.keys()).filter(place => changes[place] !== 0)
    this.done.push({ places, before: taken(changes, places), value: 0 })
    this.undone = []
    changes.fill(0)
    this.settle("As the network sees it.")
  }

  settle(sentence) {
    this.pixels.change()
    this.stage.draw()
    this.stage.say(sentence)
    this.report()
    clearTimeout(this.timer)
    const { pixels } = this
    this.timer = setTimeout(async () => {
      this.stage.send(pixels, await packed(pixels.changes, pixels.width, pixels.height))
    }, SEND_AFTER)
  }

  report() {
    this.tools.querySelector(".undo").disabled = !this.done.length
    this.tools.querySelector(".redo").disabled = !this.undone.length
    this.tools.querySelector(".reset").disabled = !this.pixels?.changed
  }

  press(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") event.shiftKey ? this.redo() : this.undo()
      else if (key === "y") this.redo()
      else return
    } else if (key in { k: 0, r: 0, p: 0 }) this.choose({ k: "keep", r: "remove", p: "piece" }[key])
    else if (key === "[") this.resize(this.size / SIZES.step)
    else if (key === "]") this.resize(this.size * SIZES.step)
    else if (key === " " || key === "Enter") this.pressPaint(event)
    else if (key.startsWith("Arrow")) this.step(key, event.shiftKey)
    else return
    event.preventDefault()
    event.stopPropagation() // the arrow keys do not move an enlarged picture here
  }

  pressPaint(event) {
    if (event.repeat || !this.pixels) return
    this.exact = event.altKey
    this.step("")
    this.extend(this.place)
    if (event.key === "Enter") this.commit()
  }

  // Moves the keyboard's brush, by half of its radius or by one pixel.
  step(key, fine = false) {
    const { width, height } = this.pixels
    const way = fine ? 1 : Math.max(1, (this.size * this.scale) / 4)
    const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0]
    const [x, y] = this.place ?? [width / 2, height / 2]
    this.place = [clamp(x + right * way, 0, width - 1), clamp(y + down * way, 0, height - 1)]
    if (this.points) this.extend(this.place)
    const box = this.stage.canvas.getBoundingClientRect()
    this.showCursor(
      box.left + (this.place[0] / width) * box.width,
      box.top + (this.place[1] / height) * box.height,
    )
  }
}

function taken(changes, places) {
  const values = new Int8Array(places.length)
  for (let i = 0; i < places.length; i++) values[i] = changes[places[i]]
  return values
}
