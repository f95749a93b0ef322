// Takes a photo that is chosen, dropped or pasted, sends it to the server, and tells the page where it lies there.
const most = props.most_bytes;

function say(text, bad) {
  const said = element.querySelector(".said");
  said.textContent = text;
  said.classList.toggle("bad", Boolean(bad));
}

async function take(file) {
  if (!file) return;
  if (file.size > most) {
    say(`This file is larger than ${Math.round(most / 1e6)} MB: make it smaller.`, true);
    return;
  }
  say("Sending…");
  try {
    const { path } = await upload(file);
    say("");
    props.value = JSON.stringify({ path, name: file.name || "pasted.png", at: Date.now() });
    trigger("upload");
  } catch (error) {
    say("The photo could not be sent. Try again.", true);
  }
}

element.addEventListener("change", (event) => {
  if (event.target.type !== "file") return;
  event.stopPropagation();
  take(event.target.files[0]);
  event.target.value = "";
});
element.addEventListener("keydown", (event) => {
  if (event.target.matches(".drop") && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    element.querySelector("input").click();
  }
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  element.addEventListener(kind, (event) => {
    event.preventDefault();
    element.querySelector(".drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
}
// Beside all places for photos a drop is a choice, too: a browser would leave the page and show the file.
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (event.defaultPrevented || !element.isConnected || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
  if (file && element.isConnected) {
    event.preventDefault();
    take(file);
  }
});
