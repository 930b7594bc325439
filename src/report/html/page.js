"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);

  const make = (name, properties = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key.includes("-") || key === "role") element.setAttribute(key, value);
      else element[key] = value;
    }
    element.append(...children);
    return element;
  };
  const drawing = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  // Three significant places in decimal units, as in the other reports.
  const size = (bytes) => {
    for (const [unit, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
      if (bytes >= unit) {
        const places = bytes < 10 * unit ? 2 : bytes < 100 * unit ? 1 : 0;
        return `${(Math.floor((bytes / unit) * 10 ** places) / 10 ** places).toFixed(places)} ${name}`;
      }
    }
    return `${bytes} B`;
  };
  const counted = (number, one, many) => `${number.toLocaleString("en-US")} ${number === 1 ? one : many}`;

  // ---- Files ----

  const files = () => {
    const { names, children, measures, states, components, layers } = data.map;
    const count = names.length;
    const parents = new Int32Array(count).fill(-1);
    const fileOf = new Int32Array(count).fill(-1);
    const inside = Array.from({ length: count }, () => []);
    // Each node is in the nearest directory before it that still lacks one.
    const open = [];
    let seen = 0;
    for (let node = 0; node < count; node++) {
      if (open.length) {
        const above = open[open.length - 1];
        parents[node] = above.node;
        inside[above.node].push(node);
        above.left--;
      }
      if (children[node] < 0) fileOf[node] = seen++;
      else if (children[node] > 0) open.push({ node, left: children[node] });
      while (open.length && open[open.length - 1].left === 0) open.pop();
    }
    const isDirectory = (node) => children[node] >= 0;
    const paths = new Array(count);
    for (let node = 0; node < count; node++) {
      const above = node ? paths[parents[node]] : "";
      paths[node] = above && names[node] ? `${above}/${names[node]}` : above || names[node];
    }
    const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const value = new Map([...digits].map((digit, index) => [digit, index]));
    const totals = measures.map(({ bytes }) => {
      const sums = new Float64Array(count);
      for (let node = count - 1; node >= 0; node--) {
        if (fileOf[node] >= 0) sums[node] = bytes[fileOf[node]];
        if (node) sums[parents[node]] += sums[node];
      }
      return sums;
    });
    const edge = (node, side) => {
      const start = (node - 1) * 8 + side * 2;
      const { places } = measures[measure];
      return (value.get(places[start]) * 64 + value.get(places[start + 1])) / 4095;
    };

    let measure = 0;
    let zoomed = 0;
    let chosen = -1;
    let hits = null;
    let isLong = false;

    // Colors: a hue for what stays, warm and hatched for what is removed.
    const kinds = {
      kept: [245, 0.055], changed: [195, 0.075], added: [150, 0.11], grew: [75, 0.12], shrank: [160, 0.07], removed: [55, 0.09],
    };
    const removed = states.flatMap((state, index) => (state.kind === "removed" ? [index] : []));
    const weigh = (indices, length) => {
      const sums = new Float64Array(length);
      indices.forEach((index, file) => (sums[index] += Math.max(...measures.map(({ bytes }) => bytes[file]))));
      return sums;
    };
    const colorings = [{
      name: "what becomes of it",
      of: data.map.state,
      labels: states.map(({ label }) => label),
      color: (index) => {
        const { kind } = states[index];
        const [hue, chroma] = kinds[kind];
        const spread = kind === "removed" ? ((removed.indexOf(index) * 37) % 80) - 40 : 0;
        return { hue: hue + spread, chroma, kind };
      },
    }, {
      name: "component",
      of: data.map.component,
      labels: components,
    }, {
      name: "layer",
      of: data.map.layer,
      labels: layers.map((layer) => layer || "in no layer"),
    }].filter(({ labels }, index) => labels.length > 1 || index === 1);
    for (const coloring of colorings) {
      coloring.sums = weigh(coloring.of, coloring.labels.length);
      coloring.order = coloring.labels.map((_, index) => index).sort((a, b) => coloring.sums[b] - coloring.sums[a]);
      const rank = new Map(coloring.order.map((index, place) => [index, place]));
      coloring.color ??= (index) => ({ hue: (220 + rank.get(index) * 137.5) % 360, chroma: 0.08, kind: "kept" });
    }
    let coloring = colorings[0];
    const paint = (element, { hue, chroma, kind }) => {
      element.classList.add(kind);
      element.style.setProperty("--hue", hue);
      element.style.setProperty("--chroma", chroma);
    };

    const stateOf = (node) => states[data.map.state[fileOf[node]]].label;
    const sizesOf = (node) =>
      measures.map(({ label }, index) => `${label.toLowerCase()} ${size(totals[index][node])}`).join("; ");
    const describe = (node) => {
      const whole = totals[measure][0] || 1;
      const share = ((100 * totals[measure][node]) / whole).toFixed(1);
      const what = isDirectory(node)
        ? counted(inside[node].length, "entry", "entries")
        : [stateOf(node), components[data.map.component[fileOf[node]]], layers[data.map.layer[fileOf[node]]]]
            .filter(Boolean).join(", ");
      return `${paths[node] || "everything"}: ${sizesOf(node)} (${share}% of all); ${what}`;
    };
    const tell = (node) => { at("about").textContent = node < 0 ? "" : describe(node); };

    const map = at("map");
    const HEADER = 17;
    // Directories that are too small for a name of their own: a click on what is in one opens it.
    const nameless = new Set();
    const draw = () => {
      const { clientWidth: width, clientHeight: height } = map;
      const tiles = [];
      nameless.clear();
      const pending = [[zoomed, 0, 0, width, height, 0]];
      while (pending.length) {
        const [node, x, y, w, h, depth] = pending.pop();
        const hasHeader = depth > 0 && isDirectory(node) && h > 3 * HEADER && w > 40;
        if (depth > 0) tiles.push(tile(node, [x, y, w, h], depth, hasHeader || (!isDirectory(node) && h > HEADER && w > 30)));
        if (!isDirectory(node)) continue;
        if (depth > 0 && !hasHeader) nameless.add(node);
        const border = depth > 0 ? 1 : 0;
        const top = hasHeader ? HEADER : border;
        const [innerWidth, innerHeight] = [w - 2 * border, h - top - border];
        if (innerWidth < 4 || innerHeight < 4) continue;
        for (const child of inside[node]) {
          if (!(totals[measure][child] > 0)) continue;
          const [left, up, right, down] = [0, 1, 2, 3].map((side) => edge(child, side));
          const [cw, ch] = [(right - left) * innerWidth, (down - up) * innerHeight];
          // What is smaller than this is in the list alone.
          if (cw < 2 || ch < 2) continue;
          pending.push([child, x + border + left * innerWidth, y + top + up * innerHeight, cw, ch, depth + 1]);
        }
      }
      map.replaceChildren(...tiles);
      map.setAttribute("aria-label", `Treemap of ${paths[zoomed] || "everything"}, ${measures[measure].label.toLowerCase()}`);
      const start = map.querySelector("button.chosen") || map.querySelector("button");
      if (start) start.tabIndex = 0;
    };
    // Only what is directly in the open directory takes the focus; the list has the same for readers of the screen.
    const tile = (node, [x, y, w, h], depth, hasName) => {
      const element = depth === 1
        ? make("button", { type: "button", tabIndex: -1, "aria-label": describe(node) })
        : make("div", { "aria-hidden": "true" });
      element.className = isDirectory(node) ? "directory" : "file";
      element.dataset.node = node;
      Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${Math.max(w - 1, 1)}px`, height: `${Math.max(h - 1, 1)}px` });
      if (hasName) { element.textContent = names[node]; element.classList.add("named"); }
      if (!isDirectory(node)) paint(element, coloring.color(coloring.of[fileOf[node]]));
      if (hits) element.classList.add(hits.has(node) ? "hit" : isDirectory(node) ? "plain" : "dim");
      if (node === chosen) element.classList.add("chosen");
      return element;
    };

    const bar = (part) => {
      const svg = drawing("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
      svg.append(drawing("rect", { width: 100 * part, height: 8 }));
      return svg;
    };
    const LONG = 100;
    const list = () => {
      const nodes = hits ? [...hits] : inside[zoomed].slice();
      nodes.sort((a, b) => totals[measure][b] - totals[measure][a] || (paths[a] < paths[b] ? -1 : 1));
      const largest = nodes.length ? totals[measure][nodes[0]] || 1 : 1;
      const shown = isLong ? nodes : nodes.slice(0, LONG);
      at("list-title").textContent = hits
        ? `${counted(nodes.length, "match", "matches")} for “${at("search").value}”`
        : `${paths[zoomed] || "Everything"}: ${counted(nodes.length, "entry", "entries")}`;
      at("list").tHead.replaceChildren(make("tr", {},
        make("th", { scope: "col" }, "Name"),
        make("th", { scope: "col" }, "Share"),
        ...measures.map(({ label }) => make("th", { scope: "col", className: "number" }, label)),
        make("th", { scope: "col" }, "What becomes of it"),
        make("th", { scope: "col" }, "Component")));
      at("list").tBodies[0].replaceChildren(...shown.map((node) => {
        const name = (hits ? paths[node] : names[node]) + (isDirectory(node) ? "/" : "");
        const go = make("button", { type: "button", onclick: () => (isDirectory(node) ? zoom(node) : choose(node)) }, name);
        return make("tr", {},
          make("td", {}, go),
          make("td", {}, bar(totals[measure][node] / largest)),
          ...measures.map((_, index) => make("td", { className: "number" }, size(totals[index][node]))),
          make("td", {}, isDirectory(node) ? "" : stateOf(node)),
          make("td", {}, isDirectory(node) ? "" : components[data.map.component[fileOf[node]]]));
      }));
      at("more").hidden = shown.length === nodes.length;
      at("more").textContent = `Show all ${nodes.length.toLocaleString("en-US")}`;
    };
    const crumbs = () => {
      const above = [];
      for (let node = zoomed; node >= 0; node = parents[node]) above.unshift(node);
      const label = (node) => (node ? names[node] : names[0] ? `All of ${names[0]}` : "All");
      at("crumbs").replaceChildren(...above.flatMap((node, index) => {
        const isLast = index === above.length - 1;
        const step = isLast
          ? make("span", { "aria-current": "location" }, label(node))
          : make("button", { type: "button", onclick: () => zoom(node) }, label(node));
        return index ? [make("span", { "aria-hidden": "true" }, "/"), step] : [step];
      }), make("span", { className: "size" }, sizesOf(zoomed)));
    };
    const legend = () => {
      const SHOWN = 12;
      const sums = new Float64Array(coloring.labels.length);
      coloring.of.forEach((index, file) => (sums[index] += measures[measure].bytes[file]));
      const order = coloring.order.filter((index) => sums[index] > 0).sort((a, b) => sums[b] - sums[a]);
      const items = order.slice(0, SHOWN).map((index) => {
        const swatch = make("span", { className: "swatch", "aria-hidden": "true" });
        paint(swatch, coloring.color(index));
        return make("li", {}, swatch, `${coloring.labels[index]} ${size(sums[index])}`);
      });
      if (order.length > SHOWN) {
        const rest = order.slice(SHOWN).reduce((sum, index) => sum + sums[index], 0);
        items.push(make("li", {}, `${order.length - SHOWN} more ${size(rest)}`));
      }
      at("legend").replaceChildren(...items);
    };
    const refresh = () => { draw(); crumbs(); legend(); list(); };
    const zoom = (node, focus = -1) => {
      zoomed = node;
      chosen = focus;
      isLong = false;
      hits = null;
      at("search").value = "";
      at("found").textContent = "";
      refresh();
      tell(focus < 0 ? node : focus);
    };
    const choose = (node) => {
      const above = parents[node];
      if (hits || above !== zoomed) { zoom(above, node); } else { chosen = node; draw(); tell(node); }
      map.querySelector(".chosen")?.focus({ preventScroll: false });
    };
    const back = () => { if (zoomed) { const from = zoomed; zoom(parents[from], from); map.querySelector(".chosen")?.focus(); } };

    map.addEventListener("click", ({ target }) => {
      if (target === map) return;
      let node = Number(target.dataset.node);
      for (let above = parents[node]; above !== zoomed && above > 0; above = parents[above]) {
        if (nameless.has(above)) node = above;
      }
      if (isDirectory(node)) { zoom(node); map.querySelector("button")?.focus(); }
      else { chosen = node; map.querySelector(".chosen")?.classList.remove("chosen"); target.classList.add("chosen"); tell(node); }
    });
    // Only a mouse that moves: after each drawing a browser says that it is over the tile that has come to be below it.
    map.addEventListener("mousemove", ({ target }) => tell(target === map ? chosen : Number(target.dataset.node)));
    map.addEventListener("mouseleave", () => tell(chosen));
    map.addEventListener("focusin", ({ target }) => {
      for (const button of map.querySelectorAll("button[tabindex='0']")) button.tabIndex = -1;
      target.tabIndex = 0;
      tell(Number(target.dataset.node));
    });
    const middle = (element) => [element.offsetLeft + element.offsetWidth / 2, element.offsetTop + element.offsetHeight / 2];
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    map.addEventListener("keydown", (event) => {
      if (event.key === "Escape" || event.key === "Backspace") { back(); event.preventDefault(); return; }
      const step = steps[event.key];
      const from = document.activeElement;
      if (!step || from.parentElement !== map) return;
      event.preventDefault();
      const [x, y] = middle(from);
      let best = null;
      for (const button of map.querySelectorAll("button")) {
        const [dx, dy] = middle(button).map((value, index) => value - [x, y][index]);
        const along = dx * step[0] + dy * step[1];
        if (button === from || along <= 0) continue;
        const cost = along + 2 * Math.abs(dx * step[1] + dy * step[0]);
        if (!best || cost < best.cost) best = { button, cost };
      }
      best?.button.focus();
    });

    at("search").addEventListener("input", ({ target }) => {
      const wanted = target.value.trim().toLowerCase();
      isLong = false;
      hits = null;
      if (wanted) {
        hits = new Set();
        paths.forEach((path, node) => {
          const isOwn = !isDirectory(node) || names[node].toLowerCase().includes(wanted);
          if (isOwn && path.toLowerCase().includes(wanted)) hits.add(node);
        });
      }
      const bytes = hits ? [...hits].filter((node) => !isDirectory(node)).reduce((sum, node) => sum + totals[measure][node], 0) : 0;
      at("found").textContent = hits ? `${counted(hits.size, "match", "matches")}, ${size(bytes)}` : "";
      draw();
      list();
    });
    at("search").addEventListener("keydown", ({ key, target }) => {
      if (key === "Escape") { target.value = ""; target.dispatchEvent(new Event("input")); }
      if (key === "Enter") at("list").querySelector("button")?.focus();
    });
    at("more").addEventListener("click", () => { isLong = true; list(); });

    // The first picture is what there was, so that what goes can be seen in it.
    measures.forEach(({ label }, index) => {
      const input = make("input", { type: "radio", name: "measure", checked: index === 0, onchange: () => { measure = index; refresh(); } });
      at("measures").append(make("label", {}, input, ` ${label}`));
    });
    at("coloring").append(...colorings.map(({ name }, index) => make("option", { value: String(index) }, name)));
    at("coloring").addEventListener("change", ({ target }) => { coloring = colorings[Number(target.value)]; draw(); legend(); });
    new ResizeObserver(draw).observe(map);
    refresh();
  };

  // ---- Libraries ----

  const libraries = () => {
    const { nodes, edges } = data.libraries;
    const users = nodes.map(() => []);
    const used = nodes.map(() => []);
    for (const [from, to] of edges) { used[from].push(to); users[to].push(from); }
    const file = (name) => name.slice(name.lastIndexOf("/") + 1);
    const words = {
      missing: "missing on Lambda", shadowed: "never loaded: the runtime's own copy is found first", added: "added by pack",
      tree: "in the tree", runtime: "provided by the runtime",
    };
    const graph = at("graph");
    const SHOWN = 40;

    const item = (text, kind, note, onclick) => {
      const button = make("button", { type: "button", className: kind, onclick }, text, " ");
      if (note) button.append(make("span", { className: "kind" }, note));
      return button;
    };
    const column = (title, items, rest, className = "") => {
      const list = make("ul", {}, ...items.map((one) => make("li", {}, one)));
      if (rest > 0) list.append(make("li", {}, `and ${rest.toLocaleString("en-US")} more`));
      return make("div", { className }, make("h3", {}, title), list);
    };
    // Lines are drawn when the columns have their places.
    let lines = [];
    const connect = () => {
      graph.querySelector("svg")?.remove();
      const box = graph.getBoundingClientRect();
      const svg = drawing("svg", { "aria-hidden": "true" });
      for (const line of lines) {
        const { from, to } = line;
        const [a, b] = [from.getBoundingClientRect(), to.getBoundingClientRect()];
        const [x1, y1, x2, y2] = [a.right - box.left, a.top + a.height / 2 - box.top, b.left - box.left, b.top + b.height / 2 - box.top];
        const bend = (x2 - x1) / 2;
        line.path = drawing("path", { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
        svg.append(line.path);
      }
      graph.append(svg);
    };
    const mark = ({ target, type }) => {
      const button = target.closest?.("button");
      const on = type === "mouseover" || type === "focusin";
      for (const { from, to, path } of lines) path?.classList.toggle("on", on && (from === button || to === button));
    };
    for (const event of ["mouseover", "mouseout", "focusin", "focusout"]) graph.addEventListener(event, mark);
    const about = (node) => item(file(nodes[node].name), nodes[node].kind, words[nodes[node].kind], () => show(node));

    const overview = () => {
      // What the runtime has is needed by nearly everything: it is shown only if there is nothing else.
      const needed = nodes.flatMap((_, index) => (users[index].length ? [index] : []));
      const own = needed.filter((index) => nodes[index].kind !== "runtime");
      const shown = own.length ? own : needed;
      const order = ["missing", "shadowed", "added", "tree"];
      shown.sort((a, b) => order.indexOf(nodes[a].kind) - order.indexOf(nodes[b].kind) || users[b].length - users[a].length);
      const targets = shown.slice(0, SHOWN);
      const needs = new Map();
      for (const target of targets) {
        for (const user of users[target]) {
          const name = nodes[user].component || file(nodes[user].name);
          if (!needs.has(name)) needs.set(name, new Map());
          needs.get(name).set(target, (needs.get(name).get(target) || 0) + 1);
        }
      }
      const components = [...needs].sort((a, b) => b[1].size - a[1].size || (a[0] < b[0] ? -1 : 1));
      const right = new Map(targets.map((node) => [node, about(node)]));
      const left = components.slice(0, SHOWN).map(([name, found]) => {
        const button = item(name, "tree", counted(found.size, "library", "libraries"), () => show(Math.max(...found.keys())));
        for (const target of found.keys()) lines.push({ from: button, to: right.get(target) });
        return button;
      });
      graph.className = "two";
      graph.replaceChildren(
        column("Component", left, components.length - left.length),
        column("needs the library", [...right.values()], shown.length - targets.length));
    };
    const single = (node) => {
      const self = about(node);
      const side = (others) => others.slice().sort((a, b) => (nodes[a].name < nodes[b].name ? -1 : 1)).slice(0, SHOWN).map((other) => about(other));
      const [left, right] = [side(users[node]), side(used[node])];
      for (const from of left) lines.push({ from, to: self });
      for (const to of right) lines.push({ from: self, to });
      const middle = column(nodes[node].name, [self], 0, "middle");
      graph.className = "";
      graph.replaceChildren(
        column(`Needed by ${users[node].length.toLocaleString("en-US")}`, left, users[node].length - left.length),
        middle,
        column(`Needs ${used[node].length.toLocaleString("en-US")}`, right, used[node].length - right.length));
    };
    const show = (node) => {
      at("library").value = String(node);
      lines = [];
      if (node < 0) overview(); else single(node);
      connect();
    };

    at("library").append(make("option", { value: "-1" }, "all libraries, by component"));
    for (const [kind, word] of Object.entries(words)) {
      const own = nodes.flatMap((node, index) => (node.kind === kind ? [index] : []));
      own.sort((a, b) => (file(nodes[a].name) < file(nodes[b].name) ? -1 : 1));
      if (!own.length) continue;
      const options = own.map((index) => make("option", { value: String(index) }, `${file(nodes[index].name)} (needed by ${users[index].length})`));
      at("library").append(make("optgroup", { label: word }, ...options));
    }
    at("library").addEventListener("change", ({ target }) => show(Number(target.value)));
    new ResizeObserver(connect).observe(graph);
    show(-1);
  };

  if (at("map")) files();
  if (at("graph")) libraries();
})();
