// Inspects the page once it is loaded, and posts its findings to the page around it.
"use strict";

const errors = [];
addEventListener("error", (event) => errors.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => errors.push(`asked for ${event.blockedURI}`));

addEventListener("load", () => {
  const isShown = (element) => element.getClientRects().length > 0;
  const figures = [...document.querySelectorAll("figure")].map((figure) => {
    const svgs = [...figure.querySelectorAll("svg")].filter(isShown);
    const missing = figure.querySelector(".missing");
    return {
      id: figure.id,
      shown: svgs.length,
      missing: missing ? missing.textContent : null,
      servers: svgs.flatMap((svg) => [...svg.querySelectorAll("[data-server]")])
        .map((group) => Number(group.dataset.server)),
      tips: svgs.flatMap((svg) => [...svg.querySelectorAll("[data-tip]")]).map((it) => it.dataset.tip),
      ink: svgs.map((svg) => { const box = svg.getBBox(); return box.width * box.height; })[0] ?? 0,
      cut: svgs.flatMap(cut),
      overlaps: svgs.flatMap(overlaps),
      smallest: Math.min(1000, ...svgs.flatMap((svg) => texts(svg).map(size))),
    };
  });
  const paper = rgb(getComputedStyle(document.body).backgroundColor);
  const words = [...document.querySelectorAll("svg text:not(.inside), p, td, th, dd, dt, h1, h2, h3, h4, summary")];
  const contrasts = words.filter(isShown).map((element) => {
    const style = getComputedStyle(element);
    return [contrast(rgb(element.closest("svg") ? style.fill : style.color), ground(element, paper)), element.outerHTML.slice(0, 120)];
  });
  contrasts.sort((a, b) => a[0] - b[0]);
  const before = {
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    paper: luminance(paper),
    width: innerWidth,
    overflow: document.documentElement.scrollWidth - innerWidth,
    contrast: contrasts[0],
    figures,
    resources: performance.getEntriesByType("resource").map((it) => it.name),
    records: JSON.parse(document.getElementById("records").textContent).length,
  };
  parent.postMessage(JSON.stringify({ ...before, ...play(isShown), errors }), "*");
});

// One case at a time, one server at a time.
function play(isShown) {
  const record = document.querySelector("section.record");
  const shown = () => [...record.querySelectorAll("section.case")].filter(isShown).length;
  const [all, , second] = record.querySelectorAll(".chooser button");
  const played = { cases: shown() };
  if (second) {
    second.click();
    played.chosen = shown();
    all.click();
    played.again = shown();
  }
  const line = [...record.querySelectorAll('.series[data-server="0"]')].find(isShown);
  const toggle = record.querySelector('.server-toggle[data-toggle="0"]');
  played.hinted = [...record.querySelectorAll(".hint")].some(isShown);
  if (line && toggle) {
    toggle.click();
    played.hidden = !isShown(line);
    toggle.click();
    played.back = isShown(line);
  }
  const course = [...record.querySelectorAll('figure[id$="latency-ping"] [data-server="0"] path.hit')].find(isShown);
  if (course) {
    course.scrollIntoView({ block: "center" });
    const end = course.getPointAtLength(course.getTotalLength()).matrixTransform(course.getScreenCTM());
    const place = { bubbles: true, clientX: end.x, clientY: end.y };
    course.dispatchEvent(new PointerEvent("pointermove", place));
    const tip = document.getElementById("tip");
    played.said = isShown(tip) ? tip.textContent : "";
    document.body.dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
    played.silent = !isShown(tip);
  }
  return played;
}

function texts(svg) {
  return [...svg.querySelectorAll("text")].filter((it) => it.textContent.trim() !== "");
}

function size(text) {
  const matrix = text.getScreenCTM();
  return parseFloat(getComputedStyle(text).fontSize) * matrix.d;
}

// Text outside its picture.
function cut(svg) {
  const sheet = svg.getBoundingClientRect();
  return texts(svg).filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < sheet.left - 3 || box.right > sheet.right + 3 || box.top < sheet.top - 3 || box.bottom > sheet.bottom + 3;
  }).map((text) => text.textContent);
}

// Pairs of overlapping texts. The lines of a text may touch those of the next.
function overlaps(svg) {
  const boxes = texts(svg).map((text) => [text.getBoundingClientRect(), text.textContent]);
  const pairs = [];
  boxes.forEach(([one, name], index) => {
    for (const [two, other] of boxes.slice(index + 1)) {
      const across = Math.min(one.right, two.right) - Math.max(one.left, two.left);
      const down = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
      if (across > 1 && down > 4) pairs.push(`${name} | ${other}`);
    }
  });
  return pairs;
}

function ground(element, paper) {
  for (let at = element; at; at = at.parentElement) {
    const style = getComputedStyle(at).backgroundColor;
    if (style !== "rgba(0, 0, 0, 0)" && style !== "transparent") return rgb(style);
  }
  return paper;
}

function rgb(colour) {
  rgb.pen ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  rgb.pen.clearRect(0, 0, 1, 1);
  rgb.pen.fillStyle = colour;
  rgb.pen.fillRect(0, 0, 1, 1);
  return [...rgb.pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

function luminance(colour) {
  const [red, green, blue] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, two) {
  const [dark, light] = [luminance(one), luminance(two)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}
