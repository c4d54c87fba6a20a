// Interaction: one case at a time, servers hidden and shown, hover texts. Without this script all
// content is visible too.
"use strict";

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);

// The browser's own hover texts come late and would be beside ours.
for (const title of document.querySelectorAll("svg g > title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.parentNode.setAttribute("aria-label", title.textContent);
  title.remove();
}

document.addEventListener("pointermove", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const source = target && target.closest("[data-tip]");
  tip.hidden = !source;
  if (source) {
    tip.textContent = pointText(target, event) ?? source.dataset.tip;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    const under = event.clientY + 18 + height < innerHeight;
    tip.style.top = `${under ? event.clientY + 18 : event.clientY - height - 10}px`;
  }
  const group = target && target.closest("[data-server]");
  const picture = group && group.closest("svg");
  for (const svg of document.querySelectorAll("svg.focus")) {
    if (svg !== picture) svg.classList.remove("focus");
  }
  if (picture) {
    picture.classList.add("focus");
    for (const other of picture.querySelectorAll("[data-server]")) {
      other.classList.toggle("me", other.dataset.server === group.dataset.server);
    }
  }
});

// The hover text of the point of a line that is nearest to the pointer.
function pointText(path, event) {
  if (!path.dataset.points) return null;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(path.getScreenCTM().inverse());
  const away = path.getAttribute("d").slice(1).split("L").map((pair) => {
    const [x, y] = pair.split(" ").map(Number);
    return Math.hypot(x - at.x, y - at.y);
  });
  const name = path.closest("[data-tip]").dataset.tip.split(": ")[0];
  return `${name}, ${path.dataset.points.split("|")[away.indexOf(Math.min(...away))]}`;
}

for (const record of document.querySelectorAll("section.record")) {
  chooseCases(record);
  chooseServers(record);
}

function chooseCases(record) {
  const chooser = record.querySelector(".chooser");
  const cases = [...record.querySelectorAll("section.case")];
  if (!chooser || cases.length < 2) return;
  const show = (chosen) => {
    for (const one of cases) one.hidden = chosen !== null && one !== chosen;
    for (const button of chooser.children) {
      button.setAttribute("aria-pressed", String(button.chosen === chosen));
    }
  };
  for (const one of [null, ...cases]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = one ? one.dataset.case : "all cases";
    button.chosen = one;
    button.addEventListener("click", () => {
      show(one);
      chooser.scrollIntoView({ block: "nearest" });
    });
    chooser.append(button);
  }
  chooser.hidden = false;
  show(null);
}

function chooseServers(record) {
  const off = new Set();
  for (const hint of record.querySelectorAll(".hint")) hint.hidden = false;
  for (const name of record.querySelectorAll(".server-toggle")) {
    const number = name.dataset.toggle;
    name.setAttribute("role", "button");
    name.setAttribute("aria-pressed", "true");
    name.tabIndex = 0;
    name.title = "hide or show";
    const toggle = () => {
      if (!off.delete(number)) off.add(number);
      for (const other of record.querySelectorAll(`.server-toggle[data-toggle="${number}"]`)) {
        other.setAttribute("aria-pressed", String(!off.has(number)));
      }
      for (const group of record.querySelectorAll(`[data-server="${number}"]`)) {
        group.classList.toggle("off", off.has(number));
      }
    };
    name.addEventListener("click", toggle);
    name.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
  }
}
