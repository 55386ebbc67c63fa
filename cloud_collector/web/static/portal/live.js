// What moves on the page as it moves: it listens, and where nobody tells, it asks. Without it the page says when it was made.

(() => {
  const ASK_MS = 15_000;
  const REST_MS = 500;
  const AHEAD_MS = 60_000;
  const AGAIN_MS = 60_000;
  const box = document.querySelector("[data-events]");
  const sign = document.querySelector("#liveness");
  if (!box || !window.htmx) return;
  let stream = null;
  let asking = 0;
  let again = 0;
  let resting = 0;
  let wanted = false;
  let ahead = 0;

  const say = (kind, mark, words) => {
    if (sign.dataset.kind === kind) return;
    sign.dataset.kind = kind;
    sign.className = `state ${kind === "live" ? "good" : "idle"}`;
    const shape = document.createElement("span");
    shape.ariaHidden = "true";
    shape.textContent = mark;
    sign.replaceChildren(shape, ` ${words}`);
  };

  // However much is told, the figures are fetched twice a second at most, and what was told last is among them.
  const fetchNow = () => {
    if (resting) {
      wanted = true;
      return;
    }
    wanted = false;
    resting = setTimeout(() => {
      resting = 0;
      if (wanted) fetchNow();
    }, REST_MS);
    htmx.trigger(box, "news");
    // What is to come is dearer to work out and moves slowly: it follows a minute later, with all that was told till then.
    ahead ||= setTimeout(() => {
      ahead = 0;
      htmx.trigger("#ahead", "news");
    }, AHEAD_MS);
  };

  const ask = () => {
    say("asked", "○", "asked every 15 seconds");
    asking ||= setInterval(fetchNow, ASK_MS);
  };

  const hang = () => {
    clearInterval(asking);
    clearTimeout(again);
    clearTimeout(ahead);
    stream?.close();
    asking = again = ahead = 0;
    stream = null;
  };

  const listen = () => {
    hang();
    if (!window.EventSource) return ask();
    stream = new EventSource(box.dataset.events);
    stream.onopen = () => {
      clearInterval(asking);
      asking = 0;
      say("live", "●", "live");
    };
    stream.onerror = () => {
      // A lost line comes back by itself; one that was refused is tried again later.
      ask();
      if (stream.readyState === EventSource.CLOSED) again ||= setTimeout(listen, AGAIN_MS);
    };
    for (const kind of ["cost", "warning", "reset"]) stream.addEventListener(kind, fetchNow);
  };

  // What came after the page was begun before: meanwhile its figures may have moved.
  document.body.addEventListener("htmx:afterSettle", (event) => event.detail.elt.id === "month" && fetchNow());

  // A browser keeps few lines to one server: a page that nobody looks at gives its own back.
  const look = () => (document.hidden ? hang() : listen());
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", hang);
  addEventListener("pageshow", (event) => event.persisted && look());
  look();
})();
