// The page of the studio. All text that comes from files or articles is set as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SEEK_SECONDS = 5;
const SEGMENT_SECONDS = 9.92;
const STORED = "needledrop-studio";
const USAGES = ["", "background instrumental", "background vocal", "visual instrumental", "visual vocal", "theme"];
const FILTERS = ["min_duration", "max_duration", "min_tempo", "max_tempo", "min_loudness", "max_loudness", "min_year", "max_year", "licence", "artist"];
const PARTS = { plot: "plot", tags: "tags", image: "poster" };

const state = {
  about: null, poster: null, tags: [], likes: [], result: null, chosen: -1, playing: null, shortlist: null, listed: [],
  searching: 0,
};

// ---- Elements and requests ----

function make(tag, properties = {}, ...children) {
  const { data, aria, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(aria ?? {})) element.setAttribute(name === "role" ? name : `aria-${name}`, value);
  for (const [name, value] of Object.entries(data ?? {})) element.dataset[name] = value;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

async function ask(path, method = "GET", body = undefined) {
  const request = { method, headers: {} };
  if (body instanceof Blob) {
    request.headers["Content-Type"] = "application/octet-stream";
    request.body = body;
  } else if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, request);
  } catch {
    throw new Error("The studio does not answer; is it still running?");
  }
  if (answer.status === 401) location.assign("/login");
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.error ?? `The studio answered with ${answer.status}`);
  return content;
}

