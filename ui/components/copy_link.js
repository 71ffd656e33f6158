// Copies a link to the current state of the page.

const SHOWN_MS = 2000

export default function ({ data, parentElement }) {
  const button = parentElement.querySelector(".copy")
  const text = button.querySelector(".text")
  text.textContent ||= data.label
  button.title = data.help
  button.onclick = async () => {
    const address = new URL(data.query, window.location.href)
    text.textContent = (await copied(address.href)) ? "Copied" : "Copy it from the address bar"
    clearTimeout(button.timer)
    button.timer = setTimeout(() => (text.textContent = data.label), SHOWN_MS)
  }
}

async function copied(words) {
  try {
    await navigator.clipboard.writeText(words)
    return true
  } catch {
    return copiedByCommand(words) // without https there is no clipboard object
  }
}

function copiedByCommand(words) {
  const field = document.createElement("textarea")
  field.value = words
  field.style.position = "fixed"
  field.style.opacity = "0"
  document.body.append(field)
  field.select()
  const done = document.execCommand("copy")
  field.remove()
  return done
}
