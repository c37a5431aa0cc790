// Shows the owner which files are not shown, or only partly, and lets them retry.
{
  const root = document.documentElement;
  const { api } = root.dataset;
  const one = (selector, within = document) => within.querySelector(selector);
  const status = one("main [role=status]");
  const list = one(".problems");
  const [all, more] = document.querySelectorAll("main button");
  const signIn = one("main a.button")?.parentElement;
  const tell = (text) => { status.textContent = text; };
  const make = (tag, about, ...content) => {
    const element = Object.assign(document.createElement(tag), about);
    element.append(...content);
    return element;
  };

  const ask = async (method, path, body, key) => {
    const headers = { "Reelshelf-As": "owner" };
    if (body) headers["Content-Type"] = "application/json";
    if (key) headers["Idempotency-Key"] = key;
    try {
      const answer = await fetch(api + path, {
        method, headers, body: body && JSON.stringify(body), cache: "no-store",
        signal: AbortSignal.timeout(60_000),
      });
      const isJson = answer.headers.get("Content-Type")?.includes("json");
      return { code: answer.status, reply: isJson && await answer.json().catch(() => undefined) };
    } catch {
      return { code: 0 };
    }
  };

  const refuse = ({ code }, what) => {
    const isStranger = code === 401 || code === 403;
    if (isStranger) list.replaceChildren();
    if (isStranger || !list.children.length) all.hidden = more.hidden = true;
    signIn.hidden = !isStranger;
    if (isStranger) tell("You are not signed in.");
    else if (code === 501) tell("The list is not available here, because the library is on another computer. Run \u201creelshelf problems\u201d there.");
    else tell(`${what}. Try again later.`);
  };

  // -- the list

  let next;
  const nameOf = ({ root: folder, path }) => folder + "\n" + path;
  const itemAt = (place) => [...list.children].find((item) => item.dataset.place === place);
  const isWaiting = (item) => one("button", item).hidden;
  const itemOf = (problem) => {
    const at = new Date(problem.at).toLocaleString(root.lang, { dateStyle: "medium", timeStyle: "short" });
    const button = make("button", {
      type: "button", textContent: "Retry", ariaLabel: "Retry: " + problem.name,
      onclick: () => retry([item], { places: [{ root: problem.root, path: problem.path }] }),
    });
    const item = make("li", {}, make("div", {},
      make("b", {}, make("bdi", { textContent: problem.name })),
      make("p", { textContent: problem.reason }),
      make("p", {}, problem.stage + ", ", make("time", { dateTime: problem.at, textContent: at })),
    ), button);
    item.dataset.place = nameOf(problem);
    return item;
  };

  const look = async (after = "", told = "") => {
    const answer = await ask("GET", "/problems" + (after && "?after=" + after));
    const { reply } = answer;
    if (!reply?.problems) { refuse(answer, "Could not load the list"); return; }
    const focused = list.contains(document.activeElement) && document.activeElement.closest("li");
    const shown = new Set(reply.problems.map(nameOf));
    const kept = [...list.children].filter((item) =>
      !shown.has(item.dataset.place) && (after || isWaiting(item)));
    list.replaceChildren(...kept, ...reply.problems.map(itemOf));
    if (focused) (one("button", itemAt(focused.dataset.place) ?? list) ?? one(".brand")).focus();
    next = reply.next;
    signIn.hidden = true;
    more.hidden = !next;
    all.hidden = !reply.total;
    const files = reply.total === 1 ? "1 file has a problem." : `${reply.total} files have problems.`;
    tell(told + (reply.total ? files : "No file has a problem."));
  };

  // -- trying again

  const keys = new Map(); // by what is asked for: the same until it is recorded
  const retry = async (items, body) => {
    const name = JSON.stringify(body);
    if (!keys.has(name)) keys.set(name, crypto.getRandomValues(new Uint32Array(4)).join("-"));
    const answer = await ask("POST", "/problems/retry", body, keys.get(name));
    if (answer.code !== 202) { refuse(answer, "Could not save the request"); return; }
    keys.delete(name);
    for (const item of items) wait(item);
    const what = body.all ? "All files" : one("b", items[0]).textContent;
    tell(`${what} will be retried by the next scan.`);
    if (await isShown(answer.reply.event)) {
      for (const item of items) item.remove();
      look("", "Retried. ");
    }
  };

  const wait = (item) => {
    const button = one("button", item);
    const hadFocus = button === document.activeElement;
    button.hidden = true;
    one("p:last-child", item).textContent = "Waiting to be retried";
    if (!hadFocus) return;
    const others = [...list.querySelectorAll("button:not([hidden])")];
    const following = others.find((other) => item.compareDocumentPosition(other) & 4);
    (following ?? others[0] ?? all).focus();
  };

  // The build that shows an event has looked at what the event asks for.
  const isShown = async (event) => {
    for (let tries = 60; tries; tries -= 1) {
      const { reply } = await ask("GET", `/receipts/${event}?wait=10`);
      if (reply?.state === "shown") return true;
      if (reply?.state !== "waiting") return false;
    }
    return false;
  };

  if (api && list) {
    all.onclick = () => retry([...list.children].filter((item) => !isWaiting(item)), { all: true });
    more.onclick = () => look(next);
    tell("");
    look();
  }
}