const say = (text) => { $("status").textContent = text; };
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const keyOf = (track) => `${track.library}\n${track.track_id}`;
const trackPath = (track, rest) => `/api/tracks/${encodeURIComponent(track.track_id)}${rest}?library=${encodeURIComponent(track.library)}`;

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, left] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), String(whole % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${left}` : `${minutes}:${left}`;
}

function readClock(text) {
  const parts = text.trim().split(":");
  if (parts.length > 3 || parts.some((part) => !/^\d+(\.\d+)?$/.test(part))) return NaN;
  return parts.reduce((sum, part) => 60 * sum + Number(part), 0);
}

// ---- What can be searched ----

async function loadAbout() {
  try {
    state.about = await ask("/api/about");
  } catch (error) {
    showProblem(error.message, []);
    return;
  }
  const { about } = state;
  showProblem(about.problem, about.commands);
  $("search").disabled = Boolean(about.problem);
  showModel();
  showMusic();
  if (about.loading) {
    say(`${about.loading} …`);
    setTimeout(loadAbout, 800);
  } else if ($("status").textContent.endsWith("…")) {
    say("");
  }
}

function showProblem(sentence, commands) {
  $("problem").hidden = !sentence;
  $("problem").replaceChildren(...(sentence ? [sentence] : []), ...(commands.length ? [make("pre", { tabIndex: 0, textContent: commands.join("\n") })] : []));
  showEmpty();
}

const ENCODER = "encoder:"; // before the name of an encoder, where other models are named after their run

function defaultModel() {
  const { about } = state;
  return about?.best_run ?? (about?.encoders.length ? ENCODER + about.encoders[0].encoder : "");
}

function chosenRun() {
  return state.about?.runs.find((run) => run.run_id === ($("run").value || defaultModel())) ?? null;
}

function chosenEncoder() {
  return state.about?.encoders.find(({ encoder }) => ENCODER + encoder === ($("run").value || defaultModel())) ?? null;
}

function showModel() {
  const { about } = state;
  const shown = $("run").value;
  const options = [
    ...about.runs.map((run) => ({ value: run.run_id, textContent: `${run.label} (${run.run_id})` })),
    ...about.encoders.map(({ encoder }) => ({ value: ENCODER + encoder, textContent: `${encoder}: not trained on films` })),
  ];
  $("run").replaceChildren(...options.map((option) => make("option", option)));
  $("run").value = options.some((option) => option.value === shown) ? shown : defaultModel();
  $("run-field").hidden = options.length < 2;
  describeModel();
}

function describeModel() {
  const [run, encoder] = [chosenRun(), chosenEncoder()];
  if (!run) {
    $("model").textContent = $("model").title = encoder ? `Not trained on films: ${encoder.encoder} (${encoder.licence})` : "";
    $("demo-warning").hidden = !encoder;
    $("demo-warning").textContent = encoder?.note ?? "";
    return;
  }
  const size = run.films === null ? "a version that was deleted" : `${plural(run.films, "film")} and ${plural(run.tracks ?? 0, "track")}`;
  $("model").textContent = `Trained on ${run.dataset_version}: ${size}`;
  $("model").title = $("model").textContent;
  $("demo-warning").hidden = !run.is_demo;
  $("demo-warning").textContent = `This model was trained only on the demo (${run.dataset_version}: ${size}): ten invented moods and no real music. Use it to try the studio, not to choose music.`;
}

function showMusic() {
  const before = new Map([...document.querySelectorAll("#music input")].map((box) => [box.value, box.disabled ? box.dataset.wanted === "true" : box.checked]));
  const stored = restored().libraries;
  const [run, encoder] = [chosenRun(), chosenEncoder()];
  const isHeard = (music) => (music.kind === "dataset" ? !encoder : (run ?? encoder)?.indexed.includes(music.name) ?? true);
  $("music").replaceChildren(...state.about.music.map((music) => {
    const isChosen = before.get(music.name) ?? (stored ? stored.includes(music.name) : music.is_default);
    const box = make("input", { type: "checkbox", value: music.name, checked: isChosen && isHeard(music), disabled: !isHeard(music), data: { wanted: String(isChosen) } });
    const notes = [music.note, isHeard(music) ? null : "not indexed by this model"].filter(Boolean).join("; ");
    const note = notes ? make("small", { className: "away", textContent: notes }) : null;
    return make("label", {}, box, make("span", {}, `${music.label} `, make("small", { textContent: plural(music.tracks, "track") }), note));
  }));
  $("music-field").hidden = state.about.music.length === 0;
}

// ---- The film ----

async function setPoster(file) {
  $("search-error").textContent = "";
  if (file && file.size > 20_000_000) {
    $("search-error").textContent = "The picture has more than 20 MB; choose a smaller one";
    return;
  }
  state.poster = file ?? null;
  const preview = $("poster-preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.hidden = $("poster-remove").hidden = !file;
  if (file) preview.src = URL.createObjectURL(file);
  else preview.removeAttribute("src");
  $("poster").value = "";
  try {
    sessionStorage.setItem(STORED, file ? await base64(file) : "");
  } catch {
    sessionStorage.removeItem(STORED); // too large to survive a reload
  }
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("The picture cannot be read; choose another"));
    reader.readAsDataURL(file);
  });
}

function dropZone(zone, take) {
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

function chip(text, title, remove, className = "") {
  const button = make("button", { type: "button", textContent: "×", aria: { label: `Remove ${text}` } });
  button.addEventListener("click", remove);
  return make("li", { className, title }, make("span", { textContent: text }), button);
}

function showTags() {
  $("tags").replaceChildren(...state.tags.map((tag) => chip(tag, tag, () => {
    state.tags = state.tags.filter((other) => other !== tag);
    showTags();
    $("tag").focus();
  })));
}

function addTag(tag) {
  const text = tag.trim();
  if (text && !state.tags.some((other) => other.toLowerCase() === text.toLowerCase())) state.tags.push(text);
  $("tag").value = "";
  showOptions([]);
  showTags();
}

function showOptions(options) {
  const box = $("tag-options");
  const before = box.querySelector('[aria-selected="true"]')?.dataset.tag;
  box.replaceChildren(...options.map(({ tag, films }, number) => {
    const option = make("li", { id: `tag-option-${number}`, data: { tag }, aria: { role: "option", selected: "false" } }, tag, make("span", { textContent: plural(films, "film") }));
    option.addEventListener("mousedown", (event) => { event.preventDefault(); addTag(tag); });
    return option;
  }));
  box.hidden = options.length === 0;
  $("tag").setAttribute("aria-expanded", String(options.length > 0));
  $("tag").removeAttribute("aria-activedescendant");
  const again = [...box.children].find((option) => option.dataset.tag === before);
  if (again) {
    again.setAttribute("aria-selected", "true");
    $("tag").setAttribute("aria-activedescendant", again.id);
  }
}

let typedTag = 0;
async function completeTag() {
  const number = ++typedTag;
  const typed = $("tag").value.trim();
  const options = typed ? await ask(`/api/tags?q=${encodeURIComponent(typed)}&run=${encodeURIComponent((chosenRun()?.run_id ?? state.about?.best_run) || "")}`).catch(() => []) : [];
  if (number === typedTag && document.activeElement === $("tag")) showOptions(options.filter(({ tag }) => !state.tags.includes(tag)));
}

function moveOption(step) {
  const options = [...$("tag-options").children];
  if (!options.length) return;
  const now = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  const next = options[(now + step + options.length) % options.length] ?? options[0];
  options.forEach((option) => option.setAttribute("aria-selected", String(option === next)));
  $("tag").setAttribute("aria-activedescendant", next.id);
  next.scrollIntoView({ block: "nearest" });
}

function tagKey(event) {
  const active = document.querySelector('#tag-options [aria-selected="true"]');
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    moveOption(event.key === "ArrowDown" ? 1 : -1);
  } else if ((event.key === "Enter" || event.key === ",") && (active || $("tag").value.trim())) {
    event.preventDefault();
    addTag(active ? active.dataset.tag : $("tag").value);
  } else if (event.key === "Escape" && !$("tag-options").hidden) {
    event.stopPropagation();
    showOptions([]);
  } else if (event.key === "Backspace" && !$("tag").value && state.tags.length) {
    state.tags.pop();
    showTags();
  }
}

function showLikes() {
  $("likes").replaceChildren(...state.likes.map((like) => chip(like.isNot ? `not ${like.title}` : like.title, like.title, () => {
    state.likes = state.likes.filter((other) => other.id !== like.id);
    showLikes();
  }, like.isNot ? "not" : "")));
  $("weight-field").hidden = state.likes.length === 0;
}

function addLike(id, title, isNot = false) {
  state.likes = [...state.likes.filter((like) => like.id !== id), { id, title, isNot }];
  showLikes();
}

async function sendReference(file) {
  if (!file) return;
  $("search-error").textContent = "";
  say(`Listening to ${file.name} …`);
  try {
    const encoder = chosenEncoder();
    const { reference_id: id } = await ask(`/api/references${encoder ? `?encoder=${encodeURIComponent(encoder.encoder)}` : ""}`, "POST", file);
    addLike(id, file.name);
    say(`${file.name} is a reference now`);
  } catch (error) {
    say("");
    $("search-error").textContent = error.message;
  }
  $("like-file").value = "";
}

// ---- The search ----

function readFilters() {
  const filters = {};
  for (const name of FILTERS) {
    const typed = $(name).value.trim().replace("−", "-");
    if (!typed) continue;
    const isText = name === "licence" || name === "artist";
    const value = isText ? typed : name.endsWith("duration") ? readClock(typed) : Number(typed.replace(",", "."));
    if (!isText && !Number.isFinite(value)) {
      $("filters").open = true;
      $(name).focus();
      throw new Error(`“${typed}” is no ${name.endsWith("duration") ? "length; write 1:30 or 90" : "number"}`);
    }
    filters[name] = value;
  }
  return filters;
}

async function readRequest() {
  const boxes = [...document.querySelectorAll("#music input")];
  const libraries = boxes.filter((box) => box.checked).map((box) => box.value);
  if (boxes.length && !libraries.length) throw new Error("Choose at least one library to search in");
  if ($("tag").value.trim()) addTag($("tag").value);
  const request = {
    plot: $("plot").value,
    tags: state.tags,
    like: state.likes.filter((like) => !like.isNot).map((like) => like.id),
    not_like: state.likes.filter((like) => like.isNot).map((like) => like.id),
    like_weight: Number($("like-weight").value),
    libraries,
    by: document.querySelector('input[name="by"]:checked').value,
    filters: readFilters(),
    per_album: Number($("per_album").value || 0),
  };
  const encoder = chosenEncoder();
  if (encoder) request.encoder = encoder.encoder;
  else if ($("run").value && $("run").value !== state.about?.best_run) request.run = $("run").value;
  if (state.poster) request.poster = await base64(state.poster);
  return request;
}

const isAskable = () => Boolean($("plot").value.trim() || state.tags.length || $("tag").value.trim() || state.poster || state.likes.some((like) => !like.isNot));

async function search(event) {
  event?.preventDefault();
  $("search-error").textContent = "";
  if (!isAskable()) {
    $("search-error").textContent = "Write a plot, choose tags or a poster, or add a recording";
    $("plot").focus();
    return;
  }
  const number = ++state.searching;
  try {
    const request = await readRequest();
    remember(request);
    say("Searching …");
    const result = await ask("/api/search", "POST", request);
    if (number !== state.searching) return;
    state.result = result;
    state.chosen = -1;
    showResults();
    say(`${plural(result.hits.length, "track")} of ${result.searched.toLocaleString("en")}, in ${Math.round(result.milliseconds)} ms`);
    if (event) $("results-section").scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (number !== state.searching) return;
    say("");
    $("search-error").textContent = error.message;
  }
}

let waiting = 0;
function searchSoon() {
  countFilters();
  if (!state.result) return;
  clearTimeout(waiting);
  waiting = setTimeout(search, 250);
}

function countFilters() {
  const used = FILTERS.filter((name) => $(name).value.trim()).length;
  $("filter-count").textContent = used ? `(${used})` : "";
}

function remember(request) {
  const { poster: _, ...rest } = request;
  const typed = Object.fromEntries([...FILTERS, "per_album"].map((name) => [name, $(name).value]));
  const kept = { ...rest, typed, likes: state.likes.filter((like) => !like.id.startsWith("reference:")) };
  localStorage.setItem(STORED, JSON.stringify(kept));
}

function restored() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? {};
  } catch {
    return {};
  }
}

function restore() {
  const kept = restored();
  $("plot").value = kept.plot ?? "";
  state.tags = Array.isArray(kept.tags) ? kept.tags : [];
  state.likes = Array.isArray(kept.likes) ? kept.likes : [];
  for (const [name, value] of Object.entries(kept.typed ?? {})) if ($(name)) $(name).value = value;
  if (kept.like_weight !== undefined) $("like-weight").value = kept.like_weight;
  const by = document.querySelector(`input[name="by"][value="${kept.by === "best" ? "best" : "mean"}"]`);
  by.checked = true;
  const poster = sessionStorage.getItem(STORED);
  if (poster) setPoster(new Blob([Uint8Array.from(atob(poster), (letter) => letter.charCodeAt(0))]));
  showTags();
  showLikes();
  countFilters();
}

function clearAll() {
  $("query").reset();
  state.tags = [];
  state.likes = [];
  state.result = null;
  localStorage.removeItem(STORED);
  setPoster(null);
  showTags();
  showLikes();
  countFilters();
  showResults();
  say("");
  $("plot").focus();
}

// ---- Results ----

function showEmpty() {
  const { result, about } = state;
  const [head, text] = result && !result.hits.length
    ? ["No track fits", "Widen the filters, or search in more music."]
    : !result && !about?.problem ? ["What is the film about?", "Describe a film or one scene, drop its poster, and hear what of your music suits it."] : [];
  $("empty").replaceChildren(...(head ? [make("strong", { textContent: head }), text] : []));
}

function showResults() {
  const { result } = state;
  showEmpty();
  $("notes").replaceChildren(...(result?.notes ?? []).map((note) => make("li", { textContent: note })));
  $("results").replaceChildren(...(result?.hits ?? []).map(hitItem));
  const near = result?.near ?? [];
  $("near").textContent = near.length ? `To this model the query is nearest to the training films ${near.map((film) => `${film.title} (${film.year ?? "?"})`).join(", ")}.` : "";
  const run = state.about?.runs.find((one) => one.run_id === result?.run_id);
  const isMeasured = run && run.hit_at_10 !== null;
  const chance = isMeasured && run.chance_hit_at_10 !== null ? `; a random order does so for ${run.chance_hit_at_10.toFixed(1)} %` : "";
  $("trust").textContent = isMeasured ? `How far to trust this: for ${run.hit_at_10.toFixed(1)} % of the test films, a track that is really in the film is among the first ten of ${run.candidates.toLocaleString("en")}${chance}.` : "";
  markPlaying();
}

function wavePath(energy) {
  const path = document.createElementNS(SVG, "path");
  const bars = energy.map((share, at) => `M${at + 0.12} ${(20 - 19 * share).toFixed(2)}h.76V${(20 + 19 * share).toFixed(2)}h-.76z`);
  path.setAttribute("d", bars.join(""));
  return path;
}

function wave(energy) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${Math.max(1, energy.length)} 40`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(wavePath(energy));
  return svg;
}

