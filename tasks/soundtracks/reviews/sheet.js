"use strict";
// Marks answers, keeps them in this browser per rater, and saves them as a CSV file. Nothing is sent anywhere.
const list = document.querySelector("ol");
const items = [...list.children];
const rater = document.querySelector("#rater");
const progress = document.querySelector("output");
const COLUMNS = ["pair", "film", "track", "rating", "whole_album", "note", "rater"];

function key() {
  return `needledrop ${list.dataset.sample} ${rater.value.trim()}`;
}

function answerOf(item) {
  const marked = item.querySelector("input[type=radio]:checked");
  const album = item.querySelector("input[type=checkbox]");
  return {
    rating: marked ? marked.value : "",
    whole_album: album && album.checked ? "yes" : "",
    note: item.querySelector(".note input").value,
  };
}

function show(item, answer) {
  for (const radio of item.querySelectorAll("input[type=radio]")) radio.checked = radio.value === answer.rating;
  const album = item.querySelector("input[type=checkbox]");
  if (album) album.checked = answer.whole_album === "yes";
  item.querySelector(".note input").value = answer.note || "";
}

function update() {
  let rated = 0;
  for (const item of items) {
    item.dataset.rating = answerOf(item).rating;
    rated += item.dataset.rating !== "";
  }
  progress.value = `${rated} of ${items.length} rated`;
}

function keep() {
  update();
  const answers = {};
  for (const item of items) answers[item.dataset.pair] = answerOf(item);
  try {
    localStorage.setItem(key(), JSON.stringify(answers));
  } catch {
    progress.value += " (not kept by this browser: save before you close the page)";
  }
}

function restore() {
  let answers = {};
  try {
    answers = JSON.parse(localStorage.getItem(key())) || {};
  } catch {
    // nothing is kept, or not by this page
  }
  for (const item of items) show(item, answers[item.dataset.pair] || { rating: "" });
  update();
}

function quoted(text) {
  const value = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${value.replace(/\s+/g, " ").replaceAll('"', '""')}"`;
}

function save() {
  const lines = [COLUMNS.join(",")];
  for (const item of items) {
    const { pair, film, track } = item.dataset;
    const row = { pair, film, track, rater: rater.value.trim(), ...answerOf(item) };
    lines.push(COLUMNS.map((name) => quoted(row[name])).join(","));
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\uFEFF", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
  link.download = `${list.dataset.sample}-${rater.value.trim().replace(/[^\p{L}\p{N}-]+/gu, "_") || "rated"}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function current() {
  return document.activeElement.closest("li");
}

function move(step) {
  const next = items[current() ? items.indexOf(current()) + step : 0];
  if (next) {
    next.focus();
    next.scrollIntoView({ block: "start" });
  }
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  o: () => current()?.querySelector("a.listen")?.click(),
  w: () => current()?.querySelector("input[type=checkbox]")?.click(),
};
for (const [letter, rating] of [["y", "yes"], ["n", "no"], ["u", "unsure"]]) {
  KEYS[letter] = () => {
    if (!current()) return;
    current().querySelector(`input[value=${rating}]`).checked = true;
    keep();
    move(1);
  };
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input[type=text]");
  const action = KEYS[event.key];
  if (isTyping || !action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});
list.addEventListener("input", keep);
rater.addEventListener("change", restore);
document.querySelector("button").addEventListener("click", save);
restore();
