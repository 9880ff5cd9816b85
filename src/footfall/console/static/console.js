// What the console's pages gain by a script. Without it they work all the same.

const EVERY_MS = 5000;

// Overview: put the server's own fresh rendering in place of the old one, so that there is one
// place only that draws it. Not while somebody reads it with the keyboard or has marked text.
function inUse(part) {
  return part.contains(document.activeElement) || !document.getSelection().isCollapsed;
}

function arrive(part) {
  part.querySelector(".pulse")?.removeAttribute("hidden");
}

async function renew() {
  const part = document.querySelector("[data-live]");
  if (document.hidden || inUse(part)) return true;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.status === 401) return false; // the server was started anew, with another token
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(part.id);
    if (answer.ok && fresh && !inUse(part)) {
      arrive(fresh);
      part.replaceWith(fresh);
      return true;
    }
  } catch {
    // not reached: said below, and tried again
  }
  part.classList.add("stale");
  return true;
}

function live(part) {
  arrive(part);
  const timer = setInterval(async () => {
    if (!(await renew())) {
      clearInterval(timer);
      document.querySelector("[data-live]").classList.add("stale");
    }
  }, EVERY_MS);
}

// SQL: Ctrl+Enter or Cmd+Enter in the text runs it.
function runByKey(text) {
  const form = text.form;
  form.querySelector("kbd").hidden = false;
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit(form.querySelector("button"));
    }
  });
}

const part = document.querySelector("[data-live]");
if (part) live(part);
const text = document.querySelector("textarea[name=sql]");
if (text) runByKey(text);