function fillStrip(strip, track) {
  const energy = track.energy ?? [];
  const best = make("div", { className: "best" });
  const length = track.duration_seconds || 1;
  best.style.left = `${(100 * Math.min(track.best_second ?? 0, length)) / length}%`;
  best.style.width = `${(100 * Math.min(SEGMENT_SECONDS, length)) / length}%`;
  strip.classList.toggle("flat", energy.length === 0);
  strip.replaceChildren(...(energy.length ? [wave(energy)] : []), best);
}

function hitItem(hit, number) {
  const best = clock(hit.best_second);
  const id = `hit-${number}`;
  const title = make("h3", { id }, make("small", { textContent: hit.rank }), hit.title);
  const by = [hit.artist, hit.album, hit.film ? `from the film ${hit.film}` : null].filter(Boolean).join(" · ");
  const fit = hit.percentile === null
    ? make("div", { className: "fit" }, make("b", { textContent: hit.score.toFixed(2) }), make("small", { textContent: "score" }))
    : make("div", { className: "fit", title: `Its cosine with the query is ${hit.score.toFixed(3)}. A track that suits every film has a low share.` },
      make("b", { textContent: `${Math.round(hit.percentile)} %` }), make("small", { textContent: "of films suit it less" }));
  const strip = make("div", { className: "strip", aria: { hidden: "true" } });
  fillStrip(strip, hit);
  strip.addEventListener("click", (event) => {
    choose(number, false);
    if (hit.is_playable) play(hit, (hit.duration_seconds * (event.clientX - strip.getBoundingClientRect().left)) / strip.clientWidth);
  });
  const item = make("li", { className: "hit", tabIndex: -1, data: { key: keyOf(hit) }, aria: { labelledby: id } },
    hit.is_playable ? playButton(hit, `Play ${hit.title} from ${best}`, () => choose(number, false)) : make("span", { className: "round silent", aria: { hidden: "true" }, textContent: "♪" }),
    make("div", {}, title, make("p", { className: "by", textContent: by })),
    fit,
    make("div", { className: "body" }, hit.is_playable ? strip : null, factList(hit, best), actionRow(hit, number)));
  item.addEventListener("focusin", () => choose(number, false));
  item.addEventListener("click", () => choose(number, false));
  showDecision(item, hit);
  return item;
}

