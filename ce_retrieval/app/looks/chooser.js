// Takes a photo that is chosen, dropped or pasted, sends it to the server, and tells the page where it lies there.
function given(files) {
  take(files[0]);
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
