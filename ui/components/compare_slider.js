// Wipes between two pictures. Moving the divider never reruns the app: the position is stored in this browser tab.

const STEP = 2 // percent for an arrow key
const LEAP = 10 // percent for a page key, or an arrow key with Shift
const SLACK = 4 // pixels that a finger may move before it drags

const sliders = new WeakMap()

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".root")
  if (!sliders.has(root)) sliders.set(root, new Slider(root))
  sliders.get(root).show(data)
}

class Slider {
  constructor(root) {
    this.root = root
    this.frame = root.querySelector(".frame")
    this.handle = root.querySelector(".handle")
    this.problem = root.querySelector(".problem")
    this.grabbed = null // where the pointer was pressed, while it is down
    this.frame.onpointerdown = event => this.grab(event)
    this.frame.onpointermove = event => this.drag(event)
    this.frame.onpointerup = event => this.release(event)
    this.frame.onpointercancel = () => this.letGo()
    this.handle.onkeydown = event => this.press(event)
    const enlarge = root.querySelector(".enlarge")
    enlarge.hidden = !document.fullscreenEnabled
    enlarge.onclick = () => (isEnlarged(root) ? document.exitFullscreen() : root.requestFullscreen()).catch(() => {})
  }

  show(data) {
    const again = this.data?.key === data.key && this.data.position === data.position
    this.data = data
    this.root.style.setProperty("--ratio", data.ratio)
    for (const side of ["before", "after"]) this.fill(side)
    this.handle.setAttribute("aria-label", data.label)
    this.move(again ? this.position : remembered(data))
  }

  fill(side) {
    const layer = this.root.querySelector(`.${side}`)
    const image = layer.querySelector("img")
    const { name, url } = this.data[side]
    layer.querySelector(".name").textContent = name
    image.alt = name
    image.onerror = () => {
      this.problem.textContent = "A picture could not be loaded. Reload the page to try again."
    }
    image.onload = () => {
      this.problem.textContent = ""
    }
    const address = served(url)
    if (image.src !== address) image.src = address
  }

  move(position) {
    this.position = clamp(position, 0, 100)
    const left = Math.round(this.position)
    this.root.style.setProperty("--position", this.position)
    this.handle.setAttribute("aria-valuenow", left)
    this.handle.setAttribute(
      "aria-valuetext",
      `${left} % ${this.data.before.name}, ${100 - left} % ${this.data.after.name}`,
    )
  }

  grab(event) {
    if (event.button !== 0 || !event.isPrimary) return
    this.grabbed = { x: event.clientX, dragging: false }
    if (event.pointerType === "touch") return // it may become a scroll of the page
    event.preventDefault() // no text selection
    this.handle.focus({ preventScroll: true })
    this.frame.setPointerCapture(event.pointerId)
    this.follow(event)
  }

  drag(event) {
    if (!this.grabbed || !event.isPrimary) return
    if (!this.grabbed.dragging && Math.abs(event.clientX - this.grabbed.x) < SLACK) return
    this.grabbed.dragging = true
    this.root.classList.add("dragging")
    this.follow(event)
  }

  release(event) {
    if (!this.grabbed || !event.isPrimary) return
    this.follow(event)
    this.letGo()
  }

  letGo() {
    this.grabbed = null
    this.root.classList.remove("dragging")
    remember(this.data, this.position)
  }

  follow(event) {
    const { left, width } = this.frame.getBoundingClientRect()
    this.move((100 * (event.clientX - left)) / width)
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const step = event.shiftKey ? LEAP : STEP
    const places = {
      ArrowLeft: this.position - step,
      ArrowDown: this.position - step,
      ArrowRight: this.position + step,
      ArrowUp: this.position + step,
      PageDown: this.position - LEAP,
      PageUp: this.position + LEAP,
      Home: 0,
      End: 100,
    }
    if (!(event.key in places)) return
    event.preventDefault()
    this.move(places[event.key])
    remember(this.data, this.position)
  }
}

function clamp(value, lowest, highest) {
  return Math.min(highest, Math.max(lowest, value))
}

function isEnlarged(root) {
  return root.getRootNode().fullscreenElement === root
}

// The app may be served below a base path, which only the address of Streamlit's own script contains.
function served(url) {
  const script = document.querySelector('script[src*="static/js/"]')
  const own = script?.src.startsWith(`${location.origin}/`) ? script.src.replace(/static\/js\/.*$/, "") : undefined
  const base = window.__streamlit?.BACKEND_BASE_URL ?? own ?? `${location.origin}/`
  return new URL(url.replace(/^\//, ""), base.endsWith("/") ? base : `${base}/`).href
}

// A position is kept until the app sets another one.
function remember({ key, position }, place) {
  try {
    sessionStorage.setItem(`compare-slider ${key}`, JSON.stringify({ asked: position, place }))
  } catch {
    // storage is disabled: the position lasts as long as the slider is on the page
  }
}

function remembered({ key, position }) {
  try {
    const { asked, place } = JSON.parse(sessionStorage.getItem(`compare-slider ${key}`)) ?? {}
    return asked === position && Number.isFinite(place) ? place : position
  } catch {
    return position
  }
}