function factList(hit, best) {
  const number = (value, digits) => value.toFixed(digits).replace("-", "−");
  const facts = [
    hit.duration_seconds ? clock(hit.duration_seconds) : null,
    `best from ${best}`,
    hit.tempo_bpm ? `${number(hit.tempo_bpm, 0)} BPM` : null,
    hit.loudness_lufs !== null ? `${number(hit.loudness_lufs, 1)} LUFS` : null,
    hit.year ? String(hit.year) : null,
    !hit.licence || hit.licence === "unknown" ? "licence not stated" : hit.licence,
    `score ${number(hit.score, 3)}`,
  ].filter(Boolean).map((fact) => make("li", { textContent: fact }));
  const parts = Object.entries(hit.support).map(([part, gain]) => make("li", {
    className: gain < 0 ? "part against" : "part",
    textContent: `${PARTS[part] ?? part} ${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(3)}`,
    title: `Without the ${PARTS[part] ?? part} its score would be ${gain < 0 ? "higher" : "lower"} by so much`,
  }));
  return make("ul", { className: "facts" }, ...facts, ...parts);
}

function actionRow(hit, number) {
  const button = (name, text, label, act) => {
    const made = make("button", { type: "button", className: `quiet ${name}`, textContent: text, aria: { label: `${label}: ${hit.title}` } });
    made.addEventListener("click", (event) => { event.stopPropagation(); choose(number, false); act(); });
    return made;
  };
  return make("div", { className: "actions" },
    button("keep", "Keep", "Keep", () => decide(hit, "keep")),
    button("reject", "Reject", "Reject", () => decide(hit, "reject")),
    button("more", "More like this", "More like this", () => { addLike(hit.track_id, hit.title); search(); }),
    button("less", "Less like this", "Less like this", () => { addLike(hit.track_id, hit.title, true); search(); }),
    sourceLink(hit));
}

