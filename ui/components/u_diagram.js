// Shows a U diagram. Selecting a layer reruns the app; zooming and hovering do not.

const MAX_ZOOM = 8 // times the whole picture
const STEP = 1.4
const SLACK = 4 // pixels that a pointer may move before it pans
const FINGER = 24 // pixels that a block takes at least for a finger
const diagrams = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".root")
  if (!diagrams.has(root)) diagrams.set(root, new Diagram(root))
  const diagram = diagrams.get(root)
  diagram.notify = name => setTriggerValue("chosen", name ?? "")
  diagram.show(data)
}

class Diagram {
  constructor(root) {
    this.root = root
    this.view = root.querySelector(".view")
    this.canvas = root.querySelector(".canvas")
    this.facts = root.querySelector(".facts")
    this.zoom = 1
    this.focused = null // the key that Tab focuses
    this.tools()
    this.canvas.onclick = event => this.click(event)
    this.canvas.onpointerover = event => event.pointerType === "mouse" && this.hover(event.target.closest?.("[data-key]"))
    this.canvas.onpointerleave = () => this.hover(null)
    this.canvas.addEventListener("focusin", event => this.hover(event.target.closest("[data-key]:focus-visible")))
    this.canvas.addEventListener("focusout", () => this.hover(null))
    this.canvas.onkeydown = event => this.press(event)
    this.view.onpointerdown = event => this.grab(event)
    this.view.onpointermove = event => this.drag(event)
    this.view.onpointerup = this.view.onpointercancel = () => this.letGo()
    this.view.addEventListener("wheel", event => this.wheel(event), { passive: false })
    this.view.addEventListener("touchmove", event => this.pinch(event), { passive: false })
    this.view.addEventListener("touchend", () => (this.spread = null))
    new ResizeObserver(() => this.fit()).observe(this.view)
  }

  tools() {
    this.bar = this.root.querySelector(".tools")
    const button = (name, action) => {
      const found = this.bar.querySelector(`.${name}`)
      found.onclick = action
      return found
    }
    this.zoomOut = button("out", () => this.zoomTo(this.zoom / STEP))
    this.zoomIn = button("in", () => this.zoomTo(this.zoom * STEP))
    this.whole = button("fit", () => this.zoomTo(1))
  }

  show(data) {
    this.data = data
    this.view.setAttribute("aria-label", data.label)
    this.fit(true)
  }

  // Draws the first picture whose texts are readable at this size. u_diagram.py computes its height the same way.
  fit(redraw = false) {
    const width = this.view.clientWidth
    if (!this.data || !width) return
    const { pictures, limits } = this.data
    const fitting = one => Math.min(width / one.width, (limits.tallest * innerHeight) / one.height, limits.largest)
    const readable = (one, zoom) => (width / one.width) * zoom >= one.readable
    const whole = pictures.find(one => readable(one, 1)) ?? pictures.at(-1)
    const picture = pictures.find(one => readable(one, this.zoom)) ?? whole
    this.view.style.height = `${Math.ceil(fitting(whole) * whole.height)}px`
    if (redraw || picture !== this.picture) this.draw(picture)
    const scale = Math.min(fitting(picture), (fitting(whole) * whole.height) / picture.height) * this.zoom
    const svg = this.canvas.firstElementChild
    svg.setAttribute("width", Math.floor(picture.width * scale))
    svg.setAttribute("height", Math.floor(picture.height * scale))
    this.view.classList.toggle("zoomed", this.zoom > 1)
    this.zoomOut.disabled = this.whole.disabled = this.zoom <= 1
    this.zoomIn.disabled = this.zoom >= MAX_ZOOM
    if (this.zoom === 1) this.placeTools()
  }

