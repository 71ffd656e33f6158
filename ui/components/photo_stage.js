// Shows a photo cut out, with its classes, or beside either, composed here from photo, outline and mask: another view,
// background or opacity costs no picture from the server.

const ENCODE_AFTER = 250 // milliseconds without a change until the picture is encoded for dragging it out
const MOST_ZOOM = 12
const ZOOM_STEP = 1.4
const PAN_STEP = 60 // pixels
const LINE = 2 // pixels on the screen
const VEIL = 0.68 // over the background while touching up
const UNREADABLE = "The picture could not be loaded. Reload the page to try again."

const stages = new WeakMap()

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".root")
  if (!stages.has(root)) stages.set(root, new Stage(root))
  stages.get(root).show(data, text => setStateValue("correction", { picture: data.picture, changes: text }))
  return () => stages.get(root)?.end()
}

class Stage {
  constructor(root) {
    this.root = root
    this.frame = root.querySelector(".frame")
    this.canvas = root.querySelector(".drawn")
    this.taken = root.querySelector(".taken")
    this.problem = root.querySelector(".problem")
    this.wipe = new Wipe(root)
    this.lens = new Lens(root, this.frame)
    this.touchUp = new TouchUp(this)
    this.sent = new Set() // corrections that this browser has sent: they may come back late
    this.taken.ondragstart = event => this.dragOut(event)
    const copy = root.querySelector(".copy")
    copy.hidden = !(window.ClipboardItem && navigator.clipboard?.write)
    copy.onclick = () => this.copy()
  }

  show(data, send) {
    this.data = data
    this.tell = send
    this.root.style.setProperty("--ratio", data.ratio)
    this.root.style.setProperty("--real", data.real)
    this.root.setAttribute("aria-label", data.label)
    this.canvas.setAttribute("aria-label", data.label)
    const wiping = data.view === "slider" && !data.editing
    this.root.classList.toggle("wiping", wiping)
    this.wipe.active = wiping
    this.lens.active = !wiping
    this.lens.fingersOnly = data.editing // one pointer paints
    if (wiping) this.lens.fit()
    this.wipe.show({ ...data, label: `Divider: ${data.label}`, names: ["photo", data.after] })
    this.touchUp.show(data.editing)
    this.load().then(pixels => pixels && this.ready()).catch(error => {
      if (this.data !== data) return
      console.error(error)
      this.problem.textContent = UNREADABLE
    })
  }

  // Returns the pixels of the three pictures, or nothing if others are wanted meanwhile.
  async load() {
    const { pictures, backdrop } = this.data
    const name = JSON.stringify(pictures)
    if (this.name !== name) {
      this.name = name
      this.pixels = undefined
      this.root.classList.add("waiting")
      this.lens.fit()
      this.touchUp.forget()
      this.adopted = undefined
      this.root.querySelector(".photo").src = served(pictures.photo)
      this.loading = Promise.all([pictures.photo, pictures.alpha, pictures.mask].map(fetched)).then(Pixels.of)
    }
    if (backdrop.url && this.behind?.url !== backdrop.url) {
      this.behind = { url: backdrop.url, bitmap: await fetched(backdrop.url) }
    }
    const pixels = await this.loading
    if (this.name !== name) return undefined
    await this.adopt(pixels)
    if (this.name !== name) return undefined
    this.pixels = pixels
    return pixels
  }

  // Takes the app's correction, unless it is one that came from here and may be older than what is here.
  async adopt(pixels) {
    const { correction, ids } = this.data
    pixels.ids = ids
    if (this.adopted === correction || (this.adopted !== undefined && this.sent.has(correction))) return
    this.adopted = correction
    pixels.changes.set(await unpacked(correction, pixels.width, pixels.height))
    pixels.change()
  }

  ready() {
    this.draw()
    this.touchUp.report()
  }

  send(pixels, text) {
    if (pixels !== this.pixels) return
    this.sent.add(text)
    this.tell(text)
  }

