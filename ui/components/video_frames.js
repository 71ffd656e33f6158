// Takes pictures out of a video file, which itself stays in the browser: it has the decoders that a server would need.

const SIDE = 640 // pixels on the longer side of a picture
const RATE = 12 // pictures a second
const QUALITY = 0.85 // of their JPEG
const PATIENCE = 15 // seconds for the browser to find a picture

const SENTENCES = {
  unplayable: "This browser cannot play this video: save it as MP4 (H.264) or WebM and choose it again.",
  still: "This video has no moving pictures: choose another one.",
  large: "The pictures of this video are more than this server accepts: choose a shorter one.",
}

const readers = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".root")
  if (!readers.has(root)) readers.set(root, new Reader(root))
  Object.assign(readers.get(root), { data, send: found => setTriggerValue("taken", found) })
  return () => readers.get(root)?.end()
}

class Reader {
  constructor(root) {
    this.root = root
    this.part = name => root.querySelector(`.${name}`)
    this.part("file").onchange = ({ target }) => {
      const [file] = target.files
      target.value = "" // the same file may be chosen again
      if (file) this.read(file)
    }
  }

  end() {
    this.turn = undefined
    readers.delete(this.root)
  }

  say(sentence) {
    this.part("message").textContent = sentence
  }

  async read(file) {
    const turn = (this.turn = Symbol("turn"))
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, preload: "auto" })
    video.src = URL.createObjectURL(file)
    this.say("Opening the video…")
    try {
      const found = await this.pictures(video, () => this.turn !== turn)
      if (!found) return
      this.say(found.cut ? `The first ${this.data.seconds} seconds of ${Math.round(found.length)} are used.` : "Preparing…")
      this.send({ name: file.name, milliseconds: found.milliseconds, pictures: found.pictures })
    } catch (error) {
      if (this.turn !== turn) return
      if (!SENTENCES[error.message]) console.error(error)
      this.say(SENTENCES[error.message] ?? SENTENCES.unplayable)
    } finally {
      URL.revokeObjectURL(video.src)
      if (this.turn === turn) this.part("bar").hidden = true
    }
  }

  // Returns evenly spaced pictures as base64, or nothing if another video is wanted meanwhile.
  async pictures(video, isOver) {
    await happened(video, "loadeddata")
    if (!video.videoWidth) throw new Error("still")
    const length = await lengthOf(video)
    const seconds = Math.min(length, this.data.seconds)
    const count = Math.min(this.data.most, Math.floor(seconds * RATE))
    if (count < 2) throw new Error("still")
    const canvas = scaled(video)
    const pen = canvas.getContext("2d")
    const pictures = []
    let bytes = 0
    this.part("bar").hidden = false
    for (let number = 0; number < count; number++) {
      await at(video, ((number + 0.5) * seconds) / count)
      if (isOver()) return undefined
      pen.drawImage(video, 0, 0, canvas.width, canvas.height)
      const picture = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY })
      bytes += picture.size
      if (bytes > this.data.bytes) throw new Error("large")
      pictures.push(await base64(picture))
      if (isOver()) return undefined
      this.part("bar").value = (number + 1) / count
      this.say(`Picture ${number + 1} of ${count}`)
    }
    return { pictures, length, cut: length > seconds, milliseconds: Math.round((1000 * seconds) / count) }
  }
}

// Returns the video's length in seconds. Recordings of browsers do not say it until their end has been sought.
async function lengthOf(video) {
  if (!Number.isFinite(video.duration)) {
    await at(video, 1e7)
    if (!Number.isFinite(video.duration)) return video.currentTime
  }
  return video.duration
}

async function at(video, time) {
  const there = happened(video, "seeked")
  video.currentTime = time
  await there
}

function happened(video, name) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("unplayable")), 1000 * PATIENCE)
    video.addEventListener(name, () => (clearTimeout(timer), resolve()), { once: true })
    video.addEventListener("error", () => (clearTimeout(timer), reject(new Error("unplayable"))), { once: true })
  })
}

function scaled({ videoWidth: width, videoHeight: height }) {
  const scale = Math.min(1, SIDE / Math.max(width, height))
  return new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)))
}
