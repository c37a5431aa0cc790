// Shows what people do at once, and sends it to the API; pages are complete without it.
//
// An action waits in storage under its video and kind, so that the last of a kind counts, and is
// sent with an idempotency key. Shown is the last reply of the API with the waiting actions applied;
// a refused one is undone. Queued ones stay applied for a while.
const root = document.documentElement;
const { api } = root.dataset;
const place = "reelshelf" + api; // in storage, as several sites may share an origin
const FRESH_MS = 600_000; // as long as a page may have lain in a cache
const MAX_FRESH = 200;
const RETRY_MS = [2_000, 300_000]; // first and longest
const KEEP_MS = 30 * 86_400_000; // the API knows keys again for 45 days
const VIEW_S = 10;

const one = (selector, within = document) => within.querySelector(selector);
const make = (tag, about, ...content) => {
  const element = Object.assign(document.createElement(tag), about);
  element.append(...content);
  return element;
};
const random = () => Array.from(
  crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"),
).join("");

// -- storage; what it refuses lasts as long as the page

const spare = new Map();
const attempt = (action) => { try { return action(); } catch { return undefined; } };
const recall = (name) => spare.get(name) ?? attempt(() => localStorage[name]);
const forget = (name) => { spare.delete(name); attempt(() => delete localStorage[name]); };
const keep = (name, text) => {
  forget(name);
  if (attempt(() => { localStorage[name] = text; return true; }) !== true) spare.set(name, text);
};
const read = (name) => attempt(() => JSON.parse(recall(name)));
const names = () => [...attempt(() => Object.keys(localStorage)) ?? [], ...spare.keys()];

const told = make("p", { className: "told", role: "status" });
document.body.append(told);
let telling;
const tell = (text) => {
  clearTimeout(telling);
  told.textContent = text;
  telling = setTimeout(() => { told.textContent = ""; }, 12_000);
};

// -- the API

const ask = async (method, path, body, key, as) => {
  const headers = {};
  if (as === "owner") headers["Reelshelf-As"] = as; // not as a visitor, once the session is over
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  try {
    const answer = await fetch(api + path, {
      method, headers, cache: "no-store", keepalive: method !== "GET",
      body: body && JSON.stringify(body), signal: AbortSignal.timeout(20_000),
    });
    const { status } = answer;
    const isJson = answer.headers.get("Content-Type")?.includes("json");
    const wait_s = Number(answer.headers.get("Retry-After")) || 0;
    return { status, wait_s, reply: isJson && await answer.json().catch(() => undefined) };
  } catch {
    return { status: 0, wait_s: 0 };
  }
};
const isAway = (status) => status < 200 || status >= 500 || [408, 425, 429].includes(status);

const stored = (mark, for_ms) => names().filter((name) => name.startsWith(place + mark)).flatMap((name) => {
  const action = read(name);
  if (action?.at > Date.now() - for_ms) return [{ ...action, name }];
  forget(name);
  return [];
}).sort((a, b) => a.at - b.at);
const waiting = () => stored("#do ", KEEP_MS);
const queued = () => stored("#queued ", FRESH_MS);
const actions = (as) => [...queued().filter((action) => action.as === as), ...waiting()].filter(({ change }) => change);

const act = (kind, method, path, body, change) => {
  const at = performance.timeOrigin + performance.now();
  // A view has no key of its own: the API makes one of the visit and the hour.
  const action = { at, key: change && random(), video: id, method, path, body, change, as: change && you?.role };
  keep(`${place}#do ${id} ${kind}`, JSON.stringify(action));
  show();
  deliver();
};

let delivering = false;
let late = false;
let pause_ms = 0;
let again;
const deliver = async () => {
  clearTimeout(again);
  if (delivering) return;
  delivering = true;
  try {
    while (await deliverOne());
  } finally {
    delivering = false;
  }
  if (late && !waiting().length) {
    late = false;
    tell("The server can be reached again. Your changes are saved.");
  }
};
const deliverOne = async () => {
  const [action] = waiting();
  if (!action) return false;
  const path = `/videos/${action.video}${action.path}`;
  const { status, wait_s, reply } = await ask(action.method, path, action.body, action.key, action.as);
  const isQueued = reply?.state === "queued";
  const isDone = status < 300 && (isQueued || reply?.video);
  if (isAway(status) || (status < 400 && !isDone)) {
    pause_ms = Math.min(2 * pause_ms || RETRY_MS[0], RETRY_MS[1]);
    again = setTimeout(deliver, Math.max(pause_ms * (0.75 + Math.random() / 2), 1000 * wait_s));
    if (action.change && !late) {
      late = true;
      tell("The server cannot be reached right now. Your change is saved in this browser and will be sent later.");
    }
    return false;
  }
  pause_ms = 0;
  if (read(action.name)?.at === action.at) forget(action.name); // or it has been overtaken
  const name = action.name.replace("#do ", "#queued ");
  if (isQueued) {
    if (action.change) keep(name, JSON.stringify({ ...action, at: Date.now() }));
  } else if (isDone) {
    forget(name);
    learn(reply.video, action.change);
  } else if (action.change) tell(`Not saved: ${reply?.detail ?? `the server answered ${status}`}`);
  if (article && (status === 401 || status === 403)) look();
  show();
  return true;
};

