// Leafing through a video by moving over the picture of its card: a storyboard is laid over it.
const base = new URL("..", import.meta.url);
const REST_MS = 250; // as long as a pointer that only passes by does not stay
const A_PART = 50; // videos told of by one file
const A_FOLDER = 1000;

const parts = new Map();
const boardsOf = (part) => {
  if (!parts.has(part)) {
    const asked = fetch(new URL(`board/${part}.json`, base));
    parts.set(part, asked.then((answer) => answer.ok ? answer.json() : {}).catch(() => ({})));
  }
  return parts.get(part);
};

let picture; // that the pointer is over
let resting;
let leaf; // what lies over it
let board;
let x = 0;

const leave = () => {
  clearTimeout(resting);
  leaf?.remove();
  picture = leaf = undefined;
};

const turn = () => {
  const [, count, columns, width, height] = board;
  const { left, width: whole } = picture.getBoundingClientRect();
  const part = Math.min(Math.max((x - left) / whole, 0), 1);
  const number = Math.min(Math.floor(part * count), count - 1);
  const scale = Math.min(whole / width, picture.clientHeight / height);
  Object.assign(leaf.style, {
    width: `${width * scale}px`,
    height: `${height * scale}px`,
    backgroundSize: `${leaf.sheet.naturalWidth * scale}px`,
    backgroundPosition: `${-(number % columns) * width * scale}px ${-Math.floor(number / columns) * height * scale}px`,
  });
  leaf.firstChild.style.width = `${100 * part}%`;
};

const open = async (over) => {
  const [id] = over.closest("[data-k]").dataset.k.split(" ");
  const found = (await boardsOf(Math.floor(id / A_PART)))[id];
  if (!found) return;
  const sheet = new Image();
  sheet.src = new URL(`board/${Math.floor(id / A_FOLDER)}/${id}-${found[0]}.webp`, base);
  try { await sheet.decode(); } catch { return; } // it was replaced, or the browser is offline
  if (over !== picture) return;
  board = found;
  leaf = Object.assign(document.createElement("span"), { className: "leaf", sheet });
  leaf.append(document.createElement("span"));
  leaf.style.backgroundImage = `url("${sheet.src}")`;
  turn();
  picture.firstElementChild.after(leaf); // and below the length
};

const look = ({ target, pointerType, clientX }) => {
  const over = pointerType === "mouse" ? target.closest(".cards [data-k] .p") : null;
  x = clientX;
  if (over === (picture ?? null)) {
    if (leaf) turn();
    return;
  }
  leave();
  if (!over) return;
  picture = over;
  resting = setTimeout(() => open(over), REST_MS);
};

// Begins with the event by which the pointer came to a first picture.
export const wake = (event) => {
  addEventListener("pointerover", look);
  addEventListener("pointermove", look);
  document.documentElement.addEventListener("pointerleave", leave);
  if (event.target.matches(":hover")) look(event); // it may have gone on meanwhile
};
