"use strict";
// Whatever comes from a model or a text is put in as text, never as markup.
const form = document.querySelector("form.try"), place = document.getElementById("answers");
const made = (name, content, style) => {
  const element = document.createElement(name);
  if (content !== undefined) element.textContent = content;
  if (style) element.className = style;
  return element;
};
const percent = value => (100 * value).toFixed(1) + " %";
const row = (...cells) => {
  const line = made("tr");
  cells.forEach((cell, column) => line.append(made("td", cell, column < 3 ? "words" : "")));
  return line;
};
const answerTable = answers => {
  const table = made("table"), head = made("thead"), body = made("tbody"), titles = made("tr");
  ["Model", "Answer", "Scores", "Unknown", "ms"].forEach((name, column) => titles.append(made("th", name, column < 3 ? "words" : "")));
  for (const one of answers) {
    const answer = one.vector ? `${one.values} values` : one.labels.join(", ") || "none";
    const scores = one.vector ? one.vector.map(value => value.toFixed(3)).join("  ") + " …"
      : one.scores.map(([label, score]) => `${label} ${percent(score)}`).join(", ");
    body.append(row(one.name, answer, scores, `${one.unknown} of ${one.tokens}`, one.milliseconds.toFixed(2)));
  }
  head.append(titles);
  table.append(head, body);
  const box = made("div", undefined, "scroll");
  box.tabIndex = 0;  // for the keyboard to scroll it
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Answers");
  box.append(table);
  return box;
};
const tokenLine = tokens => {
  const line = made("p", undefined, "explained");
  const most = Math.max(...tokens.map(one => Math.abs(one.adds)), 1e-9);
  for (const one of tokens) {
    const mark = made("span", one.token, (one.adds >= 0 ? "for" : "against") + (one.unknown ? " unknown" : ""));
    mark.style.setProperty("--part", (Math.abs(one.adds) / most * 45).toFixed(0) + "%");
    mark.title = `${one.adds >= 0 ? "+" : ""}${one.adds.toFixed(3)} to ${one.label}` + (one.unknown ? ", a word that the model does not know" : "");
    mark.tabIndex = 0;
    line.append(mark, " ");
  }
  return line;
};
form.addEventListener("submit", async event => {
  event.preventDefault();
  const asked = {text: form.elements.text.value};
  if (form.elements.lang) asked.lang = form.elements.lang.value;
  const keys = form.dataset.keys.trim().split(/\s+/);
  const names = [...form.querySelectorAll(".name")].map(one => one.textContent);
  place.setAttribute("aria-busy", "true");
  const parts = [];
  for (const [number, key] of keys.entries()) {
    let found;
    try {
      const reply = await fetch(form.dataset.base + "answer/" + key, {method: "POST", body: JSON.stringify(asked)});
      found = await reply.json();
    } catch (problem) {
      found = {error: "lexport ui does not answer any more. Start it again."};
    }
    if (keys.length > 1) parts.push(made("h3", names[number]));
    if (found.error) {
      parts.push(made("p", found.error, "bad"));
      continue;
    }
    parts.push(answerTable(found.answers));
    if (found.tokens.length) {
      parts.push(made("p", `What each token adds to ${found.tokens[0].label}: blue for, red against, underlined: unknown.`, "soft"));
      parts.push(tokenLine(found.tokens));
    }
    for (const one of found.closed) parts.push(made("p", `${one.name} was not opened: ${one.reason}`, "soft"));
  }
  place.replaceChildren(...parts);
  place.removeAttribute("aria-busy");
});
