// Plays a photo's way through a network: feature maps fill the boxes of the U one after the other.
// Everything that moves is a transform or an opacity, so that the browser draws it without a new layout.

const STEP = 650 // milliseconds for a step at speed 1
const TRAVEL = 1500 // for what crosses the U on a skip connection
const GROW = 1600 // for the mask
const SETTLED = 0.82 // share of a step after which the picture goes back into its box
const players = new WeakMap()

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".root")
  if (!players.has(root)) players.set(root, new Player(root))
  players.get(root).show(data)
}

class Player {
  constructor(root) {
    this.root = root
    const find = name => root.querySelector(`.${name}`)
    for (const name of ["board", "picture", "tiles", "lens", "cell", "result", "mask", "position"]) this[name] = find(name)
    this.words = ["title", "shape", "text"].map(find)
    this.step = 0
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches
    root.classList.toggle("still", this.still)
    find("first").onclick = () => this.jump(0)
    find("back").onclick = () => this.jump(this.step - 1)
    find("next").onclick = () => this.advance()
    find("play").onclick = () => this.toggle()
    this.position.oninput = () => this.jump(Number(this.position.value))
    root.onkeydown = event => this.press(event)
    new ResizeObserver(() => this.fit()).observe(root)
    new IntersectionObserver(([one]) => !one.isIntersecting && this.pause()).observe(this.board)
  }

  show(data) {
    if (this.key === data.key) return // a rerun of the page; what plays, plays on
    this.pause()
    this.key = data.key
    this.data = data
    this.root.setAttribute("aria-label", data.label)
    this.root.style.setProperty("--sheet", `url("${served(data.sheet.url)}")`)
    this.position.max = data.steps.length - 1
    for (const name of ["photo", "mask"]) this.load(this.root.querySelector(`.${name}`), data[name])
    this.drawn = null
    this.fit()
    this.jump(0)
  }

  load(image, url) {
    image.onerror = () => {
      this.root.querySelector(".problem").textContent = "A picture could not be loaded. Reload the page to try again."
    }
    image.src = served(url)
  }

  // Draws the first picture whose texts are readable in this width.
  fit() {
    if (!this.data) return
    const width = this.root.clientWidth - (this.root.clientWidth >= 860 ? 280 : 0)
    const { pictures, readable, largest } = this.data
    const picture = pictures.find(one => width / one.width >= readable) ?? pictures.at(-1)
    if (picture !== this.drawn) this.draw(picture)
    this.board.style.maxWidth = `${largest * picture.width}px`
  }

  draw(picture) {
    this.drawn = picture
    this.picture.innerHTML = picture.svg // made by the app, its texts escaped
    const svg = this.picture.firstElementChild
    svg.removeAttribute("role")
    svg.setAttribute("aria-hidden", "true")
    svg.querySelectorAll("title, desc").forEach(element => element.remove())
    this.tiles.replaceChildren(...this.data.steps.map((step, index) => this.tile(picture, step, index)))
    this.fill()
  }

  tile(picture, step, index) {
    const tile = document.createElement("div")
    tile.className = "held"
    const [x, y, w, h] = picture.boxes[step.key]
    const percent = (part, whole) => `${(100 * part) / whole}%`
    Object.assign(tile.style, {
      left: percent(x, picture.width), top: percent(y, picture.height),
      width: percent(w, picture.width), height: percent(h, picture.height),
    })
    if (step.known) this.paint(tile, index)
    return tile
  }

  paint(element, index) {
    const { columns, rows } = this.data.sheet
    const share = (at, count) => (count > 1 ? (100 * at) / (count - 1) : 0)
    element.style.backgroundImage = "var(--sheet)"
    element.style.backgroundSize = `${100 * columns}% ${100 * rows}%`
    element.style.backgroundPosition = `${share(index % columns, columns)}% ${share(Math.floor(index / columns), rows)}%`
  }

  // --- where it is -----------------------------------------------------------------------------------------------

  get last() {
    return this.data.steps.length - 1
  }

  // Shows everything up to the present step, without motion.
  fill() {
    const step = this.data.steps[this.step]
    Array.from(this.tiles.children).forEach((tile, index) => {
      tile.classList.toggle("shown", this.still || index <= this.step)
      tile.classList.toggle("now", index === this.step)
    })
    this.tell(step)
    this.position.value = this.step
    this.position.setAttribute("aria-valuetext", `${this.step + 1} of ${this.last + 1}: ${step.title}`)
    this.root.querySelector(".first").disabled = this.root.querySelector(".back").disabled = this.step === 0
    this.root.querySelector(".next").disabled = this.step === this.last
  }

