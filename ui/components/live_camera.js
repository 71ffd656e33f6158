// Shows the camera's pictures segmented: a small copy of each goes to the server, the outline that comes back is laid
// over the picture it belongs to, and then the next one goes.

const SENT_SIDE = 256 // pixels on the longer side of what is sent
const SHOWN_SIDE = 960 // and of what is shown
const QUALITY = 0.8 // of the JPEG that is sent
const FIGURES_AFTER = 500 // milliseconds between two updates of the figures
const WINDOW = 2000 // milliseconds that the figures are taken over
const RETRIES = 5 // of a picture that the server refuses for the moment
const STILL_SECONDS = 4 // for the camera to take a picture at its full size
const LEAST_SHARE = 0.004 // of the picture, below which nothing was found

const SENTENCES = {
  insecure: "Browsers give the camera only to pages over HTTPS or on localhost: open this page in one of these ways.",
  NotAllowedError: "The camera is blocked for this page: allow it in the browser's address bar, then press Start.",
  NotFoundError: "No camera was found: connect one and press Start, or add photos from files.",
  NotReadableError: "The camera is in use by another program: close that one, then press Start.",
  camera: "The camera could not be opened: check that it works in another program, then press Start.",
  ended: "The camera was disconnected: connect it again, then press Start.",
  hidden: "Stopped, because the page was hidden.",
  closed: "This page has lost its connection: reload it, then choose Camera again.",
  route: "This server was not started with streamlit run streamlit_app.py, which the camera needs: ask its operator.",
  silent: "The server does not answer: press Start to try again.",
  still: "The camera did not give a picture: press the button again.",
  large: "The picture is larger than this server accepts: use a camera of fewer pixels, or add it from a file.",
}

const cameras = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".root")
  if (!cameras.has(root)) cameras.set(root, new Camera(root))
  const camera = cameras.get(root)
  camera.show(data, photo => setTriggerValue("taken", photo))
  return () => camera.end()
}