  draw() {
    const { drawn: asked, backdrop, editing } = this.data
    const shown = editing ? "editing" : asked
    const { width, height } = this.pixels
    Object.assign(this.canvas, { width, height }) // also clears it
    const pen = this.canvas.getContext("2d")
    if (shown === "editing") this.drawWashed(pen)
    else if (shown === "cutout") this.drawCutOut(pen)
    else if (shown === "mask") pen.putImageData(this.pixels.image(this.pixels.flat(this.data.colours)), 0, 0)
    else this.drawOverlay(pen)
    this.root.classList.toggle("clear", shown === "cutout" && backdrop.kind === "transparent")
    this.root.classList.remove("waiting")
    this.problem.textContent = ""
    this.encodeSoon()
  }

  drawCutOut(pen) {
    const { width, height } = this.pixels
    const { kind, colour } = this.data.backdrop
    if (kind === "colour") {
      pen.fillStyle = colour
      pen.fillRect(0, 0, width, height)
    } else if (kind === "blurred") {
      const { pixels, width: columns, height: rows } = this.pixels.blurred()
      cover(pen, sheet(new ImageData(pixels, columns, rows)), width, height)
    } else if (kind === "photo") {
      cover(pen, this.behind.bitmap, width, height)
    }
    pen.drawImage(sheet(this.pixels.image(this.pixels.cutOut())), 0, 0)
  }

  drawOverlay(pen) {
    pen.putImageData(this.pixels.image(this.pixels.tinted(this.data)), 0, 0)
    if (this.data.outline) this.stroke(pen, this.pixels.outlines(this.data))
  }

  // What does not belong to the subject fades into the page.
  drawWashed(pen) {
    pen.putImageData(this.pixels.image(this.pixels.photo.slice()), 0, 0)
    const { width, height, alpha } = this.pixels
    const veil = canvas(width, height)
    const veilPen = veil.getContext("2d")
    veilPen.fillStyle = getComputedStyle(this.root).getPropertyValue("--st-background-color")
    veilPen.fillRect(0, 0, width, height)
    const image = veilPen.getImageData(0, 0, width, height)
    for (let i = 0; i < alpha.length; i++) image.data[4 * i + 3] = VEIL * (255 - alpha[i])
    veilPen.putImageData(image, 0, 0)
    pen.drawImage(veil, 0, 0)
    this.stroke(pen, this.pixels.edge(), getComputedStyle(this.root).getPropertyValue("--st-primary-color"))
  }

  // A light line with a thin dark edge is visible on every photo.
  stroke(pen, path, colour = "#fff") {
    const scale = this.canvas.width / (this.canvas.clientWidth || this.canvas.width)
    pen.lineCap = "round"
    for (const [style, wide] of [["rgb(0 0 0 / 0.4)", LINE + 1.5], [colour, LINE]]) {
      pen.strokeStyle = style
      pen.lineWidth = wide * scale
      pen.stroke(path)
    }
  }

  encodeSoon() {
    this.taken.hidden = true
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.encode(), ENCODE_AFTER)
  }

  // Lays the drawn picture, encoded, over itself: an ordinary picture, which can be dragged out and saved.
  async encode() {
    const started = this.timer
    const file = await encoded(this.canvas)
    if (!file || started !== this.timer) return
    if (this.taken.src) URL.revokeObjectURL(this.taken.src)
    this.taken.src = URL.createObjectURL(file)
    this.taken.alt = this.data.label
    await this.taken.decode().catch(() => {})
    if (started === this.timer) this.taken.hidden = this.data.view === "slider"
  }

  dragOut(event) {
    event.dataTransfer.setData("DownloadURL", `image/png:${this.data.file_name}:${this.taken.src}`)
  }

  async copy() {
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": encoded(this.canvas) })])
      this.say("Copied.")
    } catch {
      this.say("The browser did not allow copying. Use the picture's own menu.")
    }
  }

  say(sentence) {
    this.problem.textContent = sentence
    setTimeout(() => {
      if (this.problem.textContent === sentence) this.problem.textContent = ""
    }, 4000)
  }

  end() {
    clearTimeout(this.timer)
    if (this.taken.src) URL.revokeObjectURL(this.taken.src)
    stages.delete(this.root)
  }
}