  tell(step) {
    const said = [step.title, step.shape, step.text]
    this.words.forEach((element, index) => (element.textContent = said[index]))
    this.words[0].parentElement.setAttribute("aria-live", this.playing ? "off" : "polite")
    const atEnd = this.step === this.last
    this.result.classList.toggle("shown", atEnd)
    this.cell.style.opacity = step.known ? 1 : 0
    if (step.known) this.paint(this.cell, this.step)
  }

  jump(step) {
    this.pause()
    this.step = Math.min(this.last, Math.max(0, step))
    this.fill()
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("select, input")) return
    const actions = {
      ArrowRight: () => this.advance(),
      ArrowLeft: () => this.jump(this.step - 1),
      Home: () => this.jump(0),
      End: () => this.jump(this.last),
    }
    if (event.key === " " && !event.target.matches("button")) actions[" "] = () => !this.still && this.toggle()
    if (!(event.key in actions)) return
    event.preventDefault()
    actions[event.key]()
  }

  // --- motion ----------------------------------------------------------------------------------------------------

  toggle() {
    this.playing ? this.pause() : this.play()
  }

  async play() {
    if (this.step === this.last) this.jump(0)
    this.setPlaying(true)
    const round = (this.round = {}) // a pause or another start ends this one
    while (this.round === round && this.step < this.last) await this.move(round)
    if (this.round === round) this.setPlaying(false)
  }

  pause() {
    this.round = null
    this.motion?.finish()
    this.growth?.finish()
    this.setPlaying(false)
  }

  setPlaying(playing) {
    this.playing = playing
    this.root.classList.toggle("playing", playing)
    this.root.querySelector(".play").setAttribute("aria-label", playing ? "Pause" : "Play")
  }

  // One step with its motion.
  async advance() {
    if (this.step >= this.last) return
    this.pause()
    if (this.still) return this.jump(this.step + 1)
    await this.move((this.round = {}))
  }

  get speed() {
    return Number(this.root.querySelector("select").value)
  }

  async move(round) {
    const next = this.step + 1
    const step = this.data.steps[next]
    this.step = next
    await this.fly(step, next)
    this.fill()
    if (next === this.last) await this.grow(round)
  }

  // Carries the picture from the box that it comes from to its own.
  async fly(step, index) {
    this.tell(step)
    if (!step.known) return
    const from = this.box(step.from)
    const to = this.box(step.key)
    const side = Math.max(44, Math.min(120, this.board.clientWidth * 0.1))
    Object.assign(this.lens.style, { width: `${side}px`, height: `${side}px` })
    this.paint(this.lens, index)
    const flat = box => place(box, side, box.w / side, box.h / side)
    const open = box => place(this.inside(box, side), side, 1, 1)
    const middle = step.travels ? [{ transform: open(from), opacity: 1, offset: 0.15 }] : []
    const frames = [
      { transform: flat(from), opacity: step.travels ? 1 : 0, offset: 0 },
      ...middle,
      { transform: open(to), opacity: 1, offset: step.travels ? 0.75 : 0.4 },
      { transform: open(to), opacity: 1, offset: SETTLED },
      { transform: flat(to), opacity: 1, offset: 1 },
    ]
    const duration = (step.travels ? TRAVEL : STEP) / this.speed
    this.motion = this.lens.animate(frames, { duration, easing: "ease-in-out" })
    await this.motion.finished.catch(() => {})
  }

  // The mask grows over the photo.
  async grow(round) {
    if (this.round !== round) return
    const frames = [{ clipPath: "circle(0% at 50% 50%)" }, { clipPath: "circle(75% at 50% 50%)" }]
    this.growth = this.mask.animate(frames, { duration: GROW / this.speed, easing: "ease-in" })
    await this.growth.finished.catch(() => {})
  }

  // A box's middle and size in pixels of the board.
  box(key) {
    const [x, y, w, h] = this.drawn.boxes[key]
    const scale = this.picture.clientWidth / this.drawn.width
    return { x: (x + w / 2) * scale, y: (y + h / 2) * scale, w: w * scale, h: h * scale }
  }

  // The same box, moved so that the open picture stays on the board.
  inside(box, side) {
    const within = (at, whole) => Math.min(whole - side / 2, Math.max(side / 2, at))
    return { ...box, x: within(box.x, this.picture.clientWidth), y: within(box.y, this.picture.clientHeight) }
  }
}

function place({ x, y }, side, across, down) {
  return `translate(${x - side / 2}px, ${y - side / 2}px) scale(${across}, ${down})`
}
