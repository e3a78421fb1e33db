"use strict";
// What the page shows stands in the address as "#section?name=value&..." or "#name=value&...", so that a link shows
// the same view and the browser's own back and forward work. Other scripts read it by get and list, change it by set, and follow it
// by listen, whose function is called at once and after every change.
const state = (() => {
  const read = () => {
    const text = location.hash.slice(1), cut = text.indexOf("?");
    if (cut < 0) return text.includes("=") ? ["", new URLSearchParams(text)] : [text, new URLSearchParams()];
    return [text.slice(0, cut), new URLSearchParams(text.slice(cut + 1))];
  };
  let [place, values] = read();
  const followers = [];
  const tell = () => followers.forEach((follow) => follow());
  const scroll = () => document.getElementById(place)?.scrollIntoView();
  // Never bare "#", which would scroll to the top.
  const write = () => { location.hash = !place && String(values) ? values : `${place}?${values}`; };

  addEventListener("hashchange", () => {
    const [nextPlace, next] = read();
    const moved = nextPlace !== place, changed = String(next) !== String(values);
    [place, values] = [nextPlace, next];
    if (changed) tell();
    if (moved && location.hash.includes("?")) scroll();
  });
  // A link to a section keeps the view.
  addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    const id = link?.getAttribute("href").slice(1);
    if (!id || !document.getElementById(id) || !String(values)) return;
    event.preventDefault();
    place = id;
    write();
    scroll();
  });
  addEventListener("load", () => {
    if (place && location.hash.includes("?")) document.getElementById(place)?.scrollIntoView({ behavior: "instant" });
  });

  return {
    get: (name) => values.get(name),
    list: (name) => (values.get(name) || "").split(",").filter(Boolean),
    set: (changes) => {
      for (const [name, value] of Object.entries(changes)) {
        const text = Array.isArray(value) ? value.join(",") : value;
        if (text) values.set(name, text); else values.delete(name);
      }
      tell();
      write();
    },
    listen: (follow) => { followers.push(follow); follow(); },
  };
})();

// Elements with attributes and children; text stays text.
const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
