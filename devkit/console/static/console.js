// Refreshes what is shown, where a page asks for it; everything works without.
"use strict";
(() => {
  const pause = document.querySelector("#pause");
  let live = document.querySelector("[data-refresh]");
  if (!live || !pause) return;
  let paused = false;
  let failures = 0;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.classList.toggle("paused", paused);
    pause.textContent = paused ? "Paused" : "Live";
    pause.title = paused ? "Press to refresh again" : "This page refreshes itself; press to pause";
    if (!paused) next(0);
  });

  function busy() {
    // What a person has selected, opened or is writing in is not replaced.
    const focus = document.activeElement;
    return (
      paused ||
      document.hidden ||
      String(getSelection()) !== "" ||
      (live.contains(focus) && focus.matches("input, select, textarea"))
    );
  }

  async function refresh() {
    if (busy()) return next();
    try {
      const response = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      // A delivery without an outcome is not found yet, and has a page all the same.
      if (!response.ok && response.status !== 404) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelector("#live");
      if (!fresh) throw new Error("no part to show");
      if (busy()) return next();
      const open = new Set([...live.querySelectorAll("details[open][id]")].map((d) => d.id));
      const focused = live.contains(document.activeElement) ? document.activeElement.id || document.activeElement.getAttribute("href") : "";
      live.replaceWith(fresh);
      live = fresh;
      document.title = page.title;
      const heading = page.querySelector("h1");
      if (heading) document.querySelector("h1").replaceWith(heading);
      for (const details of live.querySelectorAll("details[id]")) if (open.has(details.id)) details.open = true;
      if (focused) {
        const again = [...live.querySelectorAll("a, button, summary")].find((e) => e.id === focused || e.getAttribute("href") === focused);
        if (again) again.focus({ preventScroll: true });
      }
      failures = 0;
    } catch {
      failures += 1;
    }
    next();
  }

  let timer = 0;
  function next(wait) {
    clearTimeout(timer);
    const seconds = Number(live.dataset.refresh);
    if (!seconds) {
      pause.hidden = true;
      return;
    }
    timer = setTimeout(refresh, wait ?? Math.min(seconds * 2 ** failures, 60) * 1000);
  }
  document.addEventListener("visibilitychange", () => document.hidden || next(0));
  next();
})();