// The pixels of a photo, and its outline and mask with a visitor's changes; what is composed is kept until they change.
class Pixels {
  static of([photo, alpha, mask]) {
    const { width, height } = photo
    return new Pixels(width, height, read(photo), grey(read(alpha)), grey(read(mask)))
  }

  constructor(width, height, photo, alpha, mask) {
    Object.assign(this, { width, height, photo, alpha, mask })
    this.found = { alpha, mask } // by the network
    this.changes = new Int8Array(width * height)
    this.kept = new Map()
  }

  // Follows what `changes` is now.
  change() {
    const { width, height, changes, ids } = this
    this.changed = Boolean(ids) && changes.some(value => value !== 0)
    const { alpha, mask } = this.found
    Object.assign(this, this.changed ? corrected(alpha, mask, changes, width, height, ids) : this.found)
    this.kept.clear()
  }

  keep(name, make) {
    if (!this.kept.has(name)) this.kept.set(name, make())
    return this.kept.get(name)
  }

  image(pixels) {
    return new ImageData(pixels, this.width, this.height)
  }

  cutOut() {
    return this.keep("cut-out", () => cutOut(this.photo, this.alpha, this.width, this.height))
  }

  blurred() {
    return this.keep("blurred", () => blurredBackground(this.photo, this.alpha, this.width, this.height))
  }

  // The lines of an overlay.
  outlines({ divided }) {
    if (divided) return this.edge()
    return this.keep("outlines", () => classLines(this.mask, this.width, this.height))
  }

  // The line around the subject.
  edge() {
    return this.keep("edge", () => subjectLine(this.alpha, this.width, this.height))
  }

  tinted(data) {
    return tinted(this.photo, this.alpha, this.mask, data)
  }

  flat(colours) {
    return flat(this.mask, colours)
  }
}

// Enlarges the stage to the whole screen, and the picture within it.
class Lens {
  constructor(root, frame) {
    this.root = root
    this.frame = frame
    this.active = true
    this.pointers = new Map()
    root.querySelector(".enlarge").onclick = () => (this.enlarged ? this.leave() : this.enter())
    root.querySelector(".closer").onclick = () => this.zoomBy(ZOOM_STEP)
    root.querySelector(".wider").onclick = () => this.zoomBy(1 / ZOOM_STEP)
    root.addEventListener("cancel", event => {
      event.preventDefault()
      this.leave()
    })
    root.addEventListener("close", () => this.settle())
    root.addEventListener("keydown", event => this.press(event))
    frame.addEventListener("wheel", event => this.wheel(event), { passive: false })
    frame.addEventListener("dblclick", event => this.enlarged && this.active && !this.fingersOnly && this.toggle(event))
    frame.addEventListener("pointerdown", event => this.grab(event))
    frame.addEventListener("pointermove", event => this.drag(event))
    for (const end of ["pointerup", "pointercancel"]) {
      frame.addEventListener(end, event => this.pointers.delete(event.pointerId))
    }
    this.fit()
  }

  get enlarged() {
    return this.root.matches(":modal")
  }

  enter() {
    this.root.removeAttribute("open")
    this.root.showModal()
    this.root.setAttribute("role", "dialog")
    this.root.querySelector(".enlarge").focus()
    this.name("Leave full screen")
  }

  leave() {
    this.root.close()
    this.settle()
    this.root.querySelector(".enlarge").focus({ preventScroll: true })
  }

  settle() {
    if (this.root.open) return
    this.root.setAttribute("open", "")
    this.root.setAttribute("role", "group")
    this.name("Full screen")
    this.fit()
  }

  name(text) {
    const button = this.root.querySelector(".enlarge")
    button.title = text
    button.setAttribute("aria-label", text)
  }

  fit() {
    this.place(1, 0, 0)
  }

