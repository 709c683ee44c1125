/* Keeps parts of a page true while work goes on. No build, no library; the page reads well without.
 *
 *   <script src="{% static 'backdrop/live.js' %}" defer></script>
 *
 * CONTRACT FOR TEMPLATES
 *
 *   data-live="task:<id>"      this element shows one task      (socket /ws/tasks/<id>)
 *   data-live="tasks"          this element shows a list        (socket /ws/tasks)
 *   data-live="clock"          this element shows what no socket tells of: fetched every two seconds
 *   data-live-src="/…/"        address of the fragment ("_….html") that is this element's INSIDE.
 *                              Fetched on every change of status and, while the socket is silent,
 *                              every two seconds; it replaces innerHTML. Without it only figures
 *                              are kept. 401, 403, 404 or a redirect (to the login) end it.
 *   data-live-seq="{{ task.seq }}"   on a task's element: the seq that the page was rendered with, so
 *                              that exactly the events after it are sent.
 *   data-task="<id>" data-status="running"
 *                              on each row or card inside (a data-live="task:…" element counts as
 *                              one itself). Figures go to the right row; a status that differs
 *                              from data-status, a task that has no row, one that is gone:
 *                              the fragment is fetched.
 *   data-field="NAME"          inside such a row; its text becomes the figure:
 *                                percent "42%"   done, total "12.3 MB"   rate "4.0 MB/s"
 *                                eta "3 min 10 s"   status "Running"   message   error   attempt "2"
 *                                queue_position "4"
 *                              Bytes read like Django's filesizeformat; other units "1,234 rows". A
 *                              figure that is unknown is empty and the element gets `hidden`.
 *   <progress data-field="percent" max="100">     gets a value; none while the total is unknown.
 *   data-field="bar"           gets style.width in percent and aria-valuenow (any element).
 *   data-field="status"        gets data-status="running" too, for colours.
 *   data-events                a list (ol, ul): log lines are appended as
 *                                <li data-seq="7" data-level="info" data-kind="log"><time datetime="…">14:03:07</time> <span>text</span></li>
 *                              Render the same, in UTC; the 500 newest stay; it stays scrolled to its end.
 *   details, focus, values     open <details>, the focused control, what was typed and the scroll
 *                              of [data-events] survive a swap, found by id, else by name and position.
 *
 * It gets data-live-state="live", "polling" or "signed-out", and fires bubbling events:
 * "live:update" (detail: the task) and "live:swap". Elements may come and go.
 */
"use strict";

