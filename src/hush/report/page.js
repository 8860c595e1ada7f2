"use strict";
// A group is a set of viewers that show the same part of an image and zoom and move together.
const clamp = (v, a, b) => Math.min(Math.max(v, a), b);

for (const group of document.querySelectorAll(".group")) {
  const viewers = [...group.querySelectorAll(".viewer")];
  const look = { zoom: "fit", x: 0.5, y: 0.5 };  // centre, as fractions of the image

  const draw = () => {
    for (const v of viewers) {
      const w = +v.dataset.width, h = +v.dataset.height, W = v.clientWidth, H = v.clientHeight;
      if (!W) continue;  // inside a closed <details>
      const fit = Math.min(W / w, H / h);
      const scale = look.zoom === "fit" ? fit : +look.zoom;
      const place = (c, size, room) => size * scale <= room
        ? (room - size * scale) / 2 : clamp(room / 2 - c * size * scale, room - size * scale, 0);
      // Whole pixels: at fractions of one, browsers interpolate, which halves the noise at 1:1.
      const tx = Math.round(place(look.x, w, W)), ty = Math.round(place(look.y, h, H));
      for (const img of v.querySelectorAll(".layer img"))
        img.style.transform = `translate(${tx}px, ${ty}px) scale(${scale})`;
      for (const svg of v.querySelectorAll(".layer svg"))  // not scaled, so that lines stay thin
        svg.style.cssText = `transform: translate(${tx}px, ${ty}px); width: ${w * scale}px; height: ${h * scale}px`;
      // Shown smaller, noise averages out: raise its contrast to compensate, and adjust the scale.
      const limit = v.closest("figure").querySelector("[data-limit]");
      if (limit) {
        const gain = Math.max(1, 1 / (scale * devicePixelRatio));
        v.querySelector(".layer").style.filter = `contrast(${gain})`;
        limit.textContent = `±${Number((limit.dataset.limit / gain).toPrecision(3))}${limit.dataset.units}`;
      }
      const mark = v.querySelector(".mark");
      if (mark) {
        const [top, left, height, width] = mark.dataset.at.split(" ").map(Number);
        mark.style.inset = `${ty + top * h * scale}px auto auto ${tx + left * w * scale}px`;
        mark.style.height = `${height * h * scale}px`;
        mark.style.width = `${width * w * scale}px`;
      }
      v.classList.add("ready");
      v.classList.toggle("crisp", scale >= 1.5);
      v.classList.toggle("pannable", w * scale > W + 1 || h * scale > H + 1);
    }
    for (const b of group.querySelectorAll("[data-zoom]"))
      b.setAttribute("aria-pressed", String(b.dataset.zoom === look.zoom));
  };

  const pan = (v, dx, dy) => {
    const scale = look.zoom === "fit" ? 1 : +look.zoom;
    const w = v.dataset.width * scale, h = v.dataset.height * scale;
    const edge = (room, size) => Math.min(0.5, room / size / 2);
    const ex = edge(v.clientWidth, w), ey = edge(v.clientHeight, h);
    look.x = clamp(look.x - dx / w, ex, 1 - ex);
    look.y = clamp(look.y - dy / h, ey, 1 - ey);
    draw();
  };

  for (const v of viewers) {
    const range = v.querySelector("input");
    const set = (percent) => {
      const p = clamp(percent, 0, 100);
      v.style.setProperty("--at", `${p}%`);
      range.value = p;
      range.setAttribute("aria-valuetext", `${Math.round(p)} % before`);
      v.querySelector(".tag.left").style.opacity = p < 12 ? 0 : 1;
      v.querySelector(".tag.right").style.opacity = p > 88 ? 0 : 1;
    };
    if (range) range.addEventListener("input", () => set(+range.value));

    let drag = null;
    v.addEventListener("pointerdown", (e) => {
      if (e.button) return;
      const box = v.getBoundingClientRect();
      const near = range && (e.target.closest(".handle") || !v.classList.contains("pannable"));
      if (!near && !v.classList.contains("pannable")) return;
      drag = near ? "slide" : "pan";
      v.setPointerCapture(e.pointerId);
      v.classList.add("dragging");
      if (near) { set(100 * (e.clientX - box.left) / box.width); range.focus({ preventScroll: true }); }
      e.preventDefault();
    });
    v.addEventListener("pointermove", (e) => {
      if (drag === "slide") {
        const box = v.getBoundingClientRect();
        set(100 * (e.clientX - box.left) / box.width);
      } else if (drag === "pan") pan(v, e.movementX, e.movementY);
    });
    for (const end of ["pointerup", "pointercancel"])
      v.addEventListener(end, () => { drag = null; v.classList.remove("dragging"); });
    new ResizeObserver(draw).observe(v);
  }
  for (const b of group.querySelectorAll("[data-doubts]"))
    b.addEventListener("click", () => {
      b.setAttribute("aria-pressed", String(!group.classList.toggle("undoubted")));
    });
  for (const b of group.querySelectorAll("[data-zoom]"))
    b.addEventListener("click", () => { look.zoom = b.dataset.zoom; draw(); });
  draw();
}

// Planes of a volume: a slider turns the slices over, buttons choose the volume.
for (const planes of document.querySelectorAll(".planes")) {
  for (const plane of planes.querySelectorAll(".plane")) {
    const range = plane.querySelector("input"), said = plane.querySelector("output");
    const at = plane.dataset.slices.split(" ");
    const turn = () => {
      plane.style.setProperty("--k", range.value);
      said.textContent = `${plane.dataset.name}, slice ${at[range.value]} of ${plane.dataset.of}`;
      range.setAttribute("aria-valuetext", said.textContent);
    };
    range.addEventListener("input", turn);
    turn();
  }
  for (const button of planes.querySelectorAll("button[data-volume]"))
    button.addEventListener("click", () => {
      for (const other of planes.querySelectorAll("[data-volume]"))
        if (other.matches("button")) other.setAttribute("aria-pressed", String(other === button));
        else other.hidden = other.dataset.volume !== button.dataset.volume;
    });
}

// A link to a closed result opens it.
const reveal = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.matches("details")) { target.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", reveal);
for (const a of document.querySelectorAll('.index a')) a.addEventListener("click", () => {
  document.getElementById(a.hash.slice(1)).open = true;
});
reveal();