// -- one's own figures, fresher for a while than a page from a cache

const own = () => {
  const fresh = Object.entries(read(place + "#own") ?? {})
    .filter(([, { at }]) => at > Date.now() - FRESH_MS).sort(([, a], [, b]) => b.at - a.at);
  if (!fresh.length) forget(place + "#own");
  return Object.fromEntries(fresh.slice(0, MAX_FRESH));
};
const hold = ({ id: video, version, stars, rating, favorite }, at) => {
  const entry = { at, version, stars, rating, favorite };
  keep(place + "#own", JSON.stringify({ ...own(), [video]: entry }));
};
const learn = (reply, change) => {
  if (String(reply.id) === id) {
    figures = reply;
    if (you && change) you = altered(you, change);
  }
  if (change) hold(reply, Date.now());
};
const altered = ({ tags = [], ...before }, { add, drop, ...change }) => ({
  ...before, ...change, tags: [...new Set([...tags, add ?? []].flat())].filter((tag) => tag !== drop),
});

const cards = new Map([...document.querySelectorAll(".cards > [data-k]")].map((card) => [
  card, { k: card.dataset.k, marks: one("p", card)?.cloneNode(true) },
]));
const laid = new Set();
const layOver = () => {
  const known = own();
  const isOwner = recall(place)?.startsWith("owner");
  const mine = isOwner ? actions("owner") : [];
  let isMoved = false;
  for (const [card, { k, marks }] of cards) {
    const [video, ...rest] = k.split(" ");
    const shown = mine.filter((action) => action.video === video)
      .reduce((before, { change }) => altered(before, change), { ...known[video] });
    const p = one("p", card);
    if (!p || !(laid.has(card) || "favorite" in shown || "stars" in shown)) continue;
    laid.add(card);
    p.replaceChildren(...marks.cloneNode(true).childNodes);
    const mark = (name, text) => {
      const element = one("." + name, p) ?? p.appendChild(make("i", { className: name }));
      if (text) element.textContent = text;
      else element.remove();
    };
    if ("stars" in shown) mark("s", shown.stars);
    if ("rating" in shown) mark("m", shown.rating?.mean.toFixed(1));
    if ("favorite" in shown) mark("f", shown.favorite && "favorite");
    const [stars, mean] = [".s", ".m"].map((name) => Number(one(name, p)?.textContent ?? 0));
    rest[1] = 10 * Math.round(10 * (mean || stars)) + stars;
    const now = [video, ...rest].join(" ");
    isMoved ||= card.dataset.k !== now;
    card.dataset.k = now;
  }
  if (isMoved && location.hash) dispatchEvent(new Event("hashchange")); // the order is another
};

let hasCompared = false;
const compare = async () => {
  const known = own();
  const shown = [...cards.values()].map(({ k }) => known[k.split(" ")[0]]).filter(Boolean);
  if (!shown.length || hasCompared) return;
  hasCompared = true;
  const since = Math.min(...shown.map(({ version }) => version));
  const { reply } = await ask("GET", `/changes?since=${since}`);
  if (reply?.complete === false) forget(place + "#own");
  for (const other of reply?.videos ?? []) {
    const mine = own()[other.id];
    if (mine?.version < other.version) hold(other, mine.at);
  }
  layOver();
};

// -- the page of a video

const article = one("[data-id]");
const id = article?.dataset.id;
const [stars, heart, mean, views] = [".stars", ".f", ".m", ".v"]
  .map((name) => article && one(".marks " + name, article));
const tagging = article && one(".tagging", article);
const items = new Map([...tagging?.querySelectorAll("li") ?? []].map((item) => [
  one("bdi", item).textContent, item,
]));
let figures = {
  stars: stars?.querySelectorAll(".on").length || null,
  favorite: heart?.hidden === false,
  tags: [...items.keys()],
};
let you; // what the API says of who asks: nobody yet