function sourceLink(track) {
  if (!track.url) return null;
  return make("a", { href: track.url, target: "_blank", rel: "noopener noreferrer", textContent: "Listen at its source ↗", aria: { label: `Listen to ${track.title} at its source, in a new tab` } });
}

function showDecision(item, hit) {
  item.classList.toggle("rejected", hit.decision === "reject");
  item.querySelector(".keep").setAttribute("aria-pressed", String(hit.decision === "keep"));
  item.querySelector(".reject").setAttribute("aria-pressed", String(hit.decision === "reject"));
}

function choose(number, focus = true) {
  const items = [...$("results").children];
  if (number < 0 || number >= items.length) return;
  if (state.chosen !== number) items.forEach((item, at) => (at === number ? item.setAttribute("aria-current", "true") : item.removeAttribute("aria-current")));
  state.chosen = number;
  if (focus) {
    items[number].focus({ preventScroll: true });
    items[number].scrollIntoView({ block: "nearest" });
  }
}

const chosenHit = () => state.result?.hits[state.chosen] ?? null;

async function decide(hit, wanted) {
  const decision = hit.decision === wanted ? "undecided" : wanted;
  const from = state.playing && keyOf(state.playing) === keyOf(hit) ? $("audio").currentTime : hit.best_second;
  try {
    const body = { query_id: state.result.query_id, library: hit.library, track_id: hit.track_id, decision };
    if (decision === "keep") {
      if (!state.shortlist) await newShortlist("Shortlist");
      Object.assign(body, { shortlist_id: state.shortlist, from_second: from });
    }
    await ask("/api/decisions", "POST", body);
    const isListed = state.listed.some((track) => keyOf(track) === keyOf(hit));
    if (decision !== "keep" && isListed) await ask(listedPath(hit), "DELETE");
    hit.decision = decision === "undecided" ? null : decision;
    for (const item of $("results").children) if (item.dataset.key === keyOf(hit)) showDecision(item, hit);
    if (decision === "keep" || isListed) await loadShortlist();
    say({ keep: `Kept ${hit.title}`, reject: `Rejected ${hit.title}`, undecided: `${hit.title} is undecided again` }[decision]);
  } catch (error) {
    say(error.message);
  }
}

