// Comforts of a video's page: it plays without them.
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, className = "", ...content) => {
  const element = Object.assign(document.createElement(tag), { className });
  element.append(...content);
  return element;
};

// Storage may be full or forbidden.
const recall = (key) => { try { return localStorage[key]; } catch { return null; } };
const remember = (key, value) => { try { localStorage[key] = value; } catch {} };

const video = one(".stage video");
let isBroken = false;
let sought = false; // by hand, maybe before it ever played
const seek = (at) => {
  sought = true;
  video.currentTime = at;
};

const noticeWhatDoesNotPlay = () => {
  const sources = all("source", video);
  const tell = (broken) => {
    isBroken = broken;
    one(".broken").hidden = !broken;
  };
  // Of a last source whose type it does not know, Chromium says nothing.
  const look = ({ target }) => {
    const isLast = target === sources.at(-1) || video.networkState === video.NETWORK_NO_SOURCE;
    if (video.error || (sources[0] && isLast)) tell(true);
  };
  for (const source of [video, ...sources]) source.onerror = look;
  // Before it begins to choose, it says that there is no source, too.
  video.onloadedmetadata = () => tell(false);
  setTimeout(look, 0, {});
};

// -- where one was, or wants to be

const goOn = () => {
  const place = "reelshelf.at." + location.pathname;
  const asked = (text) => new URLSearchParams(text).get("t");
  let kept = 0;
  video.onplay = () => {
    video.onplay = null;
    const at = asked(location.hash.slice(1)) ?? asked(location.search) ?? recall(place);
    if (!sought && at > 0 && video.currentTime < 1) video.currentTime = at;
    const keep = () => {
      kept = video.currentTime;
      remember(place, video.duration - kept > 5 ? kept : 0);
    };
    video.ontimeupdate = () => { if (Math.abs(video.currentTime - kept) >= 4) keep(); };
    onpagehide = keep;
  };
};

const takeKeys = () => {
  const play = () => { if (video.paused) video.play(); else video.pause(); };
  const deeds = {
    " ": play,
    k: play,
    j: () => { video.currentTime -= 10; },
    l: () => { video.currentTime += 10; },
    f: () => document.fullscreenElement ? document.exitFullscreen() : video.requestFullscreen(),
  };
  const box = make("input");
  box.type = "checkbox";
  box.checked = recall("reelshelf.keys") !== "false";
  box.onchange = () => remember("reelshelf.keys", box.checked);
  const place = one(".keys");
  place.append(make("label", "", box, " Keys: k or space plays, j and l seek, f fills the screen"));
  place.hidden = false;
  onkeydown = (event) => {
    const { key, target } = event;
    const taken = target === video
      ? key === " " // it does so itself
      : target.closest("a, button, input, select, textarea");
    if (taken || !deeds[key] || !box.checked) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    deeds[key]();
  };
};

// -- moments: links into the film play it here

const instant = (link) => Number(new URLSearchParams(link.hash.slice(1)).get("t"));
const chapters = all(".chapters a.t").map((link) => ({ link, at: instant(link) }));
const chapterAt = (at) => chapters.findLast((chapter) => chapter.at <= at + 0.05)?.link;

const leadIntoTheFilm = () => {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("article a.t");
    if (!link || isBroken || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    seek(instant(link));
    video.play().catch(() => {}); // it says so itself
    video.scrollIntoView({ block: "nearest" });
  });
  let current;
  video.addEventListener("timeupdate", () => {
    const now = chapterAt(video.currentTime);
    if (now === current) return;
    current?.removeAttribute("aria-current");
    now?.setAttribute("aria-current", "true");
    current = now;
  });
};

// -- subtitles: those that were chosen last, on any page

const keepSubtitles = () => {
  const forced = one("track[default][srclang]", video)?.track; // are no choice
  const texts = all("track[srclang]", video).map(({ track }) => track).filter((track) => track !== forced);
  const nameOf = (track) => track ? `${track.language} ${track.kind}` : "";
  const shown = () => nameOf(texts.find(({ mode }) => mode === "showing"));
  const [language, kind] = (recall("reelshelf.text") ?? "").split(" ");
  const likeness = (track) =>
    4 * (track.language.split("-")[0] === language.split("-")[0])
    + 2 * (track.language === language) + (track.kind === kind);
  const [best] = [...texts].sort((one_, other) => likeness(other) - likeness(one_));
  if (language && best && likeness(best) >= 4) {
    if (forced) forced.mode = "disabled";
    best.mode = "showing";
  }
  let known = shown();
  video.textTracks.onchange = () => {
    const now = shown();
    if (now === known) return;
    known = now;
    remember("reelshelf.text", now);
  };
};