const look = async () => {
  const { status, reply } = await ask("GET", "/videos/" + id);
  const before = recall(place);
  if (reply?.you) {
    const { role, may } = reply.you;
    const isOlder = figures.version > reply.version; // overtaken by the answer to a click
    if (!isOlder) Object.assign(figures, !("version" in reply) && role === "owner" && own()[id], reply);
    you = isOlder ? { ...you, role, may } : { ...(role === "owner" && figures), ...reply.you };
    keep(place, [you.role, ...you.may].join(" "));
    if ("stars" in reply.you) settle({ ...reply, ...reply.you });
  } else if (before && isAway(status)) { // an outage: what one might do before is kept for later
    const [role, ...may] = before.split(" ");
    if (role === "owner") Object.assign(figures, own()[id]);
    you = { ...(role === "owner" && figures), role, may };
  } else {
    you = { may: [] };
    if (!reply) { // no API answers here: ask no more, and leave no room for it
      attempt(() => { sessionStorage[place] = "none"; });
      keep(place, "");
    }
  }
  root.dataset.may = you.may.join(" ");
  show();
};

// What the API has seen is not laid over what others do later.
const settle = (known) => {
  const after = (change) => JSON.stringify(altered(known, change));
  for (const { name, video, change } of queued()) {
    if (video === id && after(change) === after({})) forget(name);
  }
};

const show = () => {
  layOver();
  if (!you) return;
  const mine = actions(you.role).filter(({ video }) => video === id)
    .reduce((before, { change }) => altered(before, change), { ...you, tags: figures.tags });
  const may = (what) => you.may.includes(what);
  if (stars) showStars(may("rate") ? mine.stars : figures.stars, may("rate"));
  if (heart) showHeart(may("favorite") ? mine.favorite : figures.favorite, may("favorite"));
  if (tagging) showTags(mine.tags, may("tag"));
  if (you.role !== "owner") showOwner();
  if (mean && "rating" in figures) {
    const { mean: score, votes } = figures.rating ?? {};
    mean.hidden = !votes;
    mean.textContent = votes ? `${score.toFixed(1)} from ${votes} vote${votes === 1 ? "" : "s"}` : "";
  }
  if (views && "views" in figures) {
    views.hidden = !figures.views;
    views.textContent = figures.views.toLocaleString(root.lang);
  }
  restore();
};

const words = stars && one("span", stars);
const marks = [...stars?.querySelectorAll("i") ?? []];
let radios;
let clear;
let rated;
const rate = (number) => {
  const body = number ? { stars: number } : undefined;
  act("rating", body ? "PUT" : "DELETE", "/rating", body, { stars: number });
};
const showStars = (number, may) => {
  rated = number ?? null;
  if (may && !radios) {
    radios = marks.map((_, index) => make("input", {
      type: "radio", name: "stars", value: index + 1,
      ariaLabel: index ? `${index + 1} stars` : "1 star",
      onclick: () => rate(index + 1 === rated ? null : index + 1),
    }));
    clear = make("button", {
      type: "button", textContent: "Clear", ariaLabel: "Clear the rating",
      onclick: () => { radios[0].focus(); rate(null); },
    });
    const labels = marks.map((mark, index) => make("label", {}, radios[index], mark));
    const group = make("span", { role: "radiogroup", ariaLabel: "Your rating" }, ...labels);
    stars.replaceChildren(group, clear);
  }
  stars.hidden = !radios && !rated;
  words.textContent = `${rated} of 5 stars`;
  marks.forEach((mark, index) => { mark.className = index < rated ? "on" : ""; });
  radios?.forEach((radio, index) => {
    radio.checked = index + 1 === rated;
    radio.disabled = !may;
  });
  if (clear) clear.hidden = !may || !rated;
};

let button;
const showHeart = (isFavorite, may) => {
  if (may && !button) {
    button = make("button", {
      type: "button", className: "f", textContent: heart.textContent,
      onclick: () => {
        const wanted = button.ariaPressed !== "true";
        act("favorite", wanted ? "PUT" : "DELETE", "/favorite", undefined, { favorite: wanted });
      },
    });
    heart.replaceWith(button);
  }
  heart.hidden = !isFavorite;
  if (button) Object.assign(button, { ariaPressed: String(!!isFavorite), disabled: !may });
};

let owner;
const showOwner = () => { // whose marks have made way for the visitor's own
  const summary = [
    radios && figures.stars && `${figures.stars} of 5 stars`,
    button && figures.favorite && "a favorite",
  ].filter(Boolean).join(", ");
  if (!summary && !owner) return;
  owner ??= one(".marks").appendChild(make("span", {}));
  owner.textContent = summary && `Owner: ${summary}`;
};

