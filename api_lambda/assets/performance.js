// Keeps the performance page up to date: the server draws its parts, and this puts them in place.
{
  const EVERY_MS = 5000;
  let timer;

  const place = (part) => {
    const here = document.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!here || here.contains(document.activeElement)) return; // nobody loses where they are
    for (const kept of part.querySelectorAll("[data-keep]")) {
      kept.open = Boolean(here.querySelector(`[data-keep="${kept.dataset.keep}"]`)?.open);
    }
    if (here.outerHTML !== part.outerHTML) here.replaceWith(document.adoptNode(part));
  };

  const look = async () => {
    let again = true;
    try {
      const answer = await fetch("stats", {
        headers: { Accept: "text/html", "Reelshelf-As": "owner" }, cache: "no-store",
        signal: AbortSignal.timeout(20_000),
      });
      again = answer.status !== 401 && answer.status !== 403; // signed out: the page stays as it is
      if (answer.ok) {
        const told = new DOMParser().parseFromString(await answer.text(), "text/html");
        told.querySelectorAll("[data-live]").forEach(place);
      }
    } catch { /* the next time, perhaps */ }
    if (again) wait();
  };

  const wait = () => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, EVERY_MS);
  };

  document.addEventListener("visibilitychange", wait);
  wait();
}
