// What components with a framed picture share: the divider that wipes between two layers.

const STEP = 2 // percent for an arrow key
const LEAP = 10 // percent for a page key, or an arrow key with Shift
const SLACK = 4 // pixels that a finger may move before it drags

// Moves the divider by mouse, finger and keyboard. Its position is kept in this browser tab until the app sets another.
class Wipe {
  constructor(root) {
    this.root = root
    this.frame = root.querySelector(".frame")
    this.handle = root.querySelector(".handle")
    this.active = true
    this.grabbed = null // where the pointer was pressed, while it is down
    this.frame.addEventListener("pointerdown", event => this.active && this.grab(event))
    this.frame.addEventListener("pointermove", event => this.drag(event))
    this.frame.addEventListener("pointerup", event => this.release(event))
    this.frame.addEventListener("pointercancel", () => this.grabbed && this.letGo())
    this.handle.onkeydown = event => this.press(event)
  }

  // `names` are those of the layers on the left and on the right.
  show({ key, label, position, names }) {
    const again = this.asked?.key === key && this.asked.position === position
    this.asked = { key, position }
    this.names = names
    this.handle.setAttribute("aria-label", label)
    this.root.querySelectorAll(".layer .name").forEach((name, index) => (name.textContent = names[index]))
    this.move(again ? this.position : remembered(this.asked))
  }

  move(position) {
    this.position = clamp(position, 0, 100)
    const left = Math.round(this.position)
    this.root.style.setProperty("--position", this.position)
    this.handle.setAttribute("aria-valuenow", left)
    this.handle.setAttribute("aria-valuetext", `${left} % ${this.names[0]}, ${100 - left} % ${this.names[1]}`)
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
    remember(this.asked, this.position)
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
    remember(this.asked, this.position)
  }
}

function clamp(value, lowest, highest) {
  return Math.min(highest, Math.max(lowest, value))
}

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
