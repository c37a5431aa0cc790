// Comforts for pages that are complete without them.
{
  const one = (selector, root = document) => root.querySelector(selector);
  const hash = (name) => new URLSearchParams(location.hash.slice(1)).get(name);

  // Storage may be full or forbidden.
  const recall = (key) => { try { return localStorage[key]; } catch { return null; } };

  const show = (place, ...content) => {
    const label = document.createElement("label");
    label.append(...content);
    place.append(label);
    place.hidden = false;
  };

  // What people do is live.js's to tell and to show: on a video's page, and wherever something of
  // one's own waits or is fresher than a page that lay in a cache.
  const root = document.documentElement;
  const { api, live } = root.dataset;
  if (api) {
    root.dataset.may = recall("reelshelf" + api) ?? root.dataset.may;
    let names = [];
    const wake = () => {
      try { names = Object.keys(localStorage); } catch {}
      if (!one("[data-id]") && !names.some((name) => name.startsWith(`reelshelf${api}#`))) return;
      import(live).then((module) => module.wake(), () => {}); // offline: as without script
    };
    wake();
    addEventListener("pageshow", (event) => { if (event.persisted) wake(); });
  }

  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.pathname === location.pathname) link.ariaCurrent = "page";
  }
  const tab = one(".orders [aria-current]");
  if (tab) tab.closest("ul").scrollLeft = tab.offsetLeft - 48;

  // A whole scope: orders, labels and ties are those of the shelves.
  const sorter = one(".sort");
  const list = one(".cards");
  if (sorter && list.children[1]) {
    const figures = (card) => {
      const [id, added, rating, views, duration, size, recorded] = card.dataset.k.split(" ");
      const title = one("b", card).textContent;
      const name = names.indexOf(id);
      return { card, title, id, added, rating, views, duration, size, recorded, name };
    };
    const names = (sorter.dataset.names || "").split(" "); // ids, by number and name
    const titles = new Intl.Collator([], { numeric: true, sensitivity: "base" });
    const select = document.createElement("select");
    const orders = {
      newest: "Newest", oldest: "Oldest",
      title: "Title A to Z", "title-desc": "Title Z to A",
      name: "Episode order", "name-desc": "Episode order (reversed)",
      rating: "Best rated", "rating-asc": "Lowest rated",
      views: "Most viewed", "views-asc": "Least viewed",
      duration: "Longest", "duration-asc": "Shortest",
      size: "Largest", "size-asc": "Smallest",
      recorded: "Recorded: newest first", "recorded-asc": "Recorded: oldest first",
    };
    if (!names[0]) delete orders.name, delete orders["name-desc"]; // a template without them
    for (const order in orders) select.add(new Option(orders[order], order));
    select.onchange = () => location.replace("#order=" + select.value);
    onhashchange = () => {
      select.value = hash("order");
      const order = select.value ||= "newest";
      const key = order.endsWith("est") ? "added" : order.split("-")[0];
      const sign = /^oldest|title$|name$|asc$/.test(order) ? 1 : -1;
      const cards = [...list.children].map(figures).sort((a, b) => sign * (key === "title"
        ? titles.compare(a.title, b.title) || b.added - a.added || a.id - b.id
        : a[key] - b[key] || a.added - b.added || a.id - b.id));
      list.append(...cards.map(({ card }) => card));
    };
    if (hash("order")) onhashchange();
    show(sorter, "Order", select);
  }

  const surprise = one("[data-shelves]");
  if (surprise) {
    const among = (count) => Math.floor(Math.random() * count);
    const pick = (root, links = root.querySelectorAll(".cards a")) =>
      links[among(links.length)]?.href;
    surprise.hidden = false;
    surprise.onclick = async () => {
      let address;
      try {
        const { shelves, url } = await (await fetch(surprise.dataset.shelves)).json();
        for (let tries = 9; tries && !address; tries -= 1) {
          const number = among(shelves + 1); // 0: the first has none
          const page = await fetch(url.replace(number ? "%d" : "-%d", number || ""));
          const text = page.ok ? await page.text() : "";
          address = pick(new DOMParser().parseFromString(text, "text/html"));
        }
      } catch { /* offline: the cards at hand will do */ }
      address ??= pick(document);
      if (address) location = address;
    };
  }

  // Pictures that can be leafed through: boards.js knows how, once a mouse comes to the first.
  const { boards } = root.dataset;
  if (boards && !navigator.connection?.saveData) {
    const look = (event) => {
      if (event.pointerType !== "mouse" || !event.target.closest(".cards .p")) return;
      removeEventListener("pointerover", look);
      import(boards).then((module) => module.wake(event), () => {});
    };
    addEventListener("pointerover", look);
  }
}
