/* Sends a file in pieces (tus), so that a cut goes on where it was; no library.
 *
 *   form[data-send="/files/"]     asks there for an address first, with all fields of the form
 *   form[data-address="/task/…"]  has its address; data-name and data-size say which file it wants
 *
 * Inside: an input of type file in a [data-drop], and what tasks/_sending.html holds. Without this
 * script the form of the first kind leads to one of the second, which posts the file by itself.
 */
"use strict";

(() => {
  const PIECE = 8 * 1024 * 1024;
  const TUS = { "Tus-Resumable": "1.0.0" };
  const AGAIN = new Set([0, 408, 409, 423, 429, 500, 502, 503, 504]);
  const LONGEST_PAUSE = 8000;

  class Refused extends Error {}

  const UNITS = ["bytes", "KB", "MB", "GB", "TB"];
  function size(count) {
    let power = 0;
    for (; count >= 1024 && power < UNITS.length - 1; power += 1) count /= 1024;
    return `${power ? count.toFixed(1) : Math.round(count)} ${UNITS[power]}`;
  }

  /** One request; status 0 is a connection that broke. */
  function ask(method, address, { headers = {}, body = null, moved, signal }) {
    return new Promise((done) => {
      const request = new XMLHttpRequest();
      request.open(method, address);
      for (const [name, value] of Object.entries({ ...TUS, ...headers })) {
        request.setRequestHeader(name, value);
      }
      request.upload.onprogress = (event) => moved?.(event.loaded);
      request.onloadend = () => {
        const offset = request.getResponseHeader("Upload-Offset");
        let said = "";
        try {
          said = JSON.parse(request.responseText).detail;
        } catch {
          // no problem document
        }
        done({ status: request.status, offset: offset === null ? null : Number(offset), said });
      };
      signal.addEventListener("abort", () => request.abort(), { once: true });
      request.send(body);
    });
  }

  function refuse(answer) {
    if (answer.status === 404 || answer.status === 410) {
      throw new Refused("This upload expired or was cancelled. Send the file anew.");
    }
    throw new Refused(answer.said || `The service answered ${answer.status}.`);
  }

  /** Send what is missing; true when all of it is there, false when it was paused. */
  async function send(file, address, { moved, lost, signal }) {
    let offset = null;
    let failures = 0;
    while (!signal.aborted) {
      if (offset === null) {
        const answer = await ask("HEAD", address, { signal });
        if (answer.status === 200) offset = answer.offset;
        else if (!AGAIN.has(answer.status)) refuse(answer);
      }
      if (offset !== null) {
        const start = offset;
        moved(start);
        const answer = await ask("PATCH", address, {
          headers: { "Upload-Offset": start, "Content-Type": "application/offset+octet-stream" },
          body: file.slice(start, start + PIECE),
          moved: (count) => moved(start + count),
          signal,
        });
        const full = answer.offset === file.size;
        if (full && (answer.status === 204 || answer.status === 403)) return true;
        offset = answer.status === 204 ? answer.offset : null;
        if (answer.status === 204) failures = 0;
        else if (!AGAIN.has(answer.status)) refuse(answer);
      }
      if (offset === null && !signal.aborted) {
        lost();
        const pause = Math.min(LONGEST_PAUSE, 250 * 2 ** failures);
        failures += 1;
        await new Promise((done) => setTimeout(done, pause));
      }
    }
    return false;
  }

  class Sender {
    constructor(form) {
      this.form = form;
      this.input = form.querySelector("input[type=file]");
      this.box = form.querySelector("[data-sending]");
      this.refused = form.querySelector("[data-refused]");
      this.order = form.dataset.address
        ? { address: form.dataset.address, task: form.dataset.task, next: form.dataset.next }
        : null;
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.start();
      });
      this.part("pause").addEventListener("click", () => this.toggle());
      this.watchDrops(form.querySelector("[data-drop]"));
    }

    part(name) {
      return this.box.querySelector(`[data-${name}]`);
    }

    watchDrops(zone) {
      // The whole page takes it: who misses the zone must not be led away to the file itself.
      document.addEventListener("dragover", (event) => {
        event.preventDefault();
        zone.classList.add("over");
      });
      document.addEventListener("dragleave", (event) => {
        if (!event.relatedTarget) zone.classList.remove("over");
      });
      document.addEventListener("drop", (event) => {
        event.preventDefault();
        zone.classList.remove("over");
        if (event.dataTransfer.files.length && !this.input.disabled) {
          this.input.files = event.dataTransfer.files;
          this.input.focus();
        }
      });
    }

    refuse(sentences) {
      const lines = sentences.map((sentence) => {
        const line = document.createElement("p");
        line.textContent = sentence;
        return line;
      });
      this.refused.firstElementChild.replaceChildren(...lines);
      this.refused.hidden = lines.length === 0;
    }

    async start() {
      const [file] = this.input.files;
      const wrong = this.wrong(file);
      this.refuse(wrong ? [wrong] : []);
      if (wrong || this.busy) return;
      this.file = file;
      this.busy = true;
      try {
        this.order ??= await this.ask(file);
        this.remember(file);
        await this.run();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.box.hidden = true;
        this.hold(false);
        this.refuse(error.message.split("\n"));
        if (this.form.dataset.send) this.order = null;
      } finally {
        this.busy = false;
      }
    }

    key() {
      return `backdrop-file-${this.order.task}`;
    }

    /** When the file was last changed, for whoever goes on after a reload. */
    remember(file) {
      try {
        localStorage.setItem(this.key(), file.lastModified);
      } catch {
        // A browser that keeps nothing: then name and size have to do.
      }
    }

    seen() {
      try {
        return this.order && localStorage.getItem(this.key());
      } catch {
        return null;
      }
    }

    /** Why this file can't be sent, if so. */
    wrong(file) {
      if (!file) return "Choose a file first.";
      const { name, size: wanted } = this.form.dataset;
      const another = (name && name !== file.name) || (wanted && Number(wanted) !== file.size);
      if (another) return `That is another file. Wanted: ${name || "one"} of ${size(Number(wanted))}.`;
      const seen = this.seen();
      if (seen && seen !== String(file.lastModified)) {
        return "This file has changed since its first part was sent. Send it anew.";
      }
      return "";
    }

    async ask(file) {
      const body = new FormData(this.form);
      body.set("filename", file.name);
      body.set("size", file.size);
      let answer;
      try {
        answer = await fetch(this.form.dataset.send, {
          method: "POST", body, headers: { "X-Backdrop-Upload": "1" }, credentials: "same-origin",
        });
      } catch {
        throw new Refused("Backdrop did not answer. Try again.");
      }
      const told = await answer.json().catch(() => ({}));
      if (answer.status === 201) return told;
      throw new Refused((told.problems || ["Backdrop did not take it. Reload the page."]).join("\n"));
    }

    async run() {
      this.hold(true);
      this.box.hidden = false;
      this.part("name").textContent = this.file.name;
      this.part("pause").textContent = "Pause";
      this.part("pause").focus();
      this.said("");
      this.control = new AbortController();
      this.begun = null;
      const there = await send(this.file, this.order.address, {
        moved: (count) => this.show(count),
        lost: () => this.said("The connection is lost. It goes on by itself."),
        signal: this.control.signal,
      });
      if (!there) return;
      if (this.seen()) localStorage.removeItem(this.key());
      location.assign(this.order.next);
    }

    async toggle() {
      if (this.control.signal.aborted) {
        await this.start();
      } else {
        this.control.abort();
        this.part("pause").textContent = "Go on";
        this.said("Paused.");
      }
    }

    /** While it is sent nothing else can be chosen. */
    hold(held) {
      this.input.disabled = held;
      for (const button of this.form.querySelectorAll("button:not([type]), select")) {
        button.disabled = held;
      }
    }

    said(sentence) {
      const place = this.part("said");
      if (place.textContent !== sentence) place.textContent = sentence;
    }

    show(count) {
      const now = performance.now();
      this.begun ??= { at: now, count };
      const seconds = (now - this.begun.at) / 1000;
      const rate = seconds > 1 ? (count - this.begun.count) / seconds : 0;
      const { size: all } = this.file;
      this.said("");
      this.box.querySelector("progress").value = all ? (100 * count) / all : 100;
      this.part("figures").textContent = [
        `${all ? Math.floor((100 * count) / all) : 100} %`,
        `${size(count)} of ${size(all)}`,
        ...(rate > 0 ? [`${size(rate)}/s`] : []),
      ].join(" · ");
    }
  }

  document.querySelectorAll("form[data-send], form[data-address]").forEach((form) => new Sender(form));
})();
