// Every page works without this. With it, a progress page follows its job, and a button that takes
// a while says so. Text from elsewhere is only ever set as text.
"use strict";

const job = document.getElementById("job");
if (job) {
  const state = document.getElementById("state");
  const progress = document.getElementById("progress");
  const what = document.getElementById("what");
  const writing = document.getElementById("writing");
  const text = document.getElementById("text");
  let end = null;

  const say = (element, words) => {
    if (element.textContent !== words) element.textContent = words;
  };

  const show = (seen) => {
    if (seen.state === "waiting") {
      const counted = seen.ahead === 1 ? "1 question is" : `${seen.ahead} questions are`;
      say(state, `Waiting: ${counted} before this one.`);
    } else if (seen.end > 0) {
      say(state, "The answer is being written.");
    } else if (seen.state === "running") {
      say(state, "The listed works are being read.");
    }
    const stage = seen.stages.at(-1);
    if (stage && stage.total && (seen.end === 0 || stage.name === "write")) {
      progress.value = Math.round((100 * stage.done) / stage.total);
      const name = stage.name[0].toUpperCase() + stage.name.slice(1);
      say(what, `${name}: ${stage.done} of ${stage.total}${stage.what ? ` · ${stage.what}` : ""}`);
    } else {
      progress.removeAttribute("value");
      say(what, "");
    }
    if (seen.text || end === null) {
      // What is new is added; where some of it was missed, all of it is set.
      if (seen.start === end) text.append(seen.text);
      else text.textContent = seen.text;
      const below = text.scrollHeight - text.scrollTop - text.clientHeight;
      writing.hidden = text.textContent === "";
      if (below < 120) text.scrollTop = text.scrollHeight;
    }
    end = seen.end;
  };

  const source = new EventSource(job.dataset.events);
  source.onmessage = (event) => show(JSON.parse(event.data));
  source.addEventListener("end", () => {
    source.close();
    say(state, "Answered. The pages it quotes are being drawn.");
    location.reload();
  });
  source.onerror = () => {
    // The browser tries again by itself, unless it was refused: then the page is looked at anew.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
  };
  window.addEventListener("pagehide", () => source.close());
}

for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", (event) => {
    const button = form.querySelector("button");
    if (button.getAttribute("aria-disabled")) {
      event.preventDefault();
      return;
    }
    button.setAttribute("aria-disabled", "true");
    button.dataset.words = button.textContent;
    button.textContent = form.dataset.busy;
  });
}

// A page that comes back from the browser's memory comes back as it was left.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("button[aria-disabled]")) {
    button.removeAttribute("aria-disabled");
    button.textContent = button.dataset.words;
  }
});