// ---- The player ----

function playButton(track, label, before = () => {}) {
  const button = make("button", { type: "button", className: "round", data: { plays: keyOf(track) }, aria: { label } });
  button.append($("toggle").querySelector("svg").cloneNode(true));
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    before();
    if (state.playing && keyOf(state.playing) === keyOf(track)) toggle();
    else play(track, track.best_second);
  });
  return button;
}

function play(track, from) {
  const audio = $("audio");
  const start = Math.min(Math.max(0, from), Math.max(0, (track.duration_seconds ?? Infinity) - 0.1));
  $("player-error").textContent = "";
  if (!state.playing || keyOf(state.playing) !== keyOf(track)) {
    state.playing = track;
    audio.src = `${trackPath(track, "/audio")}#t=${start.toFixed(2)}`;
    $("player").hidden = false;
    $("now-title").textContent = track.title;
    $("now-by").textContent = [track.artist, track.album].filter(Boolean).join(" · ");
    $("now-length").textContent = clock(track.duration_seconds ?? 0);
    $("now-strip").setAttribute("aria-valuemax", String(Math.floor(track.duration_seconds ?? 0)));
    fillStrip($("now-strip"), track);
    $("now-strip").append(make("div", { className: "head" }));
    audio.addEventListener("loadedmetadata", () => {
      if (Math.abs(audio.currentTime - start) > 0.5) audio.currentTime = start;
    }, { once: true });
  } else {
    audio.currentTime = start;
  }
  audio.play().catch((error) => {
    if (error.name !== "AbortError") explainSilence(track);
  });
}

async function explainSilence(track) {
  const answer = await fetch(trackPath(track, "/audio"), { headers: { Range: "bytes=0-0" } }).catch(() => null);
  const content = answer && !answer.ok ? await answer.json().catch(() => ({})) : {};
  $("player-error").textContent = content.error ?? "The browser cannot play this track, or the studio does not answer";
}

function toggle() {
  const audio = $("audio");
  if (audio.paused) audio.play().catch(() => explainSilence(state.playing));
  else audio.pause();
}

function seek(seconds) {
  const audio = $("audio");
  if (state.playing) audio.currentTime = Math.min(Math.max(0, seconds), Math.max(0, (state.playing.duration_seconds ?? audio.duration) - 0.2));
}

function showTime() {
  const audio = $("audio");
  const length = state.playing?.duration_seconds || audio.duration || 1;
  const share = `${Math.min(100, (100 * audio.currentTime) / length)}%`;
  const head = $("now-strip").querySelector(".head");
  if (head) head.style.left = share;
  $("now-time").textContent = clock(audio.currentTime);
  $("now-strip").setAttribute("aria-valuenow", String(Math.floor(audio.currentTime)));
  $("now-strip").setAttribute("aria-valuetext", `${clock(audio.currentTime)} of ${clock(length)}`);
  for (const item of $("results").children) {
    let mark = item.querySelector(".head");
    if (state.playing && item.dataset.key === keyOf(state.playing)) {
      if (!mark) item.querySelector(".strip")?.append((mark = make("div", { className: "head" })));
      if (mark) mark.style.left = share;
    } else {
      mark?.remove();
    }
  }
}

function markPlaying() {
  const isPlaying = !$("audio").paused;
  $("toggle").classList.toggle("playing", isPlaying);
  $("toggle").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  for (const button of document.querySelectorAll("[data-plays]")) {
    const isOwn = state.playing !== null && button.dataset.plays === keyOf(state.playing);
    button.classList.toggle("playing", isPlaying && isOwn);
  }
  showTime();
}

