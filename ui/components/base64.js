// Bytes as text, for what goes to the page through Streamlit.

async function base64(blob) {
  const reader = new FileReader()
  await new Promise((resolve, reject) => Object.assign(reader, { onload: resolve, onerror: reject }).readAsDataURL(blob))
  return reader.result.slice(reader.result.indexOf(",") + 1)
}
