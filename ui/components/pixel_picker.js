// Chooses a place in a photo by click or arrow keys. The app is told once the keys have rested.

const STEP = 0.02 // of the photo's sides, for an arrow key
const LEAP = 0.1 // with Shift
const REST = 250 // milliseconds after the last key
const pickers = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".root")
  if (!pickers.has(root)) pickers.set(root, new Picker(root))
  const picker = pickers.get(root)
  picker.notify = place => setTriggerValue("chosen", place)
  picker.show(data)
}

class Picker {
  constructor(root) {
    this.root = root
    this.frame = root.querySelector(".frame")
    this.image = root.querySelector("img")
    this.frame.onclick = event => this.click(event)
    this.frame.onkeydown = event => this.press(event)
    this.frame.onblur = () => this.send()
    this.image.onload = () => this.say("")
    this.image.onerror = () => this.say("The picture could not be loaded. Reload the page to try again.")
  }

  say(words) {
    this.root.querySelector(".problem").textContent = words
  }

  show(data) {
    this.label = data.label
    this.root.style.setProperty("--ratio", data.ratio)
    const [top, left, bottom, right] = data.window
    for (const [name, value] of Object.entries({ top, left, bottom, right })) {
      this.root.style.setProperty(`--${name}`, value)
    }
    const address = served(data.url)
    if (this.image.src !== address) this.image.src = address
    if (!this.waiting) this.move(data.place[0], data.place[1])
  }

  move(y, x) {
    this.place = [y, x].map(share => Math.min(1, Math.max(0, share)))
    this.root.style.setProperty("--y", this.place[0])
    this.root.style.setProperty("--x", this.place[1])
    const [down, right] = this.place.map(share => Math.round(100 * share))
    this.frame.setAttribute("aria-label", `${this.label}. Chosen: ${right} % from the left, ${down} % from the top.`)
  }

  click(event) {
    const { left, top, width, height } = this.frame.getBoundingClientRect()
    this.move((event.clientY - top) / height, (event.clientX - left) / width)
    this.waiting = true
    this.send()
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const step = event.shiftKey ? LEAP : STEP
    const [y, x] = this.place
    const places = {
      ArrowUp: [y - step, x],
      ArrowDown: [y + step, x],
      ArrowLeft: [y, x - step],
      ArrowRight: [y, x + step],
    }
    if (!(event.key in places)) return
    event.preventDefault()
    this.move(...places[event.key])
    this.waiting = true
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.send(), REST)
  }

  send() {
    clearTimeout(this.timer)
    if (!this.waiting) return
    this.waiting = false
    this.notify(this.place)
  }
}