  // Places the buttons where they cover nothing: as low as possible at an edge, else anywhere.
  placeTools() {
    const view = this.view.getBoundingClientRect()
    const { width, height } = this.bar.getBoundingClientRect()
    const parts = [...this.canvas.querySelectorAll("rect, text, polygon, .shaft")]
    const drawn = parts.map(part => part.getBoundingClientRect())
    const free = (left, top) =>
      !drawn.some(
        one =>
          one.left < left + width + SLACK &&
          left < one.right + SLACK &&
          one.top < top + height + SLACK &&
          top < one.bottom + SLACK,
      )
    const right = view.right - width
    const inside = Array.from({ length: Math.max(0, Math.floor((right - view.left) / 16)) }, (_, at) => right - 16 * at)
    let place = [right, view.top]
    search: for (const columns of [[view.left, right], inside]) {
      for (let top = view.bottom - height; top >= view.top; top -= 8) {
        const left = columns.find(column => free(column, top))
        if (left === undefined) continue
        place = [left, top]
        break search
      }
    }
    Object.assign(this.bar.style, { left: `${place[0] - view.left}px`, top: `${place[1] - view.top}px` })
  }

  draw(picture) {
    const hadFocus = this.canvas.contains(this.root.getRootNode().activeElement)
    if (picture.svg !== this.drawn) this.canvas.innerHTML = picture.svg // made by the app, its texts escaped
    this.picture = picture
    this.drawn = picture.svg
    const svg = this.canvas.firstElementChild
    svg.removeAttribute("role") // its parts are the buttons, and the view has the label
    svg.querySelectorAll("title, desc").forEach(element => element.remove())
    this.items = [...svg.querySelectorAll("[data-key]")].sort((one, other) => this.order(one) - this.order(other))
    const stop = this.items.find(item => name(item) === (this.focused ?? this.data.selected)) ?? this.items[0]
    for (const item of this.items) {
      item.setAttribute("role", "button")
      item.setAttribute("aria-label", this.words(item))
      const selected = this.isSelected(item)
      item.setAttribute("aria-pressed", selected)
      item.classList.toggle("selected", selected)
      item.tabIndex = item === stop ? 0 : -1
    }
    if (hadFocus) stop.focus({ preventScroll: true })
  }

  // In the order of the data: a block, then its layers, each operation before its feature map.
  order(item) {
    const place = Object.keys(this.data.facts).indexOf(name(item))
    return 2 * place + item.classList.contains("box")
  }

  isSelected(item) {
    const { selected } = this.data
    return selected !== null && (item.dataset.block === selected || item.dataset.layers.split(" ").includes(selected))
  }

  // Whether the item itself is selected, not its block.
  isSelectedItself(item) {
    const { selected } = this.data
    return selected !== null && (name(item) === selected || item.dataset.layers.split(" ").includes(selected))
  }

  title(item) {
    return this.data.titles[name(item)] ?? name(item)
  }

  words(item) {
    const facts = this.data.facts[name(item)] ?? []
    return [this.title(item), ...facts.map(([what, much]) => `${what} ${much}`.trim())].join(", ")
  }

  // --- choosing -------------------------------------------------------------------------------------------------

  click(event) {
    if (this.panned) return
    const item = this.hit(event)
    if (item) this.choose(item)
  }

  // In the smallest picture single layers are too narrow for a finger: the nearest block within its reach.
  hit(event) {
    const fine = event.pointerType === "mouse" || !this.canvas.querySelector(".u-diagram.compact")
    if (fine) return event.target.closest("[data-key]")
    const { clientX: x, clientY: y } = event
    let [found, least] = [null, FINGER / 2]
    for (const tile of this.items.filter(isBlock)) {
      const { left, top, right, bottom } = tile.querySelector("rect").getBoundingClientRect()
      const apart = Math.max(left - x, x - right, top - y, y - bottom, 0)
      if (apart < least) [found, least] = [tile, apart]
    }
    return found ?? event.target.closest("[data-key]")
  }

