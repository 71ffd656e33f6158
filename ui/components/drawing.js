// Shows the drawing, and replaces it only when it changes, so that it keeps its place.

export default function ({ data, parentElement }) {
  const place = parentElement.querySelector(".drawing")
  if (place.drawn === data.svg) return
  place.drawn = data.svg
  place.innerHTML = data.svg
}