class Camera {
  constructor(root) {
    this.root = root
    this.part = name => root.querySelector(`.${name}`)
    this.canvas = this.part("drawn")
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true })
    this.look = "cutout"
    this.facing = "user"
    this.inView = true
    this.drawn = [] // [when, latency] of the last pictures
    this.part("toggle").onclick = () => (this.stream ? this.stop() : this.start())
    this.part("take").onclick = () => this.take()
    this.part("switch").onclick = () => this.other()
    root.querySelectorAll(".look").forEach(button => (button.onclick = () => this.choose(button.dataset.look)))
    this.onHidden = () => document.hidden && this.stream && this.stop(SENTENCES.hidden)
    document.addEventListener("visibilitychange", this.onHidden)
    this.watcher = new IntersectionObserver(entries => (this.inView = entries.at(-1).isIntersecting))
    this.watcher.observe(this.part("stage"))
    this.choose(this.look)
  }

  show(data, use) {
    Object.assign(this, { data, use })
    if (this.begun) return
    this.begun = true
    this.start()
  }

  end() {
    document.removeEventListener("visibilitychange", this.onHidden)
    this.watcher.disconnect()
    this.stop()
    cameras.delete(this.root)
  }

  choose(look) {
    this.look = look
    for (const button of this.root.querySelectorAll(".look")) button.ariaPressed = String(button.dataset.look === look)
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) return this.stop(SENTENCES.insecure)
    this.say("Waiting for the camera…")
    const turn = (this.turn = Symbol("turn"))
    let stream
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: this.facing, width: { ideal: 1280 }, height: { ideal: 960 } },
      })
    } catch (error) {
      return this.turn === turn && this.stop(SENTENCES[error.name] ?? SENTENCES.camera)
    }
    if (this.turn !== turn || document.hidden) return stream.getTracks().forEach(track => track.stop())
    this.stream = stream
    this.track.onended = () => this.stream === stream && this.stop(SENTENCES.ended)
    this.video.srcObject = stream
    await this.video.play()
    const faces = this.track.getSettings().facingMode
    this.root.classList.toggle("mirrored", faces !== "environment")
    this.say("")
    this.state(true)
    navigator.mediaDevices.enumerateDevices().then(devices => {
      this.part("switch").hidden = devices.filter(device => device.kind === "videoinput").length < 2
    })
    this.run(turn)
  }

  get track() {
    return this.stream?.getVideoTracks()[0]
  }

  stop(sentence = "") {
    this.turn = undefined
    this.sending?.abort()
    this.stream?.getTracks().forEach(track => track.stop())
    this.stream = this.video.srcObject = null
    this.drawn = []
    this.say(sentence)
    this.state(false)
  }

  state(running) {
    this.root.dataset.state = running ? "running" : "stopped"
    for (const name of ["take", "looks", "figures"]) this.part(name).hidden = !running
    if (!running) this.part("switch").hidden = this.part("note").hidden = true
    Object.assign(this.part("toggle"), { hidden: false, textContent: running ? "Stop" : "Start" })
  }

  say(sentence) {
    this.part("message").textContent = sentence
  }

  other() {
    this.facing = this.facing === "user" ? "environment" : "user"
    this.stop()
    this.start()
  }

  // Sends picture after picture until another turn begins or this one is stopped.
  async run(turn) {
    const frame = new OffscreenCanvas(1, 1)
    const sent = new OffscreenCanvas(1, 1)
    let refused = 0
    while (this.turn === turn) {
      await nextFrame(this.video)
      if (!this.inView || this.taking) {
        await seconds(0.1)
        continue
      }
      const began = performance.now()
      copy(this.video, frame, SHOWN_SIDE)
      copy(frame, sent, SENT_SIDE)
      const picture = await sent.convertToBlob({ type: "image/jpeg", quality: QUALITY })
      if (this.turn !== turn) return // stopped meanwhile: on a busy machine, encoding takes long
      const answer = await this.send(picture)
      if (this.turn !== turn) return
      if (answer.outline) {
        refused = 0
        this.draw(frame, answer.outline)
        this.count(began)
        await seconds(answer.pause)
      } else if (answer.sentence || ++refused > RETRIES) {
        return this.stop(answer.sentence ?? SENTENCES.silent)
      } else {
        await seconds(answer.pause)
      }
    }
  }

  // Returns the outline; or how long to wait before trying again; or why it makes no sense to.
  async send(body) {
    this.sending = new AbortController()
    const headers = { "Content-Type": "image/jpeg", "X-Live-Ticket": this.data.ticket }
    try {
      const options = { method: "POST", body, headers, signal: this.sending.signal, cache: "no-store" }
      const answer = await fetch(served(this.data.route), options)
      if (answer.ok) {
        const pause = Number(answer.headers.get("X-Pause")) / 1000
        return { outline: await createImageBitmap(await answer.blob()), pause }
      }
      if (answer.status === 401) return { sentence: SENTENCES.closed }
      const problem = answer.headers.get("Content-Type")?.includes("problem+json")
      if (!problem) return { sentence: SENTENCES.route }
      if ([429, 503].includes(answer.status)) return { pause: Number(answer.headers.get("Retry-After")) || 1 }
      return { sentence: (await answer.json()).detail }
    } catch {
      return { pause: 1 }
    }
  }

  draw(frame, outline) {
    const { width, height } = frame
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height })
    this.root.style.setProperty("--ratio", width / height)
    const tint = this.look === "tint"
    const { mask, share } = opaque(outline, tint ? this.data.colour : [0, 0, 0], tint ? this.data.opacity : 1)
    const found = share > LEAST_SHARE
    const pen = this.canvas.getContext("2d")
    pen.imageSmoothingQuality = "high"
    pen.globalCompositeOperation = "copy"
    pen.drawImage(frame, 0, 0)
    if (found) {
      pen.globalCompositeOperation = tint ? "source-over" : "destination-in"
      pen.drawImage(mask, 0, 0, width, height)
    }
    this.part("stage").classList.toggle("clear", found && !tint)
    Object.assign(this.part("note"), { hidden: found, textContent: `No ${this.data.subject} found` })
  }

  count(began) {
    const now = performance.now()
    this.drawn = [...this.drawn.filter(([when]) => now - when < WINDOW), [now, now - began]]
    this.root.dataset.pictures = Number(this.root.dataset.pictures ?? 0) + 1
    if (now - (this.told ?? 0) < FIGURES_AFTER || this.drawn.length < 2) return
    this.told = now
    const latencies = this.drawn.map(([, latency]) => latency).sort((a, b) => a - b)
    const rate = (1000 * (this.drawn.length - 1)) / (now - this.drawn[0][0])
    const latency = latencies[Math.floor(latencies.length / 2)]
    this.part("figures").textContent = `${rate.toFixed(0)} pictures a second · ${latency.toFixed(0)} ms`
    Object.assign(this.root.dataset, { rate: rate.toFixed(2), latency: latency.toFixed(1) })
  }

  // Takes a picture at the camera's full size and hands it to the page.
  async take() {
    const button = this.part("take")
    if (this.taking) return
    this.taking = button.disabled = true
    try {
      const still = (await photographed(this.track)) ?? (await enlarged(this.track, this.video))
      if (still.size > this.data.bytes) return this.say(SENTENCES.large)
      this.use(await base64(still))
      this.say("")
    } catch (error) {
      console.error(error)
      this.say(SENTENCES.still)
    } finally {
      this.taking = button.disabled = false
    }
  }
}