  place(zoom, right, down) {
    const { clientWidth, clientHeight } = this.frame
    this.zoom = clamp(zoom, 1, MOST_ZOOM)
    this.right = clamp(right, (-clientWidth * (this.zoom - 1)) / 2, (clientWidth * (this.zoom - 1)) / 2)
    this.down = clamp(down, (-clientHeight * (this.zoom - 1)) / 2, (clientHeight * (this.zoom - 1)) / 2)
    this.root.style.setProperty("--zoom", this.zoom)
    this.root.style.setProperty("--right", `${this.right}px`)
    this.root.style.setProperty("--down", `${this.down}px`)
  }

  // Zooms so that the point of the screen stays where it is; by default the middle.
  zoomBy(factor, point) {
    const { left, top, width, height } = this.frame.getBoundingClientRect()
    const x = point ? point.clientX - left - width / 2 : 0
    const y = point ? point.clientY - top - height / 2 : 0
    const zoom = clamp(this.zoom * factor, 1, MOST_ZOOM)
    const grown = zoom / this.zoom
    this.place(zoom, x - grown * (x - this.right), y - grown * (y - this.down))
  }

  toggle(event) {
    if (this.zoom > 1) this.fit()
    else this.zoomBy(3, event)
  }

  wheel(event) {
    if (!this.active || !(this.enlarged || (event.ctrlKey && this.fingersOnly))) return // else the page scrolls
    event.preventDefault()
    this.zoomBy(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), event)
  }

  grab(event) {
    if (!this.active || !(this.enlarged || this.zoom > 1 || this.fingersOnly)) return
    if (this.fingersOnly && event.pointerType !== "touch" && event.button !== 1) return
    this.pointers.set(event.pointerId, event)
    this.frame.setPointerCapture(event.pointerId)
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId)
    if (!before) return
    const others = [...this.pointers.values()].filter(other => other.pointerId !== event.pointerId)
    this.pointers.set(event.pointerId, event)
    if (this.fingersOnly && event.pointerType === "touch" && !others.length) return
    const share = others.length ? 0.5 : 1 // each of two fingers moves the picture by half of its own way
    this.place(
      this.zoom,
      this.right + share * (event.clientX - before.clientX),
      this.down + share * (event.clientY - before.clientY),
    )
    if (others.length) this.zoomBy(apart(event, others[0]) / (apart(before, others[0]) || 1), between(event, others[0]))
  }

  press(event) {
    if (!this.enlarged || !this.active || event.ctrlKey || event.altKey || event.metaKey) return
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }
    if (event.key === "+" || event.key === "=") this.zoomBy(ZOOM_STEP)
    else if (event.key === "-") this.zoomBy(1 / ZOOM_STEP)
    else if (event.key === "0") this.fit()
    else if (event.key in moves) {
      const [right, down] = moves[event.key]
      this.place(this.zoom, this.right + PAN_STEP * right, this.down + PAN_STEP * down)
    } else return
    event.preventDefault()
  }
}

function apart(one, other) {
  return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)
}

function between(one, other) {
  return { clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 }
}

async function fetched(url) {
  const answer = await fetch(served(url))
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`)
  return createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" })
}

// Returns a canvas with these pixels, which, unlike the pixels, can be drawn over others.
function sheet(image) {
  const made = canvas(image.width, image.height)
  made.getContext("2d").putImageData(image, 0, 0)
  return made
}

function read(bitmap) {
  const pen = canvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true })
  pen.drawImage(bitmap, 0, 0)
  return pen.getImageData(0, 0, bitmap.width, bitmap.height).data
}

function grey(pixels) {
  const result = new Uint8Array(pixels.length / 4)
  for (let i = 0; i < result.length; i++) result[i] = pixels[4 * i]
  return result
}

function cover(pen, picture, width, height) {
  const scale = Math.max(width / picture.width, height / picture.height)
  const [wide, high] = [scale * picture.width, scale * picture.height]
  pen.imageSmoothingQuality = "high"
  pen.drawImage(picture, (width - wide) / 2, (height - high) / 2, wide, high)
}

function encoded(drawn) {
  return new Promise(done => drawn.toBlob(done, "image/png"))
}
