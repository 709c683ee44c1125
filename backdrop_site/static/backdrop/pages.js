/* Small comforts; every page works without them. Live figures are in live.js.
 *
 *   data-copy="<id>"     a button that copies the text of that element
 *   data-check="<id>"    a form whose button `do=test` shows its answer in that element, so that a
 *                        typed secret stays in its field
 *   data-shows="kind"    a select: of the elements with data-kind only those of its value show
 *   data-port-of="<id>"  a select whose options have a data-port: it is that field's placeholder, and
 *                        takes the place of another option's port
 *   data-reload="running"    an element kept true by live.js: the page is loaded anew when the status
 *                        of its task is another one
 */
"use strict";

(() => {
  document.documentElement.classList.add("scripted");

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    const label = button.querySelector("[data-copied]");
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
    } catch {
      // No clipboard outside https and localhost: select it, so that a key press copies it.
      getSelection().selectAllChildren(source);
      said = "Selected";
    }
    label.textContent = said;
    setTimeout(() => (label.textContent = "Copy"), 2000);
  }

  function tell(place, sentence) {
    const line = document.createElement("p");
    line.textContent = sentence;
    place.replaceChildren(line);
  }

  async function check(form, button) {
    const place = document.getElementById(form.dataset.check);
    button.setAttribute("aria-busy", "true");
    tell(place, "Trying it out…");
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new FormData(form, button),
        headers: { "X-Backdrop-Check": "1" },
        credentials: "same-origin",
      });
      if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
      place.innerHTML = await answer.text();
    } catch {
      tell(place, "Backdrop did not answer. Reload the page and try again.");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  function hideOption(option) {
    option.disabled = option.hidden;
    if (option.hidden && option.selected) option.closest("select").value = "";
  }

  for (const select of document.querySelectorAll("select[data-port-of]")) {
    const field = document.getElementById(select.dataset.portOf);
    const usual = new Set([...select.options].map((option) => option.dataset.port));
    select.addEventListener("change", () => {
      field.placeholder = select.selectedOptions[0].dataset.port ?? "";
      if (usual.has(field.value)) field.value = "";
    });
  }

  for (const select of document.querySelectorAll("select[data-shows]")) {
    const attribute = `data-${select.dataset.shows}`;
    const show = () => {
      for (const part of select.form.querySelectorAll(`[${attribute}]`)) {
        part.hidden = !part.getAttribute(attribute).split(" ").includes(select.value);
        if (part.localName === "option") hideOption(part);
      }
    };
    select.addEventListener("change", show);
    show();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    for (const menu of document.querySelectorAll("details.account[open], details.choice[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.account[open], details.choice[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  function reload({ target }, status) {
    if (target.dataset.reload && status && status !== target.dataset.reload) location.reload();
  }

  document.addEventListener("live:update", (event) => reload(event, event.detail.status));
  document.addEventListener("live:swap", (event) => {
    reload(event, event.target.querySelector("[data-task]")?.dataset.status);
  });

  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    if (form.dataset.check && submitter?.value === "test") {
      event.preventDefault();
      if (!submitter.hasAttribute("aria-busy")) check(form, submitter);
    }
  });

  // On a phone the row of pages scrolls: begin where one is.
  document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // The newest lines of a task's history are what one came for.
  for (const list of document.querySelectorAll("[data-events]")) list.scrollTop = list.scrollHeight;
})();
