// Addresses of what the app serves beside its pages.

// The app may be served below a base path, which only the address of Streamlit's own script contains.
function served(url) {
  const script = document.querySelector('script[src*="static/js/"]')
  const own = script?.src.startsWith(`${location.origin}/`) ? script.src.replace(/static\/js\/.*$/, "") : undefined
  const base = window.__streamlit?.BACKEND_BASE_URL ?? own ?? `${location.origin}/`
  return new URL(url.replace(/^\//, ""), base.endsWith("/") ? base : `${base}/`).href
}