// -- the strip below the film: what is to be seen where, and a way there

const clock = (at) => {
  const [hours, minutes, seconds] = [at / 3600, at / 60 % 60, at % 60].map(Math.floor);
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
};

const scrub = (strip, board) => {
  const played = make("i", "played");
  const tile = make("span", "tile");
  const [time, title] = [make("b"), make("bdi")];
  const peek = make("div", "peek", tile, time, " ", title);
  const sheet = new Image();
  let tiles = [];
  let at = 0;
  let held = false;
  let x = 0;
  peek.hidden = true;
  strip.append(make("i"), played, peek);
  strip.ariaHidden = "true"; // with keys one seeks in the player itself
  strip.hidden = false;

  const length = () => Number.isFinite(video.duration) ? video.duration : tiles.at(-1)?.to ?? 0;
  const percent = (part) => `${100 * Math.min(Math.max(part, 0), 1)}%`;
  const show = () => {
    const { left, width } = strip.getBoundingClientRect();
    at = Math.min(Math.max((x - left) / width, 0), 1) * length();
    const found = tiles.findLast(({ from }) => from <= at) ?? tiles[0];
    time.textContent = clock(at);
    title.textContent = chapterAt(at)?.querySelector("bdi").textContent ?? "";
    tile.hidden = !found || !sheet.naturalWidth;
    if (!tile.hidden) {
      const scale = Math.min(1, width / 2 / found.width);
      Object.assign(tile.style, {
        width: `${found.width * scale}px`,
        height: `${found.height * scale}px`,
        backgroundImage: `url("${sheet.src}")`,
        backgroundSize: `${sheet.naturalWidth * scale}px`,
        backgroundPosition: `${-found.x * scale}px ${-found.y * scale}px`,
      });
    }
    peek.hidden = !length();
    peek.style.left = `${Math.min(Math.max(x - left - peek.offsetWidth / 2, 0), width - peek.offsetWidth)}px`;
  };
  const hide = () => { peek.hidden = true; };

  board.onload = () => {
    tiles = [...board.track.cues].flatMap(({ startTime: from, endTime: to, text }) => {
      const [, file, area] = /^(\S+)#xywh=([\d,]+)$/.exec(text) ?? [];
      const [left, top, width, height] = (area ?? "").split(",").map(Number);
      return height ? [{ from, to, file, x: left, y: top, width, height }] : [];
    });
    if (tiles[0]) sheet.src = new URL(tiles[0].file, board.src);
  };
  sheet.onload = () => { if (!peek.hidden) show(); };

  strip.onpointerenter = () => { board.track.mode = "hidden"; }; // is read now, and once
  strip.onpointermove = strip.onpointerdown = (event) => {
    ({ clientX: x } = event);
    if (event.type === "pointerdown" && event.isPrimary && !event.button) {
      held = true;
      strip.setPointerCapture(event.pointerId);
    }
    show();
  };
  strip.onpointerup = (event) => {
    if (held) seek(at);
    held = false;
    if (event.pointerType !== "mouse") hide();
  };
  strip.onpointerleave = hide;
  strip.onpointercancel = () => {
    held = false;
    hide();
  };

  const mark = () => {
    for (const { at: start } of chapters) {
      if (!(start > 0 && start < length())) continue;
      const gap = make("i", "gap");
      gap.style.left = percent(start / length());
      strip.append(gap);
    }
  };
  if (video.readyState) mark();
  else video.addEventListener("loadedmetadata", mark, { once: true });
  video.addEventListener("timeupdate", () => {
    played.style.width = percent(video.currentTime / length());
  });
};

if (video) {
  noticeWhatDoesNotPlay();
  goOn();
  takeKeys();
  leadIntoTheFilm();
  keepSubtitles();
  const [strip, board] = [one(".strip"), one("track[kind=metadata]", video)];
  if (strip && board) scrub(strip, board);
}
