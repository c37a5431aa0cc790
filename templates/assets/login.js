// Signs the owner in: a token becomes a cookie that no script can read.
{
  const one = (selector) => document.querySelector(selector);
  const { api } = document.documentElement.dataset;
  const status = one("[role=status]");
  const form = one("form.login");
  const leave = one("form.leave");
  const isLoginPage = location.pathname.endsWith("/login.html"); // or sent in place of another

  // A page of this site only; the address of another says where we come from, not where to go.
  const back = () => {
    const next = location.search.startsWith("?next=") && location.search.slice(6);
    if (/^\/(?![/\\])[!-~]*$/.test(next || "")) {
      const to = new URL(next, location.origin);
      if (to.origin === location.origin && to.pathname !== location.pathname) return to.pathname + to.search;
    }
    if (!isLoginPage) return location.pathname + location.search;
    const from = document.referrer && new URL(document.referrer);
    const isOurs = from && from.origin === location.origin && from.pathname !== location.pathname;
    return isOurs ? from.pathname + from.search : one(".brand").pathname;
  };

  const ask = async (method, body) => {
    const headers = body ? { "Content-Type": "application/json" } : {};
    try {
      const answer = await fetch(api + "/session", {
        method, headers, body: body && JSON.stringify(body), cache: "no-store",
      });
      const isJson = answer.headers.get("Content-Type")?.includes("json");
      return { status: answer.status, reply: isJson && await answer.json().catch(() => undefined) };
    } catch {
      return { status: 0 };
    }
  };

  const show = (text, isSignedIn) => {
    status.textContent = text;
    form.hidden = isSignedIn;
    leave.hidden = !isSignedIn;
  };
  const isSignedInAs = (role) => role === "owner" || role === "viewer";

  // What other pages remember of who asks is of no use any more.
  const forget = () => {
    try {
      delete localStorage["reelshelf" + api];
      delete sessionStorage["reelshelf" + api];
    } catch { /* nothing was remembered */ }
  };

  // As live.js remembers it: pages leave room for what one may do, and lead to what one may see.
  const remember = ({ role, may }) => {
    document.documentElement.dataset.may = may.join(" ");
    try { localStorage["reelshelf" + api] = [role, ...may].join(" "); } catch { /* until later */ }
  };

  const look = async () => {
    const { reply } = await ask("GET");
    if (reply?.may) remember(reply);
    if (!reply?.role) status.textContent = "The sign-in server cannot be reached.";
    else if (isSignedInAs(reply.role)) show("You are signed in.", true);
    else show("", false);
    return reply?.role;
  };

  if (form && api) {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const field = one("#token");
      const button = form.querySelector("button");
      button.disabled = true;
      status.textContent = "";
      const { status: code, reply } = await ask("POST", { token: field.value.trim() });
      button.disabled = false;
      forget();
      if (code === 204) {
        if (isSignedInAs(await look())) location.assign(back());
        else show("The browser did not store the sign-in cookie. Open this site at an https:// address.", false);
        return;
      }
      show({
        0: "The server cannot be reached. Try again later.",
        401: "Unknown, expired or revoked token.",
        429: "Too many tries. Wait a few minutes.",
      }[code] ?? `Not signed in: ${reply?.detail ?? `the server answered ${code}`}`, false);
      field.select();
    };
    leave.onsubmit = async (event) => {
      event.preventDefault();
      const { status: code } = await ask("DELETE");
      forget();
      const role = await look();
      if (code !== 204) status.textContent = "Not signed out: the server cannot be reached.";
      else if (role === "owner") { status.textContent = "You do not need to sign in on this computer."; leave.hidden = true; }
      else { status.textContent = "You are signed out."; one("#token").focus(); }
    };
    form.hidden = leave.hidden = true;
    look().then((role) => {
      // A session outlives what a CDN asks for, which the API has just renewed: once more, and once.
      const again = "reelshelf again " + location.pathname;
      if (isLoginPage || !isSignedInAs(role)) return;
      try {
        if (sessionStorage[again]) return;
        sessionStorage[again] = "1";
      } catch { return; }
      location.reload();
    });
  }
}
