"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const store = `fesbench-study-${data.study}-${data.rater}`;
const CHOICES = [["left", "A"], ["tie", "no difference"], ["right", "B"]];
let state = { consent: false, started: "", ended: "", place: 0, answers: {} };
try {
  state = { ...state, ...JSON.parse(localStorage.getItem(store) || "{}") };
} catch (error) {
  // A browser that keeps nothing for files from disk: the study must then be done in one sitting.
}

function keep() {
  try {
    localStorage.setItem(store, JSON.stringify(state));
  } catch (error) {
    // as above
  }
}

function show(id) {
  for (const part of ["welcome", "trial", "end"]) at(part).hidden = part !== id;
}

function complete(token) {
  const given = state.answers[token] || {};
  return Object.keys(data.questions).every((name) => given[name]);
}

function draw() {
  const trial = data.trials[state.place];
  for (const side of ["source", "left", "right"]) at(side).src = `data:image/png;base64,${data.images[trial[side]]}`;
  at("place").textContent = `Pair ${state.place + 1} of ${data.trials.length}`;
  at("progress").max = data.trials.length;
  at("progress").value = state.place;
  const form = at("questions");
  form.replaceChildren();
  for (const [name, words] of Object.entries(data.questions)) {
    const field = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.textContent = words.replace("{label}", trial.label);
    const options = document.createElement("div");
    options.className = "options";
    for (const [value, text] of CHOICES) {
      const label = document.createElement("label");
      const radio = document.createElement("input");
      radio.type = "radio";
      radio.name = name;
      radio.value = value;
      radio.checked = (state.answers[trial.token] || {})[name] === value;
      radio.addEventListener("change", () => {
        state.answers[trial.token] = { ...state.answers[trial.token], [name]: value };
        keep();
        at("next").disabled = !complete(trial.token);
      });
      label.append(radio, text);
      options.append(label);
    }
    field.append(legend, options);
    form.append(field);
  }
  at("back").disabled = state.place === 0;
  at("next").disabled = !complete(trial.token);
}

function go(place) {
  state.place = place;
  if (place >= data.trials.length) {
    state.place = data.trials.length - 1;
    state.ended = new Date().toISOString();
    keep();
    show("end");
    return;
  }
  keep();
  show("trial");
  draw();
  at("place").focus();
}

// FNV-1a over what was answered: shows a file that was changed by hand, and is no secret.
function check(answers) {
  const text = data.trials
    .map(({ token }) => [token, ...Object.keys(data.questions).map((name) => answers[token][name])].join(" "))
    .join("\n");
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
}

function result() {
  return {
    kind: "fesbench-study-answers",
    study: data.study,
    rater: data.rater,
    trials: data.trials_hash,
    consent: state.consent,
    device: { screen: [screen.width, screen.height], ratio: devicePixelRatio, touch: navigator.maxTouchPoints > 0 },
    started: state.started,
    ended: state.ended,
    answers: state.answers,
    check: check(state.answers),
  };
}

at("consent").checked = state.consent;
at("start").disabled = !state.consent;
at("consent").addEventListener("change", () => {
  state.consent = at("consent").checked;
  at("start").disabled = !state.consent;
  keep();
});
at("start").addEventListener("click", () => {
  state.started = state.started || new Date().toISOString();
  go(state.place);
});
at("back").addEventListener("click", () => go(state.place - 1));
at("next").addEventListener("click", () => go(state.place + 1));
at("again").addEventListener("click", () => go(data.trials.length - 1));
at("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(result(), null, 1)], { type: "application/json" }));
  link.download = `answers-${data.study}-${data.rater.padStart(2, "0")}.json`;
  link.click();
});
