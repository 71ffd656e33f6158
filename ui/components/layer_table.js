// The layers of a network by block: blocks collapse; a click, Enter or Space selects a row, Escape deselects it; bars
// show each column's share.

const TWIST = '<svg viewBox="0 0 12 12" aria-hidden="true"><path d="M4 2l4 4-4 4" /></svg>'
const FEW = 60 // layers that are all shown at first; of more, only the blocks

const tables = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".root")
  if (!tables.has(root)) tables.set(root, new LayerTable(root))
  tables.get(root).show(data, name => setTriggerValue("picked", name))
}

class LayerTable {
  constructor(root) {
    this.root = root
    this.scroll = root.querySelector(".scroll")
    this.body = root.querySelector("tbody")
    this.button = root.querySelector(".fold")
    this.button.onclick = () => this.foldAll(this.closed.size < this.blocks().length)
    this.body.onclick = event => this.click(event)
    this.body.onkeydown = event => this.press(event)
  }

  show(data, pick) {
    this.pick = pick
    if (this.network !== data.network) {
      this.network = data.network
      const layers = data.blocks.reduce((count, block) => count + block.rows.length, 0)
      this.closed = new Set(layers > FEW ? data.blocks.map(block => block.name) : [])
      this.selected = undefined
      this.build(data)
    }
    this.root.style.setProperty("--height", `${data.height}px`)
    if (this.selected !== data.selected) this.select(data.selected)
    this.fold()
  }

  build(data) {
    const table = this.root.querySelector("table")
    table.setAttribute("aria-label", data.label)
    table.hidden = false // a table without rows has no meaning to a screen reader
    this.root.querySelector(".count").textContent = data.count
    const head = this.root.querySelector("thead tr")
    head.replaceChildren(...data.columns.map(column => element("th", column.name, { title: column.help, scope: "col" })))
    this.align(head, data)
    const rows = []
    for (const block of data.blocks) {
      rows.push(this.row(block, data, "block"))
      for (const row of block.rows) rows.push(this.row(row, data, row.problem ? "layer problem" : "layer", block.name))
    }
    this.body.replaceChildren(...rows)
  }

  row(entry, data, kind, block) {
    const row = element("tr", null, { role: "row", tabindex: "-1", class: kind, "aria-selected": "false" })
    row.dataset.name = entry.name
    if (entry.title) row.title = entry.title
    row.dataset.block = block ?? ""
    row.setAttribute("aria-level", block ? 2 : 1)
    if (!block) row.setAttribute("aria-expanded", "true")
    entry.cells.forEach((text, index) => {
      const cell = element("td", null, { role: "gridcell" })
      if (index === 0 && !block) {
        const twist = element("button", null, { type: "button", class: "twist", tabindex: "-1" })
        twist.setAttribute("aria-label", "Fold")
        twist.innerHTML = TWIST
        cell.append(twist)
      }
      if (index === 0 && entry.operation) {
        const dot = element("span", null, { class: "dot", "aria-hidden": "true" })
        dot.style.background = `light-dark(${data.colours[entry.operation].join(", ")})`
        cell.append(dot)
      }
      cell.append(element("span", text, text === "–" ? { class: "muted" } : {}))
      const share = entry.shares[index]
      if (share) {
        const bar = element("span", null, { class: "fill", "aria-hidden": "true" })
        bar.style.width = `calc((100% - 14px) * ${share})`
        cell.append(bar)
      }
      row.append(cell)
    })
    this.align(row, data)
    return row
  }

  align(row, data) {
    data.columns.forEach((column, index) => row.children[index].classList.toggle("text", Boolean(column.text)))
  }

  blocks() {
    return [...this.body.querySelectorAll("tr.block")]
  }

  shown() {
    return [...this.body.children].filter(row => !row.hidden)
  }

  fold() {
    for (const row of this.body.children) {
      if (row.dataset.block) row.hidden = this.closed.has(row.dataset.block)
      else row.setAttribute("aria-expanded", String(!this.closed.has(row.dataset.name)))
    }
    const stop = this.body.querySelector("tr[tabindex='0']")
    if (stop?.hidden) this.makeStop(this.named(stop.dataset.block)) // else Tab would pass the whole table by
    this.button.textContent = this.closed.size < this.blocks().length ? "Fold all blocks" : "Unfold all blocks"
  }

  foldAll(closed) {
    this.closed = new Set(closed ? this.blocks().map(row => row.dataset.name) : [])
    this.fold()
  }

  toggle(name) {
    if (!this.closed.delete(name)) this.closed.add(name)
    this.fold()
  }

  select(name) {
    this.selected = name
    let chosen = null
    for (const row of this.body.children) {
      const here = row.dataset.name === name
      const within = name !== "" && row.dataset.block === name // a block is selected with all its layers
      row.setAttribute("aria-selected", String(here || within))
      row.classList.toggle("within", within)
      if (here) chosen = row
    }
    this.makeStop(chosen ?? this.body.firstElementChild)
    if (!chosen) {
      this.reveal(this.body.querySelector(".problem"))
      return
    }
    this.closed.delete(chosen.dataset.block || name)
    this.fold()
    this.reveal(chosen, [...this.body.querySelectorAll(".within")].at(-1))
  }

  // Scrolls the table, never the page; up to the last of a block's layers, as far as there is room.
  reveal(row, last = row) {
    if (!row) return
    const top = row.offsetTop - 30
    const bottom = last.offsetTop + last.offsetHeight
    if (top < this.scroll.scrollTop || bottom > this.scroll.scrollTop + this.scroll.clientHeight) {
      this.scroll.scrollTop = last === row ? top - this.scroll.clientHeight / 3 : top
    }
  }

  click(event) {
    const row = event.target.closest("tr")
    if (!row) return
    if (event.target.closest(".twist")) this.toggle(row.dataset.name)
    else this.choose(row)
  }

  choose(row) {
    this.select(row.dataset.name)
    row.focus({ preventScroll: true })
    this.pick(row.dataset.name)
  }

  press(event) {
    const row = event.target.closest("tr")
    if (!row) return
    const rows = this.shown()
    const at = rows.indexOf(row)
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }
    if (event.key in steps) this.focus(rows[Math.min(Math.max(steps[event.key], 0), rows.length - 1)])
    else if (event.key === "Enter" || event.key === " ") this.choose(row)
    else if (event.key === "Escape" && this.selected) this.pick("")
    else if (event.key === "ArrowRight" && this.closed.has(row.dataset.name)) this.toggle(row.dataset.name)
    else if (event.key === "ArrowLeft" && row.dataset.block) this.focus(this.named(row.dataset.block))
    else if (event.key === "ArrowLeft" && !this.closed.has(row.dataset.name)) this.toggle(row.dataset.name)
    else return
    event.preventDefault()
  }

  named(name) {
    return this.blocks().find(row => row.dataset.name === name)
  }

  // Makes a row the only one that Tab reaches; the arrow keys reach the others.
  makeStop(row) {
    for (const other of this.body.children) other.tabIndex = other === row ? 0 : -1
  }

  focus(row) {
    this.makeStop(row)
    row.focus({ preventScroll: true })
    this.reveal(row)
  }
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag)
  if (text !== null) made.textContent = text
  for (const [name, value] of Object.entries(attributes)) if (value) made.setAttribute(name, value)
  return made
}