let form;
let isEditing = false;
let shownTags;
let looked;
const edit = tagging && one("button", tagging);
const setEditing = (wanted) => {
  isEditing = wanted;
  form.hidden = !wanted;
  Object.assign(edit, { textContent: wanted ? "Done" : "Edit tags", ariaExpanded: String(wanted) });
  show();
};
const addTag = (name, tags) => {
  const tag = name.replace(/\s+/g, " ").replace(/^[ #]+/, "").trim().toLowerCase();
  if (!tag || tags.includes(tag)) return;
  act("tag " + tag, "POST", "/tags", { tags: [tag] }, { add: tag });
};
const dropTag = (tag, tags) => {
  const isStep = /^\.\.?$/.test(tag); // no address can end in one
  const rest = { tags: tags.filter((other) => other !== tag) };
  if (isStep) act("tag " + tag, "PUT", "/tags", rest, { drop: tag });
  else act("tag " + tag, "DELETE", "/tags/" + encodeURIComponent(tag), undefined, { drop: tag });
};
const showTags = (tags, may) => {
  if (may && !form) {
    const field = make("input", {
      ariaLabel: "New tag", placeholder: "New tag", autocomplete: "off", autocapitalize: "none",
      enterKeyHint: "done", maxLength: 64,
    });
    form = make("form", { hidden: true }, field, make("button", { textContent: "Add" }));
    form.onsubmit = (event) => {
      event.preventDefault();
      for (const name of field.value.split(",")) addTag(name, shownTags);
      field.value = "";
    };
    edit.onclick = () => {
      setEditing(!isEditing);
      if (isEditing) field.focus();
    };
    tagging.onkeydown = ({ key }) => {
      if (key !== "Escape" || !isEditing) return;
      setEditing(false);
      edit.focus();
    };
    tagging.append(form);
  }
  if (form) edit.hidden = !may;
  tagging.hidden = !may && !tags.length;
  const looks = JSON.stringify([tags, isEditing]);
  if (looks === looked) return;
  [looked, shownTags] = [looks, tags];
  one("ul", tagging).replaceChildren(...[...tags].sort().map((tag, index) => {
    if (!items.has(tag)) {
      items.set(tag, make("li", {}, make("span", {}, make("bdi", { textContent: tag }))));
    }
    const item = items.get(tag);
    one("button", item)?.remove();
    if (isEditing) {
      item.append(make("button", {
        type: "button", textContent: "×", ariaLabel: "Remove the tag " + tag,
        onclick: () => {
          dropTag(tag, shownTags);
          (tagging.querySelectorAll("li button")[index] ?? one("input", form)).focus();
        },
      }));
    }
    return item;
  }));
};

// A page that the dev server loads again, twice even, keeps the place of the keyboard.
const FOCUS = ["[name=stars]:checked", "button.f", ".tagging > button"];
let hasRestored = false;
addEventListener("pagehide", () => attempt(() => {
  if (!hasRestored) return;
  const at = FOCUS.find((selector) => one(selector)?.matches(":focus-visible"));
  const isTyping = isEditing && document.activeElement.closest(".tagging");
  const typed = isEditing && one(".tagging input").value;
  const state = [location.pathname, isEditing, isTyping ? ".tagging input" : at, typed];
  sessionStorage[place + " focus"] = JSON.stringify(state);
}));
const restore = () => {
  if (hasRestored) return;
  hasRestored = true;
  const kept = attempt(() => JSON.parse(sessionStorage[place + " focus"])) ?? [];
  const [path, wasEditing, at, typed] = kept;
  const isAgain = performance.getEntriesByType("navigation")[0]?.type === "reload";
  if (!isAgain || path !== location.pathname) return;
  if (form && wasEditing) {
    setEditing(true);
    one("input", form).value = typed;
  }
  if (at) one(at)?.focus();
};

// -- a view: ten seconds, or the whole of something shorter, once a page

const film = article && one(".stage video", article);
let isCounted = false;
const visit = attempt(() => sessionStorage[place + " visit"] ??= random()) ?? random();
const count = () => {
  if (isCounted || !you) return;
  let played_s = 0;
  for (let index = 0; index < film.played.length; index += 1) {
    played_s += film.played.end(index) - film.played.start(index);
  }
  if (played_s < VIEW_S && !(film.ended && film.duration <= VIEW_S)) return;
  isCounted = true;
  const hour = Math.floor(Date.now() / 3_600_000);
  if (you.may.includes("view")) act("view " + hour, "POST", "/views", { visit });
};
film?.addEventListener("timeupdate", count);
film?.addEventListener("ended", count);

addEventListener("online", () => {
  attempt(() => delete sessionStorage[place]);
  wake();
});

/** Show what is known, ask for what is not, and send what waits; again when a page comes back. */
export const wake = () => {
  show();
  if (attempt(() => sessionStorage[place]) === "none") root.dataset.may = "";
  else if (article) look();
  compare();
  deliver();
};