  choose(item) {
    this.focused = name(item)
    this.notify(this.isSelectedItself(item) ? null : name(item))
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const at = this.items.indexOf(event.target.closest("[data-key]"))
    if (at < 0) return
    const last = this.items.length - 1
    const places = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }
    if (event.key in places) this.focus(this.items[Math.min(last, Math.max(0, places[event.key]))])
    else if (event.key === "ArrowDown") this.focus(this.items.slice(at + 1).find(isBlock) ?? this.items[last])
    else if (event.key === "ArrowUp") this.focus(this.items.slice(0, at).findLast(isBlock) ?? this.items[0])
    else if (event.key === "Enter" || event.key === " ") this.choose(this.items[at])
    else if (event.key === "Escape" && this.data.selected !== null) this.notify(null)
    else if (event.key === "+") this.zoomTo(this.zoom * STEP)
    else if (event.key === "-") this.zoomTo(this.zoom / STEP)
    else return
    event.preventDefault()
  }

  focus(item) {
    for (const other of this.items) other.tabIndex = other === item ? 0 : -1
    this.focused = name(item)
    item.focus()
    item.scrollIntoView({ block: "nearest", inline: "nearest" })
  }

  // --- numbers --------------------------------------------------------------------------------------------------

  hover(item) {
    this.facts.hidden = !item
    if (!item) return
    const title = document.createElement("b")
    title.textContent = this.title(item)
    const list = document.createElement("dl")
    const lines = [title]
    for (const [what, much] of this.data.facts[name(item)] ?? []) {
      const value = document.createElement(what ? "dd" : "p")
      value.textContent = much
      if (!what) lines.push(value)
      else {
        const term = document.createElement("dt")
        term.textContent = what
        list.append(term, value)
      }
    }
    this.facts.replaceChildren(...lines, list)
    const box = this.items.find(one => name(one) === name(item) && one.classList.contains("box"))
    this.place((box ?? item).getBoundingClientRect())
  }

  // Below the item, or above it if there is more room; never beyond the edge.
  place(item) {
    const root = this.root.getBoundingClientRect()
    const { width, height } = this.facts.getBoundingClientRect()
    const below = item.bottom + 8
    const fits = below + height <= innerHeight
    const top = fits || item.top - 8 - height < 0 ? below : item.top - 8 - height
    const left = Math.min(root.right - width, Math.max(root.left, (item.left + item.right - width) / 2))
    this.facts.style.left = `${left - root.left}px`
    this.facts.style.top = `${top - root.top}px`
  }

  // --- zooming and panning --------------------------------------------------------------------------------------

  // `x` and `y` are the fixed point of the view.
  zoomTo(zoom, x = this.view.clientWidth / 2, y = this.view.clientHeight / 2) {
    const across = (this.view.scrollLeft + x) / this.canvas.scrollWidth
    const down = (this.view.scrollTop + y) / this.canvas.scrollHeight
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, zoom))
    this.fit()
    this.view.scrollLeft = across * this.canvas.scrollWidth - x
    this.view.scrollTop = down * this.canvas.scrollHeight - y
    this.hover(null)
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return // the page scrolls
    event.preventDefault()
    const { left, top } = this.view.getBoundingClientRect()
    this.zoomTo(this.zoom * Math.exp(-event.deltaY / 200), event.clientX - left, event.clientY - top)
  }

  pinch(event) {
    if (event.touches.length !== 2) return
    event.preventDefault()
    const [one, other] = event.touches
    const apart = Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)
    const { left, top } = this.view.getBoundingClientRect()
    if (this.spread) {
      const x = (one.clientX + other.clientX) / 2 - left
      this.zoomTo((this.zoom * apart) / this.spread, x, (one.clientY + other.clientY) / 2 - top)
    }
    this.spread = apart
  }

  grab(event) {
    this.panned = false
    if (event.pointerType !== "mouse" || event.button !== 0 || this.zoom <= 1) return
    this.grabbed = { x: event.clientX, y: event.clientY, left: this.view.scrollLeft, top: this.view.scrollTop }
  }

  drag(event) {
    if (!this.grabbed) return
    const x = event.clientX - this.grabbed.x
    const y = event.clientY - this.grabbed.y
    if (!this.panned && Math.hypot(x, y) < SLACK) return
    if (!this.panned) this.view.setPointerCapture(event.pointerId)
    this.panned = true
    this.view.classList.add("panning")
    this.hover(null)
    this.view.scrollTo(this.grabbed.left - x, this.grabbed.top - y)
  }

  letGo() {
    this.grabbed = null
    this.view.classList.remove("panning")
  }
}

function name(item) {
  return item.dataset.key
}

function isBlock(item) {
  return item.classList.contains("tile")
}
