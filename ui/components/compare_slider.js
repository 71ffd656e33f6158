// Wipes between two pictures. Moving the divider never reruns the app.

const sliders = new WeakMap()

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".root")
  if (!sliders.has(root)) sliders.set(root, new Slider(root))
  sliders.get(root).show(data)
}

class Slider {
  constructor(root) {
    this.root = root
    this.wipe = new Wipe(root)
    this.problem = root.querySelector(".problem")
    const enlarge = root.querySelector(".enlarge")
    enlarge.hidden = !document.fullscreenEnabled
    enlarge.onclick = () => (isEnlarged(root) ? document.exitFullscreen() : root.requestFullscreen()).catch(() => {})
  }

  show(data) {
    this.root.style.setProperty("--ratio", data.ratio)
    for (const side of ["before", "after"]) this.fill(side, data[side])
    this.wipe.show({ ...data, names: [data.before.name, data.after.name] })
  }

  fill(side, { name, url }) {
    const image = this.root.querySelector(`.${side} img`)
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
}

function isEnlarged(root) {
  return root.getRootNode().fullscreenElement === root
}
