// The dashboard in the browser: live regions, actions, charts, times. Every page works without it, but for what changes something.
"use strict";
(() => {
  const root = document.documentElement;
  const $ = id => document.getElementById(id);
  const store = {
    get: key => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* nothing is remembered */ } },
  };

  // Times: the server writes UTC; people see their own clock, or how long ago it was.
  const pad = number => String(number).padStart(2, "0");
  const day = date => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const clock = date => `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  function ago(seconds) {
    if (seconds < 2 && seconds > -2) return "now";
    const away = Math.abs(seconds);
    const [size, name] = UNITS.find(([length]) => away >= length * (length === 1 ? 1 : 1.5)) || UNITS[3];
    const said = `${Math.round(away / size)} ${name}`;
    return seconds > 0 ? `${said} ago` : `in ${said}`;
  }
  let offset = 0; // how far this machine's clock is behind the gateway's, in seconds
  function tell(time) {
    const at = Number(time.dataset.at), date = new Date(at * 1000), now = Date.now() / 1000 + offset;
    const whole = `${day(date)} ${clock(date)}`;
    const text = time.dataset.form === "clock" ? (Math.abs(now - at) < 43200 ? clock(date) : whole) : ago(now - at);
    if (time.textContent !== text) time.textContent = text;
    if (time.title !== whole) time.title = whole;
  }
  const tellTimes = within => within.querySelectorAll("time[data-at]").forEach(tell);

  // Regions: what the server sent anew is put in the place of what is there, node by node, so that nothing flickers, no focus is
  // lost and no open section closes.
  const keyOf = node => node.id || (node.dataset && node.dataset.keep) || "";
  function morph(old, fresh) {
    if (old.nodeType === 3) { if (old.data !== fresh.data) old.data = fresh.data; return; }
    if (old.nodeType !== 1) return;
    const time = old.matches("time[data-at]") && old.dataset.at === fresh.dataset.at;
    const chart = old.hasAttribute("data-chart");
    const changed = chart && old.dataset.chart !== fresh.dataset.chart;
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !mine(old, name)) old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !mine(old, name)) old.removeAttribute(name);
    if (chart) { if (changed) drawIncident(old); return; }
    if (!time) morphChildren(old, fresh);
  }
  const mine = (node, name) => // attributes that this script, or the reader, has set
    (name === "open" && node.matches("details")) || (name === "title" && node.matches("time"))
    || (node.matches("[role=tab]") && (name === "aria-selected" || name === "tabindex")) || (name === "hidden" && node.matches("[role=tabpanel]"));
  function same(old, fresh) {
    return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
  }
  function morphChildren(old, fresh) {
    const keyed = new Map();
    for (const child of old.children) if (keyOf(child)) keyed.set(child.nodeName + keyOf(child), child);
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const key = child.nodeType === 1 && keyOf(child);
      const known = key ? keyed.get(child.nodeName + key) : null;
      if (known) {
        if (known === at) at = at.nextSibling; else old.insertBefore(known, at);
        morph(known, child);
      } else if (at && !key && same(at, child)) {
        const next = at.nextSibling;
        morph(at, child);
        at = next;
      } else old.insertBefore(document.importNode(child, true), at);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  }
  function renew(regions) {
    for (const [name, html] of Object.entries(regions)) {
      const place = document.querySelector(`[data-region="${CSS.escape(name)}"]`);
      if (!place) continue;
      const fresh = new DOMParser().parseFromString(`<div>${html}</div>`, "text/html").body.firstChild;
      morphChildren(place, fresh);
      tellTimes(place);
      tabs(place);
    }
    const heading = document.querySelector("#now");
    if (heading) document.title = `${heading.textContent} · Headgate`;
  }

  // Live: one stream of events while the page is looked at.
  const topic = document.body.dataset.live;
  const live = { source: null, wait: 1000, timer: 0, heard: 0, paused: store.get("headgate-paused") === "yes" };
  const SAID = { live: "Live", paused: "Paused", lost: "Connection lost", wait: "Connecting" };
  function state(name, more = "") {
    const place = $("live");
    if (!place) return;
    place.dataset.state = name;
    const text = SAID[name] + more;
    if ($("live-said").textContent !== text) $("live-said").textContent = text;
    document.body.classList.toggle("lost", name === "lost");
    if ($("pause")) {
      $("pause").setAttribute("aria-pressed", String(live.paused));
      $("pause").querySelector(".hidden").textContent = live.paused ? "Go on with live updates" : "Pause live updates";
    }
  }
  function connect() {
    clearTimeout(live.timer);
    if (!topic || live.source || live.paused || document.hidden) return;
    const source = live.source = new EventSource(`/events?of=${encodeURIComponent(topic)}`);
    live.heard = Date.now();
    source.addEventListener("regions", event => { heard(); renew(JSON.parse(event.data)); });
    source.addEventListener("beat", event => { heard(); offset = Number(event.data) - Date.now() / 1000; });
    source.addEventListener("over", () => { heard(); location.reload(); });
    source.onerror = () => lost();
  }
  function heard() {
    live.heard = Date.now();
    live.wait = 1000;
    if (!live.paused) state("live");
  }
  function disconnect() {
    if (live.source) live.source.close();
    live.source = null;
    clearTimeout(live.timer);
  }
  function lost() {
    disconnect();
    if (live.paused || document.hidden) return;
    state("lost");
    live.timer = setTimeout(connect, live.wait * (0.8 + 0.4 * Math.random()));
    live.wait = Math.min(live.wait * 2, 30000);
  }
  if (topic) {
    state(live.paused ? "paused" : "wait");
    document.addEventListener("visibilitychange", () => { if (document.hidden) disconnect(); else { live.wait = 1000; connect(); } });
    setInterval(() => { if (live.source && Date.now() - live.heard > 25000) lost(); }, 5000);
    $("pause").addEventListener("click", () => {
      live.paused = !live.paused;
      store.set("headgate-paused", live.paused ? "yes" : "no");
      disconnect();
      state(live.paused ? "paused" : "wait");
      if (!live.paused) { connect(); drawTraffic(); }
    });
    addEventListener("pagehide", disconnect);
    addEventListener("pageshow", event => { if (event.persisted) connect(); });
    connect();
  }

  // The theme.
  $("theme").addEventListener("click", () => {
    const dark = getComputedStyle(root).colorScheme === "dark" || (getComputedStyle(root).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    const chosen = dark ? "light" : "dark";
    root.dataset.theme = chosen;
    store.set("headgate-theme", chosen);
    say(`The page is ${chosen} now.`);
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());

  // What is said to everybody, screen readers included, and goes away by itself.
  let saying = 0;
  function say(text) {
    const line = document.createElement("p");
    line.textContent = text;
    $("said").replaceChildren(line);
    clearTimeout(saying);
    saying = setTimeout(() => $("said").replaceChildren(), 5000);
  }

  // Copying.
  document.addEventListener("click", event => {
    const button = event.target.closest("[data-copy], [data-copy-link]");
    if (!button) return;
    const text = button.dataset.copy ?? location.origin + button.dataset.copyLink;
    const failed = () => say("The browser does not let this page copy.");
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => say("Copied."), failed); else failed();
  });

  // Actions: asked about in a dialog, done by the same API that scripts use.
  const ask = $("ask");
  let asked = null;
  document.addEventListener("click", event => {
    const button = event.target.closest("[data-act]");
    if (!button || !ask) return;
    asked = { ...button.dataset, button };
    const fields = asked.ask.split(" ");
    $("ask-title").textContent = asked.title;
    $("ask-meaning").textContent = asked.meaning;
    $("ask-do").textContent = asked.label;
    $("ask-do").disabled = false;
    $("ask-error").textContent = "";
    $("ask-seconds-field").hidden = !asked.seconds || asked.seconds === "none";
    if (asked.seconds) $("ask-seconds").value = asked.seconds;
    $("ask-who-field").hidden = !fields.includes("who");
    $("ask-who").value = store.get("headgate-who") || "";
    $("ask-expected-field").hidden = !fields.includes("expected");
    $("ask-expected").value = "0";
    $("ask-why-field").hidden = !asked.ask;
    $("ask-why-label").textContent = fields.includes("note") ? "Note (may be empty)" : "Why (shown to everybody, may be empty)";
    $("ask-why").value = "";
    ask.showModal();
    const first = [...ask.querySelectorAll("input")].find(one => one.offsetParent && !one.value) || $("ask-do");
    first.focus();
  });
  function bodyOf(fields) {
    const body = {};
    if (fields.includes("who")) body.who = $("ask-who").value.trim();
    if (fields.includes("expected") && $("ask-expected").value !== "0") body.expected = Date.now() / 1000 + offset + Number($("ask-expected").value);
    if (fields.includes("note")) body.note = $("ask-why").value.trim();
    if (fields.includes("why")) body.why = $("ask-why").value.trim();
    if (asked.seconds) body.seconds = asked.seconds === "none" ? 0 : Number($("ask-seconds").value);
    return body;
  }
  if (ask) {
    $("ask-cancel").addEventListener("click", () => ask.close());
    ask.addEventListener("close", () => {
      const again = asked && (asked.button.isConnected ? asked.button : document.querySelector(`[data-act="${CSS.escape(asked.act)}"]`));
      (again || $("main")).focus();
    });
    $("ask-form").addEventListener("submit", async event => {
      event.preventDefault();
      const body = bodyOf(asked.ask.split(" "));
      if (body.who) store.set("headgate-who", body.who);
      $("ask-do").disabled = true;
      $("ask-error").textContent = "";
      try {
        const answer = await fetch(asked.act, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
        if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `the gateway answered ${answer.status}`);
        ask.close();
        say(`Done: ${asked.title}.`);
        await reread();
      } catch (error) {
        $("ask-error").textContent = `Not done: ${error instanceof TypeError ? "the gateway cannot be reached" : error.message}`;
        $("ask-do").disabled = false;
      }
    });
  }
  async function reread() { // what was just done shows at once, also where live updates are paused
    if (!topic) { location.reload(); return; }
    const answer = await fetch(`/regions?of=${encodeURIComponent(topic)}`);
    if (answer.ok) renew(await answer.json());
  }

  // Tabs (ARIA authoring practices: arrows move, one of them is in the order of tabs).
  function tabs(within) {
    for (const set of within.querySelectorAll("[data-tabs]")) {
      const buttons = [...set.querySelectorAll("[role=tab]")];
      const choose = chosen => buttons.forEach(button => {
        const on = button === chosen;
        button.setAttribute("aria-selected", String(on));
        button.tabIndex = on ? 0 : -1;
        $(button.getAttribute("aria-controls")).hidden = !on;
      });
      choose(buttons.find(button => button.getAttribute("aria-selected") === "true") || buttons[0]);
      if (set.dataset.ready) continue;
      set.dataset.ready = "yes";
      set.addEventListener("click", event => { const button = event.target.closest("[role=tab]"); if (button) choose(button); });
      set.addEventListener("keydown", event => {
        const button = event.target.closest("[role=tab]"), all = [...set.querySelectorAll("[role=tab]")];
        const move = { ArrowRight: 1, ArrowLeft: -1, Home: -all.indexOf(button), End: all.length - 1 - all.indexOf(button) }[event.key];
        if (!button || move === undefined) return;
        event.preventDefault();
        const next = all[(all.indexOf(button) + move + all.length) % all.length];
        choose(next);
        next.focus();
      });
    }
  }

  // Charts.
  const colour = name => {
    const probe = document.createElement("span");
    probe.className = name;
    probe.hidden = true;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const short = value => value >= 1e6 ? `${+(value / 1e6).toPrecision(3)}M` : value >= 1e4 ? `${+(value / 1e3).toPrecision(3)}k` : String(value);
  const count = value => value.toLocaleString("en");
  function stepSaid(step) {
    const [size, name] = UNITS.find(([length]) => step % length === 0);
    return step === size ? { d: "day", h: "hour", min: "minute", s: "second" }[name] : `${step / size} ${name}`;
  }
  const charts = new Map();
  function draw(place, at, step, series, options = {}) {
    charts.get(place)?.chart?.destroy();
    charts.delete(place);
    place.replaceChildren();
    if (!window.uPlot || !series.length || !at.length) {
      const empty = document.createElement("div");
      empty.className = "empty-chart";
      empty.textContent = options.empty || "Nothing yet";
      place.append(empty);
      charts.set(place, { again: () => draw(place, at, step, series, options) });
      return;
    }
    const sums = series.map(() => new Array(at.length).fill(0)); // each series stands on those before it
    series.forEach((one, n) => one.values.forEach((value, i) => { sums[n][i] = value === null ? null : value + (n ? sums[n - 1][i] : 0); }));
    const axis = { stroke: colour("k-axis"), grid: { stroke: colour("k-grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif", gap: 4 };
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const bars = options.bars && uPlot.paths.bars({ size: [0.86, 40, 1], align: 1 });
    const line = !bars && uPlot.paths.stepped({ align: 1 });
    const drawn = [...series].map((one, n) => {
      const ink = colour(one.colour);
      return { label: one.name, stroke: bars ? undefined : ink, width: bars ? 0 : 1.6, fill: bars ? ink : ink.replace("rgb(", "rgba(").replace(")", ", .16)"), paths: bars || line, points: { show: false } };
    }).reverse();
    const chart = new uPlot({
      width: place.clientWidth, height: place.clientHeight, padding: [8, 6, 0, 0], legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { range: () => [at[0], at[at.length - 1] + step] }, y: { range: (_, low, high) => [0, Math.max(high * 1.08, 1)] } },
      axes: [{ ...axis, space: 70, size: 26, values: (_, ticks, __, ___, gap) => ticks.map(tick => { const date = new Date(tick * 1000); return gap >= 86400 ? day(date).slice(5) : gap >= 60 ? clock(date).slice(0, 5) : clock(date); }) },
        { ...axis, size: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7, 1e8], values: (_, ticks) => ticks.map(short) }],
      series: [{}, ...drawn],
      hooks: {
        drawClear: [self => marks(self, options.marks)],
        setCursor: [self => hint(self, tip, at, step, series, options)],
      },
    }, [at, ...[...sums].reverse()], place);
    place.append(tip);
    charts.set(place, { chart, again: () => draw(place, at, step, series, options) });
  }
  function marks(self, list) {
    if (!list || !list.length) return;
    const { ctx, bbox } = self;
    ctx.save();
    ctx.strokeStyle = colour("k-mark");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const [at] of list) {
      const x = self.valToPos(at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }
  function hint(self, tip, at, step, series, options) {
    const { left, idx } = self.cursor;
    if (left < 0 || idx == null) { tip.hidden = true; return; }
    const found = at.findLastIndex(time => time <= self.posToVal(left, "x"));
    if (found < 0) { tip.hidden = true; return; }
    const date = new Date(at[found] * 1000);
    const rows = series.filter(one => one.values[found] || series.length === 1).map(one => row(one.colour, `${one.name}: ${count(one.values[found])}`));
    const head = document.createElement("b");
    head.textContent = (step >= 3600 ? `${day(date)} ` : "") + (step >= 60 ? clock(date).slice(0, 5) : clock(date));
    const near = (options.marks || []).filter(([time]) => time >= at[found] && time < at[found] + step).map(([, text]) => row("k-mark", text.slice(0, 80)));
    tip.replaceChildren(head, ...rows, ...near);
    tip.hidden = false;
    const room = self.root.clientWidth, x = left + self.bbox.left / devicePixelRatio;
    tip.style.top = "6px";
    tip.style.left = `${x > room / 2 ? Math.max(0, x - tip.offsetWidth - 12) : x + 12}px`;
  }
  function row(kind, text) {
    const line = document.createElement("div"), sign = document.createElement("i");
    sign.className = kind;
    line.append(sign, text);
    return line;
  }
  const redraw = () => [...charts.values()].forEach(one => one.again());
  let resizing = 0;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(redraw, 120); });

  // The traffic of the overview.
  const RANGES = { "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800 };
  let range = RANGES[store.get("headgate-range")] ? store.get("headgate-range") : "15m", next = 0;
  async function drawTraffic() {
    clearTimeout(next);
    const place = $("requests-chart");
    if (!place) return;
    try {
      const answer = await fetch(`/series?range=${range}`);
      if (!answer.ok) throw new Error();
      show(await answer.json());
      $("traffic-note").textContent = "";
    } catch {
      $("traffic-note").textContent = "The counts over time cannot be had at this moment.";
    }
    if (!live.paused) next = setTimeout(() => { if (document.hidden) next = setTimeout(drawTraffic, 2000); else drawTraffic(); }, { "15m": 5000, "1h": 10000 }[range] || 60000);
  }
  function show(told) {
    const sum = values => values.reduce((total, value) => total + value, 0);
    const requests = sum(told.requests), causes = told.causes.map((one, n) => ({ ...one, colour: `k${Math.min(n, 9)}` }));
    const failed = causes.reduce((total, one) => total + sum(one.values), 0), per = ` a ${stepSaid(told.step)}`.replace(" a 5", " in 5").replace(/ a (\d)/, " in $1");
    const whole = told.requests.map((value, n) => told.at[n] + told.step > Date.now() / 1000 + offset ? null : value); // an unfinished step is no dip
    draw($("requests-chart"), told.at, told.step, [{ name: "Requests", values: whole, colour: "k-requests" }], { empty: "No counts yet" });
    draw($("failures-chart"), told.at, told.step, failed ? causes : [], { bars: true, empty: "Users saw no failure in this time" });
    $("requests-said").textContent = `${count(requests)}, at most ${count(Math.max(0, ...told.requests))}${per}`;
    $("failures-said").textContent = failed ? `${count(failed)}${requests ? `, ${(100 * failed / requests).toPrecision(2)} %` : ""}` : "none";
    $("failures-legend").replaceChildren(...causes.filter(one => sum(one.values)).map(one => {
      const item = document.createElement("li"), sign = document.createElement("i"), text = document.createElement("span");
      item.className = one.colour;
      text.textContent = `${one.title}: ${count(sum(one.values))}`;
      item.append(sign, text);
      return item;
    }));
  }
  for (const button of document.querySelectorAll("[data-range]")) {
    const mark = () => document.querySelectorAll("[data-range]").forEach(one => one.setAttribute("aria-pressed", String(one.dataset.range === range)));
    button.addEventListener("click", () => { range = button.dataset.range; store.set("headgate-range", range); mark(); drawTraffic(); });
    mark();
  }

  // The chart of one incident.
  function drawIncident(place) {
    const told = JSON.parse(place.dataset.chart);
    draw(place, told.at, told.step, told.series.map(([name, kind, values]) => ({ name, values, colour: `k-${kind}` })), { bars: true, marks: told.marks });
  }

  tellTimes(document);
  setInterval(() => { if (!document.hidden) tellTimes(document); }, 1000);
  tabs(document);
  addEventListener("load", () => {
    drawTraffic();
    document.querySelectorAll("[data-chart]").forEach(drawIncident);
  });
  document.addEventListener("keydown", event => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.nodeName)) {
      const field = $("reference");
      if (field) { event.preventDefault(); field.focus(); }
    }
  });
})();