(() => {
  const SWAP_MS = 250; // at most four swaps a second
  const SILENT_MS = 2000; // no message for so long: ask the server
  const DEAD_MS = 6000; // no message for so long: the socket is a corpse
  const LINES = 500;
  const FOCUSABLE = "a[href],button,input,select,textarea,summary,[tabindex]";
  const roots = new Map(); // element -> Root
  const links = new Map(); // key -> Link

  const known = (value) => value !== null && value !== undefined && value !== "";

  function bytes(count) {
    const units = ["bytes", "KB", "MB", "GB", "TB", "PB"];
    let power = 0;
    while (power < 5 && count >= 1024 ** (power + 1)) power += 1;
    if (power > 0) return `${(count / 1024 ** power).toFixed(1)} ${units[power]}`;
    return Math.round(count) === 1 ? "1 byte" : `${Math.round(count)} bytes`;
  }

  function amount(count, unit) {
    if (!known(count)) return "";
    if (unit === "bytes") return bytes(count);
    return `${Math.round(count).toLocaleString("en")} ${unit}`;
  }

  function duration(seconds) {
    if (!known(seconds)) return "";
    const s = Math.ceil(seconds);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  }

  const sentence = (status) => status.charAt(0).toUpperCase() + status.slice(1).replaceAll("_", " ");

  const figures = {
    percent: (t) => (known(t.progress.percent) ? `${Math.floor(t.progress.percent)}%` : ""),
    done: (t) => amount(t.progress.done, t.progress.unit),
    total: (t) => amount(t.progress.total, t.progress.unit),
    rate: (t) => (known(t.progress.rate) ? `${amount(t.progress.rate, t.progress.unit)}/s` : ""),
    eta: (t) => duration(t.progress.eta_seconds),
    status: (t) => sentence(t.status),
    message: (t) => t.message,
    error: (t) => t.error,
    attempt: (t) => (t.attempt ? String(t.attempt) : ""),
    queue_position: (t) => (known(t.queue_position) ? String(t.queue_position) : ""),
  };

  function show(field, task) {
    const name = field.dataset.field;
    const percent = task.progress.percent;
    if (field instanceof HTMLProgressElement) {
      if (known(percent)) field.value = percent;
      else field.removeAttribute("value");
    } else if (name === "bar") {
      field.style.width = known(percent) ? `${percent}%` : "";
      if (known(percent)) field.setAttribute("aria-valuenow", String(Math.floor(percent)));
      else field.removeAttribute("aria-valuenow");
    } else if (figures[name]) {
      const text = figures[name](task) || "";
      if (field.textContent !== text) field.textContent = text;
      field.hidden = text === "";
      if (name === "status") field.dataset.status = task.status;
    }
  }

  class Root {
    constructor(element) {
      this.element = element;
      this.key = element.dataset.live;
      this.lines = new Map(); // seq -> event, so that a swap loses none
      this.statuses = new Map(); // id -> status, of tasks this fragment has no row for
      this.html = null; // as it came last; null once figures were written over it
      this.fetched = 0;
      this.timer = null;
      this.busy = false;
      this.again = false; // asked for while busy, or failed
      this.ended = false;
    }

    rows(id) {
      const rows = [...this.element.querySelectorAll(`[data-task="${CSS.escape(id)}"]`)];
      if (this.key === `task:${id}`) rows.push(this.element);
      return rows;
    }

    apply(task) {
      const rows = this.rows(task.id);
      let stale = rows.length === 0 && this.statuses.get(task.id) !== task.status;
      if (stale) this.statuses.set(task.id, task.status);
      for (const row of rows) {
        for (const field of row.querySelectorAll("[data-field]")) show(field, task);
        if (known(row.dataset.status) && row.dataset.status !== task.status) stale = true;
        if (row === this.element) row.dataset.status = task.status;
      }
      this.html = null;
      if (stale) this.refresh();
      this.element.dispatchEvent(new CustomEvent("live:update", { bubbles: true, detail: task }));
    }

    append(events) {
      for (const event of events) {
        this.lines.set(event.seq, event);
        if (this.lines.size > LINES) this.lines.delete(this.lines.keys().next().value);
      }
      this.element.querySelectorAll("[data-events]").forEach((list) => this.write(list, events));
    }

    write(list, events) {
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
      let last = Number(list.lastElementChild?.dataset.seq || 0);
      for (const event of events) {
        if (event.seq <= last || !event.message) continue;
        last = event.seq;
        list.append(line(event));
        if (list.childElementCount > LINES) list.firstElementChild.remove();
      }
      if (atEnd) list.scrollTop = list.scrollHeight;
    }

    /** Fetch the fragment soon; many calls become few. */
    refresh() {
      if (this.busy) this.again = true;
      if (this.busy || this.timer !== null || this.ended || !this.element.dataset.liveSrc) return;
      const wait = Math.max(0, this.fetched + SWAP_MS - performance.now());
      this.timer = setTimeout(() => this.fetch(), wait);
    }

    async fetch() {
      this.timer = null;
      this.fetched = performance.now();
      this.busy = true;
      this.again = false;
      let failed = false;
      try {
        const answer = await fetch(this.element.dataset.liveSrc, {
          credentials: "same-origin",
          headers: { Accept: "text/html", "X-Backdrop-Live": "1" },
          signal: AbortSignal.timeout(8000),
        });
        if (answer.ok && !answer.redirected) this.swap(await answer.text());
        else if (answer.redirected || [401, 403, 404, 410].includes(answer.status)) this.end(answer);
        else failed = true;
      } catch {
        failed = true;
      }
      this.busy = false;
      if (failed) this.again = true; // the server is away: the next tick asks again
      else if (this.again) this.refresh();
    }

    end(answer) {
      this.ended = true;
      if (answer.status === 404 || answer.status === 410) this.element.replaceChildren();
      else this.element.dataset.liveState = "signed-out";
    }

    swap(html) {
      if (html === this.html) return;
      const restore = remember(this.element);
      this.element.innerHTML = html;
      restore();
      this.html = html;
      this.element.querySelectorAll("[data-events]").forEach((list) => this.write(list, this.lines.values()));
      window.htmx?.process(this.element);
      this.element.dispatchEvent(new CustomEvent("live:swap", { bubbles: true }));
    }
  }

  function line(event) {
    const item = document.createElement("li");
    item.dataset.seq = event.seq;
    item.dataset.level = event.level;
    item.dataset.kind = event.kind;
    const time = document.createElement("time");
    time.dateTime = event.at;
    time.textContent = new Date(event.at).toLocaleTimeString("en-GB", { timeZone: "UTC" });
    const text = document.createElement("span");
    text.textContent = event.message;
    item.append(time, " ", text);
    return item;
  }

  /** What a person did to the inside of an element; the function returned does it again. */
  function remember(element) {
    // The like of a node: so tagged and, where it is something to press, so labelled.
    const like = (node) => node.tagName + (/^(A|BUTTON|SUMMARY)$/.test(node.tagName) ? node.textContent : "");
    const alike = (mark, all) => all.filter((node) => like(node) === mark.like && node.name === mark.name);
    const identify = (node, all) => {
      const mark = { id: node.id, name: node.name, like: like(node) };
      return { ...mark, at: alike(mark, all).indexOf(node) };
    };
    const find = (mark, all) => (mark.id ? all.find((node) => node.id === mark.id) : alike(mark, all)[mark.at]);
    const controls = () => [...element.querySelectorAll(FOCUSABLE)];
    const details = () => [...element.querySelectorAll("details")];
    const logs = () => [...element.querySelectorAll("[data-events]")];

    const before = controls();
    const active = before.includes(document.activeElement) ? document.activeElement : null;
    const focus = active && identify(active, before);
    const range = active && typeof active.selectionStart === "number" ? [active.selectionStart, active.selectionEnd] : null;
    const typed = before
      .filter((node) => ["INPUT", "TEXTAREA"].includes(node.tagName) && node.type !== "hidden" && node.value !== node.defaultValue)
      .map((node) => [identify(node, before), node.value]);
    const opened = details().map((node, at, all) => [identify(node, all), node.open]);
    const scrolls = logs().map((node) => (node.scrollHeight - node.scrollTop - node.clientHeight < 8 ? Infinity : node.scrollTop));

    return () => {
      const after = controls();
      const unfolded = details();
      for (const [mark, value] of typed) {
        const node = find(mark, after);
        if (node) node.value = value;
      }
      for (const [mark, open] of opened) {
        const node = find(mark, unfolded);
        if (node) node.open = open;
      }
      logs().forEach((node, at) => {
        node.scrollTop = (scrolls[at] ?? Infinity) === Infinity ? node.scrollHeight : scrolls[at];
      });
      const again = focus && find(focus, after);
      again?.focus({ preventScroll: true });
      if (again && range) again.setSelectionRange?.(...range);
    };
  }

  // One socket, shared by the elements that show the same ----------------------------------------

  class Link {
    constructor(key) {
      this.key = key;
      this.roots = new Set();
      this.seq = null; // of the last message
      this.shown = -1; // of the last one that said how something stands
      this.socket = null;
      this.failures = 0;
      this.heard = performance.now();
      this.polled = 0;
      this.refused = false;
      this.snapshots = 0;
    }

    address() {
      const id = this.key.startsWith("task:") ? `/${encodeURIComponent(this.key.slice(5))}` : "";
      const url = new URL(`/ws/tasks${id}`, location.href);
      url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
      url.searchParams.set("beat", "1");
      if (this.seq !== null) url.searchParams.set("after", this.seq);
      return url;
    }

    open() {
      if (this.key === "clock" || this.roots.size === 0 || this.socket || this.refused) return;
      const socket = new WebSocket(this.address());
      this.socket = socket;
      socket.onmessage = (message) => this.hear(JSON.parse(message.data));
      socket.onclose = (closed) => {
        if (this.socket !== socket) return;
        this.socket = null;
        this.refused = closed.code === 4401 || closed.code === 4404;
        this.state("polling");
        this.poll();
        const wait = Math.min(10000, 250 * 2 ** this.failures) * (0.5 + Math.random());
        this.failures += 1;
        setTimeout(() => this.open(), wait);
      };
    }

    close() {
      this.socket?.close();
      this.socket = null;
    }

    hear(message) {
      this.heard = performance.now();
      this.failures = 0;
      this.state("live");
      if (message.task || message.tasks || message.id) this.shown = message.seq;
      if (message.type === "beat" && message.seq > this.shown) this.poll(); // one was lost
      this.seq = Math.max(this.seq ?? 0, message.seq);
      for (const root of this.roots) {
        if (message.task) root.apply(message.task);
        for (const task of message.tasks || []) root.apply(task);
        if (message.tasks && this.snapshots > 0) root.refresh(); // what is gone isn't in it
        if (message.events) root.append(message.events);
        if (message.type === "event") root.append([message.event]);
        if (message.id) root.rows(message.id).length && root.refresh();
      }
      if (message.type === "snapshot") this.snapshots += 1;
    }

    state(name) {
      for (const { element, ended } of this.roots) {
        if (!ended && element.dataset.liveState !== name) element.dataset.liveState = name;
      }
    }

    poll() {
      this.polled = performance.now();
      this.roots.forEach((root) => root.refresh());
    }

    /** Called twice a second: nothing heard means not to be believed. */
    tick(now) {
      const silent = now - this.heard;
      this.roots.forEach((root) => root.again && root.refresh());
      if (this.socket && silent > DEAD_MS && this.socket.readyState === WebSocket.OPEN) {
        this.heard = now - SILENT_MS;
        this.close();
        this.open();
      }
      if (silent > SILENT_MS && now - this.polled > SILENT_MS - 500) {
        if (!this.refused) this.state("polling");
        this.poll();
      }
    }
  }

  // The page --------------------------------------------------------------------------------------

  function scan() {
    for (const [element, root] of roots) {
      if (element.isConnected && element.dataset.live === root.key) continue;
      roots.delete(element);
      const link = links.get(root.key);
      link.roots.delete(root);
      if (link.roots.size === 0) {
        link.close();
        links.delete(root.key);
      }
    }
    for (const element of document.querySelectorAll("[data-live]")) {
      if (roots.has(element)) continue;
      const root = new Root(element);
      roots.set(element, root);
      if (!links.has(root.key)) links.set(root.key, new Link(root.key));
      const link = links.get(root.key);
      const seq = element.dataset.liveSeq;
      if (link.seq === null && known(seq)) link.seq = Number(seq);
      link.roots.add(root);
      link.open();
    }
  }

  function tick() {
    if (document.hidden) return;
    const now = performance.now();
    links.forEach((link) => link.tick(now));
  }

  scan();
  new MutationObserver(scan).observe(document.documentElement, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["data-live"],
  });
  setInterval(tick, 500);
  document.addEventListener("visibilitychange", tick);
  window.addEventListener("pagehide", () => links.forEach((link) => link.close()));
  window.addEventListener("pageshow", (shown) => shown.persisted && links.forEach((link) => link.open()));
})();