// Copies a picture, at most `side` pixels long.
function copy(source, canvas, side) {
  const width = source.videoWidth ?? source.width
  const height = source.videoHeight ?? source.height
  const scale = Math.min(1, side / Math.max(width, height))
  Object.assign(canvas, { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) })
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height)
}

// Turns grey into opacity: the mask in a colour, and the share of the picture that it covers.
function opaque(outline, [red, green, blue], opacity) {
  const mask = new OffscreenCanvas(outline.width, outline.height)
  const pen = mask.getContext("2d", { willReadFrequently: true })
  pen.drawImage(outline, 0, 0)
  const pixels = pen.getImageData(0, 0, mask.width, mask.height)
  let sum = 0
  for (let at = 0; at < pixels.data.length; at += 4) {
    const grey = pixels.data[at]
    sum += grey
    pixels.data[at] = red
    pixels.data[at + 1] = green
    pixels.data[at + 2] = blue
    pixels.data[at + 3] = grey * opacity
  }
  pen.putImageData(pixels, 0, 0)
  return { mask, share: (4 * sum) / (255 * pixels.data.length) }
}

// The camera's own photo, of all its pixels; nothing where the browser cannot ask for it.
async function photographed(track) {
  if (!window.ImageCapture) return undefined
  try {
    const still = await Promise.race([new ImageCapture(track).takePhoto(), seconds(STILL_SECONDS)])
    return still?.type === "image/jpeg" ? still : undefined
  } catch {
    return undefined
  }
}

// A frame of the video at the most pixels that the camera gives to one.
async function enlarged(track, video) {
  const before = track.getSettings()
  const { width, height } = track.getCapabilities?.() ?? {}
  if (width?.max > before.width) {
    const larger = new Promise(resolve => video.addEventListener("resize", resolve, { once: true }))
    await track.applyConstraints({ width: { ideal: width.max }, height: { ideal: height.max } }).catch(() => {})
    await Promise.race([larger, seconds(STILL_SECONDS / 2)])
    await nextFrame(video)
  }
  const canvas = new OffscreenCanvas(1, 1)
  copy(video, canvas, Infinity)
  track.applyConstraints({ width: { ideal: before.width }, height: { ideal: before.height } }).catch(() => {})
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 })
}

function nextFrame(video) {
  if (!video.requestVideoFrameCallback) return seconds(1 / 30)
  return Promise.race([new Promise(resolve => video.requestVideoFrameCallback(resolve)), seconds(0.5)])
}

function seconds(count) {
  return new Promise(resolve => setTimeout(resolve, 1000 * count))
}