function stripKey(event) {
  const steps = { ArrowLeft: -SEEK_SECONDS, ArrowRight: SEEK_SECONDS, ArrowDown: -SEEK_SECONDS, ArrowUp: SEEK_SECONDS, PageDown: -30, PageUp: 30 };
  if (event.key in steps) seek($("audio").currentTime + steps[event.key]);
  else if (event.key === "Home") seek(0);
  else if (event.key === "End") seek(state.playing?.duration_seconds ?? 0);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// ---- Shortlists ----

const listPath = () => `/api/shortlists/${encodeURIComponent(state.shortlist)}`;
const listedPath = (track) => `${listPath()}/tracks/${encodeURIComponent(track.track_id)}?library=${encodeURIComponent(track.library)}`;

async function loadShortlists() {
  try {
    const lists = await ask("/api/shortlists");
    const wanted = state.shortlist ?? localStorage.getItem(`${STORED}-list`);
    state.shortlist = (lists.find((list) => list.shortlist_id === wanted) ?? lists[0])?.shortlist_id ?? null;
    $("shortlist").replaceChildren(...lists.map((list) => make("option", { value: list.shortlist_id, textContent: list.name })));
    if (!lists.length) $("shortlist").append(make("option", { value: "", textContent: "None yet" }));
    $("shortlist").value = state.shortlist ?? "";
    await loadShortlist();
  } catch (error) {
    $("shortlist-error").textContent = error.message;
  }
}

async function loadShortlist() {
  state.listed = state.shortlist ? (await ask(listPath())).tracks : [];
  if (state.shortlist) localStorage.setItem(`${STORED}-list`, state.shortlist);
  showShortlist();
}

function showShortlist() {
  $("listed").replaceChildren(...state.listed.map(listedItem));
  $("listed-empty").hidden = state.listed.length > 0;
  $("jump-count").textContent = state.listed.length ? `(${state.listed.length})` : "";
  $("exports").hidden = !state.shortlist;
  if (state.shortlist) {
    $("export-csv").href = `${listPath()}/export.csv`;
    $("export-html").href = `${listPath()}/export.html`;
    $("export-cues").href = `${listPath()}/cue-sheet.csv`;
  }
  markPlaying();
}

function listedItem(track) {
  track.best_second = track.from_second;
  const note = make("textarea", { rows: 1, value: track.note, maxLength: 2000, placeholder: "Note", aria: { label: `Note about ${track.title}` } });
  note.addEventListener("change", () => changeListed(track, { note: note.value }));
  const usage = make("select", { aria: { label: `Usage of ${track.title}` } }, ...USAGES.map((name) => make("option", { value: name, textContent: name || "usage not stated" })));
  usage.value = track.usage;
  usage.addEventListener("change", () => changeListed(track, { usage: usage.value }));
  const off = make("button", { type: "button", className: "off quiet", textContent: "×", aria: { label: `Take ${track.title} off the list` } });
  off.addEventListener("click", () => takeOff(track));
  const names = make("div", { className: "names" }, make("strong", { textContent: track.title }), make("small", { textContent: [track.artist, `from ${clock(track.from_second)}`, track.licence].filter(Boolean).join(" · ") }), sourceLink(track), track.gone ? make("small", { className: "away", textContent: track.gone }) : null);
  return make("li", {}, make("div", { className: "line" }, track.is_playable ? playButton(track, `Play ${track.title} from ${clock(track.from_second)}`) : null, names, off), note, usage);
}

async function changeListed(track, changes) {
  $("shortlist-error").textContent = "";
  try {
    await ask(`${listPath()}/tracks/${encodeURIComponent(track.track_id)}`, "PUT", { library: track.library, ...changes });
    Object.assign(track, changes);
    say(`Noted at ${track.title}`);
  } catch (error) {
    $("shortlist-error").textContent = error.message;
  }
}

async function takeOff(track) {
  try {
    state.listed = (await ask(listedPath(track), "DELETE")).tracks;
    showShortlist();
    say(`${track.title} is off the list`);
    $("shortlist-section").focus();
  } catch (error) {
    $("shortlist-error").textContent = error.message;
  }
}

async function newShortlist(name) {
  const made = await ask("/api/shortlists", "POST", { name });
  state.shortlist = made.shortlist_id;
  await loadShortlists();
}

let isRenaming = false;
function openNaming(renaming) {
  isRenaming = renaming;
  $("shortlist-form").hidden = false;
  $("shortlist-name").value = renaming ? $("shortlist").selectedOptions[0]?.textContent ?? "" : "";
  $("shortlist-name").focus();
}

async function saveName(event) {
  event.preventDefault();
  $("shortlist-error").textContent = "";
  try {
    if (isRenaming) await ask(listPath(), "PATCH", { name: $("shortlist-name").value });
    else await newShortlist($("shortlist-name").value);
    $("shortlist-form").hidden = true;
    await loadShortlists();
    $("shortlist").focus();
  } catch (error) {
    $("shortlist-error").textContent = error.message;
  }
}

async function removeShortlist() {
  if (!confirm("Remove this shortlist? The music stays.")) return;
  try {
    await ask(listPath(), "DELETE");
    state.shortlist = null;
    await loadShortlists();
  } catch (error) {
    $("shortlist-error").textContent = error.message;
  }
}

// ---- The keyboard ----

function isTyping(element) {
  return element.matches?.('textarea, select, input:not([type="checkbox"], [type="radio"], [type="file"])') ?? false;
}

function onKey(event) {
  const { key, target } = event;
  if (isTyping(target)) {
    if (key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); search(); }
    if (key === "Escape") target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const isNative = target.matches?.("button, a, summary, input, label") ?? false;
  const hit = chosenHit();
  const acts = {
    "/": () => $("plot").focus(),
    "?": () => $("help").showModal(),
    k: () => hit && decide(hit, "keep"),
    x: () => hit && decide(hit, "reject"),
  };
  if (!(target.matches?.("input") ?? false)) {
    Object.assign(acts, {
      ArrowDown: () => choose(Math.min(state.chosen + 1, $("results").children.length - 1)),
      ArrowUp: () => choose(Math.max(state.chosen - 1, 0)),
      ArrowLeft: () => seek($("audio").currentTime - SEEK_SECONDS),
      ArrowRight: () => seek($("audio").currentTime + SEEK_SECONDS),
    });
  }
  if (!isNative) {
    acts[" "] = () => {
      const other = hit && hit.is_playable && (!state.playing || keyOf(state.playing) !== keyOf(hit)) ? hit : null;
      if (other) play(other, other.best_second);
      else if (state.playing) toggle();
    };
  }
  const act = acts[key.length === 1 ? key.toLowerCase() : key];
  if (!act) return;
  event.preventDefault();
  act();
}

// ---- Wiring ----

function wireFilm() {
  $("query").addEventListener("submit", search);
  $("clear").addEventListener("click", clearAll);
  $("poster").addEventListener("change", () => setPoster($("poster").files[0]));
  $("poster-remove").addEventListener("click", () => setPoster(null));
  dropZone($("poster-drop"), setPoster);
  $("like-file").addEventListener("change", () => sendReference($("like-file").files[0]));
  dropZone($("like-drop"), sendReference);
  $("tag").addEventListener("input", completeTag);
  $("tag").addEventListener("keydown", tagKey);
  $("tag").addEventListener("blur", () => showOptions([]));
  $("like-weight").addEventListener("change", searchSoon);
  for (const name of [...FILTERS, "per_album"]) $(name).addEventListener("change", searchSoon);
  for (const radio of document.querySelectorAll('input[name="by"]')) radio.addEventListener("change", searchSoon);
  $("music").addEventListener("change", searchSoon);
  $("run").addEventListener("change", () => { describeModel(); showMusic(); searchSoon(); });
  $("filters-clear").addEventListener("click", () => { FILTERS.forEach((name) => { $(name).value = ""; }); searchSoon(); });
  // A file that misses its place must not replace the page.
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
}

function wirePlayer() {
  const audio = $("audio");
  for (const kind of ["play", "pause", "ended", "emptied"]) audio.addEventListener(kind, markPlaying);
  audio.addEventListener("timeupdate", showTime);
  audio.addEventListener("error", () => state.playing && explainSilence(state.playing));
  $("toggle").addEventListener("click", toggle);
  $("now-best").addEventListener("click", () => state.playing && play(state.playing, state.playing.best_second));
  $("now-strip").addEventListener("keydown", stripKey);
  $("now-strip").addEventListener("click", (event) => {
    const box = $("now-strip").getBoundingClientRect();
    if (state.playing) seek(((state.playing.duration_seconds || audio.duration) * (event.clientX - box.left)) / box.width);
  });
}

function wireShortlist() {
  $("shortlist").addEventListener("change", () => { state.shortlist = $("shortlist").value || null; loadShortlist().catch((error) => { $("shortlist-error").textContent = error.message; }); });
  $("shortlist-new").addEventListener("click", () => openNaming(false));
  $("shortlist-rename").addEventListener("click", () => openNaming(true));
  $("shortlist-remove").addEventListener("click", removeShortlist);
  $("shortlist-form").addEventListener("submit", saveName);
}

async function start() {
  wireFilm();
  wirePlayer();
  wireShortlist();
  document.addEventListener("keydown", onKey);
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("sign-out")?.addEventListener("click", async () => { await ask("/logout", "POST", {}); location.assign("/login"); });
  restore();
  showEmpty();
  const isRestored = isAskable(); // what is typed from now on is searched when its writer says so
  await Promise.all([loadAbout(), loadShortlists()]);
  if (isRestored && state.about && !state.about.problem && !state.searching) search();
}

start();
