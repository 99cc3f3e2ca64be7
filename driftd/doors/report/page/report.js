"use strict";
// Searching and choosing. The report is whole without it: this only hides what was not asked for.
(() => {
  const tools = document.querySelector(".tools");
  const search = document.getElementById("search");
  const said = document.getElementById("said");
  const boxes = [...tools.querySelectorAll("input[type=checkbox]")];
  const findings = [...document.querySelectorAll(".finding")];
  const rows = [...document.querySelectorAll(".instances tbody tr")];
  const instances = [...document.querySelectorAll(".instance")].map((section, at) => {
    const mine = { section, row: rows[at], text: "", shown: -1, findings: [] };
    return mine;
  });
  const bySection = new Map(instances.map((one) => [one.section, one]));
  // What holds findings: of each cause its section, and the few that are laid out together.
  const holders = new Map();
  const holding = (element) => {
    if (element && !holders.has(element)) holders.set(element, { shown: 0, hidden: false, was: -1 });
    return holders.get(element);
  };
  const cards = findings.map((card) => {
    const instance = bySection.get(card.closest(".instance"));
    const within = [holding(card.parentElement), holding(card.closest(".cause"))].filter(Boolean);
    const made = { card, instance, within, text: null, hidden: false, severity: card.dataset.severity, accepted: "accepted" in card.dataset };
    instance.findings.push(made);
    return made;
  });
  for (const one of instances) one.text = one.section.querySelector("header").textContent.toLowerCase();

  // Texts are read while nothing else is to be done; whoever types before that waits for the rest of them once.
  let read = 0;
  const readSome = (until) => {
    while (read < cards.length && performance.now() < until) {
      const one = cards[read++];
      one.text = one.instance.text + " " + one.card.textContent.toLowerCase();
    }
  };
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  const later = () => { readSome(performance.now() + 8); if (read < cards.length) idle(later); };
  idle(later);

  const show = (element, state, hidden) => {
    if (state.hidden !== hidden) { state.hidden = hidden; element.hidden = hidden; }
  };
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const all = words.length === 0 && wanted.size === boxes.length;
    if (words.length) readSome(Infinity);
    for (const state of holders.values()) state.shown = 0;
    let total = 0, places = 0;
    for (const instance of instances) {
      let shown = 0;
      for (const one of instance.findings) {
        const fits = wanted.has(one.severity) && (wanted.has("accepted") || !one.accepted) && words.every((word) => one.text.includes(word));
        if (fits) { shown++; for (const state of one.within) state.shown++; }
        show(one.card, one, !fits);
      }
      const itself = !instance.findings.length && words.every((word) => instance.text.includes(word)) && (words.length > 0 || all);
      const hidden = !all && shown === 0 && !itself;
      show(instance.section, instance, hidden);
      if (instance.row) instance.row.hidden = hidden;
      total += shown;
      places += hidden ? 0 : 1;
    }
    for (const [element, state] of holders) {
      show(element, state, state.shown === 0);
      if (state.was === state.shown) continue;
      state.was = state.shown;  // how high it will be, until it has come into view
      if (element.className === "some") element.style.containIntrinsicBlockSize = `auto ${2.3 * state.shown}rem`;
    }
    const n = (number, one) => number.toLocaleString("en") + " " + one + (number === 1 ? "" : "s");
    said.textContent = all
      ? n(cards.length, "finding") + " on " + n(instances.length, "instance")
      : n(total, "finding") + " of " + cards.length.toLocaleString("en") + ", " + n(places, "instance");
  };
  let waiting = 0;
  const soon = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(apply); };
  tools.addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", soon);
  for (const box of boxes) box.addEventListener("change", soon);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && search.value) {
      search.value = "";
      soon();
    }
  });
  tools.hidden = false;
  apply();
})();
