"use strict";
(() => {
  // Clips: one number a player, --at, places every strip of frames; without this script all show their last frame.
  const RUN = 1600, BEFORE = 300, AFTER = 700;  // ms: a clip, and longer on its first and its last frame
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  for (const player of document.querySelectorAll(".player")) {
    const controls = player.querySelector(".playback");
    const [button, slider, told] = ["button", "input", "output"].map((name) => controls.querySelector(name));
    const length = Number(slider.max), lasts = RUN / length;
    let frame = length, timer = 0;

    const show = (number) => {
      frame = number;
      slider.value = String(frame);
      told.textContent = `${frame} of ${length}`;
      slider.setAttribute("aria-valuetext", told.textContent);
      player.style.setProperty("--at", `${100 * (frame - 1) / (length - 1)}%`);
    };
    const seen = () => {
      const box = player.getBoundingClientRect();
      return box.height > 0 && box.bottom > 0 && box.top < innerHeight;
    };
    const next = () => {
      if (seen()) show(frame % length + 1);
      timer = setTimeout(next, lasts + (frame === 1 ? BEFORE : frame === length ? AFTER : 0));
    };
    const play = (on) => {
      clearTimeout(timer);
      timer = on ? setTimeout(next, lasts) : 0;
      button.textContent = on ? "pause" : "play";
    };
    button.addEventListener("click", () => play(!timer));
    slider.addEventListener("input", () => { play(false); show(Number(slider.value)); });
    show(length);
    controls.hidden = false;
    play(!still);
  }
})();
