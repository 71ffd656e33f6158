// On a narrow screen the menu covers the page, so it closes as soon as a page is chosen from it.

const NARROW = "(max-width: 768px)" // Streamlit's own width from which on the menu stands beside the page
const LINK = "[data-testid=stSidebar] [data-testid=stPageLink-NavLink]"

if (!window.unetMenuCloses) {
  window.unetMenuCloses = true
  document.addEventListener("click", event => {
    if (!window.matchMedia(NARROW).matches || !event.target.closest?.(LINK)) return
    document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click()
  })
}
