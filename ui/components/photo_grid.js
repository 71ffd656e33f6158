// Photos to choose from: a click opens one, its cross removes it. Tiles that stay the same are left alone, so that a
// growing batch neither blinks nor loses the focus.

const CROSS = '<svg viewBox="0 0 14 14" aria-hidden="true"><path d="M2 2l10 10M12 2L2 12" /></svg>'

const grids = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".root")
  if (!grids.has(root)) grids.set(root, new PhotoGrid(root))
  grids.get(root).show(data, setTriggerValue)
}

class PhotoGrid {
  constructor(root) {
    this.root = root
    this.list = root.querySelector(".grid")
    this.tiles = new Map() // by id: the element, and the text of what it shows
    this.list.onclick = event => this.click(event)
  }

  show(data, send) {
    this.send = send
    this.root.style.setProperty("--least", `${data.least}px`)
    this.root.classList.toggle("clear", data.clear)
    this.list.setAttribute("aria-label", data.label)
    const known = this.tiles
    this.tiles = new Map()
    data.photos.forEach((photo, place) => {
      const content = JSON.stringify([photo, data.removable])
      let tile = known.get(photo.id)
      if (tile?.content !== content) tile = { element: built(photo, data.removable), content }
      this.tiles.set(photo.id, tile)
      if (this.list.children[place] !== tile.element) this.list.insertBefore(tile.element, this.list.children[place])
    })
    while (this.list.children.length > data.photos.length) this.list.lastChild.remove()
  }

  click(event) {
    const button = event.target.closest("button")
    if (!button || button.getAttribute("aria-disabled")) return
    this.send(button.className === "remove" ? "removed" : "picked", button.closest("li").dataset.id)
  }
}

function built(photo, removable) {
  const tile = element("li", `tile${photo.problem ? " problem" : ""}`)
  tile.dataset.id = photo.id
  const open = tile.appendChild(element("button", "open"))
  open.type = "button"
  open.title = photo.name
  const picture = open.appendChild(element("span", "picture"))
  if (photo.problem) {
    open.setAttribute("aria-disabled", "true")
    picture.textContent = photo.problem
  } else if (photo.url) {
    const image = picture.appendChild(element("img"))
    image.loading = "lazy"
    image.decoding = "async"
    image.alt = photo.alt
    image.src = served(photo.url)
  }
  if (photo.flag) picture.appendChild(element("span", "flag")).textContent = photo.flag
  open.appendChild(element("span", "name")).textContent = photo.name
  open.appendChild(element("span", "note")).textContent = photo.note
  if (removable) {
    const remove = tile.appendChild(element("button", "remove"))
    remove.type = "button"
    remove.title = `Remove ${photo.name}`
    remove.setAttribute("aria-label", remove.title)
    remove.innerHTML = CROSS
  }
  return tile
}

function element(name, className = "") {
  const made = document.createElement(name)
  made.className = className
  return made
}
